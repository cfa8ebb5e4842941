//! The part of Kong's Admin API that the functions use (consumers and their keys), and, for the operator, the
//! functions' private API, which on a cluster is reached from within the cluster.
//!
//! A connection from this machine proves nothing: the prober runs here too, and requests any URL that a user
//! enters. So every request must carry a token that only the engine and the functions know, either in the
//! header that Kong's RBAC uses for it, or as a bearer token, because Prometheus cannot send other headers.
//! In addition, the API listens on the loopback address by default; it takes JSON only (a foreign web page
//! cannot send JSON without a preflight request, which is refused); and on the loopback address it answers
//! only if the host name is an IP address or `localhost` (so a foreign name that resolves to this machine
//! gets nothing).

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Query, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodFilter, delete, get, on},
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use runtime::{Clock, Function, secret::Random};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::{
    apps::Apps,
    consumers::{Consumer, Consumers, Key, MAX_KEY_BYTES},
};

#[derive(Clone)]
struct Admin {
    consumers: Consumers,
    clock: Clock,
    random: Random,
}

/// Which requests are answered.
pub struct Guard {
    pub token: String,
    pub loopback: bool,
}

/// Refusals in Kong's form.
enum Refusal {
    Forbidden,
    Unauthorized,
    NotFound,
    NotJson,
    Schema { field: String, problem: String },
    Taken { field: &'static str },
    Broken(anyhow::Error),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Forbidden => (403, json!({"message": "Forbidden"})),
            Self::Unauthorized => (401, json!({"message": "Invalid credentials. Token required"})),
            Self::NotFound => (404, json!({"message": "Not found"})),
            Self::NotJson => (400, json!({"message": "Cannot parse JSON body"})),
            Self::Schema { field, problem } => (
                400,
                json!({
                    "code": 2, "name": "schema violation",
                    "message": format!("schema violation ({field}: {problem})"),
                    "fields": {field: problem},
                }),
            ),
            // Kong repeats the value; a key must not be repeated.
            Self::Taken { field } => (
                409,
                json!({
                    "code": 5, "name": "unique constraint violation",
                    "message": format!("UNIQUE violation detected on '{{{field}}}'"),
                    "fields": {field: "already exists"},
                }),
            ),
            Self::Broken(error) => {
                tracing::error!(%error, "the admin API failed");
                (500, json!({"message": "An unexpected error occurred"}))
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, axum::Json(body)).into_response()
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

type Answer = Result<Response, Refusal>;

pub fn router(consumers: Consumers, clock: Clock, random: Random, private: Router, guard: Guard) -> Router {
    let not_allowed =
        async || (StatusCode::METHOD_NOT_ALLOWED, axum::Json(json!({"message": "Method not allowed"})));
    Router::new()
        .route("/consumers", get(list).post(create))
        .route("/consumers/{consumer}", get(show).delete(remove))
        .route("/consumers/{consumer}/key-auth", get(list_keys).post(create_key))
        .route("/consumers/{consumer}/key-auth/{key}", delete(remove_key))
        .with_state(Admin { consumers, clock, random })
        .merge(private)
        .method_not_allowed_fallback(not_allowed)
        .fallback(async || Refusal::NotFound)
        .layer(DefaultBodyLimit::max(64 * 1024))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guarded))
}

/// Routes for the private operations that the functions declare.
pub fn private(functions: &'static [Function], apps: &Arc<Apps>) -> Router {
    let mut router = Router::new();
    for function in functions {
        for operation in function.operations().into_iter().filter(|o| o.path.starts_with("/private/")) {
            let Ok(method) = operation.method.parse::<Method>() else { continue };
            let Ok(method) = MethodFilter::try_from(method) else { continue };
            let apps = Arc::clone(apps);
            let ask = async move |mut request: Request<Body>| {
                // Path parameters of this router and the token are not meant for the function.
                request.extensions_mut().clear();
                request.headers_mut().remove(TOKEN);
                request.headers_mut().remove(header::AUTHORIZATION);
                apps.ask(function.name, request).await.ok_or(Refusal::NotFound)
            };
            router = router.route(&operation.path, on(method, ask));
        }
    }
    router
}

const TOKEN: &str = "kong-admin-token";

async fn guarded(State(guard): State<Arc<Guard>>, request: Request<Body>, next: Next) -> Answer {
    guard.admit(request.headers())?;
    Ok(next.run(request).await)
}

impl Guard {
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let sent = |name: &str| headers.get(name).map(|value| value.as_bytes()).unwrap_or_default();
        let host = std::str::from_utf8(sent("host")).unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if self.loopback && name != "localhost" && address.is_err() {
            return Err(Refusal::Forbidden);
        }
        let bearer = sent("authorization").strip_prefix(b"Bearer ").unwrap_or_default();
        let known = |token: &[u8]| token.ct_eq(self.token.as_bytes());
        if !bool::from(known(sent(TOKEN)) | known(bearer)) {
            return Err(Refusal::Unauthorized);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewConsumer {
    username: Option<String>,
    custom_id: Option<String>,
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    key: Option<String>,
    ttl: Option<u32>,
    tags: Option<Vec<String>>,
}

/// The same maximum as Kong's.
const MAX_TTL: u32 = 100_000_000;

fn body<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json"));
    // Like Kong, treat an absent body as an empty object.
    let text = if body.is_empty() { b"{}" } else { &body[..] };
    if !is_json && !body.is_empty() {
        return Err(Refusal::NotJson);
    }
    let value: Value = serde_json::from_slice(text).map_err(|_| Refusal::NotJson)?;
    serde_json::from_value(value).map_err(|error| schema("body", &error.to_string()))
}

fn schema(field: &str, problem: &str) -> Refusal {
    Refusal::Schema { field: field.to_owned(), problem: problem.to_owned() }
}

/// A violation of a unique constraint is the client's error; any other error is ours.
fn taken(error: sqlx::Error, fields: &[&'static str]) -> Refusal {
    match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => {
            let field = fields.iter().find(|field| cause.message().contains(**field));
            Refusal::Taken { field: field.copied().unwrap_or("id") }
        }
        _ => Refusal::Broken(error.into()),
    }
}

fn tags(tags: Option<Vec<String>>) -> Option<String> {
    tags.map(|tags| json!(tags).to_string())
}

fn shown_tags(tags: Option<&str>) -> Value {
    tags.and_then(|tags| serde_json::from_str(tags).ok()).unwrap_or(Value::Null)
}

fn shown(consumer: &Consumer) -> Value {
    let Consumer { id, username, custom_id, tags, created_at } = consumer;
    json!({
        "id": id, "username": username, "custom_id": custom_id, "tags": shown_tags(tags.as_deref()),
        "created_at": created_at, "updated_at": created_at,
    })
}

async fn create(State(admin): State<Admin>, headers: HeaderMap, sent: Bytes) -> Answer {
    let new: NewConsumer = body(&headers, &sent)?;
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (username, custom_id) = (some(new.username), some(new.custom_id));
    if username.is_none() && custom_id.is_none() {
        let problem = "at least one of these fields must be non-empty: 'custom_id', 'username'";
        return Err(schema("@entity", problem));
    }
    let consumer = Consumer {
        id: crate::uuid(&admin.random),
        username,
        custom_id,
        tags: tags(new.tags),
        created_at: admin.clock.now().timestamp(),
    };
    admin.consumers.add(&consumer).await.map_err(|e| taken(e, &["username", "custom_id"]))?;
    Ok((StatusCode::CREATED, axum::Json(shown(&consumer))).into_response())
}

#[derive(Deserialize)]
struct Page {
    custom_id: Option<String>,
    size: Option<u32>,
    offset: Option<String>,
}

async fn list(State(admin): State<Admin>, Query(page): Query<Page>) -> Answer {
    let size = page.size.unwrap_or(100).clamp(1, 1000);
    let after = page.offset.unwrap_or_default();
    let found = admin.consumers.list(page.custom_id.as_deref(), &after, size).await?;
    let full = found.len() == size as usize;
    let last = found.last().filter(|_| full && page.custom_id.is_none()).map(|c| c.id.as_str());
    let next = last.map(|id| format!("/consumers?size={size}&offset={id}"));
    let data: Vec<_> = found.iter().map(shown).collect();
    Ok(axum::Json(json!({"data": data, "next": next})).into_response())
}

async fn known(admin: &Admin, name: &str) -> Result<Consumer, Refusal> {
    admin.consumers.get(name).await?.ok_or(Refusal::NotFound)
}

async fn show(State(admin): State<Admin>, Path(name): Path<String>) -> Answer {
    Ok(axum::Json(shown(&known(&admin, &name).await?)).into_response())
}

async fn remove(State(admin): State<Admin>, Path(name): Path<String>) -> Answer {
    admin.consumers.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn create_key(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    headers: HeaderMap,
    sent: Bytes,
) -> Answer {
    let new: NewKey = body(&headers, &sent)?;
    let consumer = known(&admin, &name).await?;
    let secret = new.key.unwrap_or_else(|| admin.random.token());
    if secret.is_empty() || secret.len() > MAX_KEY_BYTES {
        return Err(schema("key", "length must be between 1 and 1024"));
    }
    // 0 means unlimited, as in Kong.
    let ttl = new.ttl.filter(|ttl| *ttl > 0);
    if ttl.is_some_and(|ttl| ttl > MAX_TTL) {
        return Err(schema("ttl", "value should be between 0 and 100000000"));
    }
    let now = admin.clock.now().timestamp();
    let key = Key {
        id: crate::uuid(&admin.random),
        consumer_id: consumer.id,
        tags: tags(new.tags),
        created_at: now,
        expires_at: ttl.map(|ttl| now + i64::from(ttl)),
    };
    admin.consumers.add_key(&key, &secret).await.map_err(|e| match &e {
        // The consumer was deleted in the meantime.
        sqlx::Error::Database(cause) if cause.is_foreign_key_violation() => Refusal::NotFound,
        _ => match taken(e, &["hash"]) {
            Refusal::Taken { .. } => Refusal::Taken { field: "key" },
            other => other,
        },
    })?;
    let mut answer = shown_key(&key, now);
    answer["key"] = secret.into();
    Ok((StatusCode::CREATED, axum::Json(answer)).into_response())
}

/// Without the key itself, which Kong would show: here only its hash is stored.
fn shown_key(key: &Key, now: i64) -> Value {
    let Key { id, consumer_id, tags, created_at, expires_at } = key;
    json!({
        "id": id, "consumer": {"id": consumer_id}, "tags": shown_tags(tags.as_deref()),
        "created_at": created_at, "ttl": expires_at.map(|at| at - now),
    })
}

async fn list_keys(State(admin): State<Admin>, Path(name): Path<String>) -> Answer {
    let consumer = known(&admin, &name).await?;
    let now = admin.clock.now();
    let keys = admin.consumers.keys(&consumer.id, now).await?;
    let data: Vec<_> = keys.iter().map(|key| shown_key(key, now.timestamp())).collect();
    Ok(axum::Json(json!({"data": data, "next": null})).into_response())
}

async fn remove_key(State(admin): State<Admin>, Path((name, key)): Path<(String, String)>) -> Answer {
    let consumer = known(&admin, &name).await?;
    admin.consumers.delete_key(&consumer.id, &key).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
