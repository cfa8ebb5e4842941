//! Hourly: deletes links, counts of tries, networks and half-made sign-ups that are past their time.

use axum::{extract::State, routing::post};
use chrono::TimeDelta;
use runtime::{Context, Function, Reply, Result, on};

use super::{SERVICE, tries::NETWORK_RETENTION};

pub const FUNCTION: Function = Function::new(
    "user-purge",
    SERVICE,
    "deletes mailed links, counts of failed logins and half-made sign-ups that are past their time",
)
.every("25 * * * *", || post(handle));

/// Rows of one statement: others write in between.
const BATCH_LEN: i64 = 5000;
/// A sign-up of a process that was killed frees its address long before ([`super::signup`]).
const SIGNUP_RETENTION: TimeDelta = TimeDelta::days(1);

async fn handle(State(context): State<Context>) -> Result<Reply> {
    static LINKS: &str = "DELETE FROM password_resets WHERE token_hash IN \
         (SELECT token_hash FROM password_resets WHERE expires_at < $1 LIMIT $2)";
    static SIGNUPS: &str = "DELETE FROM users WHERE id IN \
         (SELECT id FROM users WHERE activated_at IS NULL AND created_at < $1 LIMIT $2)";
    static TRIES: &str = "DELETE FROM user_tries WHERE (account, network) IN \
         (SELECT account, network FROM user_tries WHERE window_ends < $1 LIMIT $2)";
    static NETWORKS: &str = "DELETE FROM user_networks WHERE (user_id, network) IN \
         (SELECT user_id, network FROM user_networks WHERE seen_at < $1 LIMIT $2)";
    let (db, now) = (context.db()?, context.clock().now());
    for (purge, before) in [(LINKS, now), (SIGNUPS, now - SIGNUP_RETENTION)] {
        while on!(db.write(), db => {
            let purge = sqlx::query(purge).bind(before).bind(BATCH_LEN);
            purge.execute(db).await.map(|done| done.rows_affected())
        })? > 0
        {}
    }
    for (purge, before) in [(TRIES, now), (NETWORKS, now - NETWORK_RETENTION)] {
        while on!(db.write(), db => {
            let purge = sqlx::query(purge).bind(before.timestamp()).bind(BATCH_LEN);
            purge.execute(db).await.map(|done| done.rows_affected())
        })? > 0
        {}
    }
    Ok(Reply::NONE)
}
