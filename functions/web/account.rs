//! Pages for sign-up, login, logout and a forgotten password; and the browser's language and theme.

use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::Query, response::Response};
use contract::Language;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    api::{Api, Refusal},
    endpoint_form,
    figures::encoded,
    page::{Page, Section, Theme},
    visitor::{Posted, User, Visitor},
};
use crate::{endpoints::Endpoint, words};

#[derive(Template)]
#[template(path = "account.html")]
struct Form {
    page: Page,
    kind: Kind,
    email: String,
    /// Where to go after the login.
    next: String,
    /// The one-time token for a forgotten password.
    token: String,
    /// The URL of the first endpoint to create.
    url: String,
    message: String,
    fields: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Signup,
    Login,
    Forgot,
    Reset,
}

impl Form {
    fn new(visitor: &Visitor, kind: Kind) -> Self {
        let title = match kind {
            Kind::Signup => visitor.t(&words::SIGN_UP),
            Kind::Login => visitor.t(&words::LOG_IN),
            Kind::Forgot => visitor.t(&words::FORGOT_YOUR_PASSWORD),
            Kind::Reset => visitor.t(&words::CHOOSE_NEW_PASSWORD),
        };
        Self {
            page: visitor.page(Section::None, title),
            kind,
            email: String::new(),
            next: String::new(),
            token: String::new(),
            url: String::new(),
            message: String::new(),
            fields: BTreeMap::new(),
        }
    }

    fn is(&self, name: &str) -> bool {
        let own = match self.kind {
            Kind::Signup => "signup",
            Kind::Login => "login",
            Kind::Forgot => "forgot",
            Kind::Reset => "reset",
        };
        own == name
    }

    /// The path of the login page.
    fn login(&self) -> String {
        if self.url.is_empty() {
            return "/login".to_owned();
        }
        format!("/login?next={}", encoded(&format!("/endpoints/new?url={}", encoded(&self.url))))
    }

    fn error(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    /// Shows the form again, with the errors beside their fields.
    fn again(self, visitor: &Visitor, refusal: Refusal) -> Response {
        match refusal.status {
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNAUTHORIZED => {}
            // The API's message explains what to do; the gateway's own refusal has no code.
            StatusCode::TOO_MANY_REQUESTS if !refusal.code.is_empty() => {}
            _ => return visitor.refused(&refusal),
        }
        let mut form = self;
        // An error beside its field is enough.
        form.message = if refusal.fields.is_empty() { refusal.message } else { String::new() };
        form.fields = refusal.fields;
        visitor.show(refusal.status, &form)
    }
}

/// The fields of the forms.
#[derive(Default, Deserialize)]
pub struct Sent {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    url: String,
}

#[derive(Serialize)]
struct Credentials<'a> {
    email: &'a str,
    password: &'a str,
}

#[derive(Serialize)]
struct Signup<'a> {
    email: &'a str,
    password: &'a str,
    language: Language,
    time_zone: &'static str,
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

pub async fn signup_form(visitor: Visitor, Query(sent): Query<Sent>) -> Response {
    let form = Form::new(&visitor, Kind::Signup);
    visitor.ok(&Form { email: sent.email, url: sent.url, ..form })
}

pub async fn signup(visitor: Visitor, Posted(sent): Posted<Sent>) -> Response {
    let body = Signup {
        email: &sent.email,
        password: &sent.password,
        language: visitor.language,
        time_zone: visitor.zone.name(),
    };
    match visitor.api.post::<_, Key>("/user-service/v1/signup", &body).await {
        Ok(Key { key }) if sent.url.is_empty() => visitor.log_in(&key, "/dashboard", ""),
        Ok(Key { key }) => with_first_endpoint(&visitor, &key, &sent.url).await,
        Err(refusal) => {
            let form = Form::new(&visitor, Kind::Signup);
            Form { email: sent.email, url: sent.url, ..form }.again(&visitor, refusal)
        }
    }
}

/// Creates the endpoint that was checked before the account was created.
async fn with_first_endpoint(visitor: &Visitor, key: &str, url: &str) -> Response {
    let api = Api { key: HeaderValue::from_str(key).ok(), ..visitor.api.clone() };
    let body = BTreeMap::from([("url", url)]);
    match api.post::<_, Endpoint>("/endpoint-service/v1/endpoints", &body).await {
        Ok(made) => visitor.log_in(key, &format!("/endpoints/{}", made.id), endpoint_form::added(visitor)),
        Err(_) => visitor.log_in(key, &format!("/endpoints/new?url={}", encoded(url)), ""),
    }
}

pub async fn login_form(visitor: Visitor, Query(sent): Query<Sent>) -> Response {
    if visitor.logged_in() {
        return visitor.go("/dashboard");
    }
    let form = Form::new(&visitor, Kind::Login);
    visitor.ok(&Form { next: sent.next, ..form })
}

pub async fn login(visitor: Visitor, Posted(sent): Posted<Sent>) -> Response {
    let body = Credentials { email: &sent.email, password: &sent.password };
    match visitor.api.post::<_, Key>("/user-service/v1/login", &body).await {
        Ok(Key { key }) => {
            let next = if sent.next.is_empty() { "/dashboard" } else { &sent.next };
            visitor.log_in(&key, next, "")
        }
        Err(refusal) => {
            let form = Form { email: sent.email, next: sent.next, ..Form::new(&visitor, Kind::Login) };
            form.again(&visitor, refusal)
        }
    }
}

/// Also deletes the session's key.
pub async fn logout(User(visitor): User, Posted(IgnoredAny): Posted<IgnoredAny>) -> Response {
    let ended: Result<IgnoredAny, _> = visitor.api.post("/user-service/v1/logout", &()).await;
    match ended {
        Err(refusal) if refusal.status != StatusCode::UNAUTHORIZED => visitor.refused(&refusal),
        _ => visitor.log_out("/", visitor.t(&words::LOGGED_OUT)),
    }
}

pub async fn forgot_form(visitor: Visitor) -> Response {
    visitor.ok(&Form::new(&visitor, Kind::Forgot))
}

pub async fn forgot(visitor: Visitor, Posted(sent): Posted<Sent>) -> Response {
    let body = BTreeMap::from([("email", &sent.email)]);
    match visitor.api.post::<_, IgnoredAny>("/user-service/v1/password/forgot", &body).await {
        Ok(_) => {
            let what = visitor.t(&words::LINK_SENT);
            visitor.go_saying("/login", what)
        }
        Err(refusal) => {
            Form { email: sent.email, ..Form::new(&visitor, Kind::Forgot) }.again(&visitor, refusal)
        }
    }
}

/// The page behind the link in the mail. The token is in the URL, so the page sends no referrer.
pub async fn reset_form(visitor: Visitor, Query(sent): Query<Sent>) -> Response {
    let mut response = visitor.ok(&Form { token: sent.token, ..Form::new(&visitor, Kind::Reset) });
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

pub async fn reset(visitor: Visitor, Posted(sent): Posted<Sent>) -> Response {
    let body = BTreeMap::from([("token", &sent.token), ("password", &sent.password)]);
    match visitor.api.post::<_, IgnoredAny>("/user-service/v1/password/reset", &body).await {
        Ok(_) => {
            let what = visitor.t(&words::PASSWORD_CHANGED_LOG_IN);
            visitor.go_saying("/login", what)
        }
        Err(refusal) => {
            Form { token: sent.token, ..Form::new(&visitor, Kind::Reset) }.again(&visitor, refusal)
        }
    }
}

#[derive(Deserialize)]
pub struct Preferences {
    lang: Option<String>,
    theme: Option<Theme>,
    #[serde(default)]
    next: String,
}

/// A link, not a form: it changes only this browser's cookies.
pub async fn preferences(
    visitor: Visitor,
    headers: HeaderMap,
    Query(wanted): Query<Preferences>,
) -> Response {
    let language = match wanted.lang.as_deref() {
        Some("ko") => Some(Language::Korean),
        Some("en") => Some(Language::English),
        _ => None,
    };
    // Ignored if the link is on another site.
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return visitor.go("/");
    }
    visitor.remember(language, wanted.theme, if wanted.next.is_empty() { "/" } else { &wanted.next })
}
