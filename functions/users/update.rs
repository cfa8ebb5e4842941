//! `PATCH /public/v1/user`: changes the email address, password, language or time zone; a new password
//! deletes all other keys.
//!
//! Mails a link to the old address that restores it: see [`super::reset`].

use axum::{Json, extract::State};
use chrono::TimeDelta;
use http::StatusCode;
use runtime::{
    Caller, Context, Error, Fields, Function, Input, Result, error::ErrorBody, error::OnConstraint, on,
    secret, sql,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    ReaderSettings, SERVICE, User,
    announce::announce_soon,
    check_email, check_password,
    client::Client,
    email_taken, find, key_delete,
    kong::Kong,
    mail, normalized,
    password::{self, Asker},
    reset,
    tries::{self, Try},
    wrong_password,
};
use crate::words;
use contract::Language;

const NAME: &str = "user-update";

pub const FUNCTION: Function = Function::new(
    NAME,
    SERVICE,
    "changes e-mail address, password, language or time zone; a new password ends all other keys",
)
.http(runtime::http!(handle))
.reads(runtime::settings!(super::kong::Kong, crate::links::PublicUrl))
.publishes();

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    #[schema(example = "new@example.com")]
    email: Option<String>,
    #[schema(example = "another horse battery", min_length = 8)]
    password: Option<String>,
    /// Required for a new address or password, to protect an unlocked browser.
    #[schema(example = "correct horse battery")]
    current_password: Option<String>,
    /// Of alerts and account mails.
    #[schema(value_type = Option<Language>)]
    language: Option<String>,
    /// Of alerts: an IANA name.
    #[schema(example = "Asia/Seoul")]
    time_zone: Option<String>,
}

#[utoipa::path(
    patch, path = "/public/v1/user", tag = "users", security(("apikey" = [])), request_body = Change,
    responses(
        (status = 200, description = "Changed", body = User),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 409, description = "EMAIL_TAKEN", body = ErrorBody),
        (status = 429, description = "TOO_MANY_TRIES: too many wrong passwords; TOO_MANY_CHANGES of the address; \
            TOO_MANY_AT_ONCE", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    client: Client,
    State(context): State<Context>,
    Input(change): Input<Change>,
) -> Result<Json<User>> {
    sql!(
        ACCOUNT =
            "SELECT email, password_hash, language FROM users WHERE id = $1 AND activated_at IS NOT NULL"
    );
    let mut fields = Fields::default();
    let email = change.email.as_deref().map(normalized);
    if let Some(email) = &email {
        check_email(&mut fields, email);
    }
    if let Some(password) = &change.password {
        check_password(&mut fields, "password", password);
    }
    let settings = ReaderSettings { language: change.language, time_zone: change.time_zone };
    settings.check(&mut fields);
    fields.finish()?;
    if change.email.is_none() && change.password.is_none() && !settings.is_empty() {
        save_settings(&context, caller.user_id, settings).await?;
        return find(&context, caller.user_id).await.map(Json);
    }
    let Some(current_password) = change.current_password else {
        return Err(Error::field("current_password", contract::words::MISSING_FIELD));
    };
    let account: Option<(String, String, String)> = on!(context.db()?.read(), db => {
        sqlx::query_as(ACCOUNT).bind(caller.user_id).fetch_optional(db).await
    })?;
    let (old_email, old_hash, language) = account.ok_or_else(Error::not_found)?;
    // A leaked key must not allow guessing the password: tries are counted like those of a login.
    let this_try = Try::begin(&context, &old_email, &client).await?;
    let asker = || Asker { client: &client, account: &old_email };
    let fits = if current_password.len() > 1024 {
        false
    } else {
        match password::fits(asker(), current_password, Some(old_hash.clone())).await {
            Ok(fits) => fits,
            Err(error) => {
                this_try.take_back(&context).await?;
                return Err(error);
            }
        }
    };
    if !fits {
        return Err(Error::field("current_password", wrong_password()));
    }
    this_try.succeed(&context, caller.user_id, &client).await?;
    if change.email.is_none() && change.password.is_none() {
        return Err(Error::field("body", words::NOTHING_TO_CHANGE));
    }
    let ends_keys = change.password.is_some();
    let hash = match change.password {
        Some(password) => Some(password::hash(asker(), password).await?),
        None => None,
    };
    let email = email.filter(|email| *email != old_email);
    // No change without a mail that can undo it. An attacker who has many mails sent there must not
    // prevent this one.
    if email.is_some() && !mail::count(&context, mail::MailKind::WayBack, &old_email).await? {
        return Err(too_many_changes());
    }
    let before = Before { email: &old_email, hash: &old_hash };
    let way_back =
        save(&context, caller.user_id, &before, email.as_deref(), hash.as_deref(), &settings).await?;
    if let Some(token) = way_back {
        let context_of_mail = context.clone();
        context.background(async move {
            if let Err(error) = mail_way_back(&context_of_mail, language.into(), &old_email, &token).await {
                tracing::error!(%error, user_id = caller.user_id, "the old address could not be told of its change");
            }
        });
    }
    if !settings.is_empty() {
        announce_soon(&context, NAME, caller.user_id);
    }
    if ends_keys {
        tries::remember_only(&context, caller.user_id, &client).await?;
        // After the change, so that no new key can be created with the old password.
        end_keys(&context, caller.user_id, &caller.credential_id).await.map_err(|error| {
            tracing::error!(%error, "the keys could not be ended");
            Error::new(StatusCode::SERVICE_UNAVAILABLE, "KEYS_LEFT", words::PASSWORD_CHANGED_KEYS_LEFT)
        })?;
    }
    find(&context, caller.user_id).await.map(Json)
}

/// The stored values that the caller's password was checked against.
struct Before<'a> {
    email: &'a str,
    hash: &'a str,
}

/// How long the old address can be restored.
const WAY_BACK_LIFE: TimeDelta = TimeDelta::hours(48);
/// Changes of address within that time.
const MAX_WAYS_BACK: i64 = 5;

/// Saves the change, and ends the links for a forgotten password. For a new address, returns the token
/// that restores the old one.
async fn save(
    context: &Context,
    user_id: i64,
    before: &Before<'_>,
    email: Option<&str>,
    hash: Option<&str>,
    settings: &ReaderSettings,
) -> Result<Option<String>> {
    // Changes nothing if the address or password was changed meanwhile, for example by a mailed link,
    // which takes precedence.
    sql!(
        UPDATE = "UPDATE users SET email = COALESCE($4, email), \
         password_hash = COALESCE($5, password_hash), updated_at = $6, language = COALESCE($7, language), \
         time_zone = COALESCE($8, time_zone), revision = revision + $9 \
         WHERE id = $1 AND email = $2 AND password_hash = $3"
    );
    sql!(
        WAYS_BACK = "SELECT COUNT(*) FROM password_resets \
         WHERE user_id = $1 AND restores_email IS NOT NULL AND expires_at > $2"
    );
    sql!(
        WAY_BACK = "INSERT INTO password_resets (token_hash, user_id, restores_email, expires_at) \
         VALUES ($1, $2, $3, $4)"
    );
    let now = context.clock().now();
    let mut tx = context.db()?.begin().await?;
    let updated = on!(tx.connection(), db => {
        let update = sqlx::query(UPDATE).bind(user_id).bind(before.email).bind(before.hash);
        let update = update.bind(email).bind(hash).bind(now).bind(&settings.language).bind(&settings.time_zone);
        update.bind(i64::from(!settings.is_empty())).execute(db).await.map(|done| done.rows_affected())
    });
    if updated.on_unique(email_taken)? == 0 {
        return Err(Error::field("current_password", wrong_password()));
    }
    reset::end_links(&mut tx, user_id).await?;
    let mut way_back = None;
    if let Some(email) = email {
        reset::check_not_reserved(&mut tx, email, user_id, now).await?;
        let ways: i64 = on!(tx.connection(), db => {
            sqlx::query_scalar(WAYS_BACK).bind(user_id).bind(now).fetch_one(db).await
        })?;
        if ways >= MAX_WAYS_BACK {
            return Err(too_many_changes());
        }
        let token = context.random().token();
        on!(tx.connection(), db => {
            let insert = sqlx::query(WAY_BACK).bind(secret::hash(&token)).bind(user_id).bind(before.email);
            insert.bind(now + WAY_BACK_LIFE).execute(db).await.map(drop)
        })?;
        way_back = Some(token);
    }
    tx.commit().await?;
    Ok(way_back)
}

fn too_many_changes() -> Error {
    Error::too_many_requests(
        "TOO_MANY_CHANGES",
        words::too_many_address_changes(MAX_WAYS_BACK),
        WAY_BACK_LIFE.to_std().unwrap_or_default(),
    )
}

async fn save_settings(context: &Context, user_id: i64, settings: ReaderSettings) -> Result<()> {
    sql!(
        UPDATE = "UPDATE users SET language = COALESCE($2, language), time_zone = COALESCE($3, time_zone), \
         revision = revision + 1, updated_at = $4 \
         WHERE id = $1 AND (language <> COALESCE($2, language) OR time_zone <> COALESCE($3, time_zone))"
    );
    let now = context.clock().now();
    let changed = on!(context.db()?.write(), db => {
        let update = sqlx::query(UPDATE).bind(user_id).bind(settings.language).bind(settings.time_zone);
        update.bind(now).execute(db).await.map(|done| done.rows_affected())
    })?;
    if changed > 0 {
        announce_soon(context, NAME, user_id);
    }
    Ok(())
}

async fn mail_way_back(context: &Context, language: Language, old_email: &str, token: &str) -> Result<()> {
    let link = crate::links::to(context, &format!("/password/reset?token={token}"))?;
    let (subject, content) = (words::ADDRESS_MAIL_SUBJECT, words::address_mail(link));
    // In both languages: an attacker may have changed the account's language, too.
    let content = format!("{}\n\n{}\n", content.of(language), content.of(language.other()));
    mail::send(context, old_email, subject.of(language), &content).await
}

async fn end_keys(context: &Context, user_id: i64, kept: &str) -> Result<()> {
    Kong::of(context)?.delete_keys_but(user_id, Some(kept)).await?;
    key_delete::forget_but(context, user_id, Some(kept)).await
}
