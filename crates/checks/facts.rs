//! The facts that a check finds, for use in assertions.

use contract::{Comparison, Text, words};

/// A fact, which assertions refer to by name.
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
    /// The whole body of the response, decoded to text.
    Body,
    /// The values that a JSONPath selects in the body.
    Json,
    /// A header of the response.
    Header,
}

/// Facts of every kind.
pub const COMMON: &[Fact] = &[
    common("total_ms", Shape::Number, &words::FACT_TOTAL),
    common("dns_ms", Shape::Number, &words::FACT_DNS),
    common("connect_ms", Shape::Number, &words::FACT_CONNECT),
    common("ip", Shape::Text, &words::FACT_IP),
];
/// A fact of kinds that use TLS.
pub const TLS_MS: Fact = common("tls_ms", Shape::Number, &words::FACT_TLS);
pub const CERTIFICATE_DAYS_LEFT: Fact =
    common("certificate_days_left", Shape::Number, &words::FACT_CERTIFICATE_DAYS_LEFT);
/// Facts of kinds that receive a response.
pub const FIRST_BYTE_MS: Fact = common("first_byte_ms", Shape::Number, &words::FACT_FIRST_BYTE);
pub const TRANSFER_MS: Fact = common("transfer_ms", Shape::Number, &words::FACT_TRANSFER);

/// A fact of several kinds: its label is in the message catalogue.
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
    /// The comparisons that make sense for this shape.
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
