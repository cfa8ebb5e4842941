//! `pong maintenance`: planned maintenance.

use anyhow::Result;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Subcommand, ValueEnum};
use serde_json::{Map, json};

use crate::{
    api::{MAINTENANCE, id_of},
    app::{App, label},
    error::{Exit, Failure},
    notification::endpoint_ids,
    output::{self, Column, ids, local, more, status, text, time},
};

#[derive(Subcommand)]
pub enum Command {
    /// Plan a maintenance: it sends no alerts, and uptime leaves it out
    Add {
        title: String,
        #[arg(long)]
        description: Option<String>,
        /// Start: 2026-03-01T12:00:00Z, or 'in 2h' [default: now]
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        from: Option<String>,
        /// End
        #[arg(long, value_name = "WHEN", value_parser = moment, required_unless_present = "lasts")]
        until: Option<String>,
        /// Duration: 30m, 2h, 1d
        #[arg(long = "for", value_name = "SPAN", value_parser = span, conflicts_with = "until")]
        lasts: Option<TimeDelta>,
        /// Only these endpoints, separated by commas [default: all]
        #[arg(long, value_delimiter = ',', value_name = "ID|NAME")]
        endpoints: Vec<String>,
    },
    /// List maintenances, newest first
    List {
        #[arg(long)]
        status: Option<Status>,
        /// Maximum number of maintenances
        #[arg(long)]
        limit: Option<usize>,
    },
    /// End a maintenance now
    End {
        #[arg(value_name = "ID|TITLE")]
        maintenance: String,
    },
    /// Delete maintenances
    Rm {
        #[arg(value_name = "ID|TITLE", required = true)]
        maintenances: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Status {
    Scheduled,
    Active,
    Ended,
}

static COLUMNS: [Column; 7] = [
    text("ID", "id"),
    text("TITLE", "title"),
    status("STATUS", "status"),
    time("FROM", "starts_at"),
    time("UNTIL", "ends_at"),
    ids("ENDPOINTS", "endpoint_ids"),
    more("description"),
];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        let api = app.api()?;
        match self {
            Self::Add { title, description, from, until, lasts, endpoints } => {
                let begins = match &from {
                    Some(from) => DateTime::parse_from_rfc3339(from)?.to_utc(),
                    None => Utc::now(),
                };
                let until = until.or_else(|| lasts.map(|lasts| written(begins + lasts)));
                let mut body = Map::new();
                body.insert("title".to_owned(), title.into());
                body.extend(description.map(|text| ("description".to_owned(), text.into())));
                body.extend(from.map(|at| ("starts_at".to_owned(), at.into())));
                body.extend(until.map(|at| ("ends_at".to_owned(), at.into())));
                if !endpoints.is_empty() {
                    body.insert("endpoint_ids".to_owned(), json!(endpoint_ids(&api, &endpoints).await?));
                }
                let made = api.create(&MAINTENANCE, &body).await?;
                let ends = output::moment(&made["ends_at"]).map(local).unwrap_or_default();
                app.out.done(&made, &format!("Planned {}, until {ends}", label(&MAINTENANCE, &made)))?;
            }
            Self::List { status, limit } => {
                let status =
                    status.and_then(|status| Some(status.to_possible_value()?.get_name().to_owned()));
                let query: Vec<_> = status.map(|status| ("status", status)).into_iter().collect();
                let items = api.list(MAINTENANCE.path, &query, limit).await?;
                app.out.list(&items, &COLUMNS, "Nothing is planned")?;
            }
            Self::End { maintenance } => {
                let found = api.find(&MAINTENANCE, &maintenance).await?;
                if found["status"].as_str() != Some("active") {
                    let message = format!("{} does not run now", label(&MAINTENANCE, &found));
                    return Err(Failure::error(message)
                        .hint("pong maintenance rm deletes what is only planned")
                        .into());
                }
                let body = json!({"ends_at": written(Utc::now())});
                let ended = api.update(&MAINTENANCE, id_of(&found).unwrap_or_default(), &body).await?;
                app.out.done(&ended, &format!("Ended {}", label(&MAINTENANCE, &ended)))?;
            }
            Self::Rm { maintenances, yes } => return app.remove(&MAINTENANCE, &maintenances, yes).await,
        }
        Ok(Exit::Ok)
    }
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Parses a date-time, or a time from now such as `in 2h`.
pub fn moment(text: &str) -> Result<String, String> {
    if let Some(later) = text.strip_prefix("in ") {
        return Ok(written(Utc::now() + span(later)?));
    }
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|_| "a time is written as 2026-03-01T12:00:00Z, 2026-03-01T21:00:00+09:00, or 'in 2h'")?;
    Ok(written(at.to_utc()))
}

/// Parses `90s`, `30m`, `2h`, `1d` or `1h30m`.
pub fn span(text: &str) -> Result<TimeDelta, String> {
    let wrong = || format!("`{text}` is no span of time such as 90s, 30m, 2h or 1h30m");
    let mut total: i64 = 0;
    let mut number = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let count: i64 = std::mem::take(&mut number).parse().map_err(|_| wrong())?;
        total = count.checked_mul(unit).and_then(|more| total.checked_add(more)).ok_or_else(wrong)?;
    }
    let seconds =
        TimeDelta::try_seconds(total).filter(|_| number.is_empty() && total > 0 && total < 10_000_000_000);
    seconds.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("1h30m", 5_400), ("2d", 172_800)] {
            assert_eq!(span(text), Ok(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in ["", "5", "h", "-1h", "1y", "99999999999999999999h", "999999999999h"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
