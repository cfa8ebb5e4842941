//! Notifications: list, form and test; and the log of their deliveries.

use askama::Template;
use axum::{extract::Query, response::Response};
use channels::{CHANNELS, Kind};
use futures::join;
use http::{Method, StatusCode};
use runtime::List;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    api::{Api, Refusal},
    config::{self, ConfigForm},
    form::{Choice, Endpoints, Id, Scope, Wrong, page_number},
    page::{Page, Section},
    parts::Pages,
    visitor::{Posted, User, Visitor},
};
use crate::notifications::{
    addresses::State,
    deliveries::list::{Delivery, DeliveryStatus},
    notification::Notification,
    senders::{Done, email},
};
use crate::words;
use contract::{AlertKind, Text};

const API: &str = "/notification-service/v1/notifications";

/// Whether an incident would reach anybody, as far as pages can know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Alerting {
    Unknown,
    /// No notification is enabled.
    Nobody,
    /// This one is enabled, but none has delivered a message yet.
    Untested(i64),
    Works,
}

impl Alerting {
    /// For one endpoint, or for all.
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

/// The delivery log.
struct Log {
    deliveries: Vec<Delivery>,
    /// The names of the notifications, if the log covers all of them.
    names: Vec<(i64, String)>,
    pager: Pages,
    status: &'static str,
    /// The path of the page that shows it.
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

/// The status's name, used by `deliveries.html`.
fn state(delivery: &Delivery) -> &'static str {
    match delivery.status {
        DeliveryStatus::Pending => "pending",
        DeliveryStatus::Delivered => "delivered",
        DeliveryStatus::Failed => "failed",
        DeliveryStatus::Superseded => "superseded",
    }
}

/// A message that is being sent, or was superseded, is not sent again.
fn may_retry(delivery: &Delivery) -> bool {
    delivery.status == DeliveryStatus::Failed || delivery.next_try_at.is_some()
}

/// Written to a file, because no mail server is set.
fn is_written(delivery: &Delivery) -> bool {
    delivery.status == DeliveryStatus::Delivered
        && delivery.error.as_ref().is_some_and(|error| error.contains(email::WRITTEN_TO_FILE))
}

/// The status of the endpoint that the message reports.
fn status(delivery: &Delivery) -> &'static str {
    match delivery.alert.what {
        AlertKind::Down => "down",
        AlertKind::Degraded => "degraded",
        _ => "up",
    }
}

/// The text of a message that is not about one endpoint.
fn of_several(page: &Page, delivery: &Delivery) -> Option<String> {
    let text = match delivery.alert.what {
        AlertKind::RegionOutage => page.t(&words::REGION_OUTAGE),
        AlertKind::RegionRecovered => page.t(&words::RECOVERED),
        AlertKind::RegionStillFailing => page.t(&words::STILL_FAILING),
        AlertKind::Untold => {
            return Some(match delivery.alert.untold {
                1 => words::ONE_MORE_CHANGE.of(page.language).to_owned(),
                count => words::more_changes(count).of(page.language),
            });
        }
        AlertKind::Down
        | AlertKind::Up
        | AlertKind::Degraded
        | AlertKind::NotDegraded
        | AlertKind::Test
        | AlertKind::Other => return None,
    };
    Some(text.to_owned())
}

/// Where messages go: the first of the fields that has a value.
fn target(notification: &Notification) -> String {
    let fields = Kind::find(&notification.kind).map(|kind| kind.fields).unwrap_or_default();
    let values = fields.iter().map(|field| config::shown(field, &notification.config));
    values.into_iter().find(|value| !value.is_empty()).unwrap_or_default().replace('\n', ", ")
}

/// The kind's label in the page's language.
fn kind_label<'a>(page: &'a Page, name: &'a str) -> &'a str {
    Kind::find(name).map_or(name, |kind| page.pair(&kind.label))
}

/// The addresses of an email notification that get no messages, and why.
fn silent<'a>(page: &'a Page, channel: &'a Notification) -> Vec<(&'a str, &'a str)> {
    let why = |state: &State| match state {
        State::Confirmed => None,
        State::Unconfirmed => Some(page.t(&words::NOT_CONFIRMED)),
        State::Unsubscribed => Some(page.t(&words::UNSUBSCRIBED)),
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
            let page = visitor.page(Section::Notifications, visitor.t(&words::NOTIFICATIONS));
            visitor.ok(&Overview { page, channels, log })
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}

#[derive(Template)]
#[template(path = "notification.html")]
struct Form {
    page: Page,
    /// `None`: not chosen yet.
    kind: Option<&'static Kind>,
    /// The saved notification, unless it is new.
    saved: Option<Notification>,
    sent: Sent,
    wrong: Wrong,
    endpoints: Endpoints,
    choices: Vec<Choice>,
    /// The result of a test.
    tested: Option<Done>,
    /// Generated secrets, which are shown once: label and value.
    once: Vec<(String, String)>,
    log: Option<Log>,
}

fn shown_fields(kind: &Kind) -> Vec<String> {
    let own = kind.fields.iter().map(|field| format!("config.{}", field.name));
    ["name", "endpoint_ids"].into_iter().map(str::to_owned).chain(own).collect()
}

/// Assigns the errors to the form's fields.
fn wrong_in(kind: &Kind, refusal: Refusal) -> Result<Wrong, Refusal> {
    Wrong::of(refusal, &shown_fields(kind))
}

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

/// The form's fields: the same for every kind, plus the kind's own fields as `config.<name>`.
#[derive(Clone, Default)]
pub struct Sent {
    common: Common,
    config: ConfigForm,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Common {
    act: Act,
    once: String,
    kind: String,
    name: String,
    scope: String,
    endpoint_ids: Vec<i64>,
    find: String,
    found: String,
    send_open_incidents: bool,
    send_degraded: bool,
}

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        config::split(deserializer).map(|(common, config)| Self { common, config })
    }
}

impl Sent {
    fn of(saved: &Notification) -> Self {
        let fields = Kind::find(&saved.kind).map(|kind| kind.fields).unwrap_or_default();
        let config = ConfigForm::of(fields, &saved.config);
        let common = Common {
            kind: saved.kind.clone(),
            name: saved.name.clone(),
            scope: if saved.endpoint_ids.is_some() { "some" } else { "all" }.to_owned(),
            endpoint_ids: saved.endpoint_ids.clone().unwrap_or_default(),
            send_degraded: saved.send_degraded,
            ..Common::default()
        };
        Self { common, config }
    }

    fn scope(&self) -> Scope<'_> {
        let Common { scope, endpoint_ids, find, found, .. } = &self.common;
        Scope { scope, endpoint_ids, find, found }
    }

    /// Errors that are found before the API call.
    fn check(&self, visitor: &Visitor, kind: &Kind) -> Result<(), Wrong> {
        self.scope().check(visitor)?;
        let (_, refusals) = self.config.json(kind.fields);
        if refusals.is_empty() {
            return Ok(());
        }
        let said = |(field, what): (String, Text)| (field, what.of(visitor.language).to_owned());
        Err(Wrong::within(refusals.into_iter().map(said).collect(), &shown_fields(kind)))
    }

    fn body(&self, kind: &Kind) -> Value {
        json!({
            "name": self.common.name.trim(), "kind": kind.name, "config": self.config.json(kind.fields).0,
            "endpoint_ids": self.scope().ids(), "send_degraded": self.common.send_degraded,
        })
    }
}

impl Form {
    async fn of(
        visitor: &Visitor,
        kind: Option<&'static Kind>,
        sent: Sent,
        wrong: Wrong,
    ) -> Result<Self, Refusal> {
        let chosen = &sent.common.endpoint_ids;
        let endpoints = Endpoints::of(&visitor.api, sent.common.find.trim(), chosen).await?;
        Ok(Self {
            page: visitor.page(Section::Notifications, visitor.t(&words::ADD_CHANNEL)),
            kind,
            saved: None,
            choices: endpoints.choices(chosen),
            sent,
            wrong,
            endpoints,
            tested: None,
            once: Vec::new(),
            log: None,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct New {
    kind: String,
}

pub async fn blank(User(visitor): User, Query(new): Query<New>) -> Response {
    let common = Common { send_degraded: true, ..Common::default() };
    let sent = Sent { common, ..Sent::default() };
    again(&visitor, Kind::find(&new.kind), sent, Wrong::default()).await
}

async fn again(visitor: &Visitor, kind: Option<&'static Kind>, sent: Sent, wrong: Wrong) -> Response {
    let status = wrong.status();
    match Form::of(visitor, kind, sent, wrong).await {
        Ok(form) => visitor.show(status, &form),
        Err(refusal) => visitor.refused(&refusal),
    }
}

pub async fn create(User(visitor): User, Posted(sent): Posted<Sent>) -> Response {
    let Some(kind) = Kind::find(&sent.common.kind) else { return visitor.go("/notifications/new") };
    if sent.common.act == Act::Find || sent.scope().is_search() {
        return again(&visitor, Some(kind), sent, Wrong::default()).await;
    }
    if let Err(wrong) = sent.check(&visitor, kind) {
        return again(&visitor, Some(kind), sent, wrong).await;
    }
    let mut body = sent.body(kind);
    body["send_open_incidents"] = json!(sent.common.send_open_incidents);
    let made = visitor.api.send(Method::POST, API, &body, Some(&sent.common.once)).await;
    match made {
        Ok(made) => created(&visitor, kind, made, &sent).await,
        Err(refusal) => match wrong_in(kind, refusal) {
            Ok(wrong) => again(&visitor, Some(kind), sent, wrong).await,
            Err(refusal) => visitor.refused(&refusal),
        },
    }
}

async fn created(visitor: &Visitor, kind: &Kind, made: Notification, sent: &Sent) -> Response {
    let is_silent = made.addresses.iter().flatten().any(|(_, state)| *state != State::Confirmed);
    let what = if is_silent {
        visitor.t(&words::CHANNEL_ADDED_CONFIRM)
    } else {
        visitor.t(&words::CHANNEL_ADDED_SEND_TEST)
    };
    let what = &with_warning(what, made.warning.as_deref());
    let id = made.id;
    // The only time that generated secrets are shown.
    let generated =
        kind.fields.iter().filter(|field| field.generate.is_some() && sent.config.value(field).is_empty());
    let once: Vec<_> = generated
        .map(|field| (visitor.language.choose(field.label).to_owned(), config::shown(field, &made.config)))
        .collect();
    if once.is_empty() {
        return visitor.go_saying(&format!("/notifications/{id}"), what);
    }
    match existing(visitor, id, &Shown::default()).await {
        Ok(mut form) => {
            form.once = once;
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

/// The form of an existing notification, with its delivery log.
async fn existing(visitor: &Visitor, id: i64, asked: &Shown) -> Result<Form, Refusal> {
    let saved: Notification = visitor.api.get(&format!("{API}/{id}")).await?;
    let form = Form::of(visitor, Kind::find(&saved.kind), Sent::of(&saved), Wrong::default());
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
    match sent.common.act {
        Act::Test => {
            // Shortened, because a cookie holds 4 kB.
            const MAX_MESSAGE_CHARS: usize = 500;
            let Done { status, message } = visitor.api.post(&format!("{path}/test"), &json!({})).await?;
            let message = message.map(|message| message.chars().take(MAX_MESSAGE_CHARS).collect());
            Ok(visitor.go_showing(&own, &Done { status, message }))
        }
        Act::Enable | Act::Disable => {
            let enabled = sent.common.act == Act::Enable;
            visitor.api.patch::<_, IgnoredAny>(&path, &json!({"enabled": enabled})).await?;
            let what = if enabled {
                visitor.t(&words::CHANNEL_ENABLED)
            } else {
                visitor.t(&words::CHANNEL_DISABLED)
            };
            Ok(visitor.go_saying("/notifications", what))
        }
        Act::Delete => {
            visitor.api.delete(&path).await?;
            Ok(visitor.go_saying("/notifications", visitor.t(&words::CHANNEL_DELETED)))
        }
        Act::Save | Act::Find => save(visitor, id, sent, &path, &own).await,
    }
}

async fn save(visitor: &Visitor, id: i64, sent: Sent, path: &str, own: &str) -> Result<Response, Refusal> {
    let form = existing(visitor, id, &Shown::default()).await?;
    let Some(kind) = form.kind else { return Ok(visitor.go(own)) };
    let wrong = if sent.common.act == Act::Find || sent.scope().is_search() {
        Wrong::default()
    } else if let Err(wrong) = sent.check(visitor, kind) {
        wrong
    } else {
        match visitor.api.patch::<_, Notification>(path, &sent.body(kind)).await {
            Ok(saved) => {
                let what = with_warning(visitor.t(&words::SAVED), saved.warning.as_deref());
                return Ok(visitor.go_saying(own, &what));
            }
            Err(refusal) => wrong_in(kind, refusal)?,
        }
    };
    let again = Form::of(visitor, Some(kind), sent, wrong).await?;
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
        Ok(_) => visitor.go_saying(next, visitor.t(&words::SENDING_AGAIN)),
        Err(refusal) if refusal.status == StatusCode::CONFLICT => visitor.go_saying(next, &refusal.message),
        Err(refusal) => visitor.refused(&refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(form: &str) -> Sent {
        serde_html_form::from_str(form).expect("a form")
    }

    #[test]
    fn form_becomes_what_the_api_takes() {
        let of = |kind, form| sent(form).config.json(Kind::find(kind).expect("a kind").fields).0;
        let to = of("email", "config.to=a@example.com%2C+b@example.com%0D%0A+c@example.com;&name=n");
        assert_eq!(to, json!({"to": ["a@example.com", "b@example.com", "c@example.com"]}));
        let slack =
            of("slack", "config.webhook_url=&config.channel=+%23ops+&config.token=xoxb-%E2%80%A69876");
        assert_eq!(slack, json!({"channel": "#ops", "token": "xoxb-…9876"}));
        let missing = of("webhook", "config.secret=&config.strange=1&endpoint_ids=1&endpoint_ids=2");
        assert_eq!(missing, json!({"url": ""}));
        let both = sent("endpoint_ids=1&endpoint_ids=2&scope=some&send_open_incidents=true");
        assert_eq!((both.common.endpoint_ids, both.common.send_open_incidents), (vec![1, 2], true));
    }
}
