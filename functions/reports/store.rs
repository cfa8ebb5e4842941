//! Table access that several operations share.

use std::ops::Range;

use futures::TryStreamExt;
use runtime::{Db, Result, db::Transaction, on, sql};
use serde::{
    Deserialize,
    de::{IntoDeserializer, value::StringDeserializer},
};

use super::{
    moment::{self, DAY, HOUR, ceil, floor},
    sketch::Sketch,
    tally::{Phases, Tally},
};
use contract::{Failure, FailureCode};

/// The key of an advisory lock of PostgreSQL.
const WRITING: i64 = 0x7265_706f_7274_0001;

/// Begins a transaction that adds rows to series. Before a series is marked as forgotten, [`begin_forgetting`] waits
/// until none of these transactions runs, so that no row is added after the series was deleted.
pub async fn begin_writing(db: &Db) -> Result<Transaction> {
    locked(db, "SELECT pg_advisory_xact_lock_shared($1)").await
}

// Makes recorders that keep series in memory look them up again.
sql!(pub LOOK_AGAIN = "
    INSERT INTO report_state (name, value) VALUES ('forgets', 1)
    ON CONFLICT (name) DO UPDATE SET value = report_state.value + 1");

pub async fn begin_forgetting(db: &Db) -> Result<Transaction> {
    locked(db, "SELECT pg_advisory_xact_lock($1)").await
}

async fn locked(db: &Db, lock: &'static str) -> Result<Transaction> {
    let mut transaction = db.begin().await?;
    // SQLite has one writer at a time anyway.
    if let runtime::db::On::Postgres(postgres) = &mut transaction {
        sqlx::query(lock).bind(WRITING).execute(&mut **postgres).await?;
    }
    Ok(transaction)
}

/// The progress of scheduled work, in scheduled times.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// Hours before this are rolled up.
    pub hours_until: i64,
    /// Days before this are rolled up.
    pub days_until: i64,
    /// Buckets of [`BUCKET`] seconds before this are summed up, as long as they are kept.
    pub buckets_until: i64,
    /// Raw results before this are purged, or being purged.
    pub raw_from: i64,
    /// Hourly rollups before this are purged, or being purged.
    pub hours_from: i64,
}

pub const HOURS_UNTIL: &str = "hours_until";
pub const DAYS_UNTIL: &str = "days_until";
pub const BUCKETS_UNTIL: &str = "buckets_until";
pub const RAW_FROM: &str = "raw_from";
pub const HOURS_FROM: &str = "hours_from";

impl State {
    pub async fn load(db: &Db) -> Result<Self> {
        sql!(LOAD = "SELECT name, value FROM report_state");
        let rows: Vec<(String, i64)> = on!(db.read(), db => sqlx::query_as(LOAD).fetch_all(db).await)?;
        let mut state = Self::default();
        for (name, value) in rows {
            match name.as_str() {
                HOURS_UNTIL => state.hours_until = value,
                DAYS_UNTIL => state.days_until = value,
                BUCKETS_UNTIL => state.buckets_until = value,
                RAW_FROM => state.raw_from = value,
                HOURS_FROM => state.hours_from = value,
                _ => {}
            }
        }
        Ok(state)
    }

    /// Never decreases the value: the same function may run twice at the same time.
    pub async fn raise(db: &Db, name: &str, value: i64) -> Result<()> {
        sql!(RAISE = "
            INSERT INTO report_state (name, value) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > report_state.value");
        on!(db.write(), db => sqlx::query(RAISE).bind(name).bind(value).execute(db).await.map(drop))?;
        Ok(())
    }
}

/// A range of scheduled times in parts, each read from the coarsest rows that cover it exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    pub raw: Vec<Range<i64>>,
    pub hours: Vec<Range<i64>>,
    pub days: Vec<Range<i64>>,
}

impl Cover {
    pub fn of(range: &Range<i64>, hours_until: i64, days_until: i64) -> Self {
        let mut cover = Self::default();
        let hours = within(range, HOUR, hours_until);
        cover.raw = around(range, &hours);
        let days = within(&hours, DAY, days_until);
        cover.hours = around(&hours, &days);
        cover.days.extend((!days.is_empty()).then_some(days));
        cover
    }
}

/// The whole spans of a range that end by `until`.
pub fn within(range: &Range<i64>, span: i64, until: i64) -> Range<i64> {
    let start = ceil(range.start, span);
    start..floor(range.end.min(until), span).max(start)
}

/// The rest of a range before and after a part of it.
pub fn around(range: &Range<i64>, part: &Range<i64>) -> Vec<Range<i64>> {
    let sides = if part.is_empty() {
        vec![range.clone()]
    } else {
        vec![range.start..part.start, part.end..range.end]
    };
    sides.into_iter().filter(|side| !side.is_empty()).collect()
}

/// The part of a message that is kept.
pub fn shortened(message: &str) -> &str {
    &message[..message.floor_char_boundary(500)]
}

pub fn failure(code: Option<String>, message: Option<String>) -> Option<Failure> {
    let code: StringDeserializer<serde::de::value::Error> = code?.into_deserializer();
    let code = FailureCode::deserialize(code).ok()?;
    Some(Failure { code, message: message.unwrap_or_default() })
}

#[derive(sqlx::FromRow)]
pub struct Rollup {
    pub series_id: i64,
    pub start: i64,
    pub checks: i64,
    pub up: i64,
    pub degraded: i64,
    pub sum_ms: i64,
    pub min_ms: i64,
    pub max_ms: i64,
    pub latency: Vec<u8>,
    pub dns_ms: Option<i64>,
    pub connect_ms: Option<i64>,
    pub tls_ms: Option<i64>,
    pub first_byte_ms: Option<i64>,
    pub transfer_ms: Option<i64>,
    pub maintenance_checks: i64,
    pub maintenance_up: i64,
}

/// The columns of [`Rollup`], for a static SELECT.
macro_rules! rollup_columns {
    () => {
        "series_id, start, checks, up, degraded, sum_ms, min_ms, max_ms, latency, dns_ms, connect_ms, tls_ms, \
         first_byte_ms, transfer_ms, maintenance_checks, maintenance_up"
    };
}
pub(super) use rollup_columns;

impl Rollup {
    pub fn tally(&self) -> Result<Tally> {
        let Self { checks, up, degraded, sum_ms, min_ms, max_ms, .. } = *self;
        let latency = Sketch::from_bytes(&self.latency).ok_or_else(|| {
            anyhow::anyhow!("the sketch of series {} at {} is broken", self.series_id, self.start)
        })?;
        let phases_ms = [self.dns_ms, self.connect_ms, self.tls_ms, self.first_byte_ms, self.transfer_ms];
        Ok(Tally {
            checks,
            up,
            degraded,
            sum_ms,
            min_ms,
            max_ms,
            phases_ms,
            latency,
            maintenance_checks: self.maintenance_checks,
            maintenance_up: self.maintenance_up,
        })
    }
}

/// The columns of a raw result that are summed up, after its id or its series.
pub type Raw =
    (i64, bool, i32, Option<i32>, Option<i32>, Option<i32>, Option<i32>, Option<i32>, Option<bool>, bool);

/// The columns of [`Raw`] after the first.
macro_rules! raw_columns {
    () => {
        "up, total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, transfer_ms, maintenance, \
         up AND error_code IS NOT NULL AS degraded"
    };
}
pub(super) use raw_columns;

pub fn add(tally: &mut Tally, result: Raw) {
    let (_, up, total_ms, dns, connect, tls, first_byte, transfer, maintenance, degraded) = result;
    let phases_ms: Phases<i32> = [dns, connect, tls, first_byte, transfer];
    match maintenance {
        Some(true) => tally.add_maintenance(up),
        _ => {
            tally.add(up, total_ms, phases_ms);
            tally.degraded += i64::from(degraded);
        }
    }
}

/// Passes every raw result of a series in a range to `take`, with its scheduled time.
pub async fn each_result(
    db: &Db,
    series_id: i64,
    times: &Range<i64>,
    mut take: impl FnMut(i64, Raw),
) -> Result<()> {
    sql!(
        RESULTS = concat!(
            "SELECT id, ",
            raw_columns!(),
            " FROM report_results WHERE series_id = $1 AND id >= $2 AND id < $3"
        )
    );
    let ids = moment::ids(times);
    on!(db.read(), db => {
        let query = sqlx::query_as::<_, Raw>(RESULTS).bind(series_id).bind(ids.start).bind(ids.end);
        let mut rows = query.fetch(db);
        while let Some(result) = rows.try_next().await? {
            take(moment::scheduled_at_of(result.0), result);
        }
    });
    Ok(())
}

/// The rollups of a series that start within a range.
pub async fn rollups(db: &Db, series_id: i64, span: i64, starts: &Range<i64>) -> Result<Vec<Rollup>> {
    sql!(
        ROLLUPS = concat!(
            "SELECT ",
            rollup_columns!(),
            " FROM report_rollups WHERE series_id = $1 AND span = $2 AND start >= $3 AND start < $4"
        )
    );
    Ok(on!(db.read(), db => {
        let query = sqlx::query_as(ROLLUPS).bind(series_id).bind(span);
        query.bind(starts.start).bind(starts.end).fetch_all(db).await
    })?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cover_holds_every_second_once(
            start in 0..10 * DAY, length in 1..10 * DAY, hours_until in 0..20 * DAY, days_until in 0..20 * DAY,
        ) {
            let range = start..start + length;
            let (hours_until, days_until) = (floor(hours_until, HOUR), floor(days_until, DAY));
            let cover = Cover::of(&range, hours_until, days_until);
            prop_assert!(cover.hours.iter().all(|r| r.start % HOUR == 0 && r.end % HOUR == 0 && r.end <= hours_until));
            prop_assert!(cover.days.iter().all(|r| r.start % DAY == 0 && r.end % DAY == 0 && r.end <= days_until));
            let mut parts = [cover.raw, cover.hours, cover.days].concat();
            parts.sort_by_key(|part| part.start);
            prop_assert_eq!((parts[0].start, parts[parts.len() - 1].end), (range.start, range.end));
            prop_assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
        }
    }
}
