//! Sends a message and reports the outcome: the same for all kinds.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use channels::{CHANNELS, Config, Kind, Message, SendContext, SendError};
use chrono::{DateTime, TimeDelta, Utc};
use net::{address::PrivateNetworks, guarded::Client, resolve::Resolver, trust::ExtraRoots};
use runtime::{Context, Env, Error, Event, FromEnv, Outgoing, Reply, Result, telemetry::KeyValue};
use serde_json::Value;

use super::{
    Done, Failed, function_of,
    metrics::{DELAY, SECOND_TRIES, count, label},
};
use crate::notifications::{
    config::{kind_named, open},
    deliveries::record::{self, DeliveryState},
};
use contract::{Alert, DeliveryOutcome, Invalid, NotificationDelivered, NotificationRequested, kind};

/// Handles the event `notification.requested` for any kind whose
/// [`Channel::send`](channels::Channel::send) does all the work.
pub(super) async fn handle_event(
    State(context): State<Context>,
    event: Event<NotificationRequested>,
) -> Result<Reply> {
    let request = &event.data;
    let kind = Kind::find(&request.kind)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("there is no kind {}", request.kind)))?;
    let function = function_of(kind);
    if let Some(reply) = unwanted(&context, function, &event).await? {
        return Ok(reply);
    }
    // The same if the event is delivered again, so that the receiver can recognise duplicates.
    let id = format!("delivery-{}-{}", request.delivery_id, request.attempt);
    let sent = match opened(request, open(&context, kind, &request.sealed_config)) {
        Ok(config) => {
            let alert = &request.alert;
            let about = About { id: &id, time: alert.changed_at, alert: Some(alert) };
            send(&context, &config, &Message::of(alert, &request.reader), about).await?
        }
        Err(failed) => Err(failed),
    };
    attempted(&context, function, &event, sent)
}

pub(super) fn opened<T>(request: &NotificationRequested, opened: Result<T>) -> Result<T, Failed> {
    opened.map_err(|error| {
        tracing::error!(%error, request.delivery_id, "a channel's config cannot be opened");
        Failed::Permanent("The channel's settings cannot be read. Please enter them again.".to_owned())
    })
}

/// The reply to a request that must not be sent any more. Checked on each attempt, because minutes may
/// lie between two: the endpoint may be deleted meanwhile, and a "down" that arrives after "up" would
/// leave the user with wrong information.
pub(super) async fn unwanted(
    context: &Context,
    function: &str,
    event: &Event<NotificationRequested>,
) -> Result<Option<Reply>> {
    let NotificationRequested { delivery_id, attempt, tries, .. } = event.data;
    let asked = record::state(context, delivery_id, attempt, tries);
    let answer = tokio::time::timeout(TIMEOUT, asked).await;
    let state = match answer.unwrap_or_else(|late| Err(Error::unavailable(late))) {
        Ok(state) => state,
        // A superfluous alert is better than a missing one.
        Err(error) => {
            tracing::warn!(%error, delivery_id, "whether the delivery is still needed could not be looked up: it is sent");
            DeliveryState::Wanted
        }
    };
    let (outcome, why) = match state {
        DeliveryState::Wanted => return Ok(None),
        DeliveryState::Deleted | DeliveryState::Done => return Ok(Some(Reply::NONE)),
        DeliveryState::Disabled => (DeliveryOutcome::Failed, "Not sent: the notification was disabled."),
        DeliveryState::Superseded => {
            (DeliveryOutcome::Superseded, "Not sent: the endpoint was paused meanwhile.")
        }
    };
    count(&event.data.kind, "unwanted");
    let told = Told { outcome, error: Some(why.to_owned()), after: None, reached: Vec::new() };
    tell(context, function, event, told).map(Some)
}

/// Reports the outcome of an attempt to the broker and the delivery log.
pub(super) fn attempted(
    context: &Context,
    function: &str,
    event: &Event<NotificationRequested>,
    sent: Result<(), Failed>,
) -> Result<Reply> {
    use DeliveryOutcome::{Delivered, Failed as Refused, Postponed};
    let (outcome, after, reached) = match &sent {
        Ok(()) | Err(Failed::PermanentForSome(_)) => (Delivered, None, Vec::new()),
        Err(Failed::Permanent(_)) => (Refused, None, Vec::new()),
        Err(Failed::Transient(_)) => (Postponed, None, Vec::new()),
        Err(Failed::RetryAfter(_, after)) => (Postponed, Some(*after), Vec::new()),
        Err(Failed::TransientForSome(_, reached)) => (Postponed, None, reached.clone()),
    };
    let error = sent.err().map(Failed::why);
    let NotificationRequested { kind, attempt, tries, alert, .. } = &event.data;
    match outcome {
        Delivered => count(kind, "delivered"),
        // Counted once, however often it is tried.
        Postponed if *tries > 0 => {}
        Postponed => count(kind, "postponed"),
        _ => count(kind, "failed"),
    }
    // Not for a retry that a user requested: the user decides when that happens.
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

/// Shorter than the time-out of a call between functions (10 s): a slow receiver must not look like a
/// slow sender, which would open the circuit to that sender for all users.
pub(super) const TIMEOUT: Duration = Duration::from_secs(8);
/// If the first try failed within this time, a second one follows at once; [`TIMEOUT`] leaves time for
/// it.
const FAILED_AT_ONCE: TimeDelta = TimeDelta::seconds(2);
const SECOND_TRY_AFTER: Duration = Duration::from_secs(1);
const SECOND_TRY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Policy(Arc<PrivateNetworks>);

impl FromEnv for Policy {
    const NAMES: &[&str] = &["CHECK_PRIVATE_NETWORKS"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(env.parse_or("CHECK_PRIVATE_NETWORKS", PrivateNetworks::default())?)))
    }
}

/// The settings that kinds declare.
pub(super) struct KindSettings;

impl FromEnv for KindSettings {
    const NAMES: &[&str] = &SETTINGS;

    fn from_env(_env: &Env) -> anyhow::Result<Self> {
        Ok(Self)
    }
}

/// The settings of all kinds.
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
    /// For URLs entered by users.
    guarded: Client,
    /// For URLs set by the operator.
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

/// Sends a message requested through the private API of the first contract: the kind's fields, without
/// the prefix `config.`.
pub(super) async fn send_text(
    context: &Context,
    kind: &str,
    values: &Value,
    content: &str,
    alert: Option<&Alert>,
) -> Result<Json<Done>> {
    let kind = kind_named(kind)?;
    let config = Config::read(kind, values, None).map_err(|Invalid(fields)| {
        let name = |name: String| name.strip_prefix("config.").map(str::to_owned).unwrap_or(name);
        Invalid(fields.into_iter().map(|(field, what)| (name(field), what)).collect())
    })?;
    send_now(context, &config, &Message::plain("", content), alert).await
}

/// Sends a message that is not logged.
pub(super) async fn send_now(
    context: &Context,
    config: &Config,
    message: &Message,
    alert: Option<&Alert>,
) -> Result<Json<Done>> {
    let id = format!("message-{}", context.random().token());
    let about = About { id: &id, time: context.clock().now(), alert };
    Ok(Json(send(context, config, message, about).await?.into()))
}

/// A message's metadata, apart from its text.
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

/// Tries a second time, one second later, if the first try failed at once: the next try by
/// `delivery-resume` is up to a minute away.
pub(super) async fn try_twice<F>(
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
        Err(_) => return Err(Failed::Transient(too_slow(whom, limit))),
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
        Err(_) => Err(Failed::Transient(too_slow(whom, second_limit))),
    }
}

pub(super) fn too_slow(whom: &str, timeout: Duration) -> String {
    format!("{whom} did not answer within {} seconds.", timeout.as_secs())
}
