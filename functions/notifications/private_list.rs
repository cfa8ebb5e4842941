//! GET /private/v1/notifications: the notifications of all users, or of one.

use axum::{Json, extract::State};
use runtime::{
    Context, Function, List, Paging, Query, Result, db::page_of, error::ErrorBody, items::keep_readable, on,
    sql,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{SERVICE, addresses::States, notification::Notification, row::Row};

pub const FUNCTION: Function =
    Function::new("notification-private-list", SERVICE, "lists notifications, for other functions")
        .http(runtime::http!(handle))
        .reads(runtime::settings!(runtime::secret::Sealer));

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    user_id: Option<i64>,
}

/// A notification and its user.
#[derive(Debug, Serialize, ToSchema)]
pub struct PrivateNotification {
    pub user_id: i64,
    #[serde(flatten)]
    pub notification: Notification,
}

#[utoipa::path(
    get, path = "/private/v1/notifications", tag = "notifications", params(Filter, Paging),
    responses(
        (status = 200, body = List<PrivateNotification>),
        (status = 400, body = ErrorBody),
    ),
)]
async fn handle(
    State(context): State<Context>,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<PrivateNotification>>> {
    sql!(
        SELECT = "SELECT * FROM notification_rows WHERE $1 IS NULL OR user_id = $1
        ORDER BY id LIMIT $2 OFFSET $3"
    );
    sql!(COUNT = "SELECT COUNT(*) FROM notifications WHERE $1 IS NULL OR user_id = $1");
    let db = context.db()?;
    let (rows, found): (Vec<Row>, _) = on!(db.read(), db => {
        let query = sqlx::query(SELECT).bind(filter.user_id);
        query.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    let total: i64 =
        on!(db.read(), db => sqlx::query_scalar(COUNT).bind(filter.user_id).fetch_one(db).await)?;
    let states = States::of_rows(&context, &rows).await?;
    let shown = |row: Row| {
        let (id, user_id) = (row.id, row.user_id);
        (id, row.shown(&context, &states).map(|notification| PrivateNotification { user_id, notification }))
    };
    Ok(paging.list(keep_readable(rows.into_iter().map(shown)), found, total))
}
