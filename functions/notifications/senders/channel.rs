//! POST /private/v1/channel_messages, and event `notification.requested` of every kind without its own
//! function: sends a message.

use axum::{Json, extract::State};
use channels::{CHANNELS, Config, Kind, Message};
use http::Method;
use runtime::{Context, Function, Input, Result, Subscription, error::ErrorBody};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Done, SERVICE, send};
use crate::notifications::config::{kind_named, kind_schema};
use contract::{Alert, kind};

pub const NAME: &str = super::CHANNEL_SEND;

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "sends messages of all other kinds")
    .http(runtime::http!(handle))
    .on(&SUBSCRIPTIONS, || axum::routing::post(send::handle_event))
    .without_database()
    .reads(runtime::settings!(
        runtime::secret::Sealer,
        net::trust::ExtraRoots,
        send::Policy,
        send::KindSettings
    ));

const SUBSCRIPTIONS: [Subscription; count()] = {
    let mut all = [Subscription::to(""); count()];
    let (mut at, mut next) = (0, 0);
    while at < CHANNELS.len() {
        if CHANNELS[at].function.is_none() {
            all[next] = Subscription::of_channel(kind::NOTIFICATION_REQUESTED, CHANNELS[at].name);
            next += 1;
        }
        at += 1;
    }
    all
};

const fn count() -> usize {
    let (mut at, mut count) = (0, 0);
    while at < CHANNELS.len() {
        count += CHANNELS[at].function.is_none() as usize;
        at += 1;
    }
    count
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChannelMessage, example = json!({
    "kind": "webhook", "config": {"url": "https://example.com/hook"},
    "subject": "Hello", "text": "How are you?",
}))]
pub struct Body {
    #[schema(schema_with = kind_schema)]
    kind: String,
    /// Including its secrets.
    #[schema(value_type = channels::ConfigSchema)]
    config: Value,
    subject: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alert: Option<Alert>,
}

/// Sends a message now.
pub async fn call(
    context: &Context,
    config: &Config,
    message: Message,
    alert: Option<Alert>,
) -> Result<Done> {
    let Message { subject, text, .. } = message;
    let kind = config.kind.name.to_owned();
    let body = Body { kind, config: config.values().clone(), subject, text, alert };
    context.outbound().call(NAME, Method::POST, "/private/v1/channel_messages", Some(&body)).await
}

#[utoipa::path(
    post, path = "/private/v1/channel_messages", tag = "senders", request_body = Body,
    responses(
        (status = 200, body = Done, example = json!({
            "status": "fail", "message": "The webhook answered 404 Not Found.",
        })),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are invalid.", "code": "VALIDATION_FAILED",
            "fields": {"config.url": "must be an http or https URL with a host"},
        })),
    ),
)]
async fn handle(State(context): State<Context>, Input(body): Input<Body>) -> Result<Json<Done>> {
    let kind: &Kind = kind_named(&body.kind)?;
    let config = Config::read(kind, &body.config, None)?;
    let message = Message::plain(&body.subject, &body.text);
    send::send_now(&context, &config, &message, body.alert.as_ref()).await
}
