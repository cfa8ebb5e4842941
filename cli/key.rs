//! `pong key`: API keys, for programs.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::{
    api::KEY,
    app::App,
    error::Exit,
    output::{Column, ago, note, plain, print, text, time},
};

#[derive(Subcommand)]
pub enum Command {
    /// Create a key; it is shown only once
    Add {
        name: String,
        /// Days until the key expires [default: never]
        #[arg(long)]
        days: Option<u32>,
    },
    /// List all keys, without the secret values
    List,
    /// Revoke keys
    Rm {
        #[arg(value_name = "ID|NAME", required = true)]
        keys: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
}

static COLUMNS: [Column; 4] =
    [text("ID", "id"), text("NAME", "name"), time("CREATED", "created_at"), ago("ENDS", "expires_at")];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        match self {
            Self::Add { name, days } => {
                let body = json!({"name": name, "ttl_seconds": days.map(|days| u64::from(days) * 86_400)});
                let made = app.api()?.create(&KEY, &body).await?;
                if app.out.is_table() {
                    note("Keep it now: it is not shown again");
                    print(&plain(&made["key"]))?;
                } else {
                    app.out.object(&made)?;
                }
            }
            Self::List => {
                let items = app.api()?.list(KEY.path, &[], None).await?;
                app.out.list(&items, &COLUMNS, "There is none. Make one: pong key add NAME")?;
            }
            Self::Rm { keys, yes } => return app.remove(&KEY, &keys, yes).await,
        }
        Ok(Exit::Ok)
    }
}
