//! `POST /public/v1/login`: gives a key that expires.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{Context, Error, Function, Input, Result, error::ErrorBody, on, text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LoginConfig, SERVICE, kong::Kong, normalized, password};

pub const FUNCTION: Function = Function::new("user-login", SERVICE, "gives a key that expires")
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
    /// Send it as the header `apikey`. It is shown only here.
    key: String,
}

#[utoipa::path(
    post, path = "/public/v1/login", tag = "users", request_body = Login,
    responses(
        (status = 200, description = "Logged in", body = LoggedIn),
        (status = 400, description = "A field is not acceptable", body = ErrorBody),
        (status = 401, description = "INVALID_LOGIN: unknown e-mail address or wrong password", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Input(login): Input<Login>) -> Result<Json<LoggedIn>> {
    static FIND: &str = "SELECT id, password_hash FROM users WHERE email = $1 AND activated_at IS NOT NULL";
    let found: Option<(i64, String)> = on!(context.db()?.read(), db => {
        sqlx::query_as(FIND).bind(normalized(&login.email)).fetch_optional(db).await
    })?;
    let (id, hash) = found.unzip();
    // Longer than any password is: no reason to hash it.
    let fits = login.password.len() <= 1024 && password::fits(login.password, hash.clone()).await?;
    let Some(id) = id.filter(|_| fits) else { return Err(invalid_login()) };
    let (key, credential_id) = new_key(&context, id).await?;
    // A password that was changed meanwhile has ended every key but this one.
    static STILL: &str = "SELECT password_hash FROM users WHERE id = $1";
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
    Error::new(
        StatusCode::UNAUTHORIZED,
        "INVALID_LOGIN",
        text("The e-mail address or the password is wrong.", "이메일 또는 비밀번호가 올바르지 않습니다."),
    )
}

/// A key of 256 random bits, registered at the gateway, with the gateway's id of it.
pub(super) async fn new_key(context: &Context, user_id: i64) -> Result<(String, String)> {
    let key = format!("pp_{}", context.random().token());
    let ttl = context.config::<LoginConfig>()?.key_ttl_seconds;
    let credential_id = Kong::of(context)?.create_key(user_id, &key, Some(ttl)).await?;
    Ok((key, credential_id))
}
