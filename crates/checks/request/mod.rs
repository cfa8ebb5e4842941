//! HTTP for checks: one exchange over its own connection, redirects, cookies.

pub(crate) mod cookies;
pub(crate) mod exchange;
pub(crate) mod redirect;
pub(crate) mod status_ranges;
