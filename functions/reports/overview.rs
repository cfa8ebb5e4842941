//! `GET /public/v1/overviews`: summaries of several endpoints over a range, in buckets.

use std::{collections::HashMap, ops::Range};

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use runtime::{
    Caller, Context, Db, Error, Fields, Function, Query, Result,
    db::{JsonText, On},
    input,
    items::read_items,
    sql,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    SERVICE,
    incident_list::{self, Incident},
    moment::{self, BUCKET, DAY, HOUR, floor},
    store::{self, Cover},
    tally,
};
use crate::{words, zones};
use contract::{CheckStatus, Failure};

pub const FUNCTION: Function =
    Function::new("report-overview", SERVICE, "summarizes several endpoints over a range, by bucket")
        .http(runtime::http!(handle))
        // Each call covers up to 100 endpoints.
        .per_minute(300);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum OverviewRange {
    /// Buckets of a minute.
    #[serde(rename = "1h")]
    Hour,
    /// Buckets of 16 minutes.
    #[default]
    #[serde(rename = "24h")]
    Day,
    /// Buckets of 2 hours.
    #[serde(rename = "7d")]
    Week,
    /// Buckets of 8 hours.
    #[serde(rename = "30d")]
    Month,
    /// Buckets of a day in `zone`.
    #[serde(rename = "90d")]
    Quarter,
}

impl OverviewRange {
    /// The length of a bucket, and the number of buckets.
    fn buckets(self) -> (i64, i64) {
        match self {
            Self::Hour => (60, 60),
            Self::Day => (BUCKET, 90),
            Self::Week => (2 * HOUR, 84),
            Self::Month => (8 * HOUR, 90),
            Self::Quarter => (DAY, 90),
        }
    }

    /// The starts of the buckets, and the end of the last one: days of a time zone differ in length.
    fn bounds(self, zone: Tz, now: DateTime<Utc>) -> Vec<i64> {
        let (step, count) = self.buckets();
        if self == Self::Quarter {
            return zones::days(zone, now, 90);
        }
        let end = floor(now.timestamp(), step) + step;
        (0..=count).map(|bucket| end - (count - bucket) * step).collect()
    }
}

/// Consecutive buckets of one length.
struct Run {
    first: i64,
    times: Range<i64>,
    step: i64,
}

impl Run {
    fn of(bounds: &[i64]) -> Vec<Self> {
        let mut runs = Vec::<Self>::new();
        for (at, pair) in bounds.windows(2).enumerate() {
            let step = pair[1] - pair[0];
            match runs.last_mut() {
                Some(run) if run.step == step => run.times.end = pair[1],
                _ => runs.push(Self { first: at as i64, times: pair[0]..pair[1], step }),
            }
        }
        runs
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// 1 to 100 comma-separated ids.
    #[param(example = "1,2,3")]
    endpoint_ids: String,
    #[serde(default)]
    #[param(inline, required = false)]
    range: OverviewRange,
    /// Time zone of the daily buckets of `90d`: an IANA name. Default: UTC.
    #[param(example = "Asia/Seoul")]
    zone: Option<String>,
}

/// Summaries of endpoints.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    #[schema(inline)]
    range: OverviewRange,
    /// The start of the first bucket.
    from: DateTime<Utc>,
    /// The end of the last bucket, which contains the current time.
    to: DateTime<Utc>,
    #[schema(example = 960)]
    step_seconds: i64,
    /// In the requested order. Endpoints that are not yours, or have no results yet, are omitted.
    #[serde(deserialize_with = "read_items")]
    pub items: Vec<OverviewItem>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OverviewItem {
    #[schema(example = 7)]
    pub endpoint_id: i64,
    #[schema(example = 90)]
    pub checks: i64,
    #[schema(example = 89)]
    pub up: i64,
    /// Truncated to three decimals: 100 means that no check failed. Null without checks.
    #[schema(example = 98.888)]
    pub uptime_percent: Option<f64>,
    /// Average of successful checks.
    #[schema(example = 120.5)]
    pub avg_ms: Option<f64>,
    /// The newest result, including one during a maintenance; null if it is past its retention.
    last: Option<LastCheck>,
    /// In chronological order; buckets without checks are omitted.
    pub buckets: Vec<OverviewBucket>,
    /// Incidents that overlap the range, newest first, at most 20.
    pub incidents: Vec<Incident>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LastCheck {
    checked_at: DateTime<Utc>,
    status: CheckStatus,
    #[schema(example = 123)]
    total_ms: i32,
    error: Option<Failure>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OverviewBucket {
    pub at: DateTime<Utc>,
    #[schema(example = 16)]
    pub checks: i64,
    #[schema(example = 16)]
    pub up: i64,
    #[schema(example = 118.2)]
    pub avg_ms: Option<f64>,
}

/// Shows summaries of several endpoints over a range, in buckets.
///
/// For lists of endpoints: one call instead of a summary for each.
#[utoipa::path(
    get,
    path = "/public/v1/overviews",
    tag = "reports",
    params(Asked),
    security(("apikey" = [])),
    responses(
        (status = 200, description = "The overview", body = Overview),
        (status = 400, description = "A parameter is invalid", body = runtime::error::ErrorBody),
        (status = 401, description = "Not logged in", body = runtime::error::ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Overview>> {
    let endpoints = endpoints(&asked.endpoint_ids)?;
    let zone = zone(asked.zone.as_deref())?;
    overview(&context, caller.user_id, &endpoints, asked.range, zone).await.map(Json)
}

pub(super) fn zone(name: Option<&str>) -> Result<Tz> {
    let mut fields = Fields::default();
    let zone = moment::zone(&mut fields, name);
    fields.finish()?;
    Ok(zone)
}

const MAX_ENDPOINTS: usize = 100;
const MAX_INCIDENTS: i64 = 20;

/// The ids without duplicates, in the requested order.
pub(super) fn endpoints(list: &str) -> Result<Vec<i64>> {
    let mut endpoints = input::ids(list, MAX_ENDPOINTS).unwrap_or_default();
    if endpoints.is_empty() || endpoints.iter().any(|id| *id < 1) {
        let what = words::MUST_BE_1_TO_100_IDS;
        return Err(Error::field("endpoint_ids", what));
    }
    let mut seen = std::collections::HashSet::new();
    endpoints.retain(|id| seen.insert(*id));
    Ok(endpoints)
}

pub(super) async fn overview(
    context: &Context,
    user_id: i64,
    endpoints: &[i64],
    range: OverviewRange,
    zone: Tz,
) -> Result<Overview> {
    let db = context.db()?;
    let (step, _) = range.buckets();
    let bounds = range.bounds(zone, context.clock().now());
    let (starts, end) = (&bounds[..bounds.len() - 1], bounds[bounds.len() - 1]);
    let times = starts[0]..end;
    let mut overview = Overview {
        range,
        from: moment::time_of(times.start),
        to: moment::time_of(times.end),
        step_seconds: step,
        items: Vec::new(),
    };
    let owners = series_of(db, user_id, endpoints).await?;
    if owners.is_empty() {
        return Ok(overview);
    }
    let series: Vec<i64> = owners.keys().copied().collect();
    let state = store::State::load(db).await?;
    let mut sums = HashMap::<i64, Vec<Sum>>::new();
    for run in Run::of(&bounds) {
        for row in gather(db, &series, &run.times, run.step, &state).await? {
            let at = usize::try_from(run.first + row.bucket);
            let (Some(endpoint), Ok(at)) = (owners.get(&row.series_id), at) else { continue };
            let of_endpoint = sums.entry(*endpoint).or_insert_with(|| vec![Sum::default(); starts.len()]);
            if let Some(bucket) = of_endpoint.get_mut(at) {
                bucket.add(row.sum);
            }
        }
    }
    let mut last = HashMap::<i64, Last>::new();
    for row in last_of(db, &series, state.raw_from).await? {
        let Some(endpoint) = owners.get(&row.series_id) else { continue };
        match last.get(endpoint) {
            Some(newer) if newer.id > row.id => {}
            _ => drop(last.insert(*endpoint, row)),
        }
    }
    let mut incidents = HashMap::<i64, Vec<Incident>>::new();
    for incident in incidents_of(db, user_id, endpoints, &times).await? {
        incidents.entry(incident.endpoint_id).or_default().push(incident);
    }
    let known: std::collections::HashSet<_> = owners.into_values().collect();
    let item = |endpoint: &i64| {
        let sums = sums.remove(endpoint).unwrap_or_default();
        let mut whole = Sum::default();
        sums.iter().for_each(|sum| whole.add(*sum));
        let bucket = |(sum, at): (&Sum, &i64)| OverviewBucket {
            at: moment::time_of(*at),
            checks: sum.checks,
            up: sum.up,
            avg_ms: tally::average(sum.sum_ms, sum.up),
        };
        OverviewItem {
            endpoint_id: *endpoint,
            checks: whole.checks,
            up: whole.up,
            uptime_percent: tally::uptime_percent(whole.checks, whole.up),
            avg_ms: tally::average(whole.sum_ms, whole.up),
            last: last.remove(endpoint).map(LastCheck::from),
            buckets: sums.iter().zip(starts).filter(|(sum, _)| sum.checks > 0).map(bucket).collect(),
            incidents: incidents.remove(endpoint).unwrap_or_default(),
        }
    };
    overview.items = endpoints.iter().filter(|id| known.contains(id)).map(item).collect();
    Ok(overview)
}

/// Maps each series to its endpoint.
async fn series_of(db: &Db, user_id: i64, endpoints: &[i64]) -> Result<HashMap<i64, i64>> {
    sql!(
        IN_SQLITE = "SELECT id, endpoint_id FROM report_series
        WHERE user_id = $1 AND endpoint_id IN (SELECT value FROM json_each($2)) AND NOT forgotten"
    );
    sql!(
        IN_POSTGRES = "SELECT id, endpoint_id FROM report_series
        WHERE user_id = $1 AND endpoint_id = ANY($2) AND NOT forgotten"
    );
    let rows: Vec<(i64, i64)> = match db.read() {
        On::Sqlite(db) => {
            sqlx::query_as(IN_SQLITE).bind(user_id).bind(JsonText(endpoints)).fetch_all(db).await?
        }
        On::Postgres(db) => sqlx::query_as(IN_POSTGRES).bind(user_id).bind(endpoints).fetch_all(db).await?,
    };
    Ok(rows.into_iter().collect())
}

#[derive(Clone, Copy, Debug, Default, sqlx::FromRow)]
struct Sum {
    checks: i64,
    up: i64,
    sum_ms: i64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.checks += other.checks;
        self.up += other.up;
        self.sum_ms += other.sum_ms;
    }
}

/// The sum of a series in one bucket, by its number.
#[derive(sqlx::FromRow)]
struct BucketSum {
    series_id: i64,
    bucket: i64,
    #[sqlx(flatten)]
    sum: Sum,
}

/// Summed up by the database, from the coarsest rows that fit the buckets.
async fn gather(
    db: &Db,
    series: &[i64],
    times: &Range<i64>,
    step: i64,
    state: &store::State,
) -> Result<Vec<BucketSum>> {
    let (raw, rollups) = cover(times, step, state);
    let mut sums = Vec::new();
    for part in &raw {
        sums.extend(sum_results(db, series, part, times.start, step).await?);
    }
    for (span, part) in &rollups {
        sums.extend(sum_rollups(db, series, *span, part, times.start, step).await?);
    }
    Ok(sums)
}

/// The length of a rollup, and the part of the range that is read from rollups of this length.
type Rolled = (i64, Range<i64>);

/// Which parts are read from raw results, and which from rollups.
fn cover(times: &Range<i64>, step: i64, state: &store::State) -> (Vec<Range<i64>>, Vec<Rolled>) {
    if step == BUCKET {
        let rolled = store::within(times, BUCKET, state.buckets_until);
        return (store::around(times, &rolled), vec![(BUCKET, rolled)]);
    }
    let hours_until = if step >= HOUR { state.hours_until } else { 0 };
    let days_until = if step % DAY == 0 && times.start % DAY == 0 { state.days_until } else { 0 };
    let Cover { raw, hours, days } = Cover::of(times, hours_until, days_until);
    let mut rollups: Vec<_> = days.into_iter().map(|part| (DAY, part)).collect();
    for part in hours {
        // Where hourly rollups are purged, a whole day in one bucket is better than nothing.
        let purged = part.end.min(state.hours_from);
        rollups.push((DAY, part.start..purged));
        rollups.push((HOUR, part.start.max(purged)..part.end));
    }
    rollups.retain(|(_, part)| !part.is_empty());
    (raw, rollups)
}

async fn sum_results(
    db: &Db,
    series: &[i64],
    part: &Range<i64>,
    from: i64,
    step: i64,
) -> Result<Vec<BucketSum>> {
    macro_rules! sum {
        ($table:literal, $in:literal) => {
            concat!(
                "SELECT series_id, (id - $4) / $5 AS bucket, COUNT(*) AS checks, SUM(CASE WHEN up THEN 1 ELSE 0 END) \
                 AS up, SUM(CASE WHEN up THEN total_ms ELSE 0 END) AS sum_ms FROM ",
                $table,
                " WHERE series_id ",
                $in,
                " AND id >= $2 AND id < $3 AND maintenance IS NULL GROUP BY 1, 2"
            )
        };
    }
    sql!(
        IN_SQLITE = sum!(
            "report_results INDEXED BY report_results_by_series",
            "IN (SELECT value FROM json_each($1))"
        )
    );
    sql!(IN_POSTGRES = sum!("report_results", "= ANY($1)"));
    let ids = moment::ids(part);
    // A bucket spans as many ids as its seconds, times the ids of a second.
    let (first, step) = (moment::first_id(from), moment::first_id(moment::FIRST_TIME + step));
    Ok(match db.read() {
        On::Sqlite(db) => {
            let sum = sqlx::query_as(IN_SQLITE).bind(JsonText(series)).bind(ids.start).bind(ids.end);
            sum.bind(first).bind(step).fetch_all(db).await?
        }
        On::Postgres(db) => {
            let sum = sqlx::query_as(IN_POSTGRES).bind(series).bind(ids.start).bind(ids.end);
            sum.bind(first).bind(step).fetch_all(db).await?
        }
    })
}

async fn sum_rollups(
    db: &Db,
    series: &[i64],
    span: i64,
    part: &Range<i64>,
    from: i64,
    step: i64,
) -> Result<Vec<BucketSum>> {
    macro_rules! sum {
        ($from:literal, $in:literal) => {
            concat!(
                "SELECT series_id, (start - $4) / $5 AS bucket, CAST(SUM(checks) AS BIGINT) AS checks, \
                 CAST(SUM(up) AS BIGINT) AS up, CAST(SUM(sum_ms) AS BIGINT) AS sum_ms FROM ",
                $from,
                " AND series_id ",
                $in,
                " AND start >= $2 AND start < $3 GROUP BY 1, 2"
            )
        };
    }
    macro_rules! of_span {
        ($in:literal) => {
            if span == BUCKET {
                sum!("report_buckets WHERE $6 = $6", $in)
            } else {
                sum!("report_rollups WHERE span = $6", $in)
            }
        };
    }
    Ok(match db.read() {
        On::Sqlite(db) => {
            let sum = sqlx::query_as(of_span!("IN (SELECT value FROM json_each($1))"));
            let sum = sum.bind(JsonText(series)).bind(part.start).bind(part.end);
            sum.bind(from).bind(step).bind(span).fetch_all(db).await?
        }
        On::Postgres(db) => {
            let sum = sqlx::query_as(of_span!("= ANY($1)")).bind(series).bind(part.start).bind(part.end);
            sum.bind(from).bind(step).bind(span).fetch_all(db).await?
        }
    })
}

#[derive(sqlx::FromRow)]
struct Last {
    series_id: i64,
    id: i64,
    checked_after_ms: i32,
    up: bool,
    total_ms: i32,
    error_code: Option<String>,
    error_message: Option<String>,
}

impl From<Last> for LastCheck {
    fn from(last: Last) -> Self {
        let scheduled_at = moment::time_of(moment::scheduled_at_of(last.id));
        Self {
            checked_at: scheduled_at + TimeDelta::milliseconds(last.checked_after_ms.into()),
            status: super::get::status_of(last.up, last.error_code.is_some()),
            total_ms: last.total_ms,
            error: store::failure(last.error_code, last.error_message),
        }
    }
}

async fn last_of(db: &Db, series: &[i64], raw_from: i64) -> Result<Vec<Last>> {
    sql!(IN_SQLITE = "
        SELECT r.series_id, r.id, r.checked_after_ms, r.up, r.total_ms, r.error_code, r.error_message
        FROM json_each($1) AS s CROSS JOIN report_results r
        WHERE r.id = (SELECT id FROM report_results WHERE series_id = s.value AND id >= $2 ORDER BY id DESC LIMIT 1)");
    // Searches partition by partition, from the newest.
    sql!(IN_POSTGRES = "
        SELECT r.* FROM UNNEST($1::BIGINT[]) AS s (id) CROSS JOIN LATERAL (
            SELECT series_id, id, checked_after_ms, up, total_ms, error_code, error_message FROM report_results
            WHERE series_id = s.id AND id >= $2 ORDER BY id DESC LIMIT 1) AS r");
    let first = moment::first_id(raw_from);
    Ok(match db.read() {
        On::Sqlite(db) => sqlx::query_as(IN_SQLITE).bind(JsonText(series)).bind(first).fetch_all(db).await?,
        On::Postgres(db) => sqlx::query_as(IN_POSTGRES).bind(series).bind(first).fetch_all(db).await?,
    })
}

async fn incidents_of(db: &Db, user_id: i64, endpoints: &[i64], times: &Range<i64>) -> Result<Vec<Incident>> {
    macro_rules! overlapping {
        ($in:literal) => {
            concat!(
                "SELECT id, endpoint_id, started_at, ended_at, end_reason, cause_code, cause_message FROM (SELECT *, \
                 ROW_NUMBER() OVER (PARTITION BY endpoint_id ORDER BY started_at DESC, id DESC) AS place \
                 FROM report_incidents WHERE user_id = $1 AND endpoint_id ",
                $in,
                " AND started_at < $4 AND (ended_at IS NULL OR ended_at > $3)) AS placed WHERE place <= $5 \
                 ORDER BY started_at DESC, id DESC"
            )
        };
    }
    sql!(IN_SQLITE = overlapping!("IN (SELECT value FROM json_each($2))"));
    sql!(IN_POSTGRES = overlapping!("= ANY($2)"));
    let (from, to) = (moment::time_of(times.start), moment::time_of(times.end));
    let found: Vec<incident_list::Stored> = match db.read() {
        On::Sqlite(db) => {
            let select = sqlx::query_as(IN_SQLITE).bind(user_id).bind(JsonText(endpoints));
            select.bind(from).bind(to).bind(MAX_INCIDENTS).fetch_all(db).await?
        }
        On::Postgres(db) => {
            let select = sqlx::query_as(IN_POSTGRES).bind(user_id).bind(endpoints);
            select.bind(from).bind(to).bind(MAX_INCIDENTS).fetch_all(db).await?
        }
    };
    Ok(found.into_iter().map(Incident::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_772_366_400;

    #[test]
    fn each_range_is_read_from_the_coarsest_rows_that_fit() {
        let state = store::State {
            hours_until: NOW - HOUR,
            days_until: floor(NOW, DAY),
            raw_from: floor(NOW, DAY) - 30 * DAY,
            hours_from: floor(NOW, DAY) - 20 * DAY,
            buckets_until: floor(NOW - HOUR, BUCKET),
        };
        let of = |range: OverviewRange, state| {
            let (step, count) = range.buckets();
            let end = floor(NOW, step) + step;
            cover(&(end - count * step..end), step, state)
        };
        let buckets_until = floor(state.hours_until, BUCKET);
        let (raw, rollups) = of(OverviewRange::Day, &state);
        assert_eq!((raw.first(), rollups.len()), (Some(&(buckets_until..NOW + BUCKET)), 1));
        let (raw, rollups) = of(OverviewRange::Week, &state);
        assert_eq!((raw.first(), rollups.len()), (Some(&(NOW - HOUR..NOW + 2 * HOUR)), 1));
        let (_, rollups) = of(OverviewRange::Month, &state);
        let (purged, kept) =
            ((DAY, NOW + 4 * HOUR - 30 * DAY..state.hours_from), (HOUR, state.hours_from..NOW - HOUR));
        assert_eq!(rollups, [purged, kept], "what is left of purged hours");
        let (_, rollups) = of(OverviewRange::Quarter, &state);
        let longest =
            |span| rollups.iter().filter(|(of, _)| *of == span).map(|(_, part)| part.end - part.start).max();
        assert_eq!((longest(DAY), longest(HOUR)), (Some(89 * DAY), Some(11 * HOUR)));
        // Before the first rollup, everything is raw.
        assert_eq!(of(OverviewRange::Day, &store::State::default()).0.len(), 1);
    }

    #[test]
    fn days_of_a_zone_are_read_in_runs_of_one_length() {
        let now = moment::time_of(NOW + 20 * DAY);
        let bounds = OverviewRange::Quarter.bounds(Tz::America__New_York, now);
        let runs = Run::of(&bounds);
        let seen: Vec<_> = runs.iter().map(|run| (run.first, run.step / HOUR)).collect();
        assert_eq!((seen, bounds.len()), (vec![(0, 24), (76, 23), (77, 24)], 91));
        let state = store::State { hours_until: NOW, days_until: NOW, ..store::State::default() };
        let (_, rollups) = cover(&runs[0].times, DAY, &state);
        assert!(rollups.iter().all(|(span, _)| *span == HOUR), "no day of UTC is one of New York");
        assert_eq!(Run::of(&OverviewRange::Hour.bounds(Tz::UTC, now)).len(), 1);
    }

    #[test]
    fn lists_of_endpoints() {
        assert_eq!(endpoints("3,1,3").ok(), Some(vec![3, 1]));
        for list in ["", ",", "0", "-1", "x", "1;2", &"1,".repeat(101)] {
            endpoints(list).expect_err(list);
        }
    }
}
