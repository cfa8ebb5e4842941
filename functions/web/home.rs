//! The home page, with a live check to try; and the page for unknown paths.

use std::sync::LazyLock;

use askama::Template;
use axum::{extract::Query, response::IntoResponse, response::Response};
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, Uri, header};
use runtime::{Error, Function};
use serde::{Deserialize, Serialize};
use utoipa::openapi::HttpMethod;

use super::{
    api::Refusal,
    figures::{self, encoded},
    page::{Page, Section},
    visitor::{Posted, Visitor},
};
use crate::words;
use contract::{Outcome, Timings};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    url: String,
    outcome: Option<Outcome>,
    error: String,
}

/// The API's response to a check.
#[derive(Clone, Deserialize, Serialize)]
pub struct Checked {
    pub url: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A phase of a check, in thousandths of the whole.
pub struct Phase {
    pub name: &'static str,
    pub ms: u32,
    pub start: u32,
    pub length: u32,
}

impl Checked {
    /// Shortened, because a cookie holds 4 kB.
    pub fn short(mut self) -> Self {
        const MAX_MESSAGE_CHARS: usize = 300;
        if let Some(error) = &mut self.outcome.error {
            error.message = error.message.chars().take(MAX_MESSAGE_CHARS).collect();
        }
        self
    }
}

/// The result in one line: `HTTP 200 · 203.0.113.7 · 5.0 KiB`.
pub fn summary(page: &Page, outcome: &Outcome) -> String {
    let code = outcome.status_code.map(|code| format!("HTTP {code}"));
    let ip = outcome.ip.map(|ip| ip.to_string());
    let bytes = figures::bytes(outcome.response_bytes.try_into().unwrap_or(i64::MAX));
    let bytes = outcome.status_code.map(|_| bytes);
    let certificate = outcome.certificate_expires_at.map(|at| until(page, &at));
    [code, ip, bytes, certificate].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

pub fn until(page: &Page, certificate: &DateTime<Utc>) -> String {
    words::certificate_until(page.date(certificate)).of(page.language)
}

/// Whether there was a response that could be timed.
pub fn is_answered(outcome: &Outcome) -> bool {
    outcome.error.as_ref().is_none_or(|error| !error.code.is_unreachable())
}

/// The phases one after the other, for a waterfall chart.
pub fn phases(timings: &Timings) -> Vec<Phase> {
    let all = [
        ("dns", timings.dns),
        ("connect", timings.connect),
        ("tls", timings.tls),
        ("first_byte", timings.first_byte),
        ("transfer", timings.transfer),
    ];
    let known = all.into_iter().filter_map(|(name, ms)| Some((name, ms?)));
    let whole = known.clone().map(|(_, ms)| ms).sum::<u32>().max(1);
    let mut before = 0;
    known
        .map(|(name, ms)| {
            let phase = Phase { name, ms, start: before * 1000 / whole, length: (ms * 1000 / whole).max(4) };
            before += ms;
            phase
        })
        .collect()
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    url: String,
}

pub async fn show(visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    if visitor.logged_in() {
        return visitor.go("/dashboard");
    }
    home(&visitor, StatusCode::OK, asked.url, visitor.outcome(), String::new())
}

#[derive(Deserialize, Serialize)]
pub struct Demo {
    #[serde(default)]
    url: String,
}

/// Checks any public URL, for visitors without an account.
pub async fn demo(visitor: Visitor, Posted(demo): Posted<Demo>) -> Response {
    let demo = Demo { url: demo.url.trim().to_owned() };
    match visitor.api.post::<_, Checked>("/endpoint-check/v1/demo_checks", &demo).await {
        Ok(checked) => {
            let to = format!("/?url={}#result", encoded(&checked.url));
            visitor.go_showing(&to, &checked.short().outcome)
        }
        Err(Refusal { status: StatusCode::BAD_REQUEST, message, mut fields, .. }) => {
            let error = fields.remove("url").unwrap_or(message);
            home(&visitor, StatusCode::BAD_REQUEST, demo.url, None, error)
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}

fn home(
    visitor: &Visitor,
    status: StatusCode,
    url: String,
    outcome: Option<Outcome>,
    error: String,
) -> Response {
    let title = visitor.t(&words::HOME_TITLE);
    let signup = if url.is_empty() { "/signup".to_owned() } else { format!("/signup?url={}", encoded(&url)) };
    let page = Page { signup, ..visitor.page(Section::None, title) };
    visitor.show(status, &Home { page, url, outcome, error })
}

/// Prometheus scrapes this path by default; the text says where the metrics are.
pub async fn no_metrics() -> impl IntoResponse {
    const WHERE: &str = "Metrics here would show every owner's endpoints, so they are not public.\n\
        Your own endpoints: /report-service/v1/metrics, with an API key in the header `apikey`.\n\
        Of everything, on one machine: /metrics where the admin API listens (ADMIN_LISTEN), with its token.\n\
        docs/metrics.md has the configuration for Prometheus.\n";
    (StatusCode::NOT_FOUND, WHERE)
}

/// A page for people; programs get the error that every function returns. Requests with an unsupported
/// method also arrive here, because the gateway's routes are per method.
pub async fn nowhere(visitor: Visitor, headers: HeaderMap, uri: Uri) -> Response {
    let methods = methods(uri.path());
    if !methods.is_empty() {
        let what = contract::words::METHOD_NOT_ALLOWED;
        let error = Error::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", what);
        return ([(header::ALLOW, methods.join(", "))], error).into_response();
    }
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        visitor.refused(&Refusal { status: StatusCode::NOT_FOUND, ..Refusal::default() })
    } else {
        Error::not_found().into_response()
    }
}

/// The methods of the public operations at a path of the gateway.
fn methods(path: &str) -> Vec<&'static str> {
    static PUBLIC: LazyLock<Vec<(String, &'static str)>> = LazyLock::new(|| {
        const METHODS: [(HttpMethod, &str); 5] = [
            (HttpMethod::Get, "GET"),
            (HttpMethod::Post, "POST"),
            (HttpMethod::Put, "PUT"),
            (HttpMethod::Patch, "PATCH"),
            (HttpMethod::Delete, "DELETE"),
        ];
        let of = |function: &'static Function| {
            function.paths().into_iter().map(move |(path, on)| (function.service, path, on))
        };
        let public: Vec<_> = crate::ALL.iter().flat_map(of).collect();
        let named = |(method, name): (HttpMethod, &'static str)| {
            public.iter().filter(move |(_, _, on)| on.contains(&method)).filter_map(
                move |(service, path, _)| {
                    Some((format!("/{service}{}", path.strip_prefix("/public")?), name))
                },
            )
        };
        METHODS.into_iter().flat_map(named).collect()
    });
    let fits = |pattern: &str| {
        pattern.split('/').count() == path.split('/').count()
            && pattern
                .split('/')
                .zip(path.split('/'))
                .all(|(is, asked)| is == asked || (is.starts_with('{') && !asked.is_empty()))
    };
    PUBLIC.iter().filter(|(pattern, _)| fits(pattern)).map(|(_, method)| *method).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_an_operation_has_its_methods() {
        assert_eq!(methods("/user-service/v1/user"), ["GET", "PATCH", "DELETE"]);
        assert_eq!(methods("/user-service/v1/users/7"), ["GET"]);
        for none in ["/", "/user-service/v1/users/", "/user-service/v1/users/7/8", "/private/v1/users"] {
            assert!(methods(none).is_empty(), "{none}");
        }
    }
}
