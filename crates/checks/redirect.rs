//! Where a redirect leads, and what may travel along.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use url::Url;

use super::{
    assertions::cut,
    failure,
    plan::{self, Plan},
};
use contract::shown;
use contract::{Failure, FailureCode};

pub(super) const MAX_REDIRECTS: usize = 10;

/// One request on the way.
pub(super) struct Hop {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Hop {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            url: plan.url.clone(),
            method: plan.method.clone(),
            headers: plan.headers.clone(),
            body: plan.body.clone(),
        }
    }

    pub(super) fn redirected(mut self, status: StatusCode, answered: &HeaderMap) -> Result<Self, Failure> {
        let mut url = location(&self.url, answered)?;
        // As browsers do (RFC 9110, 15.4).
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
            // Any header may hold a secret (`X-Api-Key`), so only those go along that do not.
            self.headers = self
                .headers
                .iter()
                .filter(|(name, _)| HARMLESS_HEADERS.contains(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
        }
        if let Some(value) = plan::take_basic_auth(&mut url) {
            self.headers.insert(header::AUTHORIZATION, value);
        }
        self.url = url;
        Ok(self)
    }
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
        let from = super::shown(from);
        failure(FailureCode::InvalidRedirect, format!("{from} redirects to \"{shown}\", which {why}"))
    };
    let text = std::str::from_utf8(raw).map_err(|_| invalid("is not a URL"))?;
    let url = from.join(text).map_err(|_| invalid("is not a URL"))?;
    plan::check_url(&url).map_err(|message| invalid(&message.en))?;
    Ok(url)
}

/// The same host and port, or the same host's step up from http to https.
fn is_same_party(from: &Url, to: &Url) -> bool {
    let port = |url: &Url| url.port_or_known_default();
    from.host() == to.host()
        && ((from.scheme() == to.scheme() && port(from) == port(to))
            || (from.scheme() == "http"
                && to.scheme() == "https"
                && port(from) == Some(80)
                && port(to) == Some(443)))
}
