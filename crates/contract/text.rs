//! Sentences for people.

use std::borrow::Cow;

/// A sentence for people, in English and Korean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub en: Cow<'static, str>,
    pub ko: Cow<'static, str>,
}

pub fn text(en: impl Into<Cow<'static, str>>, ko: impl Into<Cow<'static, str>>) -> Text {
    Text { en: en.into(), ko: ko.into() }
}
