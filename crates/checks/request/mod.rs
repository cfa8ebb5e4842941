//! HTTP as a check speaks it: one exchange over a connection of its own, redirects, cookies.

pub(crate) mod cookies;
pub(crate) mod exchange;
pub(crate) mod redirect;
pub(crate) mod status_ranges;
