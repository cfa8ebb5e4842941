//! `pong announcement`: announcements on a status page.

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use serde_json::{Map, json};

use crate::{
    api::{ANNOUNCEMENT, STATUS_PAGE, Value},
    app::{App, label},
    error::{Exit, Failure},
    maintenance::moment,
    output::{Column, more, status, text, time},
};

#[derive(Subcommand)]
pub enum Command {
    /// Add an announcement to a page
    Add {
        #[arg(value_name = "PAGE")]
        page: String,
        title: String,
        #[arg(long, default_value = "")]
        text: String,
        #[arg(long, value_enum, default_value = "info")]
        severity: Severity,
        /// Start: 2026-03-01T12:00:00Z, or 'in 2h' [default: now]
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        from: Option<String>,
        /// End [default: until it is ended]
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        until: Option<String>,
    },
    /// List all announcements, or those of one page
    List {
        #[arg(long)]
        page: Option<String>,
    },
    /// Change the given fields; keep the rest
    Edit {
        #[arg(value_name = "ID|TITLE")]
        announcement: String,
        #[arg(long)]
        title: Option<String>,
        #[arg(long)]
        text: Option<String>,
        #[arg(long, value_enum)]
        severity: Option<Severity>,
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        until: Option<String>,
    },
    /// Delete announcements
    Rm {
        #[arg(value_name = "ID|TITLE", required = true)]
        announcements: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

static COLUMNS: [Column; 7] = [
    text("ID", "id"),
    text("PAGE", "status_page_id"),
    status("SEVERITY", "severity"),
    text("TITLE", "title"),
    time("FROM", "starts_at"),
    time("UNTIL", "ends_at"),
    more("text"),
];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        let api = app.api()?;
        match self {
            Self::Add { page, title, text, severity, from, until } => {
                let page = api.find_id(&STATUS_PAGE, &page).await?;
                let mut body = Map::new();
                body.insert("status_page_id".to_owned(), page.into());
                body.insert("title".to_owned(), title.into());
                body.insert("text".to_owned(), text.into());
                body.insert("severity".to_owned(), severity.name().into());
                body.extend(from.map(|at| ("starts_at".to_owned(), at.into())));
                body.extend(until.map(|at| ("ends_at".to_owned(), at.into())));
                let made: Value = api.create(&ANNOUNCEMENT, &body).await?;
                app.out.done(&made, &format!("Announced {}", label(&ANNOUNCEMENT, &made)))?;
            }
            Self::List { page } => {
                let mut query = Vec::new();
                if let Some(page) = page {
                    query.push(("status_page_id", api.find_id(&STATUS_PAGE, &page).await?.to_string()));
                }
                let items = api.list(ANNOUNCEMENT.path, &query, None).await?;
                app.out.list(&items, &COLUMNS, "Nothing was announced")?;
            }
            Self::Edit { announcement, title, text, severity, until } => {
                let mut fields = Map::new();
                fields.extend(title.map(|title| ("title".to_owned(), title.into())));
                fields.extend(text.map(|text| ("text".to_owned(), text.into())));
                fields.extend(severity.map(|severity| ("severity".to_owned(), json!(severity.name()))));
                fields.extend(until.map(|at| ("ends_at".to_owned(), at.into())));
                if fields.is_empty() {
                    return Err(Failure::usage("nothing to change was given").into());
                }
                let id = api.find_id(&ANNOUNCEMENT, &announcement).await?;
                let changed = api.update(&ANNOUNCEMENT, id, &fields).await?;
                app.out.done(&changed, &format!("Changed {}", label(&ANNOUNCEMENT, &changed)))?;
            }
            Self::Rm { announcements, yes } => return app.remove(&ANNOUNCEMENT, &announcements, yes).await,
        }
        Ok(Exit::Ok)
    }
}
