//! Hourly: deletes what is past its time of the log of deliveries, of replies, of what was deleted, of counts of mails
//! and of addresses that nobody confirmed.

use axum::{extract::State, routing::post};
use chrono::TimeDelta;
use runtime::{Context, Function, Reply, Result};

use super::{SERVICE, addresses};
use crate::purge::{Purge, TOMBSTONE_RETENTION, purge, trusted_now};

pub const FUNCTION: Function = Function::new(
    "notification-purge",
    SERVICE,
    "deletes deliveries after 90 days, and what is remembered of changes and deletions",
)
.every("35 * * * *", || post(handle));

const DELIVERY_RETENTION: TimeDelta = TimeDelta::days(90);
/// A redelivered event is given the same reply for so long; brokers give up much earlier.
const CHANGE_RETENTION: TimeDelta = TimeDelta::days(7);

async fn handle(State(context): State<Context>) -> Result<Reply> {
    const DELIVERIES: Purge = purge!("deliveries", "id", "created_at < $1");
    const CHANGES: Purge = purge!("notification_changes", "endpoint_id, slot", "recorded_at < $1");
    const STATES: Purge = purge!("notification_states", "endpoint_id", "deleted_at < $1");
    const USERS: Purge = purge!("notification_forgotten_users", "user_id", "deleted_at < $1");
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
    UNCONFIRMED.run(db, (now - addresses::LINK_LIFE).timestamp()).await?;
    Ok(Reply::NONE)
}
