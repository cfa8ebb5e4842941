//! A notification as the API returns it.

use std::collections::BTreeMap;

use channels::{Config, ConfigSchema};
use chrono::{DateTime, Utc};
use runtime::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    addresses::{self, States},
    config::kind_schema,
    row::Row,
};

/// A recipient of alerts when an endpoint goes down, and when it is back up.
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
    /// As entered, with secrets masked.
    #[schema(value_type = ConfigSchema)]
    pub config: Value,
    /// The endpoints that it covers; null: all of them.
    pub endpoint_ids: Option<Vec<i64>>,
    /// Also send alerts when an endpoint is degraded.
    #[serde(default = "super::yes")]
    pub send_degraded: bool,
    pub enabled: bool,
    /// Failed deliveries in a row; 0 while it works.
    pub failures: i64,
    /// Until when it is paused because of these failures.
    pub paused_until: Option<DateTime<Utc>>,
    /// When a message, test or alert, was first delivered with this config; null: never.
    #[serde(default)]
    pub tested_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// For kind email: the state of each address. Messages go only to confirmed ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({"a@example.com": "unconfirmed"}))]
    pub addresses: Option<BTreeMap<String, addresses::State>>,
    /// A warning about a change that was just made, such as a confirmation mail that could not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Row {
    /// As the API returns it, with secrets masked.
    pub fn shown(self, context: &Context, states: &States) -> Result<Notification> {
        let config = self.config(context)?;
        self.with_config(context, &config, config.masked(), states)
    }

    /// The same, with the states of its addresses loaded.
    pub async fn shown_alone(self, context: &Context) -> Result<Notification> {
        let states = States::of_rows(context, std::slice::from_ref(&self)).await?;
        self.shown(context, &states)
    }

    /// `shown` is the JSON of the config.
    pub(super) fn with_config(
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
            endpoint_ids: self.endpoint_ids.map(|ids| ids.0),
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
