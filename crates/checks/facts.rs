//! What a check finds out, and assertions can look at.

use contract::Comparison;

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
    Fact::number("total_ms", "Total time (ms)", "전체 시간 (ms)"),
    Fact::number("dns_ms", "DNS (ms)", "DNS (ms)"),
    Fact::number("connect_ms", "Connect (ms)", "연결 (ms)"),
    Fact::text("ip", "IP address", "IP 주소"),
];
/// Of kinds that speak TLS.
pub const TLS_MS: Fact = Fact::number("tls_ms", "TLS (ms)", "TLS (ms)");
pub const CERTIFICATE_DAYS_LEFT: Fact =
    Fact::number("certificate_days_left", "Days until the certificate expires", "인증서 만료까지 남은 일수");
/// Of kinds that get an answer.
pub const FIRST_BYTE_MS: Fact = Fact::number("first_byte_ms", "First byte (ms)", "첫 바이트 (ms)");
pub const TRANSFER_MS: Fact = Fact::number("transfer_ms", "Transfer (ms)", "전송 (ms)");

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
