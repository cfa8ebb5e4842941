//! `pong notification`: notifications and their deliveries.

use anyhow::Result;
use channels::Kind;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value as Json, json};

use crate::{
    api::{Api, ENDPOINT, NOTIFICATION, Value, id_of},
    app::{App, label},
    error::{Exit, Failure},
    fields::{Fields, Notifications, Table},
    output::{self, Column, ids, more, names, plain, status, text, time},
};

#[derive(Subcommand)]
pub enum Command {
    /// Add a notification
    Add {
        /// Kind: email, slack, webhook, ... (see `pong notification kinds`)
        kind: String,
        name: String,
        #[command(flatten)]
        about: About,
        #[command(flatten)]
        fields: Fields<Notifications>,
    },
    /// Show the server's kinds of notifications and their fields
    Kinds,
    /// List all notifications
    List,
    /// Show a notification; its secrets are masked
    Show {
        #[arg(value_name = "ID|NAME")]
        notification: String,
    },
    /// Change the given fields; keep the rest
    Edit {
        #[arg(value_name = "ID|NAME")]
        notification: String,
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        about: About,
        /// Send messages about all endpoints
        #[arg(long, conflicts_with = "endpoints")]
        all_endpoints: bool,
        #[arg(long, value_name = "BOOL")]
        enabled: Option<bool>,
        #[command(flatten)]
        fields: Fields<Notifications>,
    },
    /// Delete notifications
    Rm {
        #[arg(value_name = "ID|NAME", required = true)]
        notifications: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Send a test message now
    Test {
        #[arg(value_name = "ID|NAME")]
        notification: String,
    },
    /// Show deliveries: messages, recipients and outcomes
    Deliveries {
        /// Only deliveries to this notification
        #[arg(long, value_name = "ID|NAME")]
        notification: Option<String>,
        /// Only deliveries about this endpoint
        #[arg(long, value_name = "ID|NAME")]
        endpoint: Option<String>,
        #[arg(long)]
        status: Option<DeliveryStatus>,
        /// Maximum number of deliveries
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Send a failed delivery again
    Retry {
        #[arg(value_name = "DELIVERY")]
        delivery: i64,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum DeliveryStatus {
    Pending,
    Delivered,
    Failed,
    Superseded,
}

#[derive(Args)]
pub struct About {
    /// Send messages only about these endpoints, separated by commas [default: all, including future ones]
    #[arg(long, value_delimiter = ',', value_name = "ID|NAME")]
    endpoints: Vec<String>,
    /// Also send a message when an endpoint is degraded [default: true]
    #[arg(long, value_name = "BOOL")]
    send_degraded: Option<bool>,
}

static COLUMNS: [Column; 10] = [
    text("ID", "id"),
    text("NAME", "name"),
    text("KIND", "kind"),
    text("TO", "config"),
    ids("ENDPOINTS", "endpoint_ids"),
    text("ENABLED", "enabled"),
    more("send_degraded"),
    more("failures"),
    more("paused_until"),
    more("addresses"),
];

/// With a table: shows the server's warning and the addresses that get no messages.
fn note_addresses(app: &App, notification: &Value) {
    if !app.out.is_table() {
        return;
    }
    if let Some(warning) = notification["warning"].as_str() {
        output::note(warning);
    }
    let addresses = notification["addresses"].as_mapping().into_iter().flatten();
    for (address, state) in addresses.filter(|(_, state)| state.as_str() != Some("confirmed")) {
        let (address, state) = (plain(address), plain(state));
        let of = label(&NOTIFICATION, notification);
        output::note(&if state == "unconfirmed" {
            format!(
                "{of}: {address} is not confirmed: open the link that was mailed there, or send it again by pong notification test"
            )
        } else {
            format!("{of}: {address} is {state}")
        });
    }
}

static KINDS: [Column; 3] = [text("KIND", "kind"), text("ABOUT", "about"), names("FIELDS", "fields")];

static DELIVERIES: [Column; 13] = [
    text("ID", "id"),
    time("WHEN", "created_at"),
    status("STATUS", "status"),
    text("KIND", "kind"),
    text("TO", "recipient"),
    text("ENDPOINT", "alert.endpoint_name"),
    text("ABOUT", "alert.what"),
    text("ATTEMPT", "attempts"),
    text("ERROR", "error"),
    more("tries"),
    more("next_try_at"),
    more("notification_id"),
    more("endpoint_id"),
];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        let api = app.api()?;
        match self {
            Self::Add { kind, name, about, fields } => {
                let config = fields.with_variables(&kind).of_kind(Some(&api), &kind).await?;
                let ids = about.ids(&api).await?;
                let mut body = json!({"name": name, "kind": kind, "config": config, "endpoint_ids": ids});
                if let Some(send_degraded) = about.send_degraded {
                    body["send_degraded"] = send_degraded.into();
                }
                let made = api.create(&NOTIFICATION, &body).await?;
                app.out.done(&made, &format!("Added notification {}", label(&NOTIFICATION, &made)))?;
                note_addresses(app, &made);
                if app.out.is_table() {
                    note_generated(&kind, &config, &made)?;
                }
            }
            Self::Kinds => {
                let kinds = api.list(Notifications::PATH, &[], None).await?;
                app.out.list(&kinds, &KINDS, "There are none")?;
            }
            Self::List => {
                let items = api.list(NOTIFICATION.path, &[], None).await?;
                let empty = "Nobody is told yet. As in: pong notification add email me --to me@example.com";
                app.out.list(&items, &COLUMNS, empty)?;
                items.iter().for_each(|item| note_addresses(app, item));
            }
            Self::Show { notification } => app.out.object(&api.find(&NOTIFICATION, &notification).await?)?,
            Self::Edit { notification, name, about, all_endpoints, enabled, fields: given } => {
                let old = api.find(&NOTIFICATION, &notification).await?;
                let mut fields = Map::new();
                fields.extend(name.map(|name| ("name".to_owned(), name.into())));
                fields.extend(enabled.map(|enabled| ("enabled".to_owned(), enabled.into())));
                fields.extend(about.send_degraded.map(|send| ("send_degraded".to_owned(), send.into())));
                if let Some(ids) = about.ids(&api).await? {
                    fields.insert("endpoint_ids".to_owned(), json!(ids));
                }
                if all_endpoints {
                    fields.insert("endpoint_ids".to_owned(), Json::Null);
                }
                if !given.is_empty() {
                    // The API replaces the config as a whole. Masked secrets stay unchanged.
                    let mut config: Map<String, Json> = serde_norway::from_value(old["config"].clone())?;
                    config.extend(given.of_kind(Some(&api), &plain(&old["kind"])).await?);
                    config.retain(|_, value| !value.is_null());
                    fields.insert("config".to_owned(), config.into());
                }
                if fields.is_empty() {
                    let hint = "pong notification edit --help shows what can be changed";
                    return Err(Failure::usage("nothing to change was given").hint(hint).into());
                }
                let changed = api.update(&NOTIFICATION, id_of(&old).unwrap_or_default(), &fields).await?;
                app.out
                    .done(&changed, &format!("Changed notification {}", label(&NOTIFICATION, &changed)))?;
                note_addresses(app, &changed);
            }
            Self::Rm { notifications, yes } => return app.remove(&NOTIFICATION, &notifications, yes).await,
            Self::Test { notification } => {
                let found = api.find(&NOTIFICATION, &notification).await?;
                let path = format!("{}/{}/test", NOTIFICATION.path, id_of(&found).unwrap_or_default());
                let waiting = output::spinner("sending".to_owned());
                let result = api.post(&path, &json!({})).await?;
                waiting.finish_and_clear();
                if result["status"].as_str() != Some("ok") {
                    let message = format!("the test failed: {}", plain(&result["message"]));
                    return Err(Failure::error(message).into());
                }
                let tested = label(&NOTIFICATION, &found);
                let sentence = match result["message"].as_str() {
                    Some(message) => format!("Tested {tested}: {message}"),
                    None => format!("Sent a test by {tested}"),
                };
                app.out.done(&result, &sentence)?;
            }
            Self::Deliveries { notification, endpoint, status, limit } => {
                let mut query = Vec::new();
                if let Some(wanted) = notification {
                    query.push(("notification_id", api.find_id(&NOTIFICATION, &wanted).await?.to_string()));
                }
                if let Some(wanted) = endpoint {
                    query.push(("endpoint_id", api.find_id(&ENDPOINT, &wanted).await?.to_string()));
                }
                if let Some(status) = status.and_then(|status| status.to_possible_value()) {
                    query.push(("status", status.get_name().to_owned()));
                }
                let items = api.list("/notification-service/v1/deliveries", &query, limit).await?;
                app.out.list(&items, &DELIVERIES, "Nothing was sent yet")?;
            }
            Self::Retry { delivery } => {
                let path = format!("/notification-service/v1/deliveries/{delivery}/retry");
                let result = api.post(&path, &json!({})).await?;
                app.out.done(&result, &format!("Delivery {delivery} is sent once more"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// Shows the values that the server generated: they are shown only now.
fn note_generated(kind: &str, given: &Map<String, Json>, made: &Value) -> Result<()> {
    for field in Kind::find(kind).into_iter().flat_map(|kind| kind.fields) {
        if field.generate.is_some()
            && given.get(field.name).is_none_or(Json::is_null)
            && let Some(value) = made["config"][field.name].as_str().filter(|value| !value.contains('…'))
        {
            output::note(&format!("Its {} is not shown again:", field.label.0.to_lowercase()));
            output::print(value)?;
        }
    }
    Ok(())
}

impl About {
    async fn ids(&self, api: &Api) -> Result<Option<Vec<i64>>> {
        if self.endpoints.is_empty() { Ok(None) } else { Ok(Some(endpoint_ids(api, &self.endpoints).await?)) }
    }
}

pub async fn endpoint_ids(api: &Api, wanted: &[String]) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    for wanted in wanted {
        ids.push(api.find_id(&ENDPOINT, wanted).await?);
    }
    Ok(ids)
}
