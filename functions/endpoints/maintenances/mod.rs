//! Planned maintenances: during one, its endpoints are checked as usual, but the results do not count and cause no
//! notifications.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod private_list;
pub mod update;
pub mod windows;

use chrono::{DateTime, Utc};
use runtime::{
    Context, Error, Fields, Result,
    db::{JsonText, On, Transaction, UnixSeconds},
    on, sql,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::announce;
use crate::id_list::{IdList, id_list, unique};
use crate::words;

/// The settings of a maintenance.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMaintenance)]
pub struct Plan {
    #[schema(example = "Database upgrade", min_length = 1, max_length = 100)]
    pub title: String,
    /// Shown on status pages.
    #[serde(default)]
    #[schema(example = "Short interruptions are possible.", max_length = 2000)]
    pub description: String,
    /// Default: now. Fractions of a second are dropped.
    #[schema(example = "2026-03-01T22:00:00Z")]
    pub starts_at: Option<DateTime<Utc>>,
    /// At most 90 days after the start.
    #[schema(example = "2026-03-01T23:00:00Z")]
    pub ends_at: DateTime<Utc>,
    /// At most 1000 of the caller's endpoints. Null: all of them, including endpoints that are created later.
    #[schema(example = json!([7, 8]))]
    pub endpoint_ids: Option<Vec<i64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceStatus {
    Scheduled,
    Active,
    Ended,
}

/// A time during which failures are expected.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Maintenance {
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "Database upgrade")]
    pub title: String,
    #[schema(example = "Short interruptions are possible.")]
    pub description: String,
    #[schema(value_type = DateTime<Utc>, example = "2026-03-01T22:00:00Z")]
    pub starts_at: UnixSeconds,
    #[schema(value_type = DateTime<Utc>, example = "2026-03-01T23:00:00Z")]
    pub ends_at: UnixSeconds,
    /// Null: all endpoints of the user.
    #[schema(example = json!([7, 8]))]
    pub endpoint_ids: Option<Vec<i64>>,
    status: MaintenanceStatus,
    pub created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Maintenance {
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.starts_at.time() <= now && now < self.ends_at.time()
    }

    pub fn covers(&self, endpoint_id: i64) -> bool {
        self.endpoint_ids.as_ref().is_none_or(|ids| ids.contains(&endpoint_id))
    }
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: i64,
    user_id: i64,
    title: String,
    description: String,
    starts_at: UnixSeconds,
    ends_at: UnixSeconds,
    endpoint_ids: Option<JsonText<Vec<i64>>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    /// Begins a new revision of the endpoints, if unmarked checks may already have been requested for the time of the
    /// maintenance: these checks no longer change the status.
    async fn revise_endpoints(
        &self,
        transaction: &mut Transaction,
        now: DateTime<Utc>,
    ) -> Result<Vec<announce::Row>> {
        if self.starts_at.time() > now + super::CLAIM_AHEAD || self.ends_at.time() <= now {
            return Ok(Vec::new());
        }
        announce::revise(transaction, self.user_id, self.endpoint_ids.as_ref().map(|ids| &ids.0)).await
    }

    fn shown(self, now: DateTime<Utc>) -> Maintenance {
        let status = if now >= self.ends_at.time() {
            MaintenanceStatus::Ended
        } else if now < self.starts_at.time() {
            MaintenanceStatus::Scheduled
        } else {
            MaintenanceStatus::Active
        };
        Maintenance {
            id: self.id,
            title: self.title,
            description: self.description,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            endpoint_ids: self.endpoint_ids.map(|ids| ids.0),
            status,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// A validated plan, as it is stored.
struct Checked {
    title: String,
    description: String,
    starts_at: UnixSeconds,
    ends_at: UnixSeconds,
    endpoint_ids: Option<Vec<i64>>,
}

const MAX_SECONDS: i64 = 90 * 86_400;

impl Plan {
    fn checked(self, now: DateTime<Utc>) -> Result<Checked> {
        let Self { title, description, starts_at, ends_at, endpoint_ids } = self;
        let (starts_at, ends_at) = (starts_at.unwrap_or(now).timestamp(), ends_at.timestamp());
        let title = title.trim().to_owned();
        let mut fields = Fields::default();
        fields.check_line("title", &title, 1..=100);
        fields.check_text("description", &description, 0..=2000, &['\n', '\r', '\t']);
        fields.check(ends_at > starts_at, "ends_at", || words::MAINTENANCE_MUST_END_AFTER_START);
        fields.check(ends_at - starts_at <= MAX_SECONDS, "ends_at", || words::MUST_END_WITHIN_90_DAYS);
        let endpoint_ids = match endpoint_ids.map(unique).transpose() {
            Ok(ids) => ids,
            Err(refusal) => {
                fields.check(false, "endpoint_ids", || refusal);
                None
            }
        };
        fields.finish()?;
        Ok(Checked {
            title,
            description,
            starts_at: UnixSeconds(starts_at),
            ends_at: UnixSeconds(ends_at),
            endpoint_ids,
        })
    }
}

/// Refuses endpoints of other users.
async fn check_own(transaction: &mut Transaction, user_id: i64, ids: &[i64]) -> Result<()> {
    sql!(SQLITE = "SELECT id FROM endpoints WHERE user_id = $1 AND id IN (SELECT value FROM json_each($2))");
    sql!(POSTGRES = "SELECT id FROM endpoints WHERE user_id = $1 AND id = ANY($2)");
    let own: std::collections::HashSet<i64> = match transaction.connection() {
        On::Sqlite(db) => sqlx::query_scalar(SQLITE).bind(user_id).bind(JsonText(ids)).fetch_all(db).await?,
        On::Postgres(db) => sqlx::query_scalar(POSTGRES).bind(user_id).bind(ids).fetch_all(db).await?,
    }
    .into_iter()
    .collect();
    match ids.iter().find(|id| !own.contains(id)) {
        None => Ok(()),
        Some(id) => Err(Error::field("endpoint_ids", words::no_such_endpoint(id))),
    }
}

/// Finds a maintenance of this user.
async fn find_own(context: &Context, user_id: i64, id: i64) -> Result<Row> {
    sql!(SELECT = "SELECT * FROM endpoint_maintenance_rows WHERE id = $1 AND user_id = $2");
    on!(context.db()?.read(), db => {
        sqlx::query_as(SELECT).bind(id).bind(user_id).fetch_one(db).await
    })
    .map_err(Error::not_found_if_no_row)
}

/// Reads a maintenance within the transaction that creates or changes it.
async fn saved(transaction: &mut Transaction, id: i64) -> Result<Row> {
    sql!(SELECT = "SELECT * FROM endpoint_maintenance_rows WHERE id = $1");
    Ok(on!(transaction.connection(), db => sqlx::query_as(SELECT).bind(id).fetch_one(db).await)?)
}

/// The endpoints of a maintenance. A deleted endpoint is removed from the list; an empty list covers no endpoint, and
/// never turns into "all".
const ENDPOINTS: IdList =
    id_list!("endpoint_maintenances", "endpoint_maintenance_endpoints", "maintenance_id");
