//! The settings that all commands share: the API, the output format and the context.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::{
    api::{self, Api, Kind, Value},
    config::{Config, Context},
    error::{Exit, Failure},
    output::{Format, Out, confirm},
};

pub const API_URL: &str = "http://localhost:8000";

#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Output format
    #[arg(long, value_enum, default_value = "table", global = true, value_name = "FORMAT")]
    pub output: Format,
    /// URL of pongpong [default: the context's, else http://localhost:8000]
    #[arg(long, env = "PONG_API_URL", global = true, value_name = "URL", hide_env = true)]
    pub api_url: Option<String>,
    /// Use this context instead of the current one
    #[arg(long, env = "PONG_CONTEXT", global = true, value_name = "NAME", hide_env = true)]
    pub context: Option<String>,
    /// Trust these certificate authorities (PEM file) in addition to the public ones
    #[arg(long, env = "PONG_CA_CERT", global = true, value_name = "FILE", hide_env = true)]
    pub ca_cert: Option<PathBuf>,
}

pub struct App {
    global: Global,
    pub out: Out,
}

impl App {
    pub fn new(global: Global) -> Self {
        Self { out: Out { format: global.output }, global }
    }

    pub fn ca_cert(&self) -> Option<&Path> {
        self.global.ca_cert.as_deref()
    }

    /// The context's name, and the context if it exists.
    pub fn context(&self, config: &Config) -> Result<(String, Option<Context>)> {
        config.chosen(self.global.context.as_deref().filter(|name| !name.is_empty()))
    }

    pub fn has_named_context(&self) -> bool {
        self.global.context.as_ref().is_some_and(|name| !name.is_empty())
    }

    fn api_url<'a>(&'a self, context: Option<&'a Context>) -> &'a str {
        let asked = self.global.api_url.as_deref().filter(|url| !url.is_empty());
        asked.or(context.map(|context| context.api_url.as_str())).unwrap_or(API_URL)
    }

    /// A client without a key, for operations that need no account.
    pub fn anonymous(&self) -> Result<Api> {
        let (_, context) = self.context(&Config::load()?)?;
        Api::new(self.api_url(context.as_ref()), None, self.ca_cert())
    }

    /// A client with a key, if there is a key for this server.
    fn keyed(&self) -> Result<Result<Api, Failure>> {
        let given = std::env::var("PONG_API_KEY").ok().filter(|key| !key.is_empty());
        let config = Config::load()?;
        let (name, context) = self.context(&config)?;
        if context.is_none() && self.global.context.is_some() {
            let message = format!("there is no context `{name}`");
            return Err(Failure::usage(message).hint("pong context list shows those that there are").into());
        }
        let url = self.api_url(context.as_ref());
        let key = match (given, context.as_ref()) {
            (Some(key), _) => key,
            // A key is only sent to the server that issued it.
            (None, Some(context)) if !is_same(&context.api_url, url) => {
                let hint = format!("pong login --api-url {url} --context NAME");
                let message = format!("you are logged in at {}, not at {url}", context.api_url);
                return Ok(Err(Failure::new(Exit::NotLoggedIn, message).hint(hint)));
            }
            (None, context) => match context.and_then(|context| context.key.clone()) {
                Some(key) => key,
                None => return Ok(Err(api::not_logged_in())),
            },
        };
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Err(Failure::new(Exit::NotLoggedIn, "PONG_API_KEY is not a key")
                .hint("It must be the key itself, without spaces or line breaks")));
        }
        Ok(Ok(Api::new(url, Some(key), self.ca_cert())?))
    }

    pub fn api(&self) -> Result<Api> {
        Ok(self.keyed()??)
    }

    /// `None` without an account.
    pub fn api_if_logged_in(&self) -> Result<Option<Api>> {
        Ok(self.keyed()?.ok())
    }

    /// Deletes the objects with these ids or names, after all of them were found.
    pub async fn remove(&self, kind: &Kind, wanted: &[String], yes: bool) -> Result<Exit> {
        let api = self.api()?;
        let mut found = Vec::new();
        for wanted in wanted {
            found.push(api.find(kind, wanted).await?);
        }
        let names: Vec<_> = found.iter().map(|object| label(kind, object)).collect();
        if !confirm(&format!("Delete {} {}?", kind.name, names.join(", ")), yes)? {
            return Ok(Exit::Ok);
        }
        for (object, name) in found.iter().zip(names) {
            if let Some(id) = api::id_of(object) {
                api.delete(kind, id).await?;
            }
            self.out.done(&Value::Null, &format!("Deleted {} {name}", kind.name))?;
        }
        Ok(Exit::Ok)
    }
}

/// `Shop (7)`
pub fn label(kind: &Kind, object: &Value) -> String {
    let id = api::id_of(object).unwrap_or_default();
    match kind.labels.iter().find_map(|label| object[*label].as_str()) {
        Some(name) => format!("{name} ({id})"),
        None => id.to_string(),
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}
