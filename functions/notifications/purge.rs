//! Hourly: deletes expired deliveries, stored changes, tombstones, mail counts and addresses that were
//! never confirmed.

use axum::{extract::State, routing::post};
use chrono::TimeDelta;
use runtime::{Context, Db, Function, Reply, Result, on, sql};

use super::{SERVICE, addresses::links::LINK_LIFE};
use crate::purge::{Purge, TOMBSTONE_RETENTION, purge, trusted_now};

pub const FUNCTION: Function = Function::new(
    "notification-purge",
    SERVICE,
    "deletes deliveries after 90 days, those beyond an owner's newest 100,000, and old tombstones",
)
.every("35 * * * *", || post(handle));

const DELIVERY_RETENTION: TimeDelta = TimeDelta::days(90);
/// The newest deliveries kept per owner, so that endpoints that go up and down all the time do not fill
/// the disk.
const MAX_DELIVERIES_PER_USER: i64 = 100_000;
/// How long an event that is delivered again gets the same reply; brokers give up much earlier.
const CHANGE_RETENTION: TimeDelta = TimeDelta::days(7);

async fn handle(State(context): State<Context>) -> Result<Reply> {
    const DELIVERIES: Purge = purge!("deliveries", "id", "created_at < $1");
    const CHANGES: Purge = purge!("notification_changes", "endpoint_id, scheduled_at", "recorded_at < $1");
    const STATES: Purge = purge!("notification_states", "endpoint_id", "deleted_at < $1");
    const USERS: Purge = purge!("notification_user_tombstones", "user_id", "deleted_at < $1");
    const MAIL_COUNTS: Purge = purge!("notification_mail_counts", "subject", "window_ends < $1");
    const UNCONFIRMED: Purge = purge!(
        "notification_addresses",
        "address, user_id",
        "confirmed_at IS NULL AND unsubscribed_at IS NULL AND mailed_at < $1"
    );
    let (db, now) = (context.db()?, trusted_now(&context, "notification_purges").await?);
    DELIVERIES.run(db, now - DELIVERY_RETENTION).await?;
    CHANGES.run(db, now - CHANGE_RETENTION).await?;
    STATES.run(db, now - TOMBSTONE_RETENTION).await?;
    USERS.run(db, now - TOMBSTONE_RETENTION).await?;
    MAIL_COUNTS.run(db, now.timestamp()).await?;
    UNCONFIRMED.run(db, (now - LINK_LIFE).timestamp()).await?;
    purge_beyond(db, MAX_DELIVERIES_PER_USER).await?;
    Ok(Reply::NONE)
}

/// Deletes the oldest deliveries of owners with more than `max`, except waiting ones; in batches, like
/// [`Purge`].
async fn purge_beyond(db: &Db, max: i64) -> Result<()> {
    // Goes from one owner to the next by the index, however many deliveries they have.
    sql!(
        OWNERS = "WITH RECURSIVE owners AS (
            SELECT MIN(user_id) AS user_id FROM deliveries
            UNION ALL
            SELECT (SELECT MIN(d.user_id) FROM deliveries d WHERE d.user_id > owners.user_id) FROM owners
            WHERE owners.user_id IS NOT NULL)
        SELECT user_id FROM owners WHERE user_id IS NOT NULL"
    );
    sql!(NEWEST_BEYOND = "SELECT id FROM deliveries WHERE user_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2");
    sql!(
        DELETE = "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries
        WHERE user_id = $1 AND id <= $2 AND status <> 'pending' LIMIT 5000)"
    );
    let owners: Vec<i64> = on!(db.read(), db => sqlx::query_scalar(OWNERS).fetch_all(db).await)?;
    for owner in owners {
        let beyond: Option<i64> = on!(db.read(), db =>
            sqlx::query_scalar(NEWEST_BEYOND).bind(owner).bind(max).fetch_optional(db).await)?;
        let Some(beyond) = beyond else { continue };
        while on!(db.write(), db =>
            sqlx::query(DELETE).bind(owner).bind(beyond).execute(db).await.map(|done| done.rows_affected()))?
            > 0
        {}
    }
    Ok(())
}
