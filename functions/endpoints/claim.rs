//! `POST /private/v1/endpoints/claim`, `.../claim/confirm`, `.../claim/return`: hands out due checks, each scheduled
//! time once.
//!
//! A scheduled time is a second at which a check of an endpoint is due. A claim leases endpoints in the same
//! statement that finds them: with many claimers at once, each endpoint goes to one claimer. A claimer that has
//! requested the checks confirms the claim, and these scheduled times are done. A claimer that could not request the
//! checks returns the claim, and the next claim finds them immediately. If a claimer dies before that, nothing is
//! lost, because the lease ends. After a pause, only the latest of the scheduled times that passed is handed out; the
//! earlier ones are counted as missed.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, StatusCode};
use runtime::{
    Context, Db, Error, Fields, Function, Input, Items, Result,
    db::{JsonText, On, ids_of, readable},
    error::ErrorBody,
    on, sql,
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::{CLAIM_AHEAD, SERVICE, Settings, maintenances::windows::Windows, requests::Request};
use crate::words;
#[cfg(doc)]
use contract::CheckRequest;

pub const NAME: &str = "endpoint-private-claim";
const CLAIM: &str = "/private/v1/endpoints/claim";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "hands out the checks that are due, each once")
    .http(runtime::http!(handle, handle_confirm, handle_return));

/// How long a claimer has to request the checks. Not longer than the delay after which a failed Job is restarted: the
/// new attempt must find the endpoints that the failed one claimed.
const LEASE_SECONDS: i64 = 10;
/// Until the next tick, when the rows may be readable.
const SET_ASIDE_SECONDS: i64 = 50;
const MAX_CLAIM_LEN: i64 = 1000;
/// Size of the URLs, configs and assertions in one claim, because targets can be large.
const MAX_TEXT_BYTES: i64 = 2 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Only scheduled times before this time, which is at most ten minutes ahead.
    pub until: DateTime<Utc>,
    /// Maximum number of endpoints.
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: i64,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Claims {
    /// Empty: nothing more is due.
    #[schema(value_type = Vec<Claimed>)]
    pub items: Items<Claimed>,
    /// If `items` is empty: due endpoints that are leased to another claimer, which has not requested their checks
    /// yet.
    #[serde(default)]
    pub leased: i64,
}

/// The due checks of one endpoint.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Claimed {
    pub endpoint_id: i64,
    pub user_id: i64,
    pub kind: String,
    pub revision: i64,
    /// Unix seconds, in ascending order.
    pub times: Vec<i64>,
    /// Scheduled times that passed without a claim.
    pub missed: i64,
    /// For the confirmation: where this claim began (`claimed_from`), and where the next claim begins
    /// (`next_check_at`).
    pub claimed_from: i64,
    pub next_check_at: i64,
    /// The [`CheckRequest`] of the first scheduled time, passed on unchanged, including fields that this version does
    /// not know.
    #[schema(value_type = Object)]
    pub request: Box<RawValue>,
    /// Those of `times` that are in a maintenance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<i64>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    pub items: Vec<Confirmed>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    pub endpoint_id: i64,
    pub claimed_from: i64,
    pub next_check_at: i64,
    pub missed: i64,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Returns {
    pub items: Vec<Return>,
}

/// A claim, confirmed or not, whose checks were not requested.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Return {
    pub endpoint_id: i64,
    pub claimed_from: i64,
    pub next_check_at: i64,
    /// The first of `times`: earlier scheduled times were counted as missed by the confirmation.
    pub first_check_at: i64,
}

impl Claimed {
    /// One request for each scheduled time.
    pub fn requests(&self) -> serde_json::Result<Vec<Request>> {
        let common: BTreeMap<String, &RawValue> = serde_json::from_str(self.request.get())?;
        let is_held = to_raw_value(&true)?;
        let request = |&scheduled_at: &i64| {
            let time = to_raw_value(&DateTime::from_timestamp(scheduled_at, 0).unwrap_or_default())?;
            let mut own = common.clone();
            own.insert("scheduled_at".to_owned(), &time);
            if self.maintenance.contains(&scheduled_at) {
                own.insert("maintenance".to_owned(), &is_held);
            }
            Ok(Request {
                id: Request::id(self.endpoint_id, scheduled_at, self.revision),
                endpoint_id: self.endpoint_id,
                user_id: self.user_id,
                scheduled_at,
                kind: self.kind.clone(),
                json: to_raw_value(&own)?,
            })
        };
        self.times.iter().map(request).collect()
    }

    pub fn confirmed(&self) -> Confirmed {
        let Self { endpoint_id, claimed_from, next_check_at, missed, .. } = *self;
        Confirmed { endpoint_id, claimed_from, next_check_at, missed }
    }

    pub fn returned(&self) -> Return {
        let Self { endpoint_id, claimed_from, next_check_at, .. } = *self;
        Return {
            endpoint_id,
            claimed_from,
            next_check_at,
            first_check_at: self.times.first().copied().unwrap_or(next_check_at),
        }
    }
}

pub async fn call(context: &Context, claim: &Claim) -> Result<Claims> {
    context.outbound().call(NAME, Method::POST, CLAIM, Some(claim)).await
}

pub async fn confirm(context: &Context, confirmation: &Confirmation) -> Result<()> {
    context.outbound().call(NAME, Method::POST, &format!("{CLAIM}/confirm"), Some(confirmation)).await
}

pub async fn give_back(context: &Context, returns: &Returns) -> Result<()> {
    context.outbound().call(NAME, Method::POST, &format!("{CLAIM}/return"), Some(returns)).await
}

#[utoipa::path(
    post, path = "/private/v1/endpoints/claim", tag = "endpoints", request_body = Claim,
    responses(
        (status = 200, description = "What is due", body = Claims),
        (status = 400, description = "A field is invalid", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Input(claim): Input<Claim>) -> Result<Json<Claims>> {
    let now = context.clock().now();
    let mut fields = Fields::default();
    fields.check(claim.until <= now + TimeDelta::minutes(10), "until", || words::MUST_BE_WITHIN_TEN_MINUTES);
    fields.check((1..=MAX_CLAIM_LEN).contains(&claim.limit), "limit", || {
        contract::words::must_be_from_to(1, 1000)
    });
    fields.finish()?;
    let (until, now) = (claim.until.timestamp(), now.timestamp());
    follow_clock(context.db()?, now).await?;
    let rows = loop {
        let (found, rows) = lease(&context, until, claim.limit, now).await?;
        // A batch of rows that cannot be read, of any size, must not look as if nothing more were due.
        if found == 0 || !rows.is_empty() {
            break rows;
        }
    };
    let db = context.db()?;
    let leased = if rows.is_empty() { count_leased(db, until, now).await? } else { 0 };
    let mut items = rows.into_iter().map(|row| row.claimed(until, now)).collect::<Result<Vec<_>>>()?;
    if let Err(error) = mark_maintenance(db, &mut items).await {
        // The claimer does not receive these claims.
        let returns = items.iter().map(Claimed::returned).collect();
        return_claims(db, returns)
            .await
            .inspect_err(|e| tracing::warn!(%e, "claims could not be given back"))
            .ok();
        return Err(error);
    }
    Ok(Json(Claims { items: Items(items), leased }))
}

async fn count_leased(db: &Db, until: i64, now: i64) -> Result<i64> {
    sql!(
        COUNT = "SELECT COUNT(*) FROM endpoints WHERE enabled AND next_check_at < $1 \
         AND leased_until > $2 AND leased_until <= $3"
    );
    let leases_end_by = now + LEASE_SECONDS;
    Ok(on!(db.read(), db =>
        sqlx::query_scalar(COUNT).bind(until).bind(now).bind(leases_end_by).fetch_one(db).await)?)
}

async fn mark_maintenance(db: &Db, items: &mut [Claimed]) -> Result<()> {
    let times = || items.iter().flat_map(|claimed| &claimed.times).copied();
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(()) };
    let users: BTreeSet<_> = items.iter().map(|claimed| claimed.user_id).collect();
    let users: Vec<_> = users.into_iter().collect();
    let windows = Windows::load(db, &users, first..last + 1).await?;
    if windows.is_empty() {
        return Ok(());
    }
    for Claimed { endpoint_id, user_id, times, maintenance, .. } in items {
        maintenance
            .extend(times.iter().filter(|scheduled_at| windows.hold(*user_id, *endpoint_id, **scheduled_at)));
    }
    Ok(())
}

#[utoipa::path(
    post, path = "/private/v1/endpoints/claim/confirm", tag = "endpoints", request_body = Confirmation,
    responses(
        (status = 204, description = "These checks are handed out"),
        (status = 400, description = "A field is invalid", body = ErrorBody),
    )
)]
async fn handle_confirm(
    State(context): State<Context>,
    Input(confirmation): Input<Confirmation>,
) -> Result<StatusCode> {
    // Does not affect an endpoint that was changed in the meantime and has other scheduled times now.
    sql!(
        SQLITE = "UPDATE endpoints SET next_check_at = done.next, leased_until = NULL, \
         missed_checks = missed_checks + done.missed FROM (SELECT value ->> 'endpoint_id' AS id, \
         value ->> 'claimed_from' AS start, value ->> 'next_check_at' AS next, value ->> 'missed' AS missed \
         FROM json_each($1)) AS done WHERE endpoints.id = done.id AND endpoints.next_check_at = done.start"
    );
    sql!(
        POSTGRES = "UPDATE endpoints SET next_check_at = done.next, leased_until = NULL, \
         missed_checks = missed_checks + done.missed \
         FROM (SELECT u.* FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) \
         AS u (id, start, next, missed) JOIN endpoints e ON e.id = u.id ORDER BY e.id FOR UPDATE OF e) AS done \
         WHERE endpoints.id = done.id AND endpoints.next_check_at = done.start"
    );
    let items = confirmation.items;
    if items.len() > MAX_CLAIM_LEN as usize {
        return Err(Error::field("items", words::must_hold_at_most(1000)));
    }
    match context.db()?.write() {
        On::Sqlite(db) => sqlx::query(SQLITE).bind(JsonText(items)).execute(db).await.map(drop)?,
        On::Postgres(db) => {
            let column = |of: fn(&Confirmed) -> i64| items.iter().map(of).collect::<Vec<_>>();
            let update =
                sqlx::query(POSTGRES).bind(column(|c| c.endpoint_id)).bind(column(|c| c.claimed_from));
            let update = update.bind(column(|c| c.next_check_at)).bind(column(|c| c.missed));
            update.execute(db).await.map(drop)?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    post, path = "/private/v1/endpoints/claim/return", tag = "endpoints", request_body = Returns,
    responses(
        (status = 204, description = "The next claim finds them"),
        (status = 400, description = "A field is invalid", body = ErrorBody),
    )
)]
async fn handle_return(State(context): State<Context>, Input(returns): Input<Returns>) -> Result<StatusCode> {
    if returns.items.len() > MAX_CLAIM_LEN as usize {
        return Err(Error::field("items", words::must_hold_at_most(1000)));
    }
    return_claims(context.db()?, returns.items).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn return_claims(db: &Db, items: Vec<Return>) -> Result<()> {
    // Does not affect an endpoint that was changed in the meantime, or was claimed again after a confirmation.
    macro_rules! give_back {
        ($done:literal) => {
            concat!(
                "UPDATE endpoints SET leased_until = NULL, \
                 next_check_at = CASE next_check_at WHEN done.next THEN done.first ELSE done.start END FROM (",
                $done,
                ") AS done WHERE endpoints.id = done.id AND endpoints.next_check_at IN (done.start, done.next)"
            )
        };
    }
    sql!(
        SQLITE = give_back!(
            "SELECT value ->> 'endpoint_id' AS id, value ->> 'claimed_from' AS start, value ->> 'next_check_at' AS next, \
         value ->> 'first_check_at' AS first FROM json_each($1)"
        )
    );
    sql!(
        POSTGRES = give_back!(
            "SELECT u.* FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) \
         AS u (id, start, next, first) JOIN endpoints e ON e.id = u.id ORDER BY e.id FOR UPDATE OF e"
        )
    );
    match db.write() {
        On::Sqlite(db) => sqlx::query(SQLITE).bind(JsonText(items)).execute(db).await.map(drop)?,
        On::Postgres(db) => {
            let column = |of: fn(&Return) -> i64| items.iter().map(of).collect::<Vec<_>>();
            let update =
                sqlx::query(POSTGRES).bind(column(|r| r.endpoint_id)).bind(column(|r| r.claimed_from));
            let update = update.bind(column(|r| r.next_check_at)).bind(column(|r| r.first_check_at));
            update.execute(db).await.map(drop)?;
        }
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    user_id: i64,
    next_check_at: i64,
    revision: i64,
    #[sqlx(flatten)]
    settings: Settings,
}

impl Row {
    fn claimed(self, until: i64, now: i64) -> Result<Claimed> {
        let interval = i64::from(self.settings.interval_seconds).max(1);
        let claimed_from = self.next_check_at;
        // Adds whole intervals, past `until`, so that the endpoint keeps its phase.
        let next_check_at = claimed_from + (until - claimed_from + interval - 1) / interval * interval;
        let Times { due, missed } = times(claimed_from, next_check_at, interval, now);
        let first = due.first().copied().unwrap_or(claimed_from);
        let request = self.settings.request(self.id, self.user_id, first, self.revision);
        Ok(Claimed {
            endpoint_id: self.id,
            user_id: self.user_id,
            kind: self.settings.kind,
            revision: self.revision,
            times: due,
            missed,
            claimed_from,
            next_check_at,
            request: to_raw_value(&request).map_err(Error::internal)?,
            maintenance: Vec::new(),
        })
    }
}

/// After the clock was set back, scheduled times and leases are too far ahead. Moves endpoints that are further ahead
/// than any claim can leave them back to within one interval, and keeps their phase.
async fn follow_clock(db: &Db, now: i64) -> Result<()> {
    /// Clocks of several machines differ by some seconds.
    const TOLERANCE: i64 = 10;
    sql!(CLAIMED_AT = "SELECT claimed_at FROM endpoint_clock WHERE id = 1");
    sql!(SET = "UPDATE endpoint_clock SET claimed_at = $1 WHERE id = 1");
    macro_rules! repair {
        ($lock:literal) => {
            concat!(
                "UPDATE endpoints SET leased_until = NULL, \
                 next_check_at = next_check_at - (next_check_at - $1) / interval_seconds * interval_seconds \
                 WHERE id IN (SELECT id FROM endpoints WHERE next_check_at > $1 + interval_seconds + $2",
                $lock,
                ")"
            )
        };
    }
    let repair = db.pick(repair!(""), repair!(" ORDER BY id FOR UPDATE"));
    let claimed_at: i64 = on!(db.read(), db => sqlx::query_scalar(CLAIMED_AT).fetch_one(db).await)?;
    if (claimed_at..claimed_at + TOLERANCE).contains(&now) {
        return Ok(());
    }
    if now < claimed_at - TOLERANCE {
        let ahead = CLAIM_AHEAD.num_seconds() + TOLERANCE;
        let repaired = on!(db.write(), db =>
            sqlx::query(repair).bind(now).bind(ahead).execute(db).await.map(|done| done.rows_affected()))?;
        tracing::warn!(
            seconds = claimed_at - now,
            endpoints = repaired,
            "the clock was set back: scheduled times follow"
        );
    } else if now < claimed_at {
        return Ok(());
    }
    on!(db.write(), db => sqlx::query(SET).bind(now).execute(db).await.map(drop))?;
    Ok(())
}

/// Leases due endpoints. Returns how many rows were leased, and those of them that can be read.
async fn lease(context: &Context, until: i64, limit: i64, now: i64) -> Result<(usize, Vec<Row>)> {
    macro_rules! lease {
        ($lock:literal) => {
            concat!(
                "UPDATE endpoints SET leased_until = $5 WHERE id IN (SELECT id FROM \
                 (SELECT id, SUM(size) OVER (ORDER BY next_check_at, id) - size AS before FROM \
                 (SELECT id, next_check_at, LENGTH(url) + LENGTH(config) + LENGTH(assertions) AS size FROM endpoints WHERE enabled AND next_check_at < $1 \
                 AND (leased_until IS NULL OR leased_until <= $3 OR leased_until > $3 + 90) ORDER BY next_check_at LIMIT $2",
                $lock,
                ") AS due) AS bounded WHERE before < $4) RETURNING id, user_id, next_check_at, revision, name, url, kind, \
                 config, interval_seconds, timeout_ms, assertions, retries, failure_threshold, success_threshold, enabled, tags"
            )
        };
    }
    sql!(SQLITE = lease!(""));
    sql!(POSTGRES = lease!(" FOR UPDATE SKIP LOCKED"));
    let db = context.db()?;
    let lease = db.pick(SQLITE, POSTGRES);
    let (found, rows): (Vec<i64>, Vec<Row>) = on!(db.write(), db => {
        let lease = sqlx::query(lease).bind(until).bind(limit).bind(now).bind(MAX_TEXT_BYTES);
        let rows = lease.bind(now + LEASE_SECONDS).fetch_all(db).await?;
        (ids_of(&rows), readable(rows))
    });
    if rows.len() < found.len() {
        let unreadable = found.iter().copied().filter(|id| rows.iter().all(|row| row.id != *id)).collect();
        set_aside(db, unreadable, now).await?;
    }
    Ok((found.len(), rows))
}

/// Leases rows that cannot be read for longer than a claim does, so that they do not count as claimed by another
/// claimer.
async fn set_aside(db: &Db, ids: Vec<i64>, now: i64) -> Result<()> {
    sql!(SQLITE = "UPDATE endpoints SET leased_until = $1 WHERE id IN (SELECT value FROM json_each($2))");
    sql!(
        POSTGRES = "UPDATE endpoints SET leased_until = $1 \
         WHERE id IN (SELECT id FROM endpoints WHERE id = ANY($2) ORDER BY id FOR UPDATE)"
    );
    let until = now + SET_ASIDE_SECONDS;
    match db.write() {
        On::Sqlite(db) => sqlx::query(SQLITE).bind(until).bind(JsonText(ids)).execute(db).await.map(drop)?,
        On::Postgres(db) => sqlx::query(POSTGRES).bind(until).bind(ids).execute(db).await.map(drop)?,
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Times {
    due: Vec<i64>,
    missed: i64,
}

/// The scheduled times of one claim, from `first` to before `next`. Of those that have passed, only the latest is
/// still due.
fn times(first: i64, next: i64, interval: i64, now: i64) -> Times {
    let interval = interval.max(1);
    let missed = if first <= now { (now.min(next - 1) - first) / interval } else { 0 };
    let due = (first + missed * interval..next).step_by(usize::try_from(interval).unwrap_or(1)).collect();
    Times { due, missed }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_went_by_is_missed_but_for_the_latest() {
        assert_eq!(times(100, 160, 60, 90), Times { due: vec![100], missed: 0 });
        assert_eq!(times(100, 160, 10, 95), Times { due: vec![100, 110, 120, 130, 140, 150], missed: 0 });
        assert_eq!(times(100, 160, 10, 125), Times { due: vec![120, 130, 140, 150], missed: 2 });
        assert_eq!(times(100, 7300, 60, 7200), Times { due: vec![7180, 7240], missed: 118 });
    }

    proptest! {
        /// Over any sequence of claims, each scheduled time of the grid is either due once or missed once.
        #[test]
        fn every_scheduled_time_is_due_or_missed_exactly_once(
            interval in 10_i64..300, phase in 0_i64..300, steps in prop::collection::vec((1_i64..500, 0_i64..120), 1..20),
        ) {
            let mut next = 1000 + phase % interval;
            let (start, mut now) = (next, 1000);
            let (mut due, mut missed) = (Vec::new(), 0);
            for (pause, horizon) in steps {
                now += pause;
                let until = now + horizon;
                if next < until {
                    let first = next;
                    next += (until - next + interval - 1) / interval * interval;
                    let times = times(first, next, interval, now);
                    prop_assert!(times.due.iter().filter(|scheduled_at| **scheduled_at <= now).count() <= 1, "a burst");
                    due.extend(times.due);
                    missed += times.missed;
                }
            }
            prop_assert!(due.windows(2).all(|pair| pair[0] < pair[1]), "twice, or out of order");
            prop_assert!(due.iter().all(|scheduled_at| (scheduled_at - start) % interval == 0), "off the grid");
            prop_assert_eq!(due.len() as i64 + missed, (next - start) / interval);
        }
    }
}
