//! Adds alerts to the log of deliveries. The number of waiting messages is bounded, however often
//! endpoints change and however many notifications an owner has: one message per endpoint and
//! notification that was not handed to a sender yet, which includes all changes since, and about a
//! thousand messages per notification. Alerts beyond that are counted in one additional message.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use channels::Config;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use runtime::{
    Context, Result,
    db::{JsonText, On, Transaction},
    on, sql,
};
use serde::Serialize;

use super::queue;
use crate::{
    links,
    notifications::{MAX_AHEAD, row::Row},
};
use contract::{Alert, AlertKind};

/// Waiting messages per notification.
pub const MAX_WAITING_PER_CHANNEL: usize = 1000;
/// Rows per transaction, so that other transactions wait only a few milliseconds.
const MAX_ROWS_PER_TRANSACTION: usize = 100;
/// The endpoint ID of the message that counts the alerts beyond the limit.
const UNTOLD_ENDPOINT_ID: i64 = 0;

/// An enabled notification, opened once for all its messages.
#[derive(Debug)]
pub struct Channel {
    row: Row,
    /// `None`: all of the owner's endpoints.
    endpoints: Option<HashSet<i64>>,
    recipient: String,
    host: String,
}

impl Channel {
    pub fn of(context: &Context, row: Row) -> Option<Self> {
        if row.kind().is_err() {
            tracing::error!(row.id, "the kind of a notification is unknown: set aside");
            return None;
        }
        // An unreadable config fails at the sender, and does not block other notifications.
        let config = row.config(context).ok();
        Some(Self {
            recipient: config.as_ref().map_or_else(|| "?".to_owned(), Config::recipient),
            host: config.as_ref().map(Config::host).unwrap_or_default(),
            endpoints: row.endpoint_ids.as_ref().map(|ids| ids.0.iter().copied().collect()),
            row,
        })
    }

    pub fn id(&self) -> i64 {
        self.row.id
    }

    pub fn covers(&self, endpoint_id: i64) -> bool {
        self.endpoints.as_ref().is_none_or(|endpoints| endpoints.contains(&endpoint_id))
    }

    /// Not every user wants alerts about endpoints that still work.
    pub fn wants(&self, what: AlertKind) -> bool {
        self.row.send_degraded || !matches!(what, AlertKind::Degraded | AlertKind::NotDegraded)
    }

    pub fn covers_any(&self, endpoints: &HashSet<i64>) -> bool {
        self.endpoints.as_ref().is_none_or(|own| !own.is_disjoint(endpoints))
    }
}

/// The alerts of one owner, each with the notifications that get it.
#[derive(Debug)]
pub struct News<'a> {
    pub owner: i64,
    pub told: Vec<(Alert, Vec<&'a Channel>)>,
}

/// Logs the alerts, and publishes the deliveries that may be sent now. Owners with the fewest messages
/// come first, so that nobody waits for an owner with a thousand notifications.
pub async fn add(context: &Context, function: &str, mut news: Vec<News<'_>>) -> Result<()> {
    news.sort_by_key(|news| news.told.iter().map(|(_, channels)| channels.len()).sum::<usize>());
    let mut room = Room { left: HashMap::new(), full: context.shared(|_| Ok(Full::default()))? };
    let (mut chunk, mut beyond, mut refused) = (Chunk::default(), Vec::new(), None);
    for News { owner, told } in news {
        for (alert, channels) in told {
            for channel in channels {
                if chunk.is_full(channel, &alert) {
                    refused =
                        chunk.log_and_release(context, function, &mut room, &mut beyond).await?.or(refused);
                }
                chunk.add(channel, &alert);
            }
        }
        chunk.owners.push(owner);
    }
    refused = chunk.log_and_release(context, function, &mut room, &mut beyond).await?.or(refused);
    count(context, &beyond).await?;
    refused.map_or(Ok(()), Err)
}

/// How many more messages may wait for each notification.
struct Room {
    /// Rooms that were counted before, less the part used since.
    left: HashMap<i64, usize>,
    full: Arc<Full>,
}

/// Notifications without room, cached until a time: counting a thousand rows for each of a hundred
/// notifications at each change would overload the database.
#[derive(Default)]
struct Full(Mutex<HashMap<i64, DateTime<Utc>>>);

const FULL_TTL: TimeDelta = TimeDelta::seconds(10);
/// How many messages may use a counted room before it is counted again.
const RECOUNT_AFTER: usize = 100;

impl Room {
    async fn take(
        &mut self,
        transaction: &mut Transaction,
        channel: &Channel,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let full = || self.full.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = self.left.get_mut(&channel.id()).filter(|left| **left > 0) {
            *left -= 1;
            return Ok(true);
        }
        if full().get(&channel.id()).is_some_and(|until| now < *until && *until <= now + FULL_TTL) {
            return Ok(false);
        }
        let left = MAX_WAITING_PER_CHANNEL
            .saturating_sub(waiting_for(transaction, channel).await?)
            .min(RECOUNT_AFTER);
        if left == 0 {
            let mut full = full();
            full.retain(|_, until| now < *until && *until <= now + FULL_TTL);
            full.insert(channel.id(), now + FULL_TTL);
            return Ok(false);
        }
        self.left.insert(channel.id(), left - 1);
        Ok(true)
    }
}

/// The rows of one transaction: at most one message per notification and endpoint.
#[derive(Default)]
struct Chunk<'a> {
    items: Vec<Item<'a>>,
    pairs: HashSet<(i64, i64)>,
    /// Owners whose last alert is in this chunk or in an earlier one.
    owners: Vec<i64>,
}

struct Item<'a> {
    channel: &'a Channel,
    endpoint_id: i64,
    alert: Alert,
}

impl<'a> Chunk<'a> {
    fn is_full(&self, channel: &Channel, alert: &Alert) -> bool {
        self.items.len() == MAX_ROWS_PER_TRANSACTION || self.pairs.contains(&(channel.id(), about(alert)))
    }

    fn add(&mut self, channel: &'a Channel, alert: &Alert) {
        let endpoint_id = about(alert);
        self.pairs.insert((channel.id(), endpoint_id));
        self.items.push(Item { channel, endpoint_id, alert: alert.clone() });
    }

    /// Returns an error of the broker instead of stopping, so that other owners still get their alerts.
    async fn log_and_release(
        &mut self,
        context: &Context,
        function: &str,
        room: &mut Room,
        beyond: &mut Vec<&'a Channel>,
    ) -> Result<Option<runtime::Error>> {
        let Self { items, owners, .. } = std::mem::take(self);
        beyond.extend(write(context, items, Some(room)).await?);
        Ok(queue::release(context, function, &owners).await.err())
    }
}

async fn write<'a>(
    context: &Context,
    items: Vec<Item<'a>>,
    room: Option<&mut Room>,
) -> Result<Vec<&'a Channel>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut transaction = context.db()?.begin().await?;
    queue::lock(&mut transaction).await?;
    let beyond = log(&mut transaction, items, room, context.clock().now()).await?;
    transaction.commit().await?;
    Ok(beyond)
}

/// A region outage has its own negative ID, so that its end supersedes only its own start.
fn about(alert: &Alert) -> i64 {
    alert.region_outage.as_ref().map_or(alert.endpoint_id, |outage| -outage.id)
}

/// Counts alerts beyond the limit, in one message per notification. An event that the broker delivers
/// again may be counted twice.
async fn count(context: &Context, beyond: &[&Channel]) -> Result<()> {
    if beyond.is_empty() {
        return Ok(());
    }
    let mut counts: HashMap<i64, (&Channel, u32)> = HashMap::new();
    for channel in beyond {
        counts.entry(channel.id()).or_insert((channel, 0)).1 += 1;
    }
    let (channels, changes) = (counts.len(), beyond.len());
    tracing::warn!(channels, changes, "too many messages wait for a channel: changes are counted, not told");
    let link = links::to(context, "/reports?status=down")?;
    let changed_at = context.clock().now();
    let message = |(channel, untold)| {
        let alert = Alert {
            endpoint_id: UNTOLD_ENDPOINT_ID,
            endpoint_name: "Other endpoints".to_owned(),
            url: String::new(),
            what: AlertKind::Untold,
            changed_at,
            outage_started_at: None,
            cause: None,
            region_outage: None,
            missed: Vec::new(),
            untold,
            link: link.clone(),
        };
        Item { channel, endpoint_id: UNTOLD_ENDPOINT_ID, alert }
    };
    let mut items: Vec<_> = counts.into_values().map(message).collect();
    while !items.is_empty() {
        let rest = items.split_off(items.len().min(MAX_ROWS_PER_TRANSACTION));
        write(context, std::mem::replace(&mut items, rest), None).await?;
    }
    Ok(())
}

/// What the log already contains about an item.
#[derive(sqlx::FromRow)]
struct Found {
    at: i64,
    /// It was logged before: the broker delivered the event again.
    is_known: bool,
    /// The notification got this incident when it was created.
    is_told: bool,
    /// A later change of the endpoint was logged before.
    is_overtaken: bool,
    /// A message about the endpoint that was not handed to a sender yet.
    waiting_id: Option<i64>,
    waiting_alert: Option<String>,
}

/// A row of the list that is passed to both databases as JSON.
#[derive(Serialize)]
struct Line {
    /// Position in the list; for a waiting message, its ID.
    at: i64,
    notification_id: i64,
    endpoint_id: i64,
    changed_at: String,
    outage_started_at: Option<String>,
    what: &'static str,
    recipient: String,
    host: String,
    alert: String,
    is_overtaken: bool,
}

impl Line {
    fn of(at: i64, item: &Item<'_>, is_overtaken: bool) -> Result<Self> {
        let alert = serde_json::to_string(&item.alert).map_err(runtime::Error::internal)?;
        Ok(Self { alert, is_overtaken, ..Self::to_find(at, item) })
    }

    fn to_find(at: i64, item: &Item<'_>) -> Self {
        Self {
            at,
            notification_id: item.channel.id(),
            endpoint_id: item.endpoint_id,
            changed_at: as_sqlite_keeps(item.alert.changed_at),
            outage_started_at: item.alert.outage_started_at.map(as_sqlite_keeps),
            what: item.alert.what.as_str(),
            recipient: item.channel.recipient.clone(),
            host: item.channel.host.clone(),
            alert: String::new(),
            is_overtaken: false,
        }
    }
}

fn as_sqlite_keeps(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

/// A statement about `$1`, a list of [`Line`]s, for SQLite and for PostgreSQL.
macro_rules! of_lines {
    ($before:literal, $after:literal) => {
        [
            concat!(
                $before,
                "(SELECT value ->> 'at' AS at, value ->> 'notification_id' AS notification_id, \
                 value ->> 'endpoint_id' AS endpoint_id, value ->> 'changed_at' AS changed_at, \
                 value ->> 'outage_started_at' AS outage_started_at, value ->> 'what' AS what, \
                 value ->> 'recipient' AS recipient, value ->> 'host' AS host, value ->> 'alert' AS alert, \
                 value ->> 'is_overtaken' AS is_overtaken FROM json_each($1)) AS line ",
                $after
            ),
            concat!(
                $before,
                "json_to_recordset($1::text::json) AS line (at bigint, notification_id bigint, \
                 endpoint_id bigint, changed_at timestamptz, outage_started_at timestamptz, what text, recipient text, \
                 host text, alert text, is_overtaken boolean) ",
                $after
            ),
        ]
    };
}

/// Returns the notifications without room, once for each item that was not logged.
async fn log<'a>(
    transaction: &mut Transaction,
    items: Vec<Item<'a>>,
    mut room: Option<&mut Room>,
    now: DateTime<Utc>,
) -> Result<Vec<&'a Channel>> {
    let found = find(transaction, &items, now).await?;
    let (mut new, mut replaced, mut beyond) = (Vec::new(), Vec::new(), Vec::new());
    for (mut item, at) in items.into_iter().zip(0..) {
        let found = found.get(&at);
        if found.is_some_and(|found| found.is_told && !found.is_known) {
            continue;
        }
        // Counts are added up, even if they have the same time.
        let is_count = item.alert.what == AlertKind::Untold;
        let waiting = found.filter(|found| !found.is_known || is_count).and_then(|found| {
            let alert = serde_json::from_str::<Alert>(found.waiting_alert.as_deref()?).ok()?;
            Some((found.waiting_id?, alert))
        });
        let is_overtaken = found.is_some_and(|found| !found.is_known && found.is_overtaken);
        if let Some((id, waiting)) = waiting {
            let order = |alert: &Alert| (alert.changed_at <= now + MAX_AHEAD, alert.changed_at);
            let (mut newer, older) = if order(&waiting) > order(&item.alert) {
                (waiting, item.alert)
            } else {
                (item.alert, waiting)
            };
            queue::overtake(&mut newer, older);
            item.alert = newer;
            replaced.push(Line::of(id, &item, false)?);
        } else if found.is_some_and(|found| found.is_known) || is_overtaken {
            new.push(Line::of(0, &item, is_overtaken)?);
        } else {
            let has_room = match &mut room {
                Some(room) => room.take(transaction, item.channel, now).await?,
                None => true,
            };
            if has_room {
                new.push(Line::of(0, &item, false)?);
            } else {
                beyond.push(item.channel);
            }
        }
    }
    replace(transaction, replaced, now).await?;
    insert(transaction, new, now).await?;
    Ok(beyond)
}

async fn find(
    transaction: &mut Transaction,
    items: &[Item<'_>],
    now: DateTime<Utc>,
) -> Result<HashMap<i64, Found>> {
    static FIND: [&str; 2] = of_lines!(
        "SELECT line.at, waiting.id AS waiting_id, waiting.alert AS waiting_alert, \
             EXISTS (SELECT 1 FROM deliveries d WHERE d.notification_id = line.notification_id \
                 AND d.endpoint_id = line.endpoint_id AND d.changed_at = line.changed_at AND d.what = line.what) \
                 AS is_known, \
             line.what = 'down' AND EXISTS (SELECT 1 FROM deliveries d \
                 WHERE d.notification_id = line.notification_id AND d.endpoint_id = line.endpoint_id \
                     AND d.what = 'down' AND d.changed_at = line.outage_started_at AND d.status <> 'failed') AS is_told, \
             line.changed_at <= $2 AND EXISTS (SELECT 1 FROM deliveries d \
                 WHERE d.notification_id = line.notification_id AND d.endpoint_id = line.endpoint_id \
                     AND d.changed_at > line.changed_at AND d.changed_at <= $2) AS is_overtaken \
         FROM ",
        "LEFT JOIN deliveries waiting ON waiting.id = (SELECT MAX(d.id) FROM deliveries d \
             WHERE d.notification_id = line.notification_id AND d.endpoint_id = line.endpoint_id \
                 AND d.status = 'pending' AND d.leased_at IS NULL AND d.handed_at IS NULL AND d.tries = 0)"
    );
    let lines = items.iter().zip(0..).map(|(item, at)| Line::to_find(at, item));
    let lines = JsonText(lines.collect::<Vec<_>>());
    let found: Vec<Found> = match transaction.connection() {
        On::Sqlite(db) => sqlx::query_as(FIND[0]).bind(lines).bind(now + MAX_AHEAD).fetch_all(db).await?,
        On::Postgres(db) => sqlx::query_as(FIND[1]).bind(lines).bind(now + MAX_AHEAD).fetch_all(db).await?,
    };
    Ok(found.into_iter().map(|found| (found.at, found)).collect())
}

/// Number of messages that wait for a notification, at most [`MAX_WAITING_PER_CHANNEL`].
async fn waiting_for(transaction: &mut Transaction, channel: &Channel) -> Result<usize> {
    sql!(
        COUNT = "SELECT COUNT(*) FROM (SELECT 1 FROM deliveries
        WHERE notification_id = $1 AND status = 'pending' LIMIT $2) AS waiting"
    );
    let count: i64 = on!(transaction.connection(), db =>
        sqlx::query_scalar(COUNT).bind(channel.id()).bind(MAX_WAITING_PER_CHANNEL as i64).fetch_one(db).await)?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Updates waiting messages to the newest change; each keeps its position in the queue.
async fn replace(transaction: &mut Transaction, lines: Vec<Line>, now: DateTime<Utc>) -> Result<()> {
    static REPLACE: [&str; 2] = of_lines!(
        "UPDATE deliveries SET alert = line.alert, changed_at = line.changed_at, what = line.what, asked_at = $2 FROM ",
        "WHERE deliveries.id = line.at"
    );
    run(transaction, REPLACE, lines, now).await
}

async fn insert(transaction: &mut Transaction, lines: Vec<Line>, now: DateTime<Utc>) -> Result<()> {
    // Skips endpoints and notifications that were deleted or disabled meanwhile. A message that is leased
    // but not published was left by a process that crashed: release it.
    static INSERT: [&str; 2] = of_lines!(
        "INSERT INTO deliveries (user_id, notification_id, endpoint_id, changed_at, what, kind, recipient, host, \
             alert, status, attempt, created_at, asked_at, due_at, finished_at) \
         SELECT n.user_id, n.id, line.endpoint_id, line.changed_at, line.what, n.kind, line.recipient, line.host, \
             line.alert, CASE WHEN line.is_overtaken THEN 'superseded' ELSE 'pending' END, 1, $2, $2, $2, \
             CASE WHEN line.is_overtaken THEN $2 END \
         FROM ",
        "JOIN notifications n ON n.id = line.notification_id AND n.enabled \
         WHERE NOT EXISTS (SELECT 1 FROM notification_states s \
             WHERE s.endpoint_id = line.endpoint_id AND s.deleted_at IS NOT NULL) \
         ON CONFLICT (notification_id, endpoint_id, changed_at, what) DO UPDATE SET leased_at = NULL \
             WHERE deliveries.published_at IS NULL AND deliveries.status = 'pending'"
    );
    run(transaction, INSERT, lines, now).await
}

async fn run(
    transaction: &mut Transaction,
    [sqlite, postgres]: [&'static str; 2],
    lines: Vec<Line>,
    now: DateTime<Utc>,
) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let lines = JsonText(lines);
    match transaction.connection() {
        On::Sqlite(db) => sqlx::query(sqlite).bind(lines).bind(now).execute(db).await.map(drop)?,
        On::Postgres(db) => sqlx::query(postgres).bind(lines).bind(now).execute(db).await.map(drop)?,
    }
    Ok(())
}
