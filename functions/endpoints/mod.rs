//! Endpoints, and when each is due for a check.

pub mod announce;
pub mod claim;
pub mod complete;
mod config;
pub mod confirm;
pub mod create;
pub mod delete;
mod endpoint;
pub mod forget;
pub mod get;
pub mod kind_list;
pub mod list;
pub mod maintenances;
pub mod observe;
pub mod private_get;
pub mod private_list;
mod quota;
pub mod reason;
pub(crate) mod requests;
mod settings;
mod start;
pub mod totals;
pub mod update;
mod validate;

use chrono::TimeDelta;
use runtime::{
    Db, Error, Result,
    db::{On, Transaction},
    on, sql,
};

pub(crate) use config::{address, open_target, patched};
pub(crate) use endpoint::columns;
pub use endpoint::{Endpoint, OwnedEndpoint};
pub use quota::QuotaConfig;
pub use settings::Settings;

pub const SERVICE: &str = "endpoint-service";

/// How far ahead scheduled times are claimed: a minute, and some seconds more because the next tick of the schedule
/// may be late.
pub const CLAIM_AHEAD: TimeDelta = TimeDelta::seconds(65);

// The number of a user's endpoints, which triggers maintain.
sql!(COUNT = "SELECT COALESCE((SELECT endpoints FROM endpoint_counts WHERE user_id = $1), 0)");

/// Locks the user until the transaction ends: no other transaction adds data for this user, or deletes the user's
/// data.
async fn lock_user(transaction: &mut Transaction, user_id: i64) -> Result<()> {
    sql!(POSTGRES_LOCK = "SELECT pg_advisory_xact_lock(hashtext('endpoints'), hashint8($1))");
    // SQLite has one writer at a time.
    if let On::Postgres(db) = transaction.connection() {
        sqlx::query(POSTGRES_LOCK).bind(user_id).execute(db).await?;
    }
    Ok(())
}

/// Begins a transaction that adds data for a user. Two at the same time cannot exceed a quota together. Refuses a
/// deleted user, whose key the gateway may still accept for a moment.
async fn begin_adding(db: &Db, user_id: i64) -> Result<Transaction> {
    sql!(GONE = "SELECT EXISTS (SELECT 1 FROM endpoint_user_tombstones WHERE user_id = $1)");
    let mut tx = db.begin().await?;
    lock_user(&mut tx, user_id).await?;
    let gone: bool = on!(tx.connection(), db => sqlx::query_scalar(GONE).bind(user_id).fetch_one(db).await)?;
    if gone { Err(Error::unauthorized()) } else { Ok(tx) }
}
