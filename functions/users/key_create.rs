//! `POST /public/v1/keys`: creates a named API key.

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use runtime::{Caller, Context, Error, Fields, Function, Input, Result, error::ErrorBody, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SERVICE, kong::Kong};
use crate::words;

pub const FUNCTION: Function = Function::new("key-create", SERVICE, "creates a named API key")
    .http(runtime::http!(handle))
    .reads(runtime::settings!(super::kong::Kong));

const MAX_KEYS: i64 = 50;
const MAX_TTL: u32 = 100_000_000;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    #[schema(example = "laptop", min_length = 1, max_length = 100)]
    name: String,
    /// If absent, the key is valid until it is deleted.
    #[schema(example = 2592000, minimum = 1, maximum = 100_000_000)]
    ttl_seconds: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub struct CreatedKey {
    id: i64,
    name: String,
    /// Send it as the header `apikey`. Shown only in this response.
    key: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

#[utoipa::path(
    post, path = "/public/v1/keys", tag = "keys", security(("apikey" = [])), request_body = NewKey,
    responses(
        (status = 201, description = "Made", body = CreatedKey),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 409, description = "TOO_MANY_KEYS", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Input(new): Input<NewKey>,
) -> Result<(StatusCode, Json<CreatedKey>)> {
    let name = new.name.trim().to_owned();
    let mut fields = Fields::default();
    fields.check_line("name", &name, 1..=100);
    fields.check(new.ttl_seconds.is_none_or(|ttl| (1..=MAX_TTL).contains(&ttl)), "ttl_seconds", || {
        contract::words::must_be_from_to(1, MAX_TTL)
    });
    fields.finish()?;
    let created_at = context.clock().now();
    let expires_at = new.ttl_seconds.map(|ttl| created_at + TimeDelta::seconds(ttl.into()));
    let key = format!("pp_{}", context.random().token());
    let kong = Kong::of(&context)?;
    let credential_id = kong.create_key(caller.user_id, &key, new.ttl_seconds).await?;
    match insert(&context, caller.user_id, &credential_id, &name, created_at, expires_at).await {
        Ok(id) => Ok((StatusCode::CREATED, Json(CreatedKey { id, name, key, created_at, expires_at }))),
        Err(error) => {
            // Do not leave a key that nobody can see or delete.
            if let Err(left) = kong.delete_key(caller.user_id, &credential_id).await {
                tracing::warn!(error = %left, "a key that was not recorded could not be deleted");
            }
            Err(error)
        }
    }
}

async fn insert(
    context: &Context,
    user_id: i64,
    credential_id: &str,
    name: &str,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<i64> {
    sql!(
        INSERT = "INSERT INTO user_keys (user_id, credential_id, name, created_at, expires_at) \
         SELECT $1, $2, $3, $4, $5 WHERE (SELECT COUNT(*) FROM user_keys WHERE user_id = $1) < $6 RETURNING id"
    );
    let id: Option<i64> = on!(context.db()?.write(), db => {
        let insert = sqlx::query_scalar(INSERT).bind(user_id).bind(credential_id).bind(name);
        insert.bind(created_at).bind(expires_at).bind(MAX_KEYS).fetch_optional(db).await
    })?;
    id.ok_or_else(|| Error::conflict("TOO_MANY_KEYS", words::TOO_MANY_KEYS))
}
