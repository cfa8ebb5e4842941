//! `check.requested`: runs the checks of a batch concurrently, and replies `check.completed`.
//!
//! Each check waits for its scheduled time. Finished results are published without waiting for slow checks: a slow
//! endpoint must not delay the results of the others.

use std::{
    slice,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{extract::State, routing::post};
use chrono::{DateTime, TimeDelta, Utc};
use net::trust::ExtraRoots;
use runtime::{
    Clock, Context, Error, Event, Function, Items, Outgoing, Reply, Result, Subscription,
    event::{MAX_EVENT_BYTES, cut},
    secret::Sealer,
    telemetry::{Counter, Histogram, KeyValue, UpDownCounter, counter, level, seconds},
    trace::Trace,
};
use serde_json::value::{RawValue, to_raw_value};
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

use super::{RegionConfig, SERVICE, count_missed};
use crate::{
    endpoints::open_target,
    prober::{ProbeSettings, prober},
    words,
};
use checks::{Kind, Prober, unknown};
use contract::{CheckRequest, CheckResult, CheckStatus, FailureCode, Outcome, kind};

pub const FUNCTION: Function =
    Function::new("check-run", SERVICE, "runs a batch of checks and replies with `check.completed`")
        // One queue for each source: a user who changes endpoints continuously, or has many failing endpoints, does
        // not delay the schedule.
        .on(
            &[
                Subscription::from_source(kind::CHECK_REQUESTED, "/pongpong/check-schedule"),
                Subscription::from_source(kind::CHECK_REQUESTED, "/pongpong/endpoint-confirm"),
                Subscription::from_source(kind::CHECK_REQUESTED, "/pongpong/endpoint-create"),
                Subscription::from_source(kind::CHECK_REQUESTED, "/pongpong/endpoint-update"),
            ],
            || post(handle),
        )
        .without_database()
        .reads(runtime::settings!(ProbeSettings, ExtraRoots, RegionConfig, Sealer))
        .publishes();

static CHECKS: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.checks", "{check}", "Scheduled checks that were done"));
static DURATION: LazyLock<Histogram<f64>> =
    LazyLock::new(|| seconds("pongpong.check.duration", "How long checks took", 300.0));
static LAG: LazyLock<Histogram<f64>> =
    LazyLock::new(|| seconds("pongpong.schedule.lag", "From when checks were due to their beginning", 300.0));
static IN_FLIGHT: LazyLock<UpDownCounter<i64>> =
    LazyLock::new(|| level("pongpong.checks.in_flight", "{check}", "Checks that are under way"));

const MAX_BATCH_LEN: usize = 10_000;
/// Used if the interval is not known.
const STALE_AFTER: TimeDelta = TimeDelta::minutes(2);
/// How long results wait for the rest of their batch.
const REPLY_DELAY: Duration = Duration::from_secs(1);

async fn handle(State(context): State<Context>, event: Event<Items<CheckRequest>>) -> Result<Reply> {
    // Continues when nobody waits for the reply any more: a broker that stops waiting does not cancel checks.
    let (done, is_done) = oneshot::channel();
    context.background({
        let context = context.clone();
        async move {
            if let Err(Ok(Reply(Some(last)))) = done.send(run(&context, event).await)
                && let Err(error) = context.outbound().publish(last).await
            {
                tracing::error!(%error, "results were lost: nobody waited for the reply, and the broker refused them");
            }
        }
    });
    is_done.await.map_err(Error::internal)?
}

async fn run(context: &Context, event: Event<Items<CheckRequest>>) -> Result<Reply> {
    if event.data.len() > MAX_BATCH_LEN {
        return Err(Error::field("data", words::must_hold_at_most_checks(MAX_BATCH_LEN)));
    }
    let prober = prober(context)?;
    let region = context.config::<RegionConfig>()?.region.clone();
    let label = KeyValue::new("region", Arc::<str>::from(region.as_str()));
    let mut running = JoinSet::new();
    let mut done = Vec::with_capacity(event.data.len());
    let (mut times, mut finished) = (Vec::with_capacity(event.data.len()), 0);
    let now = context.clock().now();
    for mut request in event.data {
        if is_stale(&request, now) {
            done.push(too_late(request, now, &region));
            continue;
        }
        if let Err(error) = open_target(context, &mut request.target) {
            tracing::error!(%error, request.endpoint_id, "a secret of an endpoint cannot be opened: is ENCRYPTION_KEY another?");
            done.push(unopened(request, now, &region));
            continue;
        }
        times.push(request.scheduled_at);
        let (prober, clock) = (Arc::clone(&prober), context.clock().clone());
        running.spawn(check(prober, clock, region.clone(), label.clone(), request));
    }
    times.sort_unstable();
    let mut missed = done.iter().filter(|result| is_too_late(result)).count() as u64;
    count_missed("unreadable", done.len() as u64 - missed);
    let (mut told, mut telling) = (0, JoinSet::new());
    let mut tell_at = Instant::now() + REPLY_DELAY;
    while !running.is_empty() {
        tokio::select! {
            // The prober catches its own panics: an error here is a panic of this function.
            Some(result) = running.join_next() => {
                if done.is_empty() {
                    tell_at = Instant::now() + REPLY_DELAY;
                }
                let result = result.map_err(Error::internal)?;
                missed += u64::from(is_too_late(&result));
                done.push(result);
                finished += 1;
                // All checks whose time has come are done; the others may wait for up to a minute.
                if times.partition_point(|scheduled_at| *scheduled_at <= context.clock().now()) <= finished {
                    tell_at = Instant::now();
                }
            }
            () = tokio::time::sleep_until(tell_at), if !done.is_empty() => {
                for part in completed(context, &event.id, &mut told, &done, &region)? {
                    tell(context, &mut telling, part);
                }
                done.clear();
            }
            () = context.stopping() => {
                for part in completed(context, &event.id, &mut told, &done, &region)? {
                    tell(context, &mut telling, part);
                }
                while telling.join_next().await.is_some() {}
                // The broker redelivers the batch to a running instance. A result that is published twice counts
                // once.
                return Err(Error::unavailable(anyhow::anyhow!("stopping, before all checks of the batch were due")));
            }
        }
    }
    if missed > 0 {
        count_missed("too_late", missed);
        tracing::warn!(missed, "checks were missed: the next ones were due before they began");
    }
    let mut parts = completed(context, &event.id, &mut told, &done, &region)?;
    let last = parts.pop();
    for part in parts {
        tell(context, &mut telling, part);
    }
    while let Some(taken) = telling.join_next().await {
        taken.map_err(Error::internal)??;
    }
    Ok(last.map_or(Reply::NONE, Reply::from))
}

/// Publishes results while the batch is still running: the broker may answer only after they were processed.
fn tell(context: &Context, telling: &mut JoinSet<Result<()>>, results: Outgoing) {
    let (outbound, trace) = (context.outbound().clone(), Trace::current());
    telling.spawn(trace.scope(async move { outbound.publish(results).await }));
}

/// Whether the next check is already due. After a pause of the broker or of this process, overdue checks are not made
/// up for: a burst of checks at one moment, with different scheduled times, would look like an incident.
fn is_stale(request: &CheckRequest, now: DateTime<Utc>) -> bool {
    let interval = TimeDelta::seconds(request.interval_seconds.into());
    now - request.scheduled_at >= if interval.is_zero() { STALE_AFTER } else { interval }
}

fn too_late(request: CheckRequest, now: DateTime<Utc>, region: &str) -> CheckResult {
    let outcome =
        unknown(FailureCode::RequestedTooLate, "The request for the check came after the next one was due");
    result(request, now, region.to_owned(), outcome)
}

fn unopened(request: CheckRequest, now: DateTime<Utc>, region: &str) -> CheckResult {
    let what = "A secret of the endpoint's settings cannot be opened any more";
    result(request, now, region.to_owned(), unknown(FailureCode::InvalidRequest, what))
}

fn is_too_late(result: &CheckResult) -> bool {
    result.outcome.error.as_ref().is_some_and(|failure| failure.code == FailureCode::RequestedTooLate)
}

fn result(request: CheckRequest, checked_at: DateTime<Utc>, region: String, outcome: Outcome) -> CheckResult {
    CheckResult {
        endpoint_id: request.endpoint_id,
        user_id: request.user_id,
        scheduled_at: request.scheduled_at,
        checked_at,
        region,
        failure_threshold: request.failure_threshold,
        success_threshold: request.success_threshold,
        interval_seconds: request.interval_seconds,
        revision: request.revision,
        maintenance: request.maintenance,
        outcome,
    }
}

async fn check(
    prober: Arc<Prober>,
    clock: Clock,
    region: String,
    label: KeyValue,
    request: CheckRequest,
) -> CheckResult {
    clock.sleep_until(request.scheduled_at).await;
    let checked_at = clock.now();
    // The machine may have been suspended in the meantime.
    if is_stale(&request, checked_at) {
        return too_late(request, checked_at, &region);
    }
    LAG.record((checked_at - request.scheduled_at).as_seconds_f64(), slice::from_ref(&label));
    let began = Instant::now();
    let outcome = {
        let _in_flight = InFlight::begin(&label);
        let interval = Duration::from_secs(request.interval_seconds.into());
        let start_by = (!interval.is_zero()).then(|| began + interval);
        // On the heap, because thousands of checks wait for their scheduled time.
        Box::pin(prober.probe(request.user_id, &request.target, start_by)).await
    };
    let status = KeyValue::new("status", outcome.status.as_str());
    let kind = KeyValue::new("kind", Kind::find(&request.target.kind).map_or("other", |kind| kind.name));
    let code = outcome.error.as_ref().map(|failure| failure.code);
    match code {
        Some(FailureCode::NotStarted) => count_missed("not_started", 1),
        Some(FailureCode::ProberDefect) => {
            count_missed("defect", 1);
            tracing::error!(request.endpoint_id, "a check was ended by a defect");
        }
        Some(FailureCode::InvalidRequest) if outcome.status == CheckStatus::Unknown => {
            count_missed("unreadable", 1);
        }
        _ => DURATION.record(began.elapsed().as_secs_f64(), &[status.clone(), kind.clone(), label.clone()]),
    }
    let error = code.map_or("none", FailureCode::as_str);
    CHECKS.add(1, &[status, kind, KeyValue::new("error", error), label]);
    result(request, checked_at, region, outcome)
}

/// Decrements the count of running checks when a check ends or is cancelled.
struct InFlight<'a>(&'a KeyValue);

impl<'a> InFlight<'a> {
    fn begin(label: &'a KeyValue) -> Self {
        IN_FLIGHT.add(1, slice::from_ref(label));
        Self(label)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        IN_FLIGHT.add(-1, slice::from_ref(self.0));
    }
}

/// Builds events of results, each small enough for a broker; `told` counts them. A result is identified by its
/// scheduled time, not by its event: a redelivered batch may be split differently.
fn completed(
    context: &Context,
    cause: &str,
    told: &mut usize,
    results: &[CheckResult],
    region: &str,
) -> Result<Vec<Outgoing>> {
    let results = results.iter().map(|result| to_raw_value(result).map_err(Error::internal));
    let event = |part: Vec<Box<RawValue>>| {
        let id = format!("{cause}/{told}");
        *told += 1;
        let event = Outgoing::new("check-run", kind::CHECK_COMPLETED, id, context.clock().now(), &part)?;
        Ok(event.with_extension("region", region))
    };
    let results = results.collect::<Result<_>>()?;
    cut(results, MAX_EVENT_BYTES, |result| result.get().len()).into_iter().map(event).collect()
}
