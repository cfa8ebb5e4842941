//! `DELETE /public/v1/user`: removes the caller, the keys, and all that the caller owned.

use axum::extract::State;
use http::StatusCode;
use runtime::{Caller, Context, Function, Outgoing, Result, error::ErrorBody, on};

use super::{SERVICE, kong::Kong};
use crate::contract::{UserDeleted, kind};

pub const FUNCTION: Function =
    Function::new("user-delete", SERVICE, "removes the caller, the keys, and all that the caller owned")
        .http(runtime::http!(handle));

/// Each step can be repeated, and the key goes last: who gets an error can simply try again.
#[utoipa::path(
    delete, path = "/public/v1/user", tag = "users", security(("apikey" = [])),
    responses(
        (status = 204, description = "Deleted"),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>) -> Result<StatusCode> {
    static DELETE: &str = "DELETE FROM users WHERE id = $1";
    let user_id = caller.user_id;
    let id = format!("user-{user_id}-deleted");
    let gone = UserDeleted { user_id };
    let event = Outgoing::new("user-delete", kind::USER_DELETED, id, context.clock().now(), &gone)?;
    context.outbound().publish(event).await?;
    on!(context.db()?.write(), db => sqlx::query(DELETE).bind(user_id).execute(db).await.map(drop))?;
    Kong::of(&context)?.delete_consumer(user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
