//! Limits for the number of a user's endpoints and the size of their settings.

use runtime::{Context, Env, Error, FromEnv, Result, db::Transaction, on, sql};
use serde::Serialize;

use super::settings::Settings;
use crate::words;

/// `MAX_ENDPOINTS_PER_USER` (default 10000). For the configs and assertions of all endpoints of a user:
/// `MAX_SETTINGS_BYTES_PER_USER` (default 4 MiB) limits their size as stored and shown; `MAX_CHECK_BYTES_PER_MINUTE`
/// (default 16 MiB) limits what the schedule sends to the prober each minute, and separately what endpoints that
/// start immediately send.
pub struct QuotaConfig {
    pub endpoints_per_user: i64,
    pub settings_bytes: i64,
    pub bytes_per_minute: i64,
}

impl FromEnv for QuotaConfig {
    const NAMES: &[&str] =
        &["MAX_CHECK_BYTES_PER_MINUTE", "MAX_ENDPOINTS_PER_USER", "MAX_SETTINGS_BYTES_PER_USER"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let endpoints_per_user = env.parse_or("MAX_ENDPOINTS_PER_USER", 10_000)?;
        anyhow::ensure!(endpoints_per_user >= 1, "MAX_ENDPOINTS_PER_USER must be at least 1");
        let bytes = |name, default| {
            let bytes = env.parse_or(name, default)?;
            anyhow::ensure!(bytes >= 1024, "{name} must be at least 1024");
            Ok(bytes)
        };
        let settings_bytes = bytes("MAX_SETTINGS_BYTES_PER_USER", 4 * 1024 * 1024)?;
        let bytes_per_minute = bytes("MAX_CHECK_BYTES_PER_MINUTE", 16 * 1024 * 1024)?;
        Ok(Self { endpoints_per_user, settings_bytes, bytes_per_minute })
    }
}

fn json_bytes(part: &impl Serialize) -> i64 {
    serde_json::to_vec(part).map_or(0, |json| json.len() as i64)
}

/// Sizes of the settings that may be large, as JSON [bytes].
pub(super) struct Bytes {
    parts: [(&'static str, i64); 2],
    interval_seconds: i64,
}

impl Bytes {
    /// Bytes that are stored, and shown in lists.
    pub fn stored(&self) -> i64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes per minute that checks send through the broker.
    pub fn per_minute(&self) -> i64 {
        self.stored() * 60 / self.interval_seconds
    }

    fn largest(&self) -> &'static str {
        self.parts.iter().max_by_key(|(_, bytes)| bytes).map_or("config", |(name, _)| name)
    }
}

impl Settings {
    pub(super) fn bytes(&self) -> Bytes {
        Bytes {
            parts: [("config", json_bytes(&self.config)), ("assertions", json_bytes(&self.assertions))],
            interval_seconds: i64::from(self.interval_seconds).max(1),
        }
    }
}

/// Refuses settings that exceed a quota. Runs in the transaction that has just added or changed the endpoint.
pub(super) async fn check_bytes_quota(
    context: &Context,
    transaction: &mut Transaction,
    user_id: i64,
    bytes: &Bytes,
) -> Result<()> {
    sql!(BYTES = "SELECT settings_bytes, bytes_per_minute FROM endpoint_counts WHERE user_id = $1");
    let quota = context.config::<QuotaConfig>()?;
    let (stored, per_minute): (i64, i64) = on!(transaction.connection(), db =>
        sqlx::query_as(BYTES).bind(user_id).fetch_one(db).await)?;
    if stored > quota.settings_bytes {
        let max = quota.settings_bytes;
        let message = words::too_many_settings_bytes(max, stored);
        return Err(Error::conflict_in(bytes.largest(), "TOO_MANY_SETTINGS_BYTES", message));
    }
    if per_minute > quota.bytes_per_minute {
        let max = quota.bytes_per_minute;
        let message = words::too_many_check_bytes(max, per_minute);
        return Err(Error::conflict_in(bytes.largest(), "TOO_MANY_CHECK_BYTES", message));
    }
    Ok(())
}
