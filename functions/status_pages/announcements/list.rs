//! `GET /public/v1/announcements`: the caller's announcements, newest first.

use axum::{Json, extract::State};
use runtime::{
    Caller, Context, Fields, Function, List, Paging, Query, Result, db::page_of, error::ErrorBody, on, sql,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{super::SERVICE, Announcement, columns};

pub const FUNCTION: Function =
    Function::new("announcement-list", SERVICE, "lists the caller's announcements, newest first")
        .http(runtime::http!(handle));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only announcements on this page.
    #[param(example = 1, minimum = 1)]
    status_page_id: Option<i64>,
}

#[utoipa::path(
    get, path = "/public/v1/announcements", tag = "announcements", security(("apikey" = [])),
    params(Filter, Paging),
    responses(
        (status = 200, description = "A page of announcements", body = List<Announcement>),
        (status = 400, description = "A parameter is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<Announcement>>> {
    sql!(
        COUNT = "SELECT COUNT(*) FROM status_announcements
        WHERE user_id = $1 AND ($2 IS NULL OR status_page_id = $2)"
    );
    sql!(
        SELECT = concat!(
            "SELECT ",
            columns!(),
            " FROM status_announcements WHERE user_id = $1 AND ($2 IS NULL OR status_page_id = $2) \
         ORDER BY starts_at DESC, id DESC LIMIT $3 OFFSET $4"
        )
    );
    let mut fields = Fields::default();
    fields.check_id(filter.status_page_id, "status_page_id");
    fields.finish()?;
    let db = context.db()?;
    let total = on!(db.read(), db => {
        sqlx::query_scalar(COUNT).bind(caller.user_id).bind(filter.status_page_id).fetch_one(db).await
    })?;
    let (announcements, found) = on!(db.read(), db => {
        let select = sqlx::query(SELECT).bind(caller.user_id).bind(filter.status_page_id);
        select.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    Ok(paging.list(announcements, found, total))
}
