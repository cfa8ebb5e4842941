//! The recipients of messages: a real mail server, and stand-ins for Slack and a webhook, each behind a proxy
//! that can misbehave.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    listener::Listener,
    proxy::{Mode, Proxy},
    smtp::{self, SmtpServer},
};

pub const NAMES: [&str; 3] = ["email", "slack", "webhook"];

const WORKS: &str = " works again";

pub struct Channels {
    smtp: SmtpServer,
    slack: Listener,
    webhook: Listener,
    proxies: [Proxy; 3],
    heard: Heard,
}

/// Messages by notification kind, change (`down`, `up`, or the state of a region outage) and endpoint name.
pub type Heard = BTreeMap<(&'static str, &'static str, String), Messages>;

/// Each message once, however often it arrived.
#[derive(Default)]
pub struct Messages {
    /// All messages, whatever their answer was.
    pub sent: BTreeSet<String>,
    /// Messages that were answered with 2xx.
    pub taken: BTreeSet<String>,
}

impl Channels {
    pub async fn start(host: &str) -> Result<Self> {
        let smtp = SmtpServer::start().await;
        let slack = Listener::start(200, r#"{"ok":true}"#).await;
        let webhook = Listener::start(200, "").await;
        let to = |url: &str| -> Result<std::net::SocketAddr> {
            Ok(url.split_once("://").context("a URL")?.1.parse()?)
        };
        let proxies = [
            Proxy::start(host, to(&smtp.url)?).await?,
            Proxy::start(host, to(&slack.url)?).await?,
            Proxy::start(host, to(&webhook.url)?).await?,
        ];
        Ok(Self { smtp, slack, webhook, proxies, heard: Heard::new() })
    }

    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SMTP_URL", format!("smtp://{}", self.proxies[0].address)),
            ("SLACK_API_URL", format!("http://{}", self.proxies[1].address)),
        ]
    }

    /// The request bodies that create the notifications.
    pub fn bodies(&self) -> [Value; 3] {
        let webhook = format!("http://{}/hook", self.proxies[2].address);
        [
            json!({"name": "mail", "kind": "email", "config": {"to": ["me@example.com"]}}),
            json!({"name": "slack", "kind": "slack",
                "config": {"domain": "team", "channel": "#ops", "token": "xoxb-secret"}}),
            json!({"name": "hook", "kind": "webhook", "config": {"url": webhook}}),
        ]
    }

    /// The request body that confirms the address, from the link in the email.
    pub fn confirmation(&self) -> Result<Value> {
        let mail = self.smtp.messages().pop().context("a mail with a link")?;
        Ok(json!({"token": smtp::link_token(&mail, "/mail/confirm?token=")}))
    }

    pub fn set(&self, which: usize, mode: Mode) {
        self.proxies[which].set(mode);
    }

    /// Sets the answer of a recipient; `None`: the normal answer.
    pub fn answer(&self, which: usize, status: Option<u16>) {
        if which == 0 {
            return self.smtp.answers(status);
        }
        let (listener, well) = if which == 1 { (&self.slack, r#"{"ok":true}"#) } else { (&self.webhook, "") };
        match status {
            Some(status) => listener.answers(status, "<html>not now</html>"),
            None => listener.answers(200, well),
        }
    }

    /// All messages that any recipient has ever received.
    pub fn heard(&mut self) -> &Heard {
        for mail in self.smtp.messages() {
            let line = |name: &str| mail.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            if !line("Subject: ").starts_with("Confirm your address") {
                self.keep("email", line("Subject: "), line("Message-ID: "), true, &told_late(&mail));
            }
        }
        for asked in self.slack.asked() {
            let text = asked.json()["text"].as_str().unwrap_or_default().to_owned();
            self.keep("slack", &text, &text, is_well(asked.answered), &told_late(&text));
        }
        for asked in self.webhook.asked() {
            let event = asked.json();
            let data = &event["data"];
            let name = data["endpoint_name"].as_str().unwrap_or_default();
            let subject = format!("[{}] {name}:", data["what"].as_str().unwrap_or_default());
            let late = told_late(data["text"].as_str().unwrap_or_default());
            self.keep("webhook", &subject, asked.header("webhook-id"), is_well(asked.answered), &late);
        }
        &self.heard
    }

    /// A message that is not about an endpoint is stored under an empty name, so that it is seen as one too
    /// many.
    fn keep(
        &mut self,
        channel: &'static str,
        subject: &str,
        id: &str,
        is_taken: bool,
        late: &[(&'static str, String)],
    ) {
        let (what, rest) = match subject.split_once("] ") {
            Some(("[down", rest)) => ("down", rest),
            Some(("[up", rest)) => ("up", rest),
            Some(("[region outage" | "[region_outage", rest)) => ("region outage", rest),
            Some(("[recovered" | "[region_recovered", rest)) => ("recovered", rest),
            Some(("[still failing" | "[region_still_failing", rest)) => ("still failing", rest),
            _ => ("other", subject),
        };
        let name = rest.split([':', '\n']).next().unwrap_or_default().trim_end_matches(WORKS).to_owned();
        // `delivery-12-2` is sent when a user retries after `delivery-12-1` failed. The first may still
        // arrive, because its attempt may have been repeated: both count as one message.
        let delivery = id.trim_start_matches('<').strip_prefix("delivery-");
        let id = delivery.and_then(|delivery| delivery.split('-').next()).unwrap_or(id);
        for (what, at) in late.iter().filter(|_| is_taken) {
            let messages = self.heard.entry((channel, what, name.clone())).or_default();
            messages.taken.insert(at.clone());
        }
        let messages = self.heard.entry((channel, what, name)).or_default();
        messages.sent.insert(id.to_owned());
        if is_taken {
            messages.taken.insert(id.to_owned());
        }
    }
}

/// The earlier changes that a message reports because they could not be sent in time: each change and its
/// time.
fn told_late(text: &str) -> Vec<(&'static str, String)> {
    let late = text.lines().filter_map(|line| line.strip_prefix("Not told in time: ")?.split_once(" at "));
    late.map(|(what, rest)| {
        let what = match what {
            "down" => "down",
            "up" => "up",
            "region outage" => "region outage",
            "region recovered" => "recovered",
            _ => "still failing",
        };
        (what, rest.split(" UTC").next().unwrap_or_default().to_owned())
    })
    .collect()
}

fn is_well(status: u16) -> bool {
    (200..300).contains(&status)
}
