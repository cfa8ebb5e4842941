//! Event `notification.delivered`: closes the delivery, or schedules its next try, and publishes the next
//! deliveries.
//!
//! GET /private/v1/deliveries/{id}: whether a message must still be sent; called by the senders.

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{
    Context, Db, Event, Function, Id, Query, Reply, Result, Subscription,
    db::{JsonText, Transaction},
    error::ErrorBody,
    on, sql,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::queue::{self, MAX_WAIT};
use crate::notifications::SERVICE;
use contract::{DeliveryOutcome, NotificationDelivered, kind};

pub const NAME: &str = "delivery-record";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "records the result of a delivery")
    .http(runtime::http!(handle_state))
    .on(&[Subscription::to(kind::NOTIFICATION_DELIVERED)], || axum::routing::post(handle))
    .reads(runtime::settings!(runtime::secret::Sealer, crate::links::PublicUrl))
    .publishes();

async fn handle(State(context): State<Context>, event: Event<NotificationDelivered>) -> Result<Reply> {
    let (db, now) = (context.db()?, context.clock().now());
    let owners = record(db, &event.data, now).await?;
    queue::release(&context, NAME, &owners).await?;
    Ok(Reply::NONE)
}

#[derive(sqlx::FromRow)]
struct Entry {
    user_id: i64,
    notification_id: i64,
    host: String,
    status: String,
    attempt: i64,
    tries: i64,
    leased_at: Option<DateTime<Utc>>,
    reached: JsonText<Vec<String>>,
}

impl Entry {
    /// The final status when no more tries are made: delivered, if at least one recipient was reached.
    fn ended(&self) -> &'static str {
        if self.reached.0.is_empty() { "failed" } else { "delivered" }
    }
}

/// Returns the owners whose messages may be sent next; none if the delivery was deleted.
async fn record(db: &Db, told: &NotificationDelivered, now: DateTime<Utc>) -> Result<Vec<i64>> {
    sql!(
        SELECT = "SELECT user_id, notification_id, host, status, attempt, tries, leased_at, reached
        FROM deliveries WHERE id = $1"
    );
    sql!(
        CLOSE = "UPDATE deliveries SET status = $2, error = $3, finished_at = $4, leased_at = NULL
        WHERE id = $1"
    );
    let mut transaction = db.begin().await?;
    queue::lock(&mut transaction).await?;
    let entry: Option<Entry> = on!(transaction.connection(), db =>
        sqlx::query_as(SELECT).bind(told.delivery_id).fetch_optional(db).await)?;
    let Some(mut entry) = entry else { return Ok(Vec::new()) };
    let is_pending = entry.attempt == told.attempt && entry.status == "pending";
    let closed = match told.outcome {
        // A success is final, whatever other outcomes arrive for the same attempt.
        DeliveryOutcome::Delivered if entry.attempt == told.attempt && entry.status != "delivered" => {
            works_again(&mut transaction, entry.notification_id, now).await?;
            Some("delivered")
        }
        DeliveryOutcome::Failed if is_pending => Some(entry.ended()),
        DeliveryOutcome::Superseded if is_pending => Some("superseded"),
        DeliveryOutcome::Postponed if is_pending && entry.tries == told.tries => {
            postpone(&mut transaction, &mut entry, told, now).await?;
            None
        }
        _ => None,
    };
    if let Some(status) = closed {
        on!(transaction.connection(), db => {
            let query = sqlx::query(CLOSE).bind(told.delivery_id).bind(status).bind(&told.error);
            query.bind(told.at).execute(db).await.map(drop)
        })?;
    }
    let mut owners = queue::next_for_host(&mut transaction, &entry.host, entry.user_id, now).await?;
    owners.push(entry.user_id);
    transaction.commit().await?;
    Ok(owners)
}

/// The notification works again: its waiting messages are due now.
async fn works_again(transaction: &mut Transaction, notification_id: i64, now: DateTime<Utc>) -> Result<()> {
    sql!(STATE = "SELECT failures, tested_at IS NOT NULL FROM notifications WHERE id = $1");
    sql!(
        WORKS = "UPDATE notifications SET failures = 0, not_before = NULL,
            tested_at = COALESCE(tested_at, $2) WHERE id = $1"
    );
    sql!(
        DUE = "UPDATE deliveries SET due_at = $2
        WHERE notification_id = $1 AND status = 'pending' AND leased_at IS NULL AND due_at > $2"
    );
    on!(transaction.connection(), db => {
        let (failures, is_tested): (i64, bool) =
            sqlx::query_as(STATE).bind(notification_id).fetch_one(&mut *db).await?;
        if failures > 0 || !is_tested {
            sqlx::query(WORKS).bind(notification_id).bind(now).execute(&mut *db).await?;
        }
        // After a single failure only the failed message waited, not the notification.
        if failures > 1 {
            sqlx::query(DUE).bind(notification_id).bind(now).execute(&mut *db).await?;
        }
    });
    Ok(())
}

/// Waits for the message's own pause, and at least for the time that the receiver asked for.
async fn postpone(
    transaction: &mut Transaction,
    entry: &mut Entry,
    told: &NotificationDelivered,
    now: DateTime<Utc>,
) -> Result<()> {
    sql!(
        POSTPONE = "UPDATE deliveries SET tries = tries + 1, due_at = $2, leased_at = NULL,
            published_at = NULL, error = $3, reached = $4 WHERE id = $1"
    );
    // Of messages that were sent at the same time, only the first failure counts.
    sql!(
        FAILS = "UPDATE notifications SET
            failures = failures + CASE WHEN failed_at > $2 AND failed_at <= $3 THEN 0 ELSE 1 END,
            failed_at = CASE WHEN failed_at > $2 AND failed_at <= $3 THEN failed_at ELSE $3 END,
            not_before = COALESCE($4, not_before)
        WHERE id = $1"
    );
    let wanted = told.retry_after_seconds.map(|seconds| TimeDelta::seconds(seconds.into()).min(MAX_WAIT));
    entry.reached.0.extend(told.reached.iter().cloned());
    let pause = queue::pause(entry.tries + 1).max(wanted.unwrap_or_default());
    on!(transaction.connection(), db => {
        // If at least one address was reached, the notification works.
        if entry.reached.0.is_empty() {
            let fails = sqlx::query(FAILS).bind(entry.notification_id);
            let fails = fails.bind(entry.leased_at.unwrap_or(now)).bind(now);
            fails.bind(wanted.map(|wanted| now + wanted)).execute(&mut *db).await?;
        }
        let postpone = sqlx::query(POSTPONE).bind(told.delivery_id).bind(now + pause).bind(&told.error);
        postpone.bind(&entry.reached).execute(&mut *db).await?;
    });
    Ok(())
}

/// Whether a message must still be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    Wanted,
    /// Its user, endpoint or notification is deleted.
    Deleted,
    /// It was delivered, or another attempt replaced it.
    Done,
    /// The notification is disabled.
    Disabled,
    /// It is no longer true: the endpoint was paused since.
    Superseded,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct CurrentState {
    state: DeliveryState,
}

/// Asks whether a message must still be sent.
pub async fn state(context: &Context, delivery_id: i64, attempt: i64, tries: i64) -> Result<DeliveryState> {
    let path = format!("/private/v1/deliveries/{delivery_id}?attempt={attempt}&tries={tries}");
    Ok(context.outbound().get::<CurrentState>(NAME, &path).await?.state)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    attempt: i64,
    #[serde(default)]
    tries: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    attempt: i64,
    tries: i64,
    status: String,
    enabled: bool,
    overtaken: bool,
}

/// A deleted delivery is reported with 200, not 404: a function that cannot be reached also answers 404,
/// and that must not keep a message from being sent.
#[utoipa::path(
    get, path = "/private/v1/deliveries/{id}", tag = "deliveries",
    params(("id" = i64, Path, example = 12), Which),
    responses(
        (status = 200, body = CurrentState, example = json!({"state": "wanted"})),
        (status = 400, body = ErrorBody),
    ),
)]
async fn handle_state(
    State(context): State<Context>,
    Id(id): Id,
    Query(which): Query<Which>,
) -> Result<Json<CurrentState>> {
    // An endpoint that was down or degraded and is pending now was paused.
    sql!(SELECT = "SELECT d.attempt, d.tries, d.status,
            n.enabled AND (n.send_degraded OR d.what NOT IN ('degraded', 'not_degraded')) AS enabled,
            d.what IN ('down', 'degraded') AND EXISTS (
                SELECT 1 FROM notification_states s WHERE s.endpoint_id = d.endpoint_id AND s.status = 'pending')
            AS overtaken
        FROM deliveries d JOIN notifications n ON n.id = d.notification_id WHERE d.id = $1");
    let row: Option<Row> =
        on!(context.db()?.read(), db => sqlx::query_as(SELECT).bind(id).fetch_optional(db).await)?;
    let state = match row {
        None => DeliveryState::Deleted,
        // A failed delivery may come again, from the dead letters.
        Some(row) if row.attempt != which.attempt || matches!(&*row.status, "delivered" | "superseded") => {
            DeliveryState::Done
        }
        Some(row) if row.status == "pending" && row.tries != which.tries => DeliveryState::Done,
        Some(row) if !row.enabled => DeliveryState::Disabled,
        Some(row) if row.overtaken => DeliveryState::Superseded,
        Some(_) => DeliveryState::Wanted,
    };
    Ok(Json(CurrentState { state }))
}
