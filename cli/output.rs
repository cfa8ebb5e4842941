//! Output for people and programs: tables, JSON, YAML, CSV; colours, prompts and progress.

use std::{
    borrow::Cow,
    io::{BufRead, IsTerminal, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use chrono::{DateTime, Local, Utc};
use clap::ValueEnum;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::Failure;

pub type Value = serde_norway::Value;

pub const GREEN: Style = AnsiColor::Green.on_default();
pub const RED: Style = AnsiColor::Red.on_default();
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
pub const CYAN: Style = AnsiColor::Cyan.on_default();
pub const DIM: Style = Style::new().dimmed();
pub const BOLD: Style = Style::new().bold();

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    Json,
    Yaml,
    Csv,
}

/// One column of a list. CSV uses the path as its name; a column without a title is in CSV only.
pub struct Column {
    title: &'static str,
    path: &'static str,
    show: Show,
}

#[derive(Clone, Copy)]
enum Show {
    Text,
    Status,
    Time,
    Ago,
    All,
    Names,
}

pub const fn text(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Text }
}

/// A coloured status.
pub const fn status(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Status }
}

/// A time in the local time zone.
pub const fn time(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Time }
}

pub const fn ago(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Ago }
}

/// Ids, where null means all.
pub const fn ids(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::All }
}

/// The name of each object of a list.
pub const fn names(title: &'static str, path: &'static str) -> Column {
    Column { title, path, show: Show::Names }
}

/// A column that tables leave out.
pub const fn more(path: &'static str) -> Column {
    Column { title: "", path, show: Show::Text }
}

#[derive(Clone, Copy)]
pub struct Out {
    pub format: Format,
}

impl Out {
    pub fn is_table(self) -> bool {
        self.format == Format::Table
    }

    /// Prints a list; `empty` is a hint for an empty one.
    pub fn list(self, items: &[Value], columns: &[Column], empty: &str) -> Result<()> {
        match self.format {
            Format::Table if items.is_empty() => {
                note(empty);
                Ok(())
            }
            Format::Table => {
                let columns: Vec<_> = columns.iter().filter(|column| !column.title.is_empty()).collect();
                let mut table = table();
                table.set_header(columns.iter().map(|c| Cell::new(c.title).add_attribute(Attribute::Bold)));
                for item in items {
                    table.add_row(columns.iter().map(|column| cell(at(item, column.path), column.show)));
                }
                print(&trimmed(&mut table))
            }
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(std::io::stdout().lock());
                csv.write_record(columns.iter().map(|column| column.path))?;
                for item in items {
                    csv.write_record(columns.iter().map(|column| plain(at(item, column.path))))?;
                }
                Ok(csv.flush()?)
            }
            _ => self.value(&items),
        }
    }

    /// Prints one object.
    pub fn object(self, object: &Value) -> Result<()> {
        let fields: Vec<(String, &Value)> = match object {
            Value::Mapping(map) => map.iter().map(|(name, value)| (plain(name), value)).collect(),
            other => vec![("value".to_owned(), other)],
        };
        match self.format {
            Format::Table => {
                let mut table = table();
                for (name, value) in fields {
                    let show = match name.as_str() {
                        "status" => Show::Status,
                        name if name.ends_with("_at") => Show::Time,
                        _ => Show::Text,
                    };
                    table.add_row([Cell::new(&name).add_attribute(Attribute::Bold), cell(value, show)]);
                }
                print(&trimmed(&mut table))
            }
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(std::io::stdout().lock());
                csv.write_record(fields.iter().map(|(name, _)| name))?;
                csv.write_record(fields.iter().map(|(_, value)| plain(value)))?;
                Ok(csv.flush()?)
            }
            _ => self.value(object),
        }
    }

    /// Prints the outcome of a command: the object for programs, a sentence for people.
    pub fn done(self, object: &Value, sentence: &str) -> Result<()> {
        match self.format {
            Format::Table => print(sentence),
            _ if object.is_null() => Ok(()),
            _ => self.object(object),
        }
    }

    fn value(self, value: &impl serde::Serialize) -> Result<()> {
        match self.format {
            Format::Yaml => print(serde_norway::to_string(value)?.trim_end()),
            _ => print(&serde_json::to_string_pretty(value)?),
        }
    }
}

/// Prints to standard output, with colours only on a terminal that wants them.
pub fn print(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Prints a note for people to standard error. An error is ignored: it could not be shown anyway.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

pub fn warn(text: &str) {
    note(&format!("{YELLOW}warning:{YELLOW:#} {text}"));
}

pub fn fail(failure: &Failure) {
    let mut text = format!("{RED}error:{RED:#} {}", visible(&failure.message));
    for (field, what) in &failure.fields {
        text += &format!("\n  {BOLD}{}{BOLD:#}: {}", visible(field), visible(what));
    }
    if let Some(hint) = &failure.hint {
        text += &format!("\n{CYAN}hint:{CYAN:#} {}", visible(hint));
    }
    note(&text);
}

pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

pub fn status_style(status: &str) -> Style {
    match status {
        "up" | "delivered" | "ok" => GREEN,
        "down" | "failed" | "fail" | "critical" => RED,
        "paused" | "ended" => DIM,
        "maintenance" | "active" | "scheduled" => CYAN,
        _ => YELLOW,
    }
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // Style always: the writer removes colours if the output is not a terminal.
    table.enforce_styling();
    if !std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table
}

fn trimmed(table: &mut Table) -> String {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    const RESET: &str = "\u{1b}[0m";
    let trim = |line: String| match line.strip_suffix(RESET) {
        // A heading is padded to its column's width.
        Some(styled) => format!("{}{RESET}", styled.trim_end()),
        None => line.trim_end().to_owned(),
    };
    table.lines().map(trim).collect::<Vec<_>>().join("\n")
}

/// The value at a path such as `cause.message`.
pub fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn cell(value: &Value, show: Show) -> Cell {
    match show {
        Show::All if value.is_null() => Cell::new("all"),
        Show::Status => {
            let status = plain(value);
            let color = match status_style(&status) {
                GREEN => Color::DarkGreen,
                RED => Color::DarkRed,
                CYAN => Color::DarkCyan,
                DIM => Color::DarkGrey,
                _ => Color::DarkYellow,
            };
            Cell::new(visible(&status)).fg(color)
        }
        Show::Time => Cell::new(moment(value).map_or_else(|| plain(value), local)),
        Show::Ago => Cell::new(moment(value).map_or_else(|| plain(value), since)),
        Show::Names => {
            let names = value.as_sequence().into_iter().flatten().map(|item| plain(&item["name"]));
            Cell::new(visible(&names.collect::<Vec<_>>().join(", ")))
        }
        Show::Text | Show::All => match value {
            Value::Mapping(map) if !map.is_empty() => Cell::new(yaml(value)),
            Value::Sequence(items) if items.iter().any(|item| item.is_mapping()) => Cell::new(yaml(value)),
            Value::Sequence(items) => {
                Cell::new(visible(&items.iter().map(plain).collect::<Vec<_>>().join(", ")))
            }
            _ => Cell::new(visible(&plain(value))),
        },
    }
}

fn yaml(value: &Value) -> String {
    serde_norway::to_string(value).unwrap_or_default().trim_end().to_owned()
}

/// A value for programs; lists and objects as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number.to_string(),
        compound => serde_json::to_string(compound).unwrap_or_default(),
    }
}

/// Replaces control characters: text of others must not control the terminal.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| c.is_control() && c != '\n';
    if text.contains(is_bad) { text.replace(is_bad, "\u{fffd}").into() } else { text.into() }
}

pub fn moment(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|at| at.to_utc())
}

pub fn local(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

pub fn since(at: DateTime<Utc>) -> String {
    let seconds = (Utc::now() - at).num_seconds();
    if seconds < 0 { format!("in {}", span(-seconds)) } else { format!("{} ago", span(seconds)) }
}

/// A duration such as `3d 4h`.
pub fn span(seconds: i64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let Some(first) = units.iter().position(|(_, length)| seconds >= *length) else { return "0s".into() };
    let mut left = seconds;
    let mut text = Vec::new();
    for (unit, length) in units.iter().skip(first).take(2) {
        if left / length > 0 {
            text.push(format!("{}{unit}", left / length));
        }
        left %= length;
    }
    text.join(" ")
}

/// A progress bar on standard error, shown only on a terminal.
pub fn progress(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    if length == 0 {
        bar.set_style(ProgressStyle::default_spinner());
    }
    bar.set_message(what);
    bar
}

pub fn spinner(what: String) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Asks for confirmation. Without a terminal, `--yes` is required.
pub fn confirm(question: &str, yes: bool) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        let message = format!("{question} There is nobody to ask");
        return Err(Failure::usage(message).hint("Say so beforehand: --yes").into());
    }
    let mut err = anstream::stderr().lock();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (90, "1m 30s"),
            (3_600, "1h"),
            (90_061, "1d 1h"),
            (86_460, "1d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\rc\nd"), "a\u{fffd}[2Jb\u{fffd}c\nd");
    }
}
