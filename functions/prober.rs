//! The process's prober, and its settings.

use std::sync::Arc;

use checks::{ProbeConfig, Prober};
use contract::{FailureCode, Outcome, Target};
use net::{address::PrivateNetworks, trust::ExtraRoots};
use runtime::{Context, Env, FromEnv, Result, process};
use serde::Serialize;
use utoipa::ToSchema;

const RESERVED_FILES: usize = 768;

/// `CHECK_PRIVATE_NETWORKS` (default `deny`) and `CHECK_CONCURRENCY` (default 20480; one owner gets at
/// most half).
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

/// The process's only prober, so that the concurrency limit covers all its checks.
pub fn prober(context: &Context) -> Result<Arc<Prober>> {
    context.shared(|context| {
        let ProbeSettings { private_networks, concurrency } = ProbeSettings::from_env(context.env())?;
        // The other files are for clients, the database, other functions and DNS.
        let files = process::max_open_files();
        let others = RESERVED_FILES + process::max_client_connections();
        let possible = checks::concurrency_by(files.saturating_sub(others).max(files / 2));
        if possible < concurrency {
            tracing::warn!(
                concurrency,
                possible,
                files,
                "fewer checks can run at once than CHECK_CONCURRENCY says: raise the limit of open files (ulimit -n)"
            );
        }
        let concurrency = concurrency.min(possible);
        let extra_roots = ExtraRoots::from_env(context.env())?;
        Ok(Prober::new(ProbeConfig { concurrency, extra_roots, ..ProbeConfig::new(private_networks)? })?)
    })
}

/// A check made on request, and the URL that was checked.
#[derive(Serialize, ToSchema)]
pub struct Checked {
    #[schema(example = "https://example.com/health")]
    pub url: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Checks `target`. If it refuses HTTPS and the user typed no scheme, checks `fallback`, which counts
/// only if it succeeds.
pub async fn check_now(prober: &Prober, user_id: i64, target: Target, fallback: Option<String>) -> Checked {
    let outcome = prober.probe(user_id, &target, None).await;
    let is_refused = outcome.error.as_ref().is_some_and(|error| error.code == FailureCode::ConnectRefused);
    if let Some(url) = fallback.filter(|_| is_refused) {
        let target = Target { url, ..target.clone() };
        let outcome = prober.probe(user_id, &target, None).await;
        if outcome.status.is_up() {
            return Checked { url: target.url, outcome };
        }
    }
    Checked { url: target.url, outcome }
}
