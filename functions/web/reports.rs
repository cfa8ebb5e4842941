//! Results and incidents by date.

use askama::Template;
use axum::{extract::Query, response::Response};
use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use chrono_tz::Tz;
use futures::{future::join_all, try_join};
use runtime::List;
use serde::Deserialize;

use super::{
    api::{Api, Refusal},
    figures::{self, Unit, encoded, grouped},
    form::{Endpoints, Wrong, page_number},
    home,
    page::{Page, Section},
    parts::Pages,
    visitor::{User, Visitor},
};
use crate::{reports::incident_list::EndReason, words, zones};
use contract::{CheckStatus, Failure, Timings};

/// The filter in the URL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    pub endpoint_id: String,
    pub from: String,
    pub to: String,
    pub status: String,
    /// The page number of each list.
    pub page: String,
    pub outages: String,
    pub endpoints: String,
}

impl Filter {
    /// Today, unless dates are given.
    pub fn complete(self, zone: Tz, now: DateTime<Utc>) -> Self {
        let today = figures::date(zone, now);
        let or_today = |date: String| if date.is_empty() { today.clone() } else { date };
        Self { from: or_today(self.from), to: or_today(self.to), ..self }
    }

    /// The filter for the API: dates as the times at which they start and end in the zone.
    pub fn in_zone(&self, zone: Tz) -> Self {
        let start = |text: &str, days: u64| {
            let date = text.parse::<NaiveDate>().ok()?.checked_add_days(Days::new(days))?;
            Some(zones::start_of(zone, date).to_rfc3339_opts(SecondsFormat::Secs, true))
        };
        // The API refuses text that is not a date.
        let from = start(&self.from, 0).unwrap_or_else(|| self.from.clone());
        let to = start(&self.to, 1).unwrap_or_else(|| self.to.clone());
        Self { from, to, ..self.clone() }
    }

    pub fn id(&self) -> Option<i64> {
        self.endpoint_id.parse().ok()
    }

    /// The filter as a URL query.
    pub fn query(&self) -> String {
        let fields = [("endpoint_id", &self.endpoint_id), ("from", &self.from), ("to", &self.to)];
        let status = ("status", &self.status);
        let given = fields.into_iter().chain([status]).filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
    }

    fn with_status(&self, status: &str) -> Self {
        Self { status: status.to_owned(), ..self.clone() }
    }

    fn is_of(&self, id: &i64) -> bool {
        self.id() == Some(*id)
    }
}

/// The result of a check.
#[derive(Debug, Deserialize)]
pub struct Report {
    pub id: i64,
    pub endpoint_id: i64,
    pub checked_at: DateTime<Utc>,
    pub region: String,
    pub status: CheckStatus,
    pub status_code: Option<u16>,
    pub error: Option<Failure>,
    pub timings_ms: Timings,
    pub ip: Option<String>,
    pub certificate_expires_at: Option<DateTime<Utc>>,
    pub response_bytes: i64,
    #[serde(default)]
    pub maintenance: bool,
}

impl Report {
    /// The phases one after the other, in thousandths of the longest result on the page.
    fn phases(&self, longest: &u32) -> Vec<home::Phase> {
        let part =
            |of: u32| (u64::from(of) * u64::from(self.timings_ms.total) / u64::from(*longest).max(1)) as u32;
        let mut phases = home::phases(&self.timings_ms);
        for phase in &mut phases {
            (phase.start, phase.length) = (part(phase.start), part(phase.length).max(2));
        }
        phases
    }
}

#[derive(Debug, Deserialize)]
struct Incident {
    endpoint_id: i64,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    #[serde(default)]
    end_reason: Option<EndReason>,
    cause: Option<Failure>,
}

impl Incident {
    fn is_paused(&self) -> bool {
        self.end_reason == Some(EndReason::Paused)
    }
}

#[derive(Debug, Deserialize)]
struct Summary {
    checks: i64,
    up: i64,
    uptime_percent: Option<f64>,
    latency_ms: Latency,
    apdex: Option<f64>,
    series: Vec<Point>,
}

#[derive(Debug, Deserialize)]
struct Latency {
    avg: Option<f64>,
    p50: Option<i64>,
    p95: Option<i64>,
    p99: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Point {
    at: DateTime<Utc>,
    checks: i64,
    up: i64,
    avg_ms: Option<f64>,
    p95_ms: Option<i64>,
}

/// A line of the summary: one day of one endpoint, or one of several endpoints.
struct Line {
    /// The endpoint's ID; 0 for a day.
    id: i64,
    name: String,
    checks: i64,
    failed: i64,
    uptime: Option<f64>,
    avg: Option<f64>,
    p95: Option<i64>,
}

#[derive(Template)]
#[template(path = "reports.html")]
struct Reports {
    page: Page,
    filter: Filter,
    wrong: Wrong,
    endpoints: Endpoints,
    /// The summary of the selected endpoint.
    summary: Option<Summary>,
    lines: Vec<Line>,
    lines_pager: Pages,
    outages: List<Incident>,
    outages_pager: Pages,
    reports: List<Report>,
    pager: Pages,
    /// Counts of all results that match the filter, whatever their status.
    counted: Counted,
    longest: u32,
    now: DateTime<Utc>,
}

struct Counted {
    checks: i64,
    failed: i64,
}

/// The limit of a download.
pub const MAX_ROWS: i64 = 100_000;
const PER_PAGE: i64 = 50;
const LINES: i64 = 20;

impl Reports {
    /// The unit for the figures and the lines.
    fn unit(&self) -> Unit {
        let lines = self.lines.iter().flat_map(|line| [line.avg, line.p95.map(|ms| ms as f64)]).flatten();
        let latency = self.summary.iter().filter_map(|summary| summary.latency_ms.p99).map(|ms| ms as f64);
        Unit::of(lines.chain(latency).fold(0.0, f64::max))
    }

    fn ms(&self, value: &Option<f64>) -> String {
        value.map_or_else(|| "–".to_owned(), |ms| self.unit().say(ms.round()))
    }

    fn whole_ms(&self, value: &Option<i64>) -> String {
        self.ms(&value.map(|ms| ms as f64))
    }

    /// Empty if there was no response that could be timed.
    fn total(&self, report: &Report) -> String {
        let is_answered = report.error.as_ref().is_none_or(|error| !error.code.is_unreachable());
        let unit = Unit::of(self.longest.into());
        if is_answered { unit.say(report.timings_ms.total.into()) } else { String::new() }
    }

    fn is_whole(&self) -> bool {
        self.pager.total <= MAX_ROWS
    }
}

pub async fn show(User(visitor): User, Query(filter): Query<Filter>) -> Response {
    let filter = filter.complete(visitor.zone, visitor.now);
    let chosen: Vec<i64> = filter.id().into_iter().collect();
    let endpoints = match Endpoints::of(&visitor.api, "", &chosen).await {
        Ok(endpoints) => endpoints,
        Err(refusal) => return visitor.refused(&refusal),
    };
    match gather(&visitor, &filter, endpoints).await {
        Ok(page) => visitor.show(page.wrong.status(), &page),
        Err(refusal) => visitor.refused(&refusal),
    }
}

fn empty<T>(per_page: i64) -> List<T> {
    let page = runtime::page::Page { current_page: 1, total_count: 0, per_page, ..Default::default() };
    List { items: Vec::new(), page }
}

async fn gather(visitor: &Visitor, filter: &Filter, endpoints: Endpoints) -> Result<Reports, Refusal> {
    let title = visitor.t(&words::REPORTS);
    let mut page = Reports {
        page: visitor.page(Section::Reports, title),
        filter: filter.clone(),
        wrong: Wrong::default(),
        summary: None,
        lines: Vec::new(),
        lines_pager: Pages::of(&empty::<()>(LINES).page, |_| String::new()),
        outages: empty(10),
        outages_pager: Pages::of(&empty::<()>(10).page, |_| String::new()),
        reports: empty(PER_PAGE),
        pager: Pages::of(&empty::<()>(PER_PAGE).page, |_| String::new()),
        counted: Counted { checks: 0, failed: 0 },
        longest: 1,
        endpoints,
        now: visitor.now,
    };
    match fill(visitor, filter, &mut page).await {
        Ok(()) => {}
        Err(refusal) => page.wrong = Wrong::of(refusal, &["endpoint_id", "from", "to", "status"])?,
    }
    Ok(page)
}

async fn fill(visitor: &Visitor, shown: &Filter, page: &mut Reports) -> Result<(), Refusal> {
    let (api, filter) = (&visitor.api, &shown.in_zone(visitor.zone));
    let query = filter.query();
    let of = |what: &str, query: &str| format!("/report-service/v1/{what}?{query}");
    let list = of("reports", &format!("{query}&page={}&per_page={PER_PAGE}", page_number(&filter.page)));
    let all = of("reports", &format!("{}&per_page=1", filter.with_status("").query()));
    let failed = of("reports", &format!("{}&per_page=1", filter.with_status("down").query()));
    let outages =
        format!("{}&page={}&per_page=10", filter.with_status("").query(), page_number(&filter.outages));
    let outages = of("incidents", &outages);
    let (reports, all, failed, outages) = try_join!(
        api.get::<List<Report>>(&list),
        api.get::<List<serde::de::IgnoredAny>>(&all),
        api.get::<List<serde::de::IgnoredAny>>(&failed),
        api.get::<List<Incident>>(&outages),
    )?;
    let query = shown.query();
    let link = |what: &str| format!("/reports?{query}&{what}=");
    page.pager = Pages::of(&reports.page, |n| format!("{}{n}", link("page")));
    page.outages_pager = Pages::of(&outages.page, |n| format!("{}{n}", link("outages")));
    page.counted = Counted { checks: all.page.total_count, failed: failed.page.total_count };
    page.longest = reports.items.iter().map(|report| report.timings_ms.total).max().unwrap_or(1);
    (page.reports, page.outages) = (reports, outages);
    match filter.id() {
        Some(id) => {
            let by_day = format!("&step=day&zone={}", encoded(visitor.zone.name()));
            let summary = summary(api, id, filter, &by_day).await?;
            page.lines = days(&summary.series, visitor.zone);
            page.summary = Some(summary);
        }
        None => {
            let items = page.endpoints.items();
            let number = page_number(&filter.endpoints);
            let paging = runtime::page::Page {
                current_page: number,
                total_count: items.len() as i64,
                per_page: LINES,
                ..Default::default()
            };
            page.lines_pager = Pages::of(&paging, |n| format!("{}{n}", link("endpoints")));
            let shown = items.iter().skip(((number - 1) * LINES) as usize).take(LINES as usize);
            page.lines = join_all(shown.map(async |endpoint| {
                let summary = summary(api, endpoint.id, filter, "").await?;
                Ok(Line {
                    id: endpoint.id,
                    name: endpoint.name.clone(),
                    checks: summary.checks,
                    failed: summary.checks - summary.up,
                    uptime: summary.uptime_percent,
                    avg: summary.latency_ms.avg,
                    p95: summary.latency_ms.p95,
                })
            }))
            .await
            .into_iter()
            .collect::<Result<_, Refusal>>()?;
        }
    }
    Ok(())
}

async fn summary(api: &Api, id: i64, filter: &Filter, step: &str) -> Result<Summary, Refusal> {
    let (from, to) = (encoded(&filter.from), encoded(&filter.to));
    api.get(&format!("/report-service/v1/summaries/{id}?from={from}&to={to}{step}")).await
}

/// The newest first; empty for a single day, because the figures above are the same.
fn days(series: &[Point], zone: Tz) -> Vec<Line> {
    let line = |point: &Point| Line {
        id: 0,
        name: figures::date(zone, point.at),
        checks: point.checks,
        failed: point.checks - point.up,
        // Rounded down to three decimals: 100 means that no check failed.
        uptime: (point.checks > 0).then(|| (point.up * 100_000 / point.checks) as f64 / 1000.0),
        avg: point.avg_ms,
        p95: point.p95_ms,
    };
    if series.len() < 2 { Vec::new() } else { series.iter().rev().map(line).collect() }
}

fn percent(value: &Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figures::percent)
}

fn length(page: &Page, from: &DateTime<Utc>, to: &DateTime<Utc>) -> String {
    figures::length(page.language, *to - *from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_today_unless_it_says_otherwise() {
        let now: DateTime<Utc> = "2026-03-01T23:59:59Z".parse().expect("a time");
        let filter = Filter { endpoint_id: "7".into(), status: "down".into(), ..Filter::default() };
        assert_eq!(
            filter.clone().complete(Tz::UTC, now).query(),
            "endpoint_id=7&from=2026%2D03%2D01&to=2026%2D03%2D01&status=down"
        );
        let seoul = filter.complete(Tz::Asia__Seoul, now);
        let asked = seoul.in_zone(Tz::Asia__Seoul);
        assert_eq!(seoul.from, "2026-03-02");
        assert_eq!((&*asked.from, &*asked.to), ("2026-03-01T15:00:00Z", "2026-03-02T15:00:00Z"));
        let odd = Filter { from: "yesterday".into(), ..seoul };
        assert_eq!(odd.in_zone(Tz::UTC).from, "yesterday");
    }

    #[test]
    fn one_day_has_no_line_beside_its_figures() {
        let point = |at: &str, up| Point {
            at: at.parse().expect("a time"),
            checks: 60,
            up,
            avg_ms: None,
            p95_ms: None,
        };
        let series = [point("2026-02-28T15:00:00Z", 30), point("2026-03-01T15:00:00Z", 0)];
        let lines = days(&series, Tz::Asia__Seoul);
        let seen: Vec<_> = lines.iter().map(|day| (day.name.as_str(), day.failed, day.uptime)).collect();
        assert_eq!(seen, [("2026-03-02", 60, Some(0.0)), ("2026-03-01", 30, Some(50.0))]);
        assert!(days(&series[..1], Tz::UTC).is_empty());
    }
}
