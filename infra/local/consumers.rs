//! Consumers and their keys. Only the hashes of keys are stored: the file does not contain a usable key.

use anyhow::Result;
use chrono::{DateTime, Utc};
use runtime::secret::hash;

use crate::store::Store;

#[derive(Clone, Debug)]
pub struct Consumers(Store);

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Consumer {
    pub id: String,
    pub username: Option<String>,
    pub custom_id: Option<String>,
    /// JSON
    pub tags: Option<String>,
    pub created_at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Key {
    pub id: String,
    pub consumer_id: String,
    /// JSON
    pub tags: Option<String>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
}

/// A valid key, and its consumer.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Credential {
    pub id: String,
    pub consumer_id: String,
    pub username: Option<String>,
    pub custom_id: Option<String>,
}

/// Longer than any key that was ever issued (Kong lets the caller choose keys).
pub const MAX_KEY_BYTES: usize = 1024;

/// In seconds.
const KEPT_EXPIRED: i64 = 90 * 86_400;

impl Consumers {
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    pub async fn by_key(&self, key: &str, now: DateTime<Utc>) -> Result<Option<Credential>> {
        static SELECT: &str = "SELECT k.id, k.consumer_id, c.username, c.custom_id \
            FROM credential k JOIN consumer c ON c.id = k.consumer_id \
            WHERE k.hash = $1 AND (k.expires_at IS NULL OR k.expires_at > $2)";
        if key.len() > MAX_KEY_BYTES {
            return Ok(None);
        }
        let found = sqlx::query_as(SELECT).bind(hash(key)).bind(now.timestamp());
        Ok(found.fetch_optional(&self.0.read).await?)
    }

    pub async fn add(&self, consumer: &Consumer) -> sqlx::Result<()> {
        static INSERT: &str =
            "INSERT INTO consumer (id, username, custom_id, tags, created_at) VALUES ($1, $2, $3, $4, $5)";
        let Consumer { id, username, custom_id, tags, created_at } = consumer;
        let insert = sqlx::query(INSERT).bind(id).bind(username).bind(custom_id).bind(tags).bind(created_at);
        insert.execute(&self.0.write).await.map(drop)
    }

    /// By id or username, as in Kong's paths.
    pub async fn get(&self, name: &str) -> Result<Option<Consumer>> {
        static SELECT: &str = "SELECT * FROM consumer WHERE id = $1 OR username = $1";
        Ok(sqlx::query_as(SELECT).bind(name).fetch_optional(&self.0.read).await?)
    }

    /// At most `size`, after the id `after`.
    pub async fn list(&self, custom_id: Option<&str>, after: &str, size: u32) -> Result<Vec<Consumer>> {
        static SELECT: &str = "SELECT * FROM consumer \
            WHERE id > $1 AND ($2 IS NULL OR custom_id = $2) ORDER BY id LIMIT $3";
        let select = sqlx::query_as(SELECT).bind(after).bind(custom_id).bind(size);
        Ok(select.fetch_all(&self.0.read).await?)
    }

    /// Deletes a consumer and its keys.
    pub async fn delete(&self, name: &str) -> Result<()> {
        static DELETE: &str = "DELETE FROM consumer WHERE id = $1 OR username = $1";
        sqlx::query(DELETE).bind(name).execute(&self.0.write).await?;
        Ok(())
    }

    pub async fn add_key(&self, key: &Key, secret: &str) -> sqlx::Result<()> {
        static INSERT: &str = "INSERT INTO credential (id, consumer_id, hash, tags, created_at, expires_at) \
            VALUES ($1, $2, $3, $4, $5, $6)";
        // Long-expired keys are deleted here, because new keys are made here. Not right after they expire: a
        // clock that jumps ahead makes all keys expire, and they are valid again when it is set back.
        static PURGE: &str = "DELETE FROM credential WHERE expires_at <= $1";
        let Key { id, consumer_id, tags, created_at, expires_at } = key;
        sqlx::query(PURGE).bind(created_at - KEPT_EXPIRED).execute(&self.0.write).await?;
        let insert = sqlx::query(INSERT).bind(id).bind(consumer_id).bind(hash(secret)).bind(tags);
        insert.bind(created_at).bind(expires_at).execute(&self.0.write).await.map(drop)
    }

    pub async fn keys(&self, consumer_id: &str, now: DateTime<Utc>) -> Result<Vec<Key>> {
        static SELECT: &str = "SELECT id, consumer_id, tags, created_at, expires_at FROM credential \
            WHERE consumer_id = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY created_at, id";
        Ok(sqlx::query_as(SELECT).bind(consumer_id).bind(now.timestamp()).fetch_all(&self.0.read).await?)
    }

    pub async fn delete_key(&self, consumer_id: &str, id: &str) -> Result<()> {
        static DELETE: &str = "DELETE FROM credential WHERE consumer_id = $1 AND (id = $2 OR hash = $3)";
        sqlx::query(DELETE).bind(consumer_id).bind(id).bind(hash(id)).execute(&self.0.write).await?;
        Ok(())
    }
}
