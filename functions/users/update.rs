//! `PATCH /public/v1/user`: changes e-mail address or password; a new password ends all other keys.

use axum::{Json, extract::State};
use http::StatusCode;
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
.http(runtime::http!(handle))
.reads(runtime::settings!(super::kong::Kong));

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
    let updated = on!(context.db()?.write(), db => {
        sqlx::query(UPDATE).bind(caller.user_id).bind(email).bind(hash).bind(now).execute(db).await.map(drop)
    });
    updated.on_unique(email_taken)?;
    if ends_keys {
        // After the change, so that nobody gets a key by the old password any more.
        end_keys(&context, &caller).await.map_err(|error| {
            tracing::error!(%error, "the keys could not be ended");
            Error::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "KEYS_LEFT",
                text(
                    "The password is changed, but your other keys could not be ended. Please change it again.",
                    "비밀번호는 변경되었지만 다른 키를 끝내지 못했습니다. 다시 변경해 주세요.",
                ),
            )
        })?;
    }
    find(&context, caller.user_id).await.map(Json)
}

async fn end_keys(context: &Context, caller: &Caller) -> Result<()> {
    let kept = Some(caller.credential_id.as_str());
    Kong::of(context)?.delete_keys_but(caller.user_id, kept).await?;
    key_delete::forget_but(context, caller.user_id, kept).await
}
