//! If a region loses its network, every check from it fails. When most endpoints of a region begin to fail at once,
//! each of their users gets one message about the region instead of one for each endpoint.
//!
//! Two groups of endpoints are compared, of those that were checked in the region since the first failure:
//! endpoints that recently became unreachable (DNS, connection, TLS, time-out), and endpoints that answer. Any
//! answer counts, because an answer is no sign of a problem of the region. An endpoint that has been
//! unreachable for long, or was not checked since, does not count. The alert of an endpoint that answers is
//! never held.
//!
//! An outage is assumed if more than `REGION_OUTAGE_SHARE` of the endpoints in a region fail, of
//! - all users, if there are `REGION_OUTAGE_MIN` users, and more than that share of them see more than
//!   that share of their endpoints fail. Counted by users: one user with a thousand broken endpoints must
//!   not silence the others.
//! - one user who has `REGION_OUTAGE_MIN` endpoints, and sees more than that share of them fail.
//!
//! A failure is confirmed sooner than a user's other endpoints are due. So if too few of them were
//! checked recently, the first failure triggers checks of some others: otherwise the first endpoints to
//! fail would be reported down one by one.
//!
//! An alert is held for at most `REGION_OUTAGE_MINUTES`, counted from its endpoint's first failure. A
//! held alert is judged again when its endpoint is checked again: if that check comes too late, the alert
//! is not held.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Mutex,
};

use chrono::{DateTime, TimeDelta, Utc};
use runtime::{
    Context, Env, FromEnv, Result,
    db::{On, Transaction},
    on, sql,
};
use serde_json::json;

use super::{MAX_AHEAD, state::States};
use contract::{AlertKind, CheckResult, FailedCheck, RegionChange, RegionOutage, Status, StatusChange};

/// `REGION_OUTAGE_MIN` (default 10), `REGION_OUTAGE_SHARE` (default 0.5; 1: never) and `REGION_OUTAGE_MINUTES`
/// (default 15).
pub(crate) struct Settings {
    min: i64,
    share: f64,
    limit: TimeDelta,
}

impl FromEnv for Settings {
    const NAMES: &[&str] = &["REGION_OUTAGE_MIN", "REGION_OUTAGE_SHARE", "REGION_OUTAGE_MINUTES"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let (min, share) =
            (env.parse_or("REGION_OUTAGE_MIN", 10)?, env.parse_or("REGION_OUTAGE_SHARE", 0.5)?);
        let minutes = env.parse_or("REGION_OUTAGE_MINUTES", 15)?;
        anyhow::ensure!(min >= 1, "REGION_OUTAGE_MIN must be at least 1");
        anyhow::ensure!(
            share > 0.0 && share <= 1.0,
            "REGION_OUTAGE_SHARE must be more than 0, and at most 1"
        );
        anyhow::ensure!((1..=1440).contains(&minutes), "REGION_OUTAGE_MINUTES must be 1 to 1440");
        Ok(Self { min, share, limit: TimeDelta::minutes(minutes) })
    }
}

impl Settings {
    fn is_most(&self, failing: i64, checked: i64) -> bool {
        failing as f64 > self.share * checked as f64
    }
}

/// A batch as computed without region outages. Its states are already saved.
pub(super) struct Batch<'a> {
    pub results: &'a [CheckResult],
    pub states: &'a States,
    pub changes: &'a [StatusChange],
}

#[derive(Default)]
pub(super) struct Judged {
    /// The endpoints that do not go down now.
    pub held: HashSet<i64>,
    pub told: Vec<RegionChange>,
    /// The region of each new region outage, and whether most users see it.
    pub begun: Vec<(String, bool)>,
}

/// The part of a batch that belongs to one user in one region.
struct Part {
    newest: DateTime<Utc>,
    /// Endpoints that would go down and may be held, each with its first failure.
    downs: Vec<(i64, DateTime<Utc>)>,
}

type Parts<'a> = BTreeMap<&'a str, BTreeMap<i64, Part>>;

/// Judges one transaction after the other: each sees the region outages that earlier ones stored.
pub(super) async fn judge(
    context: &Context,
    transaction: &mut Transaction,
    batch: Batch<'_>,
) -> Result<Judged> {
    let settings = &*context.config::<Settings>()?;
    let mut judged = Judged::default();
    let parts = parts(&batch, settings.limit);
    if parts.is_empty() {
        return Ok(judged);
    }
    lock(transaction).await?;
    for (region, users) in parts {
        forget(transaction, region, &users, settings.limit).await?;
        let mut open = open(transaction, region, users.keys().copied().collect()).await?;
        for (user_id, open) in &mut open {
            // Written before the clock was set back: it may end now.
            let newest = users.get(user_id).map_or(open.since, |part| part.newest);
            if open.since > newest + MAX_AHEAD {
                open.since = newest - MIN_DURATION;
            }
        }
        let newest_failure = || users.values().flat_map(|part| &part.downs).map(|(_, first)| *first).max();
        // A known outage is judged by all checks since it began.
        let Some(since) = open.values().map(|open| open.since).min().or_else(newest_failure) else {
            continue;
        };
        let place = Place { region, since, settings };
        let health = place.health(context, transaction).await?;
        for (user_id, part) in users {
            let open = open.get(&user_id);
            if open.is_none() && part.downs.is_empty() {
                continue;
            }
            let is_out = match health {
                Health::Good => false,
                Health::Failing | Health::FailingForMost => {
                    let Tally { failing, checked } = place.tally(transaction, user_id, since).await?;
                    checked >= settings.min && settings.is_most(failing, checked)
                }
                Health::FailingForAll => true,
            };
            let step = step(open, is_out, &part, settings.limit);
            let told = place.take(transaction, step, open, user_id, &part).await?;
            judged.told.extend(told);
            if step == Step::Begin {
                judged.begun.push((region.to_owned(), health != Health::Failing));
            }
            if matches!(step, Step::Begin | Step::Hold) {
                judged.held.extend(part.downs.iter().map(|(id, _)| id));
            }
        }
    }
    Ok(judged)
}

fn parts<'a>(batch: &Batch<'a>, limit: TimeDelta) -> Parts<'a> {
    let mut parts = Parts::new();
    for result in batch.results {
        // Unknown results, and results during maintenance, give no information.
        let Some(state) = batch.states.get(&result.endpoint_id) else { continue };
        let Some(region) = state.region.as_deref() else { continue };
        let of_user = parts.entry(region).or_default();
        let part = of_user
            .entry(result.user_id)
            .or_insert_with(|| Part { newest: state.last_scheduled_at, downs: Vec::new() });
        part.newest = part.newest.max(state.last_scheduled_at);
    }
    let intervals: HashMap<i64, u32> =
        batch.results.iter().map(|result| (result.endpoint_id, result.interval_seconds)).collect();
    let interval = |id| TimeDelta::seconds(intervals.get(&id).copied().unwrap_or_default().into());
    for change in batch.changes.iter().filter(|change| change.to == Status::Down) {
        let Some(region) = batch.states.get(&change.endpoint_id).and_then(|s| s.region.as_deref()) else {
            continue;
        };
        let part = parts.get_mut(region).and_then(|users| users.get_mut(&change.user_id));
        let is_unreachable = change.cause.as_ref().is_some_and(|cause| cause.code.is_unreachable());
        if let (Some(part), Some(first)) = (part, change.outage_started_at)
            && is_unreachable
            && change.changed_at - first <= limit
            && change.changed_at + interval(change.endpoint_id) - first <= limit + MIN_DURATION
        {
            part.downs.push((change.endpoint_id, first));
        }
    }
    parts
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Nothing,
    /// Reports a region outage to the user, and holds alerts.
    Begin,
    Hold,
    /// Reports to the user that the region works again.
    End,
    /// It has lasted too long: reports that to the user, and stops holding alerts.
    GiveUp,
    /// A region outage that was given up has ended; each endpoint sends its own alert.
    Forget,
}

/// Minimum duration of a region outage, so that an unstable region does not cause a message each minute.
const MIN_DURATION: TimeDelta = TimeDelta::minutes(2);
fn step(open: Option<&Open>, is_out: bool, part: &Part, limit: TimeDelta) -> Step {
    let Some(open) = open else {
        return if is_out { Step::Begin } else { Step::Nothing };
    };
    let lasted = part.newest - open.since;
    match (open.given_up, is_out) {
        (true, true) => Step::Nothing,
        (true, false) => Step::Forget,
        (false, true) if lasted > limit => Step::GiveUp,
        (false, true) => Step::Hold,
        (false, false) if lasted < MIN_DURATION => Step::Hold,
        (false, false) => Step::End,
    }
}

pub(super) async fn lock(transaction: &mut Transaction) -> Result<()> {
    sql!(POSTGRES_LOCK = "SELECT pg_advisory_xact_lock(hashtext('notification_region_outages'))");
    // SQLite has one writer at a time.
    if let On::Postgres(db) = transaction.connection() {
        sqlx::query(POSTGRES_LOCK).execute(db).await?;
    }
    Ok(())
}

/// Deletes old region outages. One that was given up is kept until the endpoints that failed with it no
/// longer count as new failures. None is kept forever, because its endpoints may be paused.
async fn forget(
    transaction: &mut Transaction,
    region: &str,
    users: &BTreeMap<i64, Part>,
    limit: TimeDelta,
) -> Result<()> {
    sql!(
        DELETE = "DELETE FROM notification_region_outages
        WHERE region = $1 AND since < $2 AND (given_up OR since < $3)"
    );
    let Some(newest) = users.values().map(|part| part.newest).max() else { return Ok(()) };
    let before = |age: TimeDelta| (newest - age).timestamp_micros();
    on!(transaction.connection(), db => {
        let query = sqlx::query(DELETE).bind(region).bind(before(limit * 3));
        query.bind(before(TimeDelta::days(7))).execute(db).await.map(drop)
    })?;
    Ok(())
}

struct Open {
    id: i64,
    since: DateTime<Utc>,
    given_up: bool,
}

/// The open region outages of a region, by user.
async fn open(transaction: &mut Transaction, region: &str, users: Vec<i64>) -> Result<HashMap<i64, Open>> {
    sql!(
        POSTGRES = "SELECT user_id, id, since, given_up FROM notification_region_outages
        WHERE region = $1 AND user_id = ANY($2)"
    );
    sql!(
        SQLITE = "SELECT user_id, id, since, given_up FROM notification_region_outages
        WHERE region = $1 AND user_id IN (SELECT value FROM json_each($2))"
    );
    let rows: Vec<(i64, i64, i64, bool)> = match transaction.connection() {
        On::Postgres(db) => sqlx::query_as(POSTGRES).bind(region).bind(users).fetch_all(db).await?,
        On::Sqlite(db) => {
            sqlx::query_as(SQLITE).bind(region).bind(json!(users).to_string()).fetch_all(db).await?
        }
    };
    let open = |id, since, given_up| Open {
        id,
        since: DateTime::from_timestamp_micros(since).unwrap_or_default(),
        given_up,
    };
    Ok(rows.into_iter().map(|(user, id, since, given_up)| (user, open(id, since, given_up))).collect())
}

/// Users whose other endpoints were requested, and until when they are not requested again.
#[derive(Default)]
struct RecentRequests(Mutex<HashMap<(i64, String), DateTime<Utc>>>);

/// Longer than a confirmation and its result take.
const ASK_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(20);

/// Sets, for failed checks, how many of the user's other endpoints must be checked to judge the region.
pub(super) async fn ask_others(
    context: &Context,
    transaction: &mut Transaction,
    states: &States,
    failed: &mut [FailedCheck],
) -> Result<()> {
    let Settings { min, share, .. } = *context.config::<Settings>()?;
    let mut first_of_user = BTreeMap::new();
    for failed in failed {
        let Some(state) = states.get(&failed.endpoint_id) else { continue };
        let Some(region) = state.region.as_deref() else { continue };
        if state.unreachable_since == Some(failed.scheduled_at) {
            first_of_user.entry((failed.user_id, region)).or_insert(failed);
        }
    }
    // Enough users to judge them together.
    if share >= 1.0 || first_of_user.len() as i64 >= min {
        return Ok(());
    }
    let now = context.clock().now();
    let asked = context.shared(|_| Ok(RecentRequests::default()))?;
    let lock = || asked.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for ((user_id, region), failed) in first_of_user {
        let place = (user_id, region.to_owned());
        if lock().get(&place).is_some_and(|until| now < *until && *until <= now + ASK_AGAIN_AFTER) {
            continue;
        }
        let known = checked(transaction, user_id, region, DateTime::<Utc>::UNIX_EPOCH, min).await?;
        let since = checked(transaction, user_id, region, failed.scheduled_at, min).await?;
        if known >= min && since < min {
            // Two more, because some may answer slowly.
            failed.others = min - since + 2;
            let mut asked = lock();
            asked.retain(|_, until| now < *until);
            asked.insert(place, now + ASK_AGAIN_AFTER);
        }
    }
    Ok(())
}

/// How many of a user's endpoints were last checked in a region, and since a time; counts up to `max`.
async fn checked(
    transaction: &mut Transaction,
    user_id: i64,
    region: &str,
    since: DateTime<Utc>,
    max: i64,
) -> Result<i64> {
    sql!(
        SELECT = "SELECT COUNT(*) FROM (SELECT 1 FROM notification_states
        WHERE user_id = $1 AND region = $2 AND last_scheduled_at >= $3 AND deleted_at IS NULL LIMIT $4) AS enough"
    );
    Ok(on!(transaction.connection(), db => {
        let query = sqlx::query_scalar(SELECT).bind(user_id).bind(region).bind(since.timestamp_micros());
        query.bind(max).fetch_one(db).await
    })?)
}

/// A region, and the time from which its checks count.
struct Place<'a> {
    region: &'a str,
    since: DateTime<Utc>,
    settings: &'a Settings,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Health {
    Good,
    /// Most endpoints checked there fail.
    Failing,
    /// The same for most users, but there are too few users to judge for all.
    FailingForMost,
    /// The same for most users.
    FailingForAll,
}

#[derive(sqlx::FromRow)]
struct Tally {
    failing: i64,
    checked: i64,
}

/// Regions that fail for all users, cached until a time: while they fail, every batch asks, and counting
/// everything for each would overload the database.
#[derive(Default)]
struct KnownOutages(Mutex<HashMap<String, DateTime<Utc>>>);

const KNOWN_FOR: TimeDelta = TimeDelta::seconds(10);

impl Place<'_> {
    /// "Lately" spans the longest time that an alert may be held.
    fn lately(&self, since: DateTime<Utc>) -> i64 {
        (since - self.settings.limit).timestamp_micros()
    }

    async fn health(&self, context: &Context, transaction: &mut Transaction) -> Result<Health> {
        let known = context.shared(|_| Ok(KnownOutages::default()))?;
        let lock = || known.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = context.clock().now();
        if lock().get(self.region).is_some_and(|until| now < *until && *until <= now + KNOWN_FOR) {
            return Ok(Health::FailingForAll);
        }
        if !self.mostly_fails(transaction).await? {
            return Ok(Health::Good);
        }
        let users = self.users(transaction).await?;
        // A single user gives no information about the region.
        if users.checked < 2 || !self.settings.is_most(users.failing, users.checked) {
            return Ok(Health::Failing);
        }
        if users.checked < self.settings.min {
            return Ok(Health::FailingForMost);
        }
        lock().insert(self.region.to_owned(), now + KNOWN_FOR);
        Ok(Health::FailingForAll)
    }

    /// The cost depends on the number of failing endpoints, not on all: working ones are counted only up
    /// to the number that decides.
    async fn mostly_fails(&self, transaction: &mut Transaction) -> Result<bool> {
        sql!(
            FAILING = "SELECT COUNT(*) FROM notification_states
            WHERE region = $1 AND unreachable_since >= $2 AND last_scheduled_at >= $3 AND deleted_at IS NULL"
        );
        sql!(
            WORKING = "SELECT COUNT(*) FROM (SELECT 1 FROM notification_states
            WHERE region = $1 AND unreachable_since IS NULL AND last_scheduled_at >= $2 AND deleted_at IS NULL
            LIMIT $3) AS enough"
        );
        let Settings { min, share, .. } = *self.settings;
        let since = self.since.timestamp_micros();
        let failing: i64 = on!(transaction.connection(), db => {
            let query = sqlx::query_scalar(FAILING).bind(self.region).bind(self.lately(self.since));
            query.bind(since).fetch_one(db).await
        })?;
        // Too few to decide, for one user or for all.
        if !self.settings.is_most(failing, min) {
            return Ok(false);
        }
        let enough = failing as f64 * (1.0 - share) / share;
        let working: i64 = on!(transaction.connection(), db => {
            let query = sqlx::query_scalar(WORKING).bind(self.region).bind(since);
            query.bind(enough.ceil() as i64).fetch_one(db).await
        })?;
        Ok((working as f64) < enough)
    }

    /// For how many users most endpoints fail, out of how many users.
    async fn users(&self, transaction: &mut Transaction) -> Result<Tally> {
        sql!(
            SELECT = "SELECT COUNT(CASE WHEN failing > $4 * checked THEN 1 END) AS failing,
                COUNT(*) AS checked
            FROM (SELECT COUNT(unreachable_since) AS failing, COUNT(*) AS checked FROM notification_states
                WHERE region = $1 AND last_scheduled_at >= $2 AND deleted_at IS NULL
                    AND (unreachable_since IS NULL OR unreachable_since >= $3)
                GROUP BY user_id) AS users"
        );
        Ok(on!(transaction.connection(), db => {
            let query = sqlx::query_as(SELECT).bind(self.region).bind(self.since.timestamp_micros());
            query.bind(self.lately(self.since)).bind(self.settings.share).fetch_one(db).await
        })?)
    }

    async fn tally(
        &self,
        transaction: &mut Transaction,
        user_id: i64,
        since: DateTime<Utc>,
    ) -> Result<Tally> {
        sql!(
            SELECT = "SELECT COUNT(unreachable_since) AS failing, COUNT(*) AS checked
            FROM notification_states
            WHERE user_id = $1 AND region = $2 AND last_scheduled_at >= $3 AND deleted_at IS NULL
                AND (unreachable_since IS NULL OR unreachable_since >= $4)"
        );
        Ok(on!(transaction.connection(), db => {
            let query = sqlx::query_as(SELECT).bind(user_id).bind(self.region);
            let query = query.bind(since.timestamp_micros()).bind(self.lately(since));
            query.fetch_one(db).await
        })?)
    }

    /// Stores a step, and returns the change that the user gets.
    async fn take(
        &self,
        transaction: &mut Transaction,
        step: Step,
        open: Option<&Open>,
        user_id: i64,
        part: &Part,
    ) -> Result<Option<RegionChange>> {
        sql!(
            BEGIN = "INSERT INTO notification_region_outages (region, user_id, since, given_up)
            VALUES ($1, $2, $3, FALSE) RETURNING id"
        );
        sql!(GIVE_UP = "UPDATE notification_region_outages SET given_up = TRUE WHERE id = $1");
        sql!(END = "DELETE FROM notification_region_outages WHERE id = $1");
        let (what, id, since) = match (step, open) {
            (Step::Begin, _) => {
                let first = part.downs.iter().map(|(_, first)| *first).min().unwrap_or(self.since);
                let id: i64 = on!(transaction.connection(), db => {
                    let query = sqlx::query_scalar(BEGIN).bind(self.region).bind(user_id);
                    query.bind(first.timestamp_micros()).fetch_one(db).await
                })?;
                (AlertKind::RegionOutage, id, first)
            }
            (Step::End | Step::GiveUp | Step::Forget, Some(open)) => {
                let sql = if step == Step::GiveUp { GIVE_UP } else { END };
                on!(transaction.connection(), db => sqlx::query(sql).bind(open.id).execute(db).await.map(drop))?;
                match step {
                    Step::End => (AlertKind::RegionRecovered, open.id, open.since),
                    Step::GiveUp => (AlertKind::RegionStillFailing, open.id, open.since),
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        // When other users' endpoints failed does not matter to this user.
        let Tally { failing, checked } = self.tally(transaction, user_id, since.min(self.since)).await?;
        // The region may fail only for other users.
        let what = if failing == 0 && step == Step::GiveUp { AlertKind::RegionRecovered } else { what };
        let outage = RegionOutage {
            id,
            region: self.region.to_owned(),
            failing,
            endpoints: checked,
            held_minutes: self.settings.limit.num_minutes(),
        };
        Ok(Some(RegionChange { user_id, what, changed_at: part.newest, since, outage }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_bounds() {
        let settings = |name: &str, value: &str| {
            Settings::from_env(&Env::from_iter([(name.to_owned(), value.to_owned())]))
        };
        let never = settings("REGION_OUTAGE_SHARE", "1").expect("may be switched off");
        assert!(!never.is_most(1000, 1000));
        for (name, value) in [
            ("REGION_OUTAGE_MIN", "0"),
            ("REGION_OUTAGE_SHARE", "0"),
            ("REGION_OUTAGE_SHARE", "1.1"),
            ("REGION_OUTAGE_SHARE", "NaN"),
            ("REGION_OUTAGE_MINUTES", "0"),
            ("REGION_OUTAGE_MINUTES", "1441"),
        ] {
            assert!(settings(name, value).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn a_region_outage_ends_when_it_is_over_or_too_old() {
        let at = |minute| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        let step = |open: Option<bool>, is_out, minute| {
            let open = open.map(|given_up| Open { id: 1, since: at(0), given_up });
            let part = Part { newest: at(minute), downs: vec![(7, at(0))] };
            super::step(open.as_ref(), is_out, &part, TimeDelta::minutes(15))
        };
        assert_eq!((step(None, false, 1), step(None, true, 1)), (Step::Nothing, Step::Begin));
        assert_eq!((step(Some(false), true, 15), step(Some(false), true, 16)), (Step::Hold, Step::GiveUp));
        assert_eq!((step(Some(false), false, 1), step(Some(false), false, 2)), (Step::Hold, Step::End));
        assert_eq!((step(Some(true), true, 20), step(Some(true), false, 20)), (Step::Nothing, Step::Forget));
    }
}
