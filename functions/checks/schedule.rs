//! Every minute: claims what is due, and asks for it to be checked, in batches.
//!
//! A batch holds slots of the same few seconds, so that its results come back soon after its last
//! slot: a minute in one batch would tell of an outage up to a minute late.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use anyhow::anyhow;
use axum::{Json, extract::State, routing::post};
use futures::{StreamExt as _, stream};
use http::Method;
use runtime::{Context, Error, Function, Outgoing, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{SERVICE, count_missed, count_requested, count_returned};
use crate::endpoints::{
    AHEAD,
    claim::{Claim, Claimed, Claims, Confirmation, Return, Returns},
};
use contract::{CheckRequest, kind};

pub const NAME: &str = "check-schedule";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "claims due endpoints, and asks for them to be checked, in batches")
        .every("* * * * *", || post(handle))
        .without_database()
        .publishes();

const PAGE: i64 = 1000;
pub(crate) const WINDOW_SECONDS: i64 = 5;
const BATCH: usize = 500;
/// Whose checks a batch holds is said in an attribute of its event, a header.
const BATCH_OWNERS: usize = 200;
/// Batches on their way to the broker at once: one that answers late delays no other.
const BATCHES_AT_ONCE: usize = 8;
/// As measured; brokers refuse messages over 1 MB (Kafka's `max.message.bytes` is 1,048,588).
/// A request alone is smaller: config and assertions come in a body of 256 KiB each at most.
const BATCH_BYTES: usize = 768 * 1024;

#[derive(Serialize)]
struct Scheduled {
    status: &'static str,
    checks: usize,
    missed: i64,
}

async fn handle(State(context): State<Context>) -> Result<Json<Scheduled>> {
    let claim = Claim { until: context.clock().now() + AHEAD, limit: PAGE };
    let mut scheduled = Scheduled { status: "ok", checks: 0, missed: 0 };
    loop {
        let claims: Claims = call(&context, "/private/v1/endpoints/claim", &claim).await?;
        if claims.items.is_empty() {
            // Of a tick that was killed, or is at work still: this one has not done all that was due.
            if claims.leased > 0 {
                let leased = claims.leased;
                return Err(Error::unavailable(anyhow!(
                    "{leased} endpoints are due, and claimed by another tick"
                )));
            }
            break;
        }
        let mut requests: Vec<_> = claims.items.iter().flat_map(Claimed::requests).collect();
        requests.sort_by_key(|request| request.scheduled_at);
        let (refused, error) = ask_for_claimed(&context, &claims.items, &requests).await?;
        let asked = || claims.items.iter().filter(|claimed| !refused.contains(&claimed.endpoint_id));
        scheduled.checks += asked().map(|claimed| claimed.slots.len()).sum::<usize>();
        scheduled.missed += asked().map(|claimed| claimed.missed).sum::<i64>();
        // Only now: what was not asked for is found again.
        let confirmation = Confirmation { items: asked().map(Claimed::confirmed).collect() };
        call::<_, ()>(&context, "/private/v1/endpoints/claim/confirm", &confirmation).await?;
        if let Some(error) = error {
            return Err(error);
        }
    }
    if scheduled.missed > 0 {
        count_missed("not_claimed", scheduled.missed.unsigned_abs());
        tracing::warn!(missed = scheduled.missed, "checks were missed: the scheduler stood still");
    }
    Ok(Json(scheduled))
}

/// Asks for what was claimed. What the broker does not take, now or after a while, is given back: the next attempt
/// of this tick, or the next tick, finds it at once. Returns the endpoints that were given back, and why.
async fn ask_for_claimed(
    context: &Context,
    items: &[Claimed],
    requests: &[CheckRequest],
) -> Result<(HashSet<i64>, Option<Error>)> {
    let returns: HashMap<i64, Return> = items.iter().map(|c| (c.endpoint_id, c.returned())).collect();
    let returns = Arc::new(returns);
    let refused = |endpoint_ids: Vec<i64>| {
        let (context, returns) = (context.clone(), Arc::clone(&returns));
        async move { give_back(&context, &returns, endpoint_ids).await }
    };
    let batches = measured(requests, WINDOW_SECONDS)?;
    let asked = stream::iter(batches).map(async |batch| {
        let endpoint_ids: Vec<_> = batch.iter().map(|request| request.endpoint_id).collect();
        let late = refused(endpoint_ids.clone());
        publish(context, NAME, &batch, || late).await.map_err(|error| {
            // As those that are refused later: what was returned is part of what was requested.
            count_requested(NAME, batch.len());
            (endpoint_ids, error)
        })
    });
    let asked: Vec<_> = asked.buffer_unordered(BATCHES_AT_ONCE).collect().await;
    let (mut given_back, mut why) = (Vec::new(), None);
    for (endpoint_ids, error) in asked.into_iter().filter_map(Result::err) {
        given_back.extend(endpoint_ids);
        why = Some(error);
    }
    if !given_back.is_empty() {
        refused(given_back.clone()).await;
    }
    Ok((given_back.into_iter().collect(), why))
}

async fn give_back(context: &Context, returns: &HashMap<i64, Return>, mut endpoint_ids: Vec<i64>) {
    count_returned(endpoint_ids.len());
    endpoint_ids.sort_unstable();
    endpoint_ids.dedup();
    let items = endpoint_ids.iter().filter_map(|id| returns.get(id).cloned()).collect();
    let done = call::<_, ()>(context, "/private/v1/endpoints/claim/return", &Returns { items }).await;
    if let Err(error) = done {
        // Their lease ends by itself in a moment.
        tracing::warn!(%error, "claims could not be given back");
    }
}

async fn call<B: Serialize, T: DeserializeOwned>(context: &Context, path: &str, body: &B) -> Result<T> {
    context.outbound().call("endpoint-private-claim", Method::POST, path, Some(body)).await
}

/// A request as JSON, and what batches are cut by.
struct Measured {
    /// One function asks for a slot of a revision once: its first one names a batch.
    id: String,
    endpoint_id: i64,
    user_id: i64,
    slot: i64,
    kind: String,
    json: Box<RawValue>,
}

impl Measured {
    fn of(request: &CheckRequest) -> Result<Self> {
        let slot = request.scheduled_at.timestamp();
        let id = format!("{}-{slot}-{}", request.endpoint_id, request.revision);
        let json = serde_json::value::to_raw_value(request).map_err(Error::internal)?;
        let CheckRequest { endpoint_id, user_id, ref target, .. } = *request;
        Ok(Self { id, endpoint_id, user_id, slot, kind: target.kind.clone(), json })
    }
}

/// Asks for checks, in batches that a broker takes.
pub(crate) async fn ask_for(
    context: &Context,
    function: &'static str,
    requests: &[CheckRequest],
    window_seconds: i64,
) -> Result<()> {
    for batch in measured(requests, window_seconds)? {
        publish(context, function, &batch, || async {}).await?;
    }
    Ok(())
}

/// Batches of one kind each: who checks some kinds only needs not see the others.
fn measured(requests: &[CheckRequest], window_seconds: i64) -> Result<Vec<Vec<Measured>>> {
    let mut kinds: BTreeMap<String, Vec<Measured>> = BTreeMap::new();
    for request in requests {
        let request = Measured::of(request)?;
        match kinds.get_mut(&request.kind) {
            Some(kind) => kind.push(request),
            None => drop(kinds.insert(request.kind.clone(), vec![request])),
        }
    }
    Ok(kinds.into_values().flat_map(|requests| batches(requests, window_seconds)).collect())
}

async fn publish<F>(
    context: &Context,
    function: &'static str,
    batch: &[Measured],
    refused: impl FnOnce() -> F + Send + 'static,
) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(first) = batch.first() else { return Ok(()) };
    let data: Vec<_> = batch.iter().map(|request| &request.json).collect();
    let event = Outgoing::new(function, kind::CHECK_REQUESTED, &first.id, context.clock().now(), &data)?;
    // Owners share the places of a queue.
    let owners: BTreeSet<_> = batch.iter().map(|request| request.user_id).collect();
    let owners: Vec<_> = owners.iter().map(i64::to_string).collect();
    let event = event.with_extension("owners", &owners.join(",")).with_extension("kind", &first.kind);
    context.publish_or(event, refused).await?;
    count_requested(function, batch.len());
    Ok(())
}

/// Cuts requests, in the order of their slots, into batches of one window, bounded in number, owners and size.
fn batches(requests: Vec<Measured>, window_seconds: i64) -> Vec<Vec<Measured>> {
    let mut batches: Vec<Vec<Measured>> = Vec::new();
    let mut window = i64::MIN;
    let (mut bytes, mut owners) = (0, HashSet::new());
    for request in requests {
        let size = request.json.get().len() + 1;
        let own_window = request.slot.div_euclid(window_seconds);
        let has_room = |batch: &Vec<_>| batch.len() < BATCH && bytes + size <= BATCH_BYTES;
        let is_known = |owners: &HashSet<_>| owners.len() < BATCH_OWNERS || owners.contains(&request.user_id);
        match batches.last_mut() {
            Some(batch) if own_window == window && has_room(batch) && is_known(&owners) => {
                bytes += size;
                owners.insert(request.user_id);
                batch.push(request);
            }
            _ => {
                (window, bytes, owners) = (own_window, size, HashSet::from([request.user_id]));
                batches.push(vec![request]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use contract::Target;

    fn request(endpoint_id: i64, slot: i64, body: usize) -> CheckRequest {
        let target = Target::of("http", "http://x.test/").with("body", "x".repeat(body));
        let scheduled_at = DateTime::from_timestamp(slot, 0).expect("a time");
        CheckRequest {
            endpoint_id,
            user_id: 1,
            scheduled_at,
            failure_threshold: 1,
            success_threshold: 1,
            interval_seconds: 60,
            revision: 0,
            maintenance: false,
            target,
        }
    }

    #[test]
    fn a_batch_is_bounded_in_time_number_and_size() {
        let lengths = |requests: Vec<CheckRequest>| {
            let batches = measured(&requests, WINDOW_SECONDS).expect("JSON");
            batches.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(vec![]), [0; 0]);
        assert_eq!(lengths((0..10).map(|n| request(n, 100 + n, 0)).collect()), [5, 5]);
        assert_eq!(lengths((0..1200).map(|n| request(n, 100, 0)).collect()), [500, 500, 200]);
        assert_eq!(lengths((0..10).map(|n| request(n, 100, 128 * 1024)).collect()), [5, 5]);
        let of_owner = |n: i64| CheckRequest { user_id: n % 300, ..request(n, 100, 0) };
        assert_eq!(lengths((0..600).map(of_owner).collect()), [200, 200, 200]);
        let of_kind = |n: i64| {
            let target = Target::of(if n % 2 == 0 { "http" } else { "tcp" }, "tcp://x.test:1");
            CheckRequest { target, ..request(n, 100, 0) }
        };
        assert_eq!(lengths((0..10).map(of_kind).collect()), [5, 5]);
    }
}
