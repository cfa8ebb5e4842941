//! `POST /public/v1/password/reset`: sets a password with a mailed token; deletes every key.
//!
//! | token | valid for | also does | ended by |
//! |---|---|---|---|
//! | forgotten password | one hour | | its use, another token's use, any change of address or password |
//! | changed address, mailed to the old one | 48 hours | restores the old address | its use, use of an earlier one |
//!
//! So an attacker who takes over an account and changes its address, even twice, cannot lock out its
//! owner.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use runtime::{
    Context, Error, Fields, Function, Input, Result,
    db::Transaction,
    error::{ErrorBody, OnConstraint},
    on, secret, sql,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    DONE, Done, SERVICE, check_password,
    client::Client,
    email_taken, key_delete,
    kong::Kong,
    password::{self, Asker},
    tries,
};
use crate::words;

pub const FUNCTION: Function =
    Function::new("password-reset", SERVICE, "sets a new password by a mailed token and revokes all keys")
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
        (status = 400, description = "The token is unknown, used or expired, or the password is invalid", body = ErrorBody),
        (status = 409, description = "EMAIL_TAKEN: the address that the link restores is another user's now", body = ErrorBody),
        (status = 429, description = "Too many calls, or TOO_MANY_AT_ONCE", body = ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    client: Client,
    Input(reset): Input<Reset>,
) -> Result<Json<Done>> {
    sql!(FIND = "SELECT user_id FROM password_resets WHERE token_hash = $1 AND expires_at >= $2");
    let (db, now) = (context.db()?, context.clock().now());
    let mut fields = Fields::default();
    check_password(&mut fields, "password", &reset.password);
    fields.finish()?;
    let token_hash = secret::hash(&reset.token);
    // Looked up before hashing: guesses of tokens cost nothing.
    let found: Option<i64> = on!(db.read(), db => {
        sqlx::query_scalar(FIND).bind(&token_hash).bind(now).fetch_optional(db).await
    })?;
    let user_id = found.ok_or_else(bad_token)?;
    // Hashed before the transaction, so that it holds no lock while hashing.
    let account = format!("user {user_id}");
    let hash = password::hash(Asker { client: &client, account: &account }, reset.password).await?;
    let link = use_link(&context, &token_hash, &hash).await?;
    // After the change, so that no new key can be created with the old password.
    if let Err(error) = end_keys(&context, user_id).await {
        // Restores the link for another try.
        link.put_back(&context, &token_hash).await?;
        return Err(error);
    }
    tries::remember_only(&context, user_id, &client).await?;
    Ok(DONE)
}

fn bad_token() -> Error {
    Error::field("token", words::TOKEN_IS_UNKNOWN_USED_OR_EXPIRED)
}

/// A mailed link.
#[derive(sqlx::FromRow)]
struct Link {
    user_id: i64,
    restores_email: Option<String>,
    expires_at: DateTime<Utc>,
}

impl Link {
    async fn put_back(&self, context: &Context, token_hash: &str) -> Result<()> {
        sql!(
            INSERT = "INSERT INTO password_resets (token_hash, user_id, restores_email, expires_at) \
             VALUES ($1, $2, $3, $4)"
        );
        on!(context.db()?.write(), db => {
            let insert = sqlx::query(INSERT).bind(token_hash).bind(self.user_id);
            insert.bind(&self.restores_email).bind(self.expires_at).execute(db).await.map(drop)
        })?;
        Ok(())
    }
}

/// Uses up a link: sets the password and, if the link contains one, the address, and ends the other
/// links.
async fn use_link(context: &Context, token_hash: &str, password_hash: &str) -> Result<Link> {
    sql!(
        USE = "DELETE FROM password_resets WHERE token_hash = $1 AND expires_at >= $2 \
         RETURNING user_id, restores_email, expires_at"
    );
    sql!(
        SET = "UPDATE users SET password_hash = $2, email = COALESCE($3, email), updated_at = $4 \
         WHERE id = $1"
    );
    // Later links of this kind were mailed to addresses that were set after the restored one.
    sql!(
        END_LATER = "DELETE FROM password_resets \
         WHERE user_id = $1 AND restores_email IS NOT NULL AND expires_at >= $2"
    );
    let now = context.clock().now();
    let mut tx = context.db()?.begin().await?;
    let used: Option<Link> = on!(tx.connection(), db => {
        sqlx::query_as(USE).bind(token_hash).bind(now).fetch_optional(db).await
    })?;
    let link = used.ok_or_else(bad_token)?;
    let set = on!(tx.connection(), db => {
        let set = sqlx::query(SET).bind(link.user_id).bind(password_hash).bind(&link.restores_email);
        set.bind(now).execute(db).await.map(drop)
    });
    set.on_unique(email_taken)?;
    end_links(&mut tx, link.user_id).await?;
    if link.restores_email.is_some() {
        on!(tx.connection(), db => {
            sqlx::query(END_LATER).bind(link.user_id).bind(link.expires_at).execute(db).await.map(drop)
        })?;
    }
    tx.commit().await?;
    Ok(link)
}

/// Ends the links for a forgotten password. Links that restore an address stay valid: see the table
/// above.
pub(super) async fn end_links(tx: &mut Transaction, user_id: i64) -> Result<()> {
    sql!(END = "DELETE FROM password_resets WHERE user_id = $1 AND restores_email IS NULL");
    on!(tx.connection(), db => sqlx::query(END).bind(user_id).execute(db).await.map(drop))?;
    Ok(())
}

/// Fails if another owner may still restore the address. Checked after the address was written, because
/// that write waits for a transaction that releases the address.
pub(super) async fn check_not_reserved(
    tx: &mut Transaction,
    email: &str,
    user_id: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    sql!(
        RESERVED = "SELECT EXISTS (SELECT 1 FROM password_resets \
         WHERE restores_email = $1 AND user_id <> $2 AND expires_at > $3)"
    );
    let reserved: bool = on!(tx.connection(), db => {
        let query = sqlx::query_scalar(RESERVED).bind(email).bind(user_id);
        query.bind(now).fetch_one(db).await
    })?;
    if reserved { Err(email_taken()) } else { Ok(()) }
}

async fn end_keys(context: &Context, user_id: i64) -> Result<()> {
    Kong::of(context)?.delete_keys_but(user_id, None).await?;
    key_delete::forget_but(context, user_id, None).await
}
