//! `POST /public/v1/password/forgot`: mails a one-time token to a known address.

use axum::{Json, extract::State};
use chrono::TimeDelta;
use runtime::{Context, Error, Function, Input, Result, error::ErrorBody, on, secret, sql};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{DONE, Done, SERVICE, mail, normalized};
use crate::words;
use contract::Language;

pub const FUNCTION: Function = Function::new("password-forgot", SERVICE, "mails a link for a new password")
    .http(runtime::http!(handle))
    .per_minute(5)
    .reads(runtime::settings!(crate::links::PublicUrl));

pub const TOKEN_LIFE: TimeDelta = TimeDelta::hours(1);

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forgot {
    #[schema(example = "me@example.com")]
    email: String,
}

/// The response does not reveal whether the address is known: it is always the same, and does not wait
/// for the mail.
#[utoipa::path(
    post, path = "/public/v1/password/forgot", tag = "users", request_body = Forgot,
    responses(
        (status = 200, description = "If the address is known, a mail is on its way", body = Done),
        (status = 400, description = "A field is invalid", body = ErrorBody),
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

/// Valid links per account at once, and so mails per hour. A stranger who requests links for days cannot
/// fill the mailbox. Nor can the stranger lock out the owner: requests beyond the limit send no mail and
/// leave the earlier links valid, and those are in the owner's mailbox.
const MAX_LINKS: i64 = 2;

async fn mail_token(context: &Context, email: &str) -> Result<()> {
    sql!(
        LINKS = "SELECT COUNT(*) FROM password_resets \
         WHERE user_id = $1 AND restores_email IS NULL AND expires_at > $2"
    );
    sql!(INSERT = "INSERT INTO password_resets (token_hash, user_id, expires_at) VALUES ($1, $2, $3)");
    sql!(DELETE = "DELETE FROM password_resets WHERE token_hash = $1");
    let (db, now) = (context.db()?, context.clock().now());
    // The row lock prevents two concurrent requests from both passing the limit.
    let find = db.pick(
        "SELECT id, language FROM users WHERE email = $1 AND activated_at IS NOT NULL",
        "SELECT id, language FROM users WHERE email = $1 AND activated_at IS NOT NULL FOR UPDATE",
    );
    let token = context.random().token();
    let hash = secret::hash(&token);
    let mut tx = db.begin().await?;
    let found: Option<(i64, String)> =
        on!(tx.connection(), db => sqlx::query_as(find).bind(email).fetch_optional(db).await)?;
    let Some((id, language)) = found else { return Ok(()) };
    let links: i64 = on!(tx.connection(), db => {
        sqlx::query_scalar(LINKS).bind(id).bind(now).fetch_one(db).await
    })?;
    if links >= MAX_LINKS {
        tracing::info!(user_id = id, links, "no more links to set a password: these are still good");
        return Ok(());
    }
    on!(tx.connection(), db => {
        sqlx::query(INSERT).bind(&hash).bind(id).bind(now + TOKEN_LIFE).execute(db).await.map(drop)
    })?;
    tx.commit().await?;
    let link = crate::links::to(context, &format!("/password/reset?token={token}"))?;
    let language = Language::from(language);
    let (subject, content) = (words::PASSWORD_MAIL_SUBJECT, words::password_mail(link).of(language));
    let sent = match mail::count(context, mail::MailKind::Forgotten, email).await {
        Ok(true) => mail::send(context, email, subject.of(language), &format!("{content}\n")).await,
        Ok(false) => Err(Error::internal(anyhow::anyhow!(
            "the mail was not sent: {} went there in a day",
            mail::MAX_MAILS
        ))),
        Err(error) => Err(error),
    };
    if sent.is_err() {
        // A link that was not mailed does not count.
        on!(db.write(), db => sqlx::query(DELETE).bind(&hash).execute(db).await.map(drop))?;
    }
    sent
}
