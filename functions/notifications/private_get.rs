//! GET /private/v1/notifications/{id}: a notification of any user.

use axum::{Json, extract::State};
use runtime::{Context, Db, Error, Function, Id, Result, error::ErrorBody, on, sql};

use super::{SERVICE, private_list::PrivateNotification, row::Row};

pub const FUNCTION: Function =
    Function::new("notification-private-get", SERVICE, "returns a notification, for other functions")
        .http(runtime::http!(handle))
        .reads(runtime::settings!(runtime::secret::Sealer));

#[utoipa::path(
    get, path = "/private/v1/notifications/{id}", tag = "notifications",
    params(("id" = i64, Path, example = 3)),
    responses(
        (status = 200, body = PrivateNotification),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ),
)]
async fn handle(State(context): State<Context>, Id(id): Id) -> Result<Json<PrivateNotification>> {
    let row = find(context.db()?, id).await?;
    let user_id = row.user_id;
    Ok(Json(PrivateNotification { user_id, notification: row.shown_alone(&context).await? }))
}

pub(super) async fn find(db: &Db, id: i64) -> Result<Row> {
    sql!(SELECT = "SELECT * FROM notification_rows WHERE id = $1");
    on!(db.read(), db => sqlx::query_as(SELECT).bind(id).fetch_one(db).await)
        .map_err(Error::not_found_if_no_row)
}
