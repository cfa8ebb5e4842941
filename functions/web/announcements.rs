//! Announcements on a status page.

use askama::Template;
use axum::{extract::State, response::Response};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use http::Method;
use runtime::{Context, List};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{
    api::{Api, Refusal},
    form::{Id, Moment, Wrong},
    maintenances::moment_wanted,
    page::{Page, Section},
    visitor::{Posted, User, Visitor},
};
use crate::{status_pages::StatusPage, words};

const API: &str = "/status-service/v1/announcements";

#[derive(Clone, Deserialize)]
pub struct Announcement {
    pub id: i64,
    status_page_id: i64,
    pub title: String,
    pub text: String,
    pub severity: String,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
}

/// The newest hundred of a status page.
pub async fn of(api: &Api, status_page_id: i64) -> Result<Vec<Announcement>, Refusal> {
    let path = format!("{API}?status_page_id={status_page_id}&per_page=100");
    Ok(api.get::<List<Announcement>>(&path).await?.items)
}

#[derive(Template)]
#[template(path = "announcement.html")]
struct Form {
    page: Page,
    on: StatusPage,
    saved: Option<Announcement>,
    sent: Sent,
    starts_at: Moment,
    ends_at: Moment,
    wrong: Wrong,
    now: DateTime<Utc>,
}

const FIELDS: [&str; 5] = ["title", "text", "severity", "starts_at", "ends_at"];

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    #[default]
    Save,
    End,
    Delete,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    act: Act,
    once: String,
    title: String,
    text: String,
    severity: String,
    starts_at: String,
    ends_at: String,
    zone: String,
}

impl Sent {
    fn moments(&self, visitor: &Visitor) -> [Moment; 2] {
        [&self.starts_at, &self.ends_at].map(|text| Moment::sent(text, &self.zone, visitor.zone))
    }

    fn body(&self, visitor: &Visitor, saved: Option<&Announcement>) -> Result<Value, Wrong> {
        let [starts_at, ends_at] = self.moments(visitor);
        for (name, moment) in [("starts_at", &starts_at), ("ends_at", &ends_at)] {
            if moment.is_wrong() {
                return Err(Wrong::field(name, moment_wanted(visitor)));
            }
        }
        let mut body = json!({
            "title": self.title.trim(), "text": self.text.trim(), "severity": self.severity,
            "ends_at": ends_at.instead_of(saved.and_then(|saved| saved.ends_at)),
        });
        // Now, or unchanged.
        if let Some(starts_at) = starts_at.instead_of(saved.map(|saved| saved.starts_at)) {
            body["starts_at"] = json!(starts_at);
        }
        Ok(body)
    }
}

impl Form {
    /// `id`: the status page; `saved`: the announcement to change.
    async fn of(
        visitor: &Visitor,
        id: i64,
        now: DateTime<Utc>,
        saved: Option<Announcement>,
        sent: Option<(Sent, Wrong)>,
    ) -> Result<Self, Refusal> {
        let on = visitor.api.get(&format!("/status-service/v1/status_pages/{id}")).await?;
        let title = match &saved {
            Some(saved) => saved.title.clone(),
            None => visitor.t(&words::POST_ANNOUNCEMENT).to_owned(),
        };
        let ((sent, wrong), [starts_at, ends_at]) = match (sent, &saved) {
            (Some((sent, wrong)), _) => {
                let moments = sent.moments(visitor);
                ((sent, wrong), moments)
            }
            (None, Some(saved)) => {
                let sent = Sent {
                    title: saved.title.clone(),
                    text: saved.text.clone(),
                    severity: saved.severity.clone(),
                    ..Sent::default()
                };
                let ends_at = saved.ends_at.map(|at| Moment::of(at, visitor.zone)).unwrap_or_default();
                ((sent, Wrong::default()), [Moment::of(saved.starts_at, visitor.zone), ends_at])
            }
            (None, None) => {
                let now = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
                let sent = Sent { severity: "info".to_owned(), ..Sent::default() };
                ((sent, Wrong::default()), [Moment::of(now, visitor.zone), Moment::default()])
            }
        };
        let page = visitor.page(Section::StatusPages, title);
        Ok(Self { page, on, saved, sent, starts_at, ends_at, wrong, now })
    }

    fn is_open(&self) -> bool {
        self.saved.as_ref().is_some_and(|saved| {
            saved.starts_at <= self.now && saved.ends_at.is_none_or(|ends_at| ends_at > self.now)
        })
    }

    fn severity(&self, severity: &str) -> bool {
        self.sent.severity == severity
    }
}

fn shown(visitor: &Visitor, form: Result<Form, Refusal>) -> Response {
    match form {
        Ok(form) => visitor.show(form.wrong.status(), &form),
        Err(refusal) => visitor.refused(&refusal),
    }
}

pub async fn blank(User(visitor): User, Id([id]): Id, State(context): State<Context>) -> Response {
    let form = Form::of(&visitor, id, context.clock().now(), None, None).await;
    shown(&visitor, form)
}

pub async fn create(
    User(visitor): User,
    Id([id]): Id,
    State(context): State<Context>,
    Posted(sent): Posted<Sent>,
) -> Response {
    let wrong = match sent.body(&visitor, None) {
        Err(wrong) => wrong,
        Ok(mut body) => {
            body["status_page_id"] = json!(id);
            match visitor.api.send::<_, IgnoredAny>(Method::POST, API, &body, Some(&sent.once)).await {
                Ok(_) => {
                    let what = visitor.t(&words::ANNOUNCED);
                    return visitor.go_saying(&format!("/status-pages/{id}"), what);
                }
                Err(refusal) => match Wrong::of(refusal, &FIELDS) {
                    Ok(wrong) => wrong,
                    Err(refusal) => return visitor.refused(&refusal),
                },
            }
        }
    };
    let form = Form::of(&visitor, id, context.clock().now(), None, Some((sent, wrong))).await;
    shown(&visitor, form)
}

async fn saved(visitor: &Visitor, [id, announcement]: [i64; 2]) -> Result<Announcement, Refusal> {
    let saved: Announcement = visitor.api.get(&format!("{API}/{announcement}")).await?;
    if saved.status_page_id == id {
        Ok(saved)
    } else {
        Err(Refusal { status: http::StatusCode::NOT_FOUND, ..Refusal::default() })
    }
}

pub async fn show(User(visitor): User, Id(ids): Id<2>, State(context): State<Context>) -> Response {
    let form = async {
        let saved = saved(&visitor, ids).await?;
        Form::of(&visitor, ids[0], context.clock().now(), Some(saved), None).await
    };
    shown(&visitor, form.await)
}

pub async fn change(
    User(visitor): User,
    Id(ids): Id<2>,
    State(context): State<Context>,
    Posted(sent): Posted<Sent>,
) -> Response {
    match act(&visitor, ids, context.clock().now(), sent).await {
        Ok(response) => response,
        Err(refusal) => visitor.refused(&refusal),
    }
}

async fn act(visitor: &Visitor, ids: [i64; 2], now: DateTime<Utc>, sent: Sent) -> Result<Response, Refusal> {
    let saved = saved(visitor, ids).await?;
    let (path, own) = (format!("{API}/{}", saved.id), format!("/status-pages/{}", ids[0]));
    let wrong = match sent.act {
        Act::Delete => {
            visitor.api.delete(&path).await?;
            return Ok(visitor.go_saying(&own, visitor.t(&words::DELETED)));
        }
        Act::End => {
            visitor.api.patch::<_, IgnoredAny>(&path, &json!({"ends_at": now})).await?;
            return Ok(visitor.go_saying(&own, visitor.t(&words::ENDED)));
        }
        Act::Save => match sent.body(visitor, Some(&saved)) {
            Err(wrong) => wrong,
            Ok(body) => match visitor.api.patch::<_, IgnoredAny>(&path, &body).await {
                Ok(_) => return Ok(visitor.go_saying(&own, visitor.t(&words::SAVED))),
                Err(refusal) => Wrong::of(refusal, &FIELDS)?,
            },
        },
    };
    let form = Form::of(visitor, ids[0], now, Some(saved), Some((sent, wrong))).await?;
    Ok(visitor.show(form.wrong.status(), &form))
}
