//! Probing endpoints: scheduled, and now.

pub mod demo;
pub mod now;
pub mod run;
pub mod schedule;

use std::sync::{Arc, LazyLock};

use net::{address::PrivateNetworks, trust::ExtraRoots};
use runtime::{
    Context, Env, FromEnv, Result, process,
    telemetry::{Counter, KeyValue, counter},
};

use checks::{ProbeConfig, Prober};

pub const SERVICE: &str = "endpoint-check";

const RESERVED_FILES: usize = 768;

static REQUESTED: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.checks.requested", "{check}", "Checks that were asked for"));
static RETURNED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter("pongpong.checks.returned", "{check}", "Checks that were claimed, and could not be asked for")
});
static MISSED: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.checks.missed", "{check}", "Slots that nobody checked"));

/// To be held against the results that are recorded.
pub(crate) fn count_requested(by: &'static str, checks: usize) {
    REQUESTED.add(checks as u64, &[KeyValue::new("by", by)]);
}

fn count_returned(checks: usize) {
    RETURNED.add(checks as u64, &[]);
}

pub(crate) fn count_missed(reason: &'static str, checks: u64) {
    MISSED.add(checks, &[KeyValue::new("reason", reason)]);
}

pub(crate) fn count_from_zero() {
    count_requested(schedule::NAME, 0);
    count_returned(0);
    ["not_claimed", "too_late", "not_started", "defect", "unreadable"]
        .into_iter()
        .for_each(|reason| count_missed(reason, 0));
}

/// `REGION` (default `default`): where this prober stands; part of a result's key.
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

/// `CHECK_PRIVATE_NETWORKS` (default `deny`) and `CHECK_CONCURRENCY` (default 20480: half of it for one owner).
pub(crate) struct ProbeSettings {
    private_networks: PrivateNetworks,
    concurrency: usize,
}

impl FromEnv for ProbeSettings {
    const NAMES: &[&str] = &["CHECK_CONCURRENCY", "CHECK_PRIVATE_NETWORKS"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let concurrency = env.parse_or("CHECK_CONCURRENCY", checks::DEFAULT_CONCURRENCY)?;
        anyhow::ensure!(concurrency >= 1, "CHECK_CONCURRENCY must be at least 1");
        let private_networks = env.parse_or("CHECK_PRIVATE_NETWORKS", PrivateNetworks::Deny)?;
        Ok(Self { private_networks, concurrency })
    }
}

/// The process's one prober: the bound on concurrency is for all that it checks.
pub fn prober(context: &Context) -> Result<Arc<Prober>> {
    context.shared(|context| {
        let ProbeSettings { private_networks, concurrency } = ProbeSettings::from_env(context.env())?;
        // The rest is for clients, the database, other functions and names.
        let files = process::max_open_files();
        let others = RESERVED_FILES + process::max_client_connections();
        let possible = checks::concurrency_by(files.saturating_sub(others).max(files / 2));
        if possible < concurrency {
            tracing::warn!(
                concurrency,
                possible,
                files,
                "fewer checks can run at once than CHECK_CONCURRENCY says"
            );
        }
        let concurrency = concurrency.min(possible);
        let extra_roots = ExtraRoots::from_env(context.env())?;
        Ok(Prober::new(ProbeConfig { concurrency, extra_roots, ..ProbeConfig::new(private_networks)? })?)
    })
}
