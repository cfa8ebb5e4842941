//! Results and outages by date.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Query, State};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{future::join_all, try_join};
use runtime::{Context, List};
use serde::Deserialize;

use super::{
    api::{Api, Refusal},
    form::{Endpoints, Wrong, page_number},
    home,
    page::{Page, Section},
    parts::Pages,
    visitor::{Response, User, Visitor, encoded},
    words,
};
use crate::{
    contract::{CheckStatus, Failure, Timings},
    reports::incident_list::EndReason,
};

/// What is asked for, as it stands in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    pub endpoint_id: String,
    pub from: String,
    pub to: String,
    pub status: String,
    /// Where one is in each of the lists.
    pub page: String,
    pub outages: String,
    pub endpoints: String,
}

impl Filter {
    /// Today, unless something else is asked for.
    pub fn complete(self, now: DateTime<Utc>) -> Self {
        let today = now.format("%Y-%m-%d").to_string();
        let or_today = |date: String| if date.is_empty() { today.clone() } else { date };
        Self { from: or_today(self.from), to: or_today(self.to), ..self }
    }

    pub fn id(&self) -> Option<i64> {
        self.endpoint_id.parse().ok()
    }

    /// As a query, for the API and for addresses of ours.
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
    fn is_up(&self) -> bool {
        self.status == CheckStatus::Up
    }

    /// One after the other, in parts of a thousand of the longest on the page.
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
}

/// A line of the summary: a day of one endpoint, or one of several endpoints.
struct Line {
    /// Of an endpoint.
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
    /// Of the one endpoint that was chosen.
    summary: Option<Summary>,
    lines: Vec<Line>,
    lines_pager: Pages,
    outages: List<Incident>,
    outages_pager: Pages,
    reports: List<Report>,
    pager: Pages,
    /// Of all results that the filter lets through, whatever their status.
    counted: Counted,
    longest: u32,
    now: DateTime<Utc>,
}

struct Counted {
    checks: i64,
    failed: i64,
}

/// As many as one downloads.
pub const MOST_ROWS: i64 = 100_000;
const PER_PAGE: i64 = 50;
const LINES: i64 = 20;

impl Reports {
    fn is_whole(&self) -> bool {
        self.pager.total <= MOST_ROWS
    }
}

pub async fn show(
    User(visitor): User,
    State(context): State<Context>,
    Query(filter): Query<Filter>,
) -> Response {
    let now = context.clock().now();
    let filter = filter.complete(now);
    let chosen: Vec<i64> = filter.id().into_iter().collect();
    let endpoints = match Endpoints::of(&visitor.api, "", &chosen).await {
        Ok(endpoints) => endpoints,
        Err(refusal) => return visitor.refused(&refusal),
    };
    match gather(&visitor, &filter, endpoints, now).await {
        Ok(page) => visitor.show(page.wrong.status(), &page),
        Err(refusal) => visitor.refused(&refusal),
    }
}

fn empty<T>(per_page: i64) -> List<T> {
    let page = runtime::page::Page { current_page: 1, total_count: 0, per_page, ..Default::default() };
    List { items: Vec::new(), page }
}

async fn gather(
    visitor: &Visitor,
    filter: &Filter,
    endpoints: Endpoints,
    now: DateTime<Utc>,
) -> Result<Reports, Refusal> {
    let title = visitor.t("Reports", "리포트");
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
        now,
    };
    match fill(&visitor.api, filter, &mut page).await {
        Ok(()) => {}
        Err(refusal) => page.wrong = Wrong::of(refusal, &["endpoint_id", "from", "to", "status"])?,
    }
    Ok(page)
}

async fn fill(api: &Api, filter: &Filter, page: &mut Reports) -> Result<(), Refusal> {
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
    let link = |what: &str| format!("/reports?{query}&{what}=");
    page.pager = Pages::of(&reports.page, |n| format!("{}{n}", link("page")));
    page.outages_pager = Pages::of(&outages.page, |n| format!("{}{n}", link("outages")));
    page.counted = Counted { checks: all.page.total_count, failed: failed.page.total_count };
    page.longest = reports.items.iter().map(|report| report.timings_ms.total).max().unwrap_or(1);
    (page.reports, page.outages) = (reports, outages);
    match filter.id() {
        Some(id) => {
            let summary = summary(api, id, filter).await?;
            page.lines = days(&summary.series);
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
                let summary = summary(api, endpoint.id, filter).await?;
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

async fn summary(api: &Api, id: i64, filter: &Filter) -> Result<Summary, Refusal> {
    let (from, to) = (encoded(&filter.from), encoded(&filter.to));
    api.get(&format!("/report-service/v1/summaries/{id}?from={from}&to={to}")).await
}

/// Sums the points of each day up, the newest first; nothing, where they are of one day, or each of more.
fn days(series: &[Point]) -> Vec<Line> {
    let mut days = BTreeMap::<_, (i64, i64, f64)>::new();
    for point in series {
        let (checks, up, ms) = days.entry(point.at.date_naive()).or_default();
        *checks += point.checks;
        *up += point.up;
        *ms += point.avg_ms.unwrap_or_default() * point.up as f64;
    }
    let is_longer = series.windows(2).any(|pair| pair[1].at - pair[0].at > TimeDelta::days(1))
        && series.windows(2).all(|pair| pair[1].at - pair[0].at > TimeDelta::days(1));
    if days.len() < 2 || is_longer {
        return Vec::new();
    }
    let line = |(day, (checks, up, ms)): (chrono::NaiveDate, (i64, i64, f64))| Line {
        id: 0,
        name: day.format("%Y-%m-%d").to_string(),
        checks,
        failed: checks - up,
        uptime: (checks > 0).then(|| cut(up, checks)),
        avg: (up > 0).then(|| ms / up as f64),
        p95: None,
    };
    days.into_iter().rev().map(line).collect()
}

/// Percent, cut to three decimals: 100 means that none failed.
fn cut(up: i64, checks: i64) -> f64 {
    (up * 100_000 / checks) as f64 / 1000.0
}

fn percent(value: &Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), words::percent)
}

fn ms(value: &Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0} ms"))
}

fn whole_ms(value: &Option<i64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value} ms"))
}

fn length(page: &Page, from: &DateTime<Utc>, to: &DateTime<Utc>) -> String {
    words::length(page.language, *to - *from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_today_unless_it_says_otherwise() {
        let now: DateTime<Utc> = "2026-03-01T23:59:59Z".parse().expect("a time");
        let filter = Filter { endpoint_id: "7".into(), status: "down".into(), ..Filter::default() };
        assert_eq!(
            filter.complete(now).query(),
            "endpoint_id=7&from=2026%2D03%2D01&to=2026%2D03%2D01&status=down"
        );
    }

    #[test]
    fn points_make_days() {
        let point =
            |at: &str, checks, up, avg_ms| Point { at: at.parse().expect("a time"), checks, up, avg_ms };
        let series = [
            point("2026-03-01T22:00:00Z", 60, 60, Some(100.0)),
            point("2026-03-01T23:00:00Z", 60, 30, Some(40.0)),
            point("2026-03-02T00:00:00Z", 60, 0, None),
        ];
        let days = days(&series);
        let seen: Vec<_> =
            days.iter().map(|day| (day.name.as_str(), day.failed, day.uptime, day.avg)).collect();
        assert_eq!(seen, [("2026-03-02", 60, Some(0.0), None), ("2026-03-01", 30, Some(75.0), Some(80.0))]);
        assert!(super::days(&series[..2]).is_empty(), "one day is what the numbers above say");
    }
}
