//! One integration-test binary; its folders mirror the resources.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod collector;
mod image;
mod listener;
mod lists;
mod manifests;
mod smtp;
mod story;
mod synchronous;
mod world;

mod browser;
mod checks;
mod dead_letter;
mod endpoints;
mod gateway;
mod half_open;
mod kong;
mod logs;
mod notifications;
mod open_events;
mod process;
mod prometheus;
mod reports;
mod roles;
mod schemas;
mod security;
mod senders;
mod statements;
mod status_pages;
mod telemetry;
mod tombstones;
mod users;
mod web;
