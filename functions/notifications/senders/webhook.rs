//! POST /private/v1/webhooks, and event `notification.requested` of kind webhook: posts a signed CloudEvent.

use axum::{Json, extract::State};
use channels::{Channel as _, Config, Message, kinds::webhook::Webhook};
use http::Method;
use runtime::{Context, Function, Input, Result, Subscription, error::ErrorBody};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Done, SERVICE, send};
use contract::{Alert, kind};

pub const NAME: &str = "webhook-send";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "posts a signed CloudEvent")
    .http(runtime::http!(handle))
    .on(&[Subscription::of_channel(kind::NOTIFICATION_REQUESTED, Webhook::KIND)], || {
        axum::routing::post(send::handle_event)
    })
    .without_database()
    .reads(runtime::settings!(runtime::secret::Sealer, net::trust::ExtraRoots, send::Policy));

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookCall, example = json!({"url": "https://example.com/hook", "content": "Hello"}))]
pub struct Body {
    url: String,
    /// `whsec_...`; without it the request is not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    content: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alert: Option<Alert>,
}

/// Posts a message now.
pub async fn call(
    context: &Context,
    config: &Config,
    message: &Message,
    alert: Option<&Alert>,
) -> Result<Done> {
    let mut body = config.values().clone();
    body["content"] = message.text.clone().into();
    body["alert"] = json!(alert);
    context.outbound().call(NAME, Method::POST, "/private/v1/webhooks", Some(&body)).await
}

#[utoipa::path(
    post, path = "/private/v1/webhooks", tag = "senders", request_body = Body,
    responses(
        (status = 200, body = Done, example = json!({
            "status": "fail", "message": "The webhook answered 404 Not Found.",
        })),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are invalid.", "code": "VALIDATION_FAILED",
            "fields": {"url": "must be an http or https URL with a host"},
        })),
    ),
)]
async fn handle(State(context): State<Context>, Input(body): Input<Body>) -> Result<Json<Done>> {
    let values = json!({"url": body.url, "secret": body.secret});
    send::send_text(&context, Webhook::KIND, &values, &body.content, body.alert.as_ref()).await
}
