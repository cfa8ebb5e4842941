//! `GET /public/v1/status_pages`: the caller's status pages, in the order of their creation.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, List, Paging, Result, db::page_of, error::ErrorBody, on, sql};

use super::{SERVICE, StatusPage, columns};

pub const FUNCTION: Function = Function::new("status-page-list", SERVICE, "lists the caller's status pages")
    .http(runtime::http!(handle));

#[utoipa::path(
    get, path = "/public/v1/status_pages", tag = "status pages", security(("apikey" = [])), params(Paging),
    responses(
        (status = 200, description = "A page of status pages", body = List<StatusPage>),
        (status = 400, description = "A parameter is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    paging: Paging,
) -> Result<Json<List<StatusPage>>> {
    sql!(COUNT = "SELECT COUNT(*) FROM status_pages WHERE user_id = $1");
    sql!(
        SELECT = concat!(
            "SELECT ",
            columns!(),
            " FROM status_page_rows WHERE user_id = $1 ORDER BY id LIMIT $2 OFFSET $3"
        )
    );
    let db = context.db()?;
    let total = on!(db.read(), db => sqlx::query_scalar(COUNT).bind(caller.user_id).fetch_one(db).await)?;
    let (pages, found) = on!(db.read(), db => {
        let select = sqlx::query(SELECT).bind(caller.user_id);
        select.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    Ok(paging.list(pages, found, total))
}
