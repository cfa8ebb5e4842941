//! What all pages share: the frame, the way that HTML is answered, and the page that says sorry.

use askama::Template;
use axum::{body::Body, response::Response};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use http::{HeaderValue, StatusCode, header};
use runtime::error::Language;
use serde::{Deserialize, Serialize};

use super::{
    api::Refusal,
    assets,
    words::{self, encoded, pick},
};
use crate::zones;

/// Which entry of the navigation a page belongs to.
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

/// The frame around a page: what `layout.html` needs.
#[derive(Clone)]
pub struct Page {
    pub language: Language,
    pub theme: Theme,
    /// Whose times and dates the page shows.
    pub zone: Tz,
    pub title: String,
    /// Before the title, and as the icon: how what is shown does.
    pub state: State,
    pub section: Section,
    pub logged_in: bool,
    /// Where the switches of language and theme lead back to.
    pub path: String,
    /// Where Sign up leads.
    pub signup: String,
    /// To be sent along with every form, as `csrf`.
    pub csrf: String,
    /// To be sent along with forms that make something, as `once`.
    pub once: String,
    /// What is said at the top, once.
    pub flash: Option<String>,
    /// How often the page shows what is new.
    pub refresh_seconds: Option<u32>,
    /// Whether asking for it again sends nothing.
    pub is_get: bool,
    pub now: DateTime<Utc>,
}

/// Light, dark, or as the system has it.
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

/// What a tab says of its page.
#[derive(Clone, Default)]
pub struct State {
    pub is_down: bool,
    /// Empty: all is well.
    pub text: String,
}

impl Page {
    /// English or Korean.
    pub fn t<'a>(&self, english: &'a str, korean: &'a str) -> &'a str {
        pick(self.language, english, korean)
    }

    pub fn lang(&self) -> &'static str {
        pick(self.language, "en", "ko")
    }

    pub fn other_lang(&self) -> &'static str {
        pick(self.language, "ko", "en")
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

    /// For the entry of the navigation that is this one.
    pub fn is(&self, section: &str) -> bool {
        serde_variant::to_variant_name(&self.section) == Ok(section)
    }

    /// A time, in the page's zone.
    pub fn time(&self, at: &DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%Y-%m-%d %H:%M:%S").to_string()
    }

    pub fn date(&self, at: &DateTime<Utc>) -> String {
        words::date(self.zone, *at)
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

/// Nothing from elsewhere, no script or style within the page, and no frame around it.
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
        // What a user sees is for that user, and only for now.
        (header::CACHE_CONTROL, "private, no-store"),
        (header::VARY, "cookie, accept-language"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Says what happened, and what to do.
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
            StatusCode::NOT_FOUND => (
                page.t("Not found", "찾을 수 없습니다"),
                page.t("Page not found, or you don't have access.", "페이지가 없거나 접근 권한이 없습니다."),
            ),
            StatusCode::TOO_MANY_REQUESTS => (
                page.t("Too many requests", "요청이 너무 많습니다"),
                page.t("Please wait a minute and try again.", "1분 뒤에 다시 시도해 주세요."),
            ),
            StatusCode::FORBIDDEN => {
                (page.t("Not allowed", "허용되지 않습니다"), page.t("Permission denied.", "권한이 없습니다."))
            }
            status if status.is_server_error() => (
                page.t("Currently unavailable", "지금은 사용할 수 없습니다"),
                page.t(
                    "pongpong is not responding. Please try again in a moment.",
                    "pongpong이 응답하지 않습니다. 잠시 뒤에 다시 시도해 주세요.",
                ),
            ),
            _ => (
                page.t("Something went wrong", "처리하지 못했습니다"),
                page.t("The request was not accepted.", "요청을 처리할 수 없습니다."),
            ),
        };
        // What the API says is of more use, unless it only says the status.
        let own = !refusal.message.is_empty()
            && !matches!(refusal.status, StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS)
            && !refusal.status.is_server_error();
        let message = if own { refusal.message.clone() } else { message.to_owned() };
        let title = title.to_owned();
        Self { page: Page { title, ..page }, status: refusal.status.as_u16(), message }
    }
}
