//! Hourly: deletes counts of mails, and addresses that nobody confirmed, that are past their time.

use axum::{extract::State, routing::post};
use runtime::{Context, Function, Reply, Result, on};

use super::{links::LINK_LIFE, seconds};
use crate::notifications::SERVICE;

pub const FUNCTION: Function = Function::new(
    "address-purge",
    SERVICE,
    "deletes counts of mails, and addresses that nobody confirmed, that are past their time",
)
.every("35 * * * *", || post(handle));

/// Rows of one statement: others write in between.
const BATCH_LEN: i64 = 5000;

async fn handle(State(context): State<Context>) -> Result<Reply> {
    const COUNTS: &str = "DELETE FROM notification_mail_counts WHERE subject IN
        (SELECT subject FROM notification_mail_counts WHERE window_ends < $1 LIMIT $2)";
    const ADDRESSES: &str = "DELETE FROM notification_addresses WHERE (address, user_id) IN
        (SELECT address, user_id FROM notification_addresses
         WHERE confirmed_at IS NULL AND unsubscribed_at IS NULL AND mailed_at < $1 LIMIT $2)";
    let (db, now) = (context.db()?, context.clock().now());
    for (purge, before) in [(COUNTS, now), (ADDRESSES, now - LINK_LIFE)] {
        while on!(db.write(), db => {
            let purge = sqlx::query(purge).bind(seconds(before)).bind(BATCH_LEN);
            purge.execute(db).await.map(|done| done.rows_affected())
        })? > 0
        {}
    }
    Ok(Reply::NONE)
}
