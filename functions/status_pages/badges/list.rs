//! `GET /public/v1/badges`: the caller's badges, in the order of their creation.

use axum::{Json, extract::State};
use runtime::{
    Caller, Context, Fields, Function, List, Paging, Query, Result, db::page_of, error::ErrorBody, on, sql,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{super::SERVICE, Badge, columns};

pub const FUNCTION: Function =
    Function::new("badge-list", SERVICE, "lists the caller's badges").http(runtime::http!(handle));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only the badge of this endpoint.
    #[param(example = 7, minimum = 1)]
    endpoint_id: Option<i64>,
}

#[utoipa::path(
    get, path = "/public/v1/badges", tag = "badges", security(("apikey" = [])), params(Filter, Paging),
    responses(
        (status = 200, description = "A page of badges", body = List<Badge>),
        (status = 400, description = "A parameter is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<Badge>>> {
    sql!(
        COUNT = "SELECT COUNT(*) FROM status_badges WHERE user_id = $1 AND ($2 IS NULL OR endpoint_id = $2)"
    );
    sql!(
        SELECT = concat!(
            "SELECT ",
            columns!(),
            " FROM status_badges WHERE user_id = $1 AND ($2 IS NULL OR endpoint_id = $2) \
         ORDER BY id LIMIT $3 OFFSET $4"
        )
    );
    let mut fields = Fields::default();
    fields.check_id(filter.endpoint_id, "endpoint_id");
    fields.finish()?;
    let db = context.db()?;
    let total = on!(db.read(), db => {
        sqlx::query_scalar(COUNT).bind(caller.user_id).bind(filter.endpoint_id).fetch_one(db).await
    })?;
    let (badges, found) = on!(db.read(), db => {
        let select = sqlx::query(SELECT).bind(caller.user_id).bind(filter.endpoint_id);
        select.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    Ok(paging.list(badges, found, total))
}
