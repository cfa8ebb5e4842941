//! `pong status-page`: public status pages.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Map, Value as Json, json};

use crate::{
    api::{Api, STATUS_PAGE, Value, id_of},
    app::{App, label},
    error::{Exit, Failure},
    notification::endpoint_ids,
    output::{Column, more, plain, text, time},
};

#[derive(Subcommand)]
pub enum Command {
    /// Create a status page
    Add {
        title: String,
        /// Path: /status/SLUG [default: chosen by the server]
        #[arg(long)]
        slug: Option<String>,
        #[arg(long)]
        description: Option<String>,
        /// Group of endpoints, as 'Shop=Web,Checkout'; may be repeated
        #[arg(long = "group", value_name = "NAME=ENDPOINTS", value_parser = group)]
        groups: Vec<(String, Vec<String>)>,
        /// Do not publish it
        #[arg(long)]
        unpublished: bool,
    },
    /// List all status pages
    List,
    /// Show a status page
    Show {
        #[arg(value_name = "ID|SLUG|TITLE")]
        page: String,
    },
    /// Change the given fields; keep the rest
    Edit {
        #[arg(value_name = "ID|SLUG|TITLE")]
        page: String,
        #[arg(long)]
        title: Option<String>,
        #[arg(long)]
        slug: Option<String>,
        #[arg(long)]
        description: Option<String>,
        /// Replace all groups, as 'Shop=Web,Checkout'; may be repeated
        #[arg(long = "group", value_name = "NAME=ENDPOINTS", value_parser = group)]
        groups: Vec<(String, Vec<String>)>,
        #[arg(long, value_name = "BOOL")]
        published: Option<bool>,
    },
    /// Delete status pages
    Rm {
        #[arg(value_name = "ID|SLUG|TITLE", required = true)]
        pages: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
}

fn group(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, endpoints) = text.split_once('=').ok_or("a group is written as NAME=ENDPOINT,ENDPOINT")?;
    let endpoints = endpoints.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok((name.trim().to_owned(), endpoints.map(str::to_owned).collect()))
}

async fn groups_of(api: &Api, groups: &[(String, Vec<String>)]) -> Result<Json> {
    let mut list = Vec::new();
    for (name, endpoints) in groups {
        list.push(json!({"name": name, "endpoint_ids": endpoint_ids(api, endpoints).await?}));
    }
    Ok(list.into())
}

static COLUMNS: [Column; 6] = [
    text("ID", "id"),
    text("TITLE", "title"),
    text("SLUG", "slug"),
    text("PUBLISHED", "published"),
    time("CREATED", "created_at"),
    more("description"),
];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        let api = app.api()?;
        let address = |page: &Value| format!("{}/status/{}", api.base, plain(&page["slug"]));
        match self {
            Self::Add { title, slug, description, groups, unpublished } => {
                let mut body = Map::new();
                body.insert("title".to_owned(), title.into());
                body.insert("published".to_owned(), (!unpublished).into());
                body.insert("groups".to_owned(), groups_of(&api, &groups).await?);
                body.extend(slug.map(|slug| ("slug".to_owned(), slug.into())));
                body.extend(description.map(|text| ("description".to_owned(), text.into())));
                let made = api.create(&STATUS_PAGE, &body).await?;
                app.out.done(&made, &format!("Made {}: {}", label(&STATUS_PAGE, &made), address(&made)))?;
            }
            Self::List => {
                let items = api.list(STATUS_PAGE.path, &[], None).await?;
                app.out.list(&items, &COLUMNS, "There is none. Make one: pong status-page add TITLE")?;
            }
            Self::Show { page } => app.out.object(&api.find(&STATUS_PAGE, &page).await?)?,
            Self::Edit { page, title, slug, description, groups, published } => {
                let mut fields = Map::new();
                fields.extend(title.map(|title| ("title".to_owned(), title.into())));
                fields.extend(slug.map(|slug| ("slug".to_owned(), slug.into())));
                fields.extend(description.map(|text| ("description".to_owned(), text.into())));
                fields.extend(published.map(|is| ("published".to_owned(), is.into())));
                if !groups.is_empty() {
                    fields.insert("groups".to_owned(), groups_of(&api, &groups).await?);
                }
                if fields.is_empty() {
                    let hint = "pong status-page edit --help shows what can be changed";
                    return Err(Failure::usage("nothing to change was given").hint(hint).into());
                }
                let id = id_of(&api.find(&STATUS_PAGE, &page).await?).unwrap_or_default();
                let changed = api.update(&STATUS_PAGE, id, &fields).await?;
                app.out.done(
                    &changed,
                    &format!("Changed {}: {}", label(&STATUS_PAGE, &changed), address(&changed)),
                )?;
            }
            Self::Rm { pages, yes } => return app.remove(&STATUS_PAGE, &pages, yes).await,
        }
        Ok(Exit::Ok)
    }
}
