//! `DELETE /public/v1/keys/{id}`: deletes a named key.

use axum::extract::State;
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Id, Result, error::ErrorBody, on, sql};

use super::{SERVICE, kong::Kong};

pub const FUNCTION: Function = Function::new("key-delete", SERVICE, "revokes a named key")
    .http(runtime::http!(handle))
    .reads(runtime::settings!(super::kong::Kong));

#[utoipa::path(
    delete, path = "/public/v1/keys/{id}", tag = "keys", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 204, description = "The key is no longer good"),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such key of the caller's", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(id): Id) -> Result<StatusCode> {
    sql!(FIND = "SELECT credential_id FROM user_keys WHERE id = $1 AND user_id = $2");
    let found: Option<String> = on!(context.db()?.read(), db => {
        sqlx::query_scalar(FIND).bind(id).bind(caller.user_id).fetch_optional(db).await
    })?;
    let credential_id = found.ok_or_else(Error::not_found)?;
    // Delete it at the gateway first: a key that still works must still be listed.
    Kong::of(&context)?.delete_key(caller.user_id, &credential_id).await?;
    forget(&context, caller.user_id, &credential_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a key from the list after the gateway deleted it (login keys are not listed).
pub(super) async fn forget(context: &Context, user_id: i64, credential_id: &str) -> Result<()> {
    sql!(DELETE = "DELETE FROM user_keys WHERE user_id = $1 AND credential_id = $2");
    on!(context.db()?.write(), db => {
        sqlx::query(DELETE).bind(user_id).bind(credential_id).execute(db).await.map(drop)
    })?;
    Ok(())
}

/// Removes all keys of a user from the list, except one.
pub(super) async fn forget_but(context: &Context, user_id: i64, kept: Option<&str>) -> Result<()> {
    sql!(DELETE = "DELETE FROM user_keys WHERE user_id = $1 AND credential_id <> COALESCE($2, '')");
    on!(context.db()?.write(), db => sqlx::query(DELETE).bind(user_id).bind(kept).execute(db).await.map(drop))?;
    Ok(())
}
