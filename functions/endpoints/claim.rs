//! `POST /private/v1/endpoints/claim`: hands out what is due, each slot once.
//!
//! A slot is a second at which a check of an endpoint is due. A claim takes all slots before
//! `until` of the endpoints that it finds, by moving their `next_slot` past it in the statement that
//! finds them: however many claim at once, each slot goes to one. After a pause only the latest
//! slot that went by is still handed out; the ones before it are counted as missed.

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{Context, Error, Function, Input, Result, error::ErrorBody, on, text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SERVICE, Settings};
use crate::contract::CheckRequest;

pub const FUNCTION: Function =
    Function::new("endpoint-private-claim", SERVICE, "hands out what is due, each slot once")
        .http(runtime::http!(handle));

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Slots before this; at most ten minutes ahead.
    pub until: DateTime<Utc>,
    /// At most so many endpoints.
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: i64,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Claimed {
    /// In the order of their slots.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<CheckRequest>,
    /// How many endpoints they are of: fewer than `limit` means that nothing more is due.
    pub endpoints: usize,
    /// Slots that went by while nobody claimed.
    pub missed: i64,
}

#[utoipa::path(
    post, path = "/private/v1/endpoints/claim", tag = "endpoints", request_body = Claim,
    responses(
        (status = 200, description = "What is due", body = Claimed),
        (status = 400, description = "A field is not acceptable", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Input(claim): Input<Claim>) -> Result<Json<Claimed>> {
    let now = context.clock().now();
    if claim.until > now + TimeDelta::minutes(10) {
        return Err(Error::field("until", text("must be at most ten minutes ahead", "10분 이내여야 합니다")));
    }
    if !(1..=1000).contains(&claim.limit) {
        return Err(Error::field("limit", text("must be from 1 to 1000", "1 이상 1000 이하여야 합니다")));
    }
    let rows = take(&context, claim.until.timestamp(), claim.limit, now.timestamp()).await?;
    let endpoints = rows.len();
    let mut missed = 0;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let slots =
            slots(row.claimed_slot, row.next_slot, row.settings.interval_seconds.into(), now.timestamp());
        missed += slots.missed;
        items.extend(slots.due.into_iter().map(|slot| row.settings.request(row.id, row.user_id, slot)));
    }
    items.sort_by_key(|request| request.scheduled_at);
    Ok(Json(Claimed { items, endpoints, missed }))
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    user_id: i64,
    claimed_slot: i64,
    next_slot: i64,
    #[sqlx(flatten)]
    settings: Settings,
}

async fn take(context: &Context, until: i64, limit: i64, now: i64) -> Result<Vec<Row>> {
    // Whole intervals past `until`, so that the endpoint keeps its phase. Division truncates.
    macro_rules! take {
        ($lock:literal) => {
            concat!(
                "UPDATE endpoints SET claimed_slot = next_slot, \
                 next_slot = next_slot + (($1 - next_slot + interval_seconds - 1) / interval_seconds) * interval_seconds, \
                 missed_slots = missed_slots + CASE WHEN next_slot <= $3 THEN ($3 - next_slot) / interval_seconds ELSE 0 END \
                 WHERE id IN (SELECT id FROM endpoints WHERE enabled AND next_slot < $1 ORDER BY next_slot LIMIT $2",
                $lock,
                ") RETURNING id, user_id, claimed_slot, next_slot, name, url, method, headers, body, interval_seconds, \
                 timeout_ms, expected_status, assertions, follow_redirects, verify_tls, retries, failure_threshold, \
                 success_threshold, enabled, tags"
            )
        };
    }
    static SQLITE: &str = take!("");
    static POSTGRES: &str = take!(" FOR UPDATE SKIP LOCKED");
    let db = context.db()?;
    let take = db.pick(SQLITE, POSTGRES);
    Ok(on!(db.write(), db => sqlx::query_as(take).bind(until).bind(limit).bind(now).fetch_all(db).await)?)
}

#[derive(Debug, PartialEq, Eq)]
struct Slots {
    due: Vec<i64>,
    missed: i64,
}

/// The slots of one claim, from `first` up to (not with) `next`: of those that went by only the
/// latest is still due.
fn slots(first: i64, next: i64, interval: i64, now: i64) -> Slots {
    let interval = interval.max(1);
    let missed = if first <= now { (now.min(next - 1) - first) / interval } else { 0 };
    let due = (first + missed * interval..next).step_by(usize::try_from(interval).unwrap_or(1)).collect();
    Slots { due, missed }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_went_by_is_missed_but_for_the_latest() {
        assert_eq!(slots(100, 160, 60, 90), Slots { due: vec![100], missed: 0 });
        assert_eq!(slots(100, 160, 10, 95), Slots { due: vec![100, 110, 120, 130, 140, 150], missed: 0 });
        assert_eq!(slots(100, 160, 10, 125), Slots { due: vec![120, 130, 140, 150], missed: 2 });
        assert_eq!(slots(100, 7300, 60, 7200), Slots { due: vec![7180, 7240], missed: 118 });
    }

    proptest! {
        /// Over any run of claims each slot of the grid is either due once or missed once.
        #[test]
        fn every_slot_is_due_or_missed_exactly_once(
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
                    let slots = slots(first, next, interval, now);
                    prop_assert!(slots.due.iter().filter(|slot| **slot <= now).count() <= 1, "a burst");
                    due.extend(slots.due);
                    missed += slots.missed;
                }
            }
            prop_assert!(due.windows(2).all(|pair| pair[0] < pair[1]), "twice, or out of order");
            prop_assert!(due.iter().all(|slot| (slot - start) % interval == 0), "off the grid");
            prop_assert_eq!(due.len() as i64 + missed, (next - start) / interval);
        }
    }
}
