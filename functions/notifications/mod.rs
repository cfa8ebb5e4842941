//! Whom to tell, and how: channels, the up/down state machine, and the log of what was sent.
//!
//! `check.completed` -> [`evaluate`] -> `status.changed`, `location.changed` -> [`dispatch`] -> `notification.requested`
//! -> a sender (`functions/senders`) -> `notification.delivered` -> [`deliveries::record`]. In between, what cannot be
//! sent now waits in [`deliveries::queue`].

pub mod addresses;
mod changes;
pub mod create;
pub mod delete;
pub mod deliveries;
pub mod dispatch;
pub mod evaluate;
pub mod forget;
pub mod get;
pub mod kind_list;
pub mod list;
pub mod private_call;
pub mod private_get;
pub mod private_list;
pub mod purge;
pub mod state;
mod suspicion;
pub mod test;
pub mod update;

use std::collections::BTreeMap;

use addresses::States;
use channels::{CHANNELS, Config, ConfigSchema, Kind};
use chrono::{DateTime, Utc};
use runtime::{
    Context, Db, Error, Result, Text,
    db::{On, Transaction},
    on,
    secret::Sealer,
    text,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Schema, Type, schema::SchemaType},
};

pub(crate) use suspicion::Settings as SuspicionSettings;

pub const SERVICE: &str = "notification-service";

/// A channel that is told when an endpoint goes down, and when it is back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": 3, "name": "On call", "kind": "slack",
    "config": {"domain": "example", "channel": "#alerts", "token": "xoxb-…9876"},
    "endpoint_ids": [7, 8], "send_degraded": true, "enabled": true, "failures": 0, "paused_until": null,
    "tested_at": "2026-03-01T12:05:00Z",
    "created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T12:00:00Z",
}))]
pub struct Notification {
    pub id: i64,
    pub name: String,
    #[schema(schema_with = kind_schema)]
    pub kind: String,
    /// As it was entered; secrets are masked.
    #[schema(value_type = ConfigSchema)]
    pub config: Value,
    /// The endpoints that it is about; null: all of them.
    pub endpoint_ids: Option<Vec<i64>>,
    /// Whether it is also told when an endpoint is degraded.
    #[serde(default = "yes")]
    pub send_degraded: bool,
    pub enabled: bool,
    /// How often in a row it did not take a message; 0 while it works.
    pub failures: i64,
    /// Until when it is left alone for that.
    pub paused_until: Option<DateTime<Utc>>,
    /// When it first took a message, a test or an alert, with this config; null: never.
    #[serde(default)]
    pub tested_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Of an email channel: whether each address is confirmed. Messages go only to those that are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({"a@example.com": "unconfirmed"}))]
    pub addresses: Option<BTreeMap<String, addresses::State>>,
    /// What to know of a change that was just made, such as a mail with a link that could not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

fn yes() -> bool {
    true
}

/// A row of the table.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub id: i64,
    pub user_id: i64,
    pub name: String,
    pub kind: String,
    pub sealed_config: String,
    pub endpoint_ids: Option<String>,
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

    /// The addresses of an email channel that can be read.
    fn addresses(&self, context: &Context) -> Vec<String> {
        self.config(context).map(|config| config.addresses()).unwrap_or_default()
    }

    /// As it is shown: with the secrets masked.
    pub fn shown(self, context: &Context, states: &States) -> Result<Notification> {
        let config = self.config(context)?;
        self.with_config(context, &config, config.masked(), states)
    }

    /// One alone.
    pub async fn shown_alone(self, context: &Context) -> Result<Notification> {
        let states = States::of_rows(context, std::slice::from_ref(&self)).await?;
        self.shown(context, &states)
    }

    /// `shown` is of the config.
    fn with_config(
        self,
        context: &Context,
        config: &Config,
        shown: Value,
        states: &States,
    ) -> Result<Notification> {
        let paused_until = self.paused_until(context.clock().now());
        Ok(Notification {
            addresses: states.of_config(self.user_id, config),
            warning: None,
            id: self.id,
            kind: self.kind,
            config: shown,
            endpoint_ids: self.endpoint_ids.as_deref().map(ids_of),
            name: self.name,
            send_degraded: self.send_degraded,
            enabled: self.enabled,
            failures: self.failures,
            paused_until,
            tested_at: self.tested_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// A user's own notification: another user's does not exist.
async fn own(db: &Db, user_id: i64, id: i64) -> Result<Row> {
    const SELECT: &str = "SELECT * FROM notifications WHERE id = $1 AND user_id = $2";
    on!(db.read(), db => sqlx::query_as(SELECT).bind(id).bind(user_id).fetch_one(db).await)
        .map_err(Error::not_found_if_no_row)
}

/// Until the transaction ends, nobody else makes or forgets this user's notifications.
async fn lock_user(transaction: &mut Transaction, user_id: i64) -> Result<()> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('notifications'), hashint8($1))";
    // SQLite has one writer at a time.
    if let On::Postgres(db) = transaction.connection() {
        sqlx::query(LOCK).bind(user_id).execute(db).await?;
    }
    Ok(())
}

fn stored_kind(name: &str) -> Result<&'static Kind> {
    Kind::find(name).ok_or_else(|| Error::internal(anyhow::anyhow!("there is no notification kind {name}")))
}

/// The kind that somebody names.
pub(crate) fn kind_named(name: &str) -> Result<&'static Kind> {
    let refuse = || {
        let known = Kind::names();
        Error::field(
            "kind",
            text(format!("must be one of {known}"), format!("다음 중 하나여야 합니다: {known}")),
        )
    };
    Kind::find(name).ok_or_else(refuse)
}

/// The names of `CHANNELS`, in OpenAPI.
pub(crate) fn kind_schema() -> Schema {
    let names = CHANNELS.iter().map(|kind| kind.name);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

/// The same where it may be left out, for which null stands as well.
fn optional_kind_schema() -> Schema {
    let names = CHANNELS.iter().map(|kind| Value::from(kind.name)).chain([Value::Null]);
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(types).enum_values(Some(names)).into()
}

fn ids_of(json: &str) -> Vec<i64> {
    // Only ever written by us.
    serde_json::from_str(json).unwrap_or_default()
}

const PURPOSE: &str = "notification-config";

fn seal(context: &Context, config: &Config) -> Result<String> {
    let json = config.values().to_string();
    Ok(context.config::<Sealer>()?.seal(context.random(), PURPOSE, &json)?)
}

/// Opens a sealed config: here, and in a sender.
pub fn open(context: &Context, kind: &'static Kind, sealed: &str) -> Result<Config> {
    let json = context.config::<Sealer>()?.open(PURPOSE, sealed)?;
    Ok(Config::stored(kind, serde_json::from_str(&json).map_err(Error::internal)?))
}

const MOST_ENDPOINTS: usize = 1000;

/// Each once, in order; all of them the user's own.
async fn check_endpoints(context: &Context, user_id: i64, ids: Option<Vec<i64>>) -> Result<Option<Vec<i64>>> {
    #[derive(Deserialize)]
    struct Found {
        items: Vec<FoundEndpoint>,
    }
    #[derive(Deserialize)]
    struct FoundEndpoint {
        id: i64,
        user_id: i64,
    }
    let Some(mut ids) = ids else { return Ok(None) };
    let refuse = |what: Text| Error::field("endpoint_ids", what);
    if ids.len() > MOST_ENDPOINTS {
        return Err(refuse(text(
            format!("must hold at most {MOST_ENDPOINTS} ids"),
            format!("최대 {MOST_ENDPOINTS}개까지 가능합니다"),
        )));
    }
    ids.sort_unstable();
    ids.dedup();
    for some in ids.chunks(100) {
        let list = some.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let path = format!("/private/v1/endpoints?user_id={user_id}&ids={list}&page=1&per_page=100");
        // They are sorted: one that cannot be an id comes first.
        let found: Found = if some.first().is_some_and(|id| *id < 1) {
            Found { items: Vec::new() }
        } else {
            context.outbound().get("endpoint-private-list", &path).await?
        };
        let is_own = |id: i64| found.items.iter().any(|e| e.id == id && e.user_id == user_id);
        if let Some(id) = some.iter().find(|id| !is_own(**id)) {
            return Err(refuse(text(
                format!("there is no endpoint {id}"),
                format!("엔드포인트 {id}을(를) 찾을 수 없습니다"),
            )));
        }
    }
    Ok(Some(ids))
}
