//! Tests of functions/reports.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    CheckResult, CheckStatus, EndpointDeleted, Failure, FailureCode, Outcome, Status, StatusChange, Timings,
    UserDeleted, kind,
};
use runtime::{outbound::Outbound, secret::Random};
use serde_json::{Value, json};

use crate::world::{Answer, Database, World, on_both};

mod forget;
mod incidents;
mod maintenance;
mod metrics;
mod overviews;
mod results;
mod retention;
mod summaries;

pub const ANN: i64 = 1;
pub const BOB: i64 = 2;
/// Ann's endpoint, and Bob's.
pub const ANNS: i64 = 10;
pub const BOBS: i64 = 20;

pub fn up(endpoint_id: i64, at: DateTime<Utc>, total: u32) -> CheckResult {
    CheckResult {
        endpoint_id,
        user_id: if endpoint_id < BOBS { ANN } else { BOB },
        scheduled_at: at,
        checked_at: at + TimeDelta::milliseconds(250),
        region: "seoul".into(),
        failure_threshold: 2,
        success_threshold: 1,
        interval_seconds: 60,
        revision: 0,
        maintenance: false,
        outcome: Outcome {
            status: CheckStatus::Up,
            status_code: Some(200),
            error: None,
            timings_ms: Timings {
                dns: Some(1),
                connect: Some(2),
                tls: None,
                first_byte: Some(3),
                transfer: Some(0),
                total,
            },
            ip: Some([203, 0, 113, 7].into()),
            certificate_expires_at: DateTime::from_timestamp(1_800_000_000, 0),
            response_bytes: 5120,
        },
    }
}

pub fn down(endpoint_id: i64, at: DateTime<Utc>) -> CheckResult {
    let mut result = up(endpoint_id, at, 10_000);
    let message = "No answer within 10 seconds.".to_owned();
    result.outcome = Outcome {
        status: CheckStatus::Down,
        status_code: None,
        error: Some(Failure { code: FailureCode::Timeout, message }),
        timings_ms: Timings { total: 10_000, ..Timings::default() },
        ip: None,
        certificate_expires_at: None,
        response_bytes: 0,
    };
    result
}

pub fn degraded(endpoint_id: i64, at: DateTime<Utc>, total: u32) -> CheckResult {
    let mut result = up(endpoint_id, at, total);
    let message = "A certificate expires in 5 days".to_owned();
    result.outcome.status = CheckStatus::Degraded;
    result.outcome.error = Some(Failure { code: FailureCode::CertificateExpiring, message });
    result
}

impl World {
    pub async fn record(&self, results: &[CheckResult]) {
        let answer = self.event("report-record", kind::CHECK_COMPLETED, "r/1", results).await;
        assert!(answer.status.is_success() && answer.body.is_empty(), "{answer:?}");
    }

    /// Triggers a function as the schedule does.
    pub async fn tick(&self, function: &str) {
        let answer = self.request(function, None, "POST", "/", None).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    /// Triggers a purge as the schedule does; the previous one was an hour ago.
    pub async fn purge(&self, function: &str) {
        let before = self.ago(3600).timestamp();
        for table in ["report_purges", "user_purges", "notification_purges", "dead_letter_purges"] {
            let trust =
                sqlx::AssertSqlSafe(format!("UPDATE {table} SET trusted_at = {before}, doubted_at = NULL"));
            let db = self.context.db().unwrap();
            runtime::on!(db.write(), db => sqlx::query(trust).execute(db).await.map(drop)).unwrap();
        }
        self.tick(function).await;
    }

    pub async fn get(&self, user: i64, path: &str) -> Value {
        self.call(Some(user), "GET", path, None).await.json(200)
    }

    pub async fn refused(&self, user: i64, path: &str) -> Answer {
        self.call(Some(user), "GET", path, None).await
    }

    pub fn ago(&self, seconds: i64) -> DateTime<Utc> {
        self.clock().now() - TimeDelta::seconds(seconds)
    }

    pub fn hours_pass(&self, hours: u64) {
        self.clock().advance(Duration::from_secs(hours * 3600));
    }

    /// A function in another process, with the same database and clock.
    pub fn another_process(&self) -> runtime::Context {
        self.another_process_with(|_| None)
    }

    /// Another process whose calls to other functions are answered by `answer`; `None` means not found.
    pub fn another_process_with(&self, answer: fn(&str) -> Option<Value>) -> runtime::Context {
        let outbound = Outbound::new(Arc::new(move |_, request| {
            let answer = answer(&request.uri().to_string());
            Box::pin(async move {
                let status = if answer.is_some() { 200 } else { 404 };
                let body = answer.unwrap_or_else(|| json!({"code": "NOT_FOUND"})).to_string();
                Ok(http::Response::builder().status(status).body(body.into())?)
            })
        }));
        let env = self.context.env();
        let as_role = env.get("DATABASE_URL_REPORTS").map(|url| ("DATABASE_URL".to_owned(), url.to_owned()));
        runtime::Context::new(env.with(as_role), self.clock().clone(), Random::System, outbound)
    }

    /// A number from the database.
    pub async fn number(&self, sql: &'static str) -> i64 {
        let db = self.context.db().unwrap();
        runtime::on!(db.read(), db => sqlx::query_scalar(sql).fetch_one(db).await).unwrap()
    }

    /// Changes rows directly, without the functions.
    pub async fn set(&self, sql: &'static str) {
        let db = self.context.db().unwrap();
        runtime::on!(db.write(), db => sqlx::query(sql).execute(db).await.map(drop)).unwrap();
    }

    pub async fn results(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM report_results").await
    }
}
