//! `pong context`: several servers or accounts.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::{
    api::Value,
    app::App,
    config::{Config, DEFAULT},
    error::{Exit, Failure},
    output::{self, Column, text},
};

#[derive(Subcommand)]
pub enum Command {
    /// List all contexts; `pong login --context NAME` creates one
    List,
    /// Make a context the current one
    Use { name: String },
    /// Remove a context and its key from this machine; the key stays valid
    Rm { name: String },
}

static COLUMNS: [Column; 5] = [
    text("CURRENT", "current"),
    text("NAME", "name"),
    text("API", "api_url"),
    text("E-MAIL", "email"),
    text("LOGGED IN", "logged_in"),
];

impl Command {
    pub fn run(self, app: &App) -> Result<Exit> {
        let mut config = Config::load()?;
        let known = |config: &Config, name: &str| {
            if config.contexts.contains_key(name) {
                return Ok(());
            }
            let hint = format!("pong login --context {name} makes it; pong context list shows the others");
            Err(Failure::new(Exit::NotFound, format!("there is no context `{name}`")).hint(hint))
        };
        match self {
            Self::List => {
                let current = config.current.as_deref().unwrap_or(DEFAULT);
                let list: Vec<Value> = config
                    .contexts
                    .iter()
                    .map(|(name, context)| {
                        serde_norway::to_value(json!({
                            "current": if name == current { "*" } else { "" }, "name": name,
                            "api_url": context.api_url, "email": context.email,
                            "logged_in": if context.key.is_some() { "yes" } else { "no" },
                        }))
                    })
                    .collect::<Result<_, _>>()?;
                app.out.list(&list, &COLUMNS, "There is none yet. pong login makes the first")?;
            }
            Self::Use { name } => {
                known(&config, &name)?;
                config.current = Some(name.clone());
                config.save()?;
                app.out.done(&Value::Null, &format!("Using {name}"))?;
            }
            Self::Rm { name } => {
                known(&config, &name)?;
                config.contexts.remove(&name);
                if config.current.as_ref() == Some(&name) {
                    config.current = None;
                    output::note("That was the current one. Choose another: pong context use NAME");
                }
                config.save()?;
                app.out.done(&Value::Null, &format!("Forgot {name}"))?;
            }
        }
        Ok(Exit::Ok)
    }
}
