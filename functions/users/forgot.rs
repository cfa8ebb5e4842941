//! `POST /public/v1/password/forgot`: mails a one-time token to a known address.

use axum::{Json, extract::State};
use chrono::TimeDelta;
use http::Method;
use runtime::{Context, Error, Function, Input, Result, error::ErrorBody, on, secret};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{DONE, Done, SERVICE, normalized};
use crate::senders;

pub const FUNCTION: Function =
    Function::new("password-forgot", SERVICE, "mails a one-time token to a known address")
        .http(runtime::http!(handle))
        .per_minute(5)
        .reads(runtime::settings!(crate::links::PublicUrl));

pub const TOKEN_LIFE: TimeDelta = TimeDelta::minutes(30);

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forgot {
    #[schema(example = "me@example.com")]
    email: String,
}

/// Says nothing of whether the address is known: the answer is the same, and does not wait for the
/// mail.
#[utoipa::path(
    post, path = "/public/v1/password/forgot", tag = "users", request_body = Forgot,
    responses(
        (status = 200, description = "If the address is known, a mail is on its way", body = Done),
        (status = 400, description = "A field is not acceptable", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Input(forgot): Input<Forgot>) -> Result<Json<Done>> {
    let email = normalized(&forgot.email);
    context.clone().background(async move {
        if let Err(error) = mail_token(&context, &email).await {
            tracing::error!(%error, "a password reset could not be mailed");
        }
    });
    Ok(DONE)
}

async fn mail_token(context: &Context, email: &str) -> Result<()> {
    static FIND: &str = "SELECT id FROM users WHERE email = $1 AND activated_at IS NOT NULL";
    static CLEAN: &str = "DELETE FROM password_resets WHERE user_id = $1 OR expires_at < $2";
    static INSERT: &str = "INSERT INTO password_resets (token_hash, user_id, expires_at) VALUES ($1, $2, $3)";
    let db = context.db()?;
    let found: Option<i64> =
        on!(db.read(), db => sqlx::query_scalar(FIND).bind(email).fetch_optional(db).await)?;
    let Some(id) = found else { return Ok(()) };
    let token = context.random().token();
    let now = context.clock().now();
    let mut tx = db.begin().await?;
    on!(tx.connection(), db => sqlx::query(CLEAN).bind(id).bind(now).execute(db).await.map(drop))?;
    on!(tx.connection(), db => {
        let insert = sqlx::query(INSERT).bind(secret::hash(&token)).bind(id).bind(now + TOKEN_LIFE);
        insert.execute(db).await.map(drop)
    })?;
    tx.commit().await?;
    let link = crate::links::to(context, &format!("/password/reset?token={token}"))?;
    let mail = json!({
        "to": email,
        "subject": "Your pongpong password / 퐁퐁 비밀번호 재설정",
        "content": format!(
            "Somebody, hopefully you, asked for a new password at pongpong.\n\n\
             To set one, open this within 30 minutes:\n{link}\n\n\
             If it was not you, nothing has changed, and you need do nothing.\n\n\
             비밀번호를 다시 설정하려면 30분 안에 위 링크를 여세요. 요청하지 않았다면 무시하셔도 됩니다.\n"
        ),
    });
    let sent: senders::Done = context
        .outbound()
        .call(senders::email::NAME, Method::POST, "/private/v1/emails", Some(&mail))
        .await?;
    accepted(&sent)
}

/// A mail that the server did not take is answered 200 too. What the server itself said, after the
/// colon, may hold the address: that is not for the log.
fn accepted(sent: &senders::Done) -> Result<()> {
    if sent.status == "ok" {
        return Ok(());
    }
    let why = sent.message.as_deref().and_then(|message| message.split(':').next()).unwrap_or("no reason");
    Err(Error::internal(anyhow::anyhow!("the mail was not sent: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_that_was_not_taken_is_an_error_without_the_address() {
        accepted(&senders::Done::ok()).expect("taken");
        let refusal = "The mail server refused the message: 550 <me@example.com> no such user";
        let error = accepted(&senders::Done::fail(refusal)).expect_err("not taken").to_string();
        assert!(error.contains("The mail server refused the message"), "{error}");
        assert!(!error.contains("example.com"), "{error}");
    }
}
