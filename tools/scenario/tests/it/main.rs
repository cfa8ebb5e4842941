//! The scenario, told to the one-machine engine; and the rollout scripts.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod rollout;
mod story;
