//! Checks of endpoints: scheduled, on request, and without an account.

pub mod demo;
pub mod now;
pub mod run;
pub mod schedule;

use std::sync::LazyLock;

use runtime::{
    Env, FromEnv,
    telemetry::{Counter, KeyValue, counter},
};

pub const SERVICE: &str = "endpoint-check";

static RETURNED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter("pongpong.checks.returned", "{check}", "Checks that were claimed, and could not be asked for")
});
static MISSED: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.checks.missed", "{check}", "Times that nobody checked"));

fn count_returned(checks: usize) {
    RETURNED.add(checks as u64, &[]);
}

pub(crate) fn count_missed(reason: &'static str, checks: u64) {
    MISSED.add(checks, &[KeyValue::new("reason", reason)]);
}

pub(crate) fn count_from_zero() {
    count_returned(0);
    ["not_claimed", "too_late", "not_started", "defect", "unreadable"]
        .into_iter()
        .for_each(|reason| count_missed(reason, 0));
}

/// `REGION` (default `default`): the region of this prober; part of a result's key.
pub struct RegionConfig {
    pub region: String,
}

impl FromEnv for RegionConfig {
    const NAMES: &[&str] = &["REGION"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let region = env.get("REGION").unwrap_or("default").to_owned();
        anyhow::ensure!(
            region.len() <= 32 && region.is_ascii(),
            "REGION must have at most 32 ASCII characters"
        );
        Ok(Self { region })
    }
}
