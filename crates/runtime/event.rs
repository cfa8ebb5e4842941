//! CloudEvents 1.0 over HTTP, incoming and outgoing, in binary and structured mode.

use std::collections::BTreeSet;

use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use cloudevents::{AttributesReader, Data, EventBuilder, EventBuilderV10, binding::http::to_event};
use contract::words;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result, input, secret, trace::Trace};

/// The limit for the data of one event: Kafka accepts 1 MiB, and base64 or a header may be added on the
/// way.
pub const MAX_EVENT_BYTES: usize = 512 * 1024;

/// Splits the data of one event into parts of at most `max_bytes`; a larger item is alone in its part.
pub fn cut<T>(items: Vec<T>, max_bytes: usize, bytes_of: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = bytes_of(&item) + 1;
        match parts.last_mut() {
            Some(part) if bytes + size <= max_bytes => {
                bytes += size;
                part.push(item);
            }
            _ => {
                bytes = size;
                parts.push(vec![item]);
            }
        }
    }
    parts
}

/// An incoming event. An unreadable one is answered with 400: the broker gives up at once, because
/// sending it again does not help.
#[derive(Clone, Debug)]
pub struct Event<T> {
    pub id: String,
    pub source: String,
    pub kind: String,
    pub time: Option<DateTime<Utc>>,
    pub region: Option<String>,
    pub data: T,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Event<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let headers = request.headers().clone();
        let body = input::body(request, state).await?;
        Self::read(&headers, &body)
    }
}

impl<T: DeserializeOwned> Event<T> {
    pub fn read(headers: &HeaderMap, body: &Bytes) -> Result<Self> {
        // In binary mode only the attributes go through the SDK: the data is parsed once, directly into
        // its type, and an error can name the field.
        let binary = headers.contains_key("ce-specversion");
        let event = to_event(headers, if binary { Vec::new() } else { body.to_vec() })
            .map_err(|e| not_an_event(&e.to_string()))?;
        let data = match event.data() {
            None if binary => input::parse(body)?,
            Some(Data::Json(value)) => input::parse(value.to_string().as_bytes())?,
            Some(Data::Binary(bytes)) => input::parse(bytes)?,
            Some(Data::String(json)) => input::parse(json.as_bytes())?,
            None => return Err(not_an_event("it has no data")),
        };
        Ok(Self {
            id: event.id().to_owned(),
            source: event.source().to_string(),
            kind: event.ty().to_owned(),
            time: event.time().copied(),
            region: event.extension("region").map(ToString::to_string),
            data,
        })
    }
}

fn not_an_event(why: &str) -> Error {
    Error::bad_request("NOT_A_CLOUDEVENT", words::not_a_cloudevent(why))
}

/// An event to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    event: EventBuilderV10,
    data: Vec<u8>,
}

impl Outgoing {
    /// `id` must be the same if the same cause is handled again: derive it, never use a random one.
    pub fn new<T: Serialize + ?Sized>(
        function: &str,
        kind: &str,
        id: impl Into<String>,
        time: DateTime<Utc>,
        data: &T,
    ) -> Result<Self> {
        let event = EventBuilderV10::new().id(id).source(format!("/pongpong/{function}")).ty(kind).time(time);
        let data = serde_json::to_vec(data).map_err(Error::internal)?;
        Ok(Self { event, data })
    }

    /// An event ID derived from the reported IDs and revisions, so that it is the same if they are
    /// reported again.
    pub fn id_of(what: &str, revisions: impl IntoIterator<Item = (i64, i64)>) -> String {
        let revisions =
            revisions.into_iter().fold(String::new(), |all, (id, revision)| format!("{all}{id}.{revision} "));
        format!("{what}-revisions-{}", secret::hash(&revisions))
    }

    /// The users that the event belongs to, for queues that owners share; as many as a header can hold.
    #[must_use]
    pub fn of_owners(self, owners: impl IntoIterator<Item = i64>) -> Self {
        const MAX_OWNERS: usize = 200;
        let owners: BTreeSet<i64> = owners.into_iter().collect();
        let owners: Vec<_> = owners.iter().take(MAX_OWNERS).map(i64::to_string).collect();
        self.with_extension("owners", &owners.join(","))
    }

    /// Sends a received event again. Refuses an attribute that a header cannot contain: it would have to
    /// be percent-encoded, which most readers of events (also Knative's broker) do not decode.
    pub fn again(headers: &HeaderMap, body: Vec<u8>) -> Result<Self> {
        let binary = headers.contains_key("ce-specversion");
        let event = to_event(headers, if binary { Vec::new() } else { body.clone() })
            .map_err(|e| not_an_event(&e.to_string()))?;
        let plain = |value: &str| value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let odd = event.iter().find(|(name, value)| {
            HeaderName::try_from(format!("ce-{name}")).is_err() || !plain(&value.to_string())
        });
        if let Some((name, _)) = odd {
            return Err(not_an_event(&format!("no header can hold its attribute {name:?}")));
        }
        let data = match event.data() {
            None if binary => body,
            Some(Data::Json(value)) => value.to_string().into_bytes(),
            Some(Data::Binary(bytes)) => bytes.clone(),
            Some(Data::String(text)) => text.clone().into_bytes(),
            None => Vec::new(),
        };
        Ok(Self { event: EventBuilderV10::from(event), data })
    }

    pub fn with_extension(mut self, name: &str, value: &str) -> Self {
        self.event = self.event.extension(name, value.to_owned());
        self
    }

    /// As an HTTP request in binary mode.
    pub fn into_request(self) -> Result<http::Request<Bytes>> {
        let event =
            self.event.data("application/json", Data::Binary(self.data)).build().map_err(Error::internal)?;
        let request = http::Request::<Option<Vec<u8>>>::try_from(event).map_err(Error::internal)?;
        let (mut parts, body) = request.into_parts();
        parts.method = http::Method::POST;
        Ok(http::Request::from_parts(parts, Bytes::from(body.unwrap_or_default())))
    }
}

/// The response of an event function: a reply event, or nothing.
#[derive(Debug, Default)]
pub struct Reply(pub Option<Outgoing>);

impl Reply {
    pub const NONE: Self = Self(None);
}

impl From<Outgoing> for Reply {
    fn from(event: Outgoing) -> Self {
        Self(Some(event))
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        // An empty body: the broker counts any other body that is not an event as a failure.
        let Some(event) = self.0 else { return StatusCode::ACCEPTED.into_response() };
        match event.into_request() {
            Ok(request) => {
                let (mut parts, body) = request.into_parts();
                parts.headers.remove(header::HOST);
                Trace::current().inject(&mut parts.headers);
                (StatusCode::OK, parts.headers, body).into_response()
            }
            Err(error) => error.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse().expect("name"), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn parts_are_cut_by_their_size() {
        let lengths = |sizes: &[usize]| {
            let parts = cut(sizes.to_vec(), 100, |size| *size - 1);
            parts.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[50, 50, 10]), [2, 1]);
        assert_eq!(lengths(&[10, 1000, 10]), [1, 1, 1]);
    }

    #[test]
    fn both_modes_are_read() {
        let binary = headers(&[
            ("ce-specversion", "1.0"),
            ("ce-id", "a1"),
            ("ce-source", "/pongpong/check-run"),
            ("ce-type", "io.pongpong.check.completed.v1"),
            ("ce-region", "seoul"),
            ("content-type", "application/json"),
        ]);
        let event = Event::<Vec<u8>>::read(&binary, &Bytes::from_static(b"[1,2]")).expect("an event");
        assert_eq!(
            (event.id.as_str(), event.data, event.region.as_deref()),
            ("a1", vec![1, 2], Some("seoul"))
        );

        let structured = headers(&[("content-type", "application/cloudevents+json; charset=utf-8")]);
        let body = r#"{"specversion":"1.0","id":"a2","source":"/x","type":"t","data":[3]}"#;
        let event =
            Event::<Vec<u8>>::read(&structured, &Bytes::from_static(body.as_bytes())).expect("an event");
        assert_eq!((event.id.as_str(), event.data), ("a2", vec![3]));
    }

    #[test]
    fn poison_is_refused_with_400() {
        let binary =
            headers(&[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/x"), ("ce-type", "t")]);
        for (headers, body) in [
            (headers(&[]), "[1]"),
            (headers(&[("ce-specversion", "0.1")]), "[1]"),
            (headers(&[("ce-specversion", "1.0")]), "[1]"),
            (headers(&[("content-type", "application/cloudevents+json")]), "{"),
            (headers(&[("content-type", "application/cloudevents+json")]), "[]"),
            (binary.clone(), ""),
            (binary, "[\"a\"]"),
        ] {
            let error =
                Event::<Vec<u8>>::read(&headers, &Bytes::from_static(body.as_bytes())).expect_err("refused");
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{error}");
        }
    }

    #[test]
    fn what_is_sent_can_be_read() {
        let sent = Outgoing::new("check-run", "t", "r/1", DateTime::UNIX_EPOCH, &[1, 2]).expect("builds");
        let request = sent.with_extension("region", "seoul").into_request().expect("a request");
        let read = Event::<Vec<u8>>::read(request.headers(), request.body()).expect("an event");
        assert_eq!(
            (read.id.as_str(), read.source.as_str(), read.data),
            ("r/1", "/pongpong/check-run", vec![1, 2])
        );
    }

    #[test]
    fn what_no_header_holds_is_not_sent_again() {
        let structured = headers(&[("content-type", "application/cloudevents+json")]);
        for (name, value) in [
            ("id", "\u{c11c}\u{c6b8}"),
            ("region", "a\nb"),
            ("type", "\u{7f}"),
            ("it s", "a"),
            ("id", "100% \"a\""),
        ] {
            let mut event = serde_json::json!({"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "data": [3]});
            event[name] = value.into();
            match Outgoing::again(&structured, event.to_string().into_bytes()) {
                Ok(again) => {
                    let request = again.into_request().expect("a request");
                    let read = Event::<Vec<u8>>::read(request.headers(), request.body()).expect("an event");
                    assert_eq!((name, read.id.as_str(), read.data), ("id", value, vec![3]));
                }
                Err(error) => assert!(error.to_string().contains(&format!("{name:?}")), "{error}"),
            }
        }
    }
}
