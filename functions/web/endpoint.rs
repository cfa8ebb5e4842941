//! The page of one endpoint: its state, its history and its actions.

use std::net::IpAddr;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use contract::Language;
use http::StatusCode;
use runtime::{Context, List};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::json;

use super::{
    chart::{self, Size, Summary},
    dashboard::{ACTIVE_MAINTENANCES, Maintenance, overview},
    figures::{self, Unit},
    form::Id,
    history::{Bar, Incident, open_outage},
    home::{Checked, Phase, phases},
    notifications::Alerting,
    page::{Page, Section},
    parts::{Pages, StatusView},
    visitor::{Posted, User, Visitor},
};
use crate::{endpoints::Endpoint, links, words};
use contract::{CheckStatus, Failure, Outcome, Status, Timings};

const RANGES: [&str; 5] = ["1h", "24h", "7d", "30d", "90d"];
const PER_PAGE: i64 = 20;

/// The URL's query.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    range: String,
    results: String,
    outages: String,
    /// `down`: only failed results.
    only: String,
}

impl Asked {
    fn tidied(mut self) -> Self {
        if !RANGES.contains(&self.range.as_str()) {
            self.range = "24h".to_owned();
        }
        for page in [&mut self.results, &mut self.outages] {
            *page = page.parse::<i64>().unwrap_or(1).clamp(1, 1_000_000).to_string();
        }
        if self.only != "down" {
            self.only = String::new();
        }
        self
    }

    fn with(&self, id: i64, name: &str, value: &str, to: &str) -> String {
        let parts = [
            ("range", self.range.as_str(), "24h"),
            ("only", &self.only, ""),
            // Another filter starts at the first page.
            ("results", if name == "only" { "1" } else { &self.results }, "1"),
            ("outages", &self.outages, "1"),
        ];
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (part, current, default) in parts {
            let value = if part == name { value } else { current };
            if value != default {
                query.append_pair(part, value);
            }
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("/endpoints/{id}{mark}{query}{to}")
    }

    fn length(&self) -> TimeDelta {
        match self.range.as_str() {
            "1h" => TimeDelta::hours(1),
            "7d" => TimeDelta::days(7),
            "30d" => TimeDelta::days(30),
            "90d" => TimeDelta::days(90),
            _ => TimeDelta::days(1),
        }
    }
}

/// A result, as `report-list` returns it.
#[derive(Clone, Debug, Deserialize)]
struct Report {
    checked_at: DateTime<Utc>,
    region: String,
    status: CheckStatus,
    status_code: Option<i32>,
    error: Option<Failure>,
    timings_ms: Timings,
    ip: Option<IpAddr>,
    certificate_expires_at: Option<DateTime<Utc>>,
    response_bytes: i64,
    #[serde(default)]
    maintenance: bool,
}

impl Report {
    fn class(&self) -> &'static str {
        if self.maintenance { "maintenance" } else { self.status.as_str() }
    }

    fn cause(&self, language: Language) -> String {
        self.error.as_ref().map(|error| figures::cause(language, error)).unwrap_or_default()
    }

    /// Empty if there was no response that could be timed.
    fn total(&self, unit: &Unit) -> String {
        let is_answered = self.error.as_ref().is_none_or(|error| !error.code.is_unreachable());
        if is_answered { unit.say(f64::from(self.timings_ms.total)) } else { String::new() }
    }

    fn bytes(&self) -> String {
        figures::bytes(self.response_bytes)
    }

    fn phases(&self) -> Vec<Phase> {
        phases(&self.timings_ms)
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Badge {
    id: i64,
    token: String,
}

/// Links to copy, to show a badge elsewhere.
struct BadgeLinks {
    id: &'static str,
    kind: &'static str,
    path: String,
    url: String,
    markdown: String,
    html: String,
}

impl BadgeLinks {
    fn copies(&self) -> Vec<(&'static str, &str)> {
        vec![("Markdown", &self.markdown), ("HTML", &self.html), ("URL", &self.url)]
    }
}

#[derive(Template)]
#[template(path = "endpoint.html")]
struct Show {
    page: Page,
    asked: Asked,
    endpoint: Endpoint,
    now: DateTime<Utc>,
    maintenance: Option<Maintenance>,
    outage: String,
    bar: Option<Bar>,
    summary: Option<Summary>,
    charts: Vec<String>,
    reports: Option<List<Report>>,
    report_pages: Option<Pages>,
    incidents: Option<List<Incident>>,
    incident_pages: Option<Pages>,
    /// `None`: unknown. Empty: badges are off.
    badges: Option<Vec<BadgeLinks>>,
    badge_id: Option<i64>,
    certificate: Option<DateTime<Utc>>,
    checked: Option<CheckedAt>,
    alerting: Alerting,
    /// For the figures, the chart and its table; and for the results.
    units: [Unit; 2],
}

/// The result of Check now.
#[derive(Deserialize, Serialize)]
struct CheckedAt {
    outcome: Outcome,
    at: DateTime<Utc>,
}

impl Show {
    fn standing(&self) -> StatusView {
        StatusView::of(self.page.language, &self.endpoint, self.maintenance.is_some())
    }

    fn checked_at(&self, checked: &CheckedAt) -> String {
        words::checked_at(self.page.time(&checked.at)).of(self.page.language)
    }

    fn last_checked(&self) -> Option<String> {
        let scheduled = self.endpoint.last_checked_at.map(|at| at.time());
        let at = scheduled.max(self.checked.as_ref().map(|checked| checked.at))?;
        Some(figures::ago(self.page.language, self.now, at))
    }

    fn with(&self, name: &str, value: &str, to: &str) -> String {
        self.asked.with(self.endpoint.id, name, value, to)
    }

    fn is_safe_link(&self) -> bool {
        ["http://", "https://"].iter().any(|scheme| self.endpoint.settings.url.starts_with(scheme))
    }

    fn ms(&self, value: &Option<i64>) -> String {
        value.map_or("–".to_owned(), |ms| self.units[0].say(ms as f64))
    }

    fn average(&self, value: &Option<f64>) -> String {
        value.map_or("–".to_owned(), |ms| self.units[0].say(ms))
    }

    fn days_left(&self, certificate: &DateTime<Utc>) -> i64 {
        checks::days_left(*certificate, self.now)
    }

    fn warning_days(&self) -> i64 {
        let settings = &self.endpoint.settings;
        let kind = checks::Kind::find(&settings.kind);
        kind.map_or(0, |kind| kind.certificate_warning_days(&settings.url, &settings.config.0).into())
    }

    fn certificate_class(&self, certificate: &DateTime<Utc>) -> &'static str {
        match self.days_left(certificate) {
            ..0 => "bad",
            days if days <= self.warning_days() => "fair",
            _ => "",
        }
    }

    fn length(&self, incident: &Incident) -> String {
        let until = incident.ended_at.unwrap_or(self.now);
        figures::length(self.page.language, until - incident.started_at)
    }

    /// One line: what is checked, how often, and when it counts as down.
    fn rules(&self) -> String {
        let s = &self.endpoint.settings;
        let every = figures::length(self.page.language, TimeDelta::seconds(s.interval_seconds.into()));
        let failures = s.failure_threshold;
        let kind = checks::Kind::find(&s.kind).map_or(&*s.kind, |kind| self.page.pair(&kind.label));
        let assertions = s.assertions.0.len();
        let language = self.page.language;
        let rules = match failures {
            1 => words::rule_of_one_failure(every, kind).of(language),
            _ => words::rule_of_failures(every, failures, kind).of(language),
        };
        match assertions {
            0 => rules,
            1 => format!("{rules} · {}", words::ONE_ASSERTION.of(language)),
            _ => format!("{rules} · {}", words::some_assertions(assertions).of(language)),
        }
    }

    /// A sentence that describes the chart.
    fn chart_text(&self) -> String {
        let Some(summary) = &self.summary else { return String::new() };
        let failed = figures::grouped(summary.checks - summary.up);
        let (checks, p50, p95) = (
            figures::grouped(summary.checks),
            self.ms(&summary.latency_ms.p50),
            self.ms(&summary.latency_ms.p95),
        );
        words::chart_summary(checks, failed, p50, p95, &self.asked.range).of(self.page.language)
    }

    fn rows(&self) -> Vec<(String, &chart::Point)> {
        self.summary
            .as_ref()
            .map(|summary| chart::rows(self.page.zone, summary).collect())
            .unwrap_or_default()
    }
}

pub async fn show(
    State(context): State<Context>,
    User(visitor): User,
    Id([id]): Id,
    Query(asked): Query<Asked>,
) -> Response {
    shown(&context, &visitor, id, asked.tidied()).await
}

/// Makes all API calls at once. The page leaves out data whose call failed, except the endpoint itself.
async fn shown(context: &Context, visitor: &Visitor, id: i64, asked: Asked) -> Response {
    let (api, now, zone) = (&visitor.api, visitor.now, visitor.zone);
    let from = (now - asked.length()).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let endpoint = format!("/endpoint-service/v1/endpoints/{id}");
    let summary = format!("/report-service/v1/summaries/{id}?from={from}");
    let results = &asked.results;
    let mut reports =
        format!("/report-service/v1/reports?endpoint_id={id}&per_page={PER_PAGE}&page={results}");
    if asked.only == "down" {
        reports.push_str("&status=down");
    }
    let incidents =
        format!("/report-service/v1/incidents?endpoint_id={id}&per_page=10&page={}", asked.outages);
    let badges = format!("/status-service/v1/badges?endpoint_id={id}");
    let (endpoint, summary, reports, incidents, badges, maintenances, overview, alerting) = futures::join!(
        api.get::<Endpoint>(&endpoint),
        api.get::<Summary>(&summary),
        api.get::<List<Report>>(&reports),
        api.get::<List<Incident>>(&incidents),
        api.get::<List<Badge>>(&badges),
        api.get::<List<Maintenance>>(ACTIVE_MAINTENANCES),
        overview(api, std::iter::once(id), &asked.range, zone),
        Alerting::of(api, Some(id)),
    );
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(refusal) => return visitor.refused(&refusal),
    };
    let language = visitor.language;
    let interval = endpoint.settings.interval_seconds.into();
    let summary = summary.ok();
    let charts = [Size::Wide, Size::Narrow]
        .into_iter()
        .filter_map(|size| chart::draw(language, zone, summary.as_ref()?, interval, size))
        .collect();
    let maintenance = maintenances.ok().and_then(|list| {
        let of_this = |maintenance: &Maintenance| endpoint.settings.enabled && maintenance.is_of(id);
        list.items.into_iter().find(of_this)
    });
    let item = overview.as_ref().ok().and_then(|overview| overview.items.first());
    let outage = item.filter(|_| endpoint.status == Status::Down);
    let outage =
        outage.and_then(|item| open_outage(language, item, now)).map_or(String::new(), |(since, cause)| {
            if cause.is_empty() { since } else { format!("{since} · {cause}") }
        });
    let bar = overview.as_ref().ok().map(|overview| Bar::of(language, zone, overview, item));
    let reports = reports.ok();
    let report_pages = reports
        .as_ref()
        .map(|list| Pages::of(&list.page, |page| asked.with(id, "results", &page.to_string(), "#results")));
    let mut incidents = incidents.ok();
    if let Some(incidents) = &mut incidents {
        incidents.items.sort_by_key(|incident| incident.ended_at.is_some());
    }
    let incident_pages = incidents
        .as_ref()
        .map(|list| Pages::of(&list.page, |page| asked.with(id, "outages", &page.to_string(), "#outages")));
    let newest = reports.iter().flat_map(|list| &list.items);
    let certificate = newest.filter_map(|report| report.certificate_expires_at).next();
    let badge = badges.map(|list| list.items.into_iter().next());
    let badge_id = badge.as_ref().ok().and_then(|badge| badge.as_ref().map(|badge| badge.id));
    let badges = badge.ok().map(|badge| {
        let links = badge.map(|badge| badge_links(context, &badge.token, &endpoint.settings.name));
        links.unwrap_or_default()
    });
    let page = visitor.page(Section::Dashboard, endpoint.settings.name.clone()).refreshing(60);
    let longest = reports.iter().flat_map(|list| &list.items).map(|report| report.timings_ms.total).max();
    let of_results = Unit::of(longest.unwrap_or_default().into());
    let of_figures = summary.as_ref().map_or(of_results, Summary::unit);
    let is_down = endpoint.status == Status::Down && maintenance.is_none();
    let page = if is_down { page.with_state(true, visitor.t(&words::STATUS_DOWN)) } else { page };
    visitor.ok(&Show {
        page,
        asked,
        endpoint,
        now,
        maintenance,
        outage,
        bar,
        summary,
        charts,
        reports,
        report_pages,
        incidents,
        incident_pages,
        badges,
        badge_id,
        certificate,
        checked: visitor.outcome(),
        alerting,
        units: [of_figures, of_results],
    })
}

fn badge_links(context: &Context, token: &str, name: &str) -> Vec<BadgeLinks> {
    // Characters with a meaning in Markdown or HTML are left out.
    let plain: String = name.chars().filter(|c| !"[]()<>\"'&\\`!".contains(*c)).collect();
    let link = |(id, kind, file): (&'static str, &'static str, &str)| {
        let path = format!("/badges/{token}/{file}.svg");
        let url = links::to(context, &path).unwrap_or_else(|_| path.clone());
        BadgeLinks {
            id,
            kind,
            markdown: format!("![{plain}: {kind}]({url})"),
            html: format!("<img src=\"{url}\" alt=\"{plain}: {kind}\">"),
            path,
            url,
        }
    };
    [
        ("status", "status", "status"),
        ("uptime", "uptime", "uptime/30d"),
        ("time", "response time", "response_time/24h"),
    ]
    .map(link)
    .into()
}

/// Reloading the page after a check leads here.
pub async fn back(User(visitor): User, Id([id]): Id) -> Response {
    visitor.go(&format!("/endpoints/{id}"))
}

pub async fn check(User(visitor): User, Id([id]): Id, Posted(IgnoredAny): Posted<IgnoredAny>) -> Response {
    match visitor.api.post::<_, Checked>("/endpoint-check/v1/checks", &json!({"endpoint_id": id})).await {
        Ok(checked) => {
            let checked = CheckedAt { outcome: checked.short().outcome, at: visitor.now };
            visitor.go_showing(&format!("/endpoints/{id}#result"), &checked)
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}

#[derive(Deserialize)]
pub struct Enabled {
    enabled: bool,
}

pub async fn pause(User(visitor): User, Id([id]): Id, Posted(wanted): Posted<Enabled>) -> Response {
    let path = format!("/endpoint-service/v1/endpoints/{id}");
    let done: Result<IgnoredAny, _> = visitor.api.patch(&path, &json!({"enabled": wanted.enabled})).await;
    let what = if wanted.enabled {
        visitor.t(&words::MONITORING_RESUMED)
    } else {
        visitor.t(&words::MONITORING_PAUSED)
    };
    match done {
        Ok(_) => visitor.go_saying(&format!("/endpoints/{id}"), what),
        Err(refusal) => visitor.refused(&refusal),
    }
}

#[derive(Template)]
#[template(path = "endpoint_delete.html")]
struct Delete {
    page: Page,
    endpoint: Endpoint,
}

/// Asks for confirmation on a page of its own, which works without a script.
pub async fn delete_form(User(visitor): User, Id([id]): Id) -> Response {
    match visitor.api.get::<Endpoint>(&format!("/endpoint-service/v1/endpoints/{id}")).await {
        Ok(endpoint) => {
            let title = visitor.t(&words::CONFIRM_DELETE_ENDPOINT);
            visitor.ok(&Delete { page: visitor.page(Section::Dashboard, title), endpoint })
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}

pub async fn delete(User(visitor): User, Id([id]): Id, Posted(IgnoredAny): Posted<IgnoredAny>) -> Response {
    match visitor.api.delete(&format!("/endpoint-service/v1/endpoints/{id}")).await {
        // Not found counts as deleted, because the form may be sent twice.
        Err(refusal) if refusal.status != StatusCode::NOT_FOUND => visitor.refused(&refusal),
        _ => visitor.go_saying("/dashboard", visitor.t(&words::ENDPOINT_DELETED)),
    }
}

#[derive(Deserialize)]
pub struct BadgeOff {
    badge_id: Option<i64>,
}

/// Switches badges on, or off if a badge's ID is given.
pub async fn badge(User(visitor): User, Id([id]): Id, Posted(off): Posted<BadgeOff>) -> Response {
    const BADGES: &str = "/status-service/v1/badges";
    let (done, what) = match off.badge_id {
        Some(badge) => {
            (visitor.api.delete(&format!("{BADGES}/{badge}")).await, visitor.t(&words::BADGES_DISABLED))
        }
        None => (
            visitor.api.post::<_, IgnoredAny>(BADGES, &json!({"endpoint_id": id})).await.map(drop),
            visitor.t(&words::BADGES_ENABLED),
        ),
    };
    match done {
        Err(refusal) if refusal.status != StatusCode::NOT_FOUND => visitor.refused(&refusal),
        _ => visitor.go_saying(&format!("/endpoints/{id}#badges"), what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_what_was_chosen() {
        let asked = Asked { range: "7d".into(), results: "3".into(), ..Asked::default() }.tidied();
        assert_eq!(asked.with(7, "range", "1h", ""), "/endpoints/7?range=1h&results=3");
        assert_eq!(asked.with(7, "only", "down", "#results"), "/endpoints/7?range=7d&only=down#results");
        assert_eq!(Asked::default().tidied().with(7, "range", "24h", ""), "/endpoints/7");
    }
}
