//! `pong check`: is it up, how fast is it, and where does the time go?

use std::path::Path;

use anyhow::Result;
use checks::{CHECKS, Kind, ProbeConfig, Prober};
use clap::Args;
use contract::{Invalid, Target, address::Address};
use fields::Refusals;
use net::address::PrivateNetworks;
use serde_json::{Map, Value as Json, json};

use crate::{
    api::{ENDPOINT, Value, extra_roots, id_of},
    app::App,
    chart::{milliseconds, waterfall},
    endpoint::{Given, Request, kind_of},
    error::{Exit, Failure},
    output::{BOLD, DIM, moment, paint, plain, print, since, spinner, status_style, visible},
};

#[derive(Args)]
pub struct Check {
    /// What to check: a URL, or an endpoint's id or name
    #[arg(value_name = "URL|ID|NAME", required_unless_present = "endpoint")]
    target: Option<String>,
    /// Check one of your endpoints with its own settings
    #[arg(long, value_name = "ID|NAME", conflicts_with = "target")]
    endpoint: Option<String>,
    /// Check from this machine, even with an account
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    request: Request,
}

impl Check {
    pub async fn run(self, app: &App) -> Result<Exit> {
        let api = if self.local { None } else { app.api_if_logged_in()? };
        let named = self.target.clone().filter(|target| {
            // With an account, a bare word is an endpoint's name; a host without a dot must be given as a
            // URL.
            let is_word = !target.contains(['.', ':', '/']) && target != "localhost";
            target.parse::<i64>().is_ok() || api.is_some() && is_word
        });
        let wanted = self.endpoint.or(named);
        let given = self.request.given();
        let (result, from) = match (api, wanted) {
            (Some(api), wanted) => {
                let body = match wanted {
                    Some(wanted) => {
                        let endpoint = api.find(&ENDPOINT, &wanted).await?;
                        let mut body = given.of_change(&api, &endpoint, None, Vec::new()).await?;
                        body.insert("endpoint_id".to_owned(), id_of(&endpoint).unwrap_or_default().into());
                        body
                    }
                    None => given.of_new(&api, self.target.unwrap_or_default()).await?,
                };
                let waiting = spinner("checking".to_owned());
                let result = api.post("/endpoint-check/v1/checks", &body).await?;
                waiting.finish_and_clear();
                (result, "by pongpong")
            }
            (None, Some(wanted)) => {
                let failure =
                    Failure::new(Exit::NotLoggedIn, format!("`{wanted}` is an endpoint of an account"));
                return Err(failure.hint("Log in (pong login) without --local, or give a URL").into());
            }
            (None, None) => {
                let Address { url, fallback } = Address::of(&self.target.unwrap_or_default());
                let local = Local::of(given, &url).await?;
                let waiting = spinner(format!("checking {url}"));
                let mut result = local.check(&url, app.ca_cert()).await?;
                if let Some(url) = fallback.filter(|_| result["error"]["code"] == "CONNECT_REFUSED") {
                    let by_http = local.check(&url, app.ca_cert()).await?;
                    if matches!(by_http["status"].as_str(), Some("up" | "degraded")) {
                        result = by_http;
                    }
                }
                waiting.finish_and_clear();
                (result, "from here")
            }
        };
        if app.out.is_table() {
            show(&result, from)?
        } else {
            app.out.object(&result)?
        }
        Ok(match result["status"].as_str() {
            Some("up" | "degraded") => Exit::Ok,
            // `unknown` says nothing about the endpoint.
            Some("unknown") => Exit::Error,
            _ => Exit::Down,
        })
    }
}

/// A check from this machine.
struct Local {
    kind: &'static Kind,
    config: Json,
    fields: Map<String, Json>,
}

impl Local {
    async fn of(given: Given, url: &str) -> Result<Self> {
        let Given { fields, kind, config } = given;
        let named = kind.unwrap_or_default();
        let Some(kind) = kind_of(&named, url) else {
            let (field, known) = match named.as_str() {
                "" => ("url", format!("must begin with {}", Kind::beginnings(CHECKS))),
                _ => ("kind", format!("must be one of {}", Kind::names())),
            };
            return Err(refused([(field.to_owned(), known)]).into());
        };
        let config = Json::Object(config.of_kind(None, kind.name).await?);
        let config =
            fields::read(kind.fields, &config, None).map_err(|Invalid(wrong)| refused(in_words(wrong)))?;
        Ok(Self { kind, config, fields })
    }

    /// The result in the API's form, made by the same code.
    async fn check(&self, url: &str, ca_cert: Option<&Path>) -> Result<Value> {
        let mut settings = json!({
            "kind": self.kind.name, "url": url, "config": self.config, "timeout_ms": 10_000, "retries": 0,
        });
        for (name, value) in &self.fields {
            settings[name] = value.clone();
        }
        let target: Target = serde_json::from_value(settings)?;
        let wrong = checks::validate(&target);
        if !wrong.is_empty() {
            return Err(refused(in_words(wrong)).into());
        }
        let mut config = ProbeConfig::new(PrivateNetworks::Allow)?;
        config.extra_roots = extra_roots(ca_cert)?;
        let outcome = Prober::new(config)?.probe(0, &target, None).await;
        let mut result = serde_norway::to_value(outcome)?;
        result["url"] = target.url.into();
        Ok(result)
    }
}

fn in_words(wrong: Refusals) -> impl Iterator<Item = (String, String)> {
    wrong.into_iter().map(|(field, what)| (field, what.en.into_owned()))
}

fn refused(wrong: impl IntoIterator<Item = (String, String)>) -> Failure {
    Failure { fields: wrong.into_iter().collect(), ..Failure::usage("this cannot be checked") }
}

const PHASES: [&str; 5] = ["dns", "connect", "tls", "first_byte", "transfer"];

fn show(result: &Value, from: &str) -> Result<()> {
    let status = plain(&result["status"]);
    let timings = &result["timings_ms"];
    let total = timings["total"].as_f64().unwrap_or_default();
    let code = plain(&result["status_code"]);
    let shown = if status == "unknown" { "could not be checked" } else { &status };
    let mut head = vec![paint(status_style(&status).bold(), shown)];
    head.extend((!code.is_empty()).then_some(code));
    head.push(paint(BOLD, &milliseconds(total)));
    print(&format!("{}  {}", head.join("  "), visible(&plain(&result["url"]))))?;
    if let Some(message) = result["error"]["message"].as_str() {
        let code = plain(&result["error"]["code"]);
        print(&format!(
            "{} {}",
            paint(status_style(&status), &visible(message)),
            paint(DIM, &visible(&code))
        ))?;
    }
    let phases: Vec<_> = PHASES.iter().filter_map(|name| Some((*name, timings[*name].as_f64()?))).collect();
    for row in waterfall(&phases, 40) {
        print(&row)?;
    }
    let mut facts = vec![from.to_owned()];
    let ip = plain(&result["ip"]);
    facts.extend((!ip.is_empty()).then(|| format!("address {ip}")));
    let bytes = result["response_bytes"].as_u64().filter(|bytes| *bytes > 0);
    facts.extend(bytes.map(|bytes| format!("{bytes} bytes")));
    facts.extend(
        moment(&result["certificate_expires_at"]).map(|at| format!("certificate ends {}", since(at))),
    );
    print(&paint(DIM, &visible(&facts.join(", "))))
}
