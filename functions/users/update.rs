//! `PATCH /public/v1/user`: changes e-mail address or password; a new password ends all other keys.

use axum::{Json, extract::State};
use runtime::{
    Caller, Context, Error, Fields, Function, Input, Result, error::ErrorBody, error::OnConstraint, on, text,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    SERVICE, User, check_email, check_password, email_taken, find, key_delete, kong::Kong, normalized,
    password, wrong_password,
};

pub const FUNCTION: Function = Function::new(
    "user-update",
    SERVICE,
    "changes e-mail address or password; a new password ends all other keys",
)
.http(runtime::http!(handle));

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    #[schema(example = "new@example.com")]
    email: Option<String>,
    #[schema(example = "another horse battery", min_length = 8)]
    password: Option<String>,
    /// Proof that it is not just somebody at an unlocked screen.
    #[schema(example = "correct horse battery")]
    current_password: String,
}

#[utoipa::path(
    patch, path = "/public/v1/user", tag = "users", security(("apikey" = [])), request_body = Change,
    responses(
        (status = 200, description = "Changed", body = User),
        (status = 400, description = "A field is not acceptable", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 409, description = "EMAIL_TAKEN", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Input(change): Input<Change>,
) -> Result<Json<User>> {
    static HASH: &str = "SELECT password_hash FROM users WHERE id = $1 AND activated_at IS NOT NULL";
    static UPDATE: &str = "UPDATE users SET email = COALESCE($2, email), \
         password_hash = COALESCE($3, password_hash), updated_at = $4 WHERE id = $1";
    let mut fields = Fields::default();
    let email = change.email.as_deref().map(normalized);
    if let Some(email) = &email {
        check_email(&mut fields, email);
    }
    if let Some(password) = &change.password {
        check_password(&mut fields, "password", password);
    }
    fields.finish()?;
    let hash: Option<String> = on!(context.db()?.read(), db => {
        sqlx::query_scalar(HASH).bind(caller.user_id).fetch_optional(db).await
    })?;
    if hash.is_none() {
        return Err(Error::not_found());
    }
    if change.current_password.len() > 1024 || !password::fits(change.current_password, hash).await? {
        return Err(Error::field("current_password", wrong_password()));
    }
    if change.email.is_none() && change.password.is_none() {
        return Err(Error::field("body", text("nothing to change", "변경할 내용이 없습니다")));
    }
    let ends_keys = change.password.is_some();
    let hash = match change.password {
        Some(password) => Some(password::hash(password).await?),
        None => None,
    };
    let now = context.clock().now();
    let mut tx = context.db()?.begin().await?;
    let updated = on!(tx.connection(), db => {
        sqlx::query(UPDATE).bind(caller.user_id).bind(email).bind(hash).bind(now).execute(db).await.map(drop)
    });
    updated.on_unique(email_taken)?;
    if ends_keys {
        // Before the commit: if the keys cannot be ended, the old password stays, and one tries again.
        Kong::of(&context)?.delete_keys_but(caller.user_id, Some(&caller.credential_id)).await?;
        key_delete::forget_but(&mut tx, caller.user_id, Some(&caller.credential_id)).await?;
    }
    tx.commit().await?;
    find(&context, caller.user_id).await.map(Json)
}
