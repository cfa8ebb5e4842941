//! Events `check.completed` and `endpoint.changed`: runs the up/down state machine; replies
//! `status.changed`.
//!
//! Ignores results of older settings. Learns of new settings from their own event or from the first
//! result of the new revision, whichever comes first.
//!
//! A batch is read, computed and written back as a whole, with three statements for any number of
//! results. Evaluators of one endpoint wait for its row lock (PostgreSQL) or for the single writer
//! (SQLite), so that no result is lost.
//!
//! Before endpoints go down, their region is judged ([`region_outage`]): if a region loses its network,
//! every check from it fails. The states of held endpoints are then computed again, without going down.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{LazyLock, Mutex, PoisonError},
};

use axum::extract::State as FromContext;
use channels::CHANNELS;
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{
    Context, Db, Error, Event, Function, Items, Outgoing, Reply, Result, Subscription,
    db::{On, readable_by},
    input, sql,
    telemetry::{Counter, KeyValue, counter},
};
use serde_json::{json, value::RawValue};

use super::{
    MAX_AHEAD, SERVICE, changes,
    deliveries::record,
    dispatch,
    region_outage::{self, Batch},
    senders,
    state::{State, States},
};
use crate::endpoints::{confirm::CONFIRMATION_DELAY, private_list};
use contract::{
    CheckResult, CheckStatus, EndpointChanged, FailedCheck, RegionChange, Status, StatusChange, kind,
};

const NAME: &str = "notification-evaluate";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "decides from check results which endpoints go down or up")
        .on(&[Subscription::to(kind::CHECK_COMPLETED), Subscription::to(kind::ENDPOINT_CHANGED)], || {
            axum::routing::post(handle)
        })
        .reads(runtime::settings!(region_outage::Settings))
        .publishes();

static CHANGES: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.status_changes", "{change}", "Changes of endpoints' status"));
static REGION_OUTAGES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter("pongpong.region.outages", "{outage}", "Users who got a message about a region outage")
});
static HELD: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter("pongpong.alerts.held", "{alert}", "Endpoints whose alert was held because of a region outage")
});

pub(crate) fn count_from_zero() {
    [Status::Up, Status::Degraded, Status::Down].into_iter().for_each(|status| count(status, 0));
    HELD.add(0, &[]);
}

fn count(to: Status, changes: u64) {
    CHANGES.add(changes, &[KeyValue::new("status", to.as_str())]);
}

async fn handle(FromContext(context): FromContext<Context>, event: Event<Box<RawValue>>) -> Result<Reply> {
    let json = event.data.get().as_bytes();
    let Evaluated { changes, regions, unconfirmed, is_failing } = if event.kind == kind::ENDPOINT_CHANGED {
        let changes = change_settings(&context, &event.id, input::parse::<Items<_>>(json)?.0).await?;
        Evaluated { changes, ..Evaluated::default() }
    } else {
        evaluate(&context, &event.id, input::parse::<Items<_>>(json)?.0).await?
    };
    let time = event.time.unwrap_or(context.clock().now());
    if is_failing {
        wake_the_senders(&context)?;
    }
    if !unconfirmed.is_empty() {
        let id = format!("{}/failed", event.id);
        let failed = Outgoing::new(NAME, kind::CHECK_FAILED, id, time, &unconfirmed)?;
        // If this fails, the next check comes at its interval: no reason to evaluate the batch again.
        if let Err(error) = context.publish(failed).await {
            tracing::warn!(%error, "earlier checks could not be asked for");
        }
    }
    // IDs derive from the causing event, so that they are the same if the event is handled again.
    if !regions.is_empty() {
        let id = format!("{}/region", event.id);
        let told = Outgoing::new(NAME, kind::REGION_CHANGED, id, time, &regions)?;
        context.outbound().publish(told).await?;
    }
    let mut told = changes::events(NAME, &format!("{}/status", event.id), time, &changes)?;
    let reply = told.pop();
    for event in told {
        context.outbound().publish(event).await?;
    }
    Ok(reply.map_or(Reply::NONE, Reply::from))
}

/// The results of an event, from now or from when it was first handled.
#[derive(Default)]
struct Evaluated {
    changes: Vec<StatusChange>,
    regions: Vec<RegionChange>,
    unconfirmed: Vec<FailedCheck>,
    /// The next checks decide whether an endpoint is down.
    is_failing: bool,
}

/// When the functions were last woken.
#[derive(Default)]
struct Woken(Mutex<Option<DateTime<Utc>>>);

/// On a cluster, the functions that send alerts have usually scaled to zero, and each takes seconds to
/// start, one after the other. This starts them while the next check is awaited. Knative keeps them
/// running for at least a minute.
fn wake_the_senders(context: &Context) -> Result<()> {
    const INTERVAL: TimeDelta = TimeDelta::seconds(30);
    let woken = context.shared(|_| Ok(Woken::default()))?;
    let now = context.clock().now();
    let mut last = woken.0.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| (now - last).abs() >= INTERVAL) {
        *last = Some(now);
        let outbound = context.outbound().clone();
        context.background(async move { outbound.wake(&who_tells()).await });
    }
    Ok(())
}

/// The functions that an alert passes through, from its event to its message.
fn who_tells() -> Vec<&'static str> {
    let senders = CHANNELS.iter().map(senders::function_of);
    // Includes `delivery-record`: a sender asks it whether the message is still wanted.
    let before = [dispatch::FUNCTION.name, private_list::NAME, record::NAME];
    let all: BTreeSet<_> = before.into_iter().chain(senders).collect();
    all.into_iter().collect()
}

async fn evaluate(context: &Context, event_id: &str, mut results: Vec<CheckResult>) -> Result<Evaluated> {
    let now = context.clock().now();
    // A batch may hold several scheduled times of one endpoint.
    results.sort_by_key(|r| (r.endpoint_id, r.scheduled_at));
    let owners = results.iter().map(|result| (result.endpoint_id, result.user_id)).collect();
    let (mut transaction, Before { states, any_region_outage }) = locked(context.db()?, owners, now).await?;
    let mut after = advance(&states, &results, &HashSet::new());
    if !after.states.is_empty() {
        save(&mut transaction, &after.states).await?;
    }
    let (mut regions, mut begun) = (Vec::new(), Vec::new());
    if any_region_outage || after.changes.iter().any(|change| change.to == Status::Down) {
        // Uses the table, which already contains this batch.
        let batch = Batch { results: &results, states: &after.states, changes: &after.changes };
        let judged = region_outage::judge(context, &mut transaction, batch).await?;
        (regions, begun) = (judged.told, judged.begun);
        if !judged.held.is_empty() {
            after = advance(&states, &results, &judged.held);
            save(&mut transaction, &after.states).await?;
        }
    }
    let Advanced { mut changes, held, seen_before, mut unconfirmed, states: after } = after;
    region_outage::ask_others(context, &mut transaction, &after, &mut unconfirmed).await?;
    let is_failing = !unconfirmed.is_empty();
    // Endpoints that are checked often enough need no early check.
    unconfirmed.retain(|failed| {
        let first = results.partition_point(|result| result.endpoint_id < failed.endpoint_id);
        let interval = results.get(first).map_or(0, |result| result.interval_seconds);
        failed.others > 0 || interval > CONFIRMATION_DELAY
    });
    if !changes.is_empty() || !regions.is_empty() {
        changes::record(&mut transaction, event_id, &changes, &regions, now).await?;
    }
    changes.iter().for_each(|change| count(change.to, 1));
    HELD.add(held, &[]);
    for (region, by_most) in begun {
        let scope = if by_most { "region" } else { "user" };
        REGION_OUTAGES.add(1, &[KeyValue::new("region", region), KeyValue::new("scope", scope)]);
    }
    if seen_before {
        (changes, regions) = changes::recorded(&mut transaction, event_id).await?;
    }
    transaction.commit().await?;
    Ok(Evaluated { changes, regions, unconfirmed, is_failing })
}

/// The status changes that changed settings caused, now or when the event was first handled.
async fn change_settings(
    context: &Context,
    event_id: &str,
    mut changed: Vec<EndpointChanged>,
) -> Result<Vec<StatusChange>> {
    let now = context.clock().now();
    changed.sort_by_key(|change| (change.endpoint_id, change.revision));
    let owners = changed.iter().map(|change| (change.endpoint_id, change.user_id)).collect();
    let (mut transaction, Before { mut states, .. }) = locked(context.db()?, owners, now).await?;
    let mut after = States::new();
    let (mut changes, mut seen_before) = (Vec::new(), false);
    for change in &changed {
        // No state: the endpoint is deleted.
        let Some(state) = states.get_mut(&change.endpoint_id) else { continue };
        if change.revision <= state.revision {
            seen_before = true;
            continue;
        }
        changes.extend(state.change_settings(change));
        after.insert(change.endpoint_id, state.clone());
    }
    if !after.is_empty() {
        save(&mut transaction, &after).await?;
    }
    if !changes.is_empty() {
        changes::record(&mut transaction, event_id, &changes, &[], now).await?;
    }
    if seen_before {
        (changes, _) = changes::recorded(&mut transaction, event_id).await?;
    }
    transaction.commit().await?;
    Ok(changes)
}

/// The results of a batch.
#[derive(Default)]
struct Advanced {
    /// The states that the batch changed.
    states: States,
    changes: Vec<StatusChange>,
    /// Number of alerts that this batch put on hold.
    held: u64,
    /// First failures in a row, which are confirmed by a check before the next scheduled one.
    unconfirmed: Vec<FailedCheck>,
    seen_before: bool,
}

/// Endpoints in `on_hold` do not go down.
fn advance(before: &States, results: &[CheckResult], on_hold: &HashSet<i64>) -> Advanced {
    let mut after = Advanced::default();
    for (at, result) in results.iter().enumerate() {
        let id = result.endpoint_id;
        // An unknown result gives no information about the endpoint or its region.
        if result.outcome.status == CheckStatus::Unknown {
            continue;
        }
        // No state: the endpoint is deleted.
        let Some(known) = before.get(&id) else { continue };
        if after.states.get(&id).unwrap_or(known).has_seen(result) {
            after.seen_before = true;
            continue;
        }
        let state = after.states.entry(id).or_insert_with(|| known.clone());
        let on_hold = on_hold.contains(&id);
        after.changes.extend(state.take(result, on_hold));
        after.held += u64::from(on_hold && state.is_held_by(result));
        let is_newest = results.get(at + 1).is_none_or(|next| next.endpoint_id != id);
        if is_newest && state.must_be_confirmed(result) {
            let CheckResult { endpoint_id, user_id, scheduled_at, revision, .. } = *result;
            after.unconfirmed.push(FailedCheck { endpoint_id, user_id, scheduled_at, revision, others: 0 });
        }
    }
    after
}

/// The states before a batch, and whether any of its users has an open region outage.
struct Before {
    states: States,
    any_region_outage: bool,
}

/// The states before a batch, locked until the transaction ends. Creates missing rows first, because only
/// an existing row can be locked.
async fn locked(
    db: &Db,
    owners: BTreeMap<i64, i64>,
    now: DateTime<Utc>,
) -> Result<(runtime::db::Transaction, Before)> {
    let ids: Vec<i64> = owners.keys().copied().collect();
    let mut transaction = db.begin().await?;
    let mut rows = load(&mut transaction, &ids).await?;
    if rows.len() < ids.len() {
        drop(transaction);
        let known: HashSet<i64> = rows.iter().map(|row| row.endpoint_id).collect();
        let unknown: HashMap<i64, i64> = owners.into_iter().filter(|(id, _)| !known.contains(id)).collect();
        insert(db, &unknown).await?;
        transaction = db.begin().await?;
        rows = load(&mut transaction, &ids).await?;
        // A user may have been deleted meanwhile. From here on, a deletion waits for this transaction, or
        // is visible to it.
        let forgotten = forgotten(&mut transaction, unknown.values().copied().collect()).await?;
        rows.retain(|row| !forgotten.contains(&row.user_id));
    }
    let any_region_outage = rows.iter().any(|row| row.any_region_outage);
    let states = rows.into_iter().filter(|row| !row.deleted).map(|row| (row.endpoint_id, row.state(now)));
    Ok((transaction, Before { states: states.collect(), any_region_outage }))
}

#[derive(sqlx::FromRow)]
struct Row {
    endpoint_id: i64,
    user_id: i64,
    status: String,
    degraded: bool,
    degraded_run: i32,
    revision: i64,
    run: i32,
    last_scheduled_at: i64,
    failing_since: Option<i64>,
    cause: Option<String>,
    unreachable_since: Option<i64>,
    deleted: bool,
    any_region_outage: bool,
}

impl Row {
    fn state(self, now: DateTime<Utc>) -> State {
        let last_scheduled_at = time_of(self.last_scheduled_at);
        State {
            status: match self.status.as_str() {
                "up" => Status::Up,
                "down" => Status::Down,
                _ => Status::Pending,
            },
            is_degraded: self.degraded,
            degraded_run: self.degraded_run,
            revision: self.revision,
            run: self.run,
            // Written before the clock was set back: every new result counts as newer.
            last_scheduled_at: if last_scheduled_at > now + MAX_AHEAD {
                DateTime::<Utc>::MIN_UTC
            } else {
                last_scheduled_at
            },
            failing_since: self.failing_since.map(time_of),
            cause: self.cause.and_then(|json| serde_json::from_str(&json).ok()),
            unreachable_since: self.unreachable_since.map(time_of),
            // Set by the next result.
            region: None,
        }
    }
}

fn time_of(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

async fn load(transaction: &mut runtime::db::Transaction, ids: &[i64]) -> Result<Vec<Row>> {
    // Locked in the order of IDs, so that two batches cannot deadlock.
    sql!(
        POSTGRES =
            "SELECT endpoint_id, user_id, status, degraded, degraded_run, revision, run, last_scheduled_at,
            failing_since, cause, unreachable_since,
            deleted_at IS NOT NULL AS deleted, EXISTS (SELECT 1 FROM notification_region_outages q
                WHERE q.user_id = notification_states.user_id) AS any_region_outage
        FROM notification_states WHERE endpoint_id = ANY($1) ORDER BY endpoint_id FOR UPDATE"
    );
    sql!(
        SQLITE =
            "SELECT endpoint_id, user_id, status, degraded, degraded_run, revision, run, last_scheduled_at,
            failing_since, cause, unreachable_since,
            deleted_at IS NOT NULL AS deleted, EXISTS (SELECT 1 FROM notification_region_outages q
                WHERE q.user_id = notification_states.user_id) AS any_region_outage
        FROM notification_states WHERE endpoint_id IN (SELECT value FROM json_each($1))"
    );
    // Skips unreadable rows: their endpoints are not evaluated.
    Ok(match transaction.connection() {
        On::Postgres(db) => readable_by("endpoint_id", &sqlx::query(POSTGRES).bind(ids).fetch_all(db).await?),
        On::Sqlite(db) => {
            readable_by("endpoint_id", &sqlx::query(SQLITE).bind(json!(ids).to_string()).fetch_all(db).await?)
        }
    })
}

async fn insert(db: &Db, unknown: &HashMap<i64, i64>) -> Result<()> {
    sql!(
        POSTGRES = "INSERT INTO notification_states (endpoint_id, user_id, status, run, last_scheduled_at)
        SELECT endpoint_id, user_id, 'pending', 0, $3 FROM UNNEST($1::BIGINT[], $2::BIGINT[])
            AS new (endpoint_id, user_id)
        WHERE NOT EXISTS (SELECT 1 FROM notification_user_tombstones f WHERE f.user_id = new.user_id)
        ORDER BY endpoint_id ON CONFLICT DO NOTHING"
    );
    sql!(
        SQLITE = "INSERT INTO notification_states (endpoint_id, user_id, status, run, last_scheduled_at)
        SELECT new.value ->> 0, new.value ->> 1, 'pending', 0, $2 FROM json_each($1) AS new
        WHERE NOT EXISTS (SELECT 1 FROM notification_user_tombstones f WHERE f.user_id = new.value ->> 1)
        ON CONFLICT DO NOTHING"
    );
    match db.write() {
        On::Postgres(db) => {
            let (ids, users): (Vec<i64>, Vec<i64>) = unknown.iter().unzip();
            sqlx::query(POSTGRES).bind(ids).bind(users).bind(i64::MIN).execute(db).await?;
        }
        On::Sqlite(db) => {
            let pairs: Vec<_> = unknown.iter().collect();
            sqlx::query(SQLITE).bind(json!(pairs).to_string()).bind(i64::MIN).execute(db).await?;
        }
    }
    Ok(())
}

async fn forgotten(transaction: &mut runtime::db::Transaction, users: Vec<i64>) -> Result<Vec<i64>> {
    sql!(POSTGRES = "SELECT user_id FROM notification_user_tombstones WHERE user_id = ANY($1)");
    sql!(
        SQLITE = "SELECT user_id FROM notification_user_tombstones
        WHERE user_id IN (SELECT value FROM json_each($1))"
    );
    Ok(match transaction.connection() {
        On::Postgres(db) => sqlx::query_scalar(POSTGRES).bind(users).fetch_all(db).await?,
        On::Sqlite(db) => sqlx::query_scalar(SQLITE).bind(json!(users).to_string()).fetch_all(db).await?,
    })
}

async fn save(transaction: &mut runtime::db::Transaction, states: &States) -> Result<()> {
    sql!(POSTGRES = "UPDATE notification_states AS s SET status = new.status, run = new.run,
            last_scheduled_at = new.last_scheduled_at, failing_since = new.failing_since, cause = new.cause,
            region = new.region, revision = new.revision, unreachable_since = new.unreachable_since,
            degraded = new.degraded, degraded_run = new.degraded_run
        FROM UNNEST($1::BIGINT[], $2::TEXT[], $3::INTEGER[], $4::BIGINT[], $5::BIGINT[], $6::TEXT[], $7::TEXT[],
                $8::BIGINT[], $9::BIGINT[], $10::BOOLEAN[], $11::INTEGER[])
            AS new (endpoint_id, status, run, last_scheduled_at, failing_since, cause, region, revision, unreachable_since,
                degraded, degraded_run)
        WHERE s.endpoint_id = new.endpoint_id");
    sql!(
        SQLITE = "UPDATE notification_states AS s SET status = new.value ->> 1,
            run = new.value ->> 2, last_scheduled_at = new.value ->> 3, failing_since = new.value ->> 4,
            cause = new.value ->> 5, region = new.value ->> 6, revision = new.value ->> 7,
            unreachable_since = new.value ->> 8, degraded = new.value ->> 9, degraded_run = new.value ->> 10
        FROM json_each($1) AS new WHERE s.endpoint_id = new.value ->> 0"
    );
    let rows = states.iter().map(|(id, state)| {
        let status = match state.status {
            Status::Up => "up",
            Status::Down => "down",
            _ => "pending",
        };
        let cause = state.cause.as_ref().map(|cause| json!(cause).to_string());
        let failing_since = state.failing_since.map(|t| t.timestamp_micros());
        let region = state.region.as_deref();
        let unreachable_since = state.unreachable_since.map(|t| t.timestamp_micros());
        let scheduled_at = state.last_scheduled_at.timestamp_micros();
        let (degraded, degraded_run) = (state.is_degraded, state.degraded_run);
        let State { run, revision, .. } = *state;
        (
            *id,
            status,
            run,
            scheduled_at,
            failing_since,
            cause,
            region,
            revision,
            unreachable_since,
            degraded,
            degraded_run,
        )
    });
    match transaction.connection() {
        On::Postgres(db) => {
            let (
                ids,
                statuses,
                runs,
                times,
                since,
                causes,
                regions,
                revisions,
                unreachable,
                degraded,
                degraded_runs,
            ): (
                Vec<_>,
                Vec<_>,
                Vec<_>,
                Vec<_>,
                Vec<_>,
                Vec<_>,
                Vec<_>,
                Vec<_>,
                Vec<_>,
                Vec<_>,
                Vec<_>,
            ) = rows.collect();
            let query = sqlx::query(POSTGRES).bind(ids).bind(statuses).bind(runs).bind(times).bind(since);
            let query = query.bind(causes).bind(regions).bind(revisions).bind(unreachable);
            let query = query.bind(degraded).bind(degraded_runs);
            query.execute(db).await?;
        }
        On::Sqlite(db) => {
            let rows = serde_json::to_string(&rows.collect::<Vec<_>>()).map_err(Error::internal)?;
            sqlx::query(SQLITE).bind(rows).execute(db).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tells_is_a_function_and_has_every_sender() {
        let woken = who_tells();
        assert!(
            woken.iter().all(|name| crate::ALL.iter().any(|function| function.name == *name)),
            "{woken:?}"
        );
        let sends = |name: &str| woken.contains(&name);
        let needed = ["notification-dispatch", "delivery-record", "email-send", "channel-send"];
        assert!(needed.into_iter().all(sends), "{woken:?}");
    }
}
