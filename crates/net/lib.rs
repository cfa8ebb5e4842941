//! Connections to servers that users named: which addresses may be connected to, how a name leads to one, whom to
//! trust there, what a connection may carry, and how users share what there is of it. It knows neither checks nor
//! messages.

pub mod address;
pub mod fair_share;
pub mod guarded;
pub mod resolve;
pub mod trust;

/// A header of each request that goes where a user said, which no user can leave out or set: pongpong's own functions
/// take none of them for an event, or for a call of another function.
pub const OUTBOUND: http::HeaderName = http::HeaderName::from_static("x-pongpong-outbound");

/// What a panic said.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}
