//! One file per notification kind.

pub mod discord;
pub mod email;
pub mod slack;
pub mod webhook;
