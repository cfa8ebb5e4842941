//! One function for each channel: it sends, and says what became of it.
//!
//! What may work later (no connection, 5xx, 429) is reported as postponed, what will not as failed:
//! `notifications::deliveries::queue` decides when it is sent again. Neither holds a place in the broker.

pub mod email;
pub mod message;
pub mod slack;
pub mod webhook;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderName, HeaderValue, StatusCode, header};
use net::{
    address::PrivateNetworks,
    guarded::{Client, Post, SendError},
    resolve::Resolver,
    trust::ExtraRoots,
};
use runtime::{
    Context, Env, Error, Event, FromEnv, Outgoing, Reply, Result,
    telemetry::{Counter, Histogram, KeyValue, counter, seconds},
};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::notifications::{
    self,
    config::Config,
    deliveries::record::{self, DeliveryStanding, Standing},
};
use contract::{Channel, DeliveryOutcome, NotificationDelivered, NotificationRequested, kind};

pub const SERVICE: &str = "notification-service";

/// Why a message did not get through, in words for people that hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It is worth trying again.
    ForNow(String),
    /// The same, and the receiver says when (`Retry-After`).
    ForAWhile(String, Duration),
    ForGood(String),
    /// Others got it, and these never will.
    ForSome(String),
    /// Others got it, whose names (of addresses a hash) are here; it is worth trying the rest again.
    ForSomeNow(String, Vec<String>),
}

impl Failed {
    pub fn why(self) -> String {
        match self {
            Self::ForNow(why)
            | Self::ForAWhile(why, _)
            | Self::ForGood(why)
            | Self::ForSome(why)
            | Self::ForSomeNow(why, _) => why,
        }
    }
}

/// What a call that does something answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Sent)]
pub struct Done {
    /// `ok` or `fail`.
    #[schema(example = "ok")]
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Done {
    pub fn ok() -> Self {
        Self { status: "ok".to_owned(), message: None }
    }

    pub fn fail(message: impl Into<String>) -> Self {
        Self { status: "fail".to_owned(), message: Some(message.into()) }
    }
}

impl From<Result<(), Failed>> for Done {
    fn from(sent: Result<(), Failed>) -> Self {
        match sent {
            Ok(()) => Self::ok(),
            Err(Failed::ForSome(why) | Failed::ForSomeNow(why, _)) => {
                Self { message: Some(why), ..Self::ok() }
            }
            Err(failed) => Self::fail(failed.why()),
        }
    }
}

/// The config that came along, or the reply that it cannot be read.
fn config(context: &Context, request: &NotificationRequested) -> Result<Config, Failed> {
    opened(request, notifications::open(context, &request.sealed_config))
}

fn opened<T>(request: &NotificationRequested, opened: Result<T>) -> Result<T, Failed> {
    opened.map_err(|error| {
        tracing::error!(%error, request.delivery_id, "a channel's config cannot be opened");
        Failed::ForGood("The channel's settings cannot be read. Please enter them again.".to_owned())
    })
}

/// The reply to a request that is not to be sent any more. Asked at each attempt, for minutes may lie
/// between two: what the message is about may be gone meanwhile, and who is told "down" after "up" is
/// left with what is wrong.
async fn unwanted(
    context: &Context,
    function: &str,
    event: &Event<NotificationRequested>,
) -> Result<Option<Reply>> {
    let NotificationRequested { delivery_id, attempt, tries, .. } = event.data;
    let path = format!("/private/v1/deliveries/{delivery_id}?attempt={attempt}&tries={tries}");
    let asked = context.outbound().get::<DeliveryStanding>(record::NAME, &path);
    let answer = tokio::time::timeout(TIMEOUT, asked).await;
    let standing = match answer.unwrap_or_else(|late| Err(Error::unavailable(late))) {
        Ok(answer) => answer.standing,
        // To be woken for nothing is better than not to be woken.
        Err(error) => {
            tracing::warn!(%error, delivery_id, "it cannot be asked whether this is still wanted: it is sent");
            Standing::Wanted
        }
    };
    let (outcome, why) = match standing {
        Standing::Wanted => return Ok(None),
        Standing::Gone | Standing::Done => return Ok(Some(Reply::NONE)),
        Standing::Disabled => (DeliveryOutcome::Failed, "Not sent: the channel was switched off meanwhile."),
        Standing::Overtaken => (DeliveryOutcome::Superseded, "Not sent: the endpoint was paused meanwhile."),
    };
    count(event.data.channel, "unwanted");
    let told = Told { outcome, error: Some(why.to_owned()), after: None, reached: Vec::new() };
    tell(context, function, event, told).map(Some)
}

static NOTIFICATIONS: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.notifications", "{notification}", "What became of messages"));

pub(crate) fn count(channel: Channel, outcome: &'static str) {
    add(1, channel, outcome);
}

fn add(messages: u64, channel: Channel, outcome: &'static str) {
    let labels = [KeyValue::new("channel", channel.as_str()), KeyValue::new("outcome", outcome)];
    NOTIFICATIONS.add(messages, &labels);
}

pub(crate) fn count_from_zero() {
    for channel in [Channel::Email, Channel::Slack, Channel::Webhook] {
        ["delivered", "failed", "postponed", "given_up", "unwanted"]
            .into_iter()
            .for_each(|what| add(0, channel, what));
        SECOND_TRIES.add(0, &[KeyValue::new("channel", channel.as_str())]);
    }
}

static DELAY: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    seconds("pongpong.notification.delay", "From a change to the message that tells of it", 300.0)
});

/// Tells the broker, and the delivery log, what became of an attempt.
fn attempted(
    context: &Context,
    function: &str,
    event: &Event<NotificationRequested>,
    sent: Result<(), Failed>,
) -> Result<Reply> {
    use DeliveryOutcome::{Delivered, Failed as Refused, Postponed};
    let (outcome, after, reached) = match &sent {
        Ok(()) | Err(Failed::ForSome(_)) => (Delivered, None, Vec::new()),
        Err(Failed::ForGood(_)) => (Refused, None, Vec::new()),
        Err(Failed::ForNow(_)) => (Postponed, None, Vec::new()),
        Err(Failed::ForAWhile(_, after)) => (Postponed, Some(*after), Vec::new()),
        Err(Failed::ForSomeNow(_, reached)) => (Postponed, None, reached.clone()),
    };
    let error = sent.err().map(Failed::why);
    let NotificationRequested { channel, attempt, tries, alert, .. } = &event.data;
    match outcome {
        Delivered => count(*channel, "delivered"),
        // Once, however often it is tried.
        Postponed if *tries > 0 => {}
        Postponed => count(*channel, "postponed"),
        _ => count(*channel, "failed"),
    }
    // A person who sends it once more decides when.
    if outcome == Delivered && *attempt == 1 {
        let delay = (context.clock().now() - alert.changed_at).as_seconds_f64();
        DELAY.record(delay.max(0.0), &[KeyValue::new("channel", channel.as_str())]);
    }
    let told = Told { outcome, error, after, reached };
    tell(context, function, event, told)
}

struct Told {
    outcome: DeliveryOutcome,
    error: Option<String>,
    after: Option<Duration>,
    reached: Vec<String>,
}

fn tell(
    context: &Context,
    function: &str,
    event: &Event<NotificationRequested>,
    told: Told,
) -> Result<Reply> {
    let Told { outcome, error, after, reached } = told;
    let delivered = NotificationDelivered {
        delivery_id: event.data.delivery_id,
        attempt: event.data.attempt,
        tries: event.data.tries,
        outcome,
        error,
        retry_after_seconds: after.map(|after| u32::try_from(after.as_secs()).unwrap_or(u32::MAX)),
        reached,
        at: context.clock().now(),
    };
    let (id, time) = (format!("{}/delivered", event.id), delivered.at);
    Ok(Outgoing::new(function, kind::NOTIFICATION_DELIVERED, id, time, &delivered)?.into())
}

/// Shorter than that of a call between functions (10 s): a channel that is slow must not look like a
/// sender that is, or the circuit to it opens for everybody.
const TIMEOUT: Duration = Duration::from_secs(8);
/// A first try that failed so soon may be followed by a second one at once, in which [`TIMEOUT`] leaves time.
const FAILED_AT_ONCE: TimeDelta = TimeDelta::seconds(2);
const SECOND_TRY_AFTER: Duration = Duration::from_secs(1);
const SECOND_TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer: enough for any error that a channel has.
const LONGEST_ANSWER: usize = 16 * 1024;

/// For URLs that users entered.
struct Guarded(Client);

struct Policy(Arc<PrivateNetworks>);

impl FromEnv for Policy {
    const NAMES: &[&str] = &["CHECK_PRIVATE_NETWORKS"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(env.parse_or("CHECK_PRIVATE_NETWORKS", PrivateNetworks::default())?)))
    }
}

/// For URLs that whoever runs this has set.
struct Trusted(Client);

fn trusted(context: &Context) -> Result<Arc<Trusted>> {
    context.shared(|context| {
        let roots = context.config::<ExtraRoots>()?;
        Ok(Trusted(Client::new(Arc::new(PrivateNetworks::Allow), Resolver::system()?, &roots)?))
    })
}

fn guarded(context: &Context) -> Result<Arc<Guarded>> {
    context.shared(|context| {
        let policy = Arc::clone(&context.config::<Policy>()?.0);
        let roots = context.config::<ExtraRoots>()?;
        Ok(Guarded(Client::new(policy, Resolver::system()?, &roots)?))
    })
}

/// A message to be posted; the names of its headers are in lower case.
fn post_of(url: &str, headers: &[(&'static str, &str)], body: String) -> Result<Post, Failed> {
    let url = Url::parse(url).map_err(|_| Failed::ForGood("The URL is not valid.".to_owned()))?;
    let headers = headers.iter().map(|&(name, value)| {
        Ok((HeaderName::from_static(name), HeaderValue::from_str(value).map_err(|_| unwritable())?))
    });
    Ok(Post { url, headers: headers.collect::<Result<_, Failed>>()?, body: body.into() })
}

fn unwritable() -> Failed {
    Failed::ForGood("The message cannot be written.".to_owned())
}

/// An answer, read to a bound.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

static SECOND_TRIES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter("pongpong.notification.second_tries", "{try}", "Tries made a second after one that failed")
});

/// What came of one try.
struct Tried<T> {
    result: Result<T, Failed>,
    /// That it failed in a way that may be over in a moment, and that the receiver cannot have the message.
    is_hiccup: bool,
}

/// Tries once more, a second later, what failed at once: the next try by `delivery-resume` is up to a minute away.
async fn try_twice<T, F>(
    context: &Context,
    channel: Channel,
    whom: &str,
    try_once: impl Fn() -> F,
) -> Result<T, Failed>
where
    F: Future<Output = Tried<T>>,
{
    let (clock, began) = (context.clock(), context.clock().now());
    let first = try_once().await;
    let failed_after = clock.now() - began;
    if !first.is_hiccup || failed_after > FAILED_AT_ONCE {
        return first.result;
    }
    clock.sleep(SECOND_TRY_AFTER).await;
    SECOND_TRIES.add(1, &[KeyValue::new("channel", channel.as_str())]);
    match tokio::time::timeout(SECOND_TRY_TIMEOUT, try_once()).await {
        Ok(second) => second.result,
        Err(_) => Err(Failed::ForNow(too_slow(whom, SECOND_TRY_TIMEOUT))),
    }
}

async fn send(
    context: &Context,
    channel: Channel,
    whom: &str,
    client: &Client,
    post: &Post,
) -> Result<Answer, Failed> {
    try_twice(context, channel, whom, || try_send(context, whom, client, post)).await
}

async fn try_send(context: &Context, whom: &str, client: &Client, post: &Post) -> Tried<Answer> {
    let failed = |is_hiccup, why| Tried { result: Err(why), is_hiccup };
    let response = match tokio::time::timeout(TIMEOUT, client.post(post, LONGEST_ANSWER)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return failed(matches!(error, SendError::NotConnected), failure(whom, error)),
        Err(_) => return failed(false, Failed::ForNow(too_slow(whom, TIMEOUT))),
    };
    let (head, body) = response.into_parts();
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|value| wait(value, context.clock().now()));
    let is_hiccup = matches!(head.status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE)
        && retry_after.is_none();
    Tried { result: Ok(Answer { status: head.status, retry_after, body }), is_hiccup }
}

/// Seconds, or a date.
fn wait(retry_after: &str, now: DateTime<Utc>) -> Option<Duration> {
    let seconds = retry_after.trim().parse().ok().map(Duration::from_secs);
    seconds.or_else(|| {
        let until = DateTime::parse_from_rfc2822(retry_after.trim()).ok()?;
        (until.to_utc() - now).to_std().ok()
    })
}

fn too_slow(whom: &str, timeout: Duration) -> String {
    format!("{whom} did not answer within {} seconds.", timeout.as_secs())
}

fn failure(whom: &str, error: SendError) -> Failed {
    Failed::ForNow(match error {
        SendError::Blocked(blocked) => return Failed::ForGood(format!("{blocked}.")),
        SendError::NotConnected => format!("{whom} could not be reached."),
        SendError::Flooded => format!("{whom} sends far more than its response."),
        SendError::BrokenOff => format!("{whom} broke off the connection."),
    })
}

/// What an answer says of whether to try again.
fn judged(whom: &str, answer: &Answer) -> Result<(), Failed> {
    let status = answer.status;
    if status.is_success() {
        return Ok(());
    }
    let why = format!("{whom} answered {status}.");
    if !status.is_server_error() && !matches!(status.as_u16(), 408 | 409 | 425 | 429) {
        return Err(Failed::ForGood(why));
    }
    Err(later(why, answer))
}

fn later(why: String, answer: &Answer) -> Failed {
    match answer.retry_after {
        Some(after) => Failed::ForAWhile(why, after),
        None => Failed::ForNow(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_whether_to_try_again() {
        let answer = |status: u16, retry_after| {
            let status = StatusCode::from_u16(status).expect("a status");
            Answer { status, retry_after, body: Vec::new() }
        };
        let judge = |status| judged("It", &answer(status, None));
        for fine in [200, 202, 204] {
            assert_eq!(judge(fine), Ok(()));
        }
        for later in [408, 409, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(judge(later), Err(Failed::ForNow(_))), "{later}");
        }
        for never in [301, 302, 400, 401, 403, 404, 410, 413, 422] {
            assert!(matches!(judge(never), Err(Failed::ForGood(_))), "{never}");
        }
        assert_eq!(judge(404).map_err(Failed::why), Err("It answered 404 Not Found.".to_owned()));
        let hour = Duration::from_secs(3600);
        let busy = judged("It", &answer(429, Some(hour)));
        assert_eq!(busy, Err(Failed::ForAWhile("It answered 429 Too Many Requests.".to_owned(), hour)));
    }

    #[test]
    fn a_receiver_says_when_in_seconds_or_by_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").expect("a time").to_utc();
        let said = |text| wait(text, now).map(|wait| wait.as_secs());
        assert_eq!(said(" 30"), Some(30));
        assert_eq!(said("Sun, 01 Mar 2026 12:02:00 GMT"), Some(120));
        for nothing in ["", "-3", "soon", "Sun, 01 Mar 2026 11:00:00 GMT"] {
            assert_eq!(said(nothing), None, "{nothing}");
        }
    }
}
