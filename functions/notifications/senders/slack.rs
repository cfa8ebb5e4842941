//! POST /private/v1/slack_messages, and event `notification.requested` of kind slack: posts a message to Slack.

use axum::{Json, extract::State};
use channels::{Channel as _, Config, Message, kinds::slack::Slack};
use http::Method;
use runtime::{Context, Function, Input, Result, Subscription, error::ErrorBody};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Done, SERVICE, send};
use contract::kind;

pub const NAME: &str = "slack-send";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "posts a message to Slack")
    .http(runtime::http!(handle))
    .on(&[Subscription::of_channel(kind::NOTIFICATION_REQUESTED, Slack::KIND)], || {
        axum::routing::post(send::handle_event)
    })
    .without_database()
    .reads(runtime::settings!(
        runtime::secret::Sealer,
        net::trust::ExtraRoots,
        send::Policy,
        send::KindSettings
    ));

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SlackMessage, example = json!({
    "domain": "example", "channel": "#alerts", "content": "Hello", "token": "xoxb-1-2-3",
}))]
pub struct Body {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    content: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Replaces `channel` and `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
}

/// Posts a message now.
pub async fn call(context: &Context, config: &Config, message: &Message) -> Result<Done> {
    let mut body = config.values().clone();
    body["content"] = format!("{}\n{}", message.subject, message.text).into();
    context.outbound().call(NAME, Method::POST, "/private/v1/slack_messages", Some(&body)).await
}

#[utoipa::path(
    post, path = "/private/v1/slack_messages", tag = "senders", request_body = Body,
    responses(
        (status = 200, body = Done, example = json!({
            "status": "fail", "message": "Slack refused the message: channel_not_found.",
        })),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are invalid.", "code": "VALIDATION_FAILED",
            "fields": {"token": "must be given with a channel, unless there is a webhook_url"},
        })),
    ),
)]
async fn handle(State(context): State<Context>, Input(body): Input<Body>) -> Result<Json<Done>> {
    // The workspace is only for people, and a webhook needs nothing else.
    let Body { domain: _, channel, content, token, webhook_url } = body;
    let values = match webhook_url {
        Some(url) => json!({ "webhook_url": url }),
        None => json!({ "channel": channel, "token": token }),
    };
    send::send_text(&context, Slack::KIND, &values, &content, None).await
}
