//! What each channel needs to know: read, validated, masked.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use runtime::{Error, Fields, Result, Text, input, secret::Random, text};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;
use utoipa::ToSchema;

use crate::mailbox;
use contract::Channel;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = NotificationConfig)]
pub enum Config {
    // The order matters where it is read again: each has a field that the others lack.
    Email(Email),
    Webhook(Webhook),
    Slack(Slack),
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EmailConfig)]
pub struct Email {
    /// One to ten addresses.
    #[schema(example = json!(["a@example.com"]))]
    pub to: Vec<String>,
}

/// Either a bot's `token` and a `channel`, or an incoming webhook's `webhook_url`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SlackConfig)]
pub struct Slack {
    /// The workspace, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookConfig)]
pub struct Webhook {
    #[schema(example = "https://example.com/hook")]
    pub url: String,
    /// As Standard Webhooks wants it: `whsec_` and 24 to 64 bytes in base64. Made when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

const MOST_ADDRESSES: usize = 10;
const LONGEST_URL: usize = 2048;
const SECRET: &str = "whsec_";

impl Config {
    /// Reads what was sent. A masked secret, or a webhook's absent one, stands for the `stored` one.
    pub fn read(channel: Channel, sent: &Value, stored: Option<&Self>) -> Result<Self> {
        let mut config = match channel {
            Channel::Email => Self::Email(parse(sent)?),
            Channel::Slack => Self::Slack(parse(sent)?),
            Channel::Webhook => Self::Webhook(parse(sent)?),
        };
        if let Some(stored) = stored {
            config.keep_secrets(stored);
        }
        let mut fields = Fields::default();
        match &config {
            Self::Email(email) => email.check(&mut fields),
            Self::Slack(slack) => slack.check(&mut fields),
            Self::Webhook(webhook) => webhook.check(&mut fields),
        }
        fields.finish()?;
        Ok(config)
    }

    fn keep_secrets(&mut self, stored: &Self) {
        let keep = |field: &mut Option<String>, masked: &Option<String>, stored: &Option<String>| {
            if field.is_some() && field == masked {
                field.clone_from(stored);
            }
        };
        match (self, stored, stored.masked()) {
            (Self::Slack(new), Self::Slack(old), Self::Slack(masked)) => {
                keep(&mut new.token, &masked.token, &old.token);
                keep(&mut new.webhook_url, &masked.webhook_url, &old.webhook_url);
            }
            (Self::Webhook(new), Self::Webhook(old), Self::Webhook(masked)) => {
                keep(&mut new.secret, &masked.secret, &old.secret);
                new.secret = new.secret.take().or_else(|| old.secret.clone());
            }
            _ => {}
        }
    }

    /// Gives a webhook that has none a secret; says whether it did.
    pub fn complete(&mut self, random: &Random) -> bool {
        match self {
            Self::Webhook(webhook) if webhook.secret.is_none() => {
                webhook.secret = Some(format!("{SECRET}{}", STANDARD.encode(random.bytes::<32>())));
                true
            }
            _ => false,
        }
    }

    /// As it may be shown.
    pub fn masked(&self) -> Self {
        let mut config = self.clone();
        match &mut config {
            Self::Email(_) => {}
            Self::Slack(slack) => {
                slack.token = slack.token.as_deref().map(mask_token);
                slack.webhook_url = slack.webhook_url.as_deref().map(mask_url);
            }
            Self::Webhook(webhook) => webhook.secret = webhook.secret.as_deref().map(mask_token),
        }
        config
    }

    /// Whose messages share [`AT_ONCE`](super::deliveries::queue::AT_ONCE) places. None of email: the mail server is ours.
    pub fn host(&self) -> String {
        let url = match self {
            Self::Email(_) => return String::new(),
            Self::Slack(Slack { webhook_url: Some(url), .. }) | Self::Webhook(Webhook { url, .. }) => url,
            Self::Slack(_) => return "slack.com".to_owned(),
        };
        Url::parse(url).ok().and_then(|url| Some(url.host_str()?.to_owned())).unwrap_or_default()
    }

    /// To whom it goes, for the delivery log: enough to recognise, too little to misuse.
    pub fn recipient(&self) -> String {
        match self {
            Self::Email(email) => email.to.iter().map(|to| mask_address(to)).collect::<Vec<_>>().join(", "),
            Self::Slack(Slack { channel: Some(channel), .. }) => channel.clone(),
            Self::Slack(slack) => mask_url(slack.webhook_url.as_deref().unwrap_or_default()),
            Self::Webhook(webhook) => mask_url(&webhook.url),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.recipient())
    }
}

/// Refusals name the field within `config`.
fn parse<T: DeserializeOwned>(sent: &Value) -> Result<T> {
    #[derive(Deserialize)]
    struct Body<T> {
        config: T,
    }
    if !sent.is_object() {
        return Err(Error::field("config", text("must be a JSON object", "JSON 객체여야 합니다")));
    }
    let body = json!({ "config": sent }).to_string();
    Ok(input::parse::<Body<T>>(body.as_bytes())?.config)
}

impl Email {
    fn check(&self, fields: &mut Fields) {
        fields.check((1..=MOST_ADDRESSES).contains(&self.to.len()), "config.to", || {
            text(
                format!("must hold 1 to {MOST_ADDRESSES} addresses"),
                format!("1개 이상 {MOST_ADDRESSES}개 이하의 주소여야 합니다"),
            )
        });
        for (at, address) in self.to.iter().take(MOST_ADDRESSES).enumerate() {
            fields.check(mailbox::is_address(address), &format!("config.to[{at}]"), || {
                text("must be an email address", "이메일 주소여야 합니다")
            });
        }
    }
}

impl Slack {
    fn check(&self, fields: &mut Fields) {
        if let Some(domain) = &self.domain {
            let ok = domain.len() <= 100
                && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
            fields.check(ok, "config.domain", || {
                text("must be the workspace's domain", "워크스페이스 도메인이어야 합니다")
            });
        }
        if let Some(url) = &self.webhook_url {
            check_url(fields, "config.webhook_url", url);
            let alone = self.token.is_none() && self.channel.is_none();
            fields.check(alone, "config.webhook_url", || {
                text("stands alone: leave out channel and token", "channel, token과 함께 쓸 수 없습니다")
            });
            return;
        }
        let channel = self.channel.as_deref().unwrap_or_default();
        let ok = (1..=80).contains(&channel.chars().count())
            && !channel.chars().any(|c| c.is_control() || c.is_whitespace());
        fields.check(ok, "config.channel", || {
            text("must be a channel such as #alerts, or its id", "#alerts 같은 채널 이름이나 ID여야 합니다")
        });
        let token = self.token.as_deref().unwrap_or_default();
        let ok = (10..=300).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        fields.check(ok, "config.token", || {
            text(
                "must be a bot's token such as xoxb-..., unless there is a webhook_url",
                "xoxb-... 같은 봇 토큰이어야 합니다 (webhook_url이 없을 때)",
            )
        });
    }
}

impl Webhook {
    fn check(&self, fields: &mut Fields) {
        check_url(fields, "config.url", &self.url);
        if let Some(secret) = &self.secret {
            fields.check(secret_bytes(secret).is_some(), "config.secret", || {
                text(
                    "must be whsec_ and 24 to 64 bytes in base64",
                    "whsec_ 뒤에 24~64바이트의 base64여야 합니다",
                )
            });
        }
    }
}

/// The key within a Standard Webhooks secret.
pub fn secret_bytes(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix(SECRET)?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

pub fn check_url(fields: &mut Fields, name: &str, url: &str) {
    if let Some(what) = refusal_of_url(url) {
        fields.add(name, what);
    }
}

fn refusal_of_url(url: &str) -> Option<Text> {
    if url.len() > LONGEST_URL {
        return Some(text(
            format!("must have at most {LONGEST_URL} characters"),
            format!("최대 {LONGEST_URL}자까지 가능합니다"),
        ));
    }
    // The parser would drop control characters and spaces around silently.
    let parsed = if url.chars().any(|c| c.is_control() || c == ' ') { None } else { Url::parse(url).ok() };
    let fits = |u: &Url| matches!(u.scheme(), "http" | "https") && u.has_host() && u.port() != Some(0);
    match parsed.filter(fits) {
        None => Some(text(
            "must be an http or https URL with a host",
            "호스트가 있는 http 또는 https URL이어야 합니다",
        )),
        Some(url) if !url.username().is_empty() || url.password().is_some() => Some(text(
            "must not hold a user name or password",
            "사용자 이름이나 비밀번호를 포함할 수 없습니다",
        )),
        Some(_) => None,
    }
}

/// `xoxb-…1234`
fn mask_token(token: &str) -> String {
    // ASCII, by validation; taken by characters all the same.
    let prefix: String = match token.find(['-', '_']) {
        Some(at) if at < 6 => token.chars().take(at + 1).collect(),
        _ => String::new(),
    };
    let shown = token.chars().count().saturating_sub(prefix.chars().count());
    let last: String =
        if shown >= 12 { token.chars().skip(token.chars().count() - 4).collect() } else { String::new() };
    format!("{prefix}…{last}")
}

/// `https://hooks.slack.com/…`
fn mask_url(url: &str) -> String {
    let host = Url::parse(url).map(|u| u.origin().ascii_serialization());
    format!("{}/…", host.unwrap_or_default())
}

/// `m…@example.com`
pub fn mask_address(address: &str) -> String {
    let (name, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    format!("{}…@{domain}", name.chars().next().unwrap_or('…'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(channel: Channel, config: Value) -> String {
        Config::read(channel, &config, None).expect_err(&config.to_string()).to_string()
    }

    fn accepted(channel: Channel, config: Value) -> Config {
        Config::read(channel, &config, None).unwrap_or_else(|e| panic!("{config}: {e}"))
    }

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn what_is_wrong_is_named() {
        use Channel::{Email, Slack, Webhook};
        let many: Vec<_> = (0..11).map(|at| format!("a{at}@example.com")).collect();
        for (channel, config, field) in [
            (Email, json!([]), "config"),
            (Email, json!({}), "config.to"),
            (Email, json!({"to": []}), "config.to"),
            (Email, json!({"to": "a@b.c"}), "config.to"),
            (Email, json!({"to": many}), "config.to"),
            (Email, json!({"to": ["a@example.com", "Bob <a@example.com>"]}), "config.to[1]"),
            (Email, json!({"to": ["a@example.com\r\nBcc: b@example.com"]}), "config.to[0]"),
            (Email, json!({"to": ["a@example.com"], "cc": []}), "config.cc"),
            (Slack, json!({}), "config.channel"),
            (Slack, json!({"channel": "#a", "token": "xoxb-…1234"}), "config.token"),
            (Slack, json!({"channel": "#a", "token": "xoxb-1\r\nX: y-abcdef"}), "config.token"),
            (Slack, json!({"channel": "", "token": "xoxb-12345678"}), "config.channel"),
            (Slack, json!({"webhook_url": "ftp://x/"}), "config.webhook_url"),
            (Slack, json!({"webhook_url": "https://x/", "token": "xoxb-12345678"}), "config.webhook_url"),
            (Slack, json!({"domain": "a b", "webhook_url": "https://x/"}), "config.domain"),
            (Webhook, json!({}), "config.url"),
            (Webhook, json!({"url": "file:///etc/passwd"}), "config.url"),
            (Webhook, json!({"url": "http://"}), "config.url"),
            (Webhook, json!({"url": "http://a:b@example.com/"}), "config.url"),
            (Webhook, json!({"url": "http://example.com:99999/"}), "config.url"),
            (Webhook, json!({"url": "http://exa\nmple.com/"}), "config.url"),
            (Webhook, json!({"url": format!("http://example.com/{}", "a".repeat(2048))}), "config.url"),
            (Webhook, json!({"url": "http://example.com/", "secret": "mine"}), "config.secret"),
            (Webhook, json!({"url": "http://example.com/", "secret": "whsec_AAAA"}), "config.secret"),
        ] {
            let error = refused(channel, config.clone());
            assert!(error.contains(&format!("; {field}: ")), "{config}: {error}");
        }
    }

    #[test]
    fn secrets_are_masked_and_kept_when_they_come_back_masked() {
        let stored = accepted(
            Channel::Slack,
            json!({"domain": "acme", "channel": "#ops", "token": "xoxb-111-222-secret9876"}),
        );
        let masked = serde_json::to_value(stored.masked()).expect("JSON");
        assert_eq!(masked["token"], "xoxb-…9876");
        assert_eq!(Config::read(Channel::Slack, &masked, Some(&stored)).expect("reads"), stored);
        assert!(!format!("{stored:?}").contains("secret"));

        let stored =
            accepted(Channel::Slack, json!({"webhook_url": "https://hooks.slack.com/services/T/B/x"}));
        let masked = serde_json::to_value(stored.masked()).expect("JSON");
        assert_eq!(masked["webhook_url"], "https://hooks.slack.com/…");
        assert_eq!(Config::read(Channel::Slack, &masked, Some(&stored)).expect("reads"), stored);

        let stored = accepted(Channel::Webhook, json!({"url": "https://example.com/a", "secret": SECRET}));
        let masked = serde_json::to_value(stored.masked()).expect("JSON");
        assert_eq!(masked["secret"], "whsec_…LaSw");
        let moved = json!({"url": "https://example.com/b", "secret": masked["secret"]});
        for sent in [moved, json!({"url": "https://example.com/b"})] {
            let read = Config::read(Channel::Webhook, &sent, Some(&stored)).expect("reads");
            assert_eq!(
                read,
                accepted(Channel::Webhook, json!({"url": "https://example.com/b", "secret": SECRET}))
            );
        }
        assert!(Config::read(Channel::Webhook, &masked, None).is_err(), "there is nothing to keep");
    }

    #[test]
    fn a_short_token_shows_nothing() {
        assert_eq!(mask_token("xoxb-12345"), "xoxb-…");
        assert_eq!(mask_token("0123456789"), "…");
        assert_eq!(mask_token("ééééééééééééé"), "…éééé");
    }

    #[test]
    fn a_secret_is_made_where_there_is_none() {
        let mut config = accepted(Channel::Webhook, json!({"url": "https://example.com/"}));
        assert!(config.complete(&Random::seeded(1)));
        assert!(!config.complete(&Random::seeded(2)));
        let Config::Webhook(Webhook { secret: Some(secret), .. }) = &config else { panic!("a secret") };
        assert_eq!(secret_bytes(secret).map(|key| key.len()), Some(32));
        let json = serde_json::to_string(&config).expect("JSON");
        assert_eq!(serde_json::from_str::<Config>(&json).expect("reads"), config);
    }

    #[test]
    fn a_recipient_is_recognised() {
        let email = accepted(Channel::Email, json!({"to": ["mary@example.com", "bob@example.org"]}));
        assert_eq!(email.recipient(), "m…@example.com, b…@example.org");
        let webhook = accepted(Channel::Webhook, json!({"url": "https://example.com:8443/secret"}));
        assert_eq!(webhook.recipient(), "https://example.com:8443/…");
    }
}
