//! An endpoint: its settings and its state.

use chrono::{DateTime, Utc};
use runtime::{Context, Error, Result, db::UnixSeconds, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{config, reason, settings::Settings};
use contract::Status;

/// An endpoint, as stored and as shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Endpoint {
    #[schema(example = 1)]
    pub id: i64,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub settings: Settings,
    #[sqlx(try_from = "String")]
    pub status: Status,
    /// Why the endpoint has this status, or none yet, as text: English, or Korean by `Accept-Language`.
    #[serde(default)]
    #[sqlx(flatten)]
    pub status_reason: reason::StatusReason,
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub last_checked_at: Option<UnixSeconds>,
    /// Scheduled checks that were not made or not completed. `status_reason` explains why the last one was missed.
    #[schema(example = 0)]
    pub missed_checks: i64,
    /// Failed checks in a row, up to the newest result.
    #[serde(default)]
    #[schema(example = 0)]
    pub failures: i64,
    /// Increases with each change of what a check does or means. A result of another revision does not change the
    /// status.
    #[schema(example = 1)]
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The columns of [`Endpoint`], for a static SELECT.
macro_rules! columns {
    () => {
        "id, name, url, kind, config, interval_seconds, timeout_ms, assertions, retries, failure_threshold, \
         success_threshold, enabled, tags, CASE WHEN enabled THEN status ELSE 'paused' END AS status, last_checked_at, missed_checks, \
         revision, CASE WHEN result_revision < revision THEN 0 ELSE failures END AS failures, result_revision, result_scheduled_at, result_note, down_since, \
         created_at, updated_at"
    };
}
pub(crate) use columns;

/// An endpoint with its owner, for other functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct OwnedEndpoint {
    #[schema(example = 1)]
    pub user_id: i64,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub endpoint: Endpoint,
}

impl Endpoint {
    /// The endpoint as its owner sees it: with its whole config, but without secrets.
    pub fn shown(mut self) -> Self {
        self.settings.config.0 = config::shown(&self.settings);
        self
    }
}

/// Finds an endpoint of this user.
pub(super) async fn find_own(context: &Context, user_id: i64, id: i64) -> Result<Endpoint> {
    sql!(SQL = concat!("SELECT ", columns!(), " FROM endpoints WHERE id = $1 AND user_id = $2"));
    let found = on!(context.db()?.read(), db => {
        sqlx::query_as(SQL).bind(id).bind(user_id).fetch_optional(db).await
    })?;
    found.ok_or_else(Error::not_found)
}
