//! What a check finds out, and assertions can look at.

use contract::{Comparison, Text, words};

/// Named in assertions.
#[derive(Debug, PartialEq, Eq)]
pub struct Fact {
    pub name: &'static str,
    /// In English and Korean.
    pub label: (&'static str, &'static str),
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Number,
    Text,
    /// All that the server sent, decoded to text.
    Body,
    /// What a JSONPath selects in the body.
    Json,
    /// One of the answer's.
    Header,
}

/// Of every kind.
pub const COMMON: &[Fact] = &[
    common("total_ms", Shape::Number, &words::FACT_TOTAL),
    common("dns_ms", Shape::Number, &words::FACT_DNS),
    common("connect_ms", Shape::Number, &words::FACT_CONNECT),
    common("ip", Shape::Text, &words::FACT_IP),
];
/// Of kinds that speak TLS.
pub const TLS_MS: Fact = common("tls_ms", Shape::Number, &words::FACT_TLS);
pub const CERTIFICATE_DAYS_LEFT: Fact =
    common("certificate_days_left", Shape::Number, &words::FACT_CERTIFICATE_DAYS_LEFT);
/// Of kinds that get an answer.
pub const FIRST_BYTE_MS: Fact = common("first_byte_ms", Shape::Number, &words::FACT_FIRST_BYTE);
pub const TRANSFER_MS: Fact = common("transfer_ms", Shape::Number, &words::FACT_TRANSFER);

/// Of several kinds: its label is in the catalogue.
const fn common(name: &'static str, shape: Shape, label: &'static Text) -> Fact {
    Fact { name, label: label.pair(), shape }
}

impl Fact {
    pub const fn of(name: &'static str, shape: Shape, en: &'static str, ko: &'static str) -> Self {
        Self { name, label: (en, ko), shape }
    }

    pub const fn number(name: &'static str, en: &'static str, ko: &'static str) -> Self {
        Self::of(name, Shape::Number, en, ko)
    }

    pub const fn text(name: &'static str, en: &'static str, ko: &'static str) -> Self {
        Self::of(name, Shape::Text, en, ko)
    }
}

impl Shape {
    /// Those that make sense.
    pub fn comparisons(self) -> &'static [Comparison] {
        use Comparison::{
            Contains, Equals, Exists, GreaterOrEqual, GreaterThan, LessOrEqual, LessThan, Matches,
            NotContains, NotEquals, NotExists, NotMatches,
        };
        match self {
            Self::Number => {
                &[Equals, NotEquals, LessThan, LessOrEqual, GreaterThan, GreaterOrEqual, Exists, NotExists]
            }
            Self::Text => &[Equals, NotEquals, Contains, NotContains, Matches, NotMatches, Exists, NotExists],
            Self::Body => &[Equals, NotEquals, Contains, NotContains, Matches, NotMatches],
            Self::Json | Self::Header => &Comparison::ALL,
        }
    }
}
