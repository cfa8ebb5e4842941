//! POST /public/v1/deliveries/{id}/retry: sends a failed message again, or sends a waiting message now.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use runtime::{Caller, Context, Db, Error, Function, Id, Result, error::ErrorBody, on, sql};

use super::queue;
use crate::notifications::{SERVICE, senders::Done};
use crate::words;

const NAME: &str = "delivery-retry";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "sends a failed delivery again")
    .http(runtime::http!(handle))
    .per_minute(30)
    .reads(runtime::settings!(runtime::secret::Sealer, crate::links::PublicUrl))
    .publishes();

#[utoipa::path(
    post, path = "/public/v1/deliveries/{id}/retry", tag = "deliveries", security(("apikey" = [])),
    params(("id" = i64, Path, example = 12)),
    responses(
        (status = 200, body = Done, example = json!({"status": "ok"})),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "DELIVERY_NOT_FAILED: it was delivered, or superseded. DELIVERY_PENDING: \
            it is being sent.", body = ErrorBody, example = json!({
            "message": "Only a failed delivery can be sent again.", "code": "DELIVERY_NOT_FAILED",
        })),
        (status = 429, description = "Too many in this minute.", body = ErrorBody),
        (status = 503, description = "The broker does not take it now.", body = ErrorBody),
    ),
)]
async fn handle(State(context): State<Context>, caller: Caller, Id(id): Id) -> Result<Json<Done>> {
    let (db, now) = (context.db()?, context.clock().now());
    ask_again(db, caller.user_id, id, now).await?;
    // If the broker refuses it now, the message waits and is tried again.
    queue::release(&context, NAME, &[caller.user_id]).await?;
    Ok(Json(Done::ok()))
}

/// Ignores earlier failures and pauses: a person may have fixed the cause.
async fn ask_again(db: &Db, user_id: i64, id: i64, now: DateTime<Utc>) -> Result<()> {
    sql!(STATUS = "SELECT status FROM deliveries WHERE id = $1 AND user_id = $2");
    sql!(
        UPDATE = "UPDATE deliveries SET attempt = attempt + 1, tries = 0, status = 'pending', error = NULL,
            finished_at = NULL, published_at = NULL, asked_at = $2, due_at = $2,
            handed_at = COALESCE(handed_at, $2)
        WHERE id = $1 AND leased_at IS NULL AND status IN ('failed', 'pending') RETURNING notification_id"
    );
    sql!(
        CHANNEL = "UPDATE notifications SET failures = 0, failed_at = NULL, not_before = NULL WHERE id = $1"
    );
    let mut transaction = db.begin().await?;
    queue::lock(&mut transaction).await?;
    let status: String = on!(transaction.connection(), db =>
        sqlx::query_scalar(STATUS).bind(id).bind(user_id).fetch_one(db).await)
    .map_err(Error::not_found_if_no_row)?;
    let channel: Option<i64> = on!(transaction.connection(), db =>
        sqlx::query_scalar(UPDATE).bind(id).bind(now).fetch_optional(db).await)?;
    let channel = channel.ok_or_else(|| refusal(&status))?;
    on!(transaction.connection(), db => sqlx::query(CHANNEL).bind(channel).execute(db).await.map(drop))?;
    transaction.commit().await
}

fn refusal(status: &str) -> Error {
    if status == "pending" {
        return Error::conflict("DELIVERY_PENDING", words::THIS_IS_BEING_SENT);
    }
    Error::conflict("DELIVERY_NOT_FAILED", words::ONLY_FAILED_IS_SENT_AGAIN)
}
