//! The user's profile: email, password, keys, deleting the account.

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};
use futures::try_join;
use http::StatusCode;
use runtime::List;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use super::{
    api::Refusal,
    form::Wrong,
    page::{Page, Section},
    visitor::{Posted, User, Visitor},
};
use crate::words;
use fields::mailbox;

const ME: &str = "/user-service/v1/user";
const KEYS: &str = "/user-service/v1/keys";

#[derive(Template)]
#[template(path = "profile.html")]
struct Profile {
    page: Page,
    me: crate::users::User,
    keys: Vec<Key>,
    /// The input of one of the forms, and its errors.
    sent: Sent,
    wrong: Wrong,
    /// A new key: shown once.
    made: Option<Made>,
}

#[derive(Deserialize)]
struct Key {
    id: i64,
    name: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Made {
    name: String,
    key: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    #[default]
    None,
    Email,
    Password,
    Messages,
    Key,
    DeleteKey,
    Delete,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    act: Act,
    email: String,
    password: String,
    current_password: String,
    name: String,
    /// Days until a key expires; empty: never.
    days: String,
    key_id: String,
    confirmation: String,
    language: String,
    time_zone: String,
}

const FIELDS: [&str; 7] =
    ["email", "password", "current_password", "language", "time_zone", "name", "ttl_seconds"];

impl Profile {
    async fn of(visitor: &Visitor) -> Result<Self, Refusal> {
        let keys = format!("{KEYS}?per_page=100");
        let (me, keys) = try_join!(visitor.api.get(ME), visitor.api.get::<List<Key>>(&keys))?;
        Ok(Self {
            page: visitor.page(Section::Profile, visitor.t(&words::ACCOUNT)),
            me,
            keys: keys.items,
            sent: Sent::default(),
            wrong: Wrong::default(),
            made: None,
        })
    }

    /// The error of a field, if its form was sent.
    fn wrong_email(&self, field: &str) -> &str {
        self.wrong_in(Act::Email, field)
    }

    fn wrong_password(&self, field: &str) -> &str {
        self.wrong_in(Act::Password, field)
    }

    fn wrong_time_zone(&self) -> &str {
        self.wrong_in(Act::Messages, "time_zone")
    }

    /// The value as sent, or else the saved one.
    fn language(&self) -> &str {
        if self.sent.act == Act::Messages { &self.sent.language } else { self.me.language.code() }
    }

    /// The value as sent, or else the saved one.
    fn time_zone(&self) -> &str {
        if self.sent.act == Act::Messages { &self.sent.time_zone } else { &self.me.time_zone }
    }

    fn wrong_key(&self, field: &str) -> &str {
        self.wrong_in(Act::Key, field)
    }

    fn wrong_in(&self, act: Act, field: &str) -> &str {
        if self.sent.act == act { self.wrong.at(field) } else { "" }
    }
}

pub async fn show(User(visitor): User) -> Response {
    match Profile::of(&visitor).await {
        Ok(profile) => visitor.ok(&profile),
        Err(refusal) => visitor.refused(&refusal),
    }
}

pub async fn change(User(visitor): User, Posted(sent): Posted<Sent>) -> Response {
    match act(&visitor, sent).await {
        Ok(response) => response,
        Err(refusal) => visitor.refused(&refusal),
    }
}

async fn act(visitor: &Visitor, sent: Sent) -> Result<Response, Refusal> {
    let done = match sent.act {
        Act::None => return Ok(visitor.go("/profile")),
        Act::Email => {
            let body = json!({"email": sent.email.trim(), "current_password": sent.current_password});
            let changed = visitor.api.patch::<_, IgnoredAny>(ME, &body).await;
            changed.map(|_| visitor.t(&words::EMAIL_ADDRESS_CHANGED))
        }
        Act::Password => {
            let body = json!({"password": sent.password, "current_password": sent.current_password});
            let changed = visitor.api.patch::<_, IgnoredAny>(ME, &body).await;
            changed.map(|_| visitor.t(&words::PASSWORD_CHANGED))
        }
        Act::Messages => {
            let body = json!({"language": sent.language, "time_zone": sent.time_zone.trim()});
            let changed = visitor.api.patch::<_, IgnoredAny>(ME, &body).await;
            changed.map(|_| visitor.t(&words::LANGUAGE_OF_MESSAGES_CHANGED))
        }
        Act::Key => return make_key(visitor, sent).await,
        Act::DeleteKey => {
            let Ok(id) = sent.key_id.parse::<i64>() else { return Ok(visitor.go("/profile")) };
            visitor.api.delete(&format!("{KEYS}/{id}")).await?;
            Ok(visitor.t(&words::KEY_REVOKED))
        }
        Act::Delete => return end(visitor, sent).await,
    };
    match done {
        Ok(what) => Ok(visitor.go_saying("/profile", what)),
        Err(refusal) => again(visitor, sent, refused(refusal)?).await,
    }
}

/// `KEYS_LEFT` is the only 5xx with a specific meaning: the password was changed, but keys are left.
fn refused(refusal: Refusal) -> Result<Wrong, Refusal> {
    if refusal.code == "KEYS_LEFT" {
        return Ok(Wrong::above(refusal.message));
    }
    Wrong::of(refusal, &FIELDS)
}

async fn again(visitor: &Visitor, sent: Sent, wrong: Wrong) -> Result<Response, Refusal> {
    let profile = Profile::of(visitor).await?;
    Ok(visitor.show(wrong.status(), &Profile { sent, wrong, ..profile }))
}

async fn make_key(visitor: &Visitor, sent: Sent) -> Result<Response, Refusal> {
    let seconds = sent.days.parse::<u32>().ok().map(|days| days.saturating_mul(86_400));
    let body = json!({"name": sent.name.trim(), "ttl_seconds": seconds});
    match visitor.api.post::<_, Made>(KEYS, &body).await {
        Ok(made) => {
            let profile = Profile::of(visitor).await?;
            Ok(visitor.show(StatusCode::CREATED, &Profile { made: Some(made), ..profile }))
        }
        Err(refusal) => again(visitor, sent, refused(refusal)?).await,
    }
}

/// Typing the address confirms the deletion.
async fn end(visitor: &Visitor, sent: Sent) -> Result<Response, Refusal> {
    let me: crate::users::User = visitor.api.get(ME).await?;
    if mailbox::spelling(sent.confirmation.trim()) != me.email {
        let what = visitor.t(&words::NOT_YOUR_EMAIL_ADDRESS);
        return again(visitor, sent, Wrong::field("confirmation", what)).await;
    }
    visitor.api.delete(ME).await?;
    let what = visitor.t(&words::ACCOUNT_DELETED);
    Ok(visitor.log_out("/", what))
}
