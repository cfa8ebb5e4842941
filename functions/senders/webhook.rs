//! POST /private/v1/webhooks, and event `notification.requested` with channel=webhook: posts a
//! CloudEvent in structured mode, signed as the Standard Webhooks specification says.

use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use runtime::{Context, Event, Fields, Function, Input, Reply, Result, Subscription, error::ErrorBody, text};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use utoipa::ToSchema;

use super::{Done, Failed, SERVICE, message::Message};
use crate::notifications::config::{self, Config, Webhook};
use contract::{Alert, Channel, NotificationRequested, kind};

pub const NAME: &str = "webhook-send";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "posts a signed CloudEvent")
    .http(runtime::http!(handle))
    .on(&[Subscription::of_channel(kind::NOTIFICATION_REQUESTED, "webhook")], || {
        axum::routing::post(handle_event)
    })
    .without_database()
    .reads(runtime::settings!(runtime::secret::Sealer, net::trust::ExtraRoots, super::Policy));

/// What receivers get: the alert, and the same in words as `text`.
const ALERT: &str = "io.pongpong.alert.v1";
/// Words alone.
const MESSAGE: &str = "io.pongpong.message.v1";

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookCall, example = json!({"url": "https://example.com/hook", "content": "Hello"}))]
pub struct Body {
    url: String,
    /// `whsec_...`; without it the call is not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    content: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alert: Option<Alert>,
}

impl Body {
    pub fn new(webhook: &Webhook, message: Message, alert: Option<Alert>) -> Self {
        let Webhook { url, secret } = webhook.clone();
        Self { url, secret, content: message.text, alert }
    }
}

#[utoipa::path(
    post, path = "/private/v1/webhooks", tag = "senders", request_body = Body,
    responses(
        (status = 200, body = Done, example = json!({
            "status": "fail", "message": "The webhook answered 404 Not Found.",
        })),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are not acceptable.", "code": "VALIDATION_FAILED",
            "fields": {"url": "must be an http or https URL with a host"},
        })),
    ),
)]
async fn handle(State(context): State<Context>, Input(body): Input<Body>) -> Result<Json<Done>> {
    let mut fields = Fields::default();
    config::check_url(&mut fields, "url", &body.url);
    let secret_ok = body.secret.as_deref().is_none_or(|secret| config::secret_bytes(secret).is_some());
    fields.check(secret_ok, "secret", || {
        text("must be whsec_ and 24 to 64 bytes in base64", "whsec_ 뒤에 24~64바이트의 base64여야 합니다")
    });
    fields.finish()?;
    let id = format!("message-{}", context.random().token());
    let webhook = Webhook { url: body.url, secret: body.secret };
    let text = Message::plain("", &body.content).text;
    let event = event(&id, context.clock().now(), &text, body.alert.as_ref());
    Ok(Json(post(&context, &webhook, &id, &event).await?.into()))
}

async fn handle_event(
    State(context): State<Context>,
    incoming: Event<NotificationRequested>,
) -> Result<Reply> {
    if let Some(reply) = super::unwanted(&context, NAME, &incoming).await? {
        return Ok(reply);
    }
    let request = &incoming.data;
    // The same whenever this is delivered again, so that the receiver can tell.
    let id = format!("delivery-{}-{}", request.delivery_id, request.attempt);
    let sent = match super::config(&context, request) {
        Ok(Config::Webhook(webhook)) => {
            let text = Message::of(&request.alert).text;
            let event = event(&id, request.alert.changed_at, &text, Some(&request.alert));
            post(&context, &webhook, &id, &event).await?
        }
        Ok(_) => Err(Failed::ForGood("These are not the settings of a webhook.".to_owned())),
        Err(failed) => Err(failed),
    };
    super::attempted(&context, NAME, &incoming, sent)
}

fn event(id: &str, time: DateTime<Utc>, text: &str, alert: Option<&Alert>) -> Value {
    #[derive(Serialize)]
    struct Data<'a> {
        text: &'a str,
        #[serde(flatten)]
        alert: Option<&'a Alert>,
    }
    json!({
        "specversion": "1.0", "id": id, "source": "/pongpong", "time": time,
        "type": if alert.is_some() { ALERT } else { MESSAGE },
        "datacontenttype": "application/json", "data": Data { text, alert },
    })
}

async fn post(context: &Context, webhook: &Webhook, id: &str, event: &Value) -> Result<Result<(), Failed>> {
    let body = event.to_string();
    let timestamp = context.clock().now().timestamp();
    let key = webhook.secret.as_deref().and_then(config::secret_bytes);
    let signature = key.map(|key| sign(&key, id, timestamp, &body)).transpose()?;
    let timestamp = timestamp.to_string();
    let mut headers = vec![
        ("content-type", "application/cloudevents+json; charset=utf-8"),
        ("user-agent", concat!("pongpong/", env!("CARGO_PKG_VERSION"))),
        ("webhook-id", id),
        ("webhook-timestamp", &timestamp),
    ];
    headers.extend(signature.as_deref().map(|signature| ("webhook-signature", signature)));
    let post = match super::post_of(&webhook.url, &headers, body) {
        Ok(post) => post,
        Err(failed) => return Ok(Err(failed)),
    };
    let client = &super::guarded(context)?.0;
    let answer = super::send(context, Channel::Webhook, "The webhook", client, &post).await;
    Ok(answer.and_then(|answer| super::judged("The webhook", &answer)))
}

fn sign(key: &[u8], id: &str, timestamp: i64, body: &str) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries' own tests.
    #[test]
    fn it_signs_as_the_specification_does() {
        let key = config::secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signature = sign(&key, id, 1_614_265_330, r#"{"test": 2432232314}"#).expect("signs");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn it_posts_a_cloudevent() {
        let event = event("delivery-1-1", DateTime::UNIX_EPOCH, "Hello", None);
        assert_eq!(event["type"], MESSAGE);
        assert_eq!(event["data"], json!({"text": "Hello"}));
        assert_eq!(event["time"], "1970-01-01T00:00:00Z");
    }
}
