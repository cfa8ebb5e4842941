//! Runs `pong` as users do, against a one-machine engine of its own.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod apply;
mod check;
mod endpoint;
mod import;
mod notification;
mod output;
mod page;
mod report;
mod session;
mod world;
