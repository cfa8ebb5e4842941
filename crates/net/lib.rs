//! Connections to servers that users named: which addresses are permitted, how names are resolved, which certificates
//! are trusted, what a connection may carry, and how users share these resources. Independent of checks and messages.

pub mod address;
pub mod fair_share;
pub mod guarded;
pub mod resolve;
pub mod trust;

/// A header of each request to a server that a user named. No user can remove or set it. pongpong's own functions
/// accept no request with it as an event, or as a call of another function.
pub const OUTBOUND: http::HeaderName = http::HeaderName::from_static("x-pongpong-outbound");

/// The message of a panic.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}
