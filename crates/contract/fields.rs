//! Validation errors of an input, by field.

use std::ops::RangeInclusive;

use crate::{Text, words};

/// A character that no name or text needs: a control character, one that changes the writing direction
/// (`evil.test` could be read as another name), or one that XML cannot contain.
pub fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FFFE}' | '\u{FFFF}')
}

/// An invisible character: white space, or one that fonts may omit (`Default_Ignorable_Code_Point`).
pub fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}'
                | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}'
                | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
        )
}

/// The fields that are invalid, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<(String, Text)>);

/// Collects all errors of an input, so that a person sees them at once.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, Text)>);

impl Fields {
    pub fn check<T: Into<Text>>(&mut self, ok: bool, name: &str, otherwise: impl FnOnce() -> T) {
        if !ok {
            self.0.push((name.to_owned(), otherwise().into()));
        }
    }

    /// A single-line text for people.
    pub fn check_line(&mut self, name: &str, line: &str, length: RangeInclusive<usize>) {
        self.check_text(name, line, length, &[]);
    }

    /// A text for people that may contain the odd characters in `odd`.
    pub fn check_text(&mut self, name: &str, value: &str, length: RangeInclusive<usize>, odd: &[char]) {
        let is_refused = |c| is_odd(c) && !odd.contains(&c);
        let fits = length.contains(&value.chars().count()) && !value.chars().any(is_refused);
        self.check(fits, name, || words::must_have_characters(length.start(), length.end()));
        self.check(!fits || value.is_empty() || !value.chars().all(is_invisible), name, || {
            words::MUST_BE_VISIBLE
        });
    }

    /// An ID used as a filter of a list.
    pub fn check_id(&mut self, id: Option<i64>, name: &str) {
        self.check(id.is_none_or(|id| id > 0), name, || words::MUST_BE_POSITIVE_INTEGER);
    }

    pub fn add(&mut self, name: impl Into<String>, what: impl Into<Text>) {
        self.0.push((name.into(), what.into()));
    }

    pub fn finish(self) -> Result<(), Invalid> {
        if self.0.is_empty() { Ok(()) } else { Err(Invalid(self.0)) }
    }
}
