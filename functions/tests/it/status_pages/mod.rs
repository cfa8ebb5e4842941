//! Tests of functions/status_pages.

mod announcements;
mod badges;
mod forget;
mod pages;
mod show;

use contract::{Failure, FailureCode, Status, StatusChange, kind};
use serde_json::{Value, json};

use crate::world::World;

pub const PAGES: &str = "/public/v1/status_pages";

impl World {
    /// Creates an endpoint of a user; returns its id.
    pub async fn watched(&self, user: i64, name: &str) -> i64 {
        let body = json!({"name": name, "url": "https://secret.test/path"});
        let made = self.call(Some(user), "POST", "/public/v1/endpoints", Some(body)).await.json(201);
        made["id"].as_i64().unwrap()
    }

    /// Sets a status, as if checks had found it.
    pub async fn becomes(&self, user_id: i64, endpoint_id: i64, to: Status) {
        let now = self.clock().now();
        let cause = Failure { code: FailureCode::Timeout, message: "secret.test did not answer".into() };
        let change = StatusChange {
            endpoint_id,
            user_id,
            from: Status::Pending,
            to,
            changed_at: now,
            revision: 0,
            outage_started_at: (to == Status::Down).then_some(now),
            cause: (to == Status::Down).then_some(cause),
        };
        let id = format!("{endpoint_id}-{to:?}-{now}");
        self.event("endpoint-observe", kind::STATUS_CHANGED, &id, &[change]).await.json(202);
    }

    pub async fn status_page(&self, user: i64, body: Value) -> Value {
        self.call(Some(user), "POST", PAGES, Some(body)).await.json(201)
    }
}

/// The value of a parameter in a path's query.
pub fn parameter<'a>(path: &'a str, name: &str) -> &'a str {
    let query = path.split_once('?').unwrap().1;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap()
}

pub fn list(items: &[Value]) -> Value {
    json!({"items": items, "page": {"current_page": 1, "total_count": items.len(), "per_page": 100}})
}
