//! `function gateway FOLDER`: configures Kong from the files of a folder, through its Admin API.
//!
//! The files are Kong's declarative configuration (`infra/kong/*.yml`). Kong's own `kong config
//! db_import` could load them too, but it does not notify a running Kong, does not remove entities that
//! are no longer in a file, and cannot be repeated for a file with consumers. With the Admin API, a
//! change is active everywhere within seconds, without a restart.
//!
//! Every entity is put by its name, so a second run changes nothing. Loaded entities carry [`TAG`], and
//! are deleted when no file contains them; the users' entities (consumers, keys) carry no tag.

use std::{collections::HashSet, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use backon::{ConstantBuilder, Retryable as _};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use runtime::Env;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::users::kong::Kong;

const TAG: &str = "pongpong";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default, rename = "_format_version")]
    _format_version: String,
    #[serde(default)]
    plugins: Vec<Plugin>,
    #[serde(default)]
    services: Vec<Service>,
    /// Routes without a service.
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    consumers: Vec<Consumer>,
}

#[derive(Deserialize)]
struct Plugin {
    name: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Service {
    name: String,
    #[serde(default)]
    plugins: Vec<Plugin>,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Route {
    name: String,
    #[serde(default)]
    plugins: Vec<Plugin>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consumer {
    username: String,
    #[serde(default)]
    basicauth_credentials: Vec<BasicAuth>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BasicAuth {
    username: String,
    password: String,
}

/// Waits for Kong for up to five minutes: all of pongpong may be starting.
async fn wait(kong: &Kong) -> Result<()> {
    let often = ConstantBuilder::default().with_delay(Duration::from_secs(2)).with_max_times(150);
    let answers = async || -> Result<()> {
        let (status, _) = kong.ask(Method::GET, "/status", None).await?;
        ensure!(status == StatusCode::OK, "Kong's Admin API answers {status}");
        Ok(())
    };
    answers.retry(often).await
}

/// Loads every `*.yml` of a folder. `${NAME}` stands for the environment variable of that name. With
/// `HTTPS_ONLY=true`, plain HTTP is redirected to HTTPS.
pub async fn load(kong: &Kong, folder: &Path, env: &Env) -> Result<()> {
    let documents = read(folder, env)?;
    wait(kong).await?;
    let mut loading = Loading {
        kong,
        https_only: env.parse_or("HTTPS_ONLY", false)?,
        plugins: HashSet::new(),
        others: HashSet::new(),
    };
    for document in documents {
        loading.put_document(document).await?;
    }
    let deleted = loading.delete_the_rest().await?;
    tracing::info!(put = loading.plugins.len() + loading.others.len(), deleted, "Kong is as the files say");
    Ok(())
}

fn read(folder: &Path, env: &Env) -> Result<Vec<Document>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        paths.push(entry?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path)?;
        // Variables are replaced after parsing, because a password may contain characters that are
        // special in YAML.
        let mut value: Value = serde_norway::from_str(&text)?;
        fill_in(&mut value, env, false)?;
        anyhow::Ok(serde_json::from_value(value)?)
    };
    let documents: Vec<Document> = paths
        .iter()
        .map(|path| read(path).with_context(|| path.display().to_string()))
        .collect::<Result<_>>()?;
    // Without this check, everything that was loaded before would be deleted.
    ensure!(documents.iter().any(|d| !d.services.is_empty()), "{}: no service in it", folder.display());
    Ok(documents)
}

/// In a template, `$(...)` is Lua code for Kong.
fn fill_in(value: &mut Value, env: &Env, is_template: bool) -> Result<()> {
    match value {
        Value::String(text) => {
            while let Some((before, rest)) = text.split_once("${") {
                let (name, after) = rest.split_once('}').context("a ${ without its }")?;
                let filled = env.required(name)?;
                ensure!(!filled.contains("${"), "{name} holds a variable itself");
                ensure!(
                    !is_template || !filled.contains("$("),
                    "{name} must not contain $(: Kong would evaluate it"
                );
                *text = format!("{before}{filled}{after}");
            }
            Ok(())
        }
        Value::Array(values) => values.iter_mut().try_for_each(|value| fill_in(value, env, is_template)),
        Value::Object(values) => {
            let is_template =
                is_template || values.get("name").is_some_and(|name| name == "request-transformer");
            values.values_mut().try_for_each(|value| fill_in(value, env, is_template))
        }
        _ => Ok(()),
    }
}

/// A name, encoded as one path segment of the Admin API.
fn segment(name: &str) -> PercentEncode<'_> {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(name, RESERVED)
}

struct Loading<'a> {
    kong: &'a Kong,
    https_only: bool,
    /// IDs of the plugins that were put.
    plugins: HashSet<String>,
    /// Other entities that were put, as `/services/web`.
    others: HashSet<String>,
}

/// An entity as Kong returns it.
#[derive(Deserialize)]
struct Entity {
    id: String,
    name: Option<String>,
    username: Option<String>,
    /// The consumer of a credential.
    consumer: Option<Id>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Entity>,
    next: Option<String>,
}

impl Loading<'_> {
    async fn put_document(&mut self, document: Document) -> Result<()> {
        for plugin in document.plugins {
            self.put_plugin(plugin, None).await?;
        }
        for consumer in document.consumers {
            let path = format!("/consumers/{}", segment(&consumer.username));
            self.put(&path, Map::new()).await?;
            for BasicAuth { username, password } in consumer.basicauth_credentials {
                ensure!(
                    !username.contains(':') && !matches!(username.as_str(), "." | ".."),
                    "the operator's name {username:?} must not contain a colon, nor be . or .."
                );
                // Kong hashes the password, so it cannot be compared: set it each time.
                let credential = Map::from_iter([("password".to_owned(), password.into())]);
                self.put(&format!("{path}/basic-auth/{}", segment(&username)), credential).await?;
            }
        }
        for service in document.services {
            let id = self.put(&format!("/services/{}", segment(&service.name)), service.rest).await?;
            // Before the routes, so that no route is open for a moment.
            for plugin in service.plugins {
                self.put_plugin(plugin, Some(("service", &service.name, &id))).await?;
            }
            for route in service.routes {
                self.put_route(route, Some(&id)).await?;
            }
        }
        for route in document.routes {
            self.put_route(route, None).await?;
        }
        Ok(())
    }

    async fn put_route(&mut self, route: Route, service: Option<&str>) -> Result<()> {
        let mut body = route.rest;
        body.insert("service".into(), service.map_or(Value::Null, |id| json!({ "id": id })));
        if self.https_only {
            body.insert("protocols".into(), json!(["https"]));
            body.insert("https_redirect_status_code".into(), 308.into());
        }
        let id = self.put(&format!("/routes/{}", segment(&route.name)), body).await?;
        for plugin in route.plugins {
            self.put_plugin(plugin, Some(("route", &route.name, &id))).await?;
        }
        Ok(())
    }

    /// `of`: the entity that the plugin applies to, as ("route", name, ID); `None`: all.
    async fn put_plugin(&mut self, plugin: Plugin, of: Option<(&str, &str, &str)>) -> Result<()> {
        let mut body = plugin.rest;
        let mut place = plugin.name.clone();
        if let Some((kind, name, id)) = of {
            body.insert(kind.into(), json!({ "id": id }));
            place = format!("{kind} {name} {place}");
        }
        // Kong identifies a plugin only by its ID, so the same place must always give the same ID.
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Sha256::digest(&place)[..16]);
        let id = uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string();
        body.insert("name".into(), plugin.name.into());
        ensure!(self.plugins.insert(id.clone()), "{place} is there twice");
        self.put_entity(&format!("/plugins/{id}"), body).await?;
        Ok(())
    }

    async fn put(&mut self, path: &str, body: Map<String, Value>) -> Result<String> {
        ensure!(self.others.insert(path.to_owned()), "{path} is there twice");
        self.put_entity(path, body).await
    }

    async fn put_entity(&self, path: &str, mut body: Map<String, Value>) -> Result<String> {
        body.insert("tags".into(), json!([TAG]));
        let answer = self.ask(Method::PUT, path, Some(&body.into()), StatusCode::OK).await?;
        Ok(serde_json::from_value::<Id>(answer).with_context(|| format!("{path} has got no id"))?.id)
    }

    /// Deletes tagged entities that are in no file any more. Returns their number.
    async fn delete_the_rest(&self) -> Result<usize> {
        let mut gone = Vec::new();
        // Deleting a route also deletes its plugins; a service can be deleted only when it has no routes.
        for plugin in self.list("/plugins").await? {
            if !self.plugins.contains(&plugin.id) {
                gone.push(format!("/plugins/{}", plugin.id));
            }
        }
        for kind in ["/routes", "/services"] {
            let paths = self
                .list(kind)
                .await?
                .into_iter()
                .filter_map(|e| Some(format!("{kind}/{}", segment(&e.name?))));
            gone.extend(paths.filter(|path| !self.others.contains(path)));
        }
        let consumers = self.list("/consumers").await?;
        for credential in self.list("/basic-auths").await? {
            let owner = consumers.iter().find(|c| credential.consumer.as_ref().is_some_and(|o| o.id == c.id));
            if let (Some(owner), Some(username)) =
                (owner.and_then(|o| o.username.as_ref()), credential.username)
            {
                gone.push(format!("/consumers/{}/basic-auth/{}", segment(owner), segment(&username)));
            }
        }
        gone.extend(
            consumers.into_iter().filter_map(|c| Some(format!("/consumers/{}", segment(&c.username?)))),
        );
        gone.retain(|path| !self.others.contains(path));
        for path in &gone {
            self.ask(Method::DELETE, path, None, StatusCode::NO_CONTENT).await?;
        }
        Ok(gone.len())
    }

    async fn list(&self, kind: &str) -> Result<Vec<Entity>> {
        let mut entities = Vec::new();
        let mut next = Some(format!("{kind}?tags={TAG}&size=1000"));
        while let Some(path) = next {
            let page: Page =
                serde_json::from_value(self.ask(Method::GET, &path, None, StatusCode::OK).await?)
                    .with_context(|| format!("Kong's list of {kind}"))?;
            entities.extend(page.data);
            next = page.next;
        }
        Ok(entities)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        wanted: StatusCode,
    ) -> Result<Value> {
        let (status, answer) = self.kong.ask(method.clone(), path, body).await?;
        if status != wanted {
            // Without the request: it may contain the gateway's token or a password.
            bail!("{method} {path}: Kong answered {status}: {}", answer["message"]);
        }
        Ok(answer)
    }
}
