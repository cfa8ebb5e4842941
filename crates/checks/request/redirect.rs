//! Where a redirect leads, and which headers are sent there.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use url::Url;

use crate::{cut, failure};
use contract::{Failure, FailureCode, Text, shown, words};

pub(crate) const MAX_REDIRECTS: usize = 10;

/// One request in a chain of redirects.
pub(crate) struct Hop {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Hop {
    pub(crate) fn redirected(mut self, status: StatusCode, answered: &HeaderMap) -> Result<Self, Failure> {
        let mut url = location(&self.url, answered)?;
        // As in browsers (RFC 9110, 15.4).
        let becomes_get = match status.as_u16() {
            301 | 302 => self.method == Method::POST,
            303 => self.method != Method::HEAD,
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.body = Bytes::new();
            for name in CONTENT_HEADERS {
                self.headers.remove(name);
            }
        }
        if !is_same_party(&self.url, &url) {
            // Any header may contain a secret (`X-Api-Key`), so only harmless headers are kept, and none that is
            // marked as sensitive.
            self.headers = self
                .headers
                .iter()
                .filter(|(name, value)| HARMLESS_HEADERS.contains(name) && !value.is_sensitive())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
        }
        if let Some(value) = take_basic_auth(&mut url) {
            self.headers.insert(header::AUTHORIZATION, value);
        }
        self.url = url;
        Ok(self)
    }
}

/// The rules for the first URL apply to every redirect.
pub(crate) fn check_url(url: &Url) -> Result<(), Text> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(words::MUST_BEGIN_WITH_HTTP_OR_HTTPS);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(words::MUST_HAVE_HOST);
    }
    if url.port() == Some(0) {
        return Err(words::MUST_NOT_HAVE_PORT_0);
    }
    Ok(())
}

/// Moves the user and password of a URL to the header for them, so that they appear in no message and in no relative
/// redirect.
pub(crate) fn take_basic_auth(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text| percent_encoding::percent_decode_str(text);
    let mut pair: Vec<u8> = decode(url.username()).collect();
    pair.push(b':');
    pair.extend(decode(url.password().unwrap_or_default()));
    // These fail only for URLs that cannot have a user, which this one is not.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

const CONTENT_HEADERS: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
];

const HARMLESS_HEADERS: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::PRAGMA,
    header::USER_AGENT,
];

fn location(from: &Url, answered: &HeaderMap) -> Result<Url, Failure> {
    let raw = answered.get(header::LOCATION).map(|value| value.as_bytes()).unwrap_or_default();
    let invalid = |why: &str| {
        let shown = cut(&shown::text_without_secrets(&String::from_utf8_lossy(raw)));
        let from = crate::shown(from);
        failure(FailureCode::InvalidRedirect, format!("{from} redirects to \"{shown}\", which {why}"))
    };
    let target = std::str::from_utf8(raw).map_err(|_| invalid("is not a URL"))?;
    let url = from.join(target).map_err(|_| invalid("is not a URL"))?;
    check_url(&url).map_err(|message| invalid(&message.en))?;
    Ok(url)
}

/// Whether the host and port are the same, or the same host changes from http to https.
fn is_same_party(from: &Url, to: &Url) -> bool {
    let port = |url: &Url| url.port_or_known_default();
    from.host() == to.host()
        && ((from.scheme() == to.scheme() && port(from) == port(to))
            || (from.scheme() == "http"
                && to.scheme() == "https"
                && port(from) == Some(80)
                && port(to) == Some(443)))
}
