//! Logs: one JSON object per line on standard output, with level, function, version and trace ID; or,
//! with `LOG_FORMAT=text`, lines for a person at a terminal.

use std::io::IsTerminal;

use anyhow::anyhow;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::Env;

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Text,
}

/// `LOG_LEVEL` (default `info`) accepts `debug`, `warn`, ... or directives such as `info,sqlx=debug`.
pub fn init(env: &Env, default: Format) -> anyhow::Result<()> {
    let filter: EnvFilter = env.parse_or("LOG_LEVEL", EnvFilter::new("info"))?;
    let format = match env.get("LOG_FORMAT") {
        None => default,
        Some("json") => Format::Json,
        Some("text") => Format::Text,
        Some(other) => return Err(anyhow!("LOG_FORMAT must be json or text, not {other}")),
    };
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        Format::Json => registry
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false))
            .try_init()?,
        Format::Text => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .with_target(false)
                    .with_ansi(std::io::stdout().is_terminal()),
            )
            .try_init()?,
    }
    Ok(())
}
