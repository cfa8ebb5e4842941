//! Sends messages, and says what became of them: email, Slack and webhooks by a function each, with the private API of
//! the first contract; all other kinds by `channel-send`.
//!
//! What may work later (no connection, 5xx, 429) is reported as postponed, what will not as failed:
//! `notifications::deliveries::queue` decides when it is sent again. Neither holds a place in the broker.

pub mod channel;
pub mod email;
pub mod slack;
pub mod webhook;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{Json, extract::State};
use channels::{CHANNELS, Config, Kind, Message, SendContext, SendError};
use chrono::{DateTime, TimeDelta, Utc};
use net::{address::PrivateNetworks, guarded::Client, resolve::Resolver, trust::ExtraRoots};
use runtime::{
    Context, Env, Error, Event, FromEnv, Outgoing, Reply, Result,
    telemetry::{Counter, Histogram, KeyValue, counter, seconds},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::notifications::{
    self,
    deliveries::record::{self, DeliveryStanding, Standing},
};
use contract::{Alert, DeliveryOutcome, Invalid, NotificationDelivered, NotificationRequested, kind};

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

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Permanent(why) => Self::ForGood(why),
            SendError::Transient { why, retry_after: None, .. } => Self::ForNow(why),
            SendError::Transient { why, retry_after: Some(after), .. } => Self::ForAWhile(why, after),
        }
    }
}

/// Event `notification.requested`, of any kind whose [`Channel::send`](channels::Channel::send) does all of it.
async fn handle_event(State(context): State<Context>, event: Event<NotificationRequested>) -> Result<Reply> {
    let request = &event.data;
    let kind = Kind::find(&request.kind)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("there is no kind {}", request.kind)))?;
    let function = kind.function.unwrap_or(channel::NAME);
    if let Some(reply) = unwanted(&context, function, &event).await? {
        return Ok(reply);
    }
    // The same whenever this is delivered again, so that the receiver can tell.
    let id = format!("delivery-{}-{}", request.delivery_id, request.attempt);
    let sent = match opened(request, notifications::open(&context, kind, &request.sealed_config)) {
        Ok(config) => {
            let alert = &request.alert;
            let about = About { id: &id, time: alert.changed_at, alert: Some(alert) };
            send(&context, &config, &Message::of(alert), about).await?
        }
        Err(failed) => Err(failed),
    };
    attempted(&context, function, &event, sent)
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
    count(&event.data.kind, "unwanted");
    let told = Told { outcome, error: Some(why.to_owned()), after: None, reached: Vec::new() };
    tell(context, function, event, told).map(Some)
}

static NOTIFICATIONS: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.notifications", "{notification}", "What became of messages"));

/// A kind that is not known is not counted: labels are of few values.
pub(crate) fn count(kind: &str, outcome: &'static str) {
    if let Some(kind) = Kind::find(kind) {
        add(1, kind, outcome);
    }
}

fn label(kind: &Kind) -> KeyValue {
    KeyValue::new("kind", kind.name)
}

fn add(messages: u64, kind: &Kind, outcome: &'static str) {
    NOTIFICATIONS.add(messages, &[label(kind), KeyValue::new("outcome", outcome)]);
}

pub(crate) fn count_from_zero() {
    for kind in CHANNELS {
        ["delivered", "failed", "postponed", "given_up", "unwanted"]
            .into_iter()
            .for_each(|what| add(0, kind, what));
        SECOND_TRIES.add(0, &[label(kind)]);
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
    let NotificationRequested { kind, attempt, tries, alert, .. } = &event.data;
    match outcome {
        Delivered => count(kind, "delivered"),
        // Once, however often it is tried.
        Postponed if *tries > 0 => {}
        Postponed => count(kind, "postponed"),
        _ => count(kind, "failed"),
    }
    // A person who sends it once more decides when.
    if outcome == Delivered && *attempt == 1 {
        let delay = (context.clock().now() - alert.changed_at).as_seconds_f64();
        DELAY.record(delay.max(0.0), &[KeyValue::new("kind", kind.clone())]);
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

struct Policy(Arc<PrivateNetworks>);

impl FromEnv for Policy {
    const NAMES: &[&str] = &["CHECK_PRIVATE_NETWORKS"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(env.parse_or("CHECK_PRIVATE_NETWORKS", PrivateNetworks::default())?)))
    }
}

/// Settings that kinds ask for.
struct KindSettings;

impl FromEnv for KindSettings {
    const NAMES: &[&str] = &SETTINGS;

    fn from_env(_env: &Env) -> anyhow::Result<Self> {
        Ok(Self)
    }
}

/// Of all kinds.
const SETTINGS: [&str; count_settings()] = {
    let mut all = [""; count_settings()];
    let (mut kind, mut next) = (0, 0);
    while kind < CHANNELS.len() {
        let mut at = 0;
        while at < CHANNELS[kind].settings.len() {
            all[next] = CHANNELS[kind].settings[at];
            (at, next) = (at + 1, next + 1);
        }
        kind += 1;
    }
    all
};

const fn count_settings() -> usize {
    let (mut kind, mut count) = (0, 0);
    while kind < CHANNELS.len() {
        count += CHANNELS[kind].settings.len();
        kind += 1;
    }
    count
}

struct Clients {
    /// For URLs that users entered.
    guarded: Client,
    /// For URLs that the operator has set.
    trusted: Client,
}

fn clients(context: &Context) -> Result<Arc<Clients>> {
    context.shared(|context| {
        let policy = Arc::clone(&context.config::<Policy>()?.0);
        let roots = context.config::<ExtraRoots>()?;
        let client = |policy| anyhow::Ok(Client::new(policy, Resolver::system()?, &roots)?);
        Ok(Clients { guarded: client(policy)?, trusted: client(Arc::new(PrivateNetworks::Allow))? })
    })
}

static SECOND_TRIES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter("pongpong.notification.second_tries", "{try}", "Tries made a second after one that failed")
});

/// Sends what the private API of the first contract was given: a kind's config, without `config.` before its fields.
async fn send_text(
    context: &Context,
    kind: &str,
    values: &Value,
    content: &str,
    alert: Option<&Alert>,
) -> Result<Json<Done>> {
    let kind = notifications::kind_named(kind)?;
    let config = Config::read(kind, values, None).map_err(|Invalid(fields)| {
        let name = |name: String| name.strip_prefix("config.").map(str::to_owned).unwrap_or(name);
        Invalid(fields.into_iter().map(|(field, what)| (name(field), what)).collect())
    })?;
    send_now(context, &config, &Message::plain("", content), alert).await
}

/// Sends what nobody logs.
async fn send_now(
    context: &Context,
    config: &Config,
    message: &Message,
    alert: Option<&Alert>,
) -> Result<Json<Done>> {
    let id = format!("message-{}", context.random().token());
    let about = About { id: &id, time: context.clock().now(), alert };
    Ok(Json(send(context, config, message, about).await?.into()))
}

/// What a message is about, beside its words.
struct About<'a> {
    id: &'a str,
    time: DateTime<Utc>,
    alert: Option<&'a Alert>,
}

async fn send(
    context: &Context,
    config: &Config,
    message: &Message,
    About { id, time, alert }: About<'_>,
) -> Result<Result<(), Failed>> {
    let clients = clients(context)?;
    let settings = |name: &str| context.env().get(name).map(str::to_owned);
    let try_once = || async {
        let (guarded, trusted) = (&clients.guarded, &clients.trusted);
        let now = context.clock().now();
        let cx = SendContext { guarded, trusted, settings: &settings, id, time, now, alert };
        config.send(message, &cx).await
    };
    let limits = [TIMEOUT, SECOND_TRY_TIMEOUT];
    Ok(try_twice(context, config.kind, limits, try_once).await)
}

/// Tries once more, a second later, what failed at once: the next try by `delivery-resume` is up to a minute away.
async fn try_twice<F>(
    context: &Context,
    kind: &Kind,
    [limit, second_limit]: [Duration; 2],
    try_once: impl Fn() -> F,
) -> Result<(), Failed>
where
    F: Future<Output = Result<(), SendError>>,
{
    let whom = kind.receiver;
    let (clock, began) = (context.clock(), context.clock().now());
    let first = match tokio::time::timeout(limit, try_once()).await {
        Ok(first) => first,
        Err(_) => return Err(Failed::ForNow(too_slow(whom, limit))),
    };
    let failed_after = clock.now() - began;
    let is_hiccup = matches!(first, Err(SendError::Transient { is_hiccup: true, .. }));
    if !is_hiccup || failed_after > FAILED_AT_ONCE {
        return Ok(first?);
    }
    clock.sleep(SECOND_TRY_AFTER).await;
    SECOND_TRIES.add(1, &[label(kind)]);
    match tokio::time::timeout(second_limit, try_once()).await {
        Ok(second) => Ok(second?),
        Err(_) => Err(Failed::ForNow(too_slow(whom, second_limit))),
    }
}

fn too_slow(whom: &str, timeout: Duration) -> String {
    format!("{whom} did not answer within {} seconds.", timeout.as_secs())
}
