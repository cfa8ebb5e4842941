//! Probing endpoints: scheduled, and now.

pub mod probe;

pub const SERVICE: &str = "endpoint-check";
