//! Channels that are told when an endpoint goes down and when it is back; what was sent to them.

use askama::Template;
use axum::extract::Query;
use futures::join;
use http::{Method, StatusCode};
use runtime::List;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    api::{Api, Refusal},
    form::{Choice, Endpoints, Id, Scope, Wrong, page_number},
    page::{Page, Section},
    parts::Pages,
    visitor::{Posted, Response, User, Visitor},
};
use crate::{
    notifications::{
        Notification,
        addresses::State,
        channel_of,
        deliveries::list::{Delivery, DeliveryStatus},
    },
    senders::{Done, email},
};
use contract::{AlertKind, Channel};

const API: &str = "/notification-service/v1/notifications";

/// Whether an outage would reach anybody, as far as pages can know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Alerting {
    Unknown,
    /// No channel is on.
    Nobody,
    /// This one is on, and none has taken a message yet.
    Untested(i64),
    Works,
}

impl Alerting {
    /// Of one endpoint, or of all.
    pub async fn of(api: &Api, endpoint_id: Option<i64>) -> Self {
        let channels = api.get::<List<Notification>>(&format!("{API}?per_page=100")).await;
        let Ok(List { items, .. }) = channels else { return Self::Unknown };
        let covers = |channel: &&Notification| match (&channel.endpoint_ids, endpoint_id) {
            (Some(ids), Some(id)) => ids.contains(&id),
            _ => true,
        };
        let on: Vec<_> = items.iter().filter(|channel| channel.enabled).filter(covers).collect();
        match on.first() {
            None => Self::Nobody,
            Some(_) if on.iter().any(|channel| channel.tested_at.is_some()) => Self::Works,
            Some(first) => Self::Untested(first.id),
        }
    }

    pub fn untested(self) -> Option<i64> {
        if let Self::Untested(id) = self { Some(id) } else { None }
    }

    pub fn is_nobody(self) -> bool {
        self == Self::Nobody
    }
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct Overview {
    page: Page,
    channels: Vec<Notification>,
    log: Log,
}

/// What was sent, with what outcome.
struct Log {
    deliveries: Vec<Delivery>,
    /// The names of the channels, where the log is of all of them.
    names: Vec<(i64, String)>,
    pager: Pages,
    status: &'static str,
    /// The page that it is on.
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Shown {
    status: String,
    page: String,
}

impl Log {
    const STATUSES: [&str; 4] = ["failed", "pending", "delivered", "superseded"];

    async fn of(visitor: &Visitor, shown: &Shown, id: Option<i64>) -> Result<Self, Refusal> {
        let status = Self::STATUSES.into_iter().find(|status| *status == shown.status).unwrap_or_default();
        let mut query = format!("page={}", page_number(&shown.page));
        if !status.is_empty() {
            query += &format!("&status={status}");
        }
        let path = id.map_or("/notifications".to_owned(), |id| {
            query += &format!("&notification_id={id}");
            format!("/notifications/{id}")
        });
        let list: List<Delivery> =
            visitor.api.get(&format!("/notification-service/v1/deliveries?{query}")).await?;
        let pager = Pages::of(&list.page, |n| format!("{path}?status={status}&page={n}"));
        Ok(Self { deliveries: list.items, names: Vec::new(), pager, status, path })
    }

    fn name(&self, id: i64) -> &str {
        self.names.iter().find(|(of, _)| *of == id).map_or("", |(_, name)| name)
    }

    fn is(&self, status: &str) -> bool {
        self.status == status
    }
}

/// The status's name: what `deliveries.html` goes by.
fn state(delivery: &Delivery) -> &'static str {
    match delivery.status {
        DeliveryStatus::Pending => "pending",
        DeliveryStatus::Delivered => "delivered",
        DeliveryStatus::Failed => "failed",
        DeliveryStatus::Superseded => "superseded",
    }
}

/// What is being sent is not sent again, nor what others took the place of.
fn may_retry(delivery: &Delivery) -> bool {
    delivery.status == DeliveryStatus::Failed || delivery.next_try_at.is_some()
}

/// It was written to a file, for there is no mail server.
fn is_written(delivery: &Delivery) -> bool {
    delivery.status == DeliveryStatus::Delivered
        && delivery.error.as_ref().is_some_and(|error| error.contains(email::WRITTEN_TO_FILE))
}

fn is_down(delivery: &Delivery) -> bool {
    delivery.alert.what == AlertKind::Down
}

/// What a message says that is not about one endpoint.
fn of_several(page: &Page, delivery: &Delivery) -> Option<String> {
    let text = match delivery.alert.what {
        AlertKind::LocationSuspected => page.t("Suspected", "의심됨"),
        AlertKind::LocationWorks => page.t("Works again", "복구됨"),
        AlertKind::LocationStillFails => page.t("Still fails", "계속 실패"),
        AlertKind::Untold => {
            let count = delivery.alert.untold;
            let english =
                if count == 1 { "1 more change".to_owned() } else { format!("{count} more changes") };
            return Some(page.t(&english, &format!("변경 {count}건 더")).to_owned());
        }
        AlertKind::Down | AlertKind::Up | AlertKind::Test | AlertKind::Other => return None,
    };
    Some(text.to_owned())
}

/// Where it goes, of a channel's config as it is shown.
fn target(config: &Value) -> String {
    let text = |name: &str| config[name].as_str().map(str::to_owned);
    let to =
        config["to"].as_array().map(|to| to.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
    to.or_else(|| text("channel")).or_else(|| text("webhook_url")).or_else(|| text("url")).unwrap_or_default()
}

/// An email channel's addresses that get nothing, and why.
fn silent<'a>(page: &'a Page, channel: &'a Notification) -> Vec<(&'a str, &'a str)> {
    let why = |state: &State| match state {
        State::Confirmed => None,
        State::Unconfirmed => Some(page.t("not confirmed", "확인되지 않음")),
        State::Unsubscribed => Some(page.t("unsubscribed", "수신 거부됨")),
    };
    let all = channel.addresses.iter().flatten();
    all.filter_map(|(address, state)| Some((address.as_str(), why(state)?))).collect()
}

fn with_warning(what: &str, warning: Option<&str>) -> String {
    warning.map_or_else(|| what.to_owned(), |warning| format!("{what} {warning}"))
}

pub async fn list(User(visitor): User, Query(shown): Query<Shown>) -> Response {
    let path = format!("{API}?per_page=100");
    let (channels, log) =
        join!(visitor.api.get::<List<Notification>>(&path), Log::of(&visitor, &shown, None));
    match channels.and_then(|channels| Ok((channels.items, log?))) {
        Ok((channels, mut log)) => {
            log.names = channels.iter().map(|channel| (channel.id, channel.name.clone())).collect();
            let page = visitor.page(Section::Notifications, visitor.t("Notifications", "알림"));
            visitor.ok(&Overview { page, channels, log })
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}

#[derive(Template)]
#[template(path = "notification.html")]
struct Form {
    page: Page,
    /// None: it is still to be chosen.
    channel: Option<Channel>,
    /// What is there, when it is not new.
    saved: Option<Notification>,
    sent: Sent,
    wrong: Wrong,
    endpoints: Endpoints,
    choices: Vec<Choice>,
    /// What came of a test.
    tested: Option<Done>,
    /// A webhook's, which is shown once.
    secret: Option<String>,
    log: Option<Log>,
}

/// Fields as the API names them.
const FIELDS: [&str; 9] = [
    "name",
    "endpoint_ids",
    "config.to",
    "config.webhook_url",
    "config.channel",
    "config.token",
    "config.domain",
    "config.url",
    "config.secret",
];

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    #[default]
    Save,
    Find,
    Test,
    Enable,
    Disable,
    Delete,
}

/// What the form sends.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    act: Act,
    once: String,
    channel: String,
    name: String,
    to: String,
    /// How Slack is reached: `webhook` or `token`.
    way: String,
    webhook_url: String,
    slack_channel: String,
    token: String,
    domain: String,
    url: String,
    secret: String,
    scope: String,
    endpoint_ids: Vec<i64>,
    find: String,
    found: String,
    send_open_incidents: bool,
}

impl Sent {
    fn of(saved: &Notification) -> Self {
        let text = |name: &str| saved.config[name].as_str().unwrap_or_default().to_owned();
        let to = saved.config["to"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Self {
            channel: saved.channel.as_str().to_owned(),
            name: saved.name.clone(),
            to: to.collect::<Vec<_>>().join("\n"),
            way: if saved.config["token"].is_string() { "token" } else { "webhook" }.to_owned(),
            webhook_url: text("webhook_url"),
            slack_channel: text("channel"),
            token: text("token"),
            domain: text("domain"),
            url: text("url"),
            secret: text("secret"),
            scope: if saved.endpoint_ids.is_some() { "some" } else { "all" }.to_owned(),
            endpoint_ids: saved.endpoint_ids.clone().unwrap_or_default(),
            ..Self::default()
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { scope: &self.scope, endpoint_ids: &self.endpoint_ids, find: &self.find, found: &self.found }
    }

    fn uses_token(&self) -> bool {
        self.way == "token"
    }

    /// As the API takes it; a secret that is still masked stays what it was.
    fn config(&self, channel: Channel) -> Value {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let domain = given(&self.domain);
        match channel {
            Channel::Email => {
                let to = self.to.split([',', ';', ' ', '\n', '\r']).filter(|to| !to.is_empty());
                json!({"to": to.collect::<Vec<_>>()})
            }
            Channel::Slack if self.uses_token() => {
                json!({"domain": domain, "channel": given(&self.slack_channel), "token": given(&self.token)})
            }
            Channel::Slack => json!({"domain": domain, "webhook_url": self.webhook_url.trim()}),
            Channel::Webhook => json!({"url": self.url.trim(), "secret": given(&self.secret)}),
        }
    }

    fn body(&self, channel: Channel) -> Value {
        json!({
            "name": self.name.trim(), "channel": channel, "config": self.config(channel),
            "endpoint_ids": self.scope().ids(),
        })
    }
}

impl Form {
    async fn of(
        visitor: &Visitor,
        channel: Option<Channel>,
        sent: Sent,
        wrong: Wrong,
    ) -> Result<Self, Refusal> {
        let chosen = &sent.endpoint_ids;
        let endpoints = Endpoints::of(&visitor.api, sent.find.trim(), chosen).await?;
        Ok(Self {
            page: visitor.page(Section::Notifications, visitor.t("Add a channel", "채널 추가")),
            channel,
            saved: None,
            choices: endpoints.choices(chosen),
            sent,
            wrong,
            endpoints,
            tested: None,
            secret: None,
            log: None,
        })
    }

    fn is(&self, channel: &str) -> bool {
        self.channel.is_some_and(|own| own.as_str() == channel)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct New {
    channel: String,
}

pub async fn blank(User(visitor): User, Query(new): Query<New>) -> Response {
    let channel = channel_of(&new.channel).ok();
    // What most use.
    let sent = Sent { way: "webhook".to_owned(), channel: new.channel, ..Sent::default() };
    again(&visitor, channel, sent, Wrong::default()).await
}

async fn again(visitor: &Visitor, channel: Option<Channel>, sent: Sent, wrong: Wrong) -> Response {
    let status = wrong.status();
    match Form::of(visitor, channel, sent, wrong).await {
        Ok(form) => visitor.show(status, &form),
        Err(refusal) => visitor.refused(&refusal),
    }
}

pub async fn create(User(visitor): User, Posted(sent): Posted<Sent>) -> Response {
    let Ok(channel) = channel_of(&sent.channel) else { return visitor.go("/notifications/new") };
    if sent.act == Act::Find || sent.scope().is_search() {
        return again(&visitor, Some(channel), sent, Wrong::default()).await;
    }
    if let Err(wrong) = sent.scope().check(&visitor) {
        return again(&visitor, Some(channel), sent, wrong).await;
    }
    let mut body = sent.body(channel);
    body["send_open_incidents"] = json!(sent.send_open_incidents);
    let made = visitor.api.send(Method::POST, API, &body, Some(&sent.once)).await;
    match made {
        Ok(made) => created(&visitor, channel, made, &sent).await,
        Err(refusal) => match Wrong::of(refusal, &FIELDS) {
            Ok(wrong) => again(&visitor, Some(channel), sent, wrong).await,
            Err(refusal) => visitor.refused(&refusal),
        },
    }
}

async fn created(visitor: &Visitor, channel: Channel, made: Notification, sent: &Sent) -> Response {
    let is_silent = made.addresses.iter().flatten().any(|(_, state)| *state != State::Confirmed);
    let what = if is_silent {
        visitor.t(
            "The channel is added. New addresses get a mail with a link that confirms them; alerts go there after that.",
            "채널을 추가했습니다. 새 주소로 확인 링크를 보냅니다. 확인한 뒤부터 알림을 보냅니다.",
        )
    } else {
        visitor.t(
            "The channel is added. Send a test to see that it arrives.",
            "채널을 추가했습니다. 테스트를 보내 도착하는지 확인해 보세요.",
        )
    };
    let what = &with_warning(what, made.warning.as_deref());
    let id = made.id;
    if channel != Channel::Webhook || !sent.secret.trim().is_empty() {
        return visitor.go_saying(&format!("/notifications/{id}"), what);
    }
    // The one time that it can be seen.
    let secret = made.config["secret"].as_str().map(str::to_owned);
    match existing(visitor, id, &Shown::default()).await {
        Ok(mut form) => {
            form.secret = secret;
            form.page.flash = Some(what.to_owned());
            visitor.show(StatusCode::CREATED, &form)
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}

pub async fn show(User(visitor): User, Id([id]): Id, Query(asked): Query<Shown>) -> Response {
    match existing(&visitor, id, &asked).await {
        Ok(form) => visitor.ok(&Form { tested: visitor.outcome(), ..form }),
        Err(refusal) => visitor.refused(&refusal),
    }
}

/// A channel that is there: to be changed, with what was sent to it.
async fn existing(visitor: &Visitor, id: i64, asked: &Shown) -> Result<Form, Refusal> {
    let saved: Notification = visitor.api.get(&format!("{API}/{id}")).await?;
    let form = Form::of(visitor, Some(saved.channel), Sent::of(&saved), Wrong::default());
    let (form, log) = join!(form, Log::of(visitor, asked, Some(id)));
    let form = form?;
    let page = Page { title: saved.name.clone(), ..form.page };
    Ok(Form { page, saved: Some(saved), log: Some(log?), ..form })
}

pub async fn change(User(visitor): User, Id([id]): Id, Posted(sent): Posted<Sent>) -> Response {
    match act(&visitor, id, sent).await {
        Ok(response) => response,
        Err(refusal) => visitor.refused(&refusal),
    }
}

async fn act(visitor: &Visitor, id: i64, sent: Sent) -> Result<Response, Refusal> {
    let path = format!("{API}/{id}");
    let own = format!("/notifications/{id}");
    match sent.act {
        Act::Test => {
            // A cookie holds 4 kB.
            const MAX_MESSAGE_CHARS: usize = 500;
            let Done { status, message } = visitor.api.post(&format!("{path}/test"), &json!({})).await?;
            let message = message.map(|message| message.chars().take(MAX_MESSAGE_CHARS).collect());
            Ok(visitor.go_showing(&own, &Done { status, message }))
        }
        Act::Enable | Act::Disable => {
            let enabled = sent.act == Act::Enable;
            visitor.api.patch::<_, IgnoredAny>(&path, &json!({"enabled": enabled})).await?;
            let what = if enabled {
                visitor.t("The channel is on.", "채널을 켰습니다.")
            } else {
                visitor
                    .t("The channel is off: it is told nothing.", "채널을 껐습니다. 알림을 보내지 않습니다.")
            };
            Ok(visitor.go_saying("/notifications", what))
        }
        Act::Delete => {
            visitor.api.delete(&path).await?;
            Ok(visitor
                .go_saying("/notifications", visitor.t("The channel is deleted.", "채널을 삭제했습니다.")))
        }
        Act::Save | Act::Find => save(visitor, id, sent, &path, &own).await,
    }
}

async fn save(visitor: &Visitor, id: i64, sent: Sent, path: &str, own: &str) -> Result<Response, Refusal> {
    let form = existing(visitor, id, &Shown::default()).await?;
    let Some(channel) = form.channel else { return Ok(visitor.go(own)) };
    let wrong = if sent.act == Act::Find || sent.scope().is_search() {
        Wrong::default()
    } else if let Err(wrong) = sent.scope().check(visitor) {
        wrong
    } else {
        match visitor.api.patch::<_, Notification>(path, &sent.body(channel)).await {
            Ok(saved) => {
                let what = with_warning(visitor.t("Saved.", "저장했습니다."), saved.warning.as_deref());
                return Ok(visitor.go_saying(own, &what));
            }
            Err(refusal) => Wrong::of(refusal, &FIELDS)?,
        }
    };
    let again = Form::of(visitor, Some(channel), sent, wrong).await?;
    let status = again.wrong.status();
    let form = Form { page: form.page, saved: form.saved, log: form.log, ..again };
    Ok(visitor.show(status, &form))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Next {
    next: String,
}

pub async fn retry(User(visitor): User, Id([id]): Id, Posted(Next { next }): Posted<Next>) -> Response {
    let path = format!("/notification-service/v1/deliveries/{id}/retry");
    let next = if next.is_empty() { "/notifications" } else { &next };
    match visitor.api.post::<_, IgnoredAny>(&path, &json!({})).await {
        Ok(_) => visitor.go_saying(next, visitor.t("It is sent once more.", "다시 보내고 있습니다.")),
        Err(refusal) if refusal.status == StatusCode::CONFLICT => visitor.go_saying(next, &refusal.message),
        Err(refusal) => visitor.refused(&refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_becomes_what_the_api_takes() {
        let sent = Sent {
            to: "a@example.com, b@example.com\r\n c@example.com;".into(),
            way: "token".into(),
            slack_channel: " #ops ".into(),
            token: "xoxb-…9876".into(),
            webhook_url: "https://hooks.slack.com/…".into(),
            url: "https://example.com/hook".into(),
            ..Sent::default()
        };
        let to = json!({"to": ["a@example.com", "b@example.com", "c@example.com"]});
        assert_eq!(sent.config(Channel::Email), to);
        let token = json!({"domain": null, "channel": "#ops", "token": "xoxb-…9876"});
        assert_eq!(sent.config(Channel::Slack), token);
        let url = json!({"url": "https://example.com/hook", "secret": null});
        assert_eq!(sent.config(Channel::Webhook), url);
        let webhook = Sent { way: "webhook".into(), ..sent };
        assert_eq!(
            webhook.config(Channel::Slack),
            json!({"domain": null, "webhook_url": "https://hooks.slack.com/…"})
        );
    }

    #[test]
    fn where_a_channel_leads() {
        assert_eq!(target(&json!({"to": ["a@b.co", "c@d.co"]})), "a@b.co, c@d.co");
        assert_eq!(target(&json!({"channel": "#ops", "token": "…"})), "#ops");
        assert_eq!(target(&json!({"url": "https://x/"})), "https://x/");
    }
}
