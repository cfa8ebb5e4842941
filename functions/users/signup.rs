//! `POST /public/v1/signup`: creates a user and the first key.

use anyhow::anyhow;
use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use runtime::{
    Context, Error, Fields, Function, Input, Result, error::ErrorBody, error::OnConstraint, on, sql,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ReaderSettings, SERVICE,
    announce::announce_soon,
    check_email, check_password,
    client::Client,
    email_taken,
    kong::Kong,
    normalized,
    password::{self, Asker},
    reset, tries,
};
use contract::Language;

const NAME: &str = "user-signup";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "creates a user and the first API key")
    .http(runtime::http!(handle))
    .per_minute(20)
    .reads(runtime::settings!(super::kong::Kong))
    .publishes();

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signup {
    #[schema(example = "me@example.com", max_length = 254)]
    email: String,
    #[schema(example = "correct horse battery", min_length = 8)]
    password: String,
    /// Of alerts and account mails; default: the language of `Accept-Language`.
    #[serde(default)]
    #[schema(value_type = Option<Language>)]
    language: Option<String>,
    /// Of alerts: an IANA name; default: `UTC`.
    #[serde(default)]
    #[schema(example = "Asia/Seoul")]
    time_zone: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct SignedUp {
    #[schema(example = "Welcome to pongpong.")]
    message: String,
    /// Send it as the header `apikey`. Shown only in this response.
    key: String,
    id: i64,
    email: String,
    created_at: DateTime<Utc>,
}

#[utoipa::path(
    post, path = "/public/v1/signup", tag = "users", request_body = Signup,
    responses(
        (status = 201, description = "Signed up", body = SignedUp),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 409, description = "EMAIL_TAKEN", body = ErrorBody),
        (status = 429, description = "Too many calls, or TOO_MANY_AT_ONCE", body = ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    client: Client,
    Input(signup): Input<Signup>,
) -> Result<(StatusCode, Json<SignedUp>)> {
    let email = normalized(&signup.email);
    let mut fields = Fields::default();
    check_email(&mut fields, &email);
    check_password(&mut fields, "password", &signup.password);
    let settings = ReaderSettings { language: signup.language, time_zone: signup.time_zone };
    settings.check(&mut fields);
    fields.finish()?;

    let now = context.clock().now();
    let hash = password::hash(Asker { client: &client, account: &email }, signup.password).await?;
    let id = reserve(&context, &email, &hash, settings, now).await?;
    let key = match complete(&context, id).await {
        Ok(key) => key,
        Err(error) => {
            undo(&context, id).await;
            return Err(error);
        }
    };
    announce_soon(&context, NAME, id);
    tries::remember(&context, id, &client).await?;
    let message = "Welcome to pongpong.".to_owned();
    Ok((StatusCode::CREATED, Json(SignedUp { message, key, id, email, created_at: now })))
}

/// How long an aborted sign-up (the process was killed) keeps its address.
const ABANDONED_AFTER: TimeDelta = TimeDelta::minutes(1);

/// Reserves the address. The user is not active before [`complete`].
async fn reserve(
    context: &Context,
    email: &str,
    hash: &str,
    settings: ReaderSettings,
    now: DateTime<Utc>,
) -> Result<i64> {
    sql!(FREE = "DELETE FROM users WHERE email = $1 AND activated_at IS NULL AND created_at < $2");
    sql!(
        INSERT = "INSERT INTO users (email, password_hash, created_at, updated_at, language, time_zone)
        VALUES ($1, $2, $3, $3, $4, $5) RETURNING id"
    );
    let language = settings.language.unwrap_or_else(|| runtime::language::current().code().to_owned());
    let time_zone = settings.time_zone.unwrap_or_else(|| "UTC".to_owned());
    let mut tx = context.db()?.begin().await?;
    on!(tx.connection(), db => {
        sqlx::query(FREE).bind(email).bind(now - ABANDONED_AFTER).execute(db).await.map(drop)
    })?;
    let inserted: std::result::Result<i64, _> = on!(tx.connection(), db => {
        let insert = sqlx::query_scalar(INSERT).bind(email).bind(hash).bind(now);
        insert.bind(language).bind(time_zone).fetch_one(db).await
    });
    let id = inserted.on_unique(email_taken)?;
    // Last, because the insert waits for a transaction that releases this address.
    reset::check_not_reserved(&mut tx, email, id, now).await?;
    tx.commit().await?;
    Ok(id)
}

/// Creates the consumer and the key at the gateway, then activates the user.
async fn complete(context: &Context, id: i64) -> Result<String> {
    sql!(ACTIVATE = "UPDATE users SET activated_at = $2 WHERE id = $1");
    let kong = Kong::of(context)?;
    kong.create_consumer(id).await?;
    let (key, _) = super::login::new_key(context, id).await?;
    let now = context.clock().now();
    let updated = on!(context.db()?.write(), db => {
        sqlx::query(ACTIVATE).bind(id).bind(now).execute(db).await.map(|done| done.rows_affected())
    })?;
    if updated == 1 { Ok(key) } else { Err(Error::unavailable(anyhow!("the sign-up took too long"))) }
}

/// Undoes an incomplete sign-up. If the gateway is unavailable, its consumer stays, which does no harm:
/// nobody has the key of a consumer without a user.
async fn undo(context: &Context, id: i64) {
    sql!(DELETE = "DELETE FROM users WHERE id = $1 AND activated_at IS NULL");
    let undone = async {
        let deleted = on!(context.db()?.write(), db => {
            sqlx::query(DELETE).bind(id).execute(db).await.map(|done| done.rows_affected())
        })?;
        // No row: the sign-up was completed after all, and only the response was lost.
        if deleted == 1 { Kong::of(context)?.delete_consumer(id).await } else { Ok(()) }
    };
    if let Err(error) = undone.await {
        tracing::warn!(%error, user_id = id, "a failed sign-up could not be undone completely");
    }
}
