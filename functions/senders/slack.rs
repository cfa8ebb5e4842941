//! POST /private/v1/slack_messages, and event `notification.requested` with channel=slack: says it in
//! Slack, by `chat.postMessage` or an incoming webhook.

use axum::{Json, extract::State};
use net::guarded::Post;
use runtime::{
    Context, Env, Event, Fields, FromEnv, Function, Input, Reply, Result, Subscription, error::ErrorBody,
    text,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Answer, Done, Failed, SERVICE, message::Message};
use crate::notifications::config::{self, Config, Slack};
use contract::{Channel, NotificationRequested, kind};

pub const NAME: &str = "slack-send";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "says it in Slack")
    .http(runtime::http!(handle))
    .on(&[Subscription::of_channel(kind::NOTIFICATION_REQUESTED, "slack")], || {
        axum::routing::post(handle_event)
    })
    .without_database()
    .reads(runtime::settings!(runtime::secret::Sealer, net::trust::ExtraRoots, super::Policy, SlackApi));

struct SlackApi {
    url: String,
}

impl FromEnv for SlackApi {
    const NAMES: &[&str] = &["SLACK_API_URL"];

    /// `SLACK_API_URL` (default `https://slack.com/api`): of a proxy, or a stand-in.
    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let url = env.get("SLACK_API_URL").unwrap_or("https://slack.com/api");
        Ok(Self { url: url.trim_end_matches('/').to_owned() })
    }
}

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
    /// Instead of `channel` and `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
}

impl Body {
    pub fn new(slack: &Slack, message: Message) -> Self {
        let Slack { domain, channel, token, webhook_url } = slack.clone();
        Self { domain, channel, content: text_of(&message), token, webhook_url }
    }
}

fn text_of(message: &Message) -> String {
    format!("{}\n{}", message.subject, message.text)
}

#[utoipa::path(
    post, path = "/private/v1/slack_messages", tag = "senders", request_body = Body,
    responses(
        (status = 200, body = Done, example = json!({
            "status": "fail", "message": "Slack refused the message: channel_not_found.",
        })),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are not acceptable.", "code": "VALIDATION_FAILED",
            "fields": {"token": "must be given with a channel, unless there is a webhook_url"},
        })),
    ),
)]
async fn handle(State(context): State<Context>, Input(body): Input<Body>) -> Result<Json<Done>> {
    let Body { domain, channel, content, token, webhook_url } = body;
    let mut fields = Fields::default();
    match &webhook_url {
        Some(url) => config::check_url(&mut fields, "webhook_url", url),
        None => fields.check(channel.is_some() && token.is_some(), "token", || {
            text(
                "must be given with a channel, unless there is a webhook_url",
                "webhook_url이 없으면 channel과 함께 필요합니다",
            )
        }),
    }
    fields.finish()?;
    let text = Message::plain("", &content).text;
    Ok(Json(send(&context, &Slack { domain, channel, token, webhook_url }, &text).await?.into()))
}

async fn handle_event(State(context): State<Context>, event: Event<NotificationRequested>) -> Result<Reply> {
    if let Some(reply) = super::unwanted(&context, NAME, &event).await? {
        return Ok(reply);
    }
    let sent = match super::config(&context, &event.data) {
        Ok(Config::Slack(slack)) => send(&context, &slack, &text_of(&Message::of(&event.data.alert))).await?,
        Ok(_) => Err(Failed::ForGood("These are not the settings of a Slack channel.".to_owned())),
        Err(failed) => Err(failed),
    };
    super::attempted(&context, NAME, &event, sent)
}

async fn send(context: &Context, slack: &Slack, content: &str) -> Result<Result<(), Failed>> {
    // In Slack's own markup these three mean something.
    let text = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if let Some(url) = &slack.webhook_url {
        let post = match post_of(url, None, &json!({ "text": text })) {
            Ok(post) => post,
            Err(failed) => return Ok(Err(failed)),
        };
        let client = &super::guarded(context)?.0;
        let answer = super::send(context, Channel::Slack, "Slack", client, &post).await;
        return Ok(answer.and_then(|answer| judged_webhook(&answer)));
    }
    let (channel, token) = (slack.channel.as_deref(), slack.token.as_deref().unwrap_or_default());
    let url = format!("{}/chat.postMessage", context.config::<SlackApi>()?.url);
    let body = json!({ "channel": channel, "text": text, "unfurl_links": false });
    let post = match post_of(&url, Some(token), &body) {
        Ok(post) => post,
        Err(failed) => return Ok(Err(failed)),
    };
    let client = &super::trusted(context)?.0;
    let answer = super::send(context, Channel::Slack, "Slack", client, &post).await;
    Ok(answer.and_then(|answer| judged_api(&answer)))
}

fn post_of(url: &str, token: Option<&str>, body: &Value) -> Result<Post, Failed> {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
    super::post_of(url, &headers, body.to_string())
}

fn judged_webhook(answer: &Answer) -> Result<(), Failed> {
    super::judged("Slack", answer).map_err(|failed| match failed {
        Failed::ForGood(_) => refused(&String::from_utf8_lossy(&answer.body), answer),
        later => later,
    })
}

/// The API says 200 to what it refuses as well.
fn judged_api(answer: &Answer) -> Result<(), Failed> {
    #[derive(Deserialize)]
    struct Said {
        ok: bool,
        #[serde(default)]
        error: String,
    }
    super::judged("Slack", answer)?;
    match serde_json::from_slice::<Said>(&answer.body) {
        Ok(Said { ok: true, .. }) => Ok(()),
        Ok(Said { error, .. }) => Err(refused(&error, answer)),
        Err(_) => Err(Failed::ForNow("Slack's answer cannot be read.".to_owned())),
    }
}

/// Errors of Slack's own that pass.
const PASSING: [&str; 7] = [
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
];

fn refused(error: &str, answer: &Answer) -> Failed {
    // A name such as `channel_not_found`; anything else is not Slack's, and is not repeated.
    let error = error.trim();
    let named = (1..=64).contains(&error.len()) && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !named {
        return Failed::ForGood(format!("Slack answered {}.", answer.status));
    }
    let why = format!("Slack refused the message: {error}.");
    if PASSING.contains(&error) { super::later(why, answer) } else { Failed::ForGood(why) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, retry_after: None, body: body.into() }
    }

    #[test]
    fn what_slack_says_is_understood() {
        assert_eq!(judged_api(&answer(200, r#"{"ok":true,"ts":"1"}"#)), Ok(()));
        assert_eq!(
            judged_api(&answer(200, r#"{"ok":false,"error":"invalid_auth"}"#)),
            Err(Failed::ForGood("Slack refused the message: invalid_auth.".to_owned()))
        );
        for (status, body) in
            [(200, r#"{"ok":false,"error":"ratelimited"}"#), (429, ""), (503, "oops"), (200, "<html>")]
        {
            assert!(matches!(judged_api(&answer(status, body)), Err(Failed::ForNow(_))), "{status} {body}");
        }
        assert_eq!(judged_webhook(&answer(200, "ok")), Ok(()));
        assert_eq!(
            judged_webhook(&answer(404, "no_service")),
            Err(Failed::ForGood("Slack refused the message: no_service.".to_owned()))
        );
        assert_eq!(
            judged_webhook(&answer(403, "<b>https://secret/</b>")),
            Err(Failed::ForGood("Slack answered 403 Forbidden.".to_owned()))
        );
    }
}
