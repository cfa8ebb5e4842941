//! POST /public/v1/deliveries/{id}/retry: sends a message once more that failed, or that was lost on
//! its way.

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{Caller, Context, Db, Error, Function, Id, Result, error::ErrorBody, on, text};

use crate::{
    contract::NotificationRequested,
    notifications::{SERVICE, channel_of, dispatch},
    senders::Done,
};

pub const FUNCTION: Function = Function::new("delivery-retry", SERVICE, "sends a failed message once more")
    .http(runtime::http!(handle))
    .per_minute(30)
    .publishes();

#[utoipa::path(
    post, path = "/public/v1/deliveries/{id}/retry", tag = "deliveries", security(("apikey" = [])),
    params(("id" = i64, Path, example = 12)),
    responses(
        (status = 200, body = Done, example = json!({"status": "ok"})),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "DELIVERY_NOT_FAILED: it was delivered. DELIVERY_PENDING: it is still \
            being sent; after 30 minutes it counts as lost.", body = ErrorBody, example = json!({
            "message": "Only a failed delivery can be sent again.", "code": "DELIVERY_NOT_FAILED",
        })),
        (status = 429, description = "Too many in this minute.", body = ErrorBody),
        (status = 503, description = "The broker does not take it now.", body = ErrorBody),
    ),
)]
async fn handle(State(context): State<Context>, caller: Caller, Id(id): Id) -> Result<Json<Done>> {
    let (db, now) = (context.db()?, context.clock().now());
    let request = next_attempt(db, caller.user_id, id, now).await?;
    if let Err(error) = dispatch::publish_one(&context, &request, now).await {
        give_up(db, &request).await?;
        return Err(error);
    }
    Ok(Json(Done::ok()))
}

#[derive(sqlx::FromRow)]
struct Row {
    attempt: i64,
    notification_id: i64,
    channel: String,
    alert: String,
}

/// When a message whose outcome is not known counts as lost: the broker has given up by then, so that it
/// cannot be one that is still tried.
const LOST: TimeDelta = TimeDelta::minutes(30);

/// With the channel's config as it is now: it may be what was wrong.
async fn next_attempt(db: &Db, user_id: i64, id: i64, now: DateTime<Utc>) -> Result<NotificationRequested> {
    const STATUS: &str = "SELECT status FROM deliveries WHERE id = $1 AND user_id = $2";
    // The time is set before the broker has it: should that never be, it counts as lost from then on.
    const UPDATE: &str = "UPDATE deliveries SET attempt = attempt + 1, status = 'pending', error = NULL,
            finished_at = NULL, published_at = $2
        WHERE id = $1 AND (status = 'failed'
            OR (status = 'pending' AND COALESCE(published_at, created_at) <= $3))
        RETURNING attempt, notification_id, channel, alert";
    const CONFIG: &str = "SELECT sealed_config FROM notifications WHERE id = $1";
    let status: String = on!(db.read(), db =>
        sqlx::query_scalar(STATUS).bind(id).bind(user_id).fetch_one(db).await)
    .map_err(Error::not_found_if_no_row)?;
    let row: Option<Row> = on!(db.write(), db =>
        sqlx::query_as(UPDATE).bind(id).bind(now).bind(now - LOST).fetch_optional(db).await)?;
    let row = row.ok_or_else(|| refusal(&status))?;
    let sealed_config = on!(db.read(), db =>
        sqlx::query_scalar(CONFIG).bind(row.notification_id).fetch_one(db).await)
    .map_err(Error::not_found_if_no_row)?;
    Ok(NotificationRequested {
        delivery_id: id,
        attempt: row.attempt,
        notification_id: row.notification_id,
        channel: channel_of(&row.channel)?,
        sealed_config,
        alert: serde_json::from_str(&row.alert).map_err(Error::internal)?,
    })
}

fn refusal(status: &str) -> Error {
    if status == "delivered" {
        return Error::conflict(
            "DELIVERY_NOT_FAILED",
            text("Only a failed delivery can be sent again.", "실패한 전송만 다시 보낼 수 있습니다."),
        );
    }
    let minutes = LOST.num_minutes();
    Error::conflict(
        "DELIVERY_PENDING",
        text(
            format!(
                "This is still being sent. It can be sent again if it is not done after {minutes} minutes."
            ),
            format!("아직 보내는 중입니다. {minutes}분이 지나도 끝나지 않으면 다시 보낼 수 있습니다."),
        ),
    )
}

/// So that it can be asked for again.
async fn give_up(db: &Db, request: &NotificationRequested) -> Result<()> {
    const UPDATE: &str = "UPDATE deliveries SET status = 'failed', error = 'This could not be queued.'
        WHERE id = $1 AND attempt = $2 AND status = 'pending'";
    on!(db.write(), db =>
        sqlx::query(UPDATE).bind(request.delivery_id).bind(request.attempt).execute(db).await.map(drop))?;
    Ok(())
}
