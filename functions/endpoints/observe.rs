//! `status.changed`, `check.completed`: stores an endpoint's status, the reason for it, and the time of the last
//! check.

use std::collections::BTreeMap;

use axum::{extract::State, routing::post};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{
    Context, Event, Function, Items, Reply, Result, Subscription, db::JsonText, db::On, input, on, sql,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{SERVICE, reason::Note};
use contract::{CheckResult, CheckStatus, Status, StatusChange, kind};

pub const FUNCTION: Function = Function::new(
    "endpoint-observe",
    SERVICE,
    "updates an endpoint's `status`, `status_reason` and `last_checked_at`",
)
.on(&[Subscription::to(kind::STATUS_CHANGED), Subscription::to(kind::CHECK_COMPLETED)], || post(handle));

async fn handle(State(context): State<Context>, event: Event<Box<RawValue>>) -> Result<Reply> {
    let json = event.data.get().as_bytes();
    if event.kind == kind::STATUS_CHANGED {
        changed(&context, input::parse::<Items<_>>(json)?.0).await?;
    } else {
        checked(&context, input::parse::<Items<_>>(json)?.0).await?;
    }
    Ok(Reply::NONE)
}

/// How far a time may be ahead of this clock, because clocks of machines differ. A time further ahead comes from a
/// clock that was set back since: it counts as now, and any newer time replaces it.
const MAX_AHEAD: TimeDelta = TimeDelta::minutes(2);

fn seconds(time: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    if time > now + MAX_AHEAD { now.timestamp() } else { time.timestamp() }
}

/// Stores changes of the status. A change that arrives late does not undo a later one.
async fn changed(context: &Context, changes: Vec<StatusChange>) -> Result<()> {
    sql!(
        UPDATE = "UPDATE endpoints SET status = $2, status_changed_at = $3, down_since = $5, \
         status_revision = CASE WHEN $4 > status_revision THEN $4 ELSE status_revision END \
         WHERE id = $1 AND (status_revision < $4 OR ($4 = 0 OR status_revision = $4) \
         AND (status_changed_at IS NULL OR status_changed_at < $3 OR status_changed_at > $6))"
    );
    let now = context.clock().now();
    let mut tx = context.db()?.begin().await?;
    // In the order of their ids, as everywhere: two of these transactions never wait for each other.
    let mut changes = changes;
    changes.sort_by_key(|change| (change.endpoint_id, change.revision, change.changed_at));
    for change in changes {
        let down_since = change.outage_started_at.filter(|_| change.to == Status::Down);
        // While it is paused, an endpoint is shown as paused; afterwards its status is unknown until the next check.
        let status = if change.to == Status::Paused { Status::Pending } else { change.to };
        on!(tx.connection(), db => {
            let update = sqlx::query(UPDATE).bind(change.endpoint_id).bind(status.as_str());
            let update = update.bind(seconds(change.changed_at, now)).bind(change.revision);
            let update = update.bind(down_since.map(|at| at.timestamp()));
            update.bind((now + MAX_AHEAD).timestamp()).execute(db).await.map(drop)
        })?;
    }
    tx.commit().await
}

/// The results of one endpoint in a batch.
#[derive(Default, Serialize)]
struct News {
    /// None: no check was made.
    checked_at: Option<i64>,
    /// The revision, scheduled time and note of the newest result.
    revision: i64,
    scheduled_at: i64,
    note: Option<String>,
    /// Failed checks in a row, up to the newest; and whether the failures before the batch no longer count.
    failures: i64,
    is_new_row: bool,
    missed: i64,
}

impl News {
    fn add(&mut self, result: &CheckResult, now: DateTime<Utc>) -> Result<()> {
        if result.revision > self.revision {
            (self.failures, self.is_new_row) = (0, true);
        }
        (self.revision, self.scheduled_at) = (result.revision, seconds(result.scheduled_at, now));
        self.note = Note::of(result)
            .map(|note| serde_json::to_string(&note))
            .transpose()
            .map_err(runtime::Error::internal)?;
        match result.outcome.status {
            CheckStatus::Unknown => self.missed += 1,
            CheckStatus::Down if !result.maintenance => self.failures += 1,
            _ => (self.failures, self.is_new_row) = (0, true),
        }
        if result.outcome.status != CheckStatus::Unknown {
            self.checked_at = self.checked_at.max(Some(seconds(result.checked_at, now)));
        }
        Ok(())
    }
}

async fn checked(context: &Context, mut results: Vec<CheckResult>) -> Result<()> {
    // A late result, or one of old settings, only updates the time of the last check. Missed checks arrive in any
    // order after a pause of the broker: each one that is later than the last check that was made is counted.
    macro_rules! update {
        ($from:literal, $lock:literal) => {
            concat!(
                "UPDATE endpoints SET \
                 last_checked_at = CASE WHEN last_checked_at IS NULL OR last_checked_at < news.checked_at \
                 OR last_checked_at > $1 AND news.checked_at IS NOT NULL \
                 THEN news.checked_at ELSE last_checked_at END, \
                 result_revision = CASE WHEN news.is_newest THEN news.revision ELSE result_revision END, \
                 result_scheduled_at = CASE WHEN news.is_newest THEN news.scheduled_at ELSE result_scheduled_at END, \
                 result_note = CASE WHEN news.is_newest THEN news.note ELSE result_note END, \
                 failures = CASE WHEN NOT news.is_newest THEN endpoints.failures \
                 WHEN news.is_new_row OR news.revision > result_revision THEN news.failures \
                 ELSE endpoints.failures + news.failures END, \
                 missed_checks = missed_checks + CASE WHEN news.is_newest OR news.is_unmade THEN news.missed ELSE 0 END \
                 FROM (SELECT e.id, n.checked_at, COALESCE(NULLIF(n.revision, 0), e.revision) AS revision, n.scheduled_at, \
                 n.note, n.failures, n.is_new_row, n.missed, \
                 e.revision <= COALESCE(NULLIF(n.revision, 0), e.revision) AND (e.result_scheduled_at IS NULL \
                 OR e.result_revision < COALESCE(NULLIF(n.revision, 0), e.revision) \
                 OR e.result_scheduled_at < n.scheduled_at OR e.result_scheduled_at > $1) AS is_newest, \
                 e.revision <= COALESCE(NULLIF(n.revision, 0), e.revision) AND e.result_scheduled_at <> n.scheduled_at \
                 AND (e.last_checked_at IS NULL OR e.last_checked_at < n.scheduled_at OR e.last_checked_at > $1) AS is_unmade \
                 FROM ",
                $from,
                " AS n JOIN endpoints e ON e.id = n.id",
                $lock,
                ") AS news WHERE endpoints.id = news.id"
            )
        };
    }
    sql!(
        SQLITE = update!(
            "(SELECT value ->> 0 AS id, value ->> '$[1].checked_at' AS checked_at, \
         value ->> '$[1].revision' AS revision, value ->> '$[1].scheduled_at' AS scheduled_at, value ->> '$[1].note' AS note, \
         value ->> '$[1].failures' AS failures, value ->> '$[1].is_new_row' AS is_new_row, \
         value ->> '$[1].missed' AS missed FROM json_each($2))",
            ""
        )
    );
    sql!(
        POSTGRES = update!(
            "(SELECT * FROM UNNEST($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], \
         $7::bigint[], $8::boolean[], $9::bigint[]) \
         AS u (id, checked_at, revision, scheduled_at, note, failures, is_new_row, missed))",
            " ORDER BY e.id FOR UPDATE OF e"
        )
    );
    let now = context.clock().now();
    results.sort_by_key(|result| (result.endpoint_id, result.revision, result.scheduled_at));
    let mut news = BTreeMap::<i64, News>::new();
    for result in &results {
        news.entry(result.endpoint_id).or_default().add(result, now)?;
    }
    let ahead = (now + MAX_AHEAD).timestamp();
    match context.db()?.write() {
        On::Sqlite(db) => {
            let news: Vec<_> = news.into_iter().collect();
            sqlx::query(SQLITE).bind(ahead).bind(JsonText(news)).execute(db).await?;
        }
        On::Postgres(db) => {
            fn column<T>(news: &BTreeMap<i64, News>, of: fn(&News) -> T) -> Vec<T> {
                news.values().map(of).collect()
            }
            let ids: Vec<i64> = news.keys().copied().collect();
            let update = sqlx::query(POSTGRES).bind(ahead).bind(ids).bind(column(&news, |n| n.checked_at));
            let update = update.bind(column(&news, |n| n.revision)).bind(column(&news, |n| n.scheduled_at));
            let update = update.bind(column(&news, |n| n.note.clone())).bind(column(&news, |n| n.failures));
            let update = update.bind(column(&news, |n| n.is_new_row)).bind(column(&news, |n| n.missed));
            update.execute(db).await?;
        }
    }
    Ok(())
}
