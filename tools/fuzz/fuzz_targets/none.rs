//! An empty example. With an example, cargo resolves the features of the tests too, and so reuses the
//! dependencies that the tests were built with instead of building them again.

fn main() {}
