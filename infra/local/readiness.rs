//! `GET /ready`: whether checks are made and their results stored, and if not, why.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use runtime::{
    Context,
    telemetry::{KeyValue, UpDownCounter, level},
};

/// How long a failed job makes the engine unready. A job that runs each minute fails again before that; a
/// daily job must not make the engine unready until the next day.
const JOB_FAILURE: TimeDelta = TimeDelta::minutes(5);
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

static FAILING: LazyLock<UpDownCounter<i64>> = LazyLock::new(|| {
    level("pongpong.engine.failing", "{part}", "Parts of the engine whose last attempt failed")
});

/// A part of the engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Storing events.
    Broker,
    BrokerReads,
    /// Delivering the events of a queue.
    Queue(String),
    Job(String),
}

impl Part {
    fn label(&self) -> String {
        match self {
            Self::Broker => "broker".to_owned(),
            Self::BrokerReads => "broker reads".to_owned(),
            Self::Queue(name) | Self::Job(name) => name.clone(),
        }
    }
}

/// The parts whose last attempt failed, and when.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<Part, DateTime<Utc>>>>);

impl Readiness {
    pub fn failed(&self, part: Part, now: DateTime<Utc>) {
        let label = part.label();
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, now).is_none() {
            FAILING.add(1, &[KeyValue::new("part", label)]);
        }
    }

    pub fn works(&self, part: &Part) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part).is_some() {
            FAILING.add(-1, &[KeyValue::new("part", part.label())]);
        }
    }

    /// Without details: everyone can read the answer, and the log has the details.
    fn reasons(&self, now: DateTime<Utc>) -> Vec<String> {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = |(part, at): (&Part, &DateTime<Utc>)| match part {
            Part::Broker => Some("the broker cannot write events".to_owned()),
            Part::BrokerReads => Some("the broker cannot read events".to_owned()),
            Part::Queue(name) => Some(format!("events are not delivered to {name}")),
            Part::Job(name) => (now - *at < JOB_FAILURE).then(|| format!("the job {name} fails")),
        };
        failed.iter().filter_map(reason).collect()
    }

    pub async fn answer(&self, context: &Context) -> Response {
        let mut reasons = self.reasons(context.clock().now());
        let ping = async { context.db()?.ping().await };
        match tokio::time::timeout(DATABASE_TIMEOUT, ping).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                reasons.push("the database does not answer".to_owned());
            }
            Err(_) => reasons.push("the database does not answer in time".to_owned()),
        }
        if reasons.is_empty() {
            "ok".into_response()
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, reasons.join("; ")).into_response()
        }
    }
}
