//! One file for each notification kind.

pub mod discord;
pub mod email;
pub mod slack;
pub mod webhook;
