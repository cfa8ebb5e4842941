//! Every five minutes: publishes dead letters again by itself, for most are of something that was away for longer than
//! the broker tries. What comes back is tried again later, for at least four hours.

use axum::{extract::State, routing::post};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use runtime::{Context, Function, Result, on};

use super::SERVICE;

pub const FUNCTION: Function =
    Function::new("dead-letter-resume", SERVICE, "publishes dead letters again, whose receivers were away")
        .every("*/5 * * * *", || post(handle))
        .publishes();

/// Between a letter and its replay.
pub(super) const PAUSE: TimeDelta = TimeDelta::minutes(10);
/// By itself: what fails so often is left to people.
pub(super) const MOST_REPLAYS: i32 = 24;

async fn handle(State(context): State<Context>) -> Result<StatusCode> {
    // One that is due far ahead is of a clock that was set back. Each is a batch of up to 16 MiB: one at a time.
    const DUE: &str = "SELECT id FROM dead_letters WHERE due_at <= $1 OR due_at > $2 ORDER BY due_at LIMIT 100";
    // One that cannot be published keeps no other from it.
    const TAKE: &str = "UPDATE dead_letters SET replays = replays + 1,
            due_at = CASE WHEN replays < $3 THEN $2 END
        WHERE id = $1";
    let (db, now): (_, DateTime<Utc>) = (context.db()?, context.clock().now());
    let next = now + PAUSE;
    let ids: Vec<i64> = on!(db.read(), db =>
        sqlx::query_scalar(DUE).bind(now).bind(next).fetch_all(db).await)?;
    let mut refused = None;
    for id in ids {
        on!(db.write(), db =>
            sqlx::query(TAKE).bind(id).bind(next).bind(MOST_REPLAYS).execute(db).await.map(drop))?;
        match super::publish_again(&context, id).await {
            Ok(()) => tracing::info!(id, "a dead letter was published again"),
            Err(error) => {
                tracing::error!(id, %error, "a dead letter cannot be published again");
                refused = Some(error);
            }
        }
    }
    refused.map_or(Ok(StatusCode::NO_CONTENT), Err)
}
