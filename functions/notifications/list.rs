//! GET /public/v1/notifications: your own notifications, in the order of creation.

use axum::{Json, extract::State};
use runtime::{
    Caller, Context, Function, List, Paging, Result, db::page_of, error::ErrorBody, items::keep_readable, on,
    sql,
};

use super::{SERVICE, addresses::States, notification::Notification, row::Row};

pub const FUNCTION: Function =
    Function::new("notification-list", SERVICE, "lists the caller's notifications")
        .http(runtime::http!(handle))
        .reads(runtime::settings!(runtime::secret::Sealer));

#[utoipa::path(
    get, path = "/public/v1/notifications", tag = "notifications", security(("apikey" = [])), params(Paging),
    responses(
        (status = 200, body = List<Notification>),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are invalid.", "code": "VALIDATION_FAILED",
            "fields": {"page": "must be from 1 to 100000"},
        })),
        (status = 401, body = ErrorBody),
    ),
)]
async fn handle(
    State(context): State<Context>,
    caller: Caller,
    paging: Paging,
) -> Result<Json<List<Notification>>> {
    sql!(SELECT = "SELECT * FROM notification_rows WHERE user_id = $1 ORDER BY id LIMIT $2 OFFSET $3");
    sql!(COUNT = "SELECT COUNT(*) FROM notifications WHERE user_id = $1");
    let db = context.db()?;
    let (rows, found): (Vec<Row>, _) = on!(db.read(), db => {
        let query = sqlx::query(SELECT).bind(caller.user_id);
        query.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    let total: i64 =
        on!(db.read(), db => sqlx::query_scalar(COUNT).bind(caller.user_id).fetch_one(db).await)?;
    let states = States::of_rows(&context, &rows).await?;
    let items = rows.into_iter().map(|row| (row.id, row.shown(&context, &states)));
    Ok(paging.list(keep_readable(items), found, total))
}
