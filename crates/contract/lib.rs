//! What the API, the pages and the terminal client agree on.

pub mod address;
