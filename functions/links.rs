//! Links in messages, based on pongpong's public URL.

use runtime::{Context, Env, FromEnv, Result};

pub(crate) struct PublicUrl(String);

impl FromEnv for PublicUrl {
    const NAMES: &[&str] = &["PUBLIC_URL"];

    /// `PUBLIC_URL`, the URL that browsers use.
    fn from_env(env: &Env) -> anyhow::Result<Self> {
        Ok(Self(env.required("PUBLIC_URL")?.trim_end_matches('/').to_owned()))
    }
}

impl PublicUrl {
    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

/// `path` starts with a slash.
pub(crate) fn to(context: &Context, path: &str) -> Result<String> {
    Ok(format!("{}{path}", context.config::<PublicUrl>()?.0))
}
