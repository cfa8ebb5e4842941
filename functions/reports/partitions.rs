//! Daily partitions of `report_results`, on PostgreSQL.
//!
//! No statement here waits long for a lock on the whole table, because every reader and recorder would wait behind
//! it. A backup (`pg_dump`) holds such a lock for as long as it runs.

use sqlx::{PgConnection, PgPool};

use super::moment;
use runtime::{Result, sql};

/// How many days ahead partitions are created. Creation may fail for this long before a recorder has to create one.
const DAYS_AHEAD: i64 = 3;

/// SQLSTATE of a statement that `lock_timeout` cancelled.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Creates the partitions of the next days. If one cannot be created now, the next run creates it.
pub async fn make_ahead(pool: &PgPool, now: i64) -> Result<()> {
    let today = moment::day_of(now);
    for day in today..=today + DAYS_AHEAD {
        unless_locked(ensure(pool, day).await, "a partition of results could not be made ahead", day)?;
    }
    Ok(())
}

/// Creates a day's partition, if it does not exist.
pub async fn ensure(pool: &PgPool, day: i64) -> sqlx::Result<()> {
    sql!(POSTGRES_IS_THERE = "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1))");
    sql!(POSTGRES_LOCK = "SELECT pg_advisory_xact_lock(x'7265706f72740002'::bigint)");
    let name = name(day);
    let is_there = sqlx::query_scalar(POSTGRES_IS_THERE).bind(&name);
    if is_there.fetch_one(pool).await? {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    // If two transactions created the same partition, one would fail.
    sqlx::query(POSTGRES_LOCK).execute(&mut *transaction).await?;
    let is_there = sqlx::query_scalar(POSTGRES_IS_THERE).bind(&name);
    if is_there.fetch_one(&mut *transaction).await? {
        return Ok(());
    }
    let ids = moment::ids(&(moment::start_of_day(day)..moment::start_of_day(day + 1)));
    // PARTITION OF would lock the whole table against readers; ATTACH does not.
    limit_waiting(&mut transaction, "3s").await?;
    let create = format!("CREATE TABLE {name} (LIKE report_results)");
    let attach = format!(
        "ALTER TABLE report_results ATTACH PARTITION {name} FOR VALUES FROM ({}) TO ({})",
        ids.start, ids.end
    );
    for statement in [create, attach] {
        // Contains only numbers.
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// Drops the partitions of days before a scheduled time: instant, and nothing to vacuum. If a reader blocks the drop,
/// a later run drops the partition.
pub async fn drop_before(pool: &PgPool, scheduled_at: i64) -> Result<()> {
    sql!(
        POSTGRES_PARTITIONS = "
        SELECT relname::TEXT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'report_results'::REGCLASS"
    );
    let names: Vec<String> = sqlx::query_scalar(POSTGRES_PARTITIONS).fetch_all(pool).await?;
    let days = names.iter().filter_map(|name| name.strip_prefix("report_results_d")?.parse::<i64>().ok());
    for day in days.filter(|day| moment::start_of_day(day + 1) <= scheduled_at) {
        if !unless_locked(drop(pool, day).await, "a partition of results could not be dropped", day)? {
            // The others cannot be dropped either.
            break;
        }
    }
    Ok(())
}

async fn drop(pool: &PgPool, day: i64) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    // Needs a lock on the whole table for a moment, and recorders wait behind it.
    limit_waiting(&mut transaction, "300ms").await?;
    // Contains only a number.
    let drop = sqlx::AssertSqlSafe(format!("DROP TABLE IF EXISTS {}", name(day)));
    sqlx::query(drop).execute(&mut *transaction).await?;
    transaction.commit().await
}

fn name(day: i64) -> String {
    format!("report_results_d{day}")
}

async fn limit_waiting(transaction: &mut PgConnection, limit: &'static str) -> sqlx::Result<()> {
    sql!(POSTGRES_LIMIT = "SELECT set_config('lock_timeout', $1, TRUE)");
    sqlx::query(POSTGRES_LIMIT).bind(limit).execute(transaction).await.map(std::mem::drop)
}

/// Returns true if it is done, and false if a later run has to do it.
fn unless_locked(done: sqlx::Result<()>, event: &'static str, day: i64) -> Result<bool> {
    match done {
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == LOCK_NOT_AVAILABLE) => {
            tracing::warn!(day, "{event}: the table is locked; tried again by the next run");
            Ok(false)
        }
        done => Ok(done.map(|()| true)?),
    }
}
