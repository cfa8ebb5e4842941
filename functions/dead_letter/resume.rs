//! Every five minutes: publishes dead letters again by itself, for most are of something that was away for longer than
//! the broker tries. What comes back is tried again later, for at least four hours.

use axum::{extract::State, routing::post};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use runtime::{Context, Function, Result, on, sql};

use super::{REPLAY_DELAY, SERVICE, publish_again};

pub const FUNCTION: Function = Function::new(
    "dead-letter-resume",
    SERVICE,
    "publishes dead letters again after their receivers were away",
)
.every("*/5 * * * *", || post(handle))
.publishes();

/// Less than the five minutes until the next run.
const MAX_RUN: TimeDelta = TimeDelta::minutes(4);

async fn handle(State(context): State<Context>) -> Result<StatusCode> {
    // One that is due far ahead is of a clock that was set back. Each is a batch of up to 16 MiB: one at a time.
    sql!(DUE = "SELECT id FROM dead_letters WHERE due_at <= $1 OR due_at > $2 ORDER BY due_at LIMIT 1");
    sql!(SET_DUE = "UPDATE dead_letters SET due_at = $2 WHERE id = $1");
    sql!(COUNT = "UPDATE dead_letters SET replays = replays + 1 WHERE id = $1");
    let (db, began) = (context.db()?, context.clock().now());
    loop {
        let now = context.clock().now();
        let next = now + REPLAY_DELAY;
        let due: Option<i64> = on!(db.read(), db =>
            sqlx::query_scalar(DUE).bind(now).bind(next).fetch_optional(db).await)?;
        let Some(id) = due.filter(|_| now - began < MAX_RUN) else { return Ok(StatusCode::NO_CONTENT) };
        let set_due = async |due_at: Option<DateTime<Utc>>| -> Result<()> {
            on!(db.write(), db => sqlx::query(SET_DUE).bind(id).bind(due_at).execute(db).await.map(drop))?;
            Ok(())
        };
        // It is out of the way of the others, whatever becomes of it.
        set_due(Some(next)).await?;
        match publish_again(&context, id).await {
            Ok(()) => {
                on!(db.write(), db => sqlx::query(COUNT).bind(id).execute(db).await.map(drop))?;
                tracing::info!(id, "a dead letter was published again");
            }
            // The broker is away: so it is for the others.
            Err(error) if error.status().is_server_error() => return Err(error),
            Err(error) => {
                set_due(None).await?;
                tracing::error!(id, %error, "a dead letter cannot be published again: it is left to people");
            }
        }
    }
}
