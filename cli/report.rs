//! `pong report`: check results and summaries.

use anyhow::Result;
use chrono::{SecondsFormat, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;

use crate::{
    api::{ENDPOINT, Value, id_of, with_query},
    app::App,
    chart::{self, Step, milliseconds, percent},
    error::Exit,
    incident::name_endpoints,
    maintenance::span,
    output::{BOLD, Column, DIM, more, paint, plain, print, status, text, time, visible},
};

#[derive(Subcommand)]
pub enum Command {
    /// List results, newest first
    List {
        /// Only results of this endpoint
        #[arg(long, value_name = "ID|NAME")]
        endpoint: Option<String>,
        #[command(flatten)]
        when: When,
        #[arg(long)]
        status: Option<UpDown>,
        /// Maximum number of results
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Show a result with all details
    Show { id: i64 },
    /// Summarize an endpoint: uptime, response times and their history
    Summary {
        #[arg(value_name = "ID|NAME")]
        endpoint: String,
        #[command(flatten)]
        when: When,
        /// Response time that still satisfies users, for the Apdex score [milliseconds]
        #[arg(long, value_name = "MS")]
        apdex_ms: Option<u32>,
    },
}

#[derive(Args)]
pub struct When {
    /// Time range until now: 1h, 24h, 7d, 30d, 90d
    #[arg(long, default_value = "24h", value_name = "SPAN", conflicts_with_all = ["from", "to"])]
    range: String,
    /// Start: a date or a date-time
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// End: a date (included) or a date-time
    #[arg(long, value_name = "WHEN")]
    to: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum UpDown {
    Up,
    Down,
}

impl When {
    fn query(&self) -> Result<Vec<(&'static str, String)>> {
        let written = |at: chrono::DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        // A fixed range, so that pages do not shift while they are fetched.
        let now = Utc::now();
        if self.from.is_none() && self.to.is_none() {
            let back = span(&self.range).map_err(crate::error::Failure::usage)?;
            return Ok(vec![("from", written(now - back)), ("to", written(now))]);
        }
        let given = [("from", self.from.clone()), ("to", self.to.clone())];
        Ok(given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

static COLUMNS: [Column; 16] = [
    more("id"),
    time("WHEN", "checked_at"),
    text("ENDPOINT", "endpoint_name"),
    more("endpoint_id"),
    status("STATUS", "status"),
    text("CODE", "status_code"),
    text("MS", "timings_ms.total"),
    more("timings_ms.dns"),
    more("timings_ms.connect"),
    more("timings_ms.tls"),
    more("timings_ms.first_byte"),
    more("timings_ms.transfer"),
    text("ERROR", "error.message"),
    more("error.code"),
    more("region"),
    more("response_bytes"),
];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        let api = app.api()?;
        match self {
            Self::List { endpoint, when, status, limit } => {
                let mut query = when.query()?;
                if let Some(endpoint) = endpoint {
                    query.push(("endpoint_id", api.find_id(&ENDPOINT, &endpoint).await?.to_string()));
                }
                if let Some(status) = status.and_then(|status| status.to_possible_value()) {
                    query.push(("status", status.get_name().to_owned()));
                }
                let mut items = api.list("/report-service/v1/reports", &query, limit).await?;
                name_endpoints(&api, &mut items).await?;
                app.out.list(&items, &COLUMNS, "There is no result in this time")?;
            }
            Self::Show { id } => {
                app.out.object(&api.get(&format!("/report-service/v1/reports/{id}")).await?)?
            }
            Self::Summary { endpoint, when, apdex_ms } => {
                let endpoint = api.find(&ENDPOINT, &endpoint).await?;
                let mut query = when.query()?;
                query.extend(apdex_ms.map(|ms| ("apdex_ms", ms.to_string())));
                let path = format!("/report-service/v1/summaries/{}", id_of(&endpoint).unwrap_or_default());
                let summary = api.get(&with_query(&path, &query)).await?;
                if app.out.is_table() {
                    show(&endpoint, &summary)?;
                } else if app.out.format == crate::output::Format::Csv {
                    let points = summary["series"].as_sequence().cloned().unwrap_or_default();
                    app.out.list(&points, &POINTS, "")?;
                } else {
                    app.out.object(&summary)?;
                }
            }
        }
        Ok(Exit::Ok)
    }
}

static POINTS: [Column; 9] = [
    more("at"),
    more("checks"),
    more("up"),
    more("degraded"),
    more("avg_ms"),
    more("min_ms"),
    more("max_ms"),
    more("p95_ms"),
    more("p99_ms"),
];

#[derive(Deserialize)]
struct Summary {
    from: chrono::DateTime<Utc>,
    to: chrono::DateTime<Utc>,
    step_seconds: i64,
    checks: i64,
    up: i64,
    #[serde(default)]
    degraded: i64,
    uptime_percent: Option<f64>,
    series: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    at: chrono::DateTime<Utc>,
    checks: i64,
    up: i64,
    avg_ms: Option<f64>,
}

fn show(endpoint: &Value, summary: &Value) -> Result<()> {
    let of: Summary = serde_norway::from_value(summary.clone())?;
    let (name, url) = (plain(&endpoint["name"]), plain(&endpoint["url"]));
    print(&format!("{}  {}", paint(BOLD, &visible(&name)), paint(DIM, &visible(&url))))?;
    let uptime = of.uptime_percent.map_or_else(|| "no checks".to_owned(), percent);
    let degraded = if of.degraded > 0 { format!(", {} degraded", of.degraded) } else { String::new() };
    print(&format!("uptime   {uptime} ({} of {} checks{degraded})", of.up, of.checks))?;
    let latency = &summary["latency_ms"];
    let times: Vec<_> = ["avg", "min", "p50", "p90", "p95", "p99", "max"]
        .iter()
        .filter_map(|name| Some(format!("{name} {}", milliseconds(latency[*name].as_f64()?))))
        .collect();
    if !times.is_empty() {
        print(&format!("latency  {}", times.join("  ")))?;
    }
    if let Some(apdex) = summary["apdex"].as_f64() {
        print(&format!("apdex    {apdex:.3}"))?;
    }
    // The series leaves out buckets without checks: fill them in.
    let step = of.step_seconds.max(1);
    let count = ((of.to - of.from).num_seconds() / step).clamp(0, 10_000) as usize + 1;
    let mut steps = vec![Step::default(); count];
    for point in &of.series {
        let at = ((point.at - of.from).num_seconds().max(0) / step) as usize;
        if let Some(step) = steps.get_mut(at) {
            *step = Step { checks: point.checks, up: point.up, avg_ms: point.avg_ms };
        }
    }
    let steps = chart::squeezed(&steps, 90);
    print(&format!("course   {}", chart::line(&steps)))?;
    print(&format!("checks   {}", chart::bar(&steps)))?;
    let (from, to) = (crate::output::local(of.from), crate::output::local(of.to));
    let gap = steps.len().saturating_sub(from.len() + to.len()).max(2);
    print(&paint(DIM, &format!("         {from}{}{to}", " ".repeat(gap))))
}
