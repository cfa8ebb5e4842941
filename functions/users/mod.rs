//! Users and their keys. The gateway (Kong) stores the keys; this service stores their owners.

mod announce;
pub mod client;
pub mod delete;
pub mod forget;
pub mod forgot;
pub mod get;
pub mod key_create;
pub mod key_delete;
pub mod key_list;
pub mod kong;
pub mod login;
pub mod logout;
mod mail;
pub mod me;
pub mod password;
pub mod private_get;
pub mod private_list;
pub mod purge;
pub mod reset;
pub mod signup;
mod tries;
pub mod update;

use chrono::{DateTime, Utc};
use runtime::{Context, Db, Env, Error, Fields, FromEnv, Result, Text, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use fields::mailbox;

use crate::{words, zones};
use contract::Language;

pub const SERVICE: &str = "user-service";

/// A user, as shown to that user only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow, ToSchema)]
pub struct User {
    #[schema(example = 1)]
    pub id: i64,
    #[schema(example = "me@example.com")]
    pub email: String,
    /// Of alerts and account mails.
    #[sqlx(try_from = "String")]
    pub language: Language,
    /// Of alerts: an IANA name.
    #[schema(example = "Asia/Seoul")]
    pub time_zone: String,
    pub created_at: DateTime<Utc>,
}

/// `LOGIN_KEY_TTL_SECONDS` (default 30 days): how long a key from sign-up or login is valid.
pub struct LoginConfig {
    pub key_ttl_seconds: u32,
}

impl FromEnv for LoginConfig {
    const NAMES: &[&str] = &["LOGIN_KEY_TTL_SECONDS"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let key_ttl_seconds = env.parse_or("LOGIN_KEY_TTL_SECONDS", 30 * 24 * 3600)?;
        anyhow::ensure!(
            (1..=100_000_000).contains(&key_ttl_seconds),
            "LOGIN_KEY_TTL_SECONDS must be from 1 to 100000000"
        );
        Ok(Self { key_ttl_seconds })
    }
}

/// The user; fails if it does not exist or its sign-up is not complete.
pub async fn find(context: &Context, id: i64) -> Result<User> {
    sql!(
        SQL = "SELECT id, email, language, time_zone, created_at FROM users
        WHERE id = $1 AND activated_at IS NOT NULL"
    );
    let found = on!(context.db()?.read(), db => sqlx::query_as(SQL).bind(id).fetch_optional(db).await)?;
    found.ok_or_else(Error::not_found)
}

/// Normalises an address as email notifications do, so that one mailbox is one user, however it is spelt.
fn normalized(email: &str) -> String {
    mailbox::spelling(email.trim())
}

/// Rewrites addresses of older versions as [`normalized`] does; skips an address that another user has by
/// now.
pub(crate) async fn respell(db: &Db) -> anyhow::Result<()> {
    // Only non-ASCII addresses can differ.
    sql!(ODD = "SELECT id, email FROM users WHERE LENGTH(email) <> OCTET_LENGTH(email)");
    sql!(
        UPDATE =
            "UPDATE users SET email = $2 WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM users WHERE email = $2)"
    );
    let odd: Vec<(i64, String)> = on!(db.read(), db => sqlx::query_as(ODD).fetch_all(db).await)?;
    for (id, email) in odd {
        let spelt = normalized(&email);
        if spelt != email {
            let changed = on!(db.write(), db => sqlx::query(UPDATE).bind(id).bind(spelt).execute(db).await
                .map(|done| done.rows_affected()))?;
            if changed == 0 {
                tracing::error!(
                    id,
                    "the mailbox of a user has two users: the one with the odd spelling cannot log in"
                );
            }
        }
    }
    Ok(())
}

fn check_email(fields: &mut Fields, email: &str) {
    fields.check(mailbox::is_address(email), "email", || words::MUST_BE_E_MAIL_ADDRESS);
}

fn check_password(fields: &mut Fields, name: &str, password: &str) {
    let fits = password.chars().count() >= 8 && password.len() <= 1024;
    fields.check(fits, name, || words::MUST_BE_A_PASSWORD);
}

fn email_taken() -> Error {
    Error::conflict("EMAIL_TAKEN", words::EMAIL_IS_TAKEN)
}

fn wrong_password() -> Text {
    words::MUST_BE_YOUR_CURRENT_PASSWORD
}

/// The language and time zone of a request, not validated yet.
pub struct ReaderSettings {
    language: Option<String>,
    time_zone: Option<String>,
}

impl ReaderSettings {
    fn is_empty(&self) -> bool {
        self.language.is_none() && self.time_zone.is_none()
    }

    fn check(&self, fields: &mut Fields) {
        let language = self.language.as_deref().is_none_or(|code| Language::named(code).is_some());
        fields.check(language, "language", || {
            contract::words::must_be_one_of(Language::ALL.map(Language::code).join(", "))
        });
        let zone = self.time_zone.as_deref().is_none_or(|name| zones::named(name).is_some());
        fields.check(zone, "time_zone", || words::MUST_BE_TIME_ZONE);
    }
}

/// The response of a call that returns no data.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Done {
    #[schema(example = "ok")]
    pub status: &'static str,
}

pub const DONE: axum::Json<Done> = axum::Json(Done { status: "ok" });
