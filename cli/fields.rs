//! Flags for the fields of all notification kinds, made from their table; `--set` for those of a kind that only the
//! server knows.

use anyhow::Result;
use channels::{CHANNELS, Field, Input, Kind};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Map, Value as Json, json};

use crate::{
    api::{Api, Value},
    error::Failure,
};

/// What was given, by the field's name.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, Vec<String>)>);

/// Each name once, with the kinds that have it.
fn all() -> Vec<(&'static Field, Vec<&'static Kind>)> {
    let mut all: Vec<(&Field, Vec<&Kind>)> = Vec::new();
    for kind in CHANNELS {
        for field in kind.fields {
            match all.iter_mut().find(|(known, _)| known.name == field.name) {
                Some((_, kinds)) => kinds.push(kind),
                None => all.push((field, vec![kind])),
            }
        }
    }
    all
}

fn flag(name: &str) -> String {
    name.replace('_', "-")
}

/// Where `add` looks for a secret.
fn variable(field: &Field) -> String {
    format!("PONG_NOTIFICATION_{}", field.name.to_uppercase())
}

impl Args for Fields {
    fn augment_args(mut command: Command) -> Command {
        for (field, kinds) in all() {
            let of = kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
            let arg = Arg::new(field.name).long(flag(field.name)).value_name(field.name.to_uppercase());
            let arg = match field.input {
                Input::Emails { .. } => arg.value_delimiter(',').action(ArgAction::Append),
                Input::Url | Input::Line { .. } => arg.action(ArgAction::Set),
            };
            let variable = field.is_secret.then(|| format!(" [env of add: {}]", variable(field)));
            let about = lower(field.label.0);
            command = command.arg(arg.help(format!("{of}: {about}{}", variable.unwrap_or_default())));
        }
        command.arg(
            Arg::new("set")
                .long("set")
                .value_name("FIELD=VALUE")
                .action(ArgAction::Append)
                .help("Sets a field of a kind that only the server knows"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// As help texts begin.
fn lower(label: &str) -> String {
    let mut chars = label.chars();
    let first = chars.next();
    match (first, chars.as_str()) {
        (Some(first), rest) if !rest.starts_with(char::is_uppercase) => {
            first.to_lowercase().collect::<String>() + rest
        }
        _ => label.to_owned(),
    }
}

impl FromArgMatches for Fields {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Self::default();
        given.update_from_arg_matches(matches)?;
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let texts = |name: &str| -> Option<Vec<String>> { Some(matches.get_many(name)?.cloned().collect()) };
        for (field, _) in all() {
            self.0.extend(texts(field.name).map(|values| (field.name.to_owned(), values)));
        }
        for pair in texts("set").into_iter().flatten() {
            let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
            self.0.push((name.to_owned(), vec![value.to_owned()]));
        }
        Ok(())
    }
}

impl Fields {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With secrets that were not given, from variables: a command line is seen by others, and kept in a history.
    pub fn with_variables(mut self, kind: &str) -> Self {
        for field in Kind::find(kind).into_iter().flat_map(|kind| kind.fields).filter(|field| field.is_secret)
        {
            let is_given = self.0.iter().any(|(name, _)| name == field.name);
            let variable = std::env::var(variable(field)).ok().filter(|value| !value.is_empty());
            if let (false, Some(value)) = (is_given, variable) {
                self.0.push((field.name.to_owned(), vec![value]));
            }
        }
        self
    }

    /// As the API takes them. An empty value is a field that is to be absent: null.
    pub async fn of_kind(self, api: &Api, kind: &str) -> Result<Map<String, Json>> {
        let lists = match Kind::find(kind) {
            Some(kind) => {
                if let Some((name, _)) = self.0.iter().find(|(name, _)| kind.field(name).is_none()) {
                    let has = kind.fields.iter().map(|field| format!("--{}", flag(field.name)));
                    let hint = format!("{} has {}", kind.name, has.collect::<Vec<_>>().join(", "));
                    let message = format!("--{} is no field of {}", flag(name), kind.name);
                    return Err(Failure::usage(message).hint(hint).into());
                }
                let lists = kind.fields.iter().filter(|field| matches!(field.input, Input::Emails { .. }));
                lists.map(|field| field.name.to_owned()).collect()
            }
            None => lists_of(api, kind).await?,
        };
        let value = |(name, values): (String, Vec<String>)| {
            let value = match &values[..] {
                [only] if only.is_empty() => Json::Null,
                [only] if !lists.contains(&name) => json!(only),
                [only] => json!(only.split(',').map(str::trim).collect::<Vec<_>>()),
                several => json!(several),
            };
            (name, value)
        };
        Ok(self.0.into_iter().map(value).collect())
    }
}

/// The fields of a kind that hold several values, as the server says.
async fn lists_of(api: &Api, kind: &str) -> Result<Vec<String>> {
    let kinds = api.list("/notification-service/v1/notification_kinds", &[], None).await?;
    let named = |known: &Value| known["kind"].as_str().unwrap_or_default().to_owned();
    let Some(known) = kinds.iter().find(|known| named(known) == kind) else {
        let names = kinds.iter().map(named).collect::<Vec<_>>().join(", ");
        let failure = Failure::usage(format!("there is no kind `{kind}`"));
        return Err(failure.hint(format!("There is {names}")).into());
    };
    let fields = known["fields"].as_sequence().into_iter().flatten();
    let lists = fields.filter(|field| field["input"].as_str() == Some("emails"));
    Ok(lists.filter_map(|field| field["name"].as_str().map(str::to_owned)).collect())
}
