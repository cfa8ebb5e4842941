//! Tests of functions/notifications.

mod addresses;
mod crud;
mod delivery_state;
mod dispatch;
mod evaluate;
mod forget;
mod purge;
mod queue;
mod region_outage;
mod revisions;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{CheckResult, CheckStatus, Failure, FailureCode, Outcome, Status, StatusChange, Timings};
use serde_json::{Value, json};

use crate::world::World;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub fn failure() -> Failure {
    Failure { code: FailureCode::StatusMismatch, message: "Expected status 200-399, got 503".into() }
}

pub fn at(minute: i64) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc() + TimeDelta::minutes(minute)
}

pub fn result(endpoint_id: i64, user_id: i64, minute: i64, up: bool) -> CheckResult {
    CheckResult {
        endpoint_id,
        user_id,
        scheduled_at: at(minute),
        checked_at: at(minute) + TimeDelta::milliseconds(70),
        region: "default".into(),
        failure_threshold: 2,
        success_threshold: 1,
        interval_seconds: 60,
        revision: 0,
        maintenance: false,
        outcome: Outcome {
            status: if up { CheckStatus::Up } else { CheckStatus::Down },
            status_code: Some(if up { 200 } else { 503 }),
            error: (!up).then(failure),
            timings_ms: Timings { total: 42, ..Timings::default() },
            ip: None,
            certificate_expires_at: None,
            response_bytes: 10,
        },
    }
}

pub fn change(endpoint_id: i64, user_id: i64, minute: i64, from: Status, to: Status) -> StatusChange {
    let about_outage = from == Status::Down || to == Status::Down;
    StatusChange {
        endpoint_id,
        user_id,
        from,
        to,
        changed_at: at(minute),
        revision: 0,
        outage_started_at: about_outage.then(|| at(0)),
        cause: about_outage.then(failure),
    }
}

pub fn brief(id: i64, user: i64) -> Value {
    json!({
        "id": id, "user_id": user, "name": format!("Shop {id}"), "url": "https://shop.test/?token=urlsecret", "status": "up",
        "enabled": true, "revision": 0,
    })
}

impl World {
    /// Endpoints 1 to 9 belong to user 1, 11 to 19 to user 2, and so on.
    pub fn with_endpoints(&self) {
        self.with_endpoints_of(|id| (id % 10 != 0).then_some(1 + id / 10));
    }

    /// Endpoints with these owners.
    pub fn with_endpoints_of(&self, user: impl Fn(i64) -> Option<i64> + Send + Sync + 'static) {
        self.with_briefs(move |id| Some(brief(id, user(id)?)));
    }

    /// The endpoint data that other functions get.
    pub fn with_briefs(&self, brief: impl Fn(i64) -> Option<Value> + Send + Sync + 'static) {
        self.stand_in("endpoint-private-list", move |path| {
            let ids = path.strip_prefix("/private/v1/endpoint_briefs?ids=").unwrap().split(',');
            let ids = ids.filter(|id| !id.is_empty()).map(|id| id.parse().unwrap());
            let (found, items): (Vec<i64>, Vec<Value>) = ids.filter_map(|id| Some((id, brief(id)?))).unzip();
            (200, json!({"items": items, "found": found}))
        });
    }

    pub async fn notification(&self, user: i64, body: Value) -> i64 {
        let answer = self.call(Some(user), "POST", "/public/v1/notifications", Some(body)).await;
        answer.json(201)["id"].as_i64().unwrap()
    }

    pub async fn webhook(&self, user: i64, url: &str) -> i64 {
        let config = json!({"url": url, "secret": SECRET});
        self.notification(user, json!({"name": "hook", "kind": "webhook", "config": config})).await
    }

    pub async fn deliveries(&self, user: i64) -> Vec<Value> {
        let answer = self.call(Some(user), "GET", "/public/v1/deliveries", None).await.json(200);
        answer["items"].as_array().unwrap().clone()
    }
}
