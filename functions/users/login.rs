//! `POST /public/v1/login`: creates a key that expires.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{Context, Error, Function, Input, Result, error::ErrorBody, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    LoginConfig, SERVICE,
    client::Client,
    kong::Kong,
    normalized,
    password::{self, Asker},
    tries::Try,
};
use crate::words;

pub const FUNCTION: Function = Function::new("user-login", SERVICE, "returns an API key that expires")
    .http(runtime::http!(handle))
    .per_minute(20)
    .reads(runtime::settings!(super::kong::Kong, super::LoginConfig));

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    #[schema(example = "me@example.com")]
    email: String,
    #[schema(example = "correct horse battery")]
    password: String,
}

#[derive(Serialize, ToSchema)]
pub struct LoggedIn {
    #[schema(example = "Logged in.")]
    message: &'static str,
    /// Send it as the header `apikey`. Shown only in this response.
    key: String,
}

#[utoipa::path(
    post, path = "/public/v1/login", tag = "users", request_body = Login,
    responses(
        (status = 200, description = "Logged in", body = LoggedIn),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "INVALID_LOGIN: unknown e-mail address or wrong password", body = ErrorBody),
        (status = 429, description = "Too many calls, or TOO_MANY_TRIES: too many wrong passwords for this account \
            from networks that it is not known from; TOO_MANY_AT_ONCE", body = ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    client: Client,
    Input(login): Input<Login>,
) -> Result<Json<LoggedIn>> {
    sql!(FIND = "SELECT id, password_hash FROM users WHERE email = $1 AND activated_at IS NOT NULL");
    let email = normalized(&login.email);
    let this_try = Try::begin(&context, &email, &client).await?;
    let found: Option<(i64, String)> =
        on!(context.db()?.read(), db => sqlx::query_as(FIND).bind(&email).fetch_optional(db).await)?;
    let (id, hash) = found.unzip();
    // Longer than any valid password: do not hash it.
    let fits = if login.password.len() > 1024 {
        false
    } else {
        let asker = Asker { client: &client, account: &email };
        match password::fits(asker, login.password, hash.clone()).await {
            Ok(fits) => fits,
            Err(error) => {
                this_try.take_back(&context).await?;
                return Err(error);
            }
        }
    };
    let Some(id) = id.filter(|_| fits) else { return Err(invalid_login()) };
    this_try.succeed(&context, id, &client).await?;
    let (key, credential_id) = new_key(&context, id).await?;
    // If the password was changed meanwhile, every other key was deleted, but not this new one.
    sql!(STILL = "SELECT password_hash FROM users WHERE id = $1");
    let still: Option<String> = on!(context.db()?.read(), db => {
        sqlx::query_scalar(STILL).bind(id).fetch_optional(db).await
    })?;
    if still != hash {
        Kong::of(&context)?.delete_key(id, &credential_id).await?;
        return Err(invalid_login());
    }
    Ok(Json(LoggedIn { message: "Logged in.", key }))
}

fn invalid_login() -> Error {
    Error::new(StatusCode::UNAUTHORIZED, "INVALID_LOGIN", words::WRONG_EMAIL_OR_PASSWORD)
}

/// Creates a key of 256 random bits, registered at the gateway; returns it with the gateway's ID of it.
pub(super) async fn new_key(context: &Context, user_id: i64) -> Result<(String, String)> {
    let key = format!("pp_{}", context.random().token());
    let ttl = context.config::<LoginConfig>()?.key_ttl_seconds;
    let credential_id = Kong::of(context)?.create_key(user_id, &key, Some(ttl)).await?;
    Ok((key, credential_id))
}
