//! `GET /public/v1/status/{slug}`: the content of a public status page.

use std::collections::{HashMap, HashSet};

use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use futures::try_join;
use http::HeaderMap;
use runtime::{Context, Error, Fields, Function, Query, Result, db::JsonText, error::ErrorBody, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Group, SERVICE,
    announcements::Severity,
    cache::{self, Cache},
    ids, is_slug, upstream,
};
use crate::{
    endpoints::{maintenances::Maintenance, private_list::EndpointBrief},
    reports::{
        moment,
        overview::{OverviewBucket, OverviewItem},
    },
    zones,
};
use contract::Status;

pub const FUNCTION: Function =
    Function::new("status-page-show", SERVICE, "returns all data of a public status page")
        .http(runtime::http!(handle));

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PublicStatusPage)]
pub struct Shown {
    #[schema(example = "shop")]
    pub slug: String,
    #[schema(example = "Shop")]
    pub title: String,
    pub description: String,
    pub status: Overall,
    pub generated_at: DateTime<Utc>,
    pub groups: Vec<ShownGroup>,
    /// Incidents of the last 90 days, newest first.
    pub incidents: Vec<ShownIncident>,
    /// Announcements that have begun, newest first.
    pub announcements: Vec<ShownAnnouncement>,
    /// Planned and active maintenances, and those of the last 30 days, newest first.
    pub maintenances: Vec<ShownMaintenance>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PublicOverallStatus)]
pub enum Overall {
    Up,
    /// Some endpoints work, but not as they should.
    Degraded,
    /// Some endpoints are down.
    PartlyDown,
    /// All endpoints are down.
    Down,
    /// No endpoint is down or degraded, and at least one is in a maintenance.
    Maintenance,
    /// No endpoint was checked yet.
    Unknown,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PublicStatusGroup)]
pub struct ShownGroup {
    #[schema(example = "Website")]
    pub name: String,
    pub endpoints: Vec<ShownEndpoint>,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PublicStatusEndpoint)]
pub struct ShownEndpoint {
    #[schema(example = "Checkout")]
    pub name: String,
    pub status: ShownStatus,
    /// Over 90 days.
    #[schema(example = 99.987)]
    pub uptime_percent: Option<f64>,
    #[schema(example = 120.5)]
    pub avg_ms: Option<f64>,
    /// Oldest first; days without checks are omitted.
    pub days: Vec<ShownDay>,
}

/// An endpoint's status, as the public sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PublicStatus)]
pub enum ShownStatus {
    Pending,
    Up,
    /// The endpoint works, but not as it should.
    Degraded,
    Down,
    Paused,
    Maintenance,
}

impl ShownStatus {
    /// An endpoint in a maintenance is shown as such, whatever the result of its last check.
    pub fn of(endpoint: &EndpointBrief, maintenances: &[Maintenance], now: DateTime<Utc>) -> Self {
        let is_maintained = maintenances.iter().any(|m| m.is_active(now) && m.covers(endpoint.id));
        match endpoint.status {
            Status::Paused => Self::Paused,
            _ if is_maintained => Self::Maintenance,
            Status::Pending => Self::Pending,
            Status::Up => Self::Up,
            Status::Degraded => Self::Degraded,
            Status::Down => Self::Down,
        }
    }
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PublicStatusDay)]
pub struct ShownDay {
    pub date: NaiveDate,
    #[schema(example = 1440)]
    pub checks: i64,
    #[schema(example = 1439)]
    pub up: i64,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PublicIncident)]
pub struct ShownIncident {
    #[schema(example = "Checkout")]
    pub endpoint_name: String,
    pub started_at: DateTime<Utc>,
    /// Null: still open.
    pub ended_at: Option<DateTime<Utc>>,
    #[schema(example = "TIMEOUT")]
    pub cause_code: Option<String>,
}

#[derive(Clone, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[schema(as = PublicAnnouncement)]
pub struct ShownAnnouncement {
    #[schema(example = "Slow deliveries")]
    pub title: String,
    pub text: String,
    #[sqlx(try_from = "String")]
    pub severity: Severity,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PublicMaintenance)]
pub struct ShownMaintenance {
    #[schema(example = "A new database")]
    pub title: String,
    pub description: String,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub announced_at: DateTime<Utc>,
    pub status: Progress,
    /// Endpoints on this page; null: all.
    pub endpoint_names: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PublicMaintenanceStatus)]
pub enum Progress {
    Scheduled,
    Active,
    Ended,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Time zone of `days`: an IANA name. Default: UTC.
    #[param(example = "Asia/Seoul")]
    zone: Option<String>,
}

/// Never contains URLs or ids of endpoints, or messages of causes. Up to 15 s old, or up to five minutes if something
/// that it needs does not respond: see `generated_at`.
#[utoipa::path(
    get, path = "/public/v1/status/{slug}", tag = "status pages",
    params(("slug" = String, Path, example = "shop"), Asked),
    responses(
        (status = 200, description = "The page", body = Shown),
        (status = 304, description = "The one that `If-None-Match` names"),
        (status = 400, description = "No such zone", body = ErrorBody),
        (status = 404, description = "No such page, or it is not published", body = ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    Path(slug): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response> {
    if !is_slug(&slug) {
        return Err(Error::not_found());
    }
    let mut fields = Fields::default();
    let zone = moment::zone(&mut fields, asked.zone.as_deref());
    fields.finish()?;
    let cache = context.shared(|_| Ok(Cache::default()))?;
    let key = format!("page/{slug}/{}", days_key(zone, context.clock().now()));
    let page = cache.get(context.clock(), &key, fetch(&context, &slug, zone)).await?;
    Ok(cache::respond(&headers, page))
}

/// One key for all zones with the same last 90 days: fewer than a hundred keys, however many zone names are
/// requested.
fn days_key(zone: Tz, now: DateTime<Utc>) -> String {
    let days = zones::days(zone, now, DAYS);
    let changes = days.windows(3).filter(|days| days[1] - days[0] != days[2] - days[1]);
    let moments = changes.map(|days| days[1]).chain(days.first().copied());
    let moments: Vec<String> = moments.map(|at| at.to_string()).collect();
    // Two zones that are a day apart have the same midnights.
    format!("{}/{}", now.with_timezone(&zone).date_naive(), moments.join(","))
}

#[derive(sqlx::FromRow)]
struct Page {
    id: i64,
    user_id: i64,
    slug: String,
    title: String,
    description: String,
    groups: JsonText<Vec<Group>>,
}

/// How long maintenances and announcements are shown after their end.
const HISTORY: TimeDelta = TimeDelta::days(30);
/// How far ahead planned maintenances are shown.
const SHOWN_AHEAD: TimeDelta = TimeDelta::days(90);
const MAX_INCIDENTS: usize = 200;
const DAYS: u32 = 90;

async fn fetch(context: &Context, slug: &str, zone: Tz) -> Result<Shown> {
    sql!(
        PAGE = "SELECT id, user_id, slug, title, description, groups FROM status_page_rows WHERE slug = $1 AND published"
    );
    let db = context.db()?;
    let found = on!(db.read(), db => sqlx::query_as(PAGE).bind(slug).fetch_optional(db).await)?;
    let page: Page = found.ok_or_else(Error::not_found)?;
    let now = context.clock().now();
    let ids: Vec<i64> = ids(&page.groups.0).collect();
    let (announcements, endpoints, overviews, maintenances) = try_join!(
        announcements(context, page.id, now),
        upstream::endpoints(context, page.user_id, &ids),
        upstream::overviews(context, page.user_id, &ids, "90d", zone),
        upstream::maintenances(context, page.user_id, now - HISTORY, now + SHOWN_AHEAD),
    )?;
    Ok(put_together(page, announcements, &endpoints, overviews, maintenances, zone, now))
}

async fn announcements(
    context: &Context,
    page_id: i64,
    now: DateTime<Utc>,
) -> Result<Vec<ShownAnnouncement>> {
    sql!(
        SELECT = "SELECT title, text, severity, starts_at, ends_at FROM status_announcements
        WHERE status_page_id = $1 AND starts_at <= $2 AND (ends_at IS NULL OR ends_at > $3)
        ORDER BY starts_at DESC, id DESC LIMIT 100"
    );
    Ok(on!(context.db()?.read(), db => {
        sqlx::query_as(SELECT).bind(page_id).bind(now).bind(now - HISTORY).fetch_all(db).await
    })?)
}

fn put_together(
    page: Page,
    announcements: Vec<ShownAnnouncement>,
    endpoints: &[EndpointBrief],
    overviews: Vec<OverviewItem>,
    maintenances: Vec<Maintenance>,
    zone: Tz,
    now: DateTime<Utc>,
) -> Shown {
    let endpoints: HashMap<i64, &EndpointBrief> = endpoints.iter().map(|e| (e.id, e)).collect();
    let mut overviews: HashMap<i64, OverviewItem> =
        overviews.into_iter().map(|o| (o.endpoint_id, o)).collect();
    let mut incidents = Vec::new();
    let mut groups = Vec::new();
    for group in &page.groups.0 {
        // An endpoint that was just deleted is not shown, although it may still be in a group.
        let present = group.endpoint_ids.iter().filter_map(|id| endpoints.get(id));
        let shown = present.map(|endpoint| {
            let overview = overviews.remove(&endpoint.id);
            let status = ShownStatus::of(endpoint, &maintenances, now);
            incidents.extend(overview.iter().flat_map(|o| &o.incidents).filter_map(|incident| {
                // A paused endpoint is not checked, and an endpoint in a maintenance is expected to fail: it is not
                // known whether it would still be down.
                let is_known = incident.ended_at.is_some()
                    || !matches!(status, ShownStatus::Paused | ShownStatus::Maintenance);
                is_known.then(|| ShownIncident {
                    endpoint_name: endpoint.name.clone(),
                    started_at: incident.started_at,
                    ended_at: incident.ended_at,
                    cause_code: incident.cause.as_ref().map(|cause| cause.code.as_str().to_owned()),
                })
            }));
            ShownEndpoint {
                name: endpoint.name.clone(),
                status,
                uptime_percent: overview.as_ref().and_then(|o| o.uptime_percent),
                avg_ms: overview.as_ref().and_then(|o| o.avg_ms),
                days: overview.map(|o| days(&o, zone)).unwrap_or_default(),
            }
        });
        groups.push(ShownGroup { name: group.name.clone(), endpoints: shown.collect() });
    }
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.started_at));
    incidents.truncate(MAX_INCIDENTS);
    Shown {
        status: overall(groups.iter().flat_map(|group| &group.endpoints).map(|endpoint| endpoint.status)),
        generated_at: now,
        groups,
        incidents,
        announcements,
        maintenances: shown_maintenances(maintenances, &page.groups.0, &endpoints, now),
        slug: page.slug,
        title: page.title,
        description: page.description,
    }
}

fn days(overview: &OverviewItem, zone: Tz) -> Vec<ShownDay> {
    let day = |bucket: &OverviewBucket| ShownDay {
        date: bucket.at.with_timezone(&zone).date_naive(),
        checks: bucket.checks,
        up: bucket.up,
    };
    overview.buckets.iter().map(day).collect()
}

fn overall(statuses: impl Iterator<Item = ShownStatus>) -> Overall {
    let statuses: Vec<ShownStatus> = statuses.filter(|status| *status != ShownStatus::Paused).collect();
    let are = |wanted: ShownStatus| statuses.iter().filter(|status| **status == wanted).count();
    if are(ShownStatus::Pending) == statuses.len() {
        Overall::Unknown
    } else if are(ShownStatus::Down) == statuses.len() {
        Overall::Down
    } else if are(ShownStatus::Down) > 0 {
        Overall::PartlyDown
    } else if are(ShownStatus::Degraded) > 0 {
        Overall::Degraded
    } else if are(ShownStatus::Maintenance) > 0 {
        Overall::Maintenance
    } else {
        Overall::Up
    }
}

/// The maintenances of endpoints on the page. Endpoints that are not on the page are not mentioned.
fn shown_maintenances(
    mut maintenances: Vec<Maintenance>,
    groups: &[Group],
    endpoints: &HashMap<i64, &EndpointBrief>,
    now: DateTime<Utc>,
) -> Vec<ShownMaintenance> {
    maintenances.sort_by_key(|maintenance| std::cmp::Reverse(maintenance.starts_at.time()));
    let shown = maintenances.into_iter().filter_map(|maintenance| {
        let endpoint_names = maintenance.endpoint_ids.as_ref().map(|covered| {
            let covered: HashSet<i64> = covered.iter().copied().collect();
            let on_page = ids(groups).filter(|id| covered.contains(id));
            on_page.filter_map(|id| endpoints.get(&id)).map(|e| e.name.clone()).collect::<Vec<_>>()
        });
        let concerns = endpoint_names.as_ref().map_or(!endpoints.is_empty(), |names| !names.is_empty());
        let status = if maintenance.is_active(now) {
            Progress::Active
        } else if now < maintenance.starts_at.time() {
            Progress::Scheduled
        } else {
            Progress::Ended
        };
        let Maintenance { title, description, starts_at, ends_at, created_at: announced_at, .. } =
            maintenance;
        concerns.then_some(ShownMaintenance {
            title,
            description,
            starts_at: starts_at.time(),
            ends_at: ends_at.time(),
            announced_at,
            status,
            endpoint_names,
        })
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_with_the_same_days_are_kept_once() {
        let keys = |at: &str| -> HashSet<String> {
            let now = at.parse().expect("a time");
            chrono_tz::TZ_VARIANTS.iter().map(|zone| days_key(*zone, now)).collect()
        };
        for at in ["2026-03-01T12:00:30Z", "2026-05-01T00:00:00Z", "2026-11-29T23:00:00Z"] {
            assert!((30..100).contains(&keys(at).len()), "{at}: {}", keys(at).len());
        }
        let now = "2026-03-01T12:00:00Z".parse().expect("a time");
        assert_eq!(days_key(Tz::Asia__Seoul, now), days_key(Tz::Asia__Tokyo, now));
        assert_ne!(days_key(Tz::Asia__Seoul, now), days_key(Tz::UTC, now));
    }

    #[test]
    fn the_worst_decides_but_what_is_paused_does_not() {
        use ShownStatus::{Degraded, Down, Maintenance, Paused, Pending, Up};
        for (statuses, expected) in [
            (&[][..], Overall::Unknown),
            (&[Paused], Overall::Unknown),
            (&[Pending, Pending, Paused], Overall::Unknown),
            (&[Pending, Up], Overall::Up),
            (&[Up, Paused], Overall::Up),
            (&[Up, Maintenance], Overall::Maintenance),
            (&[Maintenance], Overall::Maintenance),
            (&[Down, Maintenance], Overall::PartlyDown),
            (&[Down, Up], Overall::PartlyDown),
            (&[Down, Pending], Overall::PartlyDown),
            (&[Down, Degraded], Overall::PartlyDown),
            (&[Degraded, Up], Overall::Degraded),
            (&[Degraded, Maintenance], Overall::Degraded),
            (&[Down, Down, Paused], Overall::Down),
        ] {
            assert_eq!(overall(statuses.iter().copied()), expected, "{statuses:?}");
        }
    }
}
