//! `user.deleted`: removes the endpoints of a user who is gone.

use axum::{extract::State, routing::post};
use runtime::{Context, Event, Function, Reply, Result, Subscription, on};

use super::SERVICE;
use crate::contract::{UserDeleted, kind};

pub const FUNCTION: Function =
    Function::new("endpoint-forget", SERVICE, "removes the endpoints of a user who is gone")
        .on(&[Subscription::to(kind::USER_DELETED)], || post(handle));

async fn handle(State(context): State<Context>, event: Event<UserDeleted>) -> Result<Reply> {
    static REMEMBER: &str = "INSERT INTO endpoint_gone_users (user_id) VALUES ($1) ON CONFLICT DO NOTHING";
    static DELETE: &str = "DELETE FROM endpoints WHERE user_id = $1";
    let user_id = event.data.user_id;
    let mut tx = context.db()?.begin().await?;
    on!(tx.connection(), db => sqlx::query(REMEMBER).bind(user_id).execute(db).await.map(drop))?;
    on!(tx.connection(), db => sqlx::query(DELETE).bind(user_id).execute(db).await.map(drop))?;
    tx.commit().await?;
    Ok(Reply::NONE)
}
