//! Dead letters: stores, lists and replays events that the broker gave up on.
//!
//! POST / (any event), GET /private/v1/dead_letters, POST /private/v1/dead_letters/{id}/replay.

pub mod purge;
pub mod resume;

use std::sync::LazyLock;

use axum::{Json, body::Bytes, extract::State, http::HeaderMap, http::StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{
    Context, Error, Event, Function, Id, List, Outgoing, Paging, Reply, Result,
    db::page_of,
    error::ErrorBody,
    on, secret, sql,
    telemetry::{Counter, KeyValue, counter},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::notifications::senders::{Done, metrics};
use contract::{DeliveryOutcome, NotificationDelivered, NotificationRequested, kind};

pub const SERVICE: &str = "dead-letter";
/// Delay before a dead letter is replayed.
const REPLAY_DELAY: TimeDelta = TimeDelta::minutes(10);
/// Automatic replays; after that, a person must act.
const MAX_REPLAYS: i32 = 24;

const NAME: &str = "dead-letter";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "keeps events that the broker could not deliver")
    .http(runtime::http!(list, replay))
    .on(&[], || axum::routing::post(store))
    .publishes();

static LETTERS: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.dead_letters", "{event}", "Events that the broker gave up on"));

pub(crate) fn count_from_zero() {
    for function in crate::ALL {
        for subscription in function.subscriptions {
            LETTERS.add(0, &labels(subscription.kind, function.name));
        }
    }
}

fn labels(kind: &'static str, destination: &'static str) -> [KeyValue; 2] {
    [KeyValue::new("cloudevents.event_type", kind), KeyValue::new("destination", destination)]
}

/// Accepts everything, because no other place is left for it. A replayed event that comes back updates
/// its dead letter with the new error, and clears `replayed_at`.
async fn store(State(context): State<Context>, headers: HeaderMap, body: Bytes) -> Result<Reply> {
    sql!(
        INSERT = "INSERT INTO dead_letters (source, event_id, kind, destination, error_code, error,
            headers, body, received_at, due_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (source, event_id, destination) DO UPDATE SET error_code = excluded.error_code,
            error = excluded.error, received_at = excluded.received_at, replayed_at = NULL,
            due_at = CASE WHEN dead_letters.replays < $11 THEN excluded.due_at END"
    );
    let (letter, now) = (Letter::read(&headers, &body), context.clock().now());
    let due_at = letter.is_worth_another_try().then(|| now + REPLAY_DELAY);
    on!(context.db()?.write(), db => {
        let query = sqlx::query(INSERT).bind(&letter.source).bind(&letter.event_id).bind(&letter.kind);
        let query = query.bind(&letter.destination).bind(&letter.error_code).bind(&letter.error);
        let query = query.bind(kept_headers(&headers)).bind(body.as_ref()).bind(now).bind(due_at);
        query.bind(MAX_REPLAYS).execute(db).await.map(drop)
    })?;
    tracing::warn!(kind = letter.kind, id = letter.event_id, destination = letter.destination, "given up");
    LETTERS.add(1, &letter.labels());
    if letter.kind == kind::NOTIFICATION_REQUESTED {
        tell_log(&context, &letter, &headers, &body).await?;
    }
    Ok(Reply::NONE)
}

/// Reports the delivery as postponed, so that it is sent again later.
async fn tell_log(context: &Context, letter: &Letter, headers: &HeaderMap, body: &Bytes) -> Result<()> {
    let Ok(event) = Event::<NotificationRequested>::read(headers, body) else { return Ok(()) };
    let failed = NotificationDelivered {
        delivery_id: event.data.delivery_id,
        attempt: event.data.attempt,
        tries: event.data.tries,
        outcome: DeliveryOutcome::Postponed,
        error: Some(letter.error.clone().unwrap_or_else(|| "The channel did not answer.".to_owned())),
        retry_after_seconds: None,
        reached: Vec::new(),
        at: context.clock().now(),
    };
    metrics::count(&event.data.kind, "postponed");
    let id = format!("{}/given-up", event.id);
    let event = Outgoing::new(NAME, kind::NOTIFICATION_DELIVERED, id, failed.at, &failed)?;
    context.outbound().publish(event).await
}

/// Data read from an event that may be invalid.
#[derive(Debug, PartialEq, Eq)]
struct Letter {
    source: String,
    event_id: String,
    kind: String,
    destination: String,
    error_code: Option<String>,
    error: Option<String>,
}

impl Letter {
    /// Maps arbitrary values to a few label values.
    fn labels(&self) -> [KeyValue; 2] {
        let kind = kind::ALL.into_iter().find(|kind| *kind == self.kind);
        let host = self.destination.strip_prefix("http://").unwrap_or(&self.destination);
        let name = host.split(['.', '/', ':']).next().unwrap_or_default();
        let function = crate::find(name).map(|function| function.name);
        labels(kind.unwrap_or("other"), function.unwrap_or("other"))
    }

    /// False for permanent refusals and for events that are useless when late. Also false for messages
    /// and republished changes: they have a log of their own.
    fn is_worth_another_try(&self) -> bool {
        const LATE: [&str; 3] = [kind::CHECK_REQUESTED, kind::CHECK_FAILED, kind::NOTIFICATION_REQUESTED];
        let code = self.error_code.as_deref().and_then(|code| code.parse().ok());
        let is_refused =
            code.is_some_and(|code: u16| (400..500).contains(&code) && ![404, 408, 409, 429].contains(&code));
        let is_told_again =
            self.source.ends_with("/delivery-resume") && self.destination.contains("notification-dispatch");
        kind::ALL.contains(&&*self.kind) && !LATE.contains(&&*self.kind) && !is_refused && !is_told_again
    }

    fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        // In structured mode, the attributes are in the body.
        let structured: Value = match headers.contains_key("ce-specversion") {
            true => Value::Null,
            false => serde_json::from_slice(body).unwrap_or_default(),
        };
        let attribute = |name: &str| {
            let header = headers.get(format!("ce-{name}")).and_then(|v| v.to_str().ok()).map(str::to_owned);
            let text = header.or_else(|| match structured.get(name)? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            // PostgreSQL's text type cannot store NUL.
            text.map(|text| text.replace('\0', ""))
        };
        Self {
            source: attribute("source").unwrap_or_default(),
            // Without an ID, the same bytes count as the same event.
            event_id: attribute("id").unwrap_or_else(|| secret::hash(&String::from_utf8_lossy(body))),
            kind: attribute("type").unwrap_or_default(),
            destination: attribute("knativeerrordest").unwrap_or_default(),
            error_code: attribute("knativeerrorcode"),
            error: attribute("knativeerrordata").map(|data| error_of(&data)),
        }
    }
}

/// The last error response, which Knative encodes in base64; only its message if it is one of our errors.
fn error_of(data: &str) -> String {
    let decoded = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = decoded.unwrap_or_else(|| data.to_owned()).replace('\0', "");
    let message = serde_json::from_str::<Value>(&text).ok();
    let message = message.as_ref().and_then(|error| error["message"].as_str()).map(str::to_owned);
    message.unwrap_or(text).chars().take(1000).collect()
}

/// The event's own headers: not those of the hop, nor those that the broker added when it gave up.
fn kept_headers(headers: &HeaderMap) -> String {
    let kept = headers.iter().filter(|(name, _)| {
        let name = name.as_str();
        name == "content-type" || (name.starts_with("ce-") && !name.starts_with("ce-knativeerror"))
    });
    let pairs: Vec<_> =
        kept.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    json!(pairs).to_string()
}

/// An event that the broker gave up on.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetter {
    #[schema(example = 1)]
    pub id: i64,
    #[schema(example = "/pongpong/notification-dispatch")]
    pub source: String,
    #[schema(example = "delivery-12-1")]
    pub event_id: String,
    #[schema(example = "io.pongpong.notification.requested.v1")]
    pub kind: String,
    /// The subscriber that did not accept it.
    pub destination: String,
    pub error_code: Option<String>,
    pub error: Option<String>,
    /// Pairs of name and value.
    #[schema(value_type = Vec<Vec<String>>)]
    pub headers: Value,
    /// The first part of the body.
    pub body: String,
    pub body_bytes: i64,
    pub received_at: DateTime<Utc>,
    pub replayed_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    source: String,
    event_id: String,
    kind: String,
    destination: String,
    error_code: Option<String>,
    error: Option<String>,
    headers: String,
    body: Vec<u8>,
    body_bytes: i64,
    received_at: DateTime<Utc>,
    replayed_at: Option<DateTime<Utc>>,
}

impl From<Row> for DeadLetter {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            source: row.source,
            event_id: row.event_id,
            kind: row.kind,
            destination: row.destination,
            error_code: row.error_code,
            error: row.error,
            headers: serde_json::from_str(&row.headers).unwrap_or_default(),
            body: String::from_utf8_lossy(&row.body).into_owned(),
            body_bytes: row.body_bytes,
            received_at: row.received_at,
            replayed_at: row.replayed_at,
        }
    }
}

#[utoipa::path(
    get, path = "/private/v1/dead_letters", tag = "dead_letters", params(Paging),
    responses((status = 200, body = List<DeadLetter>), (status = 400, body = ErrorBody)),
)]
async fn list(State(context): State<Context>, paging: Paging) -> Result<Json<List<DeadLetter>>> {
    // A batch has up to 16 MiB: the list shows only the beginning.
    sql!(SELECT = "SELECT id, source, event_id, kind, destination, error_code, error, headers,
            SUBSTR(body, 1, 2000) AS body, CAST(LENGTH(body) AS BIGINT) AS body_bytes, received_at, replayed_at
        FROM dead_letters ORDER BY id DESC LIMIT $1 OFFSET $2");
    sql!(COUNT = "SELECT COUNT(*) FROM dead_letters");
    let db = context.db()?;
    let (rows, found): (Vec<Row>, _) = on!(db.read(), db =>
        sqlx::query(SELECT).bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of))?;
    let total: i64 = on!(db.read(), db => sqlx::query_scalar(COUNT).fetch_one(db).await)?;
    Ok(paging.list(rows.into_iter().map(DeadLetter::from).collect(), found, total))
}

#[utoipa::path(
    post, path = "/private/v1/dead_letters/{id}/replay", tag = "dead_letters",
    params(("id" = i64, Path, example = 1)),
    responses(
        (status = 200, body = Done, example = json!({"status": "ok"})),
        (status = 400, description = "It is not a CloudEvent.", body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "The broker does not take it now.", body = ErrorBody),
    ),
)]
async fn replay(State(context): State<Context>, Id(id): Id) -> Result<(StatusCode, Json<Done>)> {
    publish_again(&context, id).await?;
    Ok((StatusCode::OK, Json(Done::ok())))
}

async fn publish_again(context: &Context, id: i64) -> Result<()> {
    sql!(SELECT = "SELECT headers, body, received_at FROM dead_letters WHERE id = $1");
    // Skipped if the event has already come back.
    sql!(
        UPDATE = "UPDATE dead_letters SET replayed_at = $2, due_at = NULL WHERE id = $1 AND received_at = $3"
    );
    let (db, now) = (context.db()?, context.clock().now());
    let (headers, body, received_at): (String, Vec<u8>, DateTime<Utc>) =
        on!(db.read(), db => sqlx::query_as(SELECT).bind(id).fetch_one(db).await)
            .map_err(Error::not_found_if_no_row)?;
    let pairs: Vec<(String, String)> = serde_json::from_str(&headers).map_err(Error::internal)?;
    let parsed = pairs.iter().filter_map(|(name, value)| {
        Some((http::HeaderName::try_from(name).ok()?, http::HeaderValue::try_from(value).ok()?))
    });
    let event = Outgoing::again(&parsed.collect(), body)?;
    context.outbound().publish(event).await?;
    on!(db.write(), db =>
        sqlx::query(UPDATE).bind(id).bind(now).bind(received_at).execute(db).await.map(drop))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse().expect("name"), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_letter_is_read_in_either_mode_and_when_it_is_none() {
        let binary = headers(&[
            ("ce-specversion", "1.0"),
            ("ce-id", "a"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-knativeerrordest", "http://email-send/"),
            ("ce-knativeerrorcode", "503"),
            ("ce-knativeerrordata", "eyJtZXNzYWdlIjoiTm8gbGluZS4iLCJjb2RlIjoiWCJ9"),
        ]);
        let body = r#"{"specversion":"1.0","id":"a","source":"/s","type":"t","data":1,
            "knativeerrordest":"http://email-send/","knativeerrorcode":503,"knativeerrordata":"No line."}"#;
        let structured = headers(&[("content-type", "application/cloudevents+json")]);
        let letter = Letter::read(&binary, b"");
        assert_eq!(letter, Letter::read(&structured, body.as_bytes()));
        assert_eq!((letter.kind.as_str(), letter.error.as_deref()), ("t", Some("No line.")));
        let none = Letter::read(&HeaderMap::new(), b"\xff\x00nonsense");
        assert_eq!((none.source.as_str(), none.event_id.len()), ("", 43));
    }

    #[test]
    fn only_what_belongs_to_the_event_is_kept() {
        let received = headers(&[
            ("ce-id", "a"),
            ("ce-knativeerrorcode", "503"),
            ("content-type", "application/json"),
            ("host", "dead-letter"),
            ("authorization", "secret"),
        ]);
        assert_eq!(kept_headers(&received), r#"[["ce-id","a"],["content-type","application/json"]]"#);
    }
}
