//! Typed settings from the environment.
//!
//! Each concern has one struct that implements [`FromEnv`], with defaults beside the names. Variables are
//! read once, at start: a function's settings never change while it runs, and tests pass in their own.

use std::{collections::HashMap, fmt::Display, str::FromStr, sync::Arc};

use anyhow::{Context as _, anyhow};
use net::trust::ExtraRoots;

/// The environment variables of the process. Values may be secrets: never print them.
#[derive(Clone, Default)]
pub struct Env(Arc<HashMap<String, String>>);

/// The settings of one concern.
pub trait FromEnv: Sized + Send + Sync + 'static {
    /// The variables that it reads: a deployment passes exactly these to a function.
    const NAMES: &[&str];

    fn from_env(env: &Env) -> anyhow::Result<Self>;
}

/// `EXTRA_CA_CERTS`: the path of a PEM file, or the PEM itself, which a ConfigMap can set without a
/// volume.
impl FromEnv for ExtraRoots {
    const NAMES: &[&str] = &["EXTRA_CA_CERTS"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let Some(given) = env.get("EXTRA_CA_CERTS") else { return Ok(Self::default()) };
        Self::read(given).context("EXTRA_CA_CERTS is invalid")
    }
}

impl Env {
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn required(&self, name: &str) -> anyhow::Result<&str> {
        self.get(name).with_context(|| format!("{name} is not set"))
    }

    pub fn parse<T>(&self, name: &str) -> anyhow::Result<Option<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.get(name).map(|value| value.parse().map_err(|e| anyhow!("{name} is invalid: {e}"))).transpose()
    }

    pub fn parse_or<T>(&self, name: &str, default: T) -> anyhow::Result<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        Ok(self.parse(name)?.unwrap_or(default))
    }

    /// Only the variables for which `keep` returns true.
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        self.0.iter().filter(|(name, _)| keep(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    pub fn with(&self, more: impl IntoIterator<Item = (String, String)>) -> Self {
        self.0.iter().map(|(k, v)| (k.clone(), v.clone())).chain(more).collect()
    }
}

impl FromIterator<(String, String)> for Env {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(Arc::new(pairs.into_iter().collect()))
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
