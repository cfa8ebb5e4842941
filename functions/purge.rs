//! Shared by purges: a trusted time, and deletion in batches.

use chrono::{DateTime, TimeDelta, Utc};
use runtime::{Context, Db, Result, on, sql};
use sqlx::{AssertSqlSafe, Encode, Postgres, Sqlite, Type};

/// How far ahead of the last purge the clock is trusted at once.
const MAX_GAP: TimeDelta = TimeDelta::days(2);
/// After this time, a clock that was not trusted is trusted: it is right, and the machine was off.
const CONFIRMED_AFTER: TimeDelta = TimeDelta::days(1);

/// The time that purges use instead of the clock: if the clock jumped ahead, everything would be old.
/// `table` stores it for the purges of one service.
pub(crate) async fn trusted_now(context: &Context, table: &'static str) -> Result<DateTime<Utc>> {
    let (db, now) = (context.db()?, context.clock().now());
    // The name comes only from our code.
    let select = AssertSqlSafe(format!("SELECT trusted_at, doubted_at FROM {table} WHERE id = 1"));
    let update = AssertSqlSafe(format!("UPDATE {table} SET trusted_at = $1, doubted_at = $2 WHERE id = 1"));
    let (trusted_at, doubted_at) = on!(db.read(), db => sqlx::query_as(select).fetch_one(db).await)?;
    let seen = Seen { trusted_at, doubted_at }.after(now.timestamp());
    // For the very first purge, waiting is normal and not logged.
    if let Some(since) = seen.doubted_at.filter(|_| seen.trusted_at > 0) {
        let (since, trusted) = (time(since), time(seen.trusted_at));
        tracing::warn!(%now, %trusted, %since, "the clock is far ahead of the last purge: purging continues by the earlier time for a day");
    }
    on!(db.write(), db => {
        let update = sqlx::query(update).bind(seen.trusted_at).bind(seen.doubted_at);
        update.execute(db).await.map(drop)
    })?;
    Ok(time(seen.trusted_at))
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// Times in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    trusted_at: i64,
    /// When the clock first showed a time too far ahead.
    doubted_at: Option<i64>,
}

impl Seen {
    fn after(self, now: i64) -> Self {
        let is_near = now <= self.trusted_at + MAX_GAP.num_seconds();
        let is_confirmed = self.doubted_at.is_some_and(|since| now >= since + CONFIRMED_AFTER.num_seconds());
        if is_near || is_confirmed {
            return Self { trusted_at: now, doubted_at: None };
        }
        Self { doubted_at: Some(self.doubted_at.map_or(now, |since| since.min(now))), ..self }
    }
}

/// How long a tombstone prevents a late event from restoring deleted data. The latest events are replayed
/// dead letters.
pub(crate) const TOMBSTONE_RETENTION: TimeDelta = TimeDelta::days(90);

/// The limit for purging tombstones without a schedule, each time a new one is created. `newest` is the
/// time of the previous tombstone, in Unix seconds, so that the first tombstone after a clock jump still
/// uses the old time.
pub(crate) fn tombstones_before(newest: Option<i64>, now: DateTime<Utc>) -> i64 {
    newest.unwrap_or_default().min(now.timestamp()) - TOMBSTONE_RETENTION.num_seconds()
}

/// Deletes rows older than a given time.
pub(crate) struct Purge {
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

/// A [`Purge`] of the rows of a table for which a condition on `$1` holds; `$key` is the table's key.
/// Deletes in batches, so that others can write in between. On PostgreSQL, skips locked rows until the
/// next run, so that no purge can deadlock.
macro_rules! purge {
    ($table:literal, $key:literal, $is_old:literal) => {
        purge!(@ concat!("DELETE FROM ", $table, " WHERE (", $key, ") IN (SELECT ", $key, " FROM ", $table,
            " WHERE ", $is_old, " LIMIT 5000"))
    };
    (@ concat!($($sql:literal),*)) => {
        $crate::purge::Purge {
            sqlite: concat!($($sql,)* ")"),
            postgres: concat!($($sql,)* " FOR UPDATE SKIP LOCKED)"),
        }
    };
}
pub(crate) use purge;

impl Purge {
    pub async fn run<T>(&self, db: &Db, before: T) -> Result<()>
    where
        T: Copy + Send + Type<Sqlite> + Type<Postgres>,
        T: for<'q> Encode<'q, Sqlite> + for<'q> Encode<'q, Postgres>,
    {
        let purge = db.pick(self.sqlite, self.postgres);
        while on!(db.write(), db =>
            sqlx::query(purge).bind(before).execute(db).await.map(|done| done.rows_affected()))?
            > 0
        {}
        Ok(())
    }
}

/// Shrinks SQLite's file by its free pages, but keeps a tenth of them for new rows. Works in steps of a
/// few megabytes, so that others can write in between. Files created before `auto_vacuum` was set keep
/// their size.
pub(crate) async fn shrink(db: &Db) -> Result<()> {
    sql!(SQLITE_PAGES = "SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count");
    const STEP: &str = "PRAGMA incremental_vacuum(1000)";
    /// Does not wait for readers or writers.
    const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";
    let Db::Sqlite { write, .. } = db else { return Ok(()) };
    let mut before = i64::MAX;
    loop {
        let (free, pages): (i64, i64) = sqlx::query_as(SQLITE_PAGES).fetch_one(write).await?;
        if free <= pages / 10 || free >= before {
            break;
        }
        before = free;
        sqlx::query(STEP).execute(write).await?;
    }
    sqlx::query(CHECKPOINT).execute(write).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const NOW: i64 = 20_000 * DAY;

    #[test]
    fn a_clock_is_followed_and_a_jump_is_not() {
        let seen = Seen { trusted_at: NOW, doubted_at: None };
        assert_eq!(seen.after(NOW + 2 * DAY), Seen { trusted_at: NOW + 2 * DAY, doubted_at: None });
        assert_eq!(seen.after(NOW - 90 * DAY), Seen { trusted_at: NOW - 90 * DAY, doubted_at: None });
        let ahead = seen.after(NOW + 100 * DAY);
        assert_eq!(ahead, Seen { trusted_at: NOW, doubted_at: Some(NOW + 100 * DAY) });
        assert_eq!(ahead.after(NOW + 100 * DAY + 3600), ahead);
        assert_eq!(ahead.after(NOW + 3600), Seen { trusted_at: NOW + 3600, doubted_at: None });
        // Set back only partly: the waiting time starts again.
        assert_eq!(ahead.after(NOW + 50 * DAY).doubted_at, Some(NOW + 50 * DAY));
    }

    #[test]
    fn after_a_long_pause_a_clock_is_believed_within_a_day() {
        let seen = Seen { trusted_at: NOW, doubted_at: None }.after(NOW + 100 * DAY);
        let confirmed = seen.after(NOW + 101 * DAY);
        assert_eq!(confirmed, Seen { trusted_at: NOW + 101 * DAY, doubted_at: None });
    }
}
