//! Probing endpoints: scheduled, and now.

pub mod now;
pub mod probe;
pub mod run;
pub mod schedule;

use std::sync::Arc;

use runtime::{Context, Env, FromEnv, Result, address::PrivateNetworks};

use probe::{ProbeConfig, Prober};

pub const SERVICE: &str = "endpoint-check";

/// `REGION` (default `default`): where this prober stands; part of a result's key.
pub struct RegionConfig {
    pub region: String,
}

impl FromEnv for RegionConfig {
    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let region = env.get("REGION").unwrap_or("default").to_owned();
        anyhow::ensure!(
            region.len() <= 32 && region.is_ascii(),
            "REGION must have at most 32 ASCII characters"
        );
        Ok(Self { region })
    }
}

/// The prober's settings as a wrapper of its own, for [`FromEnv`] reads `CHECK_PRIVATE_NETWORKS`
/// (default `deny`) and `CHECK_CONCURRENCY` (default 500).
struct Settings(ProbeConfig);

impl FromEnv for Settings {
    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let mut config = ProbeConfig::new(env.parse_or("CHECK_PRIVATE_NETWORKS", PrivateNetworks::Deny)?)?;
        config.concurrency = env.parse_or("CHECK_CONCURRENCY", config.concurrency)?;
        anyhow::ensure!(config.concurrency >= 1, "CHECK_CONCURRENCY must be at least 1");
        Ok(Self(config))
    }
}

/// The process's one prober: the bound on concurrency is for all that it checks.
pub fn prober(context: &Context) -> Result<Arc<Prober>> {
    context.shared(|context| Ok(Prober::new(Settings::from_env(context.env())?.0)?))
}
