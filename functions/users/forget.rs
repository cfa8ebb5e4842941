//! Event `user.deleted`: completes a deletion that was interrupted.
//!
//! Separate from `user-delete`, which is public HTTP: a public function receives no events.

use axum::{extract::State, routing::post};
use runtime::{Context, Event, Function, Reply, Result, Subscription, on, sql};

use super::{SERVICE, kong::Kong};
use contract::{UserDeleted, kind};

pub const FUNCTION: Function =
    Function::new("user-forget", SERVICE, "completes the deletion of a user after an interruption")
        .on(&[Subscription::to(kind::USER_DELETED)], || post(handle))
        .reads(runtime::settings!(super::kong::Kong));

async fn handle(State(context): State<Context>, event: Event<UserDeleted>) -> Result<Reply> {
    forget(&context, event.data.user_id).await?;
    Ok(Reply::NONE)
}

/// Deletes the user, then the keys. Each step can be repeated.
pub async fn forget(context: &Context, user_id: i64) -> Result<()> {
    sql!(DELETE = "DELETE FROM users WHERE id = $1");
    on!(context.db()?.write(), db => sqlx::query(DELETE).bind(user_id).execute(db).await.map(drop))?;
    Kong::of(context)?.delete_consumer(user_id).await
}
