//! Planned work: during it, no alerts are sent, and it is left out of uptime.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures::try_join;
use http::Method;
use runtime::{Context, List};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    api::{Api, Refusal},
    form::{Choice, Endpoints, Id, Moment, Scope, Wrong, page_number},
    page::{Page, Section},
    parts::Pages,
    visitor::{Posted, User, Visitor},
};
use crate::words;

const API: &str = "/endpoint-service/v1/maintenances";

#[derive(Clone, Deserialize)]
struct Maintenance {
    id: i64,
    title: String,
    #[serde(default)]
    description: String,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    endpoint_ids: Option<Vec<i64>>,
    /// `scheduled`, `active` or `ended`
    status: String,
}

#[derive(Template)]
#[template(path = "maintenances.html")]
struct Overview {
    page: Page,
    /// Active, and scheduled.
    ahead: [Vec<Maintenance>; 2],
    ended: Vec<Maintenance>,
    pager: Pages,
}

impl Overview {
    fn is_empty(&self) -> bool {
        self.pager.total == 0 && self.ahead.iter().all(Vec::is_empty)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Shown {
    page: String,
}

async fn all(api: &Api, status: &str) -> Result<Vec<Maintenance>, Refusal> {
    let mut items = Vec::new();
    for page in 1.. {
        let path = format!("{API}?status={status}&per_page=100&page={page}");
        let list: List<Maintenance> = api.get(&path).await?;
        items.extend(list.items);
        if page * 100 >= list.page.total_count {
            break;
        }
    }
    // The next one first.
    items.sort_by_key(|maintenance| maintenance.starts_at);
    Ok(items)
}

pub async fn list(User(visitor): User, Query(shown): Query<Shown>) -> Response {
    let path = format!("{API}?status=ended&page={}", page_number(&shown.page));
    let lists = try_join!(
        all(&visitor.api, "active"),
        all(&visitor.api, "scheduled"),
        visitor.api.get::<List<Maintenance>>(&path)
    );
    match lists {
        Ok((active, scheduled, ended)) => {
            let page = visitor.page(Section::Maintenance, visitor.t(&words::MAINTENANCE));
            let pager = Pages::of(&ended.page, |n| format!("/maintenance?page={n}"));
            visitor.ok(&Overview { page, ahead: [active, scheduled], ended: ended.items, pager })
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}

#[derive(Template)]
#[template(path = "maintenance.html")]
struct Form {
    page: Page,
    saved: Option<Maintenance>,
    sent: Sent,
    starts_at: Moment,
    ends_at: Moment,
    wrong: Wrong,
    endpoints: Endpoints,
    choices: Vec<Choice>,
}

const FIELDS: [&str; 5] = ["title", "description", "starts_at", "ends_at", "endpoint_ids"];

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    #[default]
    Save,
    Find,
    End,
    Delete,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    act: Act,
    once: String,
    title: String,
    description: String,
    starts_at: String,
    ends_at: String,
    zone: String,
    scope: String,
    endpoint_ids: Vec<i64>,
    find: String,
    found: String,
}

impl Sent {
    fn of(saved: &Maintenance) -> Self {
        Self {
            title: saved.title.clone(),
            description: saved.description.clone(),
            scope: if saved.endpoint_ids.is_some() { "some" } else { "all" }.to_owned(),
            endpoint_ids: saved.endpoint_ids.clone().unwrap_or_default(),
            ..Self::default()
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { scope: &self.scope, endpoint_ids: &self.endpoint_ids, find: &self.find, found: &self.found }
    }

    fn moments(&self, visitor: &Visitor) -> [Moment; 2] {
        [&self.starts_at, &self.ends_at].map(|text| Moment::sent(text, &self.zone, visitor.zone))
    }

    /// The JSON for the API, or the errors that were found before the call.
    fn body(&self, visitor: &Visitor, saved: Option<&Maintenance>) -> Result<Value, Wrong> {
        let [starts_at, ends_at] = self.moments(visitor);
        for (name, moment) in [("starts_at", &starts_at), ("ends_at", &ends_at)] {
            if moment.at.is_none() {
                return Err(Wrong::field(name, moment_wanted(visitor)));
            }
        }
        self.scope().check(visitor)?;
        Ok(json!({
            "title": self.title.trim(), "description": self.description.trim(),
            "starts_at": starts_at.instead_of(saved.map(|saved| saved.starts_at)),
            "ends_at": ends_at.instead_of(saved.map(|saved| saved.ends_at)),
            "endpoint_ids": self.scope().ids(),
        }))
    }
}

pub fn moment_wanted(visitor: &Visitor) -> &str {
    visitor.t(&words::ENTER_DATE_AND_TIME)
}

impl Form {
    async fn of(visitor: &Visitor, sent: Sent, moments: [Moment; 2], wrong: Wrong) -> Result<Self, Refusal> {
        let endpoints = Endpoints::of(&visitor.api, sent.find.trim(), &sent.endpoint_ids).await?;
        let [starts_at, ends_at] = moments;
        Ok(Self {
            page: visitor.page(Section::Maintenance, visitor.t(&words::SCHEDULE_MAINTENANCE)),
            saved: None,
            starts_at,
            ends_at,
            choices: endpoints.choices(&sent.endpoint_ids),
            sent,
            wrong,
            endpoints,
        })
    }

    /// The form of an existing maintenance.
    fn changing(self, saved: Maintenance) -> Self {
        let page = Page { title: saved.title.clone(), ..self.page };
        Self { page, saved: Some(saved), ..self }
    }

    fn is(&self, status: &str) -> bool {
        self.saved.as_ref().is_some_and(|saved| saved.status == status)
    }
}

pub async fn blank(User(visitor): User, State(context): State<Context>) -> Response {
    let now = context.clock().now();
    let now = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
    let moments = [Moment::of(now, visitor.zone), Moment::of(now + TimeDelta::hours(1), visitor.zone)];
    again(&visitor, Sent::default(), moments, Wrong::default()).await
}

async fn again(visitor: &Visitor, sent: Sent, moments: [Moment; 2], wrong: Wrong) -> Response {
    match Form::of(visitor, sent, moments, wrong).await {
        Ok(form) => visitor.show(form.wrong.status(), &form),
        Err(refusal) => visitor.refused(&refusal),
    }
}

pub async fn create(User(visitor): User, Posted(sent): Posted<Sent>) -> Response {
    let moments = sent.moments(&visitor);
    if sent.act == Act::Find || sent.scope().is_search() {
        return again(&visitor, sent, moments, Wrong::default()).await;
    }
    let body = match sent.body(&visitor, None) {
        Ok(body) => body,
        Err(wrong) => return again(&visitor, sent, moments, wrong).await,
    };
    match visitor.api.send::<_, IgnoredAny>(Method::POST, API, &body, Some(&sent.once)).await {
        Ok(_) => {
            let what = visitor.t(&words::MAINTENANCE_SCHEDULED);
            visitor.go_saying("/maintenance", what)
        }
        Err(refusal) => match Wrong::of(refusal, &FIELDS) {
            Ok(wrong) => again(&visitor, sent, moments, wrong).await,
            Err(refusal) => visitor.refused(&refusal),
        },
    }
}

pub async fn show(User(visitor): User, Id([id]): Id) -> Response {
    match existing(&visitor, id).await {
        Ok(form) => visitor.ok(&form),
        Err(refusal) => visitor.refused(&refusal),
    }
}

async fn existing(visitor: &Visitor, id: i64) -> Result<Form, Refusal> {
    let saved: Maintenance = visitor.api.get(&format!("{API}/{id}")).await?;
    let moments = [Moment::of(saved.starts_at, visitor.zone), Moment::of(saved.ends_at, visitor.zone)];
    Ok(Form::of(visitor, Sent::of(&saved), moments, Wrong::default()).await?.changing(saved))
}

pub async fn change(
    User(visitor): User,
    Id([id]): Id,
    State(context): State<Context>,
    Posted(sent): Posted<Sent>,
) -> Response {
    match act(&visitor, id, context.clock().now(), sent).await {
        Ok(response) => response,
        Err(refusal) => visitor.refused(&refusal),
    }
}

async fn act(visitor: &Visitor, id: i64, now: DateTime<Utc>, sent: Sent) -> Result<Response, Refusal> {
    let path = format!("{API}/{id}");
    match sent.act {
        Act::Delete => {
            visitor.api.delete(&path).await?;
            return Ok(visitor.go_saying("/maintenance", visitor.t(&words::DELETED)));
        }
        Act::End => {
            visitor.api.patch::<_, IgnoredAny>(&path, &json!({"ends_at": now})).await?;
            let what = visitor.t(&words::MAINTENANCE_ENDED);
            return Ok(visitor.go_saying("/maintenance", what));
        }
        Act::Save | Act::Find => {}
    }
    let saved: Maintenance = visitor.api.get(&path).await?;
    let wrong = if sent.act == Act::Find || sent.scope().is_search() {
        Wrong::default()
    } else {
        match sent.body(visitor, Some(&saved)) {
            Err(wrong) => wrong,
            Ok(body) => match visitor.api.patch::<_, IgnoredAny>(&path, &body).await {
                Ok(_) => return Ok(visitor.go_saying("/maintenance", visitor.t(&words::SAVED))),
                Err(refusal) => Wrong::of(refusal, &FIELDS)?,
            },
        }
    };
    let moments = sent.moments(visitor);
    let form = Form::of(visitor, sent, moments, wrong).await?.changing(saved);
    Ok(visitor.show(form.wrong.status(), &form))
}
