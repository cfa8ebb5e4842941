//! The log of what was sent, to whom, with what outcome.

pub mod list;
pub mod record;
pub mod retry;
