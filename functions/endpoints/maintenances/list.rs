//! `GET /public/v1/maintenances`: the caller's maintenances, latest start first.

use axum::{Json, extract::State};
use runtime::{
    Caller, Context, Function, List, Paging, Query, Result, db::page_of, error::ErrorBody, on, sql,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Maintenance, MaintenanceStatus, Row};
use crate::endpoints::SERVICE;

pub const FUNCTION: Function =
    Function::new("maintenance-list", SERVICE, "lists the caller's maintenances, latest start first")
        .http(runtime::http!(handle));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    status: Option<MaintenanceStatus>,
}

#[utoipa::path(
    get, path = "/public/v1/maintenances", tag = "maintenances", security(("apikey" = [])),
    params(Filter, Paging),
    responses(
        (status = 200, description = "A page of maintenances", body = List<Maintenance>),
        (status = 400, description = "A parameter is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<Maintenance>>> {
    macro_rules! matching {
        () => {
            "FROM endpoint_maintenance_rows WHERE user_id = $1 AND ($2 IS NULL OR CASE WHEN ends_at <= $3 THEN 'ended' \
             WHEN starts_at > $3 THEN 'scheduled' ELSE 'active' END = $2)"
        };
    }
    sql!(COUNT = concat!("SELECT COUNT(*) ", matching!()));
    sql!(SELECT = concat!("SELECT * ", matching!(), " ORDER BY starts_at DESC, id DESC LIMIT $4 OFFSET $5"));
    let (db, now) = (context.db()?, context.clock().now());
    let status = filter.status.map(|status| match status {
        MaintenanceStatus::Scheduled => "scheduled",
        MaintenanceStatus::Active => "active",
        MaintenanceStatus::Ended => "ended",
    });
    let count = on!(db.read(), db => {
        let count = sqlx::query_scalar(COUNT).bind(caller.user_id).bind(status);
        count.bind(now.timestamp()).fetch_one(db).await
    })?;
    let (rows, found): (Vec<Row>, _) = on!(db.read(), db => {
        let select = sqlx::query(SELECT).bind(caller.user_id).bind(status).bind(now.timestamp());
        select.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    Ok(paging.list(rows.into_iter().map(|row| row.shown(now)).collect(), found, count))
}
