//! GET /public/v1/notifications/{id}: one of your own notifications.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, Id, Result, error::ErrorBody};

use super::{SERVICE, notification::Notification, row::own};

pub const FUNCTION: Function =
    Function::new("notification-get", SERVICE, "returns one of the caller's notifications")
        .http(runtime::http!(handle))
        .reads(runtime::settings!(runtime::secret::Sealer));

#[utoipa::path(
    get, path = "/public/v1/notifications/{id}", tag = "notifications", security(("apikey" = [])),
    params(("id" = i64, Path, example = 3)),
    responses(
        (status = 200, body = Notification),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, example = json!({
            "message": "Not found.", "code": "NOT_FOUND",
        })),
    ),
)]
async fn handle(State(context): State<Context>, caller: Caller, Id(id): Id) -> Result<Json<Notification>> {
    let row = own(context.db()?, caller.user_id, id).await?;
    Ok(Json(row.shown_alone(&context).await?))
}
