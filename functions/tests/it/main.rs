//! One integration-test binary; its folders mirror the resources.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod image;
mod listener;
mod smtp;
mod story;
mod world;

mod checks;
mod dead_letter;
mod endpoints;
mod kong;
mod notifications;
mod process;
mod reports;
mod roles;
mod senders;
mod users;
