//! `user.deleted`, `endpoint.deleted`: deletes endpoints after they or their user were deleted; completes interrupted
//! deletions.

use axum::{extract::State, routing::post};
use runtime::{Context, Event, Function, Reply, Result, Subscription, db::On, input, on, sql};
use serde_json::value::RawValue;

use super::{SERVICE, lock_user};
use crate::purge::{Purge, purge, tombstones_before};
use contract::{EndpointDeleted, UserDeleted, kind};

pub const FUNCTION: Function = Function::new(
    "endpoint-forget",
    SERVICE,
    "deletes an endpoint's data after its user was deleted; completes interrupted deletions",
)
.on(&[Subscription::to(kind::USER_DELETED), Subscription::to(kind::ENDPOINT_DELETED)], || post(handle));

async fn handle(State(context): State<Context>, event: Event<Box<RawValue>>) -> Result<Reply> {
    let json = event.data.get().as_bytes();
    if event.kind == kind::USER_DELETED {
        user_gone(&context, input::parse(json)?).await?;
    } else {
        endpoint_gone(&context, input::parse(json)?).await?;
    }
    Ok(Reply::NONE)
}

async fn endpoint_gone(context: &Context, gone: EndpointDeleted) -> Result<()> {
    sql!(LISTS = "DELETE FROM endpoint_maintenance_endpoints WHERE endpoint_id = $1");
    sql!(DELETE = "DELETE FROM endpoints WHERE id = $1 AND user_id = $2");
    let mut tx = context.db()?.begin().await?;
    lock_user(&mut tx, gone.user_id).await?;
    // Maintenances before endpoints, as everywhere: with one lock order, transactions cannot deadlock.
    on!(tx.connection(), db => {
        sqlx::query(LISTS).bind(gone.endpoint_id).execute(&mut *db).await?;
        sqlx::query(DELETE).bind(gone.endpoint_id).bind(gone.user_id).execute(db).await?;
    });
    tx.commit().await
}

async fn user_gone(context: &Context, gone: UserDeleted) -> Result<()> {
    sql!(NEWEST = "SELECT MAX(deleted_at) FROM endpoint_user_tombstones");
    sql!(
        REMEMBER = "INSERT INTO endpoint_user_tombstones (user_id, deleted_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    );
    const TOMBSTONES: Purge = purge!("endpoint_user_tombstones", "user_id", "deleted_at < $1");
    sql!(MAINTENANCES = "DELETE FROM endpoint_maintenances WHERE user_id = $1");
    // In the order of their ids, as everywhere: with one lock order, transactions cannot deadlock.
    sql!(POSTGRES_LOCK = "SELECT id FROM endpoints WHERE user_id = $1 ORDER BY id FOR UPDATE");
    sql!(DELETE = "DELETE FROM endpoints WHERE user_id = $1");
    sql!(COUNT = "DELETE FROM endpoint_counts WHERE user_id = $1");
    let (db, now) = (context.db()?, context.clock().now());
    let newest: Option<i64> = on!(db.read(), db => sqlx::query_scalar(NEWEST).fetch_one(db).await)?;
    let mut tx = db.begin().await?;
    lock_user(&mut tx, gone.user_id).await?;
    on!(tx.connection(), db => {
        sqlx::query(REMEMBER).bind(gone.user_id).bind(now.timestamp()).execute(&mut *db).await?;
        sqlx::query(MAINTENANCES).bind(gone.user_id).execute(&mut *db).await?;
    });
    if let On::Postgres(db) = tx.connection() {
        sqlx::query(POSTGRES_LOCK).bind(gone.user_id).execute(db).await?;
    }
    on!(tx.connection(), db => {
        for statement in [DELETE, COUNT] {
            sqlx::query(statement).bind(gone.user_id).execute(&mut *db).await?;
        }
    });
    tx.commit().await?;
    TOMBSTONES.run(db, tombstones_before(newest, now)).await
}
