//! Texts for people, in English and Korean.

use std::{
    borrow::Cow,
    fmt::{self, Display, Formatter},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Serialized as `en` or `ko`; an unknown code is read as English.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Language {
    #[serde(rename = "ko")]
    Korean,
    #[default]
    #[serde(rename = "en", other)]
    English,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::English, Self::Korean];

    pub fn named(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The code in HTML, HTTP and events.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::English => Self::Korean,
            Self::Korean => Self::English,
        }
    }

    /// Selects one of two texts, English and Korean.
    pub fn choose(self, (en, ko): (&'static str, &'static str)) -> &'static str {
        match self {
            Self::English => en,
            Self::Korean => ko,
        }
    }
}

/// From [`Language::code`]; an unknown code is English.
impl From<String> for Language {
    fn from(code: String) -> Self {
        Self::named(&code).unwrap_or_default()
    }
}

/// A text for people, in English and Korean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub en: Cow<'static, str>,
    pub ko: Cow<'static, str>,
}

/// For kinds, whose texts are in their own files. All other texts are in the catalogues, `words/`.
pub fn text(en: impl Into<Cow<'static, str>>, ko: impl Into<Cow<'static, str>>) -> Text {
    Text { en: en.into(), ko: ko.into() }
}

impl Text {
    pub fn of(&self, language: Language) -> &str {
        match language {
            Language::English => &self.en,
            Language::Korean => &self.ko,
        }
    }

    /// For constants.
    pub const fn pair(&'static self) -> (&'static str, &'static str) {
        match (&self.en, &self.ko) {
            (Cow::Borrowed(en), Cow::Borrowed(ko)) => (en, ko),
            _ => panic!("not a constant"),
        }
    }

    /// Appends another sentence.
    pub fn then(self, next: impl Into<Self>) -> Self {
        let next = next.into();
        text(format!("{} {}", self.en, next.en), format!("{} {}", self.ko, next.ko))
    }
}

/// A text with values in it, rendered in the requested language.
#[derive(Clone, Copy)]
pub struct Phrase<F>(F);

impl<F: Fn(Language, &mut Formatter<'_>) -> fmt::Result> Phrase<F> {
    pub fn new(write: F) -> Self {
        Self(write)
    }

    pub fn of(&self, language: Language) -> String {
        self.shown(language).to_string()
    }

    /// For use within another text.
    pub fn shown(&self, language: Language) -> Shown<'_, F> {
        Shown(&self.0, language)
    }
}

impl<F: Fn(Language, &mut Formatter<'_>) -> fmt::Result> From<Phrase<F>> for Text {
    fn from(phrase: Phrase<F>) -> Self {
        text(phrase.of(Language::English), phrase.of(Language::Korean))
    }
}

/// A text that can be rendered within a page or another text, in a language.
pub trait Words {
    type Shown<'a>: Display
    where
        Self: 'a;

    fn shown(&self, language: Language) -> Self::Shown<'_>;
}

impl Words for Text {
    type Shown<'a> = &'a str;

    fn shown(&self, language: Language) -> &str {
        self.of(language)
    }
}

impl<F: Fn(Language, &mut Formatter<'_>) -> fmt::Result> Words for Phrase<F> {
    type Shown<'a>
        = Shown<'a, F>
    where
        Self: 'a;

    fn shown(&self, language: Language) -> Shown<'_, F> {
        Self::shown(self, language)
    }
}

/// A [`Phrase`] in one language.
pub struct Shown<'a, F>(&'a F, Language);

impl<F: Fn(Language, &mut Formatter<'_>) -> fmt::Result> Display for Shown<'_, F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0(self.1, f)
    }
}
