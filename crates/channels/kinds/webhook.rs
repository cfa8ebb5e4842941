//! Webhooks: a CloudEvent in structured mode, signed according to the Standard Webhooks specification.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use contract::Alert;
use fields::{Field, Foreign, Import, Tool, config, host_of, mask_url};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{Channel, Message, SendContext, SendError, send::post};

pub struct Webhook;

const SECRET_PREFIX: &str = "whsec_";

config! {
    url: String = Field::url("URL", "URL").help(
        "We POST a CloudEvent as JSON there. Answer with 2xx; anything else is sent again.",
        "이 주소로 CloudEvent를 JSON으로 POST합니다. 2xx로 답하지 않으면 다시 보냅니다.");
    secret: Option<String> = Field::line(120, "Signing secret", "서명 비밀값").secret().generate(generate)
        .valid(is_secret, "must be whsec_ and 24 to 64 bytes in base64", "whsec_ 뒤에 24~64바이트의 base64여야 합니다")
        .help("Each message is signed as Standard Webhooks wants it (header webhook-signature, HMAC-SHA256). Generated when \
                it is empty.",
            "모든 메시지는 Standard Webhooks 방식(webhook-signature 헤더, HMAC-SHA256)으로 서명합니다. 비워 두면 만들어 드립니다.");
}

fn generate(random: &[u8; 32]) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(random))
}

fn is_secret(secret: &str) -> bool {
    key_of(secret).is_some()
}

/// The key in a Standard Webhooks secret.
fn key_of(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

impl Channel for Webhook {
    const KIND: &'static str = "webhook";
    const LABEL: (&'static str, &'static str) = ("Webhook", "웹훅");
    const ABOUT: (&'static str, &'static str) =
        ("POST a signed JSON event to your URL.", "내 프로그램으로, 서명과 함께 보냅니다.");
    const FIELDS: &'static [Field] = FIELDS;
    const RECEIVER: &'static str = "The webhook";
    const FUNCTION: Option<&'static str> = Some("webhook-send");
    type Config = Config;

    fn recipient(config: &Config) -> String {
        mask_url(&config.url)
    }

    fn host(config: &Config) -> String {
        host_of(&config.url)
    }

    async fn send(config: &Config, message: &Message, cx: &SendContext<'_>) -> Result<(), SendError> {
        let body = event(cx.id, cx.time, &message.text, cx.alert).to_string();
        let timestamp = cx.now.timestamp().to_string();
        let key = config.secret.as_deref().and_then(key_of);
        let signature = key.and_then(|key| sign(&key, cx.id, &timestamp, &body));
        let mut headers = vec![
            ("content-type", "application/cloudevents+json; charset=utf-8"),
            ("user-agent", concat!("pongpong/", env!("CARGO_PKG_VERSION"))),
            ("webhook-id", cx.id),
            ("webhook-timestamp", &timestamp),
        ];
        headers.extend(signature.as_deref().map(|signature| ("webhook-signature", signature)));
        let response = post(cx.guarded, Self::RECEIVER, &config.url, &headers, body, cx.now).await?;
        response.judged(Self::RECEIVER)
    }

    fn import(foreign: &Foreign<'_>) -> Option<Import> {
        let url = match (foreign.tool, foreign.kind) {
            (Tool::UptimeKuma, "webhook") => foreign.text("webhookURL")?,
            (Tool::Gatus, "custom") => foreign.text("url")?,
            _ => return None,
        };
        Some(
            Import::of(json!({ "url": url }))
                .differs(true, "it gets our message (a CloudEvent), not that of the other tool"),
        )
    }
}

/// The event type for an alert, with the same as `text`.
const ALERT: &str = "io.pongpong.alert.v1";
/// The event type for a text only.
const MESSAGE: &str = "io.pongpong.message.v1";

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

fn sign(key: &[u8], id: &str, timestamp: &str, body: &str) -> Option<String> {
    // HMAC accepts keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example from the tests of the Standard Webhooks libraries.
    #[test]
    fn sign_follows_the_specification() {
        let key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signature = sign(&key, id, "1614265330", r#"{"test": 2432232314}"#).expect("signs");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn event_is_a_cloudevent() {
        let event = event("delivery-1-1", DateTime::UNIX_EPOCH, "Hello", None);
        assert_eq!(event["type"], MESSAGE);
        assert_eq!(event["data"], json!({"text": "Hello"}));
        assert_eq!(event["time"], "1970-01-01T00:00:00Z");
    }
}
