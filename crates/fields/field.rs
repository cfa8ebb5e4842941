//! A field of a config: how it is shown, and which values are valid.

use std::collections::{BTreeMap, BTreeSet};

use contract::{FieldInfo, FieldInput, Text, text, words};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use crate::{MASK, mailbox};

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
    /// The value if the field is absent.
    pub default: Preset,
    /// Whether the value is sealed, and never shown in full again.
    pub is_secret: bool,
    valid: Option<Rule>,
    /// Generates a value from 32 random bytes if the field is absent. The value is shown once.
    pub generate: Option<fn(&[u8; 32]) -> String>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    is_valid: fn(&str) -> bool,
    what: (&'static str, &'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// An http or https URL to which messages are posted.
    Url,
    /// One line of at most this many characters.
    Line {
        max: usize,
    },
    /// Several lines, of at most this many bytes.
    Text {
        max: usize,
    },
    /// A list of email addresses.
    Emails {
        max: usize,
    },
    /// HTTP headers: an object with text values.
    Headers {
        max: usize,
    },
    Choice {
        of: &'static [&'static str],
    },
    Flag,
    /// A whole number.
    Number {
        min: i64,
        max: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    None,
    Text(&'static str),
    Flag(bool),
    Number(i64),
}

impl Preset {
    pub fn value(self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Text(text) => Some(json!(text)),
            Self::Flag(flag) => Some(json!(flag)),
            Self::Number(number) => Some(json!(number)),
        }
    }
}

const MAX_URL_LEN: usize = 2048;
const MAX_HEADER_LEN: usize = 8 * 1024;

impl Field {
    const fn new(input: Input, label: (&'static str, &'static str)) -> Self {
        Self {
            name: "",
            label,
            help: ("", ""),
            example: "",
            input,
            is_required: true,
            default: Preset::None,
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

    pub const fn text(max: usize, en: &'static str, ko: &'static str) -> Self {
        Self::new(Input::Text { max }, (en, ko))
    }

    pub const fn headers(max: usize, en: &'static str, ko: &'static str) -> Self {
        Self::new(Input::Headers { max }, (en, ko))
    }

    pub const fn choice(of: &'static [&'static str], en: &'static str, ko: &'static str) -> Self {
        Self::new(Input::Choice { of }, (en, ko))
    }

    pub const fn flag(default: bool, en: &'static str, ko: &'static str) -> Self {
        Self { default: Preset::Flag(default), ..Self::new(Input::Flag, (en, ko)) }
    }

    /// A whole number in this range.
    pub const fn number(min: i64, max: i64, default: i64, en: &'static str, ko: &'static str) -> Self {
        let input = Input::Number { min, max };
        Self { default: Preset::Number(default), ..Self::new(input, (en, ko)) }
    }

    /// Used by [`config!`](crate::config).
    #[doc(hidden)]
    pub const fn named(self, name: &'static str, is_required: bool) -> Self {
        let is_required = is_required && matches!(self.default, Preset::None);
        Self { name, is_required, ..self }
    }

    pub const fn preset(self, text: &'static str) -> Self {
        Self { default: Preset::Text(text), ..self }
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

    /// An additional rule for a line, as text: `must be ...`.
    pub const fn valid(self, is_valid: fn(&str) -> bool, en: &'static str, ko: &'static str) -> Self {
        Self { valid: Some(Rule { is_valid, what: (en, ko) }), ..self }
    }

    pub const fn generate(self, generate: fn(&[u8; 32]) -> String) -> Self {
        Self { generate: Some(generate), ..self }
    }

    /// The description of the field in the API; `say` chooses a language.
    pub fn info(&self, say: impl Fn((&'static str, &'static str)) -> String) -> FieldInfo {
        let of = |input, min, max: Option<usize>| (input, min, max.and_then(|max| i64::try_from(max).ok()));
        let (input, min, max) = match self.input {
            Input::Url => of(FieldInput::Url, None, None),
            Input::Line { max } => of(FieldInput::Line, None, Some(max)),
            Input::Text { max } => of(FieldInput::Text, None, Some(max)),
            Input::Emails { max } => of(FieldInput::Emails, None, Some(max)),
            Input::Headers { max } => of(FieldInput::Headers, None, Some(max)),
            Input::Choice { .. } => of(FieldInput::Choice, None, None),
            Input::Flag => of(FieldInput::Flag, None, None),
            Input::Number { min, max } => (FieldInput::Number, Some(min), Some(max)),
        };
        let choices = if let Input::Choice { of } = self.input { of } else { &[] };
        FieldInfo {
            name: self.name.to_owned(),
            label: say(self.label),
            help: say(self.help),
            example: self.example.to_owned(),
            input,
            min,
            max,
            choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
            default: self.default.value(),
            is_required: self.is_required,
            is_secret: self.is_secret,
            is_generated: self.generate.is_some(),
        }
    }

    /// What is wrong with a value, and the path within the value.
    pub(crate) fn refusals(&self, value: &Value) -> Vec<(String, Text)> {
        let whole = |what: Text| vec![(String::new(), what)];
        let refusal = match self.input {
            Input::Emails { max } => return refusals_of_addresses(value, max),
            Input::Headers { max } => return refusals_of_headers(value, max),
            Input::Flag => (!value.is_boolean()).then_some(words::MUST_BE_TRUE_OR_FALSE),
            Input::Number { min, max } => {
                let fits = value.as_i64().is_some_and(|number| (min..=max).contains(&number));
                (!fits).then(|| words::must_be_a_whole_number_from_to(max, min).into())
            }
            Input::Choice { of } => (!of.iter().any(|choice| *value == **choice)).then(|| {
                let all = of.join(", ");
                words::must_be_one_of(all).into()
            }),
            Input::Url | Input::Line { .. } | Input::Text { .. } => match value.as_str() {
                None => Some(words::MUST_BE_STRING),
                Some(value) => match self.input {
                    Input::Line { max } => self.refusal_of_line(value, max),
                    Input::Text { max } => (value.len() > max).then(|| too_long(max)),
                    _ => refusal_of_url(value),
                },
            },
        };
        refusal.map(whole).unwrap_or_default()
    }

    /// The field's own rule explains more than its length.
    fn refusal_of_line(&self, line: &str, max: usize) -> Option<Text> {
        let fits = (1..=max).contains(&line.chars().count()) && !line.chars().any(contract::is_odd);
        match self.valid {
            Some(Rule { is_valid, what: (en, ko) }) => (!fits || !is_valid(line)).then(|| text(en, ko)),
            None => (!fits).then(|| words::must_have_characters(1, max).into()),
        }
    }

    /// The value as it may be shown. A secret shows only enough to recognise it.
    pub fn masked(&self, value: &Value) -> Value {
        match (self.is_secret, self.input, value.as_str()) {
            (true, Input::Url, Some(url)) => mask_url(url).into(),
            (true, _, Some(token)) => mask_token(token).into(),
            (true, _, None) => self.hidden(value),
            (false, ..) => value.clone(),
        }
    }

    /// The value as it may be shown. A secret shows only that it exists.
    pub fn hidden(&self, value: &Value) -> Value {
        match (self.is_secret, value) {
            (true, Value::Object(map)) => map.keys().map(|name| (name.clone(), json!(MASK))).collect(),
            (true, _) => MASK.into(),
            (false, _) => value.clone(),
        }
    }
}

/// The type of a config's field.
pub trait FieldType {
    /// Whether a value is required, if the field has no default.
    const IS_REQUIRED: bool = true;

    fn preset(default: Preset) -> Self;
}

impl FieldType for String {
    fn preset(default: Preset) -> Self {
        if let Preset::Text(text) = default { text.to_owned() } else { Self::new() }
    }
}

impl FieldType for bool {
    fn preset(default: Preset) -> Self {
        matches!(default, Preset::Flag(true))
    }
}

impl FieldType for i64 {
    fn preset(default: Preset) -> Self {
        if let Preset::Number(number) = default { number } else { 0 }
    }
}

impl FieldType for Vec<String> {
    fn preset(_: Preset) -> Self {
        Self::new()
    }
}

impl FieldType for BTreeMap<String, String> {
    const IS_REQUIRED: bool = false;

    fn preset(_: Preset) -> Self {
        Self::new()
    }
}

impl<T> FieldType for Option<T> {
    const IS_REQUIRED: bool = false;

    fn preset(_: Preset) -> Self {
        None
    }
}

fn refusals_of_addresses(value: &Value, max: usize) -> Vec<(String, Text)> {
    let of_texts =
        value.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    let Some(list) = of_texts.filter(|list| (1..=max).contains(&list.len())) else {
        let what: Text = words::must_hold_addresses(max).into();
        return vec![(String::new(), what)];
    };
    let wrong = list.iter().enumerate().filter(|(_, address)| !mailbox::is_address(address));
    let what = || words::MUST_BE_EMAIL_ADDRESS;
    wrong.map(|(at, _)| (format!("[{at}]"), what())).collect()
}

fn refusals_of_headers(value: &Value, max: usize) -> Vec<(String, Text)> {
    let Some(headers) = value.as_object().filter(|headers| headers.len() <= max) else {
        let what: Text = words::must_be_headers(max).into();
        return vec![(String::new(), what)];
    };
    let mut names = BTreeSet::new();
    let refusal = |(name, value): (&String, &Value)| {
        let shown: String = name.chars().take(100).collect();
        let what = match value.as_str() {
            None => Some(words::MUST_BE_STRING),
            Some(value) => match header(name, value) {
                Err(what) => Some(what),
                Ok((name, _)) => (!names.insert(name.to_string())).then_some(words::IS_THERE_TWICE),
            },
        };
        what.map(|what| (format!(".{shown}"), what))
    };
    headers.iter().filter_map(refusal).collect()
}

/// The header of a request, or what is wrong with it.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Text> {
    if name.len() + value.len() > MAX_HEADER_LEN {
        return Err(too_long(MAX_HEADER_LEN));
    }
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| words::IS_NOT_VALID_HEADER_NAME)?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| words::MUST_NOT_CONTAIN_NEWLINES)?;
    // These describe the connection, which belongs to the client, or would contradict the body.
    const OF_CONNECTION: &[&str] = &[
        "connection",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    // A broker would treat the request as an event, and pongpong's functions trust the events of the broker.
    let is_event = name.as_str().starts_with("ce-")
        || (name == http::header::CONTENT_TYPE
            && value.as_bytes().to_ascii_lowercase().starts_with(b"application/cloudevents"));
    if is_event || OF_CONNECTION.contains(&name.as_str()) {
        return Err(words::CANNOT_BE_SET);
    }
    if name == http::header::HOST && http::uri::Authority::try_from(value.as_bytes()).is_err() {
        return Err(words::IS_NOT_VALID_HOST);
    }
    Ok((name, value))
}

fn too_long(bytes: usize) -> Text {
    let kib = bytes / 1024;
    words::must_be_at_most_kib(kib).into()
}

/// What is wrong with a URL to which messages are posted.
pub fn refusal_of_url(url: &str) -> Option<Text> {
    if url.len() > MAX_URL_LEN {
        return Some(words::must_have_at_most_characters(MAX_URL_LEN).into());
    }
    // The parser would silently drop control characters, and spaces around the URL.
    let parsed = if url.chars().any(|c| c.is_control() || c == ' ') { None } else { Url::parse(url).ok() };
    let fits = |u: &Url| matches!(u.scheme(), "http" | "https") && u.has_host() && u.port() != Some(0);
    match parsed.filter(fits) {
        None => Some(words::MUST_BE_HTTP_URL),
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Some(words::MUST_NOT_HOLD_CREDENTIALS)
        }
        Some(_) => None,
    }
}

/// `xoxb-…1234`
fn mask_token(token: &str) -> String {
    // Validated to be ASCII; takes characters anyway.
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

/// The host of a URL: messages to one host share its places.
pub fn host_of(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| Some(url.host_str()?.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{header, mask_token};

    #[test]
    fn header_of_the_connection_or_of_an_event_cannot_be_set() {
        for (name, value) in [
            ("Transfer-Encoding", "chunked"),
            ("ce-type", "io.pongpong.user.deleted.v1"),
            ("Content-Type", "Application/CloudEvents+json"),
        ] {
            header(name, value).expect_err(name);
        }
        header("Content-Type", "application/json").expect("may be set");
    }

    #[test]
    fn mask_token_of_a_short_token_shows_nothing() {
        assert_eq!(mask_token("xoxb-12345"), "xoxb-…");
        assert_eq!(mask_token("0123456789"), "…");
        assert_eq!(mask_token("ééééééééééééé"), "…éééé");
    }
}
