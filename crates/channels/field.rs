//! The fields of a kind's config: one definition for validation, masking, OpenAPI, forms and flags.

use contract::{Text, text};
use serde_json::Value;
use url::Url;

use crate::mailbox;

/// A field of a config.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    /// In English and Korean, as is `help`.
    pub label: (&'static str, &'static str),
    pub help: (&'static str, &'static str),
    pub example: &'static str,
    pub input: Input,
    pub is_required: bool,
    /// Sealed, as all of the config is, and never shown again as a whole.
    pub is_secret: bool,
    valid: Option<Rule>,
    /// Made of 32 random bytes where it is absent; shown once.
    pub generate: Option<fn(&[u8; 32]) -> String>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    is_valid: fn(&str) -> bool,
    what: (&'static str, &'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// An http or https URL that a message is posted to.
    Url,
    /// One line of at most so many characters.
    Line { max: usize },
    /// A list of email addresses.
    Emails { max: usize },
}

const MAX_URL_LEN: usize = 2048;

impl Field {
    const fn new(input: Input, label: (&'static str, &'static str)) -> Self {
        Self {
            name: "",
            label,
            help: ("", ""),
            example: "",
            input,
            is_required: true,
            is_secret: false,
            valid: None,
            generate: None,
        }
    }

    pub const fn url(en: &'static str, ko: &'static str) -> Self {
        Self::new(Input::Url, (en, ko)).example("https://example.com/hook")
    }

    pub const fn line(max: usize, en: &'static str, ko: &'static str) -> Self {
        Self::new(Input::Line { max }, (en, ko))
    }

    pub const fn emails(max: usize, en: &'static str, ko: &'static str) -> Self {
        Self::new(Input::Emails { max }, (en, ko)).example("a@example.com")
    }

    /// By [`config!`](crate::config).
    #[doc(hidden)]
    pub const fn named(self, name: &'static str, is_required: bool) -> Self {
        Self { name, is_required, ..self }
    }

    pub const fn help(self, en: &'static str, ko: &'static str) -> Self {
        Self { help: (en, ko), ..self }
    }

    pub const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    pub const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// What a line must be besides: `must be ...`.
    pub const fn valid(self, is_valid: fn(&str) -> bool, en: &'static str, ko: &'static str) -> Self {
        Self { valid: Some(Rule { is_valid, what: (en, ko) }), ..self }
    }

    pub const fn generate(self, generate: fn(&[u8; 32]) -> String) -> Self {
        Self { generate: Some(generate), ..self }
    }

    /// What is wrong with a value, and where in it.
    pub(crate) fn refusals(&self, value: &Value) -> Vec<(String, Text)> {
        let whole = |what: Text| vec![(String::new(), what)];
        match self.input {
            Input::Emails { max } => {
                let of_texts = value
                    .as_array()
                    .and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
                let Some(list) = of_texts.filter(|list| (1..=max).contains(&list.len())) else {
                    return whole(text(
                        format!("must hold 1 to {max} addresses"),
                        format!("1개 이상 {max}개 이하의 주소여야 합니다"),
                    ));
                };
                let wrong = list.iter().enumerate().filter(|(_, address)| !mailbox::is_address(address));
                let what = || text("must be an email address", "이메일 주소여야 합니다");
                wrong.map(|(at, _)| (format!("[{at}]"), what())).collect()
            }
            Input::Url | Input::Line { .. } => {
                let Some(value) = value.as_str() else {
                    return whole(text("must be a string", "문자열이어야 합니다"));
                };
                let refusal = match self.input {
                    Input::Line { max } => self.refusal_of_line(value, max),
                    _ => refusal_of_url(value),
                };
                refusal.map(whole).unwrap_or_default()
            }
        }
    }

    /// Its rule says more than its length.
    fn refusal_of_line(&self, line: &str, max: usize) -> Option<Text> {
        let fits = (1..=max).contains(&line.chars().count()) && !line.chars().any(contract::is_odd);
        match self.valid {
            Some(Rule { is_valid, what: (en, ko) }) => (!fits || !is_valid(line)).then(|| text(en, ko)),
            None => (!fits).then(|| {
                text(
                    format!("must have 1 to {max} characters, none of them a control character"),
                    format!("제어 문자 없이 1자 이상 {max}자 이하여야 합니다"),
                )
            }),
        }
    }

    /// As it may be shown.
    pub(crate) fn masked(&self, value: &Value) -> Value {
        match (self.is_secret, self.input, value.as_str()) {
            (true, Input::Url, Some(url)) => mask_url(url).into(),
            (true, _, Some(token)) => mask_token(token).into(),
            (true, _, None) => "…".into(),
            (false, ..) => value.clone(),
        }
    }
}

/// Whether a config has to have a field of this type.
pub trait FieldType {
    const IS_REQUIRED: bool = true;
}

impl FieldType for String {}
impl FieldType for Vec<String> {}
impl<T> FieldType for Option<T> {
    const IS_REQUIRED: bool = false;
}

/// Defines a kind's `Config`, and its `FIELDS`: each field with its type, and how it looks and is checked.
#[macro_export]
macro_rules! config {
    ($($(#[$attribute:meta])* $name:ident: $type:ty = $field:expr;)*) => {
        #[derive(Clone, Debug, serde::Deserialize)]
        pub struct Config {
            $($(#[$attribute])* pub $name: $type,)*
        }

        const FIELDS: &[$crate::Field] =
            &[$($field.named(stringify!($name), <$type as $crate::field::FieldType>::IS_REQUIRED)),*];
    };
}

/// What is wrong with a URL that a message is to be posted to.
pub fn refusal_of_url(url: &str) -> Option<Text> {
    if url.len() > MAX_URL_LEN {
        return Some(text(
            format!("must have at most {MAX_URL_LEN} characters"),
            format!("최대 {MAX_URL_LEN}자까지 가능합니다"),
        ));
    }
    // The parser would drop control characters and spaces around silently.
    let parsed = if url.chars().any(|c| c.is_control() || c == ' ') { None } else { Url::parse(url).ok() };
    let fits = |u: &Url| matches!(u.scheme(), "http" | "https") && u.has_host() && u.port() != Some(0);
    match parsed.filter(fits) {
        None => Some(text(
            "must be an http or https URL with a host",
            "호스트가 있는 http 또는 https URL이어야 합니다",
        )),
        Some(url) if !url.username().is_empty() || url.password().is_some() => Some(text(
            "must not hold a user name or password",
            "사용자 이름이나 비밀번호를 포함할 수 없습니다",
        )),
        Some(_) => None,
    }
}

/// `xoxb-…1234`
fn mask_token(token: &str) -> String {
    // ASCII, by validation; taken by characters all the same.
    let prefix: String = match token.find(['-', '_']) {
        Some(at) if at < 6 => token.chars().take(at + 1).collect(),
        _ => String::new(),
    };
    let shown = token.chars().count().saturating_sub(prefix.chars().count());
    let last: String =
        if shown >= 12 { token.chars().skip(token.chars().count() - 4).collect() } else { String::new() };
    format!("{prefix}…{last}")
}

/// `https://hooks.slack.com/…`
pub fn mask_url(url: &str) -> String {
    let host = Url::parse(url).map(|u| u.origin().ascii_serialization());
    format!("{}/…", host.unwrap_or_default())
}

/// The host of a URL, for the places that its messages share.
pub fn host_of(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| Some(url.host_str()?.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::mask_token;

    #[test]
    fn mask_token_of_a_short_token_shows_nothing() {
        assert_eq!(mask_token("xoxb-12345"), "xoxb-…");
        assert_eq!(mask_token("0123456789"), "…");
        assert_eq!(mask_token("ééééééééééééé"), "…éééé");
    }
}
