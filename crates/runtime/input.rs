//! Extractors for untrusted input: each refuses invalid input with an error that names the field.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::BytesRejection},
};
use contract::words;
use http::{StatusCode, header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use contract::{is_invisible, is_odd};

use crate::Error;

/// The JSON body of a request.
#[derive(Debug)]
pub struct Input<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|mime| {
                let mime = mime.trim().to_ascii_lowercase();
                mime == "application/json" || (mime.starts_with("application/") && mime.ends_with("+json"))
            });
        if !is_json {
            return Err(Error::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                words::BODY_MUST_BE_JSON,
            ));
        }
        let body = body(request, state).await?;
        // serde would read an array as the fields in order.
        if body.trim_ascii_start().first() != Some(&b'{')
            && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok()
        {
            return Err(Error::field("body", words::MUST_BE_JSON_OBJECT));
        }
        check_depth(&body)?;
        parse(&body).map(Self)
    }
}

/// Stored data with some fields replaced (RFC 7396): `null` restores the default.
pub fn patched<T: DeserializeOwned>(old: &impl Serialize, patch: Map<String, Value>) -> Result<T, Error> {
    let Ok(Value::Object(mut merged)) = serde_json::to_value(old) else {
        return Err(Error::internal(anyhow::anyhow!("what is patched is an object")));
    };
    for (name, value) in patch {
        if value.is_null() {
            merged.remove(&name);
        } else {
            merged.insert(name, value);
        }
    }
    parse(Value::Object(merged).to_string().as_bytes())
}

/// The bytes of a body, up to the route's limit.
pub(crate) async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Error> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", words::BODY_IS_TOO_LARGE)
        }
        _ => Error::bad_request("BODY_BROKE_OFF", words::BODY_BROKE_OFF),
    })
}

/// Maximum depth of nested arrays and objects, including the body itself. Events between functions nest
/// stored data a few levels deeper, and must stay readable (serde_json reads 128 levels).
const MAX_DEPTH: usize = 16;

/// Refuses JSON that is nested too deeply; the error names the top-level field.
fn check_depth(json: &[u8]) -> Result<(), Error> {
    let mut depth = 0_usize;
    let (mut in_text, mut is_escaped) = (false, false);
    // The last string at the top level: the name of the current field.
    let (mut name, mut start) = (0..0, 0);
    for (at, byte) in json.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => {
                in_text = !in_text;
                if in_text {
                    start = at + 1;
                } else if depth == 1 {
                    name = start..at;
                }
            }
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    let name = String::from_utf8_lossy(&json[name]).into_owned();
                    let what = words::nested_too_deep(MAX_DEPTH);
                    return Err(Error::field(name, what));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Parses JSON; an error names the field. Refuses text with NUL, which PostgreSQL cannot store.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    if holds_nul(json) {
        return Err(malformed("Text must not hold NUL characters".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|e| {
        let path = e.path().to_string();
        let cause = e.into_inner();
        if !cause.is_data() {
            return malformed(format!("The body is not valid JSON: {cause}"));
        }
        let what = cause.to_string();
        let name = field_of(&path, &what);
        // The field's name is more helpful than serde's " at line 1 column 2".
        let what = what.split(" at line ").next().unwrap_or(&what).to_owned();
        Error::field(name, words::is_invalid(what))
    })?;
    deserializer.end().map_err(|e| malformed(format!("The body is not valid JSON: {e}")))?;
    Ok(parsed)
}

/// serde names a missing or unknown field in its message, not in the path.
fn field_of(path: &str, what: &str) -> String {
    let named = ["missing field `", "unknown field `"]
        .iter()
        .find_map(|start| what.strip_prefix(start)?.split('`').next());
    match (path, named) {
        ("." | "?", Some(name)) => name.to_owned(),
        ("." | "?", None) => "body".to_owned(),
        (path, Some(name)) if !path.ends_with(name) => format!("{path}.{name}"),
        (path, _) => path.to_owned(),
    }
}

fn malformed(what: String) -> Error {
    Error::bad_request("MALFORMED_JSON", words::malformed_json(what))
}

/// Whether a JSON text contains an escaped NUL (`\u0000` after an odd backslash).
fn holds_nul(json: &[u8]) -> bool {
    json.windows(6).enumerate().any(|(at, window)| {
        window == b"\\u0000" && json[..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 0
    })
}

/// The query of a request.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or("");
        if query.contains("%00") {
            return Err(Error::bad_request("MALFORMED_QUERY", words::QUERY_MUST_NOT_HOLD_NUL));
        }
        // Invalid UTF-8 would search for another text.
        let not_utf8 = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
        if url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| not_utf8(&name) || not_utf8(&value))
        {
            return Err(Error::bad_request("MALFORMED_QUERY", words::QUERY_MUST_BE_UTF_8));
        }
        let deserializer = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(deserializer).map(Self).map_err(|e| {
            let path = e.path().to_string();
            let what = e.into_inner().to_string();
            Error::field(field_of(&path, &what), words::is_invalid(what))
        })
    }
}

/// The header `Idempotency-Key`: a repeated request with the same key creates nothing more.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        const NAME: &str = "Idempotency-Key";
        let Some(key) = parts.headers.get(NAME) else { return Ok(Self(None)) };
        let key = key
            .to_str()
            .ok()
            .filter(|key| (1..=200).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
        let invalid = || Error::field(NAME, words::MUST_BE_VISIBLE_ASCII);
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(invalid)
    }
}

/// The `{id}` of a path.
#[derive(Clone, Copy, Debug)]
pub struct Id(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let not_an_id = || Error::field("id", words::MUST_BE_POSITIVE_INTEGER);
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| not_an_id())?;
        // Only digits: `+1` and `01` would be other names for the same ID.
        let id = Some(id).filter(|id| id.bytes().all(|b| b.is_ascii_digit()) && !id.starts_with('0'));
        id.and_then(|id| id.parse().ok()).map(Self).ok_or_else(not_an_id)
    }
}

/// IDs separated by commas, at most `max`; `None` if invalid.
pub fn ids(list: &str, max: usize) -> Option<Vec<i64>> {
    let parts = list.split(',').filter(|id| !id.is_empty()).take(max + 1);
    let ids: Vec<i64> = parts.map(|id| id.trim().parse().ok()).collect::<Option<_>>()?;
    (ids.len() <= max).then_some(ids)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Sample {
        url: String,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Inner {
        at: u8,
    }

    fn refused(json: &str) -> String {
        parse::<Sample>(json.as_bytes()).expect_err("refused").to_string()
    }

    #[test]
    fn what_turns_or_breaks_a_text_is_odd() {
        for odd in ['\0', '\n', '\u{85}', '\u{202E}', '\u{2066}', '\u{FFFE}'] {
            assert!(is_odd(odd), "{odd:?}");
        }
        for even in ['a', '나', 'ש', '\u{200D}', '\u{200F}', '🙂'] {
            assert!(!is_odd(even), "{even:?}");
        }
    }

    #[test]
    fn invisible_characters_are_known() {
        for invisible in [
            ' ',
            '\u{AD}',
            '\u{200B}',
            '\u{200C}',
            '\u{2060}',
            '\u{2800}',
            '\u{3164}',
            '\u{FEFF}',
            '\u{E0020}',
        ] {
            assert!(is_invisible(invisible), "{invisible:?}");
        }
        for visible in ['a', '나', 'ש', '=', '·', '🙂', '\u{FFFD}'] {
            assert!(!is_invisible(visible), "{visible:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        assert!(refused(r#"{}"#).contains("; url: missing field"), "{}", refused("{}"));
        assert!(refused(r#"{"url":1}"#).contains("; url: invalid type"));
        assert!(
            refused(r#"{"url":"","x":1}"#).contains("; x: unknown field"),
            "{}",
            refused(r#"{"url":"","x":1}"#)
        );
        assert!(refused(r#"{"url":"","inner":[{"at":1},{"at":-1}]}"#).contains("; inner[1].at: "));
        let unknown = refused(r#"{"url":"","inner":[{"at":1,"to":2}]}"#);
        assert!(unknown.contains("; inner[0].to: unknown field"), "{unknown}");
        assert!(refused("{\"url\":\"a\",").starts_with("MALFORMED_JSON"));
        assert!(refused(r#"{"url":""}x"#).starts_with("MALFORMED_JSON"));
    }

    #[test]
    fn depth_is_bounded_and_the_error_names_the_member() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            [r#"{"a":"\"[[[{","b":"#, &open, "1", &close, "}"].concat().into_bytes()
        };
        assert!(check_depth(&nested(MAX_DEPTH)).is_ok());
        let refused = check_depth(&nested(MAX_DEPTH + 1)).expect_err("too deep").to_string();
        assert!(refused.contains("; b: must not be nested"), "{refused}");
    }

    #[test]
    fn nul_is_refused_but_its_spelling_is_not() {
        assert!(refused(r#"{"url":"a\u0000b"}"#).starts_with("MALFORMED_JSON"));
        parse::<Sample>(br#"{"url":"a\\u0000b"}"#).expect("a backslash and letters");
    }
}
