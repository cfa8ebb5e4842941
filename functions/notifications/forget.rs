//! Events `user.deleted` and `endpoint.deleted`: deletes the data here too, and leaves tombstones so that
//! a late result does not bring it back.

use axum::extract::State;
use chrono::{DateTime, Utc};
use runtime::{Context, Db, Error, Event, Function, Reply, Result, Subscription, db::On, on, sql};
use serde::Deserialize;

use super::{SERVICE, deliveries::queue, region_outage};
use crate::words;
use contract::{EndpointDeleted, UserDeleted, kind};

pub const FUNCTION: Function =
    Function::new("notification-forget", SERVICE, "deletes what belonged to a deleted user or endpoint")
        .on(&[Subscription::to(kind::USER_DELETED), Subscription::to(kind::ENDPOINT_DELETED)], || {
            axum::routing::post(handle)
        });

/// `endpoint.deleted` also holds the user ID, so it is tried first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Deleted {
    Endpoint(EndpointDeleted),
    User(UserDeleted),
}

async fn handle(State(context): State<Context>, event: Event<Deleted>) -> Result<Reply> {
    let (db, now) = (context.db()?, context.clock().now());
    match (event.kind.as_str(), event.data) {
        (kind::ENDPOINT_DELETED, Deleted::Endpoint(gone)) => {
            forget_endpoint(db, gone.user_id, gone.endpoint_id, now).await?;
        }
        (kind::USER_DELETED, Deleted::User(gone)) => forget_user(db, gone.user_id, now).await?,
        // Data of the other event type is refused: treating it as such would delete too much.
        _ => {
            return Err(Error::field("data", words::DOES_NOT_FIT_EVENT_TYPE));
        }
    }
    Ok(Reply::NONE)
}

async fn forget_user(db: &Db, user_id: i64, now: DateTime<Utc>) -> Result<()> {
    sql!(
        TOMBSTONE = "INSERT INTO notification_user_tombstones (user_id, deleted_at)
        VALUES ($1, $2) ON CONFLICT DO NOTHING"
    );
    sql!(
        POSTGRES_LOCK = "SELECT endpoint_id FROM notification_states WHERE user_id = $1
        ORDER BY endpoint_id FOR UPDATE"
    );
    sql!(
        STATES = "UPDATE notification_states SET deleted_at = $2, cause = NULL
        WHERE user_id = $1 AND deleted_at IS NULL"
    );
    // Also deletes their deliveries.
    sql!(NOTIFICATIONS = "DELETE FROM notifications WHERE user_id = $1");
    sql!(CHANGES = "DELETE FROM notification_changes WHERE user_id = $1");
    sql!(ADDRESSES = "DELETE FROM notification_addresses WHERE user_id = $1");
    sql!(READER = "DELETE FROM notification_readers WHERE user_id = $1");
    sql!(REGION_OUTAGES = "DELETE FROM notification_region_outages WHERE user_id = $1");
    // The tombstone comes first, and is committed: a transaction that creates a state later sees it, and
    // the statements below see any earlier state.
    on!(db.write(), db => sqlx::query(TOMBSTONE).bind(user_id).bind(now).execute(db).await.map(drop))?;
    let mut transaction = db.begin().await?;
    super::lock_user(&mut transaction, user_id).await?;
    // Every transaction locks tables in one order, and rows by ID: states, region outages, changes, then,
    // with the queue's lock, notifications and deliveries. This prevents deadlocks.
    if let On::Postgres(db) = transaction.connection() {
        sqlx::query(POSTGRES_LOCK).bind(user_id).execute(db).await?;
    }
    on!(transaction.connection(), db =>
        sqlx::query(STATES).bind(user_id).bind(now).execute(db).await.map(drop))?;
    region_outage::lock(&mut transaction).await?;
    on!(transaction.connection(), db => {
        sqlx::query(REGION_OUTAGES).bind(user_id).execute(&mut *db).await?;
        sqlx::query(CHANGES).bind(user_id).execute(db).await?;
    });
    queue::lock(&mut transaction).await?;
    on!(transaction.connection(), db => {
        sqlx::query(NOTIFICATIONS).bind(user_id).execute(&mut *db).await?;
        sqlx::query(ADDRESSES).bind(user_id).execute(&mut *db).await?;
        sqlx::query(READER).bind(user_id).execute(db).await?;
    });
    transaction.commit().await
}

async fn forget_endpoint(db: &Db, user_id: i64, endpoint_id: i64, now: DateTime<Utc>) -> Result<()> {
    // The row stays as its own tombstone: an evaluator waits for its lock, or finds it.
    sql!(
        STATE = "INSERT INTO notification_states
            (endpoint_id, user_id, status, run, last_scheduled_at, deleted_at)
        VALUES ($1, $2, 'pending', 0, 0, $3)
        ON CONFLICT (endpoint_id) DO UPDATE SET deleted_at = $3, cause = NULL"
    );
    sql!(CHANGES = "DELETE FROM notification_changes WHERE endpoint_id = $1");
    // A list that becomes empty stays a list: it covers no endpoint, and never turns into "all".
    sql!(LISTS = "DELETE FROM notification_endpoints WHERE endpoint_id = $1");
    sql!(DELIVERIES = "DELETE FROM deliveries WHERE endpoint_id = $1");
    let mut transaction = db.begin().await?;
    on!(transaction.connection(), db => {
        sqlx::query(STATE).bind(endpoint_id).bind(user_id).bind(now).execute(&mut *db).await?;
        sqlx::query(CHANGES).bind(endpoint_id).execute(db).await?;
    });
    queue::lock(&mut transaction).await?;
    on!(transaction.connection(), db => {
        sqlx::query(LISTS).bind(endpoint_id).execute(&mut *db).await?;
        sqlx::query(DELIVERIES).bind(endpoint_id).execute(db).await?;
    });
    transaction.commit().await
}
