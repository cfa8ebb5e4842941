//! Status changes, stored in the transaction that decides them until their deliveries are logged. If the
//! broker loses the event `status.changed`, or the database is down for longer than the broker retries,
//! the change is still here, and `delivery-resume` publishes it again.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use runtime::{
    Context, Db, Error, Outgoing, Result,
    db::{JsonText, On, Transaction},
    event::{MAX_EVENT_BYTES, cut},
    on, sql,
};
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use super::MAX_AHEAD;
use contract::{AlertKind, RegionChange, Status, StatusChange, kind};

/// Within this time the broker has delivered the event or dropped it: ten tries take up to 17 minutes.
const REPUBLISH_AFTER: TimeDelta = TimeDelta::minutes(20);

/// Key of a stored change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key {
    /// For a region: the negative ID of the region outage.
    endpoint_id: i64,
    /// In microseconds. For a region: 0 for the start of the region outage, 1 when it ends or is given
    /// up.
    scheduled_at: i64,
}

impl From<&StatusChange> for Key {
    fn from(change: &StatusChange) -> Self {
        Self { endpoint_id: change.endpoint_id, scheduled_at: change.changed_at.timestamp_micros() }
    }
}

impl From<&RegionChange> for Key {
    fn from(change: &RegionChange) -> Self {
        let scheduled_at = i64::from(change.what != AlertKind::RegionOutage);
        Self { endpoint_id: -change.outage.id, scheduled_at }
    }
}

/// A new row, passed to both databases in a JSON list.
#[derive(Serialize)]
struct New {
    #[serde(flatten)]
    key: Key,
    user_id: i64,
    change: String,
}

/// Stores all changes in one statement. A change whose deliveries are not logged within
/// `REPUBLISH_AFTER` is published again.
pub async fn record(
    transaction: &mut Transaction,
    event_id: &str,
    changes: &[StatusChange],
    regions: &[RegionChange],
    now: DateTime<Utc>,
) -> Result<()> {
    macro_rules! insert {
        ($new:literal) => {
            concat!(
                "INSERT INTO notification_changes
                    (endpoint_id, scheduled_at, user_id, event_id, change, recorded_at, due_at)
                SELECT new.endpoint_id, new.scheduled_at, new.user_id, $2, new.change, $3, $4 FROM ",
                $new,
                " AS new WHERE true ON CONFLICT (endpoint_id, scheduled_at) DO UPDATE SET event_id = excluded.event_id,
                    change = excluded.change, due_at = excluded.due_at"
            )
        };
    }
    sql!(SQLITE = insert!(
        "(SELECT value ->> 'endpoint_id' AS endpoint_id, value ->> 'scheduled_at' AS scheduled_at, value ->> 'user_id' AS user_id,
            value ->> 'change' AS change FROM json_each($1))"
    ));
    sql!(
        POSTGRES = insert!(
            "(SELECT * FROM json_to_recordset($1::text::json)
            AS line (endpoint_id bigint, scheduled_at bigint, user_id bigint, change text))"
        )
    );
    let of_endpoints = changes.iter().map(|change| (Key::from(change), change.user_id, json!(change)));
    let of_regions = regions.iter().map(|change| (Key::from(change), change.user_id, json!(change)));
    // One statement must not write a row twice: of two changes with one key, the last is kept.
    let new: BTreeMap<_, _> = of_endpoints
        .chain(of_regions)
        .map(|(key, user_id, change)| (key, New { key, user_id, change: change.to_string() }))
        .collect();
    let new = JsonText(new.into_values().collect::<Vec<_>>());
    let sql = match transaction.connection() {
        On::Sqlite(_) => SQLITE,
        On::Postgres(_) => POSTGRES,
    };
    on!(transaction.connection(), db => {
        let query = sqlx::query(sql).bind(new).bind(event_id).bind(now);
        query.bind(now + REPUBLISH_AFTER).execute(db).await.map(drop)
    })?;
    Ok(())
}

/// The changes that an event caused when it was first handled.
pub async fn recorded(
    transaction: &mut Transaction,
    event_id: &str,
) -> Result<(Vec<StatusChange>, Vec<RegionChange>)> {
    sql!(
        SELECT = "SELECT endpoint_id, scheduled_at, change FROM notification_changes WHERE event_id = $1
        ORDER BY endpoint_id, scheduled_at"
    );
    let rows: Vec<Row> = on!(transaction.connection(), db =>
        sqlx::query_as(SELECT).bind(event_id).fetch_all(db).await)?;
    Ok(read(rows))
}

#[derive(sqlx::FromRow)]
struct Row {
    endpoint_id: i64,
    scheduled_at: i64,
    change: String,
}

/// Skips and logs unreadable changes, so that they do not block the others.
fn read(rows: Vec<Row>) -> (Vec<StatusChange>, Vec<RegionChange>) {
    let (mut changes, mut regions) = (Vec::new(), Vec::new());
    for Row { endpoint_id, scheduled_at, change } in rows {
        let read = if endpoint_id > 0 {
            serde_json::from_str(&change).map(|change| changes.push(change))
        } else {
            serde_json::from_str(&change).map(|change| regions.push(change))
        };
        if let Err(error) = read {
            tracing::error!(endpoint_id, scheduled_at, %error, "a change that is kept cannot be read: set aside");
        }
    }
    (changes, regions)
}

/// Builds the events for changes; more than one if a single event would be too large for the broker.
pub fn events(
    source: &str,
    id: &str,
    time: DateTime<Utc>,
    changes: &[StatusChange],
) -> Result<Vec<Outgoing>> {
    let json = |change: &StatusChange| Ok((change.user_id, to_raw_value(change).map_err(Error::internal)?));
    let changes = changes.iter().map(json).collect::<Result<Vec<_>>>()?;
    let parts = cut(changes, MAX_EVENT_BYTES, |(_, json)| json.get().len()).into_iter().enumerate();
    let event = |(at, part): (usize, Vec<(i64, Box<RawValue>)>)| {
        let (owners, data): (Vec<_>, Vec<_>) = part.into_iter().unzip();
        let id = if at == 0 { id.to_owned() } else { format!("{id}-{at}") };
        Ok(Outgoing::new(source, kind::STATUS_CHANGED, id, time, &data)?.of_owners(owners))
    };
    parts.map(event).collect()
}

/// Of changes that arrive late because they were published again, those to "down" or "degraded" that have
/// ended since. No alert is sent for them: if there was an "up" change, its alert mentions the incident.
pub async fn ended_outages(context: &Context, changes: &[StatusChange]) -> Result<HashSet<Key>> {
    sql!(
        ENDED = "SELECT EXISTS (SELECT 1 FROM notification_states
        WHERE endpoint_id = $1 AND (status <> 'down' OR failing_since IS NULL OR failing_since <> $2))"
    );
    sql!(
        NOT_DEGRADED = "SELECT EXISTS (SELECT 1 FROM notification_states
        WHERE endpoint_id = $1 AND (status <> 'up' OR NOT degraded))"
    );
    let (db, now) = (context.db()?, context.clock().now());
    let mut ended = HashSet::new();
    let is_late = |change: &&StatusChange| now - change.changed_at > REPUBLISH_AFTER;
    for change in changes.iter().filter(is_late) {
        let since = change.outage_started_at.map(|began| began.timestamp_micros());
        let has_ended: bool = on!(db.read(), db => match change.to {
            Status::Down => {
                sqlx::query_scalar(ENDED).bind(change.endpoint_id).bind(since).fetch_one(db).await?
            }
            Status::Degraded => sqlx::query_scalar(NOT_DEGRADED).bind(change.endpoint_id).fetch_one(db).await?,
            _ => false,
        });
        if has_ended {
            ended.insert(Key::from(change));
        }
    }
    Ok(ended)
}

/// Marks changes as done: each notification has its delivery in the log, or no alert was needed.
pub async fn mark_told(db: &Db, keys: Vec<Key>) -> Result<()> {
    set_due(db, keys, None).await
}

/// Skips changes that are marked as done.
async fn set_due(db: &Db, keys: Vec<Key>, due_at: Option<DateTime<Utc>>) -> Result<()> {
    sql!(POSTGRES = "UPDATE notification_changes SET due_at = $2 WHERE due_at IS NOT NULL AND (endpoint_id, scheduled_at) IN (
        SELECT endpoint_id, scheduled_at FROM json_to_recordset($1::text::json) AS told (endpoint_id bigint, scheduled_at bigint))");
    sql!(SQLITE = "UPDATE notification_changes SET due_at = $2 WHERE due_at IS NOT NULL AND (endpoint_id, scheduled_at) IN (
        SELECT value ->> 'endpoint_id', value ->> 'scheduled_at' FROM json_each($1))");
    let sql = db.pick(SQLITE, POSTGRES);
    let keys = json!(keys).to_string();
    on!(db.write(), db => sqlx::query(sql).bind(keys).bind(due_at).execute(db).await.map(drop))?;
    Ok(())
}

/// Publishes changes again whose deliveries were not logged in time.
pub async fn republish_untold(context: &Context, function: &str) -> Result<()> {
    // A `due_at` far in the future was written before the clock was set back.
    sql!(
        DUE = "SELECT endpoint_id, scheduled_at, change FROM notification_changes
        WHERE due_at <= $1 OR due_at > $2 ORDER BY due_at LIMIT 500"
    );
    let (db, now) = (context.db()?, context.clock().now());
    let next = now + REPUBLISH_AFTER;
    let rows: Vec<Row> = on!(db.read(), db =>
        sqlx::query_as(DUE).bind(now).bind(next + MAX_AHEAD).fetch_all(db).await)?;
    if rows.is_empty() {
        return Ok(());
    }
    tracing::warn!(changes = rows.len(), "changes were not sent in time: they are published again");
    // If the broker refuses one event, the others are still published; the refused changes stay due.
    let mut published = Ok(());
    for (at, rows) in cut(rows, MAX_EVENT_BYTES, |row| row.change.len()).into_iter().enumerate() {
        let keys = rows
            .iter()
            .map(|row| Key { endpoint_id: row.endpoint_id, scheduled_at: row.scheduled_at })
            .collect();
        match publish_again(context, function, &format!("{}-{at}", now.timestamp_micros()), rows).await {
            Ok(()) => set_due(db, keys, Some(next)).await?,
            Err(error) => published = Err(error),
        }
    }
    published
}

async fn publish_again(context: &Context, function: &str, id: &str, rows: Vec<Row>) -> Result<()> {
    let now = context.clock().now();
    let (changes, regions) = read(rows);
    for event in events(function, &format!("status-again-{id}"), now, &changes)? {
        context.outbound().publish(event).await?;
    }
    if !regions.is_empty() {
        let id = format!("region-again-{id}");
        let told = Outgoing::new(function, kind::REGION_CHANGED, id, now, &regions)?;
        context.outbound().publish(told).await?;
    }
    Ok(())
}
