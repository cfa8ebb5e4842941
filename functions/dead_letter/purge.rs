//! Hourly: deletes dead letters that are past their time.

use axum::{extract::State, routing::post};
use chrono::TimeDelta;
use runtime::{Context, Function, Reply, Result};

use super::SERVICE;
use crate::purge::{Purge, purge, trusted_now};

pub const FUNCTION: Function =
    Function::new("dead-letter-purge", SERVICE, "deletes dead letters after 30 days")
        .every("50 * * * *", || post(handle));

const RETENTION: TimeDelta = TimeDelta::days(30);

async fn handle(State(context): State<Context>) -> Result<Reply> {
    const LETTERS: Purge = purge!("dead_letters", "id", "received_at < $1");
    let now = trusted_now(&context, "dead_letter_purges").await?;
    LETTERS.run(context.db()?, now - RETENTION).await?;
    Ok(Reply::NONE)
}
