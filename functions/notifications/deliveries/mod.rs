//! The log of deliveries with their outcomes, and the queue of those that wait.

pub mod list;
pub mod log;
pub mod queue;
pub mod record;
pub mod resume;
pub mod retry;
