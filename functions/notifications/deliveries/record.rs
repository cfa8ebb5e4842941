//! Event `notification.delivered`: closes the entry in the delivery log.
//!
//! GET /private/v1/deliveries/{id}: whether a message is still to be sent, for the senders.

use axum::{Json, extract::State};
use runtime::{Context, Event, Function, Id, Query, Reply, Result, Subscription, error::ErrorBody, on};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    contract::{NotificationDelivered, kind},
    notifications::{SERVICE, evaluate::MAX_AHEAD},
};

pub const NAME: &str = "delivery-record";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "closes an entry in the delivery log")
    .http(runtime::http!(standing))
    .on(&[Subscription::to(kind::NOTIFICATION_DELIVERED)], || axum::routing::post(handle));

async fn handle(State(context): State<Context>, event: Event<NotificationDelivered>) -> Result<Reply> {
    // A success stays one, whatever is said later about the same attempt.
    const UPDATE: &str = "UPDATE deliveries SET status = $3, error = $4, finished_at = $5
        WHERE id = $1 AND attempt = $2 AND status <> 'delivered'";
    let told = event.data;
    let status = if told.delivered { "delivered" } else { "failed" };
    on!(context.db()?.write(), db => {
        let query = sqlx::query(UPDATE).bind(told.delivery_id).bind(told.attempt).bind(status);
        query.bind(told.error).bind(told.at).execute(db).await.map(drop)
    })?;
    Ok(Reply::NONE)
}

/// Whether a message is still to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Wanted,
    /// Its user, endpoint or channel is deleted.
    Gone,
    /// It was delivered, or another attempt has taken the place of this one.
    Done,
    /// The channel is switched off.
    Disabled,
    /// The channel is told of a later change of the same endpoint, or location.
    Overtaken,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeliveryStanding {
    pub standing: Standing,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    attempt: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    attempt: i64,
    status: String,
    enabled: bool,
    overtaken: bool,
}

/// What is gone is said with 200: a function that cannot be found answers 404 as well, and that must
/// never keep a message from being sent.
#[utoipa::path(
    get, path = "/private/v1/deliveries/{id}", tag = "deliveries",
    params(("id" = i64, Path, example = 12), Which),
    responses(
        (status = 200, body = DeliveryStanding, example = json!({"standing": "wanted"})),
        (status = 400, body = ErrorBody),
    ),
)]
async fn standing(
    State(context): State<Context>,
    Id(id): Id,
    Query(which): Query<Which>,
) -> Result<Json<DeliveryStanding>> {
    // A change of a time that has not come is one of a clock that was set back. What was down, and is pending, was
    // paused.
    const SELECT: &str = "SELECT d.attempt, d.status, n.enabled, EXISTS (
            SELECT 1 FROM deliveries later WHERE later.notification_id = d.notification_id
                AND later.endpoint_id = d.endpoint_id AND later.changed_at > d.changed_at
                AND later.changed_at <= $2)
            OR d.what = 'down' AND EXISTS (
                SELECT 1 FROM notification_states s WHERE s.endpoint_id = d.endpoint_id AND s.status = 'pending')
            AS overtaken
        FROM deliveries d JOIN notifications n ON n.id = d.notification_id WHERE d.id = $1";
    let now = context.clock().now();
    let row: Option<Row> = on!(context.db()?.read(), db => sqlx::query_as(SELECT).bind(id).bind(now + MAX_AHEAD).fetch_optional(db).await)?;
    let standing = match row {
        None => Standing::Gone,
        // One that failed may come once more, out of the dead letters.
        Some(row) if row.attempt != which.attempt || row.status == "delivered" => Standing::Done,
        Some(row) if !row.enabled => Standing::Disabled,
        Some(row) if row.overtaken => Standing::Overtaken,
        Some(_) => Standing::Wanted,
    };
    Ok(Json(DeliveryStanding { standing }))
}
