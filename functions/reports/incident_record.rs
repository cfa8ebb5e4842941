//! Event `status.changed`: opens and closes incidents.

use axum::{extract::State, routing::post};
use chrono::{DateTime, Utc};
use runtime::{Context, Event, Function, Items, Reply, Result, Subscription, Text, db::Transaction, on, sql};

use super::{SERVICE, incident_list::EndReason, moment, record::check_not_ahead, store};
use crate::words;
use contract::{Status, StatusChange, kind};

pub const FUNCTION: Function = Function::new("incident-record", SERVICE, "opens and closes incidents")
    .on(&[Subscription::to(kind::STATUS_CHANGED)], || post(handle));

/// An incident is identified by its endpoint and its start, and each change stores only what it reports. So changes
/// may arrive in any order, and more than once.
async fn handle(State(context): State<Context>, event: Event<Items<StatusChange>>) -> Result<Reply> {
    check_not_ahead(context.clock().now(), event.data.iter().map(|change| change.changed_at))?;
    let mut changes: Vec<_> = event.data.iter().filter(|change| is_possible(change)).collect();
    // One order for all transactions, so that they cannot deadlock.
    changes.sort_by_key(|change| (change.endpoint_id, change.outage_started_at));
    let mut transaction = store::begin_writing(context.db()?).await?;
    for change in changes {
        let Some(started_at) = change.outage_started_at else { continue };
        if change.to == Status::Down {
            record(&mut transaction, change, started_at, None).await?;
        } else if change.from == Status::Down {
            // After a clock was set back, an incident must not end before it began.
            record(&mut transaction, change, started_at, Some(change.changed_at.max(started_at))).await?;
        }
    }
    transaction.commit().await?;
    Ok(Reply::NONE)
}

/// An impossible change is set aside, so that it does not prevent the others from being recorded.
fn is_possible(change: &StatusChange) -> bool {
    let problem = problem(change);
    if let Some((field, what)) = &problem {
        tracing::error!(
            change.endpoint_id,
            field,
            what = %what.en,
            "a status change cannot be recorded: set aside"
        );
    }
    problem.is_none()
}

fn problem(change: &StatusChange) -> Option<(&'static str, Text)> {
    let of_an_outage = change.from == Status::Down || change.to == Status::Down;
    // One of the databases cannot store times outside this range.
    let possible =
        |time: &DateTime<Utc>| (moment::FIRST_TIME..=moment::LAST_TIME).contains(&time.timestamp());
    if change.endpoint_id < 1 {
        return Some(("endpoint_id", contract::words::MUST_BE_POSITIVE_INTEGER));
    }
    if !possible(&change.changed_at) {
        return Some(("changed_at", words::IS_NOT_POSSIBLE_TIME));
    }
    match &change.outage_started_at {
        None if of_an_outage => Some(("outage_started_at", contract::words::MISSING_FIELD)),
        Some(time) if !possible(time) => Some(("outage_started_at", words::IS_NOT_POSSIBLE_TIME)),
        _ => None,
    }
}

async fn record(
    transaction: &mut Transaction,
    change: &StatusChange,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
) -> Result<()> {
    sql!(RECORD = "
        INSERT INTO report_incidents (user_id, endpoint_id, started_at, ended_at, cause_code, cause_message,
            end_reason)
        SELECT $1, $2, $3, $4, $5, $6, $7
        WHERE NOT EXISTS (
            SELECT 1 FROM report_tombstones WHERE (what = 'user' AND id = $1) OR (what = 'endpoint' AND id = $2))
        ON CONFLICT (endpoint_id, started_at) DO UPDATE SET
            end_reason = CASE
                WHEN report_incidents.ended_at <= excluded.ended_at THEN report_incidents.end_reason
                ELSE COALESCE(excluded.end_reason, report_incidents.end_reason) END,
            ended_at = CASE
                WHEN report_incidents.ended_at <= excluded.ended_at THEN report_incidents.ended_at
                ELSE COALESCE(excluded.ended_at, report_incidents.ended_at) END,
            cause_code = COALESCE(report_incidents.cause_code, excluded.cause_code),
            cause_message = COALESCE(report_incidents.cause_message, excluded.cause_message)");
    let end_reason =
        ended_at.map(|_| if change.to == Status::Paused { EndReason::Paused } else { EndReason::Recovered });
    let code = change.cause.as_ref().map(|cause| cause.code.as_str());
    let message = change.cause.as_ref().map(|cause| store::shortened(&cause.message));
    on!(transaction.connection(), db => {
        let query = sqlx::query(RECORD).bind(change.user_id).bind(change.endpoint_id);
        let query = query.bind(started_at).bind(ended_at).bind(code).bind(message);
        let query = query.bind(end_reason.map(EndReason::as_str));
        query.execute(db).await.map(drop)
    })?;
    Ok(())
}
