//! A notification's kind and config. The config is sealed in storage and in events.

use channels::{CHANNELS, Config, Kind};
use runtime::{Context, Error, Result, secret::Sealer};
use serde_json::Value;
use utoipa::openapi::{ObjectBuilder, Schema, Type, schema::SchemaType};

use crate::words;

pub(super) fn stored_kind(name: &str) -> Result<&'static Kind> {
    Kind::find(name).ok_or_else(|| Error::internal(anyhow::anyhow!("there is no notification kind {name}")))
}

/// The kind with a name that a user entered.
pub(crate) fn kind_named(name: &str) -> Result<&'static Kind> {
    let refuse = || {
        let known = Kind::names();
        Error::field("kind", words::must_be_one_of_kinds(known))
    };
    Kind::find(name).ok_or_else(refuse)
}

/// OpenAPI schema: the names of `CHANNELS`.
pub(crate) fn kind_schema() -> Schema {
    let names = CHANNELS.iter().map(|kind| kind.name);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

/// The same for an optional field, which also allows null.
pub(super) fn optional_kind_schema() -> Schema {
    let names = CHANNELS.iter().map(|kind| Value::from(kind.name)).chain([Value::Null]);
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(types).enum_values(Some(names)).into()
}

const PURPOSE: &str = "notification-config";

pub(super) fn seal(context: &Context, config: &Config) -> Result<String> {
    let json = config.values().to_string();
    Ok(context.config::<Sealer>()?.seal(context.random(), PURPOSE, &json)?)
}

/// Opens a sealed config; also used by the senders.
pub fn open(context: &Context, kind: &'static Kind, sealed: &str) -> Result<Config> {
    let json = context.config::<Sealer>()?.open(PURPOSE, sealed)?;
    Ok(Config::stored(kind, serde_json::from_str(&json).map_err(Error::internal)?))
}
