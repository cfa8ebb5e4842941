//! Notifications, the up/down state machine, and the log of deliveries.
//!
//! `check.completed` -> [`evaluate`] -> `status.changed`, `region.changed` -> [`dispatch`] ->
//! `notification.requested` -> a sender ([`senders`]) -> `notification.delivered` ->
//! [`deliveries::record`]. Deliveries that cannot be sent yet wait in [`deliveries::queue`].

pub mod addresses;
mod changes;
pub(crate) mod config;
pub mod create;
pub mod delete;
pub mod deliveries;
pub mod dispatch;
pub mod evaluate;
pub mod forget;
pub mod get;
pub mod kind_list;
pub mod list;
pub mod notification;
pub mod observe;
pub mod private_call;
pub mod private_get;
pub mod private_list;
pub mod purge;
pub(crate) mod region_outage;
pub mod row;
pub mod senders;
pub mod state;
pub mod test;
pub mod update;

use chrono::TimeDelta;
use runtime::{
    Context, Error, Result, Text,
    db::{On, Transaction},
    sql,
};

use crate::{endpoints, words};

pub const SERVICE: &str = "notification-service";

/// More than the difference between two clocks. A time further in the future was written before a clock
/// was set back.
const MAX_AHEAD: TimeDelta = TimeDelta::minutes(2);

fn yes() -> bool {
    true
}

/// Until the transaction ends, no other transaction creates or deletes this user's notifications.
async fn lock_user(transaction: &mut Transaction, user_id: i64) -> Result<()> {
    sql!(POSTGRES_LOCK = "SELECT pg_advisory_xact_lock(hashtext('notifications'), hashint8($1))");
    // SQLite has one writer at a time.
    if let On::Postgres(db) = transaction.connection() {
        sqlx::query(POSTGRES_LOCK).bind(user_id).execute(db).await?;
    }
    Ok(())
}

/// Returns the IDs sorted and without duplicates; fails if one is not the user's own.
async fn check_endpoints(context: &Context, user_id: i64, ids: Option<Vec<i64>>) -> Result<Option<Vec<i64>>> {
    let Some(ids) = ids else { return Ok(None) };
    let refuse = |what: Text| Error::field("endpoint_ids", what);
    let ids = crate::id_list::unique(ids).map_err(refuse)?;
    // The IDs are sorted: invalid ones (below 1) come first.
    let possible = &ids[ids.partition_point(|id| *id < 1)..];
    let found = endpoints::private_list::briefs(context, possible).await?.items;
    let is_own = |id: i64| found.iter().any(|e| e.id == id && e.user_id == user_id);
    if let Some(id) = ids.iter().find(|id| !is_own(**id)) {
        return Err(refuse(words::no_such_endpoint(id).into()));
    }
    Ok(Some(ids))
}
