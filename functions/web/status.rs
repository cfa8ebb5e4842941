//! A user's public status page: works without an account and without a script.

use askama::Template;
use axum::{extract::Path, response::Response};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use contract::Language;
use http::{HeaderMap, StatusCode, header};

use super::{
    api::Refusal,
    figures::{self, encoded},
    page::{POLICY, Page, Section},
    public,
    visitor::Visitor,
};
use crate::status_pages::{
    announcements::Severity,
    show::{
        Overall, Progress, Shown, ShownAnnouncement, ShownDay, ShownEndpoint, ShownIncident,
        ShownMaintenance, ShownStatus,
    },
};
use crate::words;
use contract::FailureCode;

#[derive(Template)]
#[template(path = "status.html")]
struct Status {
    page: Page,
    shown: Shown,
}

/// How often the page refreshes.
const REFRESH_SECONDS: u32 = 60;
/// The last days of history are shown even if nothing happened.
const DAYS_SHOWN: i64 = 7;
const DAYS: i64 = 90;

pub async fn show(visitor: Visitor, Path(slug): Path<String>, headers: HeaderMap) -> Response {
    let shown = match fetch(&visitor, &slug, visitor.zone).await {
        Ok(shown) => shown,
        Err(refusal) => return visitor.refused(&refusal),
    };
    // A message for one visitor must not be cached for others.
    let page = Page { flash: None, ..visitor.page(Section::None, shown.title.clone()) };
    let page = page.refreshing(REFRESH_SECONDS);
    let page = match shown.status {
        Overall::Down | Overall::PartlyDown => {
            page.with_state(true, sentence(visitor.language, shown.status))
        }
        Overall::Up | Overall::Degraded | Overall::Maintenance | Overall::Unknown => page,
    };
    match (Status { page, shown }).render() {
        Ok(html) => {
            let page = public::answer(&headers, StatusCode::OK, "text/html; charset=utf-8", 30, html);
            let page = public::with(page, header::VARY, "cookie, accept-language");
            let page = public::with(page, header::REFERRER_POLICY, "same-origin");
            let page = public::with(page, header::CONTENT_SECURITY_POLICY, POLICY);
            // Its forms hold the visitor's own proof, which no shared cache may hand to another.
            if visitor.logged_in() {
                public::with(page, header::CACHE_CONTROL, "private, no-store")
            } else {
                page
            }
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            visitor.refused(&Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, ..Refusal::default() })
        }
    }
}

pub async fn fetch(visitor: &Visitor, slug: &str, zone: Tz) -> Result<Shown, Refusal> {
    let (slug, zone) = (encoded(slug), encoded(zone.name()));
    visitor.api.get(&format!("/status-service/v1/status/{slug}?zone={zone}")).await
}

/// A day in the bar.
struct Bucket {
    x: i64,
    class: &'static str,
    title: String,
}

/// The events of a day, newest first.
struct Day {
    name: String,
    events: Vec<Event>,
}

struct Event {
    at: DateTime<Utc>,
    class: &'static str,
    title: String,
    text: String,
    lasted: String,
}

impl Status {
    fn now(&self) -> DateTime<Utc> {
        self.shown.generated_at
    }

    fn feed(&self, kind: &str) -> String {
        format!("/status/{}/feed.{kind}", self.shown.slug)
    }

    /// The status in one sentence.
    fn sentence(&self) -> &'static str {
        sentence(self.page.language, self.shown.status)
    }

    fn class(&self) -> &'static str {
        match self.shown.status {
            Overall::Up => "up",
            Overall::Degraded | Overall::PartlyDown => "degraded",
            Overall::Down => "down",
            Overall::Maintenance => "maintenance",
            Overall::Unknown => "pending",
        }
    }

    /// A path in a box of 24 by 24: the status as an icon.
    fn sign(&self) -> &'static str {
        match self.shown.status {
            Overall::Up => "M5 12.5l4.5 4.5L19 7.5",
            Overall::Degraded | Overall::PartlyDown => "M12 6v7M12 17v.5",
            Overall::Down => "M7 7l10 10M17 7L7 17",
            Overall::Maintenance => "M12 7v5.5l3.5 2",
            Overall::Unknown => "M7 12h.5M12 12h.5M17 12h.5",
        }
    }

    fn announcements(&self) -> impl Iterator<Item = &ShownAnnouncement> {
        self.shown.announcements.iter().filter(|a| a.ends_at.is_none_or(|end| end > self.now()))
    }

    fn maintenances(&self, progress: &str) -> Vec<&ShownMaintenance> {
        let is = |m: &&ShownMaintenance| serde_variant::to_variant_name(&m.status) == Ok(progress);
        // The next one first.
        self.shown.maintenances.iter().rev().filter(is).collect()
    }

    fn outages(&self) -> Vec<&ShownIncident> {
        self.shown.incidents.iter().filter(|incident| incident.ended_at.is_none()).collect()
    }

    fn date(&self, date: &NaiveDate) -> String {
        date.format(self.page.t(&words::DATE_FORMAT)).to_string()
    }

    fn cause(&self, incident: &ShownIncident) -> String {
        cause(self.page.language, incident.cause_code.as_deref())
    }

    fn lasting(&self, from: &DateTime<Utc>, to: &DateTime<Utc>) -> String {
        figures::length(self.page.language, *to - *from)
    }

    fn status(&self, status: &ShownStatus) -> &'static str {
        serde_variant::to_variant_name(status).unwrap_or_default()
    }

    fn severity(&self, severity: &Severity) -> &'static str {
        serde_variant::to_variant_name(severity).unwrap_or_default()
    }

    fn severity_name(&self, severity: &Severity) -> &str {
        match severity {
            Severity::Info => self.page.t(&words::SEVERITY_INFORMATION),
            Severity::Warning => self.page.t(&words::SEVERITY_WARNING),
            Severity::Critical => self.page.t(&words::SEVERITY_CRITICAL),
        }
    }

    fn date_of(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.page.zone).date_naive()
    }

    fn first_day(&self) -> NaiveDate {
        self.date_of(self.now()) - TimeDelta::days(DAYS - 1)
    }

    fn bar(&self, endpoint: &ShownEndpoint) -> Vec<Bucket> {
        let mut known = endpoint.days.iter().peekable();
        let first = self.first_day();
        (0..DAYS)
            .map(|n| {
                let date = first + TimeDelta::days(n);
                while known.next_if(|day| day.date < date).is_some() {}
                let day = known.next_if(|day| day.date == date);
                let said = match day {
                    Some(day) => self.of_checks(day),
                    None => self.page.t(&words::NO_DATA).to_owned(),
                };
                Bucket { x: n * 10, class: day.map_or("", class_of), title: format!("{date}: {said}") }
            })
            .collect()
    }

    fn of_checks(&self, day: &ShownDay) -> String {
        let uptime = figures::percent(day.up as f64 / day.checks.max(1) as f64 * 100.0);
        words::of_checks(figures::grouped(day.checks), uptime).of(self.page.language)
    }

    /// The bar as text.
    fn bar_in_words(&self, endpoint: &ShownEndpoint) -> String {
        const MAX_SHOWN: usize = 10;
        let bad = |day: &&ShownDay| day.up < day.checks;
        let count = endpoint.days.iter().filter(bad).count();
        let days = endpoint.days.iter().rev().filter(bad).take(MAX_SHOWN);
        let days: Vec<String> = days.map(|day| format!("{}: {}", day.date, self.of_checks(day))).collect();
        let uptime = self.uptime(endpoint);
        let more = if count > MAX_SHOWN { "…" } else { "" };
        let list = format!("{}{more}", days.join("; "));
        let language = self.page.language;
        match count {
            _ if endpoint.days.is_empty() => words::SERVICE_NO_CHECKS_YET.of(language).to_owned(),
            0 => words::days_without_failures(uptime).of(language),
            _ => words::days_with_failures(count, list, uptime).of(language),
        }
    }

    fn uptime(&self, endpoint: &ShownEndpoint) -> String {
        endpoint.uptime_percent.map_or("–".to_owned(), figures::percent)
    }

    fn response_time(&self, endpoint: &ShownEndpoint) -> String {
        let all = self.shown.groups.iter().flat_map(|group| &group.endpoints);
        let longest = all.filter_map(|endpoint| endpoint.avg_ms).fold(0.0, f64::max);
        endpoint.avg_ms.map(|ms| figures::Unit::of(longest).say(ms.round())).unwrap_or_default()
    }

    fn names(&self, maintenance: &ShownMaintenance) -> String {
        match &maintenance.endpoint_names {
            Some(names) => names.join(", "),
            None => self.page.t(&words::EVERYTHING_ON_THIS_PAGE).to_owned(),
        }
    }

    /// The last days, and the earlier days on which something happened.
    fn history(&self) -> (Vec<Day>, Vec<Day>) {
        let mut days = Vec::new();
        let today = self.date_of(self.now());
        let mut events = self.events();
        events.sort_by_key(|event| std::cmp::Reverse(event.at));
        let mut events = events.into_iter().peekable();
        for n in 0..DAYS {
            let date = today - TimeDelta::days(n);
            let mut of_day = Vec::new();
            while let Some(event) = events.next_if(|event| self.date_of(event.at) >= date) {
                of_day.push(event);
            }
            if n < DAYS_SHOWN || !of_day.is_empty() {
                days.push(Day { name: self.date(&date), events: of_day });
            }
        }
        let earlier = days.split_off(DAYS_SHOWN as usize);
        (days, earlier)
    }

    /// All past events. Current ones are shown at the top.
    fn events(&self) -> Vec<Event> {
        let lasted = |from: DateTime<Utc>, to: Option<DateTime<Utc>>| match to {
            Some(to) => figures::length(self.page.language, to - from),
            None => self.page.t(&words::ONGOING).to_owned(),
        };
        let outages = self.shown.incidents.iter().map(|incident| Event {
            at: incident.started_at,
            class: "down",
            title: incident.endpoint_name.clone(),
            text: self.cause(incident),
            lasted: lasted(incident.started_at, incident.ended_at),
        });
        let announced =
            self.shown.announcements.iter().filter(|a| a.ends_at.is_some_and(|end| end <= self.now()));
        let announced = announced.map(|announcement| Event {
            at: announcement.starts_at,
            class: "info",
            title: announcement.title.clone(),
            text: announcement.text.clone(),
            lasted: lasted(announcement.starts_at, announcement.ends_at),
        });
        let maintained = self.shown.maintenances.iter().filter(|m| m.status == Progress::Ended);
        let maintained = maintained.map(|maintenance| Event {
            at: maintenance.starts_at,
            class: "maintenance",
            title: maintenance.title.clone(),
            text: maintenance.description.clone(),
            lasted: lasted(maintenance.starts_at, Some(maintenance.ends_at)),
        });
        outages.chain(announced).chain(maintained).collect()
    }
}

fn class_of(day: &ShownDay) -> &'static str {
    if day.checks == 0 { "" } else { figures::uptime_class(day.up as f64 / day.checks as f64 * 100.0) }
}

pub fn sentence(language: Language, status: Overall) -> &'static str {
    match status {
        Overall::Up => words::OVERALL_UP.of(language),
        Overall::Degraded => words::OVERALL_DEGRADED.of(language),
        Overall::PartlyDown => words::OVERALL_PARTLY_DOWN.of(language),
        Overall::Down => words::OVERALL_DOWN.of(language),
        Overall::Maintenance => words::OVERALL_MAINTENANCE.of(language),
        Overall::Unknown => words::OVERALL_UNKNOWN.of(language),
    }
}

/// The public name of a cause: no host names, no internals.
pub fn cause(language: Language, code: Option<&str>) -> String {
    let code = code.and_then(|code| serde_json::from_value(code.into()).ok()).unwrap_or(FailureCode::Other);
    code.words().of(language).to_owned()
}
