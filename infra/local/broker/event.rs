//! An event as the broker stores it: in binary mode, with unchanged data.

use bytes::Bytes;
use cloudevents::binding::http::to_event;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::wiring::eventing::Filter;

/// Maximum length of an event's body.
pub const LIMIT: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    TooLarge,
    NotAnEvent(String),
}

impl Event {
    /// Reads binary or structured mode. `None`: no event and an empty body, which is a subscriber's answer
    /// without a reply.
    pub fn read(headers: &HeaderMap, body: Bytes) -> Result<Option<Self>, Refused> {
        if body.len() > LIMIT {
            return Err(Refused::TooLarge);
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let event = if kind.starts_with("application/cloudevents+json") {
            structured(headers, &body)?
        } else if headers.contains_key("ce-specversion") {
            Self { headers: kept(headers)?, body }
        } else if body.is_empty() {
            return Ok(None);
        } else {
            return Err(Refused::NotAnEvent("there is no ce-specversion".to_owned()));
        };
        event.check()?;
        Ok(Some(event))
    }

    fn check(&self) -> Result<(), Refused> {
        if self.attribute("specversion") != Some("1.0") {
            return Err(Refused::NotAnEvent("specversion must be 1.0".to_owned()));
        }
        for name in ["id", "source", "type"] {
            if self.attribute(name).unwrap_or_default().is_empty() {
                return Err(Refused::NotAnEvent(format!("there is no {name}")));
            }
        }
        Ok(())
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        let header = |(header, _): &&(String, String)| header.strip_prefix("ce-") == Some(name);
        self.headers.iter().find(header).map(|(_, value)| value.as_str())
    }

    pub fn matches(&self, filter: &Filter) -> bool {
        filter.iter().all(|(name, value)| self.attribute(name) == Some(value))
    }

    /// The headers for a delivery.
    pub fn header_map(&self) -> HeaderMap {
        let parse = |(name, value): &(String, String)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?))
        };
        self.headers.iter().filter_map(parse).collect()
    }
}

fn structured(headers: &HeaderMap, body: &Bytes) -> Result<Event, Refused> {
    let not_an_event = |why: &dyn std::fmt::Display| Refused::NotAnEvent(why.to_string());
    let event = to_event(headers, body.to_vec()).map_err(|e| not_an_event(&e))?;
    let request = http::Request::<Option<Vec<u8>>>::try_from(event).map_err(|e| not_an_event(&e))?;
    let (parts, data) = request.into_parts();
    let mut all = parts.headers;
    if let Some(trace) = headers.get("traceparent") {
        all.insert("traceparent", trace.clone());
    }
    Ok(Event { headers: kept(&all)?, body: data.unwrap_or_default().into() })
}

/// The event's own headers, and `traceparent`.
fn kept(headers: &HeaderMap) -> Result<Vec<(String, String)>, Refused> {
    let own = |name: &str| name.starts_with("ce-") || name == "content-type" || name == "traceparent";
    let headers = headers.iter().filter(|(name, _)| own(name.as_str()));
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = value.to_str().map_err(|_| Refused::NotAnEvent(format!("{name} is not text")))?;
        Ok((name.as_str().to_owned(), value.to_owned()))
    };
    headers.map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn both_modes_are_kept_in_binary() {
        let binary = headers(&[
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/x"),
            ("ce-type", "t"),
            ("ce-channel", "email"),
            ("content-type", "application/json"),
            ("cookie", "not the event's"),
        ]);
        let event = Event::read(&binary, Bytes::from_static(b"[1]")).expect("reads").expect("an event");
        assert_eq!((event.headers.len(), &event.body[..]), (6, &b"[1]"[..]));
        let matches = |attributes: &[(&str, &str)]| {
            let filter = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            event.matches(&filter.collect())
        };
        assert!(
            matches(&[("type", "t")]) && matches(&[("type", "t"), ("channel", "email"), ("source", "/x")])
        );
        assert!(!matches(&[("type", "u")]) && !matches(&[("type", "t"), ("channel", "slack")]));
        assert!(!matches(&[("type", "t"), ("region", "seoul")]), "it has none");

        let kind = headers(&[("content-type", "application/cloudevents+json")]);
        let text = r#"{"specversion":"1.0","id":"2","source":"/x","type":"t","channel":"slack","data":[2]}"#;
        let event =
            Event::read(&kind, Bytes::from_static(text.as_bytes())).expect("reads").expect("an event");
        assert_eq!((event.attribute("channel"), &event.body[..]), (Some("slack"), &b"[2]"[..]));
    }

    #[test]
    fn what_is_no_event_is_told_from_nothing_at_all() {
        assert_eq!(Event::read(&HeaderMap::new(), Bytes::new()), Ok(None));
        for (headers, body) in [
            (headers(&[]), "ok"),
            (headers(&[("ce-specversion", "1.0")]), ""),
            (headers(&[("ce-specversion", "0.3"), ("ce-id", "1"), ("ce-source", "/"), ("ce-type", "t")]), ""),
            (headers(&[("content-type", "application/cloudevents+json")]), "{}"),
        ] {
            assert!(matches!(
                Event::read(&headers, Bytes::from_static(body.as_bytes())),
                Err(Refused::NotAnEvent(_))
            ));
        }
        let large = Bytes::from(vec![0; LIMIT + 1]);
        assert_eq!(Event::read(&HeaderMap::new(), large), Err(Refused::TooLarge));
    }
}
