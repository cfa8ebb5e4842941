//! `pong incident`: incidents.

use std::collections::HashMap;

use anyhow::Result;
use chrono::Utc;
use clap::Subcommand;

use crate::{
    api::{Api, ENDPOINT, Value, id_of},
    app::App,
    error::Exit,
    output::{Column, moment, more, plain, span, text, time},
};

#[derive(Subcommand)]
pub enum Command {
    /// List incidents, newest first
    List {
        /// Only incidents of this endpoint
        #[arg(long, value_name = "ID|NAME")]
        endpoint: Option<String>,
        /// Only open incidents
        #[arg(long, conflicts_with = "closed")]
        open: bool,
        /// Only closed incidents
        #[arg(long)]
        closed: bool,
        /// Maximum number of incidents
        #[arg(long)]
        limit: Option<usize>,
    },
}

static COLUMNS: [Column; 9] = [
    text("ID", "id"),
    text("ENDPOINT", "endpoint_name"),
    time("SINCE", "started_at"),
    time("UNTIL", "ended_at"),
    text("LASTED", "lasted"),
    text("CAUSE", "cause.message"),
    more("cause.code"),
    more("end_reason"),
    more("endpoint_id"),
];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        let Self::List { endpoint, open, closed, limit } = self;
        let api = app.api()?;
        let mut query = Vec::new();
        if let Some(endpoint) = &endpoint {
            query.push(("endpoint_id", api.find_id(&ENDPOINT, endpoint).await?.to_string()));
        }
        if open || closed {
            query.push(("open", open.to_string()));
        }
        let mut items = api.list("/report-service/v1/incidents", &query, limit).await?;
        name_endpoints(&api, &mut items).await?;
        for item in &mut items {
            let lasted = moment(&item["started_at"]).map(|from| {
                let to = moment(&item["ended_at"]);
                let lasted = span((to.unwrap_or_else(Utc::now) - from).num_seconds());
                if to.is_some() { lasted } else { format!("{lasted}, still") }
            });
            if let Value::Mapping(fields) = item {
                fields.insert("lasted".into(), lasted.unwrap_or_default().into());
            }
        }
        app.out.list(&items, &COLUMNS, "There was no outage")?;
        Ok(Exit::Ok)
    }
}

/// Adds endpoint names: the API returns ids only.
pub async fn name_endpoints(api: &Api, items: &mut [Value]) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let mut ids: Vec<_> = items.iter().filter_map(|item| item["endpoint_id"].as_i64()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut names: HashMap<i64, String> = HashMap::new();
    if let [id] = ids[..] {
        // The endpoint may have been deleted since.
        if let Ok(endpoint) = api.get(&format!("{}/{id}", ENDPOINT.path)).await {
            names.insert(id, plain(&endpoint["name"]));
        }
    } else {
        let endpoints = api.list(ENDPOINT.path, &[], None).await?;
        names.extend(
            endpoints.iter().filter_map(|endpoint| Some((id_of(endpoint)?, plain(&endpoint["name"])))),
        );
    }
    for item in items {
        let id = item["endpoint_id"].as_i64().unwrap_or_default();
        let name = names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        if let Value::Mapping(fields) = item {
            fields.insert("endpoint_name".into(), name.into());
        }
    }
    Ok(())
}
