//! Discord, through a channel's webhook:
//! <https://discord.com/developers/docs/resources/webhook#execute-webhook>.

use contract::AlertKind;
use fields::{Field, Foreign, Import, Tool, config, host_of, mask_url};
use serde_json::{Value, json};

use crate::{Channel, Message, SendContext, SendError};

pub struct Discord;

/// Limits of an embed, from Discord's documentation.
const MAX_TITLE_LEN: usize = 256;
const MAX_DESCRIPTION_LEN: usize = 4096;

config! {
    webhook_url: String = Field::url("Webhook URL", "웹훅 URL").secret()
        .example("https://discord.com/api/webhooks/1/x")
        .help("Server Settings, Integrations, Webhooks: New Webhook, Copy Webhook URL.",
            "서버 설정 > 연동 > 웹후크에서 새 웹후크를 만들고 URL을 복사하세요.");
}

impl Channel for Discord {
    const KIND: &'static str = "discord";
    const LABEL: (&'static str, &'static str) = ("Discord", "Discord");
    const ABOUT: (&'static str, &'static str) = ("To a channel of your server.", "서버의 채널로 보냅니다.");
    const FIELDS: &'static [Field] = FIELDS;
    type Config = Config;

    fn recipient(config: &Config) -> String {
        mask_url(&config.webhook_url)
    }

    fn host(config: &Config) -> String {
        host_of(&config.webhook_url)
    }

    async fn send(config: &Config, message: &Message, cx: &SendContext<'_>) -> Result<(), SendError> {
        let response = cx.post_json(Discord::RECEIVER, &config.webhook_url, &body(message, cx)).await?;
        response.judged(Discord::RECEIVER).map_err(|error| match error {
            SendError::Permanent(why) => SendError::Permanent(said(&response.body).unwrap_or(why)),
            later => later,
        })
    }

    fn import(foreign: &Foreign<'_>) -> Option<Import> {
        let url = match (foreign.tool, foreign.kind) {
            (Tool::UptimeKuma, "discord") => foreign.text("discordWebhookUrl")?,
            (Tool::Gatus, "discord") => foreign.text("webhook-url")?,
            _ => return None,
        };
        Some(Import::of(json!({ "webhook_url": url })))
    }
}

fn body(message: &Message, cx: &SendContext<'_>) -> Value {
    const RED: u32 = 0xd9_30_25;
    const GREEN: u32 = 0x18_80_38;
    const AMBER: u32 = 0xf9_ab_00;
    const GREY: u32 = 0x5f_63_68;
    let color = match cx.alert.map(|alert| alert.what) {
        Some(AlertKind::Down | AlertKind::RegionOutage | AlertKind::RegionStillFailing) => RED,
        Some(AlertKind::Degraded) => AMBER,
        Some(AlertKind::Up | AlertKind::NotDegraded | AlertKind::RegionRecovered) => GREEN,
        _ => GREY,
    };
    // Discord does not accept a link that only works on this machine.
    let link = cx.alert.map(|alert| &alert.link).filter(|link| link.starts_with("https://"));
    let embed = json!({
        "title": shortened(&escaped(&message.subject), MAX_TITLE_LEN),
        "description": shortened(&escaped(&message.text), MAX_DESCRIPTION_LEN),
        "url": link, "color": color, "timestamp": cx.time,
    });
    // Never mentions anyone, whatever names contain.
    json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } })
}

/// Escapes Markdown in names and errors; keeps plain URLs whole, so that they stay links.
fn escaped(text: &str) -> String {
    const MARKUP: &str = r"\*_~`|>[]()#<";
    let word = |word: &str| {
        let is_url = ["http://", "https://"].iter().any(|scheme| word.starts_with(scheme))
            && !word.contains(|c| MARKUP.replace(['_', '~', '#'], "").contains(c));
        let escape = |c| !is_url && MARKUP.contains(c);
        word.chars().flat_map(|c| escape(c).then_some('\\').into_iter().chain([c])).collect::<String>()
    };
    text.split_inclusive(char::is_whitespace).map(word).collect()
}

fn shortened(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

/// Uses only the error code: the text is not trusted, because the URL may belong to another server.
fn said(body: &[u8]) -> Option<String> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let why = match said["code"].as_u64()? {
        10015 => "unknown webhook (code 10015)".to_owned(),
        50027 => "invalid webhook token (code 50027)".to_owned(),
        code => format!("code {code}"),
    };
    Some(format!("Discord refused the message: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_keeps_urls_and_shows_markdown_as_it_is() {
        let text = "[shop](https://evil.test/) is *down*\nDetails: https://pongpong.test/a_b\n";
        let shown = r"\[shop\]\(https://evil.test/\) is \*down\*";
        assert_eq!(escaped(text), format!("{shown}\nDetails: https://pongpong.test/a_b\n"));
        let sly = "https://a\u{a0}[x](https://evil.test) http://<[x](https://evil.test)";
        let shown = "https://a\u{a0}\\[x\\]\\(https://evil.test\\) http://\\<\\[x\\]\\(https://evil.test\\)";
        assert_eq!(escaped(sly), shown);
    }

    #[test]
    fn said_is_what_discord_says() {
        let refused = said(br#"{"message": "Unknown Webhook", "code": 10015}"#);
        assert_eq!(refused.as_deref(), Some("Discord refused the message: unknown webhook (code 10015)."));
        assert_eq!(said(b"<html>"), None);
    }
}
