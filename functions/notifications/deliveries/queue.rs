//! The queue of deliveries. Deliveries wait in the log, and a limited number per owner, notification and
//! host is in flight at once: a slow or failing receiver does not delay the others.
//!
//! A delivery is leased (marked as sent) before it is published to the broker. Its outcome, recorded by
//! `delivery-record`, makes room for the next one. `delivery-resume` tries again after a lease ends
//! without an outcome, and after a failed try, with growing pauses, until [`GIVE_UP_AFTER`].

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use runtime::{
    Context, Db, Error, Outgoing, Result,
    db::{On, Transaction, readable},
    on, sql,
};
use serde_json::json;

use crate::notifications::{
    MAX_AHEAD, addresses::recipients, observe::reader_of, row::Row as Channel, senders::metrics,
};
use contract::{Alert, AlertKind, Missed, NotificationRequested, Reader, kind};

/// Messages in flight at once, per owner and per host.
pub const MAX_IN_FLIGHT: usize = 16;
/// Of these, for one notification: if it hangs, the owner's other notifications still have room.
const BY_CHANNEL: usize = MAX_IN_FLIGHT / 2;
/// Concurrent calls to the broker.
const CALLS: usize = 16;

/// When an undelivered message is dropped, if it was tried all the time.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::hours(24);
/// Time for the broker to accept a leased delivery.
const TO_PUBLISH: TimeDelta = TimeDelta::seconds(30);
/// Time for a sender to report the outcome. Senders answer in seconds, but may have to start or restart.
const LEASE: TimeDelta = TimeDelta::minutes(5);
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(15);
const MAX_PAUSE: TimeDelta = TimeDelta::minutes(30);
/// Gap between two runs of `delivery-resume` after which it counts as stopped.
const STOPPED_AFTER: TimeDelta = TimeDelta::hours(1);
/// The longest `Retry-After` that is honoured.
pub const MAX_WAIT: TimeDelta = TimeDelta::hours(6);
/// In a message that includes others.
const MAX_MISSED: usize = 20;

/// Pause after this many failures in a row: 15 s, 30 s, 1 min, up to half an hour.
pub fn pause(failures: i64) -> TimeDelta {
    let doubled = u32::try_from(failures.clamp(1, 16) - 1).unwrap_or_default();
    (FIRST_PAUSE * 2_i32.pow(doubled)).min(MAX_PAUSE)
}

impl Channel {
    /// Until when a notification is paused: after two or more failures, or until the time that its
    /// receiver asked for. After one failure it is not paused: the next message is tried at once, by
    /// itself.
    pub fn paused_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // A time far in the future was written before the clock was set back.
        let failed = self.failed_at.filter(|at| self.failures > 1 && *at <= now + MAX_AHEAD);
        let not_before = self.not_before.filter(|at| *at <= now + MAX_WAIT);
        let until = failed.map(|failed| failed + pause(self.failures - 1)).max(not_before);
        until.filter(|until| *until > now)
    }

    /// A message that was not tried yet need not wait for the end of a long pause.
    fn takes_new(&self, now: DateTime<Utc>) -> bool {
        let asked_for = self.not_before.is_some_and(|at| at > now && at <= now + MAX_WAIT);
        let lately = self.failed_at.is_some_and(|at| (now - at).abs() < TimeDelta::minutes(1));
        !asked_for && !lately
    }
}

/// The owners of the messages in flight, by host.
type Hosts = HashMap<String, Vec<i64>>;
sql!(LEASED_FOR_HOST = "SELECT user_id FROM deliveries WHERE host = $1 AND leased_at IS NOT NULL");

/// A delivery that waits.
#[derive(sqlx::FromRow)]
struct Waiting {
    id: i64,
    notification_id: i64,
    endpoint_id: i64,
    host: String,
    alert: String,
    attempt: i64,
    tries: i64,
}

/// Publishes the deliveries that may be sent now, for these owners in this order.
pub async fn release(context: &Context, function: &str, owners: &[i64]) -> Result<()> {
    let mut refused = None;
    // A few owners per transaction, because these transactions run one after the other.
    for owners in owners.chunks(20) {
        let now = context.clock().now();
        let leased = lease(context.db()?, owners, now).await?;
        if let Err(error) = publish(context, function, leased, now).await {
            refused = Some(error);
        }
    }
    refused.map_or(Ok(()), Err)
}

/// Other owners who wait for a host, starting after `owner`, if the host was so busy that they had to
/// wait for `owner`'s delivery to end. Runs in the transaction that ended it. Otherwise, if two
/// deliveries end at once, the first would see the room that the second made, and conclude that nobody
/// had to wait.
pub async fn next_for_host(
    transaction: &mut Transaction,
    host: &str,
    owner: i64,
    now: DateTime<Utc>,
) -> Result<Vec<i64>> {
    // Goes from one owner to the next by the index, however many messages each has waiting; looks at no
    // more than a hundred owners. Skips owners whose notifications may be paused: they would not use the
    // room.
    sql!(NEXT = "WITH RECURSIVE others AS (
            SELECT 1 AS step, (SELECT MIN(d.user_id) FROM deliveries d
                WHERE d.host = $1 AND d.status = 'pending' AND d.leased_at IS NULL AND d.user_id > $2) AS user_id
            UNION ALL
            SELECT step + 1, (SELECT MIN(d.user_id) FROM deliveries d
                WHERE d.host = $1 AND d.status = 'pending' AND d.leased_at IS NULL AND d.user_id > others.user_id)
            FROM others WHERE user_id < $3 AND step < 100)
        SELECT user_id FROM others WHERE user_id < $3 AND EXISTS (
            SELECT 1 FROM notifications n WHERE n.user_id = others.user_id AND n.enabled
                AND (n.failures < 2 OR n.failed_at <= $5) AND (n.not_before IS NULL OR n.not_before <= $4)
                AND $1 = (SELECT d.host FROM deliveries d
                    WHERE d.notification_id = n.id AND d.status = 'pending' AND d.leased_at IS NULL AND d.due_at <= $4
                    ORDER BY d.due_at, d.id LIMIT 1))
        ORDER BY step LIMIT 16");
    if host.is_empty() {
        return Ok(Vec::new());
    }
    let leased: Vec<i64> = on!(transaction.connection(), db =>
        sqlx::query_scalar(LEASED_FOR_HOST).bind(host).fetch_all(db).await)?;
    if leased.len() + 1 < MAX_IN_FLIGHT {
        return Ok(Vec::new());
    }
    let mut next = Vec::new();
    for (after, before) in [(owner, i64::MAX), (0, owner)] {
        let found: Vec<i64> = on!(transaction.connection(), db => {
            let query = sqlx::query_scalar(NEXT).bind(host).bind(after).bind(before).bind(now);
            query.bind(now - MAX_PAUSE).fetch_all(db).await
        })?;
        next.extend(found);
    }
    next.truncate(MAX_IN_FLIGHT);
    Ok(next)
}

async fn lease(db: &Db, owners: &[i64], now: DateTime<Utc>) -> Result<Vec<NotificationRequested>> {
    let mut transaction = db.begin().await?;
    lock(&mut transaction).await?;
    let (mut hosts, mut leased) = (Hosts::new(), Vec::new());
    for owner in owners {
        let mut own = lease_of(&mut transaction, *owner, &mut hosts, now).await?;
        if !own.is_empty() {
            let reader = reader_of(transaction.connection(), *owner).await?.unwrap_or_default();
            own.iter_mut().for_each(|request| request.reader = reader.clone());
        }
        leased.extend(own);
    }
    transaction.commit().await?;
    Ok(leased)
}

/// Serializes changes to the queue: counts stay valid until the transaction ends.
pub async fn lock(transaction: &mut Transaction) -> Result<()> {
    // SQLite has one writer at a time.
    if let On::Postgres(db) = transaction.connection() {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('deliveries'))").execute(db).await?;
    }
    Ok(())
}

/// A notification with a waiting message, and the host of that message.
#[derive(sqlx::FromRow)]
struct Turn {
    #[sqlx(flatten)]
    channel: Channel,
    next_host: String,
    next_due: DateTime<Utc>,
}

/// Leases as many of an owner's messages as possible. Notifications take turns: the one with the fewest
/// messages in flight is next. The number of queries depends on the free places and the skipped
/// notifications, not on the number of waiting messages.
async fn lease_of(
    transaction: &mut Transaction,
    owner: i64,
    hosts: &mut Hosts,
    now: DateTime<Utc>,
) -> Result<Vec<NotificationRequested>> {
    sql!(LEASED = "SELECT notification_id FROM deliveries WHERE user_id = $1 AND leased_at IS NOT NULL");
    sql!(
        TURNS = "SELECT n.*, NULL AS endpoint_ids, next.host AS next_host, next.due_at AS next_due
        FROM notifications n JOIN deliveries next ON next.id = (SELECT d.id FROM deliveries d
            WHERE d.notification_id = n.id AND d.status = 'pending' AND d.leased_at IS NULL AND d.due_at <= $2
            ORDER BY d.due_at, d.id LIMIT 1)
        WHERE n.user_id = $1 AND n.enabled ORDER BY n.id"
    );
    let under_way: Vec<i64> = on!(transaction.connection(), db =>
        sqlx::query_scalar(LEASED).bind(owner).fetch_all(db).await)?;
    let mut room = MAX_IN_FLIGHT.saturating_sub(under_way.len());
    if room == 0 {
        return Ok(Vec::new());
    }
    let turns: Vec<Turn> = on!(transaction.connection(), db =>
        sqlx::query(TURNS).bind(owner).bind(now).fetch_all(db).await.map(readable))?;
    let busy = |turn: &Turn| under_way.iter().filter(|id| **id == turn.channel.id).count();
    let mut turns: Vec<(usize, Turn)> = turns.into_iter().map(|turn| (busy(&turn), turn)).collect();
    let mut leased = Vec::new();
    while room > 0 {
        turns.retain(|(busy, turn)| *busy < if turn.channel.failures > 0 { 1 } else { BY_CHANNEL });
        let min =
            turns.iter().enumerate().min_by_key(|(_, (busy, turn))| (*busy, turn.next_due, turn.channel.id));
        let Some(at) = min.map(|(at, _)| at) else { break };
        let (busy, turn) = &mut turns[at];
        let found = if has_place(transaction, owner, &turn.next_host, hosts).await? {
            waiting_for(transaction, &turn.channel, now).await?
        } else {
            None
        };
        let Some(found) = found else {
            turns.swap_remove(at);
            continue;
        };
        let host = found.host.clone();
        if !has_place(transaction, owner, &host, hosts).await? {
            turns.swap_remove(at);
            continue;
        }
        if let Some(request) = lease_one(transaction, found, &turn.channel, now).await? {
            leased.push(request);
            hosts.entry(host).or_default().push(owner);
            *busy += 1;
            room -= 1;
        }
    }
    Ok(leased)
}

/// The next message of a notification: of each endpoint's newest messages, the oldest. A newer message
/// includes those that it supersedes, and a message in flight ends first. A time far in the future was
/// written before the clock was set back: it counts as older than all others.
async fn waiting_for(
    transaction: &mut Transaction,
    channel: &Channel,
    now: DateTime<Utc>,
) -> Result<Option<Waiting>> {
    // More than one, because some may be unreadable.
    sql!(
        WAITING = "SELECT id, notification_id, endpoint_id, host, alert, attempt, tries FROM deliveries d
        WHERE notification_id = $1 AND status = 'pending' AND leased_at IS NULL AND due_at <= $2
            AND (tries = 0 OR $3) AND NOT EXISTS (
                SELECT 1 FROM deliveries other WHERE other.notification_id = d.notification_id
                    AND other.endpoint_id = d.endpoint_id AND other.id <> d.id AND other.status = 'pending'
                    AND (other.leased_at IS NOT NULL OR (other.changed_at <= $4, other.changed_at, other.id)
                        > (d.changed_at <= $4, d.changed_at, d.id)))
        ORDER BY due_at, id LIMIT 4"
    );
    let is_paused = channel.paused_until(now).is_some();
    if is_paused && !channel.takes_new(now) {
        return Ok(None);
    }
    let found: Vec<Waiting> = on!(transaction.connection(), db => {
        let query = sqlx::query(WAITING).bind(channel.id).bind(now).bind(!is_paused);
        query.bind(now + MAX_AHEAD).fetch_all(db).await.map(readable)
    })?;
    Ok(found.into_iter().next())
}

/// Whether the host has room for one more message of the owner. An owner with many messages there leaves
/// room for others, as in [`net::fair_share`].
async fn has_place(transaction: &mut Transaction, owner: i64, host: &str, hosts: &mut Hosts) -> Result<bool> {
    if host.is_empty() {
        return Ok(true);
    }
    if !hosts.contains_key(host) {
        let leased: Vec<i64> = on!(transaction.connection(), db =>
            sqlx::query_scalar(LEASED_FOR_HOST).bind(host).fetch_all(db).await)?;
        hosts.insert(host.to_owned(), leased);
    }
    let taken = hosts.get(host).map_or(&[][..], Vec::as_slice);
    let own = taken.iter().filter(|user| **user == owner).count();
    Ok(own < MAX_IN_FLIGHT.saturating_sub(taken.len()))
}

async fn lease_one(
    transaction: &mut Transaction,
    found: Waiting,
    channel: &Channel,
    now: DateTime<Utc>,
) -> Result<Option<NotificationRequested>> {
    // This is the endpoint's newest message, and none is in flight: it supersedes the others.
    sql!(
        OVERTAKEN = "UPDATE deliveries SET status = 'superseded', finished_at = $4
        WHERE notification_id = $1 AND endpoint_id = $2 AND id <> $3 AND status = 'pending' RETURNING alert"
    );
    sql!(
        LEASE = "UPDATE deliveries SET leased_at = $2, published_at = NULL, alert = $3,
            handed_at = COALESCE(handed_at, $2) WHERE id = $1"
    );
    sql!(
        SET_ASIDE = "UPDATE deliveries SET status = 'failed', finished_at = $2,
            error = 'pongpong cannot read this delivery.' WHERE id = $1"
    );
    let (Ok(kind), Ok(mut alert)) = (channel.kind(), serde_json::from_str::<Alert>(&found.alert)) else {
        tracing::error!(found.id, "a delivery cannot be read: set aside");
        on!(transaction.connection(), db =>
            sqlx::query(SET_ASIDE).bind(found.id).bind(now).execute(db).await.map(drop))?;
        return Ok(None);
    };
    let overtaken: Vec<String> = on!(transaction.connection(), db => {
        let query = sqlx::query_scalar(OVERTAKEN).bind(found.notification_id).bind(found.endpoint_id);
        query.bind(found.id).bind(now).fetch_all(db).await
    })?;
    for overtaken in overtaken.iter().filter_map(|alert| serde_json::from_str(alert).ok()) {
        overtake(&mut alert, overtaken);
    }
    on!(transaction.connection(), db =>
        sqlx::query(LEASE).bind(found.id).bind(now).bind(json!(alert).to_string()).execute(db).await.map(drop))?;
    Ok(Some(NotificationRequested {
        delivery_id: found.id,
        attempt: found.attempt,
        tries: found.tries,
        notification_id: found.notification_id,
        kind: kind.name.to_owned(),
        sealed_config: channel.sealed_config.clone(),
        alert,
        reader: Reader::default(),
    }))
}

/// Includes another alert in this one: each change once, even if the broker delivers it again.
pub fn overtake(alert: &mut Alert, other: Alert) {
    alert.untold = alert.untold.saturating_add(other.untold);
    let Alert { what, changed_at, cause, missed, .. } = other;
    let itself = (what != AlertKind::Untold).then_some(Missed { what, changed_at, cause });
    for missed in missed.into_iter().chain(itself) {
        let is_told = |told: &Missed| (told.what, told.changed_at) == (missed.what, missed.changed_at);
        if (alert.what, alert.changed_at) != (missed.what, missed.changed_at)
            && !alert.missed.iter().any(is_told)
        {
            alert.missed.push(missed);
        }
    }
    alert.missed.sort_by_key(|missed| missed.changed_at);
    alert.missed.drain(..alert.missed.len().saturating_sub(MAX_MISSED));
}

async fn publish(
    context: &Context,
    function: &str,
    leased: Vec<NotificationRequested>,
    leased_at: DateTime<Utc>,
) -> Result<()> {
    if leased.is_empty() {
        return Ok(());
    }
    let sent: Vec<(i64, Result<()>)> = stream::iter(leased)
        .map(|request| async move {
            (request.delivery_id, publish_one(context, function, &request, leased_at).await)
        })
        .buffer_unordered(CALLS)
        .collect()
        .await;
    let (mut accepted, mut refused, mut failed) = (Vec::new(), Vec::new(), None);
    for (id, sent) in sent {
        match sent {
            Ok(()) => accepted.push(id),
            Err(error) => {
                refused.push(id);
                failed = Some(error);
            }
        }
    }
    // Takes the lock: other transactions may update the same rows in another order.
    let mut transaction = context.db()?.begin().await?;
    lock(&mut transaction).await?;
    mark(&mut transaction, accepted, leased_at, true).await?;
    mark(&mut transaction, refused, leased_at, false).await?;
    transaction.commit().await?;
    failed.map_or(Ok(()), Err)
}

async fn publish_one(
    context: &Context,
    function: &str,
    request: &NotificationRequested,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let NotificationRequested { delivery_id, attempt, tries, .. } = request;
    let id = format!("delivery-{delivery_id}-{attempt}-{tries}");
    let request = recipients::for_sender(context, request).await?;
    let event = Outgoing::new(function, kind::NOTIFICATION_REQUESTED, id, now, &request)?;
    context.publish(event.with_extension("channel", &request.kind)).await
}

/// Marks deliveries as accepted by the broker, or releases those that it refused. Skips deliveries whose
/// outcome is already recorded, or whose lease was taken back and renewed.
async fn mark(
    transaction: &mut Transaction,
    ids: Vec<i64>,
    leased_at: DateTime<Utc>,
    is_accepted: bool,
) -> Result<()> {
    macro_rules! update {
        ($ids:literal) => {
            concat!(
                "UPDATE deliveries SET published_at = CASE WHEN $3 THEN leased_at END, \
                 leased_at = CASE WHEN $3 THEN leased_at END \
                 WHERE leased_at = $2 AND published_at IS NULL AND id ",
                $ids
            )
        };
    }
    if ids.is_empty() {
        return Ok(());
    }
    match transaction.connection() {
        On::Postgres(db) => {
            let query = sqlx::query(update!("= ANY($1)")).bind(ids);
            query.bind(leased_at).bind(is_accepted).execute(db).await?;
        }
        On::Sqlite(db) => {
            let query = sqlx::query(update!("IN (SELECT value FROM json_each($1))"));
            let query = query.bind(json!(ids).to_string());
            query.bind(leased_at).bind(is_accepted).execute(db).await?;
        }
    }
    Ok(())
}

/// Releases leases that ended without an outcome, drops messages that waited too long, and returns the
/// owners with messages to send.
pub async fn wake(db: &Db, now: DateTime<Utc>) -> Result<Vec<i64>> {
    // A time far in the future was written before the clock was set back.
    sql!(
        ENDED = "UPDATE deliveries SET leased_at = NULL, tries = tries + 1
        WHERE leased_at IS NOT NULL
            AND (leased_at <= $1 OR published_at IS NULL AND leased_at <= $2 OR leased_at > $3)"
    );
    sql!(
        OF_THE_FUTURE = "UPDATE deliveries SET due_at = $1
        WHERE status = 'pending' AND leased_at IS NULL AND due_at > $2
            AND (tries = 0 OR due_at > $3 AND NOT EXISTS (SELECT 1 FROM notifications n
                WHERE n.id = deliveries.notification_id AND n.not_before > $1 AND n.not_before <= $4))"
    );
    sql!(RESUMED = "SELECT resumed_at FROM notification_resumes WHERE id = 1");
    sql!(RESUME = "UPDATE notification_resumes SET resumed_at = $1 WHERE id = 1");
    sql!(BEGIN_ANEW = "UPDATE deliveries SET asked_at = $1 WHERE status = 'pending'");
    sql!(
        GIVE_UP = "UPDATE deliveries SET finished_at = $1,
            status = CASE WHEN reached = '[]' THEN 'failed' ELSE 'delivered' END,
            error = COALESCE(error, 'This could not be sent within 24 hours.')
        WHERE status = 'pending' AND leased_at IS NULL AND asked_at <= $2 RETURNING kind"
    );
    // The `+ 0` prevents SQLite from scanning the whole log in the order of owners.
    sql!(
        OWNERS = "SELECT DISTINCT user_id + 0 FROM deliveries
        WHERE status = 'pending' AND leased_at IS NULL AND due_at <= $1 ORDER BY 1"
    );
    let mut transaction = db.begin().await?;
    lock(&mut transaction).await?;
    let given_up: Vec<String> = on!(transaction.connection(), db => {
        let ended = sqlx::query(ENDED).bind(now - LEASE).bind(now - TO_PUBLISH).bind(now + MAX_AHEAD);
        ended.execute(&mut *db).await?;
        let future = sqlx::query(OF_THE_FUTURE).bind(now).bind(now + MAX_AHEAD);
        let future = future.bind(now + MAX_PAUSE + MAX_AHEAD).bind(now + MAX_WAIT);
        future.execute(&mut *db).await?;
        let resumed_at: i64 = sqlx::query_scalar(RESUMED).fetch_one(&mut *db).await?;
        sqlx::query(RESUME).bind(now.timestamp()).execute(&mut *db).await?;
        // Nothing was tried meanwhile, or the clock jumped: the 24 hours of tries start again.
        if now.timestamp() - resumed_at > STOPPED_AFTER.num_seconds() {
            sqlx::query(BEGIN_ANEW).bind(now).execute(&mut *db).await?;
        }
        sqlx::query_scalar(GIVE_UP).bind(now).bind(now - GIVE_UP_AFTER).fetch_all(&mut *db).await
    })?;
    transaction.commit().await?;
    given_up.iter().for_each(|kind| metrics::count(kind, "given_up"));
    Ok(on!(db.read(), db => sqlx::query_scalar(OWNERS).bind(now).fetch_all(db).await)?)
}
