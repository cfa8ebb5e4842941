//! Feeds of a status page: RSS 2.0 and JSON Feed 1.1.

use axum::{extract::Path, extract::State, response::IntoResponse, response::Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use contract::Language;
use http::{HeaderMap, StatusCode, header};
use rss::{Category, Channel, Guid, Item};
use runtime::{Context, Error};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{api::Refusal, figures, public, status, visitor::Visitor};
use crate::{
    links,
    status_pages::show::{Progress, Shown},
    words,
};

const SECONDS: u32 = 60;
/// Only the newest entries: feed readers keep the older ones.
const MAX_ENTRIES: usize = 100;

pub async fn rss(
    visitor: Visitor,
    State(context): State<Context>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Response {
    match feed(&visitor, &context, &slug).await {
        Ok(feed) => public::with(
            public::answer(
                &headers,
                StatusCode::OK,
                "application/rss+xml; charset=utf-8",
                SECONDS,
                feed.rss(),
            ),
            header::VARY,
            "cookie, accept-language",
        ),
        Err(error) => error.into_response(),
    }
}

pub async fn json(
    visitor: Visitor,
    State(context): State<Context>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Response {
    match feed(&visitor, &context, &slug).await {
        Ok(feed) => public::with(
            public::answer(
                &headers,
                StatusCode::OK,
                "application/feed+json; charset=utf-8",
                SECONDS,
                feed.json(),
            ),
            header::VARY,
            "cookie, accept-language",
        ),
        Err(error) => error.into_response(),
    }
}

struct Feed {
    title: String,
    description: String,
    language: Language,
    page: String,
    entries: Vec<Entry>,
}

struct Entry {
    id: String,
    at: DateTime<Utc>,
    title: String,
    text: String,
    tag: &'static str,
}

async fn feed(visitor: &Visitor, context: &Context, slug: &str) -> Result<Feed, Error> {
    let shown = status::fetch(visitor, slug, Tz::UTC).await.map_err(|refusal| error_of(&refusal))?;
    let page = links::to(context, &format!("/status/{}", shown.slug))?;
    Ok(Feed {
        title: shown.title.clone(),
        description: if shown.description.is_empty() {
            shown.title.clone()
        } else {
            shown.description.clone()
        },
        language: visitor.language,
        page,
        entries: entries(&shown, visitor.language),
    })
}

/// For programs: an error in the API's format.
fn error_of(refusal: &Refusal) -> Error {
    match refusal.status {
        StatusCode::NOT_FOUND => Error::not_found(),
        status => Error::unavailable(anyhow::anyhow!("the API answered {status}")),
    }
}

fn entries(shown: &Shown, language: Language) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add =
        |tag: &'static str, what: &str, name: &str, key: DateTime<Utc>, at, title: String, text: String| {
            let id = format!("{}\n{what}\n{name}\n{}", shown.slug, key.timestamp_micros());
            let id = URL_SAFE_NO_PAD.encode(&Sha256::digest(id)[..16]);
            entries.push(Entry { id, at, title, text, tag });
        };
    for incident in &shown.incidents {
        let (name, started) = (&incident.endpoint_name, incident.started_at);
        let cause = status::cause(language, incident.cause_code.as_deref());
        let title = format!("{name}: {}", words::IS_DOWN.of(language));
        add("outage", "down", name, started, started, title, cause.to_owned());
        if let Some(ended) = incident.ended_at {
            let long = figures::length(language, ended - started);
            let title = format!("{name}: {}", words::HAS_RECOVERED.of(language));
            let text = words::it_was_down_for(&cause, long).of(language);
            add("outage", "up", name, started, ended, title, text);
        }
    }
    for announcement in &shown.announcements {
        let (title, at) = (announcement.title.clone(), announcement.starts_at);
        add("announcement", "announcement", &title.clone(), at, at, title, announcement.text.clone());
    }
    for maintenance in &shown.maintenances {
        let (starts, ends) = (maintenance.starts_at, maintenance.ends_at);
        let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC").to_string();
        let text = format!("{} – {}\n{}", time(starts), time(ends), maintenance.description);
        let name = &maintenance.title;
        // Feed readers treat future dates as errors: an entry about planned work has the date of its
        // announcement.
        if maintenance.announced_at < starts {
            let title = format!("{}: {name}", words::PLANNED_MAINTENANCE.of(language));
            add(
                "maintenance",
                "planned",
                name,
                starts,
                maintenance.announced_at,
                title,
                text.trim().to_owned(),
            );
        }
        if maintenance.status != Progress::Scheduled {
            let title = format!("{}: {name}", words::MAINTENANCE.of(language));
            add("maintenance", "maintenance", name, starts, starts, title, text.trim().to_owned());
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    entries.truncate(MAX_ENTRIES);
    entries
}

/// RSS readers expect HTML in a description.
fn as_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', "<br>")
}

impl Feed {
    fn language(&self) -> &'static str {
        self.language.code()
    }

    fn rss(&self) -> String {
        let item = |entry: &Entry| Item {
            title: Some(entry.title.clone()),
            link: Some(self.page.clone()),
            description: Some(as_html(&entry.text)),
            categories: vec![Category { name: entry.tag.to_owned(), domain: None }],
            guid: Some(Guid { value: entry.id.clone(), permalink: false }),
            pub_date: Some(entry.at.to_rfc2822()),
            ..Item::default()
        };
        Channel {
            title: self.title.clone(),
            link: self.page.clone(),
            description: self.description.clone(),
            language: Some(self.language().to_owned()),
            last_build_date: self.entries.first().map(|entry| entry.at.to_rfc2822()),
            generator: Some("pongpong".to_owned()),
            docs: Some("https://www.rssboard.org/rss-specification".to_owned()),
            ttl: Some("5".to_owned()),
            items: self.entries.iter().map(item).collect(),
            ..Channel::default()
        }
        .to_string()
    }

    fn json(&self) -> String {
        let item = |entry: &Entry| {
            json!({
                "id": entry.id,
                "url": self.page,
                "title": entry.title,
                "content_text": entry.text,
                "date_published": entry.at.to_rfc3339_opts(SecondsFormat::Secs, true),
                "tags": [entry.tag],
            })
        };
        json!({
            "version": "https://jsonfeed.org/version/1.1",
            "title": self.title,
            "description": self.description,
            "home_page_url": self.page,
            "feed_url": format!("{}/feed.json", self.page),
            "language": self.language(),
            "items": self.entries.iter().map(item).collect::<Vec<_>>(),
        })
        .to_string()
    }
}
