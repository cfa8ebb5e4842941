//! Shared by all pages: the frame, the HTML response, and the error page.

use askama::Template;
use axum::{body::Body, response::Response};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use contract::{Language, Words};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::{
    api::Refusal,
    assets,
    figures::{self, encoded},
};
use crate::{words, zones};

/// The navigation entry that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Section {
    None,
    Dashboard,
    Notifications,
    Reports,
    Maintenance,
    StatusPages,
    Profile,
    Docs,
}

/// The frame around a page: the data for `layout.html`.
#[derive(Clone)]
pub struct Page {
    pub language: Language,
    pub theme: Theme,
    /// The time zone of all times and dates on the page.
    pub zone: Tz,
    pub title: String,
    /// Shown before the title and as the icon: the state of the endpoints on the page.
    pub state: State,
    pub section: Section,
    pub logged_in: bool,
    /// The path that the switches of language and theme return to.
    pub path: String,
    /// The link of Sign up.
    pub signup: String,
    /// Sent with every form, as `csrf`.
    pub csrf: String,
    /// Sent with forms that create something, as `once`.
    pub once: String,
    /// The message shown once at the top.
    pub flash: Option<String>,
    /// How often the page refreshes.
    pub refresh_seconds: Option<u32>,
    /// Whether the page can be reloaded without sending a form again.
    pub is_get: bool,
    pub now: DateTime<Utc>,
}

/// Light, dark, or the system's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// The state shown in a browser tab.
#[derive(Clone, Default)]
pub struct State {
    pub is_down: bool,
    /// Empty: nothing is down.
    pub text: String,
}

impl Page {
    /// A text in the page's language.
    pub fn t<'a, W: Words>(&self, words: &'a W) -> W::Shown<'a> {
        words.shown(self.language)
    }

    /// A kind's own text, given in English and Korean.
    pub fn pair(&self, pair: &(&'static str, &'static str)) -> &'static str {
        self.language.choose(*pair)
    }

    /// `3 endpoints`
    pub fn count_endpoints(&self, count: usize) -> String {
        match count {
            1 => words::ONE_ENDPOINT.of(self.language).to_owned(),
            _ => words::some_endpoints(count).of(self.language),
        }
    }

    pub fn lang(&self) -> &'static str {
        self.language.code()
    }

    pub fn other_lang(&self) -> &'static str {
        self.language.other().code()
    }

    pub fn asset(&self, name: &str) -> &'static str {
        assets::path(name)
    }

    pub fn here(&self) -> String {
        encoded(&self.path)
    }

    pub fn next_theme(&self) -> &'static str {
        match self.theme {
            Theme::Auto => "dark",
            Theme::Dark => "light",
            Theme::Light => "auto",
        }
    }

    /// Whether this is the navigation entry of the page.
    pub fn is(&self, section: &str) -> bool {
        serde_variant::to_variant_name(&self.section) == Ok(section)
    }

    /// A time in the page's time zone.
    pub fn time(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%Y-%m-%d %H:%M:%S").to_string()
    }

    pub fn date(&self, at: &DateTime<Utc>) -> String {
        figures::date(self.zone, *at)
    }

    /// `Asia/Seoul (UTC+09:00)`
    pub fn zone_name(&self) -> String {
        match self.zone {
            Tz::UTC => "UTC".to_owned(),
            zone => format!("{zone} ({})", zones::offset(zone, self.now)),
        }
    }

    pub fn icon(&self) -> &'static str {
        assets::path(if self.state.is_down { "favicon-down.svg" } else { "favicon.svg" })
    }

    pub fn with_state(self, is_down: bool, text: impl Into<String>) -> Self {
        Self { state: State { is_down, text: text.into() }, ..self }
    }

    pub fn refreshing(self, seconds: u32) -> Self {
        Self { refresh_seconds: Some(seconds), ..self }
    }
}

/// Allows no other origin, no inline script or style, and no frame around the page.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub fn html(status: StatusCode, page: &impl Template) -> Response {
    let (status, text) = match page.render() {
        Ok(text) => (status, text),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side.".to_owned())
        }
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        // A user's data is only for that user, and must not be stored.
        (header::CACHE_CONTROL, "private, no-store"),
        (header::VARY, "cookie, accept-language"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The error page: what happened, and what to do.
#[derive(Template)]
#[template(path = "sorry.html")]
pub struct ErrorPage {
    page: Page,
    status: u16,
    message: String,
}

impl ErrorPage {
    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn of(page: Page, refusal: &Refusal) -> Self {
        let (title, message) = match refusal.status {
            StatusCode::NOT_FOUND => (page.t(&words::NOT_FOUND), page.t(&words::PAGE_NOT_FOUND)),
            StatusCode::TOO_MANY_REQUESTS => {
                (page.t(&words::TOO_MANY_REQUESTS), page.t(&words::WAIT_AND_TRY_AGAIN))
            }
            StatusCode::FORBIDDEN => {
                (page.t(&words::NOT_ALLOWED), page.t(&contract::words::PERMISSION_DENIED))
            }
            status if status.is_server_error() => {
                (page.t(&words::CURRENTLY_UNAVAILABLE), page.t(&words::NOT_RESPONDING))
            }
            _ => (page.t(&words::SOMETHING_WENT_WRONG), page.t(&words::REQUEST_WAS_NOT_ACCEPTED)),
        };
        // The API's message is more helpful, unless it only repeats the status.
        let own = !refusal.message.is_empty()
            && !matches!(refusal.status, StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS)
            && !refusal.status.is_server_error();
        let message = if own { refusal.message.clone() } else { message.to_owned() };
        let title = title.to_owned();
        Self { page: Page { title, ..page }, status: refusal.status.as_u16(), message }
    }
}
