//! An endpoint's config: validated by its kind, sealed in storage and in transit, masked in responses.

use std::collections::HashMap;

use checks::{CHECKS, Kind};
use contract::{Target, Text, address::Address};
use fields::{Refusals, Stored};
use runtime::{Context, Error, Result, db::JsonText, secret::Sealer};
use serde_json::{Map, Value};
use url::{Host, Url};

use super::settings::Settings;
use crate::words;

const PURPOSE: &str = "endpoint-config";

/// The address that a user typed for a kind, perhaps without a scheme. Only an address of the first kind may have an
/// uncertain scheme.
pub(crate) fn address(kind: &str, typed: &str) -> Address {
    match (Kind::find(kind), CHECKS, typed.contains("://")) {
        (Some(kind), [first, ..], false) if kind.name != first.name => {
            let scheme = kind.schemes.first().unwrap_or(&"");
            Address { url: format!("{scheme}://{}", typed.trim()), fallback: None }
        }
        _ => Address::of(typed),
    }
}

/// The kind with this name; without a name, the kind of the URL's scheme. An error names the invalid field.
pub(super) fn kind_of(name: &str, url: &str) -> Result<&'static Kind, (&'static str, Text)> {
    if !name.is_empty() {
        return Kind::find(name).ok_or_else(|| {
            let known = Kind::names();
            ("kind", contract::words::must_be_one_of(known).into())
        });
    }
    match (Kind::of_url(url), CHECKS) {
        (Some(kind), _) => Ok(kind),
        // The URL is invalid: the kind reports the reason.
        (None, [first, ..]) if Url::parse(url).is_err() => Ok(first),
        (None, _) => {
            let known = Kind::beginnings(CHECKS);
            let what = words::must_begin_with(known);
            Err(("url", what.into()))
        }
    }
}

/// Validates the sent config field by field. The result is in clear text. `stored`: the settings before the change,
/// with opened secrets.
pub(super) fn read(kind: &Kind, sent: &Settings, stored: Option<&Settings>) -> Result<Value, Refusals> {
    let stored = stored.filter(|stored| stored.kind == kind.name);
    let stored = stored.map(|stored| Stored {
        values: &stored.config.0,
        is_elsewhere: server_of(&stored.url) != server_of(&sent.url)
            || kind.receiver(&stored.config.0) != kind.receiver(&sent.config.0),
    });
    fields::read(kind.fields, &sent.config.0, stored).map_err(|invalid| invalid.0)
}

/// Scheme, host and port: the server that receives the secrets of a check.
fn server_of(url: &str) -> Option<(String, String, Option<u16>)> {
    let parsed = Url::parse(url).ok()?;
    Some((parsed.scheme().to_owned(), host_of(url)?, parsed.port_or_known_default()))
}

/// The host as DNS has it, also for schemes whose hosts the URL parser leaves as they are.
pub(super) fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(Host::parse(host).map_or_else(|_| host.to_owned(), |host| host.to_string()))
}

/// The config with all defaults, and without secrets.
pub(super) fn shown(settings: &Settings) -> Value {
    match Kind::find(&settings.kind) {
        Some(kind) => fields::with_defaults(kind.fields, &fields::hidden(kind.fields, &settings.config.0)),
        // A kind of a newer version, after a rollback: it is not known which of its fields are secret.
        None => Map::new().into(),
    }
}

/// Applies a patch to stored settings. Secrets stay masked.
pub(crate) fn patched(stored: &Settings, mut patch: Map<String, Value>) -> Result<Settings> {
    let url = patch.get("url").and_then(Value::as_str).map(|url| address(&stored.kind, url).url);
    if let (Some(url), None) = (url, patch.get("kind")) {
        match Kind::of_url(&url) {
            Some(kind) if kind.name != stored.kind => drop(patch.insert("kind".to_owned(), kind.name.into())),
            // Null, so that validation refuses the URL and lists the supported schemes.
            None if Url::parse(&url).is_ok() => drop(patch.insert("kind".to_owned(), Value::Null)),
            _ => {}
        }
    }
    let is_other = patch.get("kind").is_some_and(|kind| *kind != *stored.kind);
    if is_other {
        patch.entry("config").or_insert(Value::Null);
    }
    // Retries that equal the default follow the default of the changed check.
    let usual = Kind::find(&stored.kind).map(|kind| i32::from(kind.default_retries(&stored.config.0)));
    if usual.is_some() && stored.retries == usual {
        patch.entry("retries").or_insert(Value::Null);
    }
    let config = JsonText(shown(stored));
    runtime::input::patched(&Settings { config, ..stored.clone() }, patch)
}

impl Settings {
    /// Whether a check sends secrets.
    pub(crate) fn has_secrets(&self) -> bool {
        Kind::find(&self.kind)
            .or_else(|| CHECKS.first())
            .is_some_and(|kind| !fields::secrets(kind.fields, &self.config.0).is_empty())
    }

    /// Returns the settings with the secrets of the config in clear text.
    pub(crate) fn opened(mut self, context: &Context) -> Result<Self> {
        open(context, &self.kind, &mut self.config.0).map_err(|error| {
            tracing::error!(%error, "a secret of an endpoint cannot be opened");
            let what = words::SECRETS_CANNOT_BE_OPENED;
            Error::field("config", what)
        })?;
        Ok(self)
    }

    /// Like [`Self::opened`], for a change: a secret that cannot be opened stays sealed until it is sent again.
    pub(super) fn opened_as_possible(mut self, context: &Context) -> Self {
        for secret in secrets(&self.kind, &mut self.config.0) {
            if let Ok(plain) = unsealed(context, secret) {
                *secret = plain;
            }
        }
        self
    }

    /// Returns the settings with sealed secrets, for storage. An unchanged secret keeps its sealed value. `stored`:
    /// the settings before the change, sealed and opened.
    pub(super) fn sealed(mut self, context: &Context, stored: Option<(&Self, &Self)>) -> Result<Self> {
        let Some(kind) = Kind::find(&self.kind) else { return Ok(self) };
        let mut known = HashMap::new();
        if let Some((sealed, opened)) = stored.filter(|(sealed, _)| sealed.kind == self.kind) {
            let (mut sealed, mut opened) = (sealed.config.0.clone(), opened.config.0.clone());
            let pairs = fields::secrets_mut(kind.fields, &mut opened).into_iter();
            for (plain, sealed) in pairs.zip(fields::secrets_mut(kind.fields, &mut sealed)) {
                known.insert(plain.clone(), sealed.clone());
            }
        }
        for secret in fields::secrets_mut(kind.fields, &mut self.config.0) {
            *secret = match known.get(secret) {
                Some(sealed) => sealed.clone(),
                None => context.config::<Sealer>()?.seal(context.random(), PURPOSE, secret)?,
            };
        }
        Ok(self)
    }
}

/// Opens the secrets of a check that is about to run.
pub(crate) fn open_target(context: &Context, target: &mut Target) -> Result<()> {
    open(context, &target.kind, &mut target.config)
}

fn open(context: &Context, kind: &str, config: &mut Value) -> Result<()> {
    for secret in secrets(kind, config) {
        *secret = unsealed(context, secret)?;
    }
    Ok(())
}

fn secrets<'a>(kind: &str, config: &'a mut Value) -> Vec<&'a mut String> {
    Kind::find(kind).map_or_else(Vec::new, |kind| fields::secrets_mut(kind.fields, config))
}

fn unsealed(context: &Context, secret: &str) -> Result<String> {
    Ok(context.config::<Sealer>()?.open(PURPOSE, secret)?)
}
