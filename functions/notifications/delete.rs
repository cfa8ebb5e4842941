//! DELETE /public/v1/notifications/{id}: deletes a notification and its log of deliveries.

use axum::{extract::State, http::StatusCode};
use runtime::{Caller, Context, Error, Function, Id, Result, error::ErrorBody, on, sql};

use super::{SERVICE, deliveries::queue};

pub const FUNCTION: Function =
    Function::new("notification-delete", SERVICE, "deletes a notification and its delivery log")
        .http(runtime::http!(handle));

#[utoipa::path(
    delete, path = "/public/v1/notifications/{id}", tag = "notifications", security(("apikey" = [])),
    params(("id" = i64, Path, example = 3)),
    responses(
        (status = 204),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, example = json!({
            "message": "Not found.", "code": "NOT_FOUND",
        })),
    ),
)]
async fn handle(State(context): State<Context>, caller: Caller, Id(id): Id) -> Result<StatusCode> {
    // Also deletes its deliveries. Takes the queue's lock first, because a transaction that holds one of
    // the deliveries may need the notification's row.
    sql!(DELETE = "DELETE FROM notifications WHERE id = $1 AND user_id = $2");
    let mut transaction = context.db()?.begin().await?;
    queue::lock(&mut transaction).await?;
    let deleted = on!(transaction.connection(), db =>
        sqlx::query(DELETE).bind(id).bind(caller.user_id).execute(db).await.map(|d| d.rows_affected()))?;
    transaction.commit().await?;
    if deleted == 0 { Err(Error::not_found()) } else { Ok(StatusCode::NO_CONTENT) }
}
