//! What a check finds out, and assertions can look at.

use contract::{Comparison, Text, text};

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
    /// One of the response's.
    Header,
}

/// All facts.
pub const FACTS: &[Fact] = &[
    Fact::number("status", "Status code", "상태 코드"),
    Fact { name: "body", label: ("Body", "본문"), shape: Shape::Body },
    Fact { name: "json", label: ("JSON value", "JSON 값"), shape: Shape::Json },
    Fact { name: "header", label: ("Header", "헤더"), shape: Shape::Header },
    Fact::number("total_ms", "Total time (ms)", "전체 시간 (ms)"),
    Fact::number("dns_ms", "DNS (ms)", "DNS (ms)"),
    Fact::number("connect_ms", "Connect (ms)", "연결 (ms)"),
    Fact::number("tls_ms", "TLS (ms)", "TLS (ms)"),
    Fact::number("first_byte_ms", "First byte (ms)", "첫 바이트 (ms)"),
    Fact::number("transfer_ms", "Transfer (ms)", "전송 (ms)"),
    Fact::number("certificate_days_left", "Days until the certificate expires", "인증서 만료까지 남은 일수"),
    Fact::number("body_bytes", "Size of the body (bytes)", "본문 크기 (바이트)"),
    Fact::number("redirects", "Redirects", "리다이렉트 횟수"),
    Fact { name: "ip", label: ("IP address", "IP 주소"), shape: Shape::Text },
    Fact { name: "http_version", label: ("HTTP version", "HTTP 버전"), shape: Shape::Text },
];

impl Fact {
    const fn number(name: &'static str, en: &'static str, ko: &'static str) -> Self {
        Self { name, label: (en, ko), shape: Shape::Number }
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

pub(super) fn fact_named(name: &str) -> Result<&'static Fact, Text> {
    FACTS.iter().find(|fact| fact.name == name).ok_or_else(|| {
        let known = FACTS.iter().map(|fact| fact.name).collect::<Vec<_>>().join(", ");
        text(format!("must be one of {known}"), format!("{known} 중 하나여야 합니다"))
    })
}
