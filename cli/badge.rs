//! `pong badge`: images that anyone who knows their URL can see.

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use crate::{
    api::{BADGE, ENDPOINT, Value},
    app::App,
    error::{Exit, Failure},
    incident::name_endpoints,
    output::{Column, plain, print, text, time},
};

#[derive(Subcommand)]
pub enum Command {
    /// Create an endpoint's badge, or show the existing one
    Add {
        #[arg(value_name = "ID|NAME")]
        endpoint: String,
        /// Format of the printed URLs
        #[arg(long = "as", value_enum, default_value = "url")]
        form: Form,
    },
    /// List all badges
    List,
    /// Delete an endpoint's badge: its URLs stop working
    Rm {
        #[arg(value_name = "ID|NAME", required = true)]
        endpoints: Vec<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Form {
    Url,
    Markdown,
    Html,
}

static COLUMNS: [Column; 5] = [
    text("ID", "id"),
    text("ENDPOINT", "endpoint_name"),
    text("TOKEN", "token"),
    text("STATUS BADGE", "url"),
    time("CREATED", "created_at"),
];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        let api = app.api()?;
        match self {
            Self::Add { endpoint, form } => {
                let endpoint = api.find(&ENDPOINT, &endpoint).await?;
                let badge = api.create(&BADGE, &json!({"endpoint_id": endpoint["id"].as_i64()})).await?;
                if !app.out.is_table() {
                    app.out.object(&badge)?;
                    return Ok(Exit::Ok);
                }
                let (token, name) = (plain(&badge["token"]), plain(&endpoint["name"]));
                for (what, path) in [
                    ("status", "status.svg"),
                    ("uptime", "uptime/30d.svg"),
                    ("response time", "response_time/24h.svg"),
                ] {
                    let url = format!("{}/badges/{token}/{path}", api.base);
                    print(&match form {
                        Form::Url => url,
                        Form::Markdown => format!("![{what} of {name}]({url})"),
                        Form::Html => format!("<img src=\"{url}\" alt=\"{what} of {}\">", escaped(&name)),
                    })?;
                }
            }
            Self::List => {
                let mut badges = api.list(BADGE.path, &[], None).await?;
                name_endpoints(&api, &mut badges).await?;
                for badge in &mut badges {
                    let url = format!("{}/badges/{}/status.svg", api.base, plain(&badge["token"]));
                    if let Value::Mapping(fields) = badge {
                        fields.insert("url".into(), url.into());
                    }
                }
                app.out.list(&badges, &COLUMNS, "There is none. Make one: pong badge add ENDPOINT")?;
            }
            Self::Rm { endpoints } => {
                let badges = api.list(BADGE.path, &[], None).await?;
                for endpoint in endpoints {
                    let endpoint = api.find(&ENDPOINT, &endpoint).await?;
                    let badge = badges.iter().find(|badge| badge["endpoint_id"] == endpoint["id"]);
                    let name = plain(&endpoint["name"]);
                    let Some(id) = badge.and_then(crate::api::id_of) else {
                        return Err(Failure::new(Exit::NotFound, format!("{name} has no badge")).into());
                    };
                    api.delete(&BADGE, id).await?;
                    app.out.done(&Value::Null, &format!("Took the badge of {name} back"))?;
                }
            }
        }
        Ok(Exit::Ok)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
