//! Hourly: rolls up completed hours from raw results, completed days from hours, and the buckets of overviews.
//!
//! A rollup is computed anew and replaced, never added to, so that running twice is safe. An hour that received a
//! late result is rolled up again.

use std::collections::BTreeMap;

use axum::{extract::State, routing::post};
use futures::TryStreamExt;
use runtime::{
    Context, Db, Function, Reply, Result,
    db::{On, read},
    items::set_aside,
    on, sql,
};
use sqlx::{PgConnection, QueryBuilder, SqliteConnection};

use super::{
    SERVICE,
    moment::{self, BUCKET, DAY, HOUR, floor},
    partitions,
    record::MAX_AHEAD,
    store::{self, BUCKETS_UNTIL, DAYS_UNTIL, HOURS_UNTIL, Raw, Rollup, raw_columns, rollup_columns},
    tally::Tally,
};

pub const FUNCTION: Function =
    Function::new("report-rollup", SERVICE, "sums completed hours and days up, for long ranges")
        .every("5 * * * *", || post(handle));

/// An hour is rolled up this long after its end. Results that arrive later mark the hour as late.
const SETTLED_AFTER: i64 = 4 * 60;
/// Series that are processed at once; limits the memory.
const SERIES_AT_ONCE: i64 = 65_536;

async fn handle(State(context): State<Context>) -> Result<Reply> {
    let (db, now) = (context.db()?, context.clock().now().timestamp());
    if let Db::Postgres(pool) = db {
        // Before midnight, when all recorders would wait for the partition.
        partitions::make_ahead(pool, now).await?;
    }
    follow_clock(db, now).await?;
    roll_hours(db, floor(now - SETTLED_AFTER, HOUR)).await?;
    roll_days(db).await?;
    roll_buckets(db, now).await?;
    redo_late_hours(db, now).await?;
    Ok(Reply::NONE)
}

/// After the clock was set back, rolls up again what was rolled up ahead of time, and the last day, so that results
/// recorded in the meantime are included.
async fn follow_clock(db: &Db, now: i64) -> Result<()> {
    sql!(LOWER = "UPDATE report_state SET value = $2 WHERE name = $1 AND value > $3");
    let latest = now + MAX_AHEAD.num_seconds();
    for (name, span) in [(HOURS_UNTIL, HOUR), (DAYS_UNTIL, DAY), (BUCKETS_UNTIL, BUCKET)] {
        let until = floor(now - DAY, span);
        on!(db.write(), db => {
            sqlx::query(LOWER).bind(name).bind(until).bind(latest).execute(db).await.map(drop)
        })?;
    }
    Ok(())
}

async fn roll_hours(db: &Db, until: i64) -> Result<()> {
    sql!(NEXT = "SELECT MIN(id) FROM report_results WHERE id >= $1");
    loop {
        let from = store::State::load(db).await?.hours_until;
        let first = moment::first_id(from);
        let next: Option<i64> =
            on!(db.read(), db => sqlx::query_scalar(NEXT).bind(first).fetch_one(db).await)?;
        let hour = next.map(|id| floor(moment::scheduled_at_of(id), HOUR)).filter(|hour| *hour < until);
        let Some(hour) = hour else { return store::State::raise(db, HOURS_UNTIL, until).await };
        roll_hour(db, hour).await?;
        store::State::raise(db, HOURS_UNTIL, hour + HOUR).await?;
    }
}

async fn roll_days(db: &Db) -> Result<()> {
    sql!(NEXT = "SELECT MIN(start) FROM report_rollups WHERE span = $1 AND start >= $2");
    loop {
        let state = store::State::load(db).await?;
        let until = floor(state.hours_until, DAY);
        let next: Option<i64> = on!(db.read(), db =>
            sqlx::query_scalar(NEXT).bind(HOUR).bind(state.days_until).fetch_one(db).await)?;
        let day = next.map(|hour| floor(hour, DAY)).filter(|day| *day < until);
        let Some(day) = day else { return store::State::raise(db, DAYS_UNTIL, until).await };
        roll_day(db, day).await?;
        store::State::raise(db, DAYS_UNTIL, day + DAY).await?;
    }
}

/// How long the sums of an overview's buckets are kept: twice the range that an overview shows.
pub(super) const BUCKET_RETENTION: i64 = 2 * DAY;

/// Sums up the buckets of the last day: without them, an overview of many endpoints would read tens of thousands of
/// results.
async fn roll_buckets(db: &Db, now: i64) -> Result<()> {
    let state = store::State::load(db).await?;
    let until = floor(state.hours_until, BUCKET);
    let from = state.buckets_until.max(floor(now - DAY, BUCKET));
    for bucket in (from..until).step_by(BUCKET as usize) {
        roll_bucket(db, bucket).await?;
        store::State::raise(db, BUCKETS_UNTIL, bucket + BUCKET).await?;
    }
    Ok(())
}

/// Only counts, which the database adds up itself.
async fn roll_bucket(db: &Db, bucket: i64) -> Result<()> {
    sql!(DELETE = "DELETE FROM report_buckets WHERE start = $1");
    sql!(
        ROLL = "
        INSERT INTO report_buckets (series_id, start, checks, up, sum_ms)
        SELECT series_id, $1, COUNT(*), SUM(CASE WHEN up THEN 1 ELSE 0 END),
            SUM(CASE WHEN up THEN total_ms ELSE 0 END)
        FROM report_results WHERE id >= $2 AND id < $3 AND maintenance IS NULL
            AND +series_id IN (SELECT id FROM report_series WHERE NOT forgotten)
        GROUP BY series_id"
    );
    let ids = moment::ids(&(bucket..bucket + BUCKET));
    let mut transaction = store::begin_writing(db).await?;
    on!(transaction.connection(), db => {
        sqlx::query(DELETE).bind(bucket).execute(&mut *db).await?;
        sqlx::query(ROLL).bind(bucket).bind(ids.start).bind(ids.end).execute(db).await?;
    });
    transaction.commit().await
}

async fn redo_late_hours(db: &Db, now: i64) -> Result<()> {
    sql!(LATE = "SELECT start, marks FROM report_late_hours WHERE start < $1 ORDER BY start");
    sql!(DONE = "DELETE FROM report_late_hours WHERE start = $1 AND marks = $2");
    let state = store::State::load(db).await?;
    let late: Vec<(i64, i64)> = on!(db.read(), db =>
        sqlx::query_as(LATE).bind(state.hours_until).fetch_all(db).await)?;
    for (hour, marks) in late {
        // If the hour is purged, its remaining results are incomplete.
        if hour >= state.raw_from {
            roll_hour(db, hour).await?;
            if hour < state.days_until {
                roll_day(db, floor(hour, DAY)).await?;
            }
            let buckets = floor(hour, BUCKET)..(hour + HOUR).min(state.buckets_until);
            for bucket in buckets.step_by(BUCKET as usize).filter(|bucket| *bucket >= now - BUCKET_RETENTION)
            {
                roll_bucket(db, bucket).await?;
            }
        }
        on!(db.write(), db => sqlx::query(DONE).bind(hour).bind(marks).execute(db).await.map(drop))?;
    }
    Ok(())
}

async fn roll_hour(db: &Db, hour: i64) -> Result<()> {
    // The plus makes SQLite use the ids, which are in order, instead of the index on series.
    sql!(
        RESULTS = concat!(
            "SELECT series_id, ",
            raw_columns!(),
            " FROM report_results WHERE id >= $1 AND id < $2 AND +series_id >= $3 AND +series_id < $4"
        )
    );
    let ids = moment::ids(&(hour..hour + HOUR));
    for first in series_pieces(db).await? {
        let mut tallies = BTreeMap::<i64, Tally>::new();
        on!(db.read(), db => {
            let query = sqlx::query(RESULTS).bind(ids.start).bind(ids.end);
            let mut rows = query.bind(first).bind(first + SERIES_AT_ONCE).fetch(db);
            while let Some(row) = rows.try_next().await? {
                let Some(result) = read::<Raw, _>(&row, "series_id") else { continue };
                store::add(tallies.entry(result.0).or_default(), result);
            }
        });
        replace(db, HOUR, hour, &tallies).await?;
    }
    Ok(())
}

async fn roll_day(db: &Db, day: i64) -> Result<()> {
    sql!(
        HOURS = concat!(
            "SELECT ",
            rollup_columns!(),
            " FROM report_rollups WHERE span = $1 AND start >= $2 AND start < $3 AND +series_id >= $4 \
         AND +series_id < $5"
        )
    );
    for first in series_pieces(db).await? {
        let mut tallies = BTreeMap::<i64, Tally>::new();
        on!(db.read(), db => {
            let query = sqlx::query(HOURS).bind(HOUR).bind(day).bind(day + DAY);
            let mut rows = query.bind(first).bind(first + SERIES_AT_ONCE).fetch(db);
            while let Some(row) = rows.try_next().await? {
                let Some(hour) = read::<Rollup, _>(&row, "series_id") else { continue };
                match hour.tally() {
                    Ok(tally) => tallies.entry(hour.series_id).or_default().merge(&tally),
                    Err(error) => {
                        set_aside("rollup");
                        tracing::error!(%error, hour.series_id, "an hour cannot be read: left out of its day");
                    }
                }
            }
        });
        replace(db, DAY, day, &tallies).await?;
    }
    Ok(())
}

/// The first series id of each piece.
async fn series_pieces(db: &Db) -> Result<impl Iterator<Item = i64>> {
    sql!(LAST = "SELECT COALESCE(MAX(id), 0) FROM report_series");
    let last: i64 = on!(db.read(), db => sqlx::query_scalar(LAST).fetch_one(db).await)?;
    Ok((0..=last).step_by(SERIES_AT_ONCE as usize))
}

async fn replace(db: &Db, span: i64, start: i64, tallies: &BTreeMap<i64, Tally>) -> Result<()> {
    sql!(SERIES = "SELECT id FROM report_series WHERE NOT forgotten AND id >= $1 AND id <= $2");
    let (Some((first, _)), Some((last, _))) = (tallies.first_key_value(), tallies.last_key_value()) else {
        return Ok(());
    };
    let mut transaction = store::begin_writing(db).await?;
    // A series that was deleted in the meantime is not restored.
    let series: Vec<i64> = on!(transaction.connection(), db =>
        sqlx::query_scalar(SERIES).bind(first).bind(last).fetch_all(db).await)?;
    let rows: Vec<_> = series.iter().filter_map(|id| Some((*id, tallies.get(id)?))).collect();
    match transaction.connection() {
        On::Sqlite(db) => replace_sqlite(db, span, start, &rows).await?,
        On::Postgres(db) => replace_postgres(db, span, start, &rows).await?,
    }
    transaction.commit().await
}

async fn replace_sqlite(
    db: &mut SqliteConnection,
    span: i64,
    start: i64,
    rows: &[(i64, &Tally)],
) -> Result<()> {
    // The start of a statement; the values follow.
    const REPLACE: &str = "
        INSERT OR REPLACE INTO report_rollups (series_id, span, start, checks, up, sum_ms, min_ms, max_ms, latency,
            dns_ms, connect_ms, tls_ms, first_byte_ms, transfer_ms, maintenance_checks, maintenance_up, degraded) ";
    for rows in rows.chunks(64) {
        let mut replace = QueryBuilder::new(REPLACE);
        replace.push_values(rows, |mut values, (series, tally)| {
            values.push_bind(*series).push_bind(span).push_bind(start);
            values.push_bind(tally.checks).push_bind(tally.up).push_bind(tally.sum_ms);
            values.push_bind(tally.min_ms).push_bind(tally.max_ms).push_bind(tally.latency.to_bytes());
            for ms in tally.phases_ms {
                values.push_bind(ms);
            }
            values
                .push_bind(tally.maintenance_checks)
                .push_bind(tally.maintenance_up)
                .push_bind(tally.degraded);
        });
        replace.build().persistent(rows.len() == 64).execute(&mut *db).await?;
    }
    Ok(())
}

async fn replace_postgres(
    db: &mut PgConnection,
    span: i64,
    start: i64,
    rows: &[(i64, &Tally)],
) -> Result<()> {
    sql!(POSTGRES_REPLACE = "
        INSERT INTO report_rollups (series_id, span, start, checks, up, sum_ms, min_ms, max_ms, latency,
            dns_ms, connect_ms, tls_ms, first_byte_ms, transfer_ms, maintenance_checks, maintenance_up, degraded)
        SELECT series_id, $1, $2, checks, up, sum_ms, min_ms, max_ms, latency,
            dns_ms, connect_ms, tls_ms, first_byte_ms, transfer_ms, maintenance_checks, maintenance_up, degraded
        FROM UNNEST($3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[], $9::BYTEA[],
                $10::BIGINT[], $11::BIGINT[], $12::BIGINT[], $13::BIGINT[], $14::BIGINT[], $15::BIGINT[], $16::BIGINT[],
                $17::BIGINT[])
            AS t (series_id, checks, up, sum_ms, min_ms, max_ms, latency,
                dns_ms, connect_ms, tls_ms, first_byte_ms, transfer_ms, maintenance_checks, maintenance_up, degraded)
        ON CONFLICT (series_id, span, start) DO UPDATE SET checks = excluded.checks, up = excluded.up,
            sum_ms = excluded.sum_ms, min_ms = excluded.min_ms, max_ms = excluded.max_ms, latency = excluded.latency,
            dns_ms = excluded.dns_ms, connect_ms = excluded.connect_ms, tls_ms = excluded.tls_ms,
            first_byte_ms = excluded.first_byte_ms, transfer_ms = excluded.transfer_ms,
            maintenance_checks = excluded.maintenance_checks, maintenance_up = excluded.maintenance_up,
            degraded = excluded.degraded");
    fn column<T>(rows: &[(i64, &Tally)], of: impl Fn(&Tally) -> T) -> Vec<T> {
        rows.iter().map(|(_, tally)| of(tally)).collect()
    }
    let replace = sqlx::query(POSTGRES_REPLACE)
        .bind(span)
        .bind(start)
        .bind(rows.iter().map(|(series, _)| *series).collect::<Vec<_>>())
        .bind(column(rows, |t| t.checks))
        .bind(column(rows, |t| t.up))
        .bind(column(rows, |t| t.sum_ms))
        .bind(column(rows, |t| t.min_ms))
        .bind(column(rows, |t| t.max_ms))
        .bind(column(rows, |t| t.latency.to_bytes()));
    let replace = (0..5).fold(replace, |replace, phase| replace.bind(column(rows, |t| t.phases_ms[phase])));
    replace
        .bind(column(rows, |t| t.maintenance_checks))
        .bind(column(rows, |t| t.maintenance_up))
        .bind(column(rows, |t| t.degraded))
        .execute(db)
        .await?;
    Ok(())
}
