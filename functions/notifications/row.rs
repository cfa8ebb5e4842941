//! A notification as it is stored.

use channels::{Config, Kind};
use chrono::{DateTime, Utc};
use runtime::{
    Context, Db, Error, Result,
    db::{JsonText, Transaction},
    on, sql,
};

use super::config::{open, stored_kind};
use crate::id_list::{IdList, id_list};

/// A row of the table.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub id: i64,
    pub user_id: i64,
    pub name: String,
    pub kind: String,
    pub sealed_config: String,
    pub endpoint_ids: Option<JsonText<Vec<i64>>>,
    pub send_degraded: bool,
    pub enabled: bool,
    pub failures: i64,
    pub failed_at: Option<DateTime<Utc>>,
    pub not_before: Option<DateTime<Utc>>,
    pub tested_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Row {
    pub fn kind(&self) -> Result<&'static Kind> {
        stored_kind(&self.kind)
    }

    pub fn config(&self, context: &Context) -> Result<Config> {
        open(context, self.kind()?, &self.sealed_config)
    }

    /// The addresses of an email notification; empty if the config cannot be read.
    pub fn addresses(&self, context: &Context) -> Vec<String> {
        self.config(context).map(|config| config.addresses()).unwrap_or_default()
    }
}

/// A user's own notification: another user's does not exist.
pub(super) async fn own(db: &Db, user_id: i64, id: i64) -> Result<Row> {
    sql!(SELECT = "SELECT * FROM notification_rows WHERE id = $1 AND user_id = $2");
    on!(db.read(), db => sqlx::query_as(SELECT).bind(id).bind(user_id).fetch_one(db).await)
        .map_err(Error::not_found_if_no_row)
}

/// Reads it within the transaction that creates or changes it.
pub(super) async fn saved(transaction: &mut Transaction, id: i64) -> Result<Row> {
    sql!(SELECT = "SELECT * FROM notification_rows WHERE id = $1");
    Ok(on!(transaction.connection(), db => sqlx::query_as(SELECT).bind(id).fetch_one(db).await)?)
}

/// The endpoints that a notification covers.
pub(super) const ENDPOINTS: IdList = id_list!("notifications", "notification_endpoints", "notification_id");
