//! `DELETE /public/v1/user`: deletes the caller, the caller's keys and all data of the caller.

use axum::extract::State;
use http::StatusCode;
use runtime::{Caller, Context, Function, Outgoing, Result, error::ErrorBody};

use super::{SERVICE, forget::forget};
use contract::{UserDeleted, kind};

pub const FUNCTION: Function =
    Function::new("user-delete", SERVICE, "deletes the caller's account, keys and all objects")
        .http(runtime::http!(handle))
        .reads(runtime::settings!(super::kong::Kong))
        .publishes();

/// Every step can be repeated, and the key is deleted last: after an error, simply try again.
#[utoipa::path(
    delete, path = "/public/v1/user", tag = "users", security(("apikey" = [])),
    responses(
        (status = 204, description = "Deleted"),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>) -> Result<StatusCode> {
    let user_id = caller.user_id;
    let id = format!("user-{user_id}-deleted");
    let gone = UserDeleted { user_id };
    let event = Outgoing::new("user-delete", kind::USER_DELETED, id, context.clock().now(), &gone)?
        .of_owners([user_id]);
    // Without the two-second limit of `Context::publish`: if the broker missed this event, the other data
    // would never be deleted.
    context.outbound().publish(event).await?;
    forget(&context, user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
