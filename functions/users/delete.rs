//! `DELETE /public/v1/user`: removes the caller, the keys, and all that the caller owned.

use axum::{extract::State, routing::post};
use http::StatusCode;
use runtime::{
    Caller, Context, Event, Function, Outgoing, Reply, Result, Subscription, error::ErrorBody, on,
};

use super::{SERVICE, kong::Kong};
use crate::contract::{UserDeleted, kind};

pub const FUNCTION: Function =
    Function::new("user-delete", SERVICE, "removes the caller, the keys, and all that the caller owned")
        .http(runtime::http!(handle))
        .on(&[Subscription::to(kind::USER_DELETED)], || post(finish))
        .reads(runtime::settings!(super::kong::Kong))
        .publishes();

/// Each step can be repeated, and the key goes last: who gets an error can simply try again.
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
    let event = Outgoing::new("user-delete", kind::USER_DELETED, id, context.clock().now(), &gone)?;
    context.outbound().publish(event).await?;
    remove(&context, user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `user.deleted`: does what is left to do when the call itself was cut off.
async fn finish(State(context): State<Context>, event: Event<UserDeleted>) -> Result<Reply> {
    remove(&context, event.data.user_id).await?;
    Ok(Reply::NONE)
}

async fn remove(context: &Context, user_id: i64) -> Result<()> {
    static DELETE: &str = "DELETE FROM users WHERE id = $1";
    on!(context.db()?.write(), db => sqlx::query(DELETE).bind(user_id).execute(db).await.map(drop))?;
    Kong::of(context)?.delete_consumer(user_id).await
}
