//! Hourly: deletes data that is past its retention: raw results, hourly rollups, and daily rollups.

use axum::{extract::State, routing::post};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{Context, Db, Env, FromEnv, Function, Reply, Result, on, sql};

use super::{
    SERVICE,
    moment::{self, DAY, HOUR, floor},
    partitions,
    rollup::BUCKET_RETENTION,
    store::{self, HOURS_FROM, RAW_FROM},
};
use crate::purge::{Purge, TOMBSTONE_RETENTION, purge, shrink, trusted_now};

pub const FUNCTION: Function = Function::new(
    "report-purge",
    SERVICE,
    "deletes raw results, hourly and daily sums after their retention",
)
.every("40 * * * *", || post(handle))
.reads(runtime::settings!(Retention));

/// Retention in days.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    raw: i64,
    hourly: i64,
    daily: i64,
}

impl FromEnv for Retention {
    const NAMES: &[&str] = &["RETENTION_RAW_DAYS", "RETENTION_HOURLY_DAYS", "RETENTION_DAILY_DAYS"];

    /// `RETENTION_RAW_DAYS` (default 30), `RETENTION_HOURLY_DAYS` (365), `RETENTION_DAILY_DAYS` (1825).
    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let raw = env.parse_or("RETENTION_RAW_DAYS", 30)?;
        let hourly = env.parse_or("RETENTION_HOURLY_DAYS", 365)?;
        let daily = env.parse_or("RETENTION_DAILY_DAYS", 1825)?;
        anyhow::ensure!(
            1 <= raw && raw <= hourly && hourly <= daily && daily <= 36_500,
            "RETENTION_RAW_DAYS, RETENTION_HOURLY_DAYS and RETENTION_DAILY_DAYS must go up, from 1 to 36500"
        );
        Ok(Self { raw, hourly, daily })
    }
}

impl Retention {
    /// The first scheduled time whose raw result is kept. Like all of these, a midnight.
    pub fn raw_from(&self, now: DateTime<Utc>) -> i64 {
        from(now, self.raw).max(moment::FIRST_TIME)
    }

    pub fn hours_from(&self, now: DateTime<Utc>) -> i64 {
        from(now, self.hourly)
    }

    pub fn days_from(&self, now: DateTime<Utc>) -> i64 {
        from(now, self.daily)
    }
}

fn from(now: DateTime<Utc>, days: i64) -> i64 {
    floor(now.timestamp(), DAY) - days * DAY
}

async fn handle(State(context): State<Context>) -> Result<Reply> {
    const RESULTS: Purge = purge!("report_results", "id", "id < $1");
    const BUCKETS: Purge = purge!("report_buckets", "series_id, start", "start < $1");
    const INCIDENTS: Purge = purge!("report_incidents", "id", "ended_at < $1");
    const TOMBSTONES: Purge = purge!("report_tombstones", "what, id", "deleted_at < $1");
    let (db, now) = (context.db()?, trusted_now(&context, "report_purges").await?);
    let retention = context.config::<Retention>()?;
    let state = store::State::load(db).await?;

    // Keeps raw results that are not rolled up yet, or have to be rolled up again.
    let rolled = floor(state.hours_until.min(earliest_late_hour(db).await?), DAY);
    let raw_from = retention.raw_from(now).min(rolled);
    if raw_from > state.raw_from {
        // Stored before the deletion, so that nobody relies on data that may be half deleted.
        store::State::raise(db, RAW_FROM, raw_from).await?;
    }
    match db {
        Db::Sqlite { .. } => RESULTS.run(db, moment::first_id(raw_from)).await?,
        Db::Postgres(pool) => partitions::drop_before(pool, raw_from).await?,
    }
    let hours_from = retention.hours_from(now).min(state.days_until);
    if hours_from > state.hours_from {
        store::State::raise(db, HOURS_FROM, hours_from).await?;
    }
    BUCKETS.run(db, now.timestamp() - BUCKET_RETENTION).await?;
    purge_rollups(db, HOUR, hours_from).await?;
    purge_rollups(db, DAY, retention.days_from(now)).await?;
    INCIDENTS.run(db, now - TimeDelta::days(retention.daily)).await?;
    TOMBSTONES.run(db, (now - TOMBSTONE_RETENTION).timestamp()).await?;
    // Includes what other purges deleted.
    shrink(db).await?;
    Ok(Reply::NONE)
}

async fn earliest_late_hour(db: &Db) -> Result<i64> {
    sql!(EARLIEST = "SELECT MIN(start) FROM report_late_hours");
    let earliest: Option<i64> = on!(db.read(), db => sqlx::query_scalar(EARLIEST).fetch_one(db).await)?;
    Ok(earliest.unwrap_or(i64::MAX))
}

/// Deletes one day of rollups at a time.
async fn purge_rollups(db: &Db, span: i64, before: i64) -> Result<()> {
    sql!(EARLIEST = "SELECT MIN(start) FROM report_rollups WHERE span = $1");
    sql!(PURGE = "DELETE FROM report_rollups WHERE span = $1 AND start < $2");
    loop {
        let earliest: Option<i64> =
            on!(db.read(), db => sqlx::query_scalar(EARLIEST).bind(span).fetch_one(db).await)?;
        let Some(earliest) = earliest.filter(|earliest| *earliest < before) else { return Ok(()) };
        let until = (floor(earliest, DAY) + DAY).min(before);
        on!(db.write(), db => sqlx::query(PURGE).bind(span).bind(until).execute(db).await.map(drop))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retentions_must_go_up() {
        let read = |raw: &str, hourly: &str| {
            let env = [("RETENTION_RAW_DAYS", raw), ("RETENTION_HOURLY_DAYS", hourly)];
            Retention::from_env(&env.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
        };
        assert!(read("7", "30").is_ok());
        for (raw, hourly) in [("60", "30"), ("0", "30"), ("-1", "30"), ("x", "30"), ("1", "99999999999")] {
            assert!(read(raw, hourly).is_err(), "{raw} {hourly}");
        }
    }
}
