//! One subscription's queue: takes due deliveries, makes them, and records their outcome.
//!
//! Owners share its places as in [`net::fair_share`]: an owner may hold at most as many places as are free,
//! and the next delivery is of the owner who holds the fewest. An event's attribute `owners` names the owners
//! that it counts for.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::FutureExt;
use http::{HeaderValue, Response, StatusCode, header};
use tokio::{
    sync::Notify,
    task::{self, JoinError, JoinSet},
};

use super::{
    Broker,
    event::{Event, Refused},
    journal::{DeliveryError, Step, Waiting},
};
use crate::{
    apps::Apps,
    life::Life,
    readiness::Part,
    wiring::eventing::{Delivery, Trigger},
};

/// Concurrent deliveries of one queue. Each queue has its own places, so that a slow subscriber does not
/// delay the others. Subscribers that write to the database would only wait for one another. Subscribers
/// without a database wait for the network or for a scheduled time, and cost next to nothing. An owner alone
/// gets at most half of the places.
const AT_ONCE: usize = 16;
const AT_ONCE_WITHOUT_DATABASE: usize = 512;
/// Deliveries of one owner that are read at a time: of thousands that wait, only a few can begin.
const MAX_READ_OF_OWNER: usize = 32;
/// Maximum pause between attempts. A dead letter is retried without end.
const MAX_PAUSE: Duration = Duration::from_secs(600);
/// Failed attempts at one event after which its queue counts as failing: one failure may be an accident.
const MIN_FAILURES: u32 = 3;
/// Maximum length of an error's data before encoding, as in Knative.
const ERROR_DATA: usize = 1024;

pub struct Queue {
    pub name: String,
    pub subscriber: &'static str,
    /// `None`: a queue of dead letters, which are retried without end.
    pub trigger: Option<Trigger>,
    at_once: usize,
    pub wake: Notify,
}

struct UnderWay {
    owner: String,
    task: task::Id,
}

/// The outcome of one attempt.
pub enum Outcome {
    Delivered { reply: Option<Event> },
    Failed { code: Option<u16>, data: String, final_: bool },
}

impl Queue {
    pub fn of(trigger: Trigger) -> Self {
        let (name, subscriber) = (trigger.name.clone(), trigger.subscriber.name);
        let at_once = if trigger.subscriber.uses_database { AT_ONCE } else { AT_ONCE_WITHOUT_DATABASE };
        Self { name, subscriber, trigger: Some(trigger), at_once, wake: Notify::new() }
    }

    pub fn of_dead_letters(sink: &'static str) -> Self {
        Self {
            name: dead_letters(sink),
            subscriber: sink,
            trigger: None,
            at_once: AT_ONCE,
            wake: Notify::new(),
        }
    }

    pub fn wants(&self, event: &Event) -> bool {
        self.trigger.as_ref().is_some_and(|trigger| event.matches(&trigger.filter))
    }

    /// The pause after so many failed attempts.
    fn pause(&self, attempts: u32) -> Duration {
        match self.delivery() {
            _ if attempts == 0 => Duration::ZERO,
            None => Duration::from_secs(1 << attempts.min(10)).min(MAX_PAUSE),
            Some(delivery) => delivery.pause(attempts),
        }
    }

    pub fn delivery(&self) -> Option<&Delivery> {
        self.trigger.as_ref().map(|trigger| &trigger.delivery)
    }
}

/// A Trigger's name cannot contain a slash, so this name is unique.
pub fn dead_letters(sink: &str) -> String {
    format!("dead-letters/{sink}")
}

/// Delivers until the engine stops, then completes the deliveries under way.
pub async fn run(queue: Arc<Queue>, broker: Broker, apps: Arc<Apps>, life: Life) {
    let mut under_way = HashMap::new();
    let mut deliveries = JoinSet::new();
    loop {
        let mut next = None;
        let free = queue.at_once - under_way.len();
        if free > 0 {
            let ids: Vec<_> = under_way.keys().copied().collect();
            let max = free.min(MAX_READ_OF_OWNER);
            match broker.journal().first(&queue.name, &ids, max).await {
                Ok(waiting) => {
                    broker.readiness().works(&Part::BrokerReads);
                    let may_be_more = waiting.len() >= max && max < free;
                    let chosen;
                    let now = broker.clock().now();
                    (chosen, next) = choose(waiting, &under_way, free, now, |attempts| queue.pause(attempts));
                    if may_be_more && !chosen.is_empty() {
                        next = Some(broker.clock().now());
                    }
                    for waiting in chosen {
                        let (id, owner) = (waiting.id, waiting.owner.clone());
                        let (queue, broker, apps) = (Arc::clone(&queue), broker.clone(), Arc::clone(&apps));
                        let delivery = deliveries.spawn(async move {
                            deliver(&queue, &broker, &apps, waiting).await;
                        });
                        under_way.insert(id, UnderWay { owner, task: delivery.id() });
                    }
                }
                Err(error) => {
                    tracing::error!(%error, queue = queue.name, "the broker cannot read");
                    broker.readiness().failed(Part::BrokerReads, broker.clock().now());
                    next = Some(broker.clock().now() + Duration::from_secs(1));
                }
            }
        }
        let due = async {
            match next {
                Some(due) => broker.clock().sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = life.stopping() => break,
            Some(done) = deliveries.join_next_with_id() => { finished(&mut under_way, done); }
            () = queue.wake.notified() => {}
            () = due => {}
        }
        while let Some(done) = deliveries.try_join_next_with_id() {
            finished(&mut under_way, done);
        }
    }
    deliveries.join_all().await;
}

/// Which waiting deliveries begin now, and when to look again.
fn choose(
    waiting: Vec<Waiting>,
    under_way: &HashMap<i64, UnderWay>,
    mut free: usize,
    now: DateTime<Utc>,
    pause: impl Fn(u32) -> Duration,
) -> (Vec<Waiting>, Option<DateTime<Utc>>) {
    let mut held = HashMap::<String, usize>::new();
    for UnderWay { owner, .. } in under_way.values() {
        *held.entry(owner.clone()).or_default() += 1;
    }
    let (mut due, mut next) = (BTreeMap::<String, VecDeque<Waiting>>::new(), None);
    for waiting in waiting {
        // A delivery that is due later than after its pause was stored before the clock was set back: it is due now.
        if waiting.due() > now && waiting.due() <= now + pause(waiting.attempts) {
            next = next.or(Some(waiting.due()));
        } else {
            due.entry(waiting.owner.clone()).or_default().push_back(waiting);
        }
    }
    let mut chosen = Vec::new();
    while free > 0 {
        let holds = |owner: &String| held.get(owner).copied().unwrap_or_default();
        // Deliveries without an owner may take all places.
        let may =
            due.iter_mut().filter(|(owner, of)| !of.is_empty() && (owner.is_empty() || holds(owner) < free));
        let first =
            may.min_by_key(|(owner, of)| (holds(owner), of.front().map(|first| (first.due(), first.id))));
        let Some((owner, of)) = first else { break };
        chosen.extend(of.pop_front());
        *held.entry(owner.clone()).or_default() += 1;
        free -= 1;
    }
    (chosen, next)
}

fn finished(under_way: &mut HashMap<i64, UnderWay>, done: Result<(task::Id, ()), JoinError>) {
    let ended = match done {
        Ok((ended, ())) => ended,
        // Free its place: lost places would stop the queue one by one.
        Err(error) => {
            tracing::error!(%error, "a delivery panicked");
            error.id()
        }
    };
    under_way.retain(|_, delivery| delivery.task != ended);
}

async fn deliver(queue: &Queue, broker: &Broker, apps: &Apps, waiting: Waiting) {
    // A function's panic is answered with 500 inside its router. A panic in its answer's body or in the
    // broker itself is a failed attempt too: retried with pauses, and finally given up.
    let outcome = AssertUnwindSafe(attempt(queue, broker, apps, &waiting)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Outcome::Failed {
        code: None,
        data: "the delivery panicked".to_owned(),
        final_: false,
    });
    let attempts = waiting.attempts + 1;
    let now = broker.clock().now();
    let step = match outcome {
        Outcome::Delivered { reply } => {
            Step::Acknowledge { delivery: waiting.id, reply: reply.map(|event| broker.addressed(event)) }
        }
        Outcome::Failed { code, data, final_ } => {
            let (subscriber, queue_name) = (queue.subscriber, &queue.name);
            let is_last = |delivery: &Delivery| final_ || attempts > delivery.retry;
            let pause = (!queue.delivery().is_some_and(is_last)).then(|| queue.pause(attempts));
            let sink = queue.delivery().and_then(|delivery| delivery.dead_letter_sink);
            match (pause, sink) {
                (Some(pause), _) => {
                    tracing::warn!(
                        queue = queue_name,
                        code,
                        attempts,
                        ?pause,
                        error = data,
                        "not delivered yet"
                    );
                    Step::Postpone { delivery: waiting.id, attempts, due: now + pause }
                }
                (None, Some(sink)) => {
                    tracing::error!(
                        queue = queue_name,
                        code,
                        attempts,
                        error = data,
                        "given up: a dead letter"
                    );
                    let destination = format!("http://{subscriber}.pongpong.svc.cluster.local");
                    let error = DeliveryError { destination, code, data };
                    Step::Bury { delivery: waiting.id, queue: dead_letters(sink), due: now, error }
                }
                (None, None) => {
                    tracing::error!(
                        queue = queue_name,
                        code,
                        attempts,
                        error = data,
                        "delivery dropped: no dead-letter sink"
                    );
                    Step::Acknowledge { delivery: waiting.id, reply: None }
                }
            }
        }
    };
    // A delivery that is given up does not make its queue unready: it becomes a dead letter, which is counted
    // and logged.
    if !matches!(step, Step::Postpone { .. }) {
        broker.readiness().works(&Part::Queue(queue.name.clone()));
    } else if attempts >= MIN_FAILURES {
        broker.readiness().failed(Part::Queue(queue.name.clone()), now);
    }
    if !broker.journal().take(step).await {
        // The event will be delivered again, after a pause: the reason why the step cannot be written may
        // persist.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn attempt(queue: &Queue, broker: &Broker, apps: &Apps, waiting: &Waiting) -> Outcome {
    match broker.journal().event(waiting.event_id).await {
        Ok(event) => send(queue, apps, event, waiting.error()).await,
        Err(error) => {
            let data = format!("the event cannot be read: {error:#}");
            Outcome::Failed { code: None, data, final_: false }
        }
    }
}

/// Sends an event to the subscriber; a dead letter carries the error for which it was given up.
pub async fn send(queue: &Queue, apps: &Apps, event: Event, error: Option<DeliveryError>) -> Outcome {
    let failed = |data: String| Outcome::Failed { code: None, data, final_: false };
    let mut headers = event.header_map();
    if let Ok(host) = HeaderValue::from_str(&format!("{}.pongpong.svc.cluster.local", queue.subscriber)) {
        headers.insert(header::HOST, host);
    }
    headers.insert(header::CONTENT_LENGTH, event.body.len().into());
    if let Some(error) = error {
        let code = error.code.map_or_else(|| "-1".to_owned(), |code| code.to_string());
        let mut data = STANDARD.encode(error.data);
        data.truncate(ERROR_DATA);
        for (name, value) in [
            ("ce-knativeerrordest", error.destination),
            ("ce-knativeerrorcode", code),
            ("ce-knativeerrordata", data),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
    let timeout = queue.delivery().map_or(Duration::from_secs(300), |delivery| delivery.timeout);
    match tokio::time::timeout(timeout, apps.trigger(queue.subscriber, headers, event.body)).await {
        Ok(Ok(response)) => outcome(response),
        Ok(Err(error)) => failed(format!("{error:#}")),
        Err(_) => failed(format!("no answer in {timeout:?}")),
    }
}

/// Judges an answer by Knative's rule.
fn outcome(response: Response<Bytes>) -> Outcome {
    let (parts, body) = response.into_parts();
    let code = Some(parts.status.as_u16());
    if parts.status.is_success() {
        let no_event = |why: &str| Outcome::Failed {
            code,
            data: format!("the reply is not an event: {why}"),
            final_: false,
        };
        return match Event::read(&parts.headers, body) {
            Ok(reply) => Outcome::Delivered { reply },
            Err(Refused::TooLarge) => no_event("it is too large"),
            Err(Refused::NotAnEvent(why)) => no_event(&why),
        };
    }
    let again = parts.status.is_server_error()
        || matches!(
            parts.status,
            StatusCode::NOT_FOUND
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::CONFLICT
                | StatusCode::TOO_MANY_REQUESTS
        );
    let body = &body[..body.len().min(ERROR_DATA)];
    Outcome::Failed { code, data: String::from_utf8_lossy(body).into_owned(), final_: !again }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn delivery_stored_before_the_clock_was_set_back_begins_at_once() {
        let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().expect("a time");
        let begins = |attempts, seconds| {
            let waiting = vec![Waiting::of_attempts(attempts, now + TimeDelta::seconds(seconds))];
            let pause =
                |attempts: u32| Duration::from_secs(if attempts == 0 { 0 } else { 1_u64 << attempts });
            choose(waiting, &HashMap::new(), 16, now, pause).0.len() == 1
        };
        assert!(begins(0, -1) && begins(0, 0) && begins(3, -1));
        assert!(!begins(3, 8), "in its pause");
        assert!(begins(3, 9), "longer than its pause");
        assert!(begins(0, 2400), "new, of a clock that was ahead");
    }
}
