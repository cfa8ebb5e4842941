//! `pong import`: another system's configuration, turned into a file of ours. What cannot be turned is told.

mod blackbox;
mod gatus;
mod uptime_kuma;

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Result;
use channels::{Foreign, Kind};
use clap::{Args, ValueEnum};
use serde_norway::Mapping;

use crate::{
    api::Value,
    app::App,
    apply::{
        self,
        document::{Endpoint, Notification, brief},
        export::{save, written},
        read::{Files, contents},
    },
    error::{Exit, Failure},
    output::{BOLD, RED, YELLOW, note, paint, visible},
};

#[derive(Args)]
pub struct Import {
    /// Whose file it is
    #[arg(long, value_enum)]
    from: System,
    /// uptime-kuma: the backup (JSON); gatus: the configuration; blackbox: Prometheus' configuration. - is standard input
    file: PathBuf,
    /// blackbox: the exporter's own configuration, with the modules
    #[arg(long, value_name = "FILE")]
    modules: Option<PathBuf>,
    /// Into this file, instead of standard output
    #[arg(long, short = 'o', value_name = "FILE", conflicts_with = "apply")]
    out: Option<PathBuf>,
    /// Applies it at once
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    how: apply::How,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum System {
    UptimeKuma,
    Gatus,
    Blackbox,
}

/// What came of a file.
#[derive(Debug, Default)]
pub struct Imported {
    pub endpoints: Vec<Endpoint>,
    pub notifications: Vec<Notification>,
    pub notes: Vec<Note>,
    /// Its `${...}` are variables, as ours are.
    pub has_variables: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub is_skipped: bool,
    pub what: String,
    pub why: String,
}

impl Import {
    pub async fn run(self, app: &App) -> Result<Exit> {
        if !self.apply && self.how.is_given() {
            let message = "--dry-run, --prune, --yes and --send-secrets are about applying it";
            return Err(Failure::usage(message).hint("Together with --apply").into());
        }
        let (file, text) = contents(&self.file)?;
        let wrong = |error: anyhow::Error| Failure::usage(format!("{file}: {error:#}"));
        let modules = match &self.modules {
            Some(path) if self.from == System::Blackbox => Some(contents(path)?.1),
            Some(_) => return Err(Failure::usage("--modules is only for --from blackbox").into()),
            None => None,
        };
        let mut imported = match self.from {
            System::UptimeKuma => uptime_kuma::read(&text),
            System::Gatus => gatus::read(&text),
            System::Blackbox => blackbox::read(&text, modules.as_deref()),
        }
        .map_err(wrong)?;
        imported.finish();
        imported.tell();
        if imported.endpoints.is_empty() {
            return Err(Failure::usage(format!("{file} holds nothing that could be checked")).into());
        }
        let text = imported.document(app)?;
        if self.apply {
            let mut files = Files::default();
            files.add(&file, &text, &|name| std::env::var(name).ok())?;
            return apply::run(app, files, &self.how).await;
        }
        save(&text, self.out.as_deref())?;
        if let Some(out) = &self.out {
            note(&format!("Wrote {}. Look at it, then: pong apply -f {}", out.display(), out.display()));
        }
        Ok(Exit::Ok)
    }
}

impl Imported {
    fn skip(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.note(true, what.into(), why.into());
    }

    fn differs(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.note(false, what.into(), why.into());
    }

    /// The same notification here, but for its name and whom it tells of. `what` is it called in notes.
    fn notification(&mut self, what: &str, foreign: &Foreign<'_>) -> Option<Notification> {
        let Some((kind, import)) = Kind::import(foreign) else {
            self.skip(
                what,
                format!("notifications by {} are not known: there are {}", foreign.kind, Kind::labels()),
            );
            return None;
        };
        import.differs.into_iter().for_each(|difference| self.differs(what, difference));
        // JSON of texts and lists is YAML as well.
        let config = serde_norway::to_value(import.config).ok()?;
        let config = config.as_mapping().cloned().unwrap_or_default();
        Some(Notification { kind: kind.name.to_owned(), config, ..Notification::default() })
    }

    fn note(&mut self, is_skipped: bool, what: String, why: String) {
        let note = Note { is_skipped, what, why };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What our API does not take is brought into its bounds.
    fn finish(&mut self) {
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
            // Notifications speak of the first of a name.
            endpoint.name = name;
            self.bound(&endpoint.name, "interval_seconds", &mut endpoint.interval_seconds, 10, 86_400);
            self.bound(&endpoint.name, "timeout_ms", &mut endpoint.timeout_ms, 100, 60_000);
            self.bound(&endpoint.name, "failure_threshold", &mut endpoint.failure_threshold, 1, 100);
            self.bound(&endpoint.name, "success_threshold", &mut endpoint.success_threshold, 1, 100);
            let tags: BTreeSet<String> =
                endpoint.tags.iter().map(|tag| as_tag(tag)).filter(|tag| !tag.is_empty()).collect();
            endpoint.tags = tags.into_iter().take(20).collect();
        }
        self.endpoints = endpoints;
        self.notifications
            .retain(|notification| notification.endpoints.as_ref().is_none_or(|names| !names.is_empty()));
    }

    fn bound(&mut self, name: &str, field: &str, value: &mut u32, least: u32, most: u32) {
        let bounded = (*value).clamp(least, most);
        if bounded != *value {
            self.differs(name, format!("{field} {value} became {bounded}"));
            *value = bounded;
        }
    }

    fn document(&self, app: &App) -> Result<String> {
        let mut document = Mapping::new();
        let endpoints: Vec<_> =
            self.endpoints.iter().map(|endpoint| Value::Mapping(endpoint.clone().brief())).collect();
        document.insert("endpoints".into(), endpoints.into());
        if !self.notifications.is_empty() {
            let list: Vec<_> = self.notifications.iter().map(|one| Value::Mapping(brief(one))).collect();
            document.insert("notifications".into(), list.into());
        }
        let mut document = Value::Mapping(document);
        if !self.has_variables {
            apply::read::escape(&mut document);
        }
        written(&document, app.out.format, false)
    }

    /// To standard error: the file itself may be on standard output.
    fn tell(&self) {
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

/// `letters, digits, - _ . : /`
fn as_tag(text: &str) -> String {
    let tag: String = text
        .trim()
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.:/".contains(c) { c } else { '-' })
        .collect();
    tag.trim_matches('-').chars().take(50).collect()
}

/// Seconds of `1h30m`, `500ms`, `2d`: as Go and Prometheus write them.
fn duration(text: &str) -> Option<f64> {
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

fn whole_seconds(seconds: f64) -> u32 {
    seconds.ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}

fn milliseconds(seconds: f64) -> u32 {
    (seconds * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32
}

fn basic_auth(user: &str, password: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// `200-299,301`, of all codes that are fine.
fn status_ranges(codes: &BTreeSet<u16>) -> String {
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

/// YAML and JSON alike.
fn parsed(text: &str) -> Result<Value> {
    let mut value: Value = serde_norway::from_str(text)?;
    value.apply_merge()?;
    Ok(value)
}

/// 1 and true are the same to others.
fn is_on(value: &Value) -> bool {
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
    fn codes_become_ranges() {
        assert_eq!(status_ranges(&[200, 201, 202, 301, 404, 405].into()), "200-202,301,404-405");
    }

    #[test]
    fn tags_are_brought_into_shape() {
        assert_eq!(as_tag(" My team! "), "My-team");
        assert_eq!(as_tag("env:prod"), "env:prod");
    }
}
