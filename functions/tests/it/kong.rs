//! A stand-in for Kong's Admin API that can fail on demand.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get, post},
};
use serde_json::{Value, json};

#[derive(Default)]
pub struct Consumers {
    /// The keys by username, and by their ids.
    pub keys: BTreeMap<String, BTreeMap<String, Value>>,
    /// Calls that are answered with 500, by method and last part of the path.
    pub failing: Option<(&'static str, &'static str)>,
    made: u32,
}

#[derive(Clone, Default)]
pub struct Kong(pub Arc<Mutex<Consumers>>);

type Answer = (StatusCode, Json<Value>);

impl Kong {
    /// Starts it; the second value is its URL.
    pub async fn start() -> (Self, String) {
        let kong = Self::default();
        let app = Router::new()
            .route("/consumers", post(create_consumer))
            .route("/consumers/{name}", delete(delete_consumer))
            .route("/consumers/{name}/key-auth", get(list_keys).post(create_key))
            .route("/consumers/{name}/key-auth/{id}", delete(delete_key))
            .with_state(kong.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (kong, url)
    }

    pub fn fail(&self, what: Option<(&'static str, &'static str)>) {
        self.0.lock().unwrap().failing = what;
    }

    /// The number of a user's keys; `None` without a consumer.
    pub fn keys_of(&self, user_id: i64) -> Option<usize> {
        self.0.lock().unwrap().keys.get(&format!("user-{user_id}")).map(BTreeMap::len)
    }

    fn fails(&self, method: &'static str, what: &'static str) -> bool {
        self.0.lock().unwrap().failing == Some((method, what))
    }
}

fn answer(status: u16, body: Value) -> Answer {
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

fn broken() -> Answer {
    answer(500, json!({"message": "An unexpected error occurred"}))
}

async fn create_consumer(State(kong): State<Kong>, Json(body): Json<Value>) -> Answer {
    if kong.fails("POST", "consumers") {
        return broken();
    }
    let name = body["username"].as_str().unwrap().to_owned();
    let mut consumers = kong.0.lock().unwrap();
    if consumers.keys.contains_key(&name) {
        return answer(409, json!({"message": "UNIQUE violation detected"}));
    }
    consumers.keys.insert(name, BTreeMap::new());
    answer(201, body)
}

async fn delete_consumer(State(kong): State<Kong>, Path(name): Path<String>) -> StatusCode {
    if kong.fails("DELETE", "consumers") {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    kong.0.lock().unwrap().keys.remove(&name);
    StatusCode::NO_CONTENT
}

async fn create_key(
    State(kong): State<Kong>,
    Path(name): Path<String>,
    Json(mut body): Json<Value>,
) -> Answer {
    if kong.fails("POST", "key-auth") {
        return broken();
    }
    let mut consumers = kong.0.lock().unwrap();
    consumers.made += 1;
    let id = format!("credential-{}", consumers.made);
    body["id"] = json!(id);
    let Some(keys) = consumers.keys.get_mut(&name) else {
        return answer(404, json!({"message": "Not found"}));
    };
    keys.insert(id, body.clone());
    answer(201, body)
}

/// Two at a time, so that paging is needed.
async fn list_keys(
    State(kong): State<Kong>,
    Path(name): Path<String>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Answer {
    let from: usize = query.and_then(|q| q.strip_prefix("offset=")?.parse().ok()).unwrap_or(0);
    let consumers = kong.0.lock().unwrap();
    let Some(keys) = consumers.keys.get(&name) else { return answer(404, json!({"message": "Not found"})) };
    let page: Vec<_> = keys.values().skip(from).take(2).collect();
    let next = (keys.len() > from + 2).then(|| format!("/consumers/{name}/key-auth?offset={}", from + 2));
    answer(200, json!({"data": page, "next": next}))
}

async fn delete_key(State(kong): State<Kong>, Path((name, id)): Path<(String, String)>) -> StatusCode {
    if kong.fails("DELETE", "key-auth") {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let mut consumers = kong.0.lock().unwrap();
    match consumers.keys.get_mut(&name).and_then(|keys| keys.remove(&id)) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}
