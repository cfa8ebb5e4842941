//! Tests in a browser: a real Chromium, a real engine, and a clock that the tests advance.

mod details;
mod driver;
mod history;
mod people;
mod pictures;
mod strangers;
