//! Reads files: YAML or JSON, with `${VARIABLES}`. Each error names its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::Path,
};

use anyhow::{Context as _, Result};
use channels::Kind;
use checks::CHECKS;
use chrono::{DateTime, SecondsFormat};
use contract::{Invalid, address::Address};
use fields::{Field, MASK};
use serde::{Serialize, de::DeserializeOwned};
use serde_norway::Mapping;

use super::document::{Endpoint, Maintenance, Notification, Section, StatusPage, brief, whole};
use crate::{api::Value, endpoint::kind_of, error::Failure};

/// An object as a file describes it.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub file: String,
    pub section: Section,
    pub name: String,
    pub fields: Mapping,
}

/// The content of all files. A section that no file has is absent here, and its objects stay unchanged.
#[derive(Debug, Default)]
pub struct Files {
    pub sections: BTreeMap<Section, Vec<Wanted>>,
}

type Mistakes = BTreeMap<String, String>;

impl Files {
    pub fn read(paths: &[std::path::PathBuf]) -> Result<Self> {
        let mut files = Self::default();
        for path in paths {
            let (file, text) = contents(path)?;
            files.add(&file, &text, &|name| std::env::var(name).ok())?;
        }
        Ok(files)
    }

    pub fn add(&mut self, file: &str, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
        let unreadable = |error: serde_norway::Error| Failure::usage(format!("{file}: {error}"));
        // YAML includes JSON, except for tabs in its whitespace.
        let json = if text.trim_start().starts_with('{') { serde_json::from_str(text).ok() } else { None };
        let mut document: Value =
            json.map_or_else(|| serde_norway::from_str(text), Ok).map_err(unreadable)?;
        document.apply_merge().map_err(unreadable)?;
        let mut mistakes = Mistakes::new();
        substitute(&mut document, "", variable, &mut mistakes);
        let Value::Mapping(document) = document else {
            let hint = "It holds sections: endpoints, notifications, status_pages, maintenances. pong export shows one";
            return Err(Failure::usage(format!("{file} holds none of ours")).hint(hint).into());
        };
        for (key, value) in document {
            let key = key.as_str().unwrap_or_default();
            match (Section::ALL.into_iter().find(|section| section.key() == key), value) {
                (Some(section), Value::Sequence(items)) => {
                    self.add_section(file, section, items, &mut mistakes)
                }
                (Some(_), _) => {
                    mistakes.insert(key.to_owned(), "must be a list".to_owned());
                }
                // `x-` keys may hold YAML anchors.
                (None, _) if key.starts_with("x-") => {}
                (None, _) => {
                    let known = Section::ALL.map(Section::key).join(", ");
                    mistakes.insert(key.to_owned(), format!("is not known here: there are {known}"));
                }
            }
        }
        if mistakes.is_empty() {
            return Ok(());
        }
        let failure = Failure::usage(format!("{file} is invalid"));
        Err(Failure { fields: mistakes, ..failure }.into())
    }

    fn add_section(&mut self, file: &str, section: Section, items: Vec<Value>, mistakes: &mut Mistakes) {
        let known = self.sections.entry(section).or_default();
        let mut names: BTreeSet<String> = known.iter().map(|wanted| wanted.name.clone()).collect();
        for (at, item) in items.into_iter().enumerate() {
            let called = ["name", "title"].iter().find_map(|field| item.get(*field)?.as_str());
            let place = match called {
                Some(name) => format!("{}[{at}] ({name})", section.key()),
                None => format!("{}[{at}]", section.key()),
            };
            match checked(section, item) {
                Err(wrong) => mistakes.extend(wrong.into_iter().map(|(field, what)| {
                    let place = if field.is_empty() { place.clone() } else { format!("{place} {field}") };
                    (place, what)
                })),
                Ok(fields) => {
                    let name = section.name_of(&fields).to_owned();
                    if names.insert(name.clone()) {
                        known.push(Wanted { file: file.to_owned(), section, name, fields });
                    } else {
                        mistakes.insert(place, format!("there is another `{name}`: names tell them apart"));
                    }
                }
            }
        }
    }
}

pub fn contents(path: &Path) -> Result<(String, String)> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        return Ok(("standard input".to_owned(), text));
    }
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((file, text)),
        Err(error) => Err(Failure::usage(format!("cannot read {file}: {error}")).into()),
    }
}

/// Errors by field (empty: the object itself).
pub type Wrong = Vec<(String, String)>;

fn checked(section: Section, item: Value) -> Result<Mapping, Wrong> {
    match section {
        Section::Endpoints => {
            misplaced(&item)?;
            let mut endpoint: Endpoint = parse(item)?;
            endpoint.name = endpoint.name.trim().to_owned();
            required(&[("name", &endpoint.name), ("url", &endpoint.url)])?;
            // Normalized as the server does it; otherwise each `apply` would find a difference.
            endpoint.url = Address::of(&endpoint.url).url;
            let kind = kind_of(&endpoint.kind, &endpoint.url);
            none(refusals(kind.map(|kind| kind.fields), &endpoint.config))?;
            Ok(endpoint.brief())
        }
        Section::Notifications => {
            let mut notification: Notification = parse(item)?;
            required(&[("name", &notification.name), ("kind", &notification.kind)])?;
            let kind = Kind::find(&notification.kind);
            none(refusals(kind.map(|kind| kind.fields), &notification.config))?;
            // The order of endpoints does not matter.
            if let Some(names) = &mut notification.endpoints {
                names.sort();
                names.dedup();
            }
            Ok(notification.brief())
        }
        Section::StatusPages => {
            let mut page: StatusPage = parse(item)?;
            // Normalized as the server does it.
            page.title = page.title.trim().to_owned();
            page.description = page.description.trim().replace("\r\n", "\n");
            for group in &mut page.groups {
                group.name = group.name.trim().to_owned();
            }
            required(&[("title", &page.title)])?;
            Ok(brief(&page))
        }
        Section::Maintenances => {
            let mut maintenance: Maintenance = parse(item)?;
            maintenance.title = maintenance.title.trim().to_owned();
            required(&[("title", &maintenance.title), ("ends_at", &maintenance.ends_at)])?;
            let time = |field: &str, text: &str| {
                normal_time(text).ok_or_else(|| {
                    vec![(field.to_owned(), "must be a time such as 2026-03-01T12:00:00Z".to_owned())]
                })
            };
            maintenance.ends_at = time("ends_at", &maintenance.ends_at)?;
            if let Some(at) = &mut maintenance.starts_at {
                *at = time("starts_at", at)?;
            }
            if let Some(names) = &mut maintenance.endpoints {
                names.sort();
                names.dedup();
            }
            Ok(brief(&maintenance))
        }
    }
}

/// Errors in a config, by place, such as `config.headers.Host`. Masked secrets and kinds that only the server
/// knows are left for the server to check.
pub fn refusals(fields: Option<&'static [Field]>, config: &Mapping) -> Wrong {
    let Some(fields) = fields else { return Wrong::new() };
    let config = match serde_json::to_value(config) {
        Ok(config) => config,
        Err(error) => return vec![("config".to_owned(), error.to_string())],
    };
    let Err(Invalid(refusals)) = fields::read(fields, &config, None) else { return Wrong::new() };
    let is_masked = |place: &str| {
        let (name, of) = place.split_once('.').unwrap_or((place, ""));
        let value = if of.is_empty() { &config[name] } else { &config[name][of] };
        let is_secret = fields.iter().any(|field| field.is_secret && field.name == name);
        is_secret && value.as_str().is_some_and(|text| text.contains(MASK))
    };
    refusals
        .into_iter()
        .filter(|(place, _)| !place.strip_prefix("config.").is_some_and(is_masked))
        .map(|(place, what)| (place, what.en.into_owned()))
        .collect()
}

/// Fields of the config that stand next to it by mistake.
fn misplaced(item: &Value) -> Result<(), Wrong> {
    let own = whole(&Endpoint::default());
    let is_of_config = |name: &&str| {
        let mut fields = CHECKS.iter().flat_map(|kind| kind.fields);
        !own.contains_key(*name) && fields.any(|field| field.name == *name)
    };
    let names = item.as_mapping().into_iter().flatten().filter_map(|(name, _)| name.as_str());
    let wrong = |name: &str| (name.to_owned(), "must stand in the endpoint's config".to_owned());
    none(names.filter(is_of_config).map(wrong).collect())
}

fn none(wrong: Wrong) -> Result<(), Wrong> {
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

pub fn normal_time(text: &str) -> Option<String> {
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    Some(at.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn parse<T: DeserializeOwned + Serialize>(item: Value) -> Result<T, Wrong> {
    if !item.is_mapping() {
        return Err(vec![(String::new(), "must have fields".to_owned())]);
    }
    serde_path_to_error::deserialize(item).map_err(|error| {
        let path = error.path().to_string();
        vec![(if path == "." { String::new() } else { path }, error.into_inner().to_string())]
    })
}

fn required(fields: &[(&str, &str)]) -> Result<(), Wrong> {
    let missing = fields.iter().filter(|(_, value)| value.trim().is_empty());
    none(missing.map(|(name, _)| ((*name).to_owned(), "is missing".to_owned())).collect())
}

/// Substitutes `${NAME}` and `${NAME:-default}` in all text; `$${` stands for `${`.
fn substitute(
    value: &mut Value,
    place: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    mistakes: &mut Mistakes,
) {
    match value {
        Value::String(text) => match substituted(text, variable) {
            Ok(new) => *text = new,
            Err(name) => {
                let what = format!(
                    "the environment variable {name} is not set; for the text itself write $${{{name}}}"
                );
                mistakes.insert(place.to_owned(), what);
            }
        },
        Value::Sequence(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                substitute(item, &format!("{place}[{at}]"), variable, mistakes);
            }
        }
        Value::Mapping(fields) => {
            for (name, item) in fields.iter_mut() {
                let dot = if place.is_empty() { "" } else { "." };
                let name = name.as_str().unwrap_or_default();
                substitute(item, &format!("{place}{dot}{name}"), variable, mistakes);
            }
        }
        _ => {}
    }
}

fn substituted(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            result += before;
            result += "${";
            rest = after;
            continue;
        }
        result += before;
        let name_length =
            after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
        let (name, tail) = after.split_at(name_length);
        let is_name = !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
        if let (true, Some(tail)) = (is_name, tail.strip_prefix('}')) {
            result += &variable(name).ok_or(name)?;
            rest = tail;
        } else if let (true, Some((otherwise, tail))) =
            (is_name, tail.strip_prefix(":-").and_then(|tail| tail.split_once('}')))
        {
            result +=
                &variable(name).filter(|value| !value.is_empty()).unwrap_or_else(|| otherwise.to_owned());
            rest = tail;
        } else {
            // Another program's notation: keep it.
            result += "${";
            rest = after;
        }
    }
    Ok(result + rest)
}

/// Escapes `${`: the reverse of [`substitute`].
pub fn escape(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("${") => *text = text.replace("${", "$${"),
        Value::Sequence(items) => items.iter_mut().for_each(escape),
        Value::Mapping(fields) => fields.iter_mut().for_each(|(_, item)| escape(item)),
        _ => {}
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "xoxb: 1".to_owned())
    }

    fn mistakes(text: &str) -> Mistakes {
        let error = Files::default().add("m.yaml", text, &variable).unwrap_err();
        error.downcast::<Failure>().unwrap().fields
    }

    #[test]
    fn variables_are_put_in() {
        for (text, result) in [
            ("a ${TOKEN} b", "a xoxb: 1 b"),
            ("${NONE:-else}/${TOKEN:-else}", "else/xoxb: 1"),
            ("$${TOKEN} $TOKEN ${a.b} ${1} ${", "${TOKEN} $TOKEN ${a.b} ${1} ${"),
        ] {
            assert_eq!(substituted(text, &variable).unwrap(), result, "{text}");
            let mut escaped = Value::from(result);
            escape(&mut escaped);
            assert_eq!(substituted(escaped.as_str().unwrap(), &variable).unwrap(), result);
        }
        assert_eq!(substituted("${NONE}", &variable), Err("NONE".to_owned()));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, place, what) in [
            ("endpoints: 1", "endpoints", "must be a list"),
            ("endpoint: []", "endpoint", "is not known here"),
            ("endpoints: [{name: a, url: u, intervall: 1}]", "endpoints[0] (a) intervall", "unknown field"),
            ("endpoints: [{name: a, url: u, retries: no}]", "endpoints[0] (a) retries", "invalid type"),
            ("endpoints: [{name: a}]", "endpoints[0] (a) url", "is missing"),
            ("endpoints: [{name: a, url: u}, {name: a, url: v}]", "endpoints[1] (a)", "another `a`"),
            ("endpoints: [7]", "endpoints[0]", "must have fields"),
            ("endpoints: [{name: a, url: '${NO}'}]", "endpoints[0].url", "variable NO is not set"),
            (
                "endpoints: [{name: a, url: u, assertions: [{fact: total_ms, comparison: less_than, below: 1}]}]",
                "endpoints[0] (a) assertions[0]",
                "unknown field",
            ),
            ("notifications: [{name: n, channel: slack}]", "notifications[0] (n) channel", "unknown field"),
            (
                "notifications: [{name: n, kind: email, config: {cc: []}}]",
                "notifications[0] (n) config.cc",
                "unknown field: there is to",
            ),
            (
                "endpoints: [{name: a, url: 'https://a/', config: {methods: GET}}]",
                "endpoints[0] (a) config.methods",
                "unknown field: there is method, expected_status",
            ),
            (
                "endpoints: [{name: a, url: 'https://a/', config: {expected_status: 200}}]",
                "endpoints[0] (a) config.expected_status",
                "must be a string",
            ),
            (
                "endpoints: [{name: a, url: 'tcp://a:1', config: {method: GET}}]",
                "endpoints[0] (a) config.method",
                "unknown field",
            ),
            ("endpoints: [{name: a, url: u, method: GET}]", "endpoints[0] (a) method", "must stand in"),
            ("maintenances: [{title: t, ends_at: soon}]", "maintenances[0] (t) ends_at", "must be a time"),
            (
                "status_pages: [{title: t, groups: [{name: g, endpoint: []}]}]",
                "status_pages[0] (t) groups[0].endpoint",
                "unknown field",
            ),
        ] {
            let found = mistakes(text);
            assert!(found.get(place).is_some_and(|found| found.contains(what)), "{text}: {found:?}");
        }
    }

    #[test]
    fn masked_secrets_and_kinds_of_the_server_are_left_to_it() {
        let text = "endpoints:\n- {name: a, url: 'https://a/', config: {secret_headers: {X.Y: …}}}\n\
                    - {name: b, url: 'fax://b', config: {paper: a4}}\n\
                    - {name: c, url: 'https://c/', kind: fax, config: {paper: a4}}\n\
                    notifications:\n- {name: n, kind: slack, config: {webhook_url: 'https://hooks.slack.com/…'}}\n";
        Files::default().add("m.yaml", text, &variable).unwrap();
    }

    #[test]
    fn anchors_have_a_place() {
        let text = "x-all: &all {interval_seconds: 30}\nendpoints:\n- {<<: *all, name: a, url: u}\n";
        let mut files = Files::default();
        files.add("m.yaml", text, &variable).unwrap();
        let wanted = &files.sections[&Section::Endpoints][0];
        assert_eq!(wanted.fields["interval_seconds"], Value::from(30));
        assert!(!files.sections.contains_key(&Section::Notifications));
    }
}
