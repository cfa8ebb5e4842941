//! Shared by the functions, the one-machine engine, the pages and the command-line client: event types,
//! how an address that a person types is read, and how it is shown.

pub mod address;
mod events;
mod fields;
mod kinds;
pub mod shown;
mod text;
pub mod words;

pub use events::*;
pub use fields::{Fields, Invalid, is_invisible, is_odd};
pub use kinds::{CheckKindInfo, FactInfo, FieldInfo, FieldInput, KindInfo};
pub use text::{Language, Phrase, Shown, Text, Words, text};
