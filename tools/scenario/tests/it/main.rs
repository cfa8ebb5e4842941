//! Runs the scenario against the one-machine engine, and tests the rollout scripts.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod rollout;
mod story;
