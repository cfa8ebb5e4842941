//! The list of endpoints, in pages: the worst first, with search, filters and sorting.

use askama::Template;
use axum::{extract::Query, response::Response};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use contract::Language;
use runtime::List;
use serde::Deserialize;

use super::{
    api::Refusal,
    figures::{self, Unit, encoded, grouped},
    history::{Bar, Item, Last, Overview, RANGES, open_outage, sparkline},
    notifications::Alerting,
    page::{Page, Section},
    parts::StatusView,
    visitor::{User, Visitor},
};
use crate::{endpoints::Endpoint, words};
use contract::{CheckStatus, Status};

const PER_PAGE: i64 = 25;
const STATUSES: [&str; 5] = ["down", "degraded", "pending", "up", "paused"];
const SORTS: [&str; 4] = ["status", "name", "-created_at", "last_checked_at"];

/// The URL's query; invalid values count as absent.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    q: String,
    tag: String,
    status: String,
    sort: String,
    range: String,
    page: String,
}

impl Asked {
    fn tidied(mut self) -> Self {
        self.q = self.q.trim().chars().take(200).collect();
        self.tag = self.tag.trim().chars().take(50).collect();
        let known = |of: &[&str], value: &str| of.contains(&value);
        if !known(&STATUSES, &self.status) {
            self.status = String::new();
        }
        if !known(&SORTS, &self.sort) {
            self.sort = SORTS[0].to_owned();
        }
        if !known(&RANGES, &self.range) {
            self.range = RANGES[0].to_owned();
        }
        self.page = self.page.parse::<i64>().unwrap_or(1).clamp(1, 1_000_000).to_string();
        self
    }

    /// The URL of this page with one value changed; another filter starts at the first page.
    fn with(&self, name: &str, value: &str) -> String {
        let page = if name == "range" { &self.page } else { "1" };
        let parts = [
            ("q", self.q.as_str(), ""),
            ("tag", &self.tag, ""),
            ("status", &self.status, ""),
            ("sort", &self.sort, SORTS[0]),
            ("range", &self.range, RANGES[0]),
            ("page", page, "1"),
        ];
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (part, current, default) in parts {
            let value = if part == name { value } else { current };
            if value != default {
                query.append_pair(part, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { "/dashboard".to_owned() } else { format!("/dashboard?{query}") }
    }

    fn api_path(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("page", &self.page).append_pair("per_page", &PER_PAGE.to_string());
        query.append_pair("sort", &self.sort);
        for (name, value) in [("q", &self.q), ("tag", &self.tag), ("status", &self.status)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/endpoint-service/v1/endpoints?{}", query.finish())
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Totals {
    total: i64,
    up: i64,
    #[serde(default)]
    degraded: i64,
    down: i64,
    pending: i64,
    paused: i64,
    tags: Vec<TagTotal>,
}

#[derive(Clone, Debug, Deserialize)]
struct TagTotal {
    tag: String,
    count: i64,
}

impl Totals {
    fn of(&self, status: &str) -> i64 {
        match status {
            "up" => self.up,
            "degraded" => self.degraded,
            "down" => self.down,
            "pending" => self.pending,
            _ => self.paused,
        }
    }
}

/// A maintenance: failures during it do not count.
#[derive(Clone, Debug, Deserialize)]
pub struct Maintenance {
    pub title: String,
    pub ends_at: DateTime<Utc>,
    /// `None`: all endpoints.
    pub endpoint_ids: Option<Vec<i64>>,
}

impl Maintenance {
    pub fn is_of(&self, endpoint_id: i64) -> bool {
        self.endpoint_ids.as_ref().is_none_or(|ids| ids.contains(&endpoint_id))
    }
}

pub const ACTIVE_MAINTENANCES: &str = "/endpoint-service/v1/maintenances?status=active&per_page=100";

struct Row {
    id: i64,
    name: String,
    url: String,
    tags: Vec<String>,
    more_tags: usize,
    standing: StatusView,
    /// Below the name: what is wrong, or the current maintenance.
    note: String,
    /// Why it has its status.
    reason: String,
    last: String,
    checked: String,
    spark: Vec<String>,
    bar: Bar,
    uptime: String,
    /// The class of the uptime in style.css.
    quality: &'static str,
}

impl Row {
    fn of(
        visitor: &Visitor,
        endpoint: Endpoint,
        overview: &Overview,
        maintenances: &[Maintenance],
        unit: Unit,
    ) -> Self {
        let none = Item::default();
        let (language, now) = (visitor.language, visitor.now);
        let item = overview.items.iter().find(|item| item.endpoint_id == endpoint.id);
        let bar = Bar::of(language, visitor.zone, overview, item);
        let item = item.unwrap_or(&none);
        let maintenance = maintenances
            .iter()
            .find(|maintenance| endpoint.settings.enabled && maintenance.is_of(endpoint.id));
        let outage = open_outage(language, item, now).filter(|_| endpoint.status == Status::Down);
        let note = match (maintenance, outage) {
            (Some(maintenance), _) => maintenance.title.clone(),
            (None, Some((since, cause))) if cause.is_empty() => since,
            (None, Some((since, cause))) => format!("{since} · {cause}"),
            // Only statuses that need more explanation.
            (None, None) => {
                let fails = item.last.as_ref().is_some_and(|last| last.status == CheckStatus::Down);
                let is_plain = match endpoint.status {
                    Status::Pending | Status::Degraded => false,
                    Status::Up => !fails,
                    Status::Down | Status::Paused => true,
                };
                if is_plain { String::new() } else { endpoint.status_reason.0.clone() }
            }
        };
        let standing = StatusView::of(language, &endpoint, maintenance.is_some());
        let last = item.last.as_ref();
        let percent = item.uptime_percent;
        // If it is down, the note gives the start in the page's time zone.
        let reason = if endpoint.status == Status::Down { note.clone() } else { endpoint.status_reason.0 };
        let mut tags = endpoint.settings.tags.0;
        let more_tags = tags.len().saturating_sub(2);
        tags.truncate(2);
        Self {
            id: endpoint.id,
            name: endpoint.settings.name,
            url: endpoint.settings.url,
            tags,
            more_tags,
            standing,
            note,
            reason,
            last: last.and_then(Last::answered_ms).map(|ms| unit.say(ms as f64)).unwrap_or_default(),
            checked: last.map(|last| figures::ago(language, now, last.checked_at)).unwrap_or_default(),
            spark: sparkline(overview, item),
            bar,
            uptime: percent.map(figures::percent).unwrap_or_default(),
            quality: percent.map(figures::uptime_class).unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard {
    page: Page,
    asked: Asked,
    totals: Totals,
    rows: Vec<Row>,
    pages: super::parts::Pages,
    /// Some API calls failed.
    partly: bool,
    alerting: Alerting,
}

impl Dashboard {
    fn status_name(&self, status: &str) -> &str {
        match status {
            "down" => self.page.t(&words::IS_DOWN),
            "up" => self.page.t(&words::IS_UP),
            "degraded" => self.page.t(&words::IS_DEGRADED),
            "pending" => self.page.t(&words::IS_PENDING),
            _ => self.page.t(&words::IS_PAUSED),
        }
    }

    /// A number of endpoints, as HTML.
    fn counted(&self, name: &str, count: i64) -> String {
        let count = figures::grouped(count);
        match self.page.language {
            Language::English => format!("<b>{count}</b> {name}"),
            Language::Korean => format!("{name} <b>{count}</b>"),
        }
    }

    fn headline(&self) -> String {
        let Totals { total, up, degraded, down, pending, paused, .. } = self.totals;
        let is_any = [down > 0, pending > 0, total > paused];
        let is_degraded = !is_any[0] && degraded > 0;
        let [up, degraded, down, pending, watched] =
            [up, degraded, down, pending, total - paused].map(grouped);
        let language = self.page.language;
        if is_any[0] {
            words::headline_down(down, watched).of(language)
        } else if is_degraded {
            words::headline_degraded(degraded, watched).of(language)
        } else if is_any[1] {
            words::headline_pending(pending, up, watched).of(language)
        } else if is_any[2] {
            words::headline_up(watched).of(language)
        } else {
            words::HEADLINE_PAUSED.of(language).to_owned()
        }
    }

    fn mood(&self) -> &'static str {
        match self.totals {
            Totals { down: 1.., .. } => "down",
            Totals { degraded: 1.., .. } => "degraded",
            Totals { pending: 1.., .. } => "pending",
            Totals { up: 1.., .. } => "up",
            _ => "paused",
        }
    }

    fn sort_name(&self, sort: &str) -> &str {
        match sort {
            "status" => self.page.t(&words::SORT_PROBLEMS_FIRST),
            "name" => self.page.t(&words::SORT_BY_NAME),
            "-created_at" => self.page.t(&words::SORT_NEWEST_FIRST),
            _ => self.page.t(&words::SORT_LEAST_RECENTLY_CHECKED),
        }
    }
}

pub async fn show(User(visitor): User, Query(asked): Query<Asked>) -> Response {
    let (asked, api) = (asked.tidied(), &visitor.api);
    let path = asked.api_path();
    let (endpoints, totals, maintenances, alerting) = futures::join!(
        api.get::<List<Endpoint>>(&path),
        api.get::<Totals>("/endpoint-service/v1/endpoint_totals"),
        api.get::<List<Maintenance>>(ACTIVE_MAINTENANCES),
        Alerting::of(api, None),
    );
    let endpoints = match endpoints {
        Ok(endpoints) => endpoints,
        Err(refusal) => return visitor.refused(&refusal),
    };
    let found = endpoints.page.total_count;
    let pages = super::parts::Pages::of(&endpoints.page, |page| {
        let asked = Asked { page: page.to_string(), ..asked.clone() };
        // `range` is the only parameter whose change keeps the page number.
        asked.with("range", &asked.range)
    });
    if endpoints.items.is_empty() && found > 0 {
        return visitor.go(&pages.last);
    }
    let overview =
        overview(api, endpoints.items.iter().map(|endpoint| endpoint.id), &asked.range, visitor.zone).await;
    let partly = totals.is_err() || maintenances.is_err() || (overview.is_err() && found > 0);
    let now = visitor.now;
    let overview =
        overview.unwrap_or_else(|_| Overview { from: now, to: now, step_seconds: 1, items: vec![] });
    let maintenances = maintenances.map(|list| list.items).unwrap_or_default();
    let lasts = overview.items.iter().filter_map(|item| item.last.as_ref()?.answered_ms());
    let unit = Unit::of(lasts.max().unwrap_or_default() as f64);
    let row = |endpoint| Row::of(&visitor, endpoint, &overview, &maintenances, unit);
    // Without the totals, the number found is the best guess.
    let totals = totals.unwrap_or_else(|_| Totals { total: found.max(1), ..Totals::default() });
    let page = visitor.page(Section::Dashboard, visitor.t(&words::ENDPOINTS)).refreshing(30);
    let rows = endpoints.items.into_iter().map(row).collect();
    let mut shown = Dashboard { page, asked, totals, rows, pages, partly, alerting };
    if shown.totals.down > 0 {
        shown.page = shown.page.clone().with_state(true, shown.headline());
    }
    visitor.ok(&shown)
}

/// For up to 100 endpoints; makes no call without any.
pub async fn overview(
    api: &super::api::Api,
    ids: impl Iterator<Item = i64>,
    range: &str,
    zone: Tz,
) -> Result<Overview, Refusal> {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    if ids.is_empty() {
        return Err(Refusal::default());
    }
    let (ids, zone) = (ids.join(","), encoded(zone.name()));
    api.get(&format!("/report-service/v1/overviews?endpoint_ids={ids}&range={range}&zone={zone}")).await
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        serde_html_form::from_str::<Asked>(query).unwrap().tidied()
    }

    #[test]
    fn what_makes_no_sense_is_not_there() {
        let asked = asked("q=+shop+&status=burning&sort=;drop&range=1y&page=-3");
        assert_eq!(asked.api_path(), "/endpoint-service/v1/endpoints?page=1&per_page=25&sort=status&q=shop");
        assert_eq!(asked.with("status", "up"), "/dashboard?q=shop&status=up");
    }

    #[test]
    fn a_link_changes_one_thing_and_begins_at_the_first_page() {
        let asked = asked("q=a%26b&tag=eu&page=3&range=7d");
        assert_eq!(asked.with("tag", ""), "/dashboard?q=a%26b&range=7d");
        assert_eq!(asked.with("range", "24h"), "/dashboard?q=a%26b&tag=eu&page=3");
        assert_eq!(self::asked("").with("q", ""), "/dashboard");
    }
}
