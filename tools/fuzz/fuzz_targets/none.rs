//! Nothing to run: that there is an example has cargo resolve the features of tests, too, and so take the
//! dependencies that tests were built with, instead of building all of them anew.

fn main() {}
