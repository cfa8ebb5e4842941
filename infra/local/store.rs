//! `engine.db`: the data that Kong's database and the broker keep on a cluster.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use runtime::db::sqlite_pool;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

#[derive(Clone, Debug)]
pub struct Store {
    pub read: SqlitePool,
    /// SQLite allows one writer: writes queue for this one connection.
    pub write: SqlitePool,
}

impl Store {
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Committed data survives a killed process; only a power failure can lose the last moments.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = |max| {
            sqlite_pool(Duration::from_secs(30)).max_connections(max).connect_lazy_with(options.clone())
        };
        let store = Self { read: pool(2), write: pool(1) };
        let migrated = sqlx::migrate!("./migrations").run(&store.write).await;
        migrated.with_context(|| format!("preparing {}", path.display()))?;
        Ok(store)
    }

    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}
