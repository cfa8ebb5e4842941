//! `GET /public/v1/summaries/{endpoint_id}`: uptime and latency of an endpoint over a time range.

use std::{collections::BTreeMap, ops::Range};

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use runtime::{Caller, Context, Db, Error, Fields, Function, Id, Query, Result, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    SERVICE,
    moment::{self, DAY, HOUR, ceil, floor},
    purge::Retention,
    record::MAX_AHEAD,
    store::{self, Cover},
    tally::{Phases, Tally},
};
use crate::{endpoints::private_list, zones};

pub const FUNCTION: Function = Function::new(
    "report-summary",
    SERVICE,
    "summarizes an endpoint: uptime, latency, apdex, and their series",
)
.http(runtime::http!(handle))
.reads(runtime::settings!(super::purge::Retention));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// Start: a date or a date-time. Default: 24 hours before `to`.
    #[param(example = "2026-03-01")]
    from: Option<String>,
    /// End: a date-time, or a date, which includes the whole day. Default: now.
    #[param(example = "2026-03-01T12:00:00Z")]
    to: Option<String>,
    /// A response time up to this is satisfied, up to four times this tolerated.
    #[serde(default = "half_a_second")]
    #[param(minimum = 1, maximum = 600_000, default = 500, required = false)]
    apdex_ms: u32,
    /// Length of a point: a day of `zone`. Default: the length that gives at most 200 points.
    #[param(inline)]
    step: Option<Step>,
    /// Time zone of the days of `step`: an IANA name. Default: UTC.
    #[param(example = "Asia/Seoul")]
    zone: Option<String>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Step {
    Day,
}

fn half_a_second() -> u32 {
    500
}

/// The summary of an endpoint. Checks during a maintenance do not count.
#[derive(Serialize, ToSchema)]
struct Summary {
    #[schema(example = 7)]
    endpoint_id: i64,
    /// The range that is summed up: for the distant past, whole hours or days around the requested range.
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    #[schema(example = 1440)]
    checks: i64,
    #[schema(example = 1439)]
    up: i64,
    /// Degraded checks, which count as up, too.
    #[schema(example = 3)]
    degraded: i64,
    /// Truncated to three decimals: 100 means that no check failed. Null without checks.
    #[schema(example = 99.93)]
    uptime_percent: Option<f64>,
    latency_ms: Latency,
    /// 0 to 1; a failed check counts as 0.
    #[schema(example = 0.987)]
    apdex: Option<f64>,
    /// Length of each point of the series.
    #[schema(example = 900)]
    step_seconds: i64,
    /// In chronological order; points without checks are omitted.
    series: Vec<Point>,
}

/// Latency of successful checks; null without any. Percentiles are accurate to 2 percent.
#[derive(Serialize, ToSchema)]
struct Latency {
    #[schema(example = 123.4)]
    avg: Option<f64>,
    min: Option<i64>,
    max: Option<i64>,
    p50: Option<i64>,
    p90: Option<i64>,
    p95: Option<i64>,
    p99: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct Point {
    at: DateTime<Utc>,
    checks: i64,
    up: i64,
    degraded: i64,
    avg_ms: Option<f64>,
    min_ms: Option<i64>,
    max_ms: Option<i64>,
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
    p99_ms: Option<i64>,
    phases_ms: PhaseAverages,
}

/// Averages over successful checks; null if no check had the phase (a reused name, plain HTTP). They add up to
/// `avg_ms`, except for the time between phases, such as redirects.
#[derive(Serialize, ToSchema)]
struct PhaseAverages {
    #[schema(example = 8.1)]
    dns: Option<f64>,
    #[schema(example = 20.4)]
    connect: Option<f64>,
    #[schema(example = 31.5)]
    tls: Option<f64>,
    #[schema(example = 60.2)]
    first_byte: Option<f64>,
    #[schema(example = 3.2)]
    transfer: Option<f64>,
}

impl From<Phases<f64>> for PhaseAverages {
    fn from([dns, connect, tls, first_byte, transfer]: Phases<f64>) -> Self {
        Self { dns, connect, tls, first_byte, transfer }
    }
}

/// Summarizes an endpoint over a time range.
///
/// Recent ranges are computed from every single result, longer ones from hourly and daily rollups.
#[utoipa::path(
    get,
    path = "/public/v1/summaries/{endpoint_id}",
    tag = "reports",
    operation_id = "report-summary",
    params(("endpoint_id" = i64, Path, description = "The endpoint's id", example = 7), Asked),
    security(("apikey" = [])),
    responses(
        (status = 200, description = "The summary", body = Summary),
        (status = 400, description = "The range is invalid", body = runtime::error::ErrorBody),
        (status = 401, description = "Not logged in", body = runtime::error::ErrorBody),
        (status = 404, description = "No such endpoint of yours", body = runtime::error::ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    caller: Caller,
    Id(endpoint_id): Id,
    Query(asked): Query<Asked>,
) -> Result<Json<Summary>> {
    let mut fields = Fields::default();
    let (from, to) = moment::range(&mut fields, asked.from.as_deref(), asked.to.as_deref());
    fields.check((1..=600_000).contains(&asked.apdex_ms), "apdex_ms", || {
        contract::words::must_be_from_to(1, 600_000)
    });
    let zone = moment::zone(&mut fields, asked.zone.as_deref());
    fields.finish()?;
    let db = context.db()?;
    let series = series_of(&context, db, caller.user_id, endpoint_id).await?;
    let now = context.clock().now();
    // No data exists before the longest retention, or after now, except for differences between clocks.
    let oldest = context.config::<Retention>()?.days_from(now);
    let newest = moment::seconds(now + MAX_AHEAD);
    let to = to.map_or(moment::seconds(now), |to| to.clamp(oldest + 1, newest));
    let from = from.unwrap_or(to - DAY).clamp(oldest, to - 1);
    let by_day = asked.step.map(|Step::Day| zone);
    let plan = Plan::of(from..to, &store::State::load(db).await?, by_day);
    let points = plan.gather(db, &series).await?;
    Ok(Json(summary(endpoint_id, &plan, asked.apdex_ms, &points)))
}

/// The series of the caller's endpoint; empty before its first result.
async fn series_of(context: &Context, db: &Db, user_id: i64, endpoint_id: i64) -> Result<Vec<i64>> {
    sql!(SERIES = "SELECT id, user_id FROM report_series WHERE endpoint_id = $1 AND NOT forgotten");
    let series: Vec<(i64, i64)> = on!(db.read(), db =>
        sqlx::query_as(SERIES).bind(endpoint_id).fetch_all(db).await)?;
    let owner = match series.first() {
        Some((_, owner)) => *owner,
        None => {
            let found = private_list::briefs(context, &[endpoint_id]).await?.items;
            found.first().ok_or_else(Error::not_found)?.user_id
        }
    };
    if owner == user_id { Ok(series.iter().map(|(id, _)| *id).collect()) } else { Err(Error::not_found()) }
}

/// For ranges up to this length, every single result is read: at most 17,280 for each region.
const MAX_RAW_RANGE: i64 = 2 * DAY;
const MAX_POINTS: i64 = 200;
const STEPS: [i64; 15] = [
    60,
    120,
    300,
    600,
    900,
    1800,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    30 * DAY,
];

/// Which rows are read to summarize a range.
#[derive(Debug, PartialEq)]
struct Plan {
    range: Range<i64>,
    step: i64,
    /// The starts of days in the time zone, if each point is a day.
    days: Vec<i64>,
    cover: Cover,
}

/// Up to this age, days of a time zone are read from whole hours; further back, from days of UTC.
const MAX_HOURLY_RANGE: i64 = 400 * DAY;

impl Plan {
    fn of(mut range: Range<i64>, state: &store::State, by_day: Option<Tz>) -> Self {
        let length = range.end - range.start;
        // The finest rows that still exist and are few enough.
        let finest = if range.start < state.hours_from {
            DAY
        } else if range.start < state.raw_from || length > MAX_RAW_RANGE {
            HOUR
        } else {
            1
        };
        for (span, kept_from) in [(HOUR, state.raw_from), (DAY, state.hours_from)] {
            if range.start < kept_from {
                range.start = floor(range.start, span);
            }
            if range.end < kept_from {
                range.end = ceil(range.end, span);
            }
        }
        let step = STEPS.into_iter().find(|step| *step >= finest && length <= step * MAX_POINTS);
        let step = if by_day.is_some() { DAY } else { step.unwrap_or(30 * DAY) };
        let days_until = match by_day {
            Some(zone) if zone != Tz::UTC => {
                let hours_from = state.hours_from.max(range.end - MAX_HOURLY_RANGE);
                state.days_until.min(ceil(hours_from, DAY))
            }
            _ if step >= DAY => state.days_until,
            _ => 0,
        };
        let hours_until = if step >= HOUR { state.hours_until } else { 0 };
        let cover = Cover::of(&range, hours_until, days_until);
        let days = by_day.map(|zone| days_of(zone, &range)).unwrap_or_default();
        Self { range, step, days, cover }
    }

    /// The start of the point that a scheduled time belongs to.
    fn point(&self, scheduled_at: i64) -> i64 {
        match self.days.partition_point(|day| *day <= scheduled_at) {
            0 => floor(scheduled_at, self.step),
            after => self.days[after - 1],
        }
    }

    async fn gather(&self, db: &Db, series: &[i64]) -> Result<BTreeMap<i64, Tally>> {
        let mut points = BTreeMap::<i64, Tally>::new();
        for series in series {
            for part in &self.cover.raw {
                let take = |scheduled_at, result| {
                    store::add(points.entry(self.point(scheduled_at)).or_default(), result);
                };
                store::each_result(db, *series, part, take).await?;
            }
            let hours = self.cover.hours.iter().map(|part| (HOUR, part));
            let days = self.cover.days.iter().map(|part| (DAY, part));
            for (span, part) in hours.chain(days) {
                for rollup in store::rollups(db, *series, span, part).await? {
                    points.entry(self.point(rollup.start)).or_default().merge(&rollup.tally()?);
                }
            }
        }
        // Removes points that contain only checks during a maintenance.
        points.retain(|_, tally| tally.checks > 0);
        Ok(points)
    }
}

fn days_of(zone: Tz, range: &Range<i64>) -> Vec<i64> {
    let date = |scheduled_at| moment::time_of(scheduled_at).with_timezone(&zone).date_naive();
    let dates = date(range.start).iter_days().take_while(|day| *day <= date(range.end));
    dates.map(|date| zones::start_of(zone, date).timestamp()).collect()
}

fn summary(endpoint_id: i64, plan: &Plan, apdex_ms: u32, points: &BTreeMap<i64, Tally>) -> Summary {
    let mut all = Tally::default();
    points.values().for_each(|tally| all.merge(tally));
    let point = |(at, tally): (&i64, &Tally)| Point {
        at: moment::time_of(*at),
        checks: tally.checks,
        up: tally.up,
        degraded: tally.degraded,
        avg_ms: tally.avg_ms(),
        min_ms: tally.min_ms(),
        max_ms: tally.max_ms(),
        p50_ms: tally.quantile(0.5),
        p95_ms: tally.quantile(0.95),
        p99_ms: tally.quantile(0.99),
        phases_ms: tally.phases_avg_ms().into(),
    };
    Summary {
        endpoint_id,
        from: moment::time_of(plan.range.start),
        to: moment::time_of(plan.range.end),
        checks: all.checks,
        up: all.up,
        degraded: all.degraded,
        uptime_percent: all.uptime_percent(),
        latency_ms: Latency {
            avg: all.avg_ms(),
            min: all.min_ms(),
            max: all.max_ms(),
            p50: all.quantile(0.5),
            p90: all.quantile(0.9),
            p95: all.quantile(0.95),
            p99: all.quantile(0.99),
        },
        apdex: all.apdex(apdex_ms),
        step_seconds: plan.step,
        series: points.iter().map(point).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_772_366_400;

    fn state() -> store::State {
        store::State {
            hours_until: NOW - HOUR,
            days_until: floor(NOW - HOUR, DAY),
            raw_from: floor(NOW, DAY) - 30 * DAY,
            hours_from: floor(NOW, DAY) - 365 * DAY,
            buckets_until: NOW - HOUR,
        }
    }

    #[test]
    fn a_day_is_read_raw_and_a_year_from_rollups() {
        let day = Plan::of(NOW - DAY..NOW, &state(), None);
        assert_eq!((day.step, day.cover.raw.len(), day.cover.hours.len()), (600, 1, 0));
        let week = Plan::of(NOW - 7 * DAY..NOW, &state(), None);
        assert_eq!((week.step, week.cover.days.len()), (HOUR, 0));
        assert_eq!(week.cover.raw.first(), Some(&(NOW - HOUR..NOW)));
        let year = Plan::of(NOW - 364 * DAY..NOW, &state(), None);
        assert_eq!((year.step, year.cover.days.len()), (2 * DAY, 1));
    }

    #[test]
    fn what_is_purged_is_read_from_what_is_left() {
        let half_past = NOW - 60 * DAY + 1800;
        let plan = Plan::of(half_past..half_past + 10, &state(), None);
        assert_eq!((plan.step, plan.range.clone()), (HOUR, NOW - 60 * DAY..NOW - 60 * DAY + HOUR));
        assert!(plan.cover.raw.is_empty());
        let plan = Plan::of(NOW - 400 * DAY..NOW - 400 * DAY + 10, &state(), None);
        assert_eq!((plan.step, plan.range.end - plan.range.start), (DAY, DAY));
        assert!(plan.cover.raw.is_empty() && plan.cover.hours.is_empty());
    }

    #[test]
    fn a_day_of_a_zone_is_read_from_hours() {
        let by_day = |days: i64, zone| Plan::of(NOW - days * DAY..NOW, &state(), Some(zone));
        let week = by_day(7, Tz::Asia__Seoul);
        assert_eq!((week.step, week.days.len(), week.cover.days.len()), (DAY, 8, 0));
        let midnight = NOW - 12 * HOUR - 9 * HOUR;
        assert_eq!([week.point(midnight - 1), week.point(midnight)], [midnight - DAY, midnight]);
        assert_eq!(by_day(7, Tz::UTC).cover.days.len(), 1);
        let long = by_day(1000, Tz::Asia__Seoul);
        assert!(long.cover.days[0].end >= NOW - 400 * DAY, "no more hours than of a year");
    }

    #[test]
    fn a_series_is_never_long() {
        for length in [1, 60, HOUR, DAY, 3 * DAY, 9 * DAY, 100 * DAY, 1825 * DAY, 36_500 * DAY] {
            let plan = Plan::of(NOW - length..NOW, &store::State::default(), None);
            assert!(length / plan.step <= MAX_POINTS || plan.step == 30 * DAY, "{length}: {}", plan.step);
        }
    }
}
