//! Texts for people, of the functions, pages and mails, in English and Korean: `words/en.ftl` and
//! `words/ko.ftl`.

use contract::{Language, Phrase, Text};

include!(concat!(env!("OUT_DIR"), "/words.rs"));
