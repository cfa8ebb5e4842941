//! `POST /public/v1/password/reset`: sets a password by the token that was mailed; ends every key.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use runtime::{Context, Error, Fields, Function, Input, Result, error::ErrorBody, on, secret, text};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{DONE, Done, SERVICE, check_password, key_delete, kong::Kong, password};

pub const FUNCTION: Function =
    Function::new("password-reset", SERVICE, "sets a password by the token that was mailed; ends every key")
        .http(runtime::http!(handle))
        .per_minute(20)
        .reads(runtime::settings!(super::kong::Kong));

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    token: String,
    #[schema(example = "another horse battery", min_length = 8)]
    password: String,
}

#[utoipa::path(
    post, path = "/public/v1/password/reset", tag = "users", request_body = Reset,
    responses(
        (status = 200, description = "Set; log in again", body = Done),
        (status = 400, description = "The token is unknown, used or expired, or the password is not acceptable", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Input(reset): Input<Reset>) -> Result<Json<Done>> {
    static USE: &str = "DELETE FROM password_resets WHERE token_hash = $1 AND expires_at >= $2 \
         RETURNING user_id, expires_at";
    static AGAIN: &str = "INSERT INTO password_resets (token_hash, user_id, expires_at) VALUES ($1, $2, $3)";
    static SET: &str = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1";
    let mut fields = Fields::default();
    check_password(&mut fields, "password", &reset.password);
    fields.finish()?;
    // Hashed before anything is known: an unknown token costs the same, and no lock is held meanwhile.
    let hash = password::hash(reset.password).await?;
    let now = context.clock().now();
    let mut tx = context.db()?.begin().await?;
    let used: Option<(i64, DateTime<Utc>)> = on!(tx.connection(), db => {
        sqlx::query_as(USE).bind(secret::hash(&reset.token)).bind(now).fetch_optional(db).await
    })?;
    let (user_id, expires_at) = used.ok_or_else(|| {
        Error::field(
            "token",
            text("is unknown, used, or expired", "알 수 없거나 사용되었거나 만료된 토큰입니다"),
        )
    })?;
    on!(tx.connection(), db => sqlx::query(SET).bind(user_id).bind(hash).bind(now).execute(db).await.map(drop))?;
    tx.commit().await?;
    // After the change, so that nobody gets a key by the old password any more.
    if let Err(error) = end_keys(&context, user_id).await {
        // Good for another try.
        on!(context.db()?.write(), db => {
            sqlx::query(AGAIN).bind(secret::hash(&reset.token)).bind(user_id).bind(expires_at).execute(db).await.map(drop)
        })?;
        return Err(error);
    }
    Ok(DONE)
}

async fn end_keys(context: &Context, user_id: i64) -> Result<()> {
    Kong::of(context)?.delete_keys_but(user_id, None).await?;
    key_delete::forget_but(context, user_id, None).await
}
