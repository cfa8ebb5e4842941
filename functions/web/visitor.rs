//! The visitor of a page: key, language, and the proof that a form is ours.

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse as _, Response},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use contract::{Language, Words};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use runtime::Context;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{
    api::{Api, Refusal},
    figures::encoded,
    page::{self, Page, Section, Theme},
};
use crate::{links::PublicUrl, words, zones};

/// A cookie's name over HTTP and over HTTPS. Browsers accept the prefix `__Host-` only over HTTPS and
/// from this host: no other host of the domain can set the cookie.
struct Name([&'static str; 2]);

/// The user's key, while logged in.
const KEY: Name = Name(["pongpong_key", "__Host-pongpong_key"]);
/// Before the login: a random value that binds forms to the browser.
const VISIT: Name = Name(["pongpong_visit", "__Host-pongpong_visit"]);
const LANGUAGE: Name = Name(["pongpong_language", "__Host-pongpong_language"]);
const THEME: Name = Name(["pongpong_theme", "__Host-pongpong_theme"]);
/// The message shown once on the next page.
const FLASH: Name = Name(["pongpong_flash", "__Host-pongpong_flash"]);
/// The result of a form, shown once on the page that follows.
const OUTCOME: Name = Name(["pongpong_outcome", "__Host-pongpong_outcome"]);
/// The browser's time zone. Set by app.js, which does not know `PUBLIC_URL`.
const ZONE: &str = "pongpong_zone";
/// Sent by app.js when it refreshes a page: one-time messages stay for the next page.
const REFRESH: &str = "x-pongpong-refresh";

impl Name {
    fn of(&self, secure: bool) -> &'static str {
        self.0[usize::from(secure)]
    }
}

/// A browser's key expires after 30 days; the cookie does not outlive it.
const DAYS: i64 = 30;

/// The visitor of a page, logged in or not.
#[derive(Clone)]
pub struct Visitor {
    pub api: Api,
    pub language: Language,
    pub theme: Theme,
    pub zone: Tz,
    pub now: DateTime<Utc>,
    /// The requested path and query.
    pub path: String,
    jar: CookieJar,
    secure: bool,
    /// The one-time message from the previous page.
    flash: Option<String>,
    outcome: Option<String>,
    is_get: bool,
    csrf: String,
    /// The same if a form is sent twice.
    once: String,
}

impl Visitor {
    fn of(parts: &Parts, context: &Context) -> Self {
        let mut jar = CookieJar::from_headers(&parts.headers);
        let secure = context.config::<PublicUrl>().is_ok_and(|url| url.is_https());
        let value = |jar: &CookieJar, name: Name| value(jar, name.of(secure));
        let language = match value(&jar, LANGUAGE).as_deref() {
            Some("ko") => Language::Korean,
            Some("en") => Language::English,
            _ => runtime::language::accepted(&parts.headers),
        };
        let theme = match value(&jar, THEME).as_deref() {
            Some("light") => Theme::Light,
            Some("dark") => Theme::Dark,
            _ => Theme::Auto,
        };
        let key = value(&jar, KEY).and_then(|key| HeaderValue::from_str(&key).ok());
        let bound_to = value(&jar, KEY).or_else(|| value(&jar, VISIT)).unwrap_or_else(|| {
            let visit = context.random().token();
            jar = jar.clone().add(cookie(VISIT, visit.clone(), secure, None));
            visit
        });
        let is_refresh = parts.headers.contains_key(REFRESH);
        let once = |name| value(&jar, name).filter(|_| !is_refresh);
        let (flash, outcome) = (once(FLASH), once(OUTCOME));
        let zone = self::value(&jar, ZONE).and_then(|name| zones::named(&name)).unwrap_or(Tz::UTC);
        let api = Api {
            outbound: context.outbound().clone(),
            key,
            language,
            forwarded: parts.headers.get("x-forwarded-for").cloned(),
            is_https: secure,
        };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let (csrf, once) = (csrf_token(&bound_to), context.random().token());
        let (now, is_get) = (context.clock().now(), parts.method == Method::GET);
        Self { api, language, theme, zone, now, path, jar, secure, flash, outcome, is_get, csrf, once }
    }

    pub fn logged_in(&self) -> bool {
        self.api.key.is_some()
    }

    /// The data that every page needs.
    pub fn page(&self, section: Section, title: impl Into<String>) -> Page {
        Page {
            language: self.language,
            theme: self.theme,
            zone: self.zone,
            title: title.into(),
            state: page::State::default(),
            section,
            logged_in: self.logged_in(),
            path: self.path.clone(),
            signup: "/signup".to_owned(),
            csrf: self.csrf.clone(),
            once: self.once.clone(),
            flash: self.flash.clone(),
            refresh_seconds: None,
            is_get: self.is_get,
            now: self.now,
        }
    }

    /// A text in the visitor's language.
    pub fn t<'a, W: Words>(&self, words: &'a W) -> W::Shown<'a> {
        words.shown(self.language)
    }

    /// Shows a page, and deletes the one-time messages that it showed.
    pub fn show(&self, status: StatusCode, page: &impl askama::Template) -> Response {
        let mut response = page::html(status, page);
        let mut jar = self.jar.clone();
        for (name, is_shown) in [(FLASH, self.flash.is_some()), (OUTCOME, self.outcome.is_some())] {
            if is_shown {
                jar = jar.remove(cookie(name, String::new(), self.secure, None));
            }
        }
        if self.secure {
            let always = HeaderValue::from_static("max-age=31536000");
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, always);
        }
        set_cookies(response.headers_mut(), jar);
        response
    }

    pub fn ok(&self, page: &impl askama::Template) -> Response {
        self.show(StatusCode::OK, page)
    }

    /// Redirects to a page that can be reloaded, after a form.
    pub fn go(&self, to: &str) -> Response {
        self.leave(self.jar.clone(), to)
    }

    /// The same, with a message.
    pub fn go_saying(&self, to: &str, what: &str) -> Response {
        let flash = cookie(FLASH, what.to_owned(), self.secure, Some(60));
        self.leave(self.jar.clone().add(flash), to)
    }

    /// The same, with the result of the form, for the page at the path of `to`.
    pub fn go_showing(&self, to: &str, outcome: &impl Serialize) -> Response {
        let path = path_of(to);
        let json = serde_json::to_vec(&Outcome { path, outcome }).unwrap_or_default();
        let outcome = cookie(OUTCOME, URL_SAFE_NO_PAD.encode(json), self.secure, Some(60));
        self.leave(self.jar.clone().add(outcome), to)
    }

    /// The result of the form that led here.
    pub fn outcome<T: DeserializeOwned>(&self) -> Option<T> {
        let json = URL_SAFE_NO_PAD.decode(self.outcome.as_ref()?).ok()?;
        let Outcome { path, outcome } = serde_json::from_slice::<Outcome<'_, T>>(&json).ok()?;
        (path == path_of(&self.path)).then_some(outcome)
    }

    /// Logs in, and redirects.
    pub fn log_in(&self, key: &str, to: &str, what: &str) -> Response {
        let key = cookie(KEY, key.to_owned(), self.secure, Some(DAYS * 86_400));
        let mut jar = self.jar.clone().add(key);
        if !what.is_empty() {
            jar = jar.add(cookie(FLASH, what.to_owned(), self.secure, Some(60)));
        }
        self.leave(jar, to)
    }

    pub fn log_out(&self, to: &str, what: &str) -> Response {
        let flash = cookie(FLASH, what.to_owned(), self.secure, Some(60));
        self.leave(self.jar.clone().remove(cookie(KEY, String::new(), self.secure, None)).add(flash), to)
    }

    pub fn remember(&self, language: Option<Language>, theme: Option<Theme>, to: &str) -> Response {
        const YEAR: i64 = 365 * 86_400;
        let mut jar = self.jar.clone();
        if let Some(language) = language {
            jar = jar.add(cookie(LANGUAGE, language.code().to_owned(), self.secure, Some(YEAR)));
        }
        if let Some(theme) = theme {
            jar = jar.add(cookie(THEME, theme.name().to_owned(), self.secure, Some(YEAR)));
        }
        self.leave(jar, to)
    }

    fn leave(&self, jar: CookieJar, to: &str) -> Response {
        // Only a path of ours: a stranger's link must not lead elsewhere. Browsers ignore control
        // characters.
        let odd = |c: char| c.is_control() || c == '\\';
        let inside = to.starts_with('/') && !to.starts_with("//") && !to.contains(odd);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let to = HeaderValue::from_str(if inside { to } else { "/" });
        response.headers_mut().insert(header::LOCATION, to.unwrap_or(HeaderValue::from_static("/")));
        set_cookies(response.headers_mut(), jar);
        response
    }

    /// The response in place of the requested page.
    pub fn refused(&self, refusal: &Refusal) -> Response {
        if refusal.status == StatusCode::UNAUTHORIZED {
            let to = format!("/login?next={}", encoded(&self.path));
            let what = self.t(&words::PLEASE_LOG_IN_AGAIN);
            return if self.logged_in() { self.log_out(&to, what) } else { self.go(&to) };
        }
        let page = page::ErrorPage::of(self.page(Section::None, ""), refusal);
        self.show(refusal.status, &page)
    }
}

#[derive(Serialize, Deserialize)]
struct Outcome<'a, T> {
    path: &'a str,
    outcome: T,
}

fn path_of(to: &str) -> &str {
    to.split(['?', '#']).next().unwrap_or_default()
}

impl FromRequestParts<Context> for Visitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts, context))
    }
}

/// A logged-in visitor; others are redirected to the login, and then back.
pub struct User(pub Visitor);

impl FromRequestParts<Context> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Response> {
        let visitor = Visitor::of(parts, context);
        if visitor.logged_in() {
            Ok(Self(visitor))
        } else {
            let unauthorized = Refusal { status: StatusCode::UNAUTHORIZED, ..Refusal::default() };
            Err(visitor.refused(&unauthorized))
        }
    }
}

/// A form sent by one of our pages in this browser.
pub struct Posted<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Context> for Posted<T> {
    type Rejection = Response;

    async fn from_request(request: Request, context: &Context) -> Result<Self, Response> {
        #[derive(Deserialize)]
        struct Token {
            #[serde(default)]
            csrf: String,
        }
        let (parts, body) = request.into_parts();
        let visitor = Visitor::of(&parts, context);
        let refuse = |status, message: &str| {
            visitor.refused(&Refusal { status, message: message.to_owned(), ..Refusal::default() })
        };
        let elsewhere = parts.headers.get("sec-fetch-site").is_some_and(|site| {
            // "same-site" is another host of the domain.
            site != "same-origin" && site != "none"
        });
        let body = axum::body::to_bytes(body, FORM_LIMIT).await.map_err(|_| {
            let what = visitor.t(&words::FORM_IS_TOO_LARGE);
            refuse(StatusCode::PAYLOAD_TOO_LARGE, what)
        })?;
        let token = serde_html_form::from_bytes::<Token>(&body).map(|form| form.csrf).unwrap_or_default();
        if elsewhere || !bool::from(token.as_bytes().ct_eq(visitor.csrf.as_bytes())) {
            let what = visitor.t(&words::FORM_HAS_EXPIRED);
            return Err(refuse(StatusCode::FORBIDDEN, what));
        }
        serde_html_form::from_bytes(&body).map(Self).map_err(|error| {
            tracing::info!(%error, "a form could not be read");
            refuse(StatusCode::BAD_REQUEST, visitor.t(&words::FORM_CANNOT_BE_READ))
        })
    }
}

const FORM_LIMIT: usize = 256 * 1024;

/// Known only to pages rendered for this browser: others cannot read its cookies.
fn csrf_token(bound_to: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(bound_to.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(b"pongpong csrf");
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

fn value(jar: &CookieJar, name: &str) -> Option<String> {
    jar.get(name).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}

fn cookie(name: Name, value: String, secure: bool, seconds: Option<i64>) -> Cookie<'static> {
    let mut cookie =
        Cookie::build((name.of(secure), value)).path("/").http_only(true).same_site(SameSite::Lax).build();
    // Over plain HTTP, as on a developer's machine, a browser would not store a secure cookie.
    cookie.set_secure(secure);
    cookie.set_max_age(seconds.map(time::Duration::seconds));
    cookie
}

/// Adds the changes of the cookie jar to a response.
fn set_cookies(headers: &mut HeaderMap, jar: CookieJar) {
    let (parts, _) = (jar, ()).into_response().into_parts();
    headers.extend(parts.headers);
}
