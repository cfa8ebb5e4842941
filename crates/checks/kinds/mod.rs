//! The check kinds, one file each.

pub mod http;
pub mod tcp;
