//! Slack, through an incoming webhook or a bot's `chat.postMessage`.

use contract::{Fields, text};
use fields::{Field, Foreign, Import, Tool, config, host_of, mask_url};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Channel, Message, SendContext, SendError,
    send::{Response, post},
};

pub struct Slack;

/// The URL of a proxy or a test server.
const API_URL: &str = "SLACK_API_URL";

config! {
    webhook_url: Option<String> = Field::url("Webhook URL", "웹훅 URL").secret()
        .example("https://hooks.slack.com/services/T/B/x")
        .help("In Slack: Apps, Incoming Webhooks, Add to Slack, choose the channel, copy the URL. Or leave it empty and \
                give the channel and the token of a bot.",
            "Slack의 앱에서 Incoming Webhooks를 추가하고 채널을 고른 뒤 URL을 복사하세요. 비워 두고 아래에 채널과 봇 토큰을 \
                적어도 됩니다.");
    channel: Option<String> = Field::line(80, "Channel", "채널").example("#alerts")
        .valid(is_channel, "must be a channel such as #alerts, or its id", "#alerts 같은 채널 이름이나 ID여야 합니다")
        .help("For a bot: the channel's name or id. Invite the bot to it.",
            "봇을 쓸 때: 채널 이름이나 ID. 봇을 채널에 초대하세요.");
    token: Option<String> = Field::line(300, "Bot token", "봇 토큰").secret().example("xoxb-1-2-3")
        .valid(is_token, "must be a bot's token such as xoxb-..., unless there is a webhook_url",
            "xoxb-... 같은 봇 토큰이어야 합니다 (webhook_url이 없을 때)")
        .help("For a bot, at api.slack.com/apps: give the app the scope chat:write, install it, copy the Bot User OAuth Token.",
            "봇을 쓸 때: api.slack.com/apps에서 앱에 chat:write 권한을 주고 설치한 뒤 Bot User OAuth Token을 복사하세요.");
    domain: Option<String> = Field::line(100, "Workspace", "워크스페이스").example("example")
        .valid(is_domain, "must be the workspace's domain", "워크스페이스 도메인이어야 합니다")
        .help("For people who read the list of notifications.", "알림 목록에서 알아보기 위한 이름입니다.");
}

fn is_domain(domain: &str) -> bool {
    domain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

fn is_channel(channel: &str) -> bool {
    !channel.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn is_token(token: &str) -> bool {
    token.len() >= 10 && token.bytes().all(|b| b.is_ascii_graphic())
}

impl Channel for Slack {
    const KIND: &'static str = "slack";
    const LABEL: (&'static str, &'static str) = ("Slack", "Slack");
    const ABOUT: (&'static str, &'static str) =
        ("To a channel of your workspace.", "워크스페이스의 채널로 보냅니다.");
    const FIELDS: &'static [Field] = FIELDS;
    const FUNCTION: Option<&'static str> = Some("slack-send");
    const SETTINGS: &'static [&'static str] = &[API_URL];
    type Config = Config;

    fn check(config: &Config, fields: &mut Fields) {
        if config.webhook_url.is_some() {
            let alone = config.token.is_none() && config.channel.is_none();
            fields.check(alone, "config.webhook_url", || {
                text("stands alone: leave out channel and token", "channel, token과 함께 쓸 수 없습니다")
            });
            return;
        }
        fields.check(config.channel.is_some(), "config.channel", || {
            text(
                "must be given with a token, unless there is a webhook_url",
                "webhook_url이 없으면 token과 함께 필요합니다",
            )
        });
        fields.check(config.token.is_some(), "config.token", || {
            text(
                "must be given with a channel, unless there is a webhook_url",
                "webhook_url이 없으면 channel과 함께 필요합니다",
            )
        });
    }

    fn recipient(config: &Config) -> String {
        config.channel.clone().unwrap_or_else(|| mask_url(config.webhook_url.as_deref().unwrap_or_default()))
    }

    fn host(config: &Config) -> String {
        config.webhook_url.as_deref().map_or_else(|| "slack.com".to_owned(), host_of)
    }

    async fn send(config: &Config, message: &Message, cx: &SendContext<'_>) -> Result<(), SendError> {
        // Slack's markup gives these three characters a meaning.
        let text = format!("{}\n{}", message.subject, message.text);
        let text =
            text.trim_start_matches('\n').replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        if let Some(url) = &config.webhook_url {
            return judged_webhook(&cx.post_json(Slack::RECEIVER, url, &json!({ "text": text })).await?);
        }
        let api = (cx.settings)(API_URL).unwrap_or_else(|| "https://slack.com/api".to_owned());
        let url = format!("{}/chat.postMessage", api.trim_end_matches('/'));
        let authorization = format!("Bearer {}", config.token.as_deref().unwrap_or_default());
        let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
        let body = json!({ "channel": config.channel, "text": text, "unfurl_links": false });
        judged_api(&post(cx.trusted, Slack::RECEIVER, &url, &headers, body.to_string(), cx.now).await?)
    }

    fn import(foreign: &Foreign<'_>) -> Option<Import> {
        let url = match (foreign.tool, foreign.kind) {
            (Tool::UptimeKuma, "slack") => foreign.text("slackwebhookURL")?,
            (Tool::Gatus, "slack") => foreign.text("webhook-url")?,
            _ => return None,
        };
        let has_channel = foreign.text("slackchannel").is_some();
        Some(
            Import::of(json!({ "webhook_url": url }))
                .differs(has_channel, "the channel is the one that the webhook was made for"),
        )
    }
}

fn judged_webhook(response: &Response) -> Result<(), SendError> {
    response.judged(Slack::RECEIVER).map_err(|error| match error {
        SendError::Permanent(_) => refused(&String::from_utf8_lossy(&response.body), response),
        later => later,
    })
}

/// The API also answers 200 to requests that it refuses.
fn judged_api(response: &Response) -> Result<(), SendError> {
    #[derive(Deserialize)]
    struct Said {
        ok: bool,
        #[serde(default)]
        error: String,
    }
    response.judged(Slack::RECEIVER)?;
    match serde_json::from_slice::<Said>(&response.body) {
        Ok(Said { ok: true, .. }) => Ok(()),
        Ok(Said { error, .. }) => Err(refused(&error, response)),
        Err(_) => Err(SendError::transient("Slack's answer cannot be read.")),
    }
}

/// Slack's transient errors.
const TRANSIENT: [&str; 7] = [
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
];

fn refused(error: &str, response: &Response) -> SendError {
    // A name such as `channel_not_found`; other text is not from Slack, and is not shown.
    let error = error.trim();
    let is_name =
        (1..=64).contains(&error.len()) && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !is_name {
        return SendError::Permanent(format!("Slack answered {}.", response.status));
    }
    let why = format!("Slack refused the message: {error}.");
    if TRANSIENT.contains(&error) { response.later(why) } else { SendError::Permanent(why) }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let status = StatusCode::from_u16(status).expect("a status");
        Response { status, retry_after: None, body: body.into() }
    }

    #[test]
    fn responses_of_slack_are_understood() {
        assert_eq!(judged_api(&response(200, r#"{"ok":true,"ts":"1"}"#)), Ok(()));
        assert_eq!(
            judged_api(&response(200, r#"{"ok":false,"error":"invalid_auth"}"#)),
            Err(SendError::permanent("Slack refused the message: invalid_auth."))
        );
        for (status, body) in
            [(200, r#"{"ok":false,"error":"ratelimited"}"#), (429, ""), (503, "oops"), (200, "<html>")]
        {
            let judged = judged_api(&response(status, body));
            assert!(matches!(judged, Err(SendError::Transient { .. })), "{status} {body}");
        }
        assert_eq!(judged_webhook(&response(200, "ok")), Ok(()));
        assert_eq!(
            judged_webhook(&response(404, "no_service")),
            Err(SendError::permanent("Slack refused the message: no_service."))
        );
        assert_eq!(
            judged_webhook(&response(403, "<b>https://secret/</b>")),
            Err(SendError::permanent("Slack answered 403 Forbidden."))
        );
    }
}
