//! Flags for the fields of the kinds of notifications and endpoints, made from their table. `--set` gives
//! fields of a kind that only the server knows.

use std::marker::PhantomData;

use ::fields::Field;
use anyhow::Result;
use channels::CHANNELS;
use checks::CHECKS;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, builder::PossibleValuesParser};
use contract::{FieldInfo, FieldInput, KindInfo};
use serde_json::{Map, Value as Json, json};

use crate::{api::Api, error::Failure};

/// A table of kinds.
pub trait Table {
    /// Path of the server's own list of kinds.
    const PATH: &'static str;
    /// Prefix of the environment variables for secrets.
    const PREFIX: &'static str;

    /// Each kind's name and fields.
    fn kinds() -> Vec<(&'static str, &'static [Field])>;
}

#[derive(Clone, Debug)]
pub struct Notifications;

impl Table for Notifications {
    const PATH: &'static str = "/notification-service/v1/notification_kinds";
    const PREFIX: &'static str = "PONG_NOTIFICATION";

    fn kinds() -> Vec<(&'static str, &'static [Field])> {
        CHANNELS.iter().map(|kind| (kind.name, kind.fields)).collect()
    }
}

#[derive(Clone, Debug)]
pub struct Endpoints;

impl Table for Endpoints {
    const PATH: &'static str = "/endpoint-service/v1/endpoint_kinds";
    const PREFIX: &'static str = "PONG_ENDPOINT";

    fn kinds() -> Vec<(&'static str, &'static [Field])> {
        CHECKS.iter().map(|kind| (kind.name, kind.fields)).collect()
    }
}

fn infos(fields: &[Field]) -> Vec<FieldInfo> {
    fields.iter().map(|field| field.info(|(en, _)| en.to_owned())).collect()
}

fn known<T: Table>(kind: &str) -> Option<Vec<FieldInfo>> {
    T::kinds().into_iter().find(|(name, _)| *name == kind).map(|(_, fields)| infos(fields))
}

/// The flag's name without dashes. A repeatable flag gives one header each time.
fn flag_of(field: &FieldInfo) -> String {
    let name = field.name.replace('_', "-");
    match name.strip_suffix('s') {
        Some(one) if field.input == FieldInput::Headers => one.to_owned(),
        _ => name,
    }
}

/// The environment variable in which `add` looks for a secret.
fn variable_of<T: Table>(field: &FieldInfo) -> Option<String> {
    let has_one = field.is_secret && field.input != FieldInput::Headers;
    has_one.then(|| format!("{}_{}", T::PREFIX, field.name.to_uppercase()))
}

/// A flag, and the kinds that have it.
struct Flag {
    name: String,
    /// The field of the first of these kinds.
    field: FieldInfo,
    kinds: Vec<(&'static str, FieldInfo)>,
}

/// All flags, each once.
fn flags<T: Table>() -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for (kind, fields) in T::kinds() {
        for field in infos(fields) {
            let name = flag_of(&field);
            match flags.iter_mut().find(|flag| flag.name == name) {
                Some(flag) => flag.kinds.push((kind, field)),
                None => flags.push(Flag { name, field: field.clone(), kinds: vec![(kind, field)] }),
            }
        }
    }
    flags
}

impl Flag {
    fn arg<T: Table>(&self) -> Arg {
        let is_list = |input| matches!(input, FieldInput::Headers | FieldInput::Emails);
        let is_repeated = self.kinds.iter().any(|(_, field)| is_list(field.input));
        let value_name = match self.field.input {
            FieldInput::Flag => "BOOL".to_owned(),
            FieldInput::Number => "NUMBER".to_owned(),
            FieldInput::Text => "TEXT|@FILE".to_owned(),
            FieldInput::Headers => "HEADER".to_owned(),
            _ => self.field.name.to_uppercase(),
        };
        let arg = Arg::new(self.name.clone()).long(self.name.clone()).value_name(value_name);
        let arg = arg.action(if is_repeated { ArgAction::Append } else { ArgAction::Set });
        let arg = arg.help(self.help::<T>());
        match self.choices() {
            Some(choices) => arg.value_parser(PossibleValuesParser::new(choices)).ignore_case(true),
            None => arg,
        }
    }

    fn help<T: Table>(&self) -> String {
        let kinds = self.kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(", ");
        let how = match self.field.input {
            FieldInput::Headers => ", as 'Name: value'; may be repeated",
            FieldInput::Emails => "; several are divided by commas",
            FieldInput::Text => "; @FILE takes it from a file",
            _ => "",
        };
        let mut help = format!("{kinds}: {}{how}", lower(&self.field.label));
        // Add the first sentence of the help text if all kinds have the same text.
        let (sentence, _) = self.field.help.split_once(". ").unwrap_or((&self.field.help, ""));
        if !sentence.is_empty() && self.kinds.iter().all(|(_, field)| field.help == self.field.help) {
            help += &format!(". {}", sentence.trim_end_matches('.'));
        }
        if let Some(default) = self.default() {
            help += &format!(" [default: {default}]");
        }
        if let Some(variable) = variable_of::<T>(&self.field) {
            help += &format!(" [env of add: {variable}]");
        }
        help
    }

    /// The default, or all kinds' defaults if they differ.
    fn default(&self) -> Option<String> {
        let shown = |field: &FieldInfo| match field.default.as_ref()? {
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let first = shown(&self.field);
        if self.kinds.iter().all(|(_, field)| shown(field) == first) {
            return first;
        }
        let each = self.kinds.iter().filter_map(|(kind, field)| Some(format!("{kind} {}", shown(field)?)));
        Some(each.collect::<Vec<_>>().join(", "))
    }

    /// The choices of all kinds, if every kind has a list of choices.
    fn choices(&self) -> Option<Vec<String>> {
        let mut all: Vec<String> = Vec::new();
        for (_, field) in &self.kinds {
            let choices = match field.input {
                FieldInput::Flag => vec!["true".to_owned(), "false".to_owned()],
                FieldInput::Choice => field.choices.clone(),
                _ => return None,
            };
            for choice in choices {
                if !all.contains(&choice) {
                    all.push(choice);
                }
            }
        }
        Some(all)
    }
}

/// Lower-cases the first letter, as help texts begin.
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

#[derive(Clone, Debug)]
struct Given {
    /// The flag's name; with `--set`, the field's name.
    name: String,
    is_set: bool,
    values: Vec<String>,
}

impl Given {
    fn is_of(&self, field: &FieldInfo) -> bool {
        self.name == field.name || !self.is_set && self.name == flag_of(field)
    }

    /// As the user typed it.
    fn shown(&self) -> String {
        if self.is_set { format!("--set {}", self.name) } else { format!("--{}", self.name) }
    }
}

/// The given fields of a kind.
#[derive(Clone, Debug)]
pub struct Fields<T>(Vec<Given>, PhantomData<T>);

impl<T: Table> Args for Fields<T> {
    fn augment_args(command: Command) -> Command {
        let command = flags::<T>().iter().fold(command, |command, flag| command.arg(flag.arg::<T>()));
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

impl<T: Table> FromArgMatches for Fields<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Self(Vec::new(), PhantomData);
        given.update_from_arg_matches(matches)?;
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let texts = |name: &str| -> Option<Vec<String>> { Some(matches.get_many(name)?.cloned().collect()) };
        for Flag { name, .. } in flags::<T>() {
            let values = texts(&name);
            self.0.extend(values.map(|values| Given { name, is_set: false, values }));
        }
        for pair in texts("set").into_iter().flatten() {
            let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
            self.0.push(Given { name: name.to_owned(), is_set: true, values: vec![value.to_owned()] });
        }
        Ok(())
    }
}

impl<T: Table> Fields<T> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads secrets that were not given from environment variables: other users can see a command line, and
    /// the shell's history keeps it.
    pub fn with_variables(mut self, kind: &str) -> Self {
        for field in known::<T>(kind).into_iter().flatten() {
            let Some(variable) = variable_of::<T>(&field) else { continue };
            let is_given = self.0.iter().any(|given| given.is_of(&field));
            let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
            if let (false, Some(value)) = (is_given, value) {
                self.0.push(Given { name: field.name, is_set: true, values: vec![value] });
            }
        }
        self
    }

    /// Converts to the API's form. An empty value removes the field (null). Without an API, only the kinds
    /// known here are accepted.
    pub async fn of_kind(self, api: Option<&Api>, kind: &str) -> Result<Map<String, Json>> {
        if self.is_empty() {
            return Ok(Map::new());
        }
        let own = known::<T>(kind);
        let is_known = own.is_some();
        let fields = match (own, api) {
            (Some(fields), _) => fields,
            (None, Some(api)) => on_server::<T>(api, kind).await?,
            (None, None) => {
                let names = T::kinds().into_iter().map(|(name, _)| name.to_owned());
                return Err(no_kind(kind, names).into());
            }
        };
        // A list may be given in parts.
        let mut found: Vec<(&FieldInfo, String, Vec<String>)> = Vec::new();
        for given in self.0 {
            let Some(field) = fields.iter().find(|field| given.is_of(field)) else {
                return Err(no_field(&given, kind, &fields, is_known).into());
            };
            match found.iter_mut().find(|(known, ..)| known.name == field.name) {
                Some((.., values)) => values.extend(given.values),
                None => found.push((field, given.shown(), given.values)),
            }
        }
        let mut config = Map::new();
        for (field, shown, values) in found {
            let value = read(field, &values).map_err(|what| Failure::usage(format!("{shown}: {what}")))?;
            config.insert(field.name.clone(), value);
        }
        Ok(config)
    }
}

/// Parses a value for its field, or says what is wrong with it.
fn read(field: &FieldInfo, values: &[String]) -> Result<Json, String> {
    let last = values.last().map_or("", String::as_str);
    if values.iter().all(String::is_empty) {
        return Ok(Json::Null);
    }
    Ok(match field.input {
        FieldInput::Emails => {
            json!(values.iter().flat_map(|list| list.split(',')).map(str::trim).collect::<Vec<_>>())
        }
        FieldInput::Headers => {
            let headers = values.iter().map(|line| {
                let (name, value) = line.split_once(':').ok_or("a header is written as 'Name: value'")?;
                Ok((name.trim().to_owned(), value.trim().into()))
            });
            Json::Object(headers.collect::<Result<_, &str>>()?)
        }
        FieldInput::Text => match last.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?.into(),
            None => last.into(),
        },
        FieldInput::Flag => match last.to_lowercase().as_str() {
            "true" => true.into(),
            "false" => false.into(),
            _ => return Err("must be true or false".to_owned()),
        },
        FieldInput::Number => last.trim().parse::<i64>().map_err(|_| "must be a whole number")?.into(),
        FieldInput::Choice => {
            let choice = field.choices.iter().find(|choice| choice.eq_ignore_ascii_case(last));
            choice.map_or(last, String::as_str).into()
        }
        FieldInput::Url | FieldInput::Line => last.into(),
        FieldInput::Other => serde_json::from_str(last).unwrap_or_else(|_| last.into()),
    })
}

fn no_kind(kind: &str, names: impl IntoIterator<Item = String>) -> Failure {
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    Failure::usage(format!("there is no kind `{kind}`")).hint(format!("There is {names}"))
}

fn no_field(given: &Given, kind: &str, fields: &[FieldInfo], is_known: bool) -> Failure {
    let shown = |field: &FieldInfo| match is_known {
        true => format!("--{}", flag_of(field)),
        false => format!("--set {}=...", field.name),
    };
    let has = fields.iter().map(shown).collect::<Vec<_>>().join(", ");
    let has = if has.is_empty() { "no fields of its own".to_owned() } else { has };
    Failure::usage(format!("{} is no field of {kind}", given.shown())).hint(format!("{kind} has {has}"))
}

/// The fields of a kind, as the server lists them.
async fn on_server<T: Table>(api: &Api, kind: &str) -> Result<Vec<FieldInfo>> {
    let kinds = api.list(T::PATH, &[], None).await?;
    let kinds: Vec<KindInfo> = kinds.into_iter().map(serde_norway::from_value).collect::<Result<_, _>>()?;
    match kinds.iter().find(|known| known.kind == kind) {
        Some(known) => Ok(known.fields.clone()),
        None => Err(no_kind(kind, kinds.into_iter().map(|known| known.kind)).into()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn given<T: Table>(line: &str) -> Result<Fields<T>, clap::Error> {
        let command = Fields::<T>::augment_args(Command::new("test").no_binary_name(true));
        Fields::from_arg_matches(&command.try_get_matches_from(line.split('|'))?)
    }

    async fn of_kind<T: Table>(kind: &str, line: &str) -> Result<Json, Failure> {
        let given = given::<T>(line).unwrap();
        given.of_kind(None, kind).await.map(Json::Object).map_err(Failure::of)
    }

    #[tokio::test]
    async fn flags_are_values_by_their_inputs() {
        for (line, config) in [
            ("--method|post", json!({"method": "POST"})),
            ("--header|A: b: c|--header|D:e", json!({"headers": {"A": "b: c", "D": "e"}})),
            (
                "--secret-header|Authorization: Bearer abc",
                json!({"secret_headers": {"Authorization": "Bearer abc"}}),
            ),
            ("--set|headers=A: b", json!({"headers": {"A": "b"}})),
            ("--verify-tls|false|--legacy-tls|TRUE", json!({"verify_tls": false, "legacy_tls": true})),
            ("--certificate-warning-days|0", json!({"certificate_warning_days": 0})),
            ("--expected-status|200-299,301", json!({"expected_status": "200-299,301"})),
            ("--body|", json!({"body": null})),
            ("--header|", json!({"headers": null})),
        ] {
            assert_eq!(of_kind::<Endpoints>("http", line).await.unwrap(), config, "{line}");
        }
        let to = of_kind::<Notifications>("email", "--to|a@b.co, c@d.ef|--to|g@h.ij").await.unwrap();
        assert_eq!(to, json!({"to": ["a@b.co", "c@d.ef", "g@h.ij"]}));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{}\n").unwrap();
        let line = format!("--body|@{}", file.path().display());
        assert_eq!(of_kind::<Endpoints>("http", &line).await.unwrap(), json!({"body": "{}\n"}));
    }

    #[tokio::test]
    async fn flags_that_do_not_fit_are_refused() {
        for (kind, line, message, hint) in [
            ("http", "--header|nonsense", "--header: a header is written as 'Name: value'", ""),
            ("http", "--certificate-warning-days|soon", "must be a whole number", ""),
            ("http", "--set|verify_tls=perhaps", "--set verify_tls: must be true or false", ""),
            ("http", "--body|@/nowhere", "--body: /nowhere: ", ""),
            ("http", "--set|colour=red", "--set colour is no field of http", "http has --method, "),
            ("tcp", "--method|GET", "--method is no field of tcp", "tcp has no fields of its own"),
            ("fax", "--method|GET", "there is no kind `fax`", "There is http, tcp"),
        ] {
            let failure = of_kind::<Endpoints>(kind, line).await.unwrap_err();
            assert!(failure.message.contains(message), "{line}: {failure}");
            assert!(failure.hint.unwrap_or_default().contains(hint), "{line}");
        }
        let failure = of_kind::<Notifications>("email", "--url|https://x.test/").await.unwrap_err();
        assert_eq!(failure.message, "--url is no field of email");
        assert_eq!(failure.hint.unwrap(), "email has --to");
        for line in ["--method|FETCH", "--verify-tls|perhaps"] {
            assert!(given::<Endpoints>(line).is_err(), "{line}");
        }
    }

    #[test]
    fn help_names_kinds_defaults_and_variables() {
        let mut help = Fields::<Endpoints>::augment_args(Command::new("test"));
        let help = help.render_help().to_string();
        for part in [
            "--method <METHOD>",
            "http: method.",
            "--header <HEADER>",
            "http: headers, as 'Name: value'; may be repeated. Sent with every check",
            "HEAD skips the body and is lighter, if the server supports it [default: GET]",
            "--secret-header <HEADER>",
            "--body <TEXT|@FILE>",
            "--verify-tls <BOOL>",
            "[default: true]",
            "--certificate-warning-days <NUMBER>",
            "[default: 14]",
            "--set <FIELD=VALUE>",
        ] {
            assert!(help.contains(part), "{part} is missing: {help}");
        }
        assert!(!help.contains("PONG_ENDPOINT"), "headers have no variable: {help}");
        let mut help = Fields::<Notifications>::augment_args(Command::new("test"));
        let help = help.render_help().to_string();
        assert!(help.contains("[env of add: PONG_NOTIFICATION_TOKEN]"), "{help}");
        assert!(help.contains("slack, discord: webhook URL [env"), "{help}");
    }
}
