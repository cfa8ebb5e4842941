//! SQLite and PostgreSQL behind one SQL text with `$1` placeholders.
//!
//! SQLite has one writer: writes go through a pool of one connection, so that they queue here
//! instead of failing as busy; reads have connections of their own and never wait for a writer.

use std::{
    ops::Deref,
    str::FromStr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
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
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{Env, Result, items::set_aside};

#[derive(Clone, Debug)]
pub enum Db {
    Sqlite { read: SqlitePool, write: SqlitePool },
    Postgres(Postgres),
}

/// The same thing of either database: match on it with [`crate::on!`].
#[derive(Debug)]
pub enum On<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// Runs one expression on whichever database it is: `on!(db.read(), db => query.fetch_all(db).await)`.
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
/// A connection that was used a moment ago is taken to be well: to ask it each time costs as much as a
/// small question.
const TRUSTED: Duration = Duration::from_secs(1);
/// For an idle connection to answer a ping; one that does not is closed.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// A pool is replaced when all its connections are in use and none was taken or given back for so long.
const STUCK_AFTER: Duration = Duration::from_secs(6);
/// For connections to end at shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What PostgreSQL itself ends: statements, waits for a lock, and transactions of a client that is gone.
/// `SET`, because PgBouncer refuses parameters at startup.
const SESSION_TIMEOUTS: &str = "SET statement_timeout = '60s'; SET lock_timeout = '5s'; \
    SET idle_in_transaction_session_timeout = '60s'";

impl Db {
    pub const SETTINGS: &[&str] = &["DATABASE_URL", "DATABASE_MAX_CONNECTIONS"];

    /// `DATABASE_URL`: `sqlite:PATH` or `postgres://...`; `DATABASE_MAX_CONNECTIONS` (default 4) for
    /// PostgreSQL: small, for many functions may wake together.
    pub fn from_env(env: &Env) -> anyhow::Result<Self> {
        Self::at(env.required("DATABASE_URL")?, env.parse_or("DATABASE_MAX_CONNECTIONS", 4)?)
    }

    /// Does not connect yet.
    pub fn at(url: &str, max_connections: u32) -> anyhow::Result<Self> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)
                .context("DATABASE_URL is not acceptable")?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // A killed process loses nothing; only a power cut can cost the last moments.
                .synchronous(SqliteSynchronous::Normal)
                .foreign_keys(true)
                .busy_timeout(ACQUIRE_TIMEOUT)
                .statement_cache_capacity(256);
            let pool = || sqlite_pool(ACQUIRE_TIMEOUT);
            Ok(Self::Sqlite {
                read: pool().max_connections(4).connect_lazy_with(options.clone()),
                write: pool().max_connections(1).connect_lazy_with(options),
            })
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            // The error may hold the password: it is not passed on.
            let options = PgConnectOptions::from_str(url)
                .map_err(|_| anyhow::anyhow!("DATABASE_URL is not an acceptable PostgreSQL URL"))?
                .application_name("pongpong");
            Ok(Self::Postgres(Postgres(Arc::new(Generation::new(options, max_connections)))))
        } else {
            anyhow::bail!("DATABASE_URL must start with sqlite: or postgres://")
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

    /// A transaction for writing. Undone unless committed.
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(match self {
            // IMMEDIATE: another process may write too, and a lock that is upgraded later can fail.
            Self::Sqlite { write, .. } => On::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => On::Postgres(pool.begin().await?),
        })
    }

    /// Where the two need different SQL.
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

    pub async fn close(&self) {
        match self {
            Self::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => {
                if tokio::time::timeout(CLOSE_TIMEOUT, pool.close()).await.is_err() {
                    tracing::warn!("database connections did not end in time");
                }
            }
        }
    }
}

/// PostgreSQL's pool, replaced when none of its connections answers.
///
/// sqlx pings a connection that is given back, without a time-out. If the peer is gone without a word (a failover, a
/// frozen machine), each such ping keeps its place in the pool for ever, although new connections work.
#[derive(Clone, Debug)]
pub struct Postgres(Arc<Generation>);

/// A pool, and the one that replaced it.
#[derive(Debug)]
struct Generation {
    pool: PgPool,
    options: PgConnectOptions,
    max_connections: u32,
    progress: Arc<Progress>,
    next: OnceLock<Box<Self>>,
}

/// When a connection was last taken or given back.
#[derive(Debug)]
struct Progress {
    started: Instant,
    /// Milliseconds after that; 0: never.
    last: AtomicU64,
}

impl Progress {
    fn made(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed.max(1), Ordering::Relaxed);
    }

    /// `None`: never made.
    fn age(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed);
        (last > 0).then(|| self.started.elapsed().saturating_sub(Duration::from_millis(last)))
    }
}

impl Generation {
    fn new(options: PgConnectOptions, max_connections: u32) -> Self {
        let progress = Arc::new(Progress { started: Instant::now(), last: AtomicU64::new(0) });
        let [connected, taken, returned] = [&progress, &progress, &progress].map(Arc::clone);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .min_connections(0)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(Duration::from_secs(15))
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let progress = Arc::clone(&connected);
                Box::pin(async move {
                    sqlx::raw_sql(SESSION_TIMEOUTS).execute(connection).await?;
                    progress.made();
                    Ok(())
                })
            })
            .before_acquire(move |connection, used| {
                let progress = Arc::clone(&taken);
                Box::pin(async move {
                    if used.idle_for > TRUSTED {
                        let ping = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
                        // An error closes the connection at once, without a farewell to the peer.
                        ping.map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))??;
                    }
                    progress.made();
                    Ok(true)
                })
            })
            .after_release(move |_, _| {
                returned.made();
                Box::pin(async { Ok(true) })
            })
            .connect_lazy_with(options.clone());
        Self { pool, options, max_connections, progress, next: OnceLock::new() }
    }

    /// A pool that never connected is not: its places are held by attempts, and those have a time-out.
    fn is_stuck(&self) -> bool {
        self.pool.num_idle() == 0
            && self.pool.size() >= self.max_connections
            && self.progress.age().is_some_and(|age| age > STUCK_AFTER)
    }

    fn replace(&self) -> &Self {
        self.next.get_or_init(|| {
            tracing::error!("no database connection answers: the pool is replaced");
            // Whoever waits for a connection gets an error now; a connection that comes back after all is closed.
            drop(self.pool.close());
            Box::new(Self::new(self.options.clone(), self.max_connections))
        })
    }
}

impl Deref for Postgres {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        let mut current = &*self.0;
        while let Some(next) = current.next.get() {
            current = next;
        }
        if current.is_stuck() {
            current = current.replace();
        }
        &current.pool
    }
}

/// A pool whose connections are well. What fails for want of disk SQLite itself rolls back, which sqlx
/// does not hear of: it takes the connection to be in that transaction for ever, and begins no other.
pub fn sqlite_pool(acquire_timeout: Duration) -> SqlitePoolOptions {
    let pool = SqlitePoolOptions::new().acquire_timeout(acquire_timeout).test_before_acquire(false);
    pool.after_release(|connection, _| {
        Box::pin(async move {
            // The transaction's own end is under way until this is answered.
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

/// The rows that can be read: one that cannot is logged and counted, and keeps nobody from the others.
pub fn readable<T, R>(rows: Vec<R>) -> Vec<T>
where
    R: Row,
    T: for<'r> FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let read = |row: &R| {
        T::from_row(row).inspect_err(|error| {
            let id = row.try_get::<i64, _>("id").ok();
            set_aside(std::any::type_name::<T>());
            tracing::error!(%error, id, row = std::any::type_name::<T>(), "a row cannot be read: set aside");
        })
    };
    rows.iter().filter_map(|row| read(row).ok()).collect()
}

/// A value kept as JSON in a text column, the same in both databases.
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

/// A moment kept as Unix seconds: four bytes in SQLite, and the same arithmetic in both databases.
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
        // Of this connection alone: the next one has room.
        sqlx::query("PRAGMA max_page_count = 2").execute(write).await.expect("is full");
        let insert = async || {
            let mut transaction = db.begin().await?;
            let On::Sqlite(connection) = transaction.connection() else { panic!("SQLite") };
            // Of one row: that is what SQLite undoes as a whole.
            sqlx::query("CREATE TABLE IF NOT EXISTS t (x BLOB)").execute(&mut *connection).await?;
            sqlx::query("INSERT INTO t VALUES (ZEROBLOB(100000))").execute(connection).await?;
            transaction.commit().await
        };
        let error = insert().await.expect_err("there is no room");
        assert!(error.to_string().contains("disk is full"), "{error}");
        insert().await.expect("there is room");
    }
}
