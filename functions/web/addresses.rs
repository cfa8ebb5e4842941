//! The pages behind the links in mails: confirm an address, or unsubscribe it.
//!
//! A link shows a page with a button, and only the button changes something: programs that open the links
//! in mails do not press it.

use askama::Template;
use axum::{body::Bytes, extract::Query, response::Response};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::{
    api::Refusal,
    page::{Page, Section},
    visitor::{Posted, Visitor},
};
use crate::notifications::addresses::{Address, State, unsubscribe::From};
use crate::words;

#[derive(Template)]
#[template(path = "address.html")]
struct Asked {
    page: Page,
    kind: &'static str,
    token: String,
    /// The result of the button.
    done: Option<Address>,
}

impl Asked {
    fn is_stopped(&self) -> bool {
        self.done.as_ref().is_some_and(|done| done.state == State::Unsubscribed)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Link {
    token: String,
}

/// The fields of the forms, and of mail programs (`List-Unsubscribe=One-Click`).
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    token: String,
    from: From,
}

#[derive(Serialize)]
struct Confirm {
    token: String,
}

#[derive(Serialize)]
struct Unsubscribe {
    token: String,
    from: From,
}

/// The token is in the page's URL, so the page sends no referrer.
fn show(visitor: &Visitor, kind: &'static str, token: String, done: Option<Address>) -> Response {
    let title = if kind == "confirm" {
        visitor.t(&words::CONFIRM_ADDRESS_TITLE)
    } else {
        visitor.t(&words::UNSUBSCRIBE_TITLE)
    };
    let page = visitor.page(Section::None, title);
    let mut response = visitor.ok(&Asked { page, kind, token, done });
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn refused(visitor: &Visitor, mut refusal: Refusal) -> Response {
    if refusal.fields.contains_key("token") {
        refusal.message = visitor.t(&words::LINK_IS_INVALID).to_owned();
    }
    visitor.refused(&refusal)
}

pub async fn confirm_form(visitor: Visitor, Query(link): Query<Link>) -> Response {
    show(&visitor, "confirm", link.token, None)
}

pub async fn confirm(visitor: Visitor, Posted(Link { token }): Posted<Link>) -> Response {
    let asked = Confirm { token };
    match visitor.api.post("/notification-service/v1/addresses/confirm", &asked).await {
        Ok(address) => show(&visitor, "confirm", asked.token, Some(address)),
        Err(refusal) => refused(&visitor, refusal),
    }
}

pub async fn unsubscribe_form(visitor: Visitor, Query(link): Query<Link>) -> Response {
    show(&visitor, "unsubscribe", link.token, None)
}

/// Posted by our form or by a mail program (RFC 8058), which has no cookies: the token is the proof.
pub async fn unsubscribe(visitor: Visitor, Query(link): Query<Link>, body: Bytes) -> Response {
    let sent: Sent = serde_html_form::from_bytes(&body).unwrap_or_default();
    let token = if sent.token.is_empty() { link.token } else { sent.token };
    let asked = Unsubscribe { token, from: sent.from };
    match visitor.api.post("/notification-service/v1/addresses/unsubscribe", &asked).await {
        Ok(address) => show(&visitor, "unsubscribe", asked.token, Some(address)),
        Err(refusal) => refused(&visitor, refusal),
    }
}
