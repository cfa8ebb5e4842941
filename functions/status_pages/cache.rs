//! Responses that many clients request at once: fetched once, fresh for some seconds, and served stale for a while
//! longer if they cannot be fetched again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::anyhow;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use runtime::{Clock, Error, Result, secret};
use serde::Serialize;

/// How long a response is fresh.
const FRESH: TimeDelta = TimeDelta::seconds(15);
/// How long a stale response is served if a new one cannot be fetched.
const STALE: TimeDelta = TimeDelta::minutes(5);
/// Pause before a failed fetch is tried again.
const PAUSE: TimeDelta = TimeDelta::seconds(3);
/// Maximum time that a visitor waits for a fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(8);
/// Size of all responses together; the response of a page with 200 endpoints has 1 MB.
const MAX_BYTES: usize = 16 << 20;
const MAX_ENTRIES: usize = 10_000;

#[derive(Default)]
pub struct Cache(Mutex<HashMap<String, Entry>>);

#[derive(Default)]
struct Entry {
    kept: Option<Kept>,
    failed: Option<(DateTime<Utc>, Error)>,
    /// Held by the caller that fetches.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Kept {
    at: DateTime<Utc>,
    body: Bytes,
}

impl Entry {
    /// The response that is served without a fetch, if there is one.
    fn answer(&self, now: DateTime<Utc>) -> Option<Result<Bytes>> {
        if let Some(kept) = self.kept.as_ref().filter(|kept| (now - kept.at).abs() < FRESH) {
            return Some(Ok(kept.body.clone()));
        }
        let (_, error) = self.failed.as_ref().filter(|(at, _)| (now - *at).abs() < PAUSE)?;
        Some(self.stale(now).ok_or_else(|| error.clone()))
    }

    fn stale(&self, now: DateTime<Utc>) -> Option<Bytes> {
        self.kept.as_ref().filter(|kept| (now - kept.at).abs() < STALE).map(|kept| kept.body.clone())
    }
}

impl Cache {
    pub async fn get<T: Serialize>(
        &self,
        clock: &Clock,
        key: &str,
        fetch: impl Future<Output = Result<T>>,
    ) -> Result<Bytes> {
        let turn = {
            let mut entries = self.entries();
            let entry = entries.entry(key.to_owned()).or_default();
            if let Some(answer) = entry.answer(clock.now()) {
                return answer;
            }
            Arc::clone(&entry.turn)
        };
        let _turn = turn.lock().await;
        // The previous holder of the turn may have fetched it.
        if let Some(answer) = self.entries().get(key).and_then(|entry| entry.answer(clock.now())) {
            return answer;
        }
        let fetched = match tokio::time::timeout(FETCH_TIMEOUT, fetch).await {
            Ok(fetched) => {
                fetched.and_then(|value| Ok(serde_json::to_vec(&value).map_err(anyhow::Error::from)?))
            }
            Err(_) => Err(Error::unavailable(anyhow!("not fetched in time"))),
        };
        self.keep(clock.now(), key, fetched.map(Bytes::from))
    }

    /// Stores the outcome of a fetch. Returns the response to serve.
    fn keep(&self, now: DateTime<Utc>, key: &str, fetched: Result<Bytes>) -> Result<Bytes> {
        let mut entries = self.entries();
        match fetched {
            Ok(body) => {
                let entry = entries.entry(key.to_owned()).or_default();
                entry.kept = Some(Kept { at: now, body: body.clone() });
                entry.failed = None;
                prune(&mut entries, now);
                Ok(body)
            }
            Err(error) if error.status() == StatusCode::NOT_FOUND => {
                entries.remove(key);
                Err(error)
            }
            Err(error) => {
                let entry = entries.entry(key.to_owned()).or_default();
                entry.failed = Some((now, error.clone()));
                let stale = entry.stale(now);
                if stale.is_some() {
                    tracing::warn!(%error, "an older copy is shown");
                }
                prune(&mut entries, now);
                stale.ok_or(error)
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes entries that are no longer useful, and the oldest ones while the cache is too large.
fn prune(entries: &mut HashMap<String, Entry>, now: DateTime<Utc>) {
    entries.retain(|_, entry| {
        entry.stale(now).is_some()
            || entry.failed.as_ref().is_some_and(|(at, _)| (now - *at).abs() < PAUSE)
            || Arc::strong_count(&entry.turn) > 1
    });
    let size = |entry: &Entry| entry.kept.as_ref().map_or(0, |kept| kept.body.len());
    let mut bytes: usize = entries.values().map(size).sum();
    while bytes > MAX_BYTES || entries.len() > MAX_ENTRIES {
        let age = |entry: &Entry| entry.kept.as_ref().map(|kept| kept.at);
        let oldest = entries.iter().min_by_key(|(_, entry)| age(entry)).map(|(key, _)| key.clone());
        let Some(gone) = oldest.and_then(|key| entries.remove(&key)) else { break };
        bytes -= size(&gone);
    }
}

/// JSON that every client may cache for half a minute.
pub fn respond(headers: &HeaderMap, body: Bytes) -> Response {
    let etag = format!("\"{}\"", &secret::hash(&String::from_utf8_lossy(&body))[..22]);
    let seen = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_seen = seen
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == etag);
    let mut response = if is_seen {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=30"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Source {
        cache: Cache,
        clock: Clock,
        fetched: AtomicUsize,
    }

    impl Source {
        fn new() -> Self {
            Self {
                cache: Cache::default(),
                clock: Clock::manual(DateTime::UNIX_EPOCH),
                fetched: AtomicUsize::new(0),
            }
        }

        /// Returns the number of the fetch, or 503.
        async fn get(&self, is_there: bool) -> Result<Bytes> {
            let fetch = async {
                tokio::task::yield_now().await;
                let n = self.fetched.fetch_add(1, Ordering::SeqCst);
                if is_there { Ok(n) } else { Err(Error::unavailable(anyhow!("down"))) }
            };
            self.cache.get(&self.clock, "x", fetch).await
        }

        fn advance(&self, by: TimeDelta) {
            self.clock.advance(by.to_std().unwrap());
        }
    }

    #[tokio::test]
    async fn many_at_once_cause_one_fetch() {
        let source = Source::new();
        let all = futures::future::join_all((0..100).map(|_| source.get(true))).await;
        assert!(all.iter().all(|answer| answer.as_ref().unwrap() == "0"));
        source.advance(FRESH);
        let all = futures::future::join_all((0..100).map(|_| source.get(true))).await;
        assert!(all.iter().all(|answer| answer.as_ref().unwrap() == "1"));
        assert_eq!(source.fetched.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_older_copy_is_given_for_a_while() {
        let source = Source::new();
        source.get(true).await.unwrap();
        source.advance(FRESH);
        let all = futures::future::join_all((0..100).map(|_| source.get(false))).await;
        assert!(all.iter().all(|answer| answer.as_ref().unwrap() == "0"));
        assert_eq!(source.fetched.load(Ordering::SeqCst), 2);
        source.advance(STALE);
        let all = futures::future::join_all((0..100).map(|_| source.get(false))).await;
        assert!(all.iter().all(|answer| answer.as_ref().unwrap_err().status() == 503));
        assert_eq!(source.fetched.load(Ordering::SeqCst), 3);
        source.advance(PAUSE);
        assert_eq!(source.get(true).await.unwrap(), "3");
    }

    #[tokio::test]
    async fn what_is_not_there_takes_no_room() {
        let (cache, clock) = (Cache::default(), Clock::manual(DateTime::UNIX_EPOCH));
        for n in 0..100 {
            let missing = async { Err::<(), _>(Error::not_found()) };
            cache.get(&clock, &n.to_string(), missing).await.unwrap_err();
        }
        assert_eq!(cache.entries().len(), 0);
        let large = "x".repeat(MAX_BYTES / 4);
        for n in 0..10 {
            cache.get(&clock, &n.to_string(), async { Ok(&large) }).await.unwrap();
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(cache.entries().len(), 3);
        assert!(cache.entries().contains_key("9"));
    }
}
