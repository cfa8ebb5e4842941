//! What a person does with a browser: a real Chromium, a real engine, and a clock that is advanced.

mod details;
mod driver;
mod history;
mod people;
mod pictures;
mod strangers;
