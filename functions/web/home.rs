//! What a visitor sees first, with a live check to try; and what there is where nothing is.

use askama::Template;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode, header};
use runtime::Error;
use serde::{Deserialize, Serialize};

use super::{
    api::Refusal,
    page::{Page, Section},
    visitor::{Posted, Response, Visitor},
};
use crate::contract::{Outcome, Timings, UpDown};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    url: String,
    checked: Option<Checked>,
    error: String,
}

/// What the API answers to a check.
#[derive(Clone, Deserialize)]
pub struct Checked {
    pub url: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A phase of a check, in parts of a thousand of the whole.
pub struct Phase {
    pub name: &'static str,
    pub ms: u32,
    pub start: u32,
    pub length: u32,
}

impl Checked {
    pub fn is_up(&self) -> bool {
        self.outcome.status == UpDown::Up
    }

    pub fn message(&self) -> &str {
        self.outcome.error.as_ref().map_or("", |error| &error.message)
    }

    pub fn bytes(&self) -> String {
        super::words::bytes(self.outcome.response_bytes.try_into().unwrap_or(i64::MAX))
    }

    pub fn phases(&self) -> Vec<Phase> {
        phases(&self.outcome.timings_ms)
    }
}

/// One after the other: what a waterfall shows.
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

pub async fn show(visitor: Visitor) -> Response {
    if visitor.logged_in() {
        return visitor.go("/dashboard");
    }
    home(&visitor, StatusCode::OK, String::new(), None, String::new())
}

#[derive(Deserialize, Serialize)]
pub struct Demo {
    #[serde(default)]
    url: String,
}

/// A check of any public URL, for whoever wants to see one.
pub async fn demo(visitor: Visitor, Posted(demo): Posted<Demo>) -> Response {
    let mut demo = demo;
    demo.url = demo.url.trim().to_owned();
    if !demo.url.is_empty() && !demo.url.contains("://") {
        demo.url = format!("https://{}", demo.url);
    }
    match visitor.api.post("/endpoint-check/v1/demo_checks", &demo).await {
        Ok(checked) => home(&visitor, StatusCode::OK, demo.url, Some(checked), String::new()),
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
    checked: Option<Checked>,
    error: String,
) -> Response {
    let title = visitor.t("Know before your users do", "사용자보다 먼저 아세요");
    visitor.show(status, &Home { page: visitor.page(Section::None, title), url, checked, error })
}

/// Prometheus asks here unless it is told otherwise; who configures it sees this.
pub async fn no_metrics() -> impl IntoResponse {
    const WHERE: &str = "What is watched is for its owner to know, so not everybody gets metrics here.\n\
        Of one's own endpoints: /report-service/v1/metrics, with a key in the header `apikey`.\n\
        Of everything, on one machine: /metrics where the admin API listens (ADMIN_LISTEN), with its token.\n\
        docs/metrics.md has the configuration for Prometheus.\n";
    (StatusCode::NOT_FOUND, WHERE)
}

/// A page for people; programs get the error that every function gives.
pub async fn nowhere(visitor: Visitor, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        visitor.refused(&Refusal { status: StatusCode::NOT_FOUND, ..Refusal::default() })
    } else {
        Error::not_found().into_response()
    }
}
