//! SQLite and PostgreSQL behind one SQL text with `$1` placeholders.
//!
//! SQLite has one writer: writes use a pool of one connection, so that they queue here instead of failing
//! as busy; reads have their own connections and never wait for a writer.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{
    ColumnIndex, Connection, Database, Decode, Encode, FromRow, PgConnection, PgPool, Row, SqliteConnection,
    SqlitePool, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};

use crate::{Env, Result, items::set_aside};

#[derive(Clone, Debug)]
pub enum Db {
    Sqlite { read: SqlitePool, write: SqlitePool },
    Postgres(PgPool),
}

/// A value of either database: match on it with [`crate::on!`].
#[derive(Debug)]
pub enum On<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// Evaluates one expression for either database: `on!(db.read(), db => query.fetch_all(db).await)`.
#[macro_export]
macro_rules! on {
    ($which:expr, $db:ident => $body:expr) => {
        match $which {
            $crate::db::On::Sqlite($db) => $body,
            $crate::db::On::Postgres($db) => $body,
        }
    };
}

pub type Transaction =
    On<sqlx::Transaction<'static, sqlx::Sqlite>, sqlx::Transaction<'static, sqlx::Postgres>>;

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of a pool that was unused this long are closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// An older connection is closed when it is returned to the pool.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// A connection used this recently is not tested: testing it each time would cost as much as a small
/// query.
const TRUSTED: Duration = Duration::from_secs(1);
/// Time limit for testing a connection. A peer that is frozen, or was replaced by a failover, does not
/// answer as long as TCP keeps the connection.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Time limit for closing all connections of a pool: Docker kills two seconds after an engine's grace
/// period.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// PostgreSQL's own time-outs: for statements, lock waits, and transactions of a client that disappeared.
/// One locked row must not block a connection for each batch that needs it.
pub const SESSION_TIMEOUTS: [(&str, &str); 3] =
    [("statement_timeout", "60s"), ("lock_timeout", "5s"), ("idle_in_transaction_session_timeout", "60s")];

impl Db {
    pub const SETTINGS: &[&str] = &["DATABASE_URL", "DATABASE_MAX_CONNECTIONS"];

    /// `DATABASE_URL`: `sqlite:PATH` or `postgres://...`; `DATABASE_MAX_CONNECTIONS` (default 4) for
    /// PostgreSQL: small, because many functions may start together.
    pub fn from_env(env: &Env) -> anyhow::Result<Self> {
        Self::at(env.required("DATABASE_URL")?, env.parse_or("DATABASE_MAX_CONNECTIONS", 4)?)
    }

    /// Does not connect yet.
    pub fn at(url: &str, max_connections: u32) -> anyhow::Result<Self> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)
                .context("DATABASE_URL is invalid")?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // A killed process loses nothing; only a power failure can lose the last moments.
                .synchronous(SqliteSynchronous::Normal)
                .foreign_keys(true)
                // Affects only new files; an existing one keeps its mode until `VACUUM`.
                .auto_vacuum(SqliteAutoVacuum::Incremental)
                .busy_timeout(ACQUIRE_TIMEOUT)
                .statement_cache_capacity(256);
            let pool = || sqlite_pool(ACQUIRE_TIMEOUT);
            Ok(Self::Sqlite {
                read: pool().max_connections(4).connect_lazy_with(options.clone()),
                write: pool().max_connections(1).connect_lazy_with(options),
            })
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            // The error may contain the password: it is not passed on.
            let options = PgConnectOptions::from_str(url)
                .map_err(|_| anyhow::anyhow!("DATABASE_URL is not an acceptable PostgreSQL URL"))?
                .application_name("pongpong")
                .options(SESSION_TIMEOUTS);
            Ok(Self::Postgres(postgres_pool(max_connections, options)))
        } else {
            anyhow::bail!("DATABASE_URL must start with sqlite: or postgres://")
        }
    }

    /// The same database with separate connections: neither pool waits for the other. SQLite still has
    /// one writer.
    pub fn apart(&self) -> Self {
        match self {
            Self::Sqlite { read, write } => {
                let options = SqliteConnectOptions::clone(&read.connect_options());
                Self::Sqlite { read: read.options().clone().connect_lazy_with(options), write: write.clone() }
            }
            Self::Postgres(pool) => {
                let options = PgConnectOptions::clone(&pool.connect_options());
                Self::Postgres(postgres_pool(pool.options().get_max_connections(), options))
            }
        }
    }

    pub fn read(&self) -> On<&SqlitePool, &PgPool> {
        match self {
            Self::Sqlite { read, .. } => On::Sqlite(read),
            Self::Postgres(pool) => On::Postgres(pool),
        }
    }

    pub fn write(&self) -> On<&SqlitePool, &PgPool> {
        match self {
            Self::Sqlite { write, .. } => On::Sqlite(write),
            Self::Postgres(pool) => On::Postgres(pool),
        }
    }

    /// A write transaction. Rolled back unless committed.
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(match self {
            // IMMEDIATE: another process may write too, and upgrading a lock later can fail.
            Self::Sqlite { write, .. } => On::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => On::Postgres(pool.begin().await?),
        })
    }

    /// Selects by database, if the two need different SQL.
    pub fn pick<T>(&self, sqlite: T, postgres: T) -> T {
        match self {
            Self::Sqlite { .. } => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    pub async fn ping(&self) -> Result<()> {
        on!(self.read(), db => sqlx::query("SELECT 1").execute(db).await.map(drop))?;
        Ok(())
    }

    /// Closes all connections, gracefully if possible.
    pub async fn close(&self) {
        let closed = async {
            match self {
                Self::Sqlite { read, write } => {
                    read.close().await;
                    write.close().await;
                }
                Self::Postgres(pool) => pool.close().await,
            }
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::warn!("connections to the database did not end in time");
        }
    }
}

/// sqlx's own task for idle connections may spin forever in one call, and block everything on its thread
/// (sqlx issue 3645, also in 0.9.0). So neither of its two time-outs is set. An idle connection is closed when its turn
/// comes, or all are, by [`close_idle`], when nobody used the pool.
fn postgres_pool(max_connections: u32, options: PgConnectOptions) -> PgPool {
    let is_used = Arc::new(AtomicBool::new(false));
    let used = Arc::clone(&is_used);
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .min_connections(0)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, used| {
            Box::pin(async move {
                // The oldest comes first: others were used since, and are enough.
                if used.idle_for > IDLE_TIMEOUT {
                    return Ok(false);
                }
                if used.idle_for > TRUSTED {
                    check_alive(connection).await?;
                }
                Ok(true)
            })
        })
        // sqlx itself would ping a returned connection without a time-out.
        .after_release(move |connection, has| {
            used.store(true, Ordering::Relaxed);
            Box::pin(async move {
                check_alive(connection).await?;
                Ok(has.age < MAX_LIFETIME)
            })
        });
    let pool = pool.connect_lazy_with(options);
    let own = pool.clone();
    tokio::spawn(async move {
        let closed = own.close_event();
        tokio::pin!(closed);
        while tokio::time::timeout(IDLE_TIMEOUT, &mut closed).await.is_err() {
            if !is_used.swap(false, Ordering::Relaxed) {
                close_idle(&own).await;
            }
        }
    });
    pool
}

/// Closes connections that are currently unused.
pub async fn close_idle(pool: &PgPool) {
    for _ in 0..pool.options().get_max_connections() {
        let Some(connection) = pool.try_acquire() else { return };
        // A connection whose peer is frozen is dropped instead.
        let _ = tokio::time::timeout(PING_TIMEOUT, connection.close()).await;
    }
}

/// An error closes the connection at once, without a closing message that the peer would not answer
/// either.
async fn check_alive(connection: &mut PgConnection) -> sqlx::Result<()> {
    let ping = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
    ping.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// A pool whose connections are usable. If the disk is full, SQLite rolls back by itself. sqlx does not
/// notice: it considers the connection still in that transaction, and starts no other.
pub fn sqlite_pool(acquire_timeout: Duration) -> SqlitePoolOptions {
    // No time-outs, for the same reason as in [`postgres_pool`].
    let pool = SqlitePoolOptions::new().acquire_timeout(acquire_timeout).test_before_acquire(false);
    let pool = pool.idle_timeout(None).max_lifetime(None);
    pool.after_release(|connection, _| {
        Box::pin(async move {
            // The rollback of a dropped transaction is complete when this is answered.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

impl Transaction {
    pub fn connection(&mut self) -> On<&mut SqliteConnection, &mut PgConnection> {
        match self {
            On::Sqlite(transaction) => On::Sqlite(transaction),
            On::Postgres(transaction) => On::Postgres(transaction),
        }
    }

    pub async fn commit(self) -> Result<()> {
        on!(self, transaction => transaction.commit().await)?;
        Ok(())
    }
}

/// The readable rows: an unreadable one is logged and counted, and does not block the others.
pub fn readable<T, R>(rows: Vec<R>) -> Vec<T>
where
    R: Row,
    T: for<'r> FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    readable_by("id", &rows)
}

/// The IDs of rows, including unreadable ones.
pub fn ids_of<R>(rows: &[R]) -> Vec<i64>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    rows.iter().filter_map(|row| row.try_get("id").ok()).collect()
}

/// Like [`readable`]; `name` is a column that identifies a row.
pub fn readable_by<T, R>(name: &'static str, rows: &[R]) -> Vec<T>
where
    R: Row,
    T: for<'r> FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    rows.iter().filter_map(|row| read(row, name)).collect()
}

/// Like [`readable`], for a page; also returns the number of rows including unreadable ones.
pub fn page_of<T, R>(rows: Vec<R>) -> (Vec<T>, usize)
where
    R: Row,
    T: for<'r> FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let found = rows.len();
    (readable(rows), found)
}

/// Like [`readable`], for one row; `name` is a column that identifies it.
pub fn read<T, R>(row: &R, name: &'static str) -> Option<T>
where
    R: Row,
    T: for<'r> FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let read = T::from_row(row).inspect_err(|error| {
        let id = row.try_get::<i64, _>(name).ok();
        set_aside(std::any::type_name::<T>());
        tracing::error!(%error, name, id, row = std::any::type_name::<T>(), "a row cannot be read: set aside");
    });
    read.ok()
}

/// A value stored as JSON in a text column, the same in both databases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText<T>(pub T);

impl<T, D: Database> Type<D> for JsonText<T>
where
    String: Type<D>,
{
    fn type_info() -> D::TypeInfo {
        <String as Type<D>>::type_info()
    }

    fn compatible(found: &D::TypeInfo) -> bool {
        <String as Type<D>>::compatible(found)
    }
}

impl<'q, T: Serialize, D: Database> Encode<'q, D> for JsonText<T>
where
    String: Encode<'q, D>,
{
    fn encode_by_ref(&self, buffer: &mut D::ArgumentBuffer) -> std::result::Result<IsNull, BoxDynError> {
        serde_json::to_string(&self.0)?.encode(buffer)
    }
}

impl<'r, T: DeserializeOwned, D: Database> Decode<'r, D> for JsonText<T>
where
    &'r str: Decode<'r, D>,
{
    fn decode(value: D::ValueRef<'r>) -> std::result::Result<Self, BoxDynError> {
        Ok(Self(serde_json::from_str(<&str as Decode<D>>::decode(value)?)?))
    }
}

/// A time stored as Unix seconds: four bytes in SQLite, and the same arithmetic in both databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Type)]
#[sqlx(transparent)]
pub struct UnixSeconds(pub i64);

impl UnixSeconds {
    pub fn time(self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0, 0).unwrap_or_default()
    }
}

impl Serialize for UnixSeconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.time().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UnixSeconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        DateTime::<Utc>::deserialize(deserializer).map(|time| Self(time.timestamp()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_forgotten_when_there_is_room_again() {
        let db = Db::at("sqlite::memory:", 1).expect("a database");
        let Db::Sqlite { write, .. } = &db else { panic!("SQLite") };
        // Only for this connection: the next one has room.
        sqlx::query("PRAGMA max_page_count = 4").execute(write).await.expect("is full");
        let insert = async || {
            let mut transaction = db.begin().await?;
            let On::Sqlite(connection) = transaction.connection() else { panic!("SQLite") };
            // A single large row: on this error, SQLite rolls back the whole transaction.
            sqlx::query("CREATE TABLE IF NOT EXISTS t (x BLOB)").execute(&mut *connection).await?;
            sqlx::query("INSERT INTO t VALUES (ZEROBLOB(100000))").execute(connection).await?;
            transaction.commit().await
        };
        let error = insert().await.expect_err("there is no room");
        assert!(error.to_string().contains("disk is full"), "{error}");
        insert().await.expect("there is room");
    }
}
