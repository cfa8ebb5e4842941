//! `check.requested`: requests checks, in batches that are small enough for a broker.
//!
//! A batch holds scheduled times of the same few seconds, so that its results return soon after the last of them.
//! With a whole minute in one batch, an incident would be reported up to a minute late.

use std::{
    collections::{BTreeMap, HashSet},
    sync::LazyLock,
};

use runtime::{
    Context, Error, Outgoing, Result,
    telemetry::{Counter, KeyValue, counter},
};
use serde_json::value::RawValue;

use contract::{CheckRequest, kind};

pub(crate) const WINDOW_SECONDS: i64 = 5;
const MAX_BATCH_LEN: usize = 500;
/// The owners of a batch's checks are listed in an attribute of its event, which is an HTTP header.
const MAX_BATCH_OWNERS: usize = 200;
/// Measured; brokers refuse messages over 1 MB (Kafka's `max.message.bytes` is 1,048,588). A single request is always
/// smaller: config and assertions each arrive in a body of at most 256 KiB.
const MAX_BATCH_BYTES: usize = 768 * 1024;

static REQUESTED: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.checks.requested", "{check}", "Checks that were asked for"));

/// Counts requested checks, to compare them with the recorded results.
pub(crate) fn count_requested(by: &'static str, checks: usize) {
    REQUESTED.add(checks as u64, &[KeyValue::new("by", by)]);
}

/// A [`CheckRequest`] as JSON, with the fields by which batches are cut.
pub struct Request {
    /// Unique within a function, which requests each scheduled time of a revision only once. The id of a batch is the
    /// id of its first request.
    pub(super) id: String,
    pub endpoint_id: i64,
    pub user_id: i64,
    pub scheduled_at: i64,
    pub kind: String,
    pub json: Box<RawValue>,
}

impl Request {
    pub(super) fn id(endpoint_id: i64, scheduled_at: i64, revision: i64) -> String {
        format!("{endpoint_id}-{scheduled_at}-{revision}")
    }

    fn of(request: &CheckRequest) -> Result<Self> {
        let scheduled_at = request.scheduled_at.timestamp();
        let CheckRequest { endpoint_id, user_id, revision, ref target, .. } = *request;
        Ok(Self {
            id: Self::id(endpoint_id, scheduled_at, revision),
            endpoint_id,
            user_id,
            scheduled_at,
            kind: target.kind.clone(),
            json: serde_json::value::to_raw_value(request).map_err(Error::internal)?,
        })
    }
}

/// Requests checks, one batch after the other.
pub(super) async fn publish_all(
    context: &Context,
    function: &'static str,
    requests: &[CheckRequest],
    window_seconds: i64,
) -> Result<()> {
    let requests = requests.iter().map(Request::of).collect::<Result<_>>()?;
    for batch in batches(requests, window_seconds) {
        publish(context, function, &batch, || async {}).await?;
    }
    Ok(())
}

/// Requests the checks of a batch. `refused` runs if the broker refuses the batch after this function has returned.
pub(crate) async fn publish<F>(
    context: &Context,
    function: &'static str,
    batch: &[Request],
    refused: impl FnOnce() -> F + Send + 'static,
) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(first) = batch.first() else { return Ok(()) };
    let data: Vec<_> = batch.iter().map(|request| &request.json).collect();
    let event = Outgoing::new(function, kind::CHECK_REQUESTED, &first.id, context.clock().now(), &data)?;
    let event =
        event.of_owners(batch.iter().map(|request| request.user_id)).with_extension("kind", &first.kind);
    context.publish_or(event, refused).await?;
    count_requested(function, batch.len());
    Ok(())
}

/// Cuts requests, which are in the order of their scheduled times, into batches of one kind and one window. Batches
/// are limited in number, owners and size. A prober that supports only some kinds does not receive the others.
pub(crate) fn batches(requests: Vec<Request>, window_seconds: i64) -> Vec<Vec<Request>> {
    let mut kinds: BTreeMap<String, Vec<Request>> = BTreeMap::new();
    for request in requests {
        match kinds.get_mut(&request.kind) {
            Some(kind) => kind.push(request),
            None => drop(kinds.insert(request.kind.clone(), vec![request])),
        }
    }
    kinds.into_values().flat_map(|requests| batches_of_kind(requests, window_seconds)).collect()
}

fn batches_of_kind(requests: Vec<Request>, window_seconds: i64) -> Vec<Vec<Request>> {
    let mut batches: Vec<Vec<Request>> = Vec::new();
    let mut window = i64::MIN;
    let (mut bytes, mut owners) = (0, HashSet::new());
    for request in requests {
        let size = request.json.get().len() + 1;
        let own_window = request.scheduled_at.div_euclid(window_seconds);
        let has_room = |batch: &Vec<_>| batch.len() < MAX_BATCH_LEN && bytes + size <= MAX_BATCH_BYTES;
        let is_known =
            |owners: &HashSet<_>| owners.len() < MAX_BATCH_OWNERS || owners.contains(&request.user_id);
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

    fn request(endpoint_id: i64, scheduled_at: i64, body: usize) -> CheckRequest {
        let target = Target::of("http", "http://x.test/").with("body", "x".repeat(body));
        let scheduled_at = DateTime::from_timestamp(scheduled_at, 0).expect("a time");
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
            let requests = requests.iter().map(|request| Request::of(request).expect("JSON")).collect();
            let batches = batches(requests, WINDOW_SECONDS);
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
