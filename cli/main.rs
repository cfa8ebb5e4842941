//! The terminal client of pongpong.

fn main() {}
