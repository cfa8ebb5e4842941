//! `POST /public/v1/logout`: deletes the key that the request uses.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, Result, error::ErrorBody};

use super::{DONE, Done, SERVICE, key_delete, kong::Kong};

pub const FUNCTION: Function = Function::new("user-logout", SERVICE, "revokes the key of the call")
    .http(runtime::http!(handle))
    .reads(runtime::settings!(super::kong::Kong));

#[utoipa::path(
    post, path = "/public/v1/logout", tag = "users", security(("apikey" = [])),
    responses(
        (status = 200, description = "The key is no longer good", body = Done),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>) -> Result<Json<Done>> {
    Kong::of(&context)?.delete_key(caller.user_id, &caller.credential_id).await?;
    key_delete::forget(&context, caller.user_id, &caller.credential_id).await?;
    Ok(DONE)
}
