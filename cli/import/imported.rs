//! The result of an import, and conversions of other systems' values.

use std::collections::BTreeSet;

use anyhow::Result;
use checks::CHECKS;
use contract::Assertion;
use fields::Foreign;
use serde_norway::Mapping;

use crate::{
    api::Value,
    app::App,
    apply::{
        self,
        document::{Endpoint, Notification},
        export::written,
        read::refusals,
    },
    endpoint::kind_of,
    output::{BOLD, RED, YELLOW, note, paint, visible},
};

/// The converted content of a file.
#[derive(Debug, Default)]
pub struct Imported {
    pub endpoints: Vec<Endpoint>,
    pub notifications: Vec<Notification>,
    pub notes: Vec<Note>,
    /// Its `${...}` are variables, as in our files.
    pub has_variables: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub is_skipped: bool,
    pub what: String,
    pub why: String,
}

impl Imported {
    pub fn skip(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.note(true, what.into(), why.into());
    }

    pub fn differs(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.note(false, what.into(), why.into());
    }

    /// Converts a notification, without its name and endpoints. Notes refer to it as `what`.
    pub fn notification(&mut self, what: &str, foreign: &Foreign<'_>) -> Option<Notification> {
        let Some((kind, import)) = channels::Kind::import(foreign) else {
            let known = channels::Kind::labels();
            self.skip(what, format!("notifications by {} are not known: there are {known}", foreign.kind));
            return None;
        };
        import.differs.into_iter().for_each(|difference| self.differs(what, difference));
        Some(Notification {
            kind: kind.name.to_owned(),
            config: as_yaml(import.config),
            ..Notification::default()
        })
    }

    /// Converts an endpoint's URL, kind and config, if a kind can check it.
    pub fn endpoint(&mut self, what: &str, foreign: &Foreign<'_>) -> Option<Endpoint> {
        let (kind, import) = checks::Kind::import(foreign)?;
        import.differs.into_iter().for_each(|difference| self.differs(what, difference));
        Some(Endpoint {
            url: import.url,
            kind: kind.name.to_owned(),
            config: as_yaml(import.config),
            ..Endpoint::default()
        })
    }

    fn note(&mut self, is_skipped: bool, what: String, why: String) {
        let note = Note { is_skipped, what, why };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Changes values that our API would reject to valid ones.
    pub fn finish(&mut self) {
        let mut endpoints = std::mem::take(&mut self.endpoints);
        let mut names = BTreeSet::new();
        for endpoint in &mut endpoints {
            let plain: String = endpoint.name.trim().chars().filter(|c| !c.is_control()).take(100).collect();
            let mut name = if plain.is_empty() { endpoint.url.chars().take(100).collect() } else { plain };
            let mut copy = 1;
            while !names.insert(name.clone()) {
                copy += 1;
                name = format!("{} ({copy})", endpoint.name.chars().take(90).collect::<String>());
            }
            if copy > 1 {
                self.differs(
                    &endpoint.name,
                    format!("there are several of this name: this one is called {name}"),
                );
            }
            // Notifications refer to the first endpoint of a name.
            endpoint.name = name;
            self.bound(&endpoint.name, "interval_seconds", &mut endpoint.interval_seconds, 10, 86_400);
            self.bound(&endpoint.name, "timeout_ms", &mut endpoint.timeout_ms, 100, 60_000);
            self.bound(&endpoint.name, "failure_threshold", &mut endpoint.failure_threshold, 1, 100);
            self.bound(&endpoint.name, "success_threshold", &mut endpoint.success_threshold, 1, 100);
            self.keep_valid(endpoint);
            self.keep_judged(endpoint);
            let tags: BTreeSet<String> =
                endpoint.tags.iter().map(|tag| as_tag(tag)).filter(|tag| !tag.is_empty()).collect();
            endpoint.tags = tags.into_iter().take(20).collect();
        }
        self.endpoints = endpoints;
        self.notifications
            .retain(|notification| notification.endpoints.as_ref().is_none_or(|names| !names.is_empty()));
    }

    /// Removes fields that are invalid in the config.
    fn keep_valid(&mut self, endpoint: &mut Endpoint) {
        let fields = kind_of(&endpoint.kind, &endpoint.url).map(|kind| kind.fields);
        for (place, what) in refusals(fields, &endpoint.config) {
            let place = place.trim_start_matches("config.");
            self.differs(&endpoint.name, format!("its {place} is left out: {what}"));
            match place.split_once('.') {
                Some((list, name)) => {
                    let list = endpoint.config.get_mut(list).and_then(Value::as_mapping_mut);
                    list.and_then(|list| list.remove(name));
                }
                None => drop(endpoint.config.remove(place)),
            }
        }
    }

    /// Removes assertions on facts that the endpoint's kind does not have.
    fn keep_judged(&mut self, endpoint: &mut Endpoint) {
        let all = std::mem::take(&mut endpoint.assertions);
        let (kept, left_out): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|assertion| has_fact(endpoint, &assertion.fact));
        endpoint.assertions = kept;
        for Assertion { fact, .. } in left_out {
            self.differs(
                &endpoint.name,
                format!("what must hold of `{fact}` is left out: its kind has none"),
            );
        }
    }

    fn bound(&mut self, name: &str, field: &str, value: &mut u32, min: u32, max: u32) {
        let bounded = (*value).clamp(min, max);
        if bounded != *value {
            self.differs(name, format!("{field} {value} became {bounded}"));
            *value = bounded;
        }
    }

    pub fn document(&self, app: &App) -> Result<String> {
        let mut document = Mapping::new();
        let endpoints: Vec<_> =
            self.endpoints.iter().map(|endpoint| Value::Mapping(endpoint.clone().brief())).collect();
        document.insert("endpoints".into(), endpoints.into());
        if !self.notifications.is_empty() {
            let list: Vec<_> =
                self.notifications.iter().map(|one| Value::Mapping(one.clone().brief())).collect();
            document.insert("notifications".into(), list.into());
        }
        let mut document = Value::Mapping(document);
        if !self.has_variables {
            apply::read::escape(&mut document);
        }
        written(&document, app.out.format, false)
    }

    /// Prints the notes to standard error: the file itself may be on standard output.
    pub fn tell(&self) {
        for Note { is_skipped, what, why } in &self.notes {
            let (style, word) = if *is_skipped { (RED, "skipped ") } else { (YELLOW, "differs ") };
            note(&format!("{} {}: {}", paint(style, word), paint(BOLD, &visible(what)), visible(why)));
        }
        let skipped = self.notes.iter().filter(|note| note.is_skipped).count();
        note(&format!(
            "{} endpoints and {} notifications; {skipped} skipped, {} not quite the same",
            self.endpoints.len(),
            self.notifications.len(),
            self.notes.len() - skipped,
        ));
    }
}

pub fn as_yaml(config: serde_json::Value) -> Mapping {
    serde_norway::to_value(config).ok().and_then(|config| config.as_mapping().cloned()).unwrap_or_default()
}

/// The labels of all kinds of endpoints, for a note.
pub fn labels() -> String {
    CHECKS.iter().map(|kind| kind.label.0).collect::<Vec<_>>().join(", ")
}

/// Whether the endpoint's kind has this fact.
pub fn has_fact(endpoint: &Endpoint, fact: &str) -> bool {
    kind_of(&endpoint.kind, &endpoint.url).is_none_or(|kind| kind.facts().any(|known| known.name == fact))
}

/// Sets a field of an endpoint's config.
pub fn set(endpoint: &mut Endpoint, field: &str, value: impl Into<Value>) {
    endpoint.config.insert(field.into(), value.into());
}

/// Whether there is a header of this name, in upper or lower case.
pub fn has_header(endpoint: &Endpoint, name: &str) -> bool {
    let lists = ["headers", "secret_headers"].into_iter().filter_map(|list| endpoint.config.get(list));
    let mut names = lists.filter_map(Value::as_mapping).flat_map(Mapping::keys).filter_map(Value::as_str);
    names.any(|known| known.eq_ignore_ascii_case(name))
}

/// Adds a header; one that holds credentials goes to the secret headers.
pub fn set_header(endpoint: &mut Endpoint, name: &str, value: impl Into<Value>) {
    let list = if is_credential(name) { "secret_headers" } else { "headers" };
    if has_header(endpoint, name) {
        for list in ["headers", "secret_headers"] {
            if let Some(headers) = endpoint.config.get_mut(list).and_then(Value::as_mapping_mut) {
                headers
                    .retain(|known, _| !known.as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)));
            }
        }
    }
    let headers = endpoint.config.entry(list.into()).or_insert_with(|| Mapping::new().into());
    if let Some(headers) = headers.as_mapping_mut() {
        headers.insert(name.into(), value.into());
    }
}

fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ends = ["authorization", "cookie", "token", "key", "secret", "password"];
    ends.iter().any(|end| name.ends_with(end))
}

/// A valid tag: letters, digits, - _ . : /
fn as_tag(text: &str) -> String {
    let tag: String = text
        .trim()
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.:/".contains(c) { c } else { '-' })
        .collect();
    tag.trim_matches('-').chars().take(50).collect()
}

/// Parses durations such as `1h30m`, `500ms` or `2d`, as Go and Prometheus write them, to seconds.
pub fn duration(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_length = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_536_000.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = tail;
    }
    (total > 0.0).then_some(total)
}

pub fn whole_seconds(seconds: f64) -> u32 {
    seconds.ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}

pub fn milliseconds(seconds: f64) -> u32 {
    (seconds * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32
}

pub fn basic_auth(user: &str, password: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The accepted codes as ranges: `200-299,301`.
pub fn status_ranges(codes: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for code in codes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *code => *last = *code,
            _ => ranges.push((*code, *code)),
        }
    }
    let written: Vec<_> = ranges
        .iter()
        .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") })
        .collect();
    written.join(",")
}

/// Parses YAML or JSON.
pub fn parsed(text: &str) -> Result<Value> {
    let mut value: Value = serde_norway::from_str(text)?;
    value.apply_merge()?;
    Ok(value)
}

/// True for `true` and for numbers other than 0.
pub fn is_on(value: &Value) -> bool {
    value.as_bool().or_else(|| value.as_i64().map(|number| number != 0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in
            [("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), ("2d", 172_800.0), ("1.5h", 5_400.0)]
        {
            assert_eq!(duration(text), Some(seconds), "{text}");
        }
        for text in ["", "10", "s", "1x", "0s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn headers_with_credentials_are_secret() {
        let mut endpoint = Endpoint::default();
        for (name, value) in [
            ("Accept", "a"),
            ("X-Api-Key", "b"),
            ("authorization", "c"),
            ("Authorization", "d"),
            ("Price", "5$"),
        ] {
            set_header(&mut endpoint, name, value);
        }
        let expected = serde_json::json!({
            "headers": {"Accept": "a", "Price": "5$"},
            "secret_headers": {"X-Api-Key": "b", "Authorization": "d"},
        });
        assert_eq!(endpoint.config, as_yaml(expected));
        assert!(has_header(&endpoint, "AUTHORIZATION") && !has_header(&endpoint, "Cookie"));
    }

    #[test]
    fn what_a_config_cannot_hold_is_told() {
        let mut imported = Imported::default();
        let mut endpoint =
            Endpoint { name: "A".to_owned(), url: "https://a/".to_owned(), ..Endpoint::default() };
        set(&mut endpoint, "method", "TRACE");
        set_header(&mut endpoint, "Connection", "close");
        set_header(&mut endpoint, "Accept", "a");
        imported.endpoints.push(endpoint);
        imported.finish();
        assert_eq!(imported.endpoints[0].config, as_yaml(serde_json::json!({"headers": {"Accept": "a"}})));
        let whys: Vec<_> = imported.notes.iter().map(|note| note.why.as_str()).collect();
        assert_eq!(whys.len(), 2);
        assert!(whys[0].starts_with("its method is left out: must be one of GET"), "{whys:?}");
        assert_eq!(whys[1], "its headers.Connection is left out: cannot be set");
    }

    #[test]
    fn conditions_over_facts_that_the_kind_has_not_are_told() {
        let assertion = |fact| Assertion::of(fact, contract::Comparison::Equals, 1);
        let mut imported = Imported::default();
        imported.endpoints.push(Endpoint {
            name: "Port".to_owned(),
            url: "tcp://a:1".to_owned(),
            assertions: vec![assertion("connect_ms"), assertion("body")],
            ..Endpoint::default()
        });
        imported.finish();
        assert_eq!(imported.endpoints[0].assertions, [assertion("connect_ms")]);
        assert_eq!(imported.notes.len(), 1);
        assert!(imported.notes[0].why.contains("`body`"));
    }

    #[test]
    fn codes_become_ranges() {
        assert_eq!(status_ranges(&[200, 201, 202, 301, 404, 405].into()), "200-202,301,404-405");
    }

    #[test]
    fn tags_are_brought_into_shape() {
        assert_eq!(as_tag(" My team! "), "My-team");
        assert_eq!(as_tag("env:prod"), "env:prod");
    }
}
