//! Reads pongpong's state directly from its database, independently of pongpong's own answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use runtime::{Db, on};
use serde_json::Value;

/// The database. Opened and closed for each read: an open connection would change what happens to the others
/// when an engine is killed.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub url: String,
    /// The database of the engine's broker.
    pub journal: Option<PathBuf>,
}

#[derive(Debug, Default)]
pub struct Page {
    /// By endpoint.
    pub endpoints: BTreeMap<i64, Endpoint>,
    /// Scheduled times (Unix seconds) and whether the check was up, by endpoint.
    pub results: BTreeMap<i64, BTreeMap<i64, bool>>,
    /// Endpoint and scheduled time of checks with more than one result.
    pub twice: Vec<(i64, i64)>,
    /// The scheduled time of the newest result that decided the status, by endpoint.
    pub judged: BTreeMap<i64, i64>,
    /// Users whose stored endpoint count is wrong: the user, the stored count, the actual count.
    pub miscounted: Vec<(i64, i64, i64)>,
    /// Number of incidents, and of open incidents, by endpoint.
    pub incidents: BTreeMap<i64, (usize, usize)>,
    pub deliveries: Vec<Delivery>,
    /// Endpoint, start and number of checks of hours that are rolled up and not to be rolled up again.
    pub hours: Vec<(i64, i64, i64)>,
    /// Scheduled times in events that were given up before they had a result, by endpoint.
    pub given_up: BTreeMap<i64, BTreeSet<i64>>,
    /// Dead letters.
    pub letters: Vec<Letter>,
    /// Deliveries that the engine's broker still has to make, except batches of checks.
    pub waiting: Vec<(String, i64)>,
}

#[derive(Debug, sqlx::FromRow)]
pub struct Endpoint {
    pub id: i64,
    pub next_check_at: i64,
    pub missed_checks: i64,
    pub status: String,
    pub tags: String,
}

#[derive(Debug, sqlx::FromRow)]
pub struct Letter {
    pub id: i64,
    pub kind: String,
    pub destination: String,
    pub error_code: Option<String>,
    pub error: Option<String>,
    body: Vec<u8>,
}

impl Letter {
    /// The function that did not accept the event, however its address is written.
    pub fn function(&self) -> &str {
        let host = self.destination.strip_prefix("http://").unwrap_or(&self.destination);
        host.split(['.', '/', ':']).next().unwrap_or_default()
    }

    /// The event was refused as invalid: no fault may cause that.
    pub fn is_refused(&self) -> bool {
        let code = self.error_code.as_deref().and_then(|code| code.parse::<u16>().ok());
        code.is_some_and(|code| code < 500 && !matches!(code, 404 | 408 | 409 | 429))
    }

    /// Scheduled times without a result because the event was given up: endpoint and Unix seconds.
    fn times(&self) -> Result<Vec<(i64, i64)>> {
        if !matches!(self.function(), "check-run" | "report-record") || !self.kind.contains(".check.") {
            return Ok(Vec::new());
        }
        let checks: Vec<Value> = serde_json::from_slice(&self.body).context("a dead letter of checks")?;
        let scheduled_at = |check: &Value| {
            let at: DateTime<Utc> = check["scheduled_at"].as_str()?.parse().ok()?;
            Some((check["endpoint_id"].as_i64()?, at.timestamp()))
        };
        checks
            .iter()
            .map(|check| scheduled_at(check).with_context(|| format!("a scheduled time: {check}")))
            .collect()
    }
}

#[derive(Debug, sqlx::FromRow)]
#[expect(dead_code, reason = "shown when one is not as it should be")]
pub struct Delivery {
    pub id: i64,
    pub endpoint_id: i64,
    pub kind: String,
    pub what: String,
    pub status: String,
    pub error: Option<String>,
}

const FIRST_TIME: i64 = 1_735_689_600;
const SERIES_BITS: u32 = 23;
pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;

impl Ledger {
    pub async fn read(&self) -> Result<Page> {
        let db = Db::at(&self.url, 1)?;
        let page = self.read_from(&db).await;
        db.close().await;
        page
    }

    async fn read_from(&self, db: &Db) -> Result<Page> {
        const ENDPOINTS: &str = "SELECT id, next_check_at, missed_checks, status, tags FROM endpoints";
        const RESULTS: &str = "SELECT s.endpoint_id, r.id, r.up FROM report_results r
            JOIN report_series s ON s.id = r.series_id";
        const JUDGED: &str = "SELECT endpoint_id, last_scheduled_at / 1000000 FROM notification_states";
        const MISCOUNTED: &str = "SELECT user_id, COALESCE(kept.endpoints, 0), COALESCE(e.endpoints, 0)
            FROM endpoint_counts kept
            FULL JOIN (SELECT user_id, COUNT(*) AS endpoints FROM endpoints GROUP BY user_id) e USING (user_id)
            WHERE COALESCE(kept.endpoints, 0) <> COALESCE(e.endpoints, 0)";
        const INCIDENTS: &str = "SELECT endpoint_id, ended_at IS NULL FROM report_incidents";
        const DELIVERIES: &str = "SELECT id, endpoint_id, kind, what, status, error FROM deliveries";
        const HOURS: &str = "SELECT s.endpoint_id, r.start, r.checks FROM report_rollups r
            JOIN report_series s ON s.id = r.series_id
            WHERE r.span = 3600 AND r.start NOT IN (SELECT start FROM report_late_hours)";
        const LETTERS: &str = "SELECT id, kind, destination, error_code, error, body FROM dead_letters";
        let mut page = Page::default();
        let endpoints: Vec<Endpoint> = on!(db.read(), db => sqlx::query_as(ENDPOINTS).fetch_all(db).await)?;
        page.endpoints = endpoints.into_iter().map(|endpoint| (endpoint.id, endpoint)).collect();
        let results: Vec<(i64, i64, bool)> =
            on!(db.read(), db => sqlx::query_as(RESULTS).fetch_all(db).await)?;
        for (endpoint, id, up) in results {
            let scheduled_at = (id >> SERIES_BITS) + FIRST_TIME;
            if page.results.entry(endpoint).or_default().insert(scheduled_at, up).is_some() {
                page.twice.push((endpoint, scheduled_at));
            }
        }
        let judged: Vec<(i64, i64)> = on!(db.read(), db => sqlx::query_as(JUDGED).fetch_all(db).await)?;
        page.judged = judged.into_iter().collect();
        page.miscounted = on!(db.read(), db => sqlx::query_as(MISCOUNTED).fetch_all(db).await)?;
        let incidents: Vec<(i64, bool)> =
            on!(db.read(), db => sqlx::query_as(INCIDENTS).fetch_all(db).await)?;
        for (endpoint, open) in incidents {
            let counts = page.incidents.entry(endpoint).or_default();
            *counts = (counts.0 + 1, counts.1 + usize::from(open));
        }
        page.deliveries = on!(db.read(), db => sqlx::query_as(DELIVERIES).fetch_all(db).await)?;
        page.hours = on!(db.read(), db => sqlx::query_as(HOURS).fetch_all(db).await)?;
        page.letters = on!(db.read(), db => sqlx::query_as(LETTERS).fetch_all(db).await)?;
        for letter in &page.letters {
            for (endpoint, scheduled_at) in letter.times()? {
                page.given_up.entry(endpoint).or_default().insert(scheduled_at);
            }
        }
        if let Some(journal) = &self.journal {
            let db = Db::at(&format!("sqlite:{}", journal.display()), 1)?;
            const WAITING: &str = "SELECT queue, COUNT(*) FROM delivery
                WHERE queue NOT LIKE 'check-run-%' GROUP BY queue";
            let waiting = on!(db.read(), db => sqlx::query_as(WAITING).fetch_all(db).await);
            db.close().await;
            page.waiting = waiting?;
        }
        Ok(page)
    }
}
