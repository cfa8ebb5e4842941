//! The log of what was sent, to whom, with what outcome; what waits in it to be sent.

pub mod list;
pub mod log;
pub mod queue;
pub mod record;
pub mod resume;
pub mod retry;
