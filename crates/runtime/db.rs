//! SQLite and PostgreSQL behind one SQL text with `$1` placeholders.
//!
//! SQLite has one writer: writes go through a pool of one connection, so that they queue here
//! instead of failing as busy; reads have connections of their own and never wait for a writer.

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
/// Connections of a pool that nobody used for so long are closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection that is older is closed when it is given back.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// A connection that was used a moment ago is taken to be well: to ask it each time costs as much as a
/// small question.
const TRUSTED: Duration = Duration::from_secs(1);
/// For a connection to say that it is well. A peer that is frozen, or behind a failover, says nothing for as long as
/// TCP believes in it.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// For all connections of a pool to end in good order: Docker kills two seconds after an engine's grace.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// What PostgreSQL itself ends: statements, waits for a lock, and transactions of a client that is gone. One row that
/// somebody holds must not take a connection for each batch that needs it.
pub const SESSION_TIMEOUTS: [(&str, &str); 3] =
    [("statement_timeout", "60s"), ("lock_timeout", "5s"), ("idle_in_transaction_session_timeout", "60s")];

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
                .context("DATABASE_URL is invalid")?
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // A killed process loses nothing; only a power cut can cost the last moments.
                .synchronous(SqliteSynchronous::Normal)
                .foreign_keys(true)
                // Of a new file; an old one keeps what it has until `VACUUM`.
                .auto_vacuum(SqliteAutoVacuum::Incremental)
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
                .application_name("pongpong")
                .options(SESSION_TIMEOUTS);
            Ok(Self::Postgres(postgres_pool(max_connections, options)))
        } else {
            anyhow::bail!("DATABASE_URL must start with sqlite: or postgres://")
        }
    }

    /// The same database, by other connections: whoever waits for those of the one waits for none of the other.
    /// SQLite has one writer all the same.
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

    /// Ends all connections, in good order where they let us.
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

/// sqlx's own task that closes idle connections may spin for ever in one call, and with it whatever waits for its thread
/// (sqlx issue 3645, of 0.9.0 too): neither of its two time-outs is set, and [`close_idle`] does what the task did.
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
                if used.idle_for > TRUSTED {
                    check_alive(connection).await?;
                }
                Ok(true)
            })
        })
        // sqlx itself pings a connection that is given back, and waits for it without end.
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

/// Closes the connections that nobody uses now.
pub async fn close_idle(pool: &PgPool) {
    for _ in 0..pool.options().get_max_connections() {
        let Some(connection) = pool.try_acquire() else { return };
        // One whose peer is frozen is dropped instead.
        let _ = tokio::time::timeout(PING_TIMEOUT, connection.close()).await;
    }
}

/// An error closes the connection at once, without a farewell that it would not answer either.
async fn check_alive(connection: &mut PgConnection) -> sqlx::Result<()> {
    let ping = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
    ping.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// A pool whose connections are well. What fails for want of disk SQLite itself rolls back, which sqlx
/// does not hear of: it takes the connection to be in that transaction for ever, and begins no other.
pub fn sqlite_pool(acquire_timeout: Duration) -> SqlitePoolOptions {
    // Without the two time-outs for the reason that [`postgres_pool`] has.
    let pool = SqlitePoolOptions::new().acquire_timeout(acquire_timeout).test_before_acquire(false);
    let pool = pool.idle_timeout(None).max_lifetime(None);
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
    readable_by("id", &rows)
}

/// The ids of rows, also of those that cannot be read.
pub fn ids_of<R>(rows: &[R]) -> Vec<i64>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    rows.iter().filter_map(|row| row.try_get("id").ok()).collect()
}

/// The same as [`readable`]; `name` is a column by which a row can be found.
pub fn readable_by<T, R>(name: &'static str, rows: &[R]) -> Vec<T>
where
    R: Row,
    T: for<'r> FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    rows.iter().filter_map(|row| read(row, name)).collect()
}

/// The same of a page, and how many rows it has with those that cannot be read.
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

/// The same of one row; `name` is a column by which it can be found.
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
        sqlx::query("PRAGMA max_page_count = 4").execute(write).await.expect("is full");
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
