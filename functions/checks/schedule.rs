//! Every minute: claims due checks, and requests them in batches.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use anyhow::anyhow;
use axum::{Json, extract::State, routing::post};
use futures::{StreamExt as _, stream};
use runtime::{Context, Error, Function, Result, items::keep_readable};
use serde::Serialize;

use super::{SERVICE, count_missed, count_returned};
use crate::endpoints::{
    CLAIM_AHEAD,
    claim::{self, Claim, Claimed, Confirmation, Return, Returns},
    requests::{self, Request, WINDOW_SECONDS, batches, count_requested},
};

pub const NAME: &str = "check-schedule";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "claims due endpoints and requests their checks in batches")
        .every("* * * * *", || post(handle))
        .without_database()
        .publishes();

const PAGE: i64 = 1000;
/// Batches that are sent to the broker at once: a slow one does not delay the others.
const BATCHES_AT_ONCE: usize = 8;

#[derive(Serialize)]
struct Scheduled {
    status: &'static str,
    checks: usize,
    missed: i64,
}

async fn handle(State(context): State<Context>) -> Result<Json<Scheduled>> {
    let claim = Claim { until: context.clock().now() + CLAIM_AHEAD, limit: PAGE };
    let mut scheduled = Scheduled { status: "ok", checks: 0, missed: 0 };
    loop {
        let claims = claim::call(&context, &claim).await?;
        if claims.items.is_empty() {
            // Leased to a tick that was killed or is still running: this tick has not requested all due checks.
            if claims.leased > 0 {
                let leased = claims.leased;
                return Err(Error::unavailable(anyhow!(
                    "{leased} endpoints are due, and claimed by another tick"
                )));
            }
            break;
        }
        let requests = claims.items.iter().map(|claimed| (claimed.endpoint_id, claimed.requests()));
        let mut requests: Vec<_> = keep_readable(requests).into_iter().flatten().collect();
        requests.sort_by_key(|request| request.scheduled_at);
        let (refused, error) = ask_for_claimed(&context, &claims.items, requests).await;
        let asked = || claims.items.iter().filter(|claimed| !refused.contains(&claimed.endpoint_id));
        scheduled.checks += asked().map(|claimed| claimed.times.len()).sum::<usize>();
        scheduled.missed += asked().map(|claimed| claimed.missed).sum::<i64>();
        // Confirms only now: the next claim finds endpoints whose checks were not requested.
        let confirmation = Confirmation { items: asked().map(Claimed::confirmed).collect() };
        claim::confirm(&context, &confirmation).await?;
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

/// Requests the claimed checks. Checks that the broker refuses, now or later, are returned: the next attempt of this
/// tick, or the next tick, finds them immediately. Returns the endpoints that were given back, and the error.
async fn ask_for_claimed(
    context: &Context,
    items: &[Claimed],
    requests: Vec<Request>,
) -> (HashSet<i64>, Option<Error>) {
    let returns: HashMap<i64, Return> = items.iter().map(|c| (c.endpoint_id, c.returned())).collect();
    let returns = Arc::new(returns);
    let refused = |endpoint_ids: Vec<i64>| {
        let (context, returns) = (context.clone(), Arc::clone(&returns));
        async move { give_back(&context, &returns, endpoint_ids).await }
    };
    let asked = stream::iter(batches(requests, WINDOW_SECONDS)).map(async |batch| {
        let endpoint_ids: Vec<_> = batch.iter().map(|request| request.endpoint_id).collect();
        let late = refused(endpoint_ids.clone());
        requests::publish(context, NAME, &batch, || late).await.map_err(|error| {
            // Like batches that are refused later: returned checks are counted as requested, too.
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
    (given_back.into_iter().collect(), why)
}

async fn give_back(context: &Context, returns: &HashMap<i64, Return>, mut endpoint_ids: Vec<i64>) {
    count_returned(endpoint_ids.len());
    endpoint_ids.sort_unstable();
    endpoint_ids.dedup();
    let items = endpoint_ids.iter().filter_map(|id| returns.get(id).cloned()).collect();
    if let Err(error) = claim::give_back(context, &Returns { items }).await {
        // Their leases end soon by themselves.
        tracing::warn!(%error, "claims could not be given back");
    }
}
