//! What the functions, the engine, the pages and the terminal client agree on: the shapes of events, and how an address
//! that a person types is read.

pub mod address;
mod events;

pub use events::*;
