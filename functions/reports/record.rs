//! Event `check.completed`: stores the results of a batch of checks. Event `endpoint.changed`: applies the change to
//! results ([`super::changes`]).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use axum::{extract::State, routing::post};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{
    Context, Db, Error, Event, Function, Items, Reply, Result, Subscription, Text,
    db::{On, Transaction},
    input, on, sql,
    telemetry::{Counter, KeyValue, counter},
};
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool, QueryBuilder, SqliteConnection};

use super::{
    SERVICE, changes, moment,
    moment::{HOUR, floor},
    partitions,
    series::{self, Key, Series},
    store,
};
use crate::words;
use contract::{CheckResult, CheckStatus, FailureCode, kind};

pub const FUNCTION: Function =
    Function::new("report-record", SERVICE, "stores check results; a redelivered result is stored once")
        .on(&[Subscription::to(kind::CHECK_COMPLETED), Subscription::to(kind::ENDPOINT_CHANGED)], || {
            post(handle)
        });

async fn handle(State(context): State<Context>, event: Event<Box<RawValue>>) -> Result<Reply> {
    let json = event.data.get().as_bytes();
    if event.kind == kind::ENDPOINT_CHANGED {
        changes::apply(&context, &input::parse::<Items<_>>(json)?).await?;
        return Ok(Reply::NONE);
    }
    let mut results: Vec<CheckResult> = input::parse::<Items<_>>(json)?.0;
    check_not_ahead(context.clock().now(), results.iter().map(|result| result.scheduled_at))?;
    let now = context.clock().now();
    // An invalid result does not prevent the others from being recorded.
    results.retain(|result| match problem(result, now) {
        None => true,
        Some((field, what)) => {
            tracing::error!(
                result.endpoint_id,
                field,
                what = %what.en,
                "a result cannot be recorded: set aside"
            );
            count("invalid", 1);
            false
        }
    });
    record(&context, &results, "data").await?;
    Ok(Reply::NONE)
}

/// How far the prober's clock may be ahead of this clock.
pub(super) const MAX_AHEAD: TimeDelta = TimeDelta::hours(1);
/// An hour that ended this long ago may already be rolled up ([`super::rollup`] waits a little longer).
const LATE_AFTER: i64 = 3 * 60;
const MAX_REGION_BYTES: usize = 64;

/// Refuses an event with a time in the future: one of two clocks is wrong, and may be corrected before the broker
/// gives up. Impossible times are refused elsewhere.
pub(super) fn check_not_ahead(
    now: DateTime<Utc>,
    mut times: impl Iterator<Item = DateTime<Utc>>,
) -> Result<()> {
    match times.find(|time| *time > now + MAX_AHEAD && time.timestamp() <= moment::LAST_TIME) {
        Some(time) => Err(Error::unavailable(anyhow::anyhow!("{time} is ahead of this clock"))),
        None => Ok(()),
    }
}

/// Stores results. `field` is the name of the list in errors.
pub(super) async fn record(context: &Context, results: &[CheckResult], field: &str) -> Result<()> {
    let now = context.clock().now();
    validate(results, now, field)?;
    let db = context.db()?;
    // Earlier results were purged, and would be purged again. Not by the clock, which may have jumped.
    let state = store::State::load(db).await?;
    let oldest = state.raw_from.max(moment::FIRST_TIME);
    let told = results.len();
    let mut results: Vec<_> = results
        .iter()
        .filter(|r| r.outcome.status != CheckStatus::Unknown && r.scheduled_at.timestamp() >= oldest)
        .collect();
    // One order for all recorders, so that they cannot deadlock.
    results.sort_by_key(|r| (r.scheduled_at.timestamp(), r.endpoint_id));
    if results.is_empty() {
        count("unwanted", told as u64);
        return Ok(());
    }
    let known = context.shared(|_| Ok(Known::default()))?;
    if let Db::Postgres(pool) = db {
        known.ensure_partitions(pool, &results).await?;
    }
    let mut transaction = store::begin_writing(db).await?;
    let revisions = changes::Revisions::load(&mut transaction, &results).await?;
    let (series, forgets) = known.series(&mut transaction, &results, now.timestamp()).await?;
    let rows: Vec<Row> = results
        .iter()
        // A result without a series is skipped: its endpoint was deleted, or no series id is free.
        .filter_map(|result| Some((result, Row::of(result, series.get(&key(result))?))))
        // During a maintenance nothing counts, but every result is shown.
        .filter(|(result, row)| row.maintenance.is_some() || !revisions.is_outdated(result))
        .map(|(_, row)| row)
        .collect();
    let new = match transaction.connection() {
        On::Sqlite(sqlite) => insert_sqlite(sqlite, &rows).await?,
        On::Postgres(postgres) => insert_postgres(postgres, &rows).await?,
    };
    mark_late_hours(&mut transaction, &rows, now.timestamp(), state.hours_until).await?;
    transaction.commit().await?;
    known.keep(&series, forgets);
    count("new", new);
    count("again", rows.len() as u64 - new);
    count("unwanted", (told - rows.len()) as u64);
    Ok(())
}

static RECORDED: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.checks.recorded", "{check}", "Results that came to be stored"));

fn count(outcome: &'static str, results: u64) {
    RECORDED.add(results, &[KeyValue::new("outcome", outcome)]);
}

pub(crate) fn count_from_zero() {
    ["new", "again", "unwanted", "invalid"].into_iter().for_each(|outcome| count(outcome, 0));
}

fn validate(results: &[CheckResult], now: DateTime<Utc>, field: &str) -> Result<()> {
    for (at, result) in results.iter().enumerate() {
        if let Some((name, what)) = problem(result, now) {
            return Err(Error::field(format!("{field}[{at}].{name}"), what));
        }
    }
    Ok(())
}

fn problem(result: &CheckResult, now: DateTime<Utc>) -> Option<(&'static str, Text)> {
    let CheckResult { scheduled_at, checked_at, region, .. } = result;
    if result.endpoint_id < 1 {
        return Some(("endpoint_id", positive()));
    }
    if result.user_id < 1 {
        return Some(("user_id", positive()));
    }
    if *scheduled_at > now + MAX_AHEAD || scheduled_at.timestamp() > moment::LAST_TIME {
        return Some(("scheduled_at", words::IS_IN_FUTURE));
    }
    if i32::try_from((*checked_at - *scheduled_at).num_milliseconds() + 1000).is_err() {
        return Some(("checked_at", words::IS_TOO_FAR_FROM_SCHEDULED_AT));
    }
    if region.is_empty() || region.len() > MAX_REGION_BYTES {
        return Some(("region", words::must_have_bytes(MAX_REGION_BYTES).into()));
    }
    None
}

fn positive() -> Text {
    contract::words::MUST_BE_POSITIVE_INTEGER
}

fn key(result: &CheckResult) -> Key<'_> {
    (result.endpoint_id, &result.region)
}

/// What this process knows to be in the database, so that a batch mostly needs only its one insert.
#[derive(Default)]
struct Known(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// Partitions that exist.
    days: HashSet<i64>,
    /// By region and endpoint: the series.
    series: HashMap<String, HashMap<i64, Series>>,
    /// The value of `forgets` for which `series` is valid.
    forgets: i64,
}

/// Takes some megabytes. With more endpoints than this, series are looked up again.
const MAX_KNOWN: usize = 100_000;

impl Known {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series of all results whose endpoint was not deleted, and the value of `forgets` for which they are valid.
    async fn series<'a>(
        &self,
        transaction: &mut Transaction,
        results: &[&'a CheckResult],
        now: i64,
    ) -> Result<(HashMap<Key<'a>, Series>, i64)> {
        sql!(FORGETS = "SELECT value FROM report_state WHERE name = 'forgets'");
        let forgets: Option<i64> = on!(transaction.connection(), db =>
            sqlx::query_scalar(FORGETS).fetch_optional(db).await)?;
        let forgets = forgets.unwrap_or_default();
        let mut found = HashMap::with_capacity(results.len());
        let mut missing = BTreeMap::new();
        {
            let mut seen = self.seen();
            if seen.forgets != forgets {
                seen.series.clear();
                seen.forgets = forgets;
            }
            for result in results {
                let (endpoint, region) = key(result);
                match seen.series.get(region).and_then(|endpoints| endpoints.get(&endpoint)) {
                    Some(series) => drop(found.insert((endpoint, region), series.clone())),
                    None => drop(missing.insert((endpoint, region), result.user_id)),
                }
            }
        }
        if !missing.is_empty() {
            found.extend(series::find_or_create(transaction, missing, now).await?);
        }
        Ok((found, forgets))
    }

    fn keep(&self, series: &HashMap<Key<'_>, Series>, forgets: i64) {
        let mut seen = self.seen();
        if seen.forgets != forgets {
            return;
        }
        if seen.series.values().map(HashMap::len).sum::<usize>() > MAX_KNOWN {
            seen.series.clear();
        }
        for ((endpoint, region), series) in series {
            match seen.series.get_mut(*region) {
                Some(endpoints) => drop(endpoints.insert(*endpoint, series.clone())),
                None => {
                    let endpoints = HashMap::from([(*endpoint, series.clone())]);
                    seen.series.insert((*region).to_owned(), endpoints);
                }
            }
        }
    }

    async fn ensure_partitions(&self, pool: &PgPool, results: &[&CheckResult]) -> Result<()> {
        let days: BTreeSet<_> =
            results.iter().map(|result| moment::day_of(result.scheduled_at.timestamp())).collect();
        for day in days {
            if !self.seen().days.contains(&day) {
                partitions::ensure(pool, day).await?;
                self.seen().days.insert(day);
            }
        }
        Ok(())
    }
}

/// A result as it is stored.
struct Row<'a> {
    id: i64,
    series_id: i64,
    checked_after_ms: i32,
    up: bool,
    status_code: Option<i32>,
    dns_ms: Option<i32>,
    connect_ms: Option<i32>,
    tls_ms: Option<i32>,
    first_byte_ms: Option<i32>,
    transfer_ms: Option<i32>,
    total_ms: i32,
    ip: Option<Vec<u8>>,
    certificate_expires: Option<i64>,
    response_bytes: i64,
    error_code: Option<&'static str>,
    error_message: Option<&'a str>,
    /// `None` instead of false: see the table.
    maintenance: Option<bool>,
}

impl<'a> Row<'a> {
    fn of(result: &'a CheckResult, series: &Series) -> Self {
        let scheduled_at = result.scheduled_at.timestamp();
        // Validated to fit. Only whole seconds of the scheduled time are kept, so the rest counts as delay.
        let after = (result.checked_at - moment::time_of(scheduled_at)).num_milliseconds();
        // Durations in milliseconds are capped at 24 days.
        let is_in_maintenance =
            series.maintenance.as_ref().is_some_and(|times| times.contains(&scheduled_at));
        let ms = |ms: u32| i32::try_from(ms).unwrap_or(i32::MAX);
        let outcome = &result.outcome;
        let error = outcome.error.as_ref().filter(|_| outcome.status != CheckStatus::Up);
        let timings = outcome.timings_ms;
        Self {
            id: moment::id_of(scheduled_at, series.id),
            series_id: series.id,
            checked_after_ms: i32::try_from(after).unwrap_or(i32::MAX),
            up: outcome.status.is_up(),
            status_code: outcome.status_code.map(i32::from),
            dns_ms: timings.dns.map(ms),
            connect_ms: timings.connect.map(ms),
            tls_ms: timings.tls.map(ms),
            first_byte_ms: timings.first_byte.map(ms),
            transfer_ms: timings.transfer.map(ms),
            total_ms: ms(timings.total),
            ip: outcome.ip.map(|ip| match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            }),
            certificate_expires: outcome.certificate_expires_at.map(|at| at.timestamp()),
            response_bytes: i64::try_from(outcome.response_bytes).unwrap_or(i64::MAX),
            // An up result has an error code only if it is degraded.
            error_code: match outcome.status {
                CheckStatus::Up => None,
                CheckStatus::Degraded => Some(error.map_or(FailureCode::Other, |error| error.code).as_str()),
                _ => error.map(|error| error.code.as_str()),
            },
            error_message: error.map(|error| store::shortened(&error.message)),
            maintenance: (result.maintenance || is_in_maintenance).then_some(true),
        }
    }
}

/// Rows per statement: more rows would not be faster. Bound values are stored twice as fast as one JSON parameter
/// that `json_each` splits.
const ROWS_AT_ONCE: usize = 64;

/// The columns, in the order in which rows are bound.
macro_rules! insert {
    ($insert:literal, $rows:literal) => {
        concat!(
            $insert,
            " INTO report_results (id, series_id, checked_after_ms, up, status_code, dns_ms, connect_ms, tls_ms, \
             first_byte_ms, transfer_ms, total_ms, ip, certificate_expires, response_bytes, error_code, \
             error_message, maintenance) ",
            $rows
        )
    };
}

/// Returns how many of the rows are new.
async fn insert_sqlite(db: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<u64> {
    let mut new = 0;
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let mut insert = QueryBuilder::new(insert!("INSERT OR IGNORE", ""));
        insert.push_values(rows, |mut values, row| {
            values.push_bind(row.id).push_bind(row.series_id).push_bind(row.checked_after_ms);
            values.push_bind(row.up).push_bind(row.status_code).push_bind(row.dns_ms);
            values.push_bind(row.connect_ms).push_bind(row.tls_ms).push_bind(row.first_byte_ms);
            values.push_bind(row.transfer_ms).push_bind(row.total_ms).push_bind(row.ip.clone());
            values.push_bind(row.certificate_expires).push_bind(row.response_bytes);
            values.push_bind(row.error_code).push_bind(row.error_message.map(str::to_owned));
            values.push_bind(row.maintenance);
        });
        let insert = insert.build().persistent(rows.len() == ROWS_AT_ONCE);
        new += insert.execute(&mut *db).await?.rows_affected();
    }
    Ok(new)
}

async fn insert_postgres(db: &mut PgConnection, rows: &[Row<'_>]) -> Result<u64> {
    sql!(POSTGRES_INSERT = insert!(
        "INSERT",
        "SELECT * FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::INT[], $4::BOOLEAN[], $5::INT[], $6::INT[], $7::INT[],
            $8::INT[], $9::INT[], $10::INT[], $11::INT[], $12::BYTEA[], $13::BIGINT[], $14::BIGINT[], $15::TEXT[],
            $16::TEXT[], $17::BOOLEAN[])
        ON CONFLICT DO NOTHING"
    ));
    fn column<T>(rows: &[Row<'_>], of: impl Fn(&Row<'_>) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    let inserted = sqlx::query(POSTGRES_INSERT)
        .bind(column(rows, |r| r.id))
        .bind(column(rows, |r| r.series_id))
        .bind(column(rows, |r| r.checked_after_ms))
        .bind(column(rows, |r| r.up))
        .bind(column(rows, |r| r.status_code))
        .bind(column(rows, |r| r.dns_ms))
        .bind(column(rows, |r| r.connect_ms))
        .bind(column(rows, |r| r.tls_ms))
        .bind(column(rows, |r| r.first_byte_ms))
        .bind(column(rows, |r| r.transfer_ms))
        .bind(column(rows, |r| r.total_ms))
        .bind(column(rows, |r| r.ip.clone()))
        .bind(column(rows, |r| r.certificate_expires))
        .bind(column(rows, |r| r.response_bytes))
        .bind(column(rows, |r| r.error_code))
        .bind(rows.iter().map(|r| r.error_message).collect::<Vec<_>>())
        .bind(column(rows, |r| r.maintenance))
        .execute(db)
        .await?;
    Ok(inserted.rows_affected())
}

/// Marks hours that may already be rolled up, so that they are rolled up again.
async fn mark_late_hours(
    transaction: &mut Transaction,
    rows: &[Row<'_>],
    now: i64,
    hours_until: i64,
) -> Result<()> {
    sql!(
        MARK = "
        INSERT INTO report_late_hours (start, marks) VALUES ($1, 1)
        ON CONFLICT (start) DO UPDATE SET marks = report_late_hours.marks + 1"
    );
    let hours: BTreeSet<_> = rows.iter().map(|row| floor(moment::scheduled_at_of(row.id), HOUR)).collect();
    let is_late = |hour: &i64| hour + HOUR + LATE_AFTER <= now || *hour < hours_until;
    for hour in hours.into_iter().filter(is_late) {
        on!(transaction.connection(), db => sqlx::query(MARK).bind(hour).execute(db).await.map(drop))?;
    }
    Ok(())
}
