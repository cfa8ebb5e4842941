//! Tests the engine with small functions of its own, separately from pongpong's functions.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod house;
mod world;

mod admin;
mod broker;
mod cron;
mod gateway;
mod owners;
mod reads;
mod ready;
mod stale;
mod strangers;
mod wiring;
