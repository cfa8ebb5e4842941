//! `GET /public/v1/endpoint_totals`: how many endpoints the caller has, by status and by tag.

use std::collections::HashMap;

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, Result, error::ErrorBody, on};
use serde::Serialize;
use utoipa::ToSchema;

use super::SERVICE;

pub const FUNCTION: Function =
    Function::new("endpoint-totals", SERVICE, "how many endpoints the caller has, by status and by tag")
        .http(runtime::http!(handle));

#[derive(Serialize, ToSchema)]
struct EndpointTotals {
    #[schema(example = 12)]
    total: i64,
    #[schema(example = 9)]
    up: i64,
    #[schema(example = 1)]
    down: i64,
    #[schema(example = 1)]
    pending: i64,
    #[schema(example = 1)]
    paused: i64,
    /// The most used first, 200 at most.
    tags: Vec<TagTotal>,
}

#[derive(Serialize, ToSchema, sqlx::FromRow)]
struct TagTotal {
    #[schema(example = "shop")]
    tag: String,
    /// Endpoints that have it.
    #[schema(example = 3)]
    count: i64,
}

#[utoipa::path(
    get, path = "/public/v1/endpoint_totals", tag = "endpoints", security(("apikey" = [])),
    responses(
        (status = 200, description = "The totals", body = EndpointTotals),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>) -> Result<Json<EndpointTotals>> {
    static STATUSES: &str = "SELECT CASE WHEN enabled THEN status ELSE 'paused' END AS shown, COUNT(*) \
         FROM endpoints WHERE user_id = $1 GROUP BY shown";
    macro_rules! tags {
        ($each:literal) => {
            concat!(
                "SELECT tag.value AS tag, COUNT(DISTINCT endpoints.id) AS count FROM endpoints, ",
                $each,
                " WHERE user_id = $1 AND tags <> '[]' GROUP BY tag.value ORDER BY count DESC, tag LIMIT 200"
            )
        };
    }
    let db = context.db()?;
    let tags = db
        .pick(tags!("json_each(tags) AS tag"), tags!("json_array_elements_text(tags::json) AS tag (value)"));
    let user = caller.user_id;
    let statuses: Vec<(String, i64)> =
        on!(db.read(), db => sqlx::query_as(STATUSES).bind(user).fetch_all(db).await)?;
    let tags = on!(db.read(), db => sqlx::query_as(tags).bind(user).fetch_all(db).await)?;
    let statuses: HashMap<_, _> = statuses.into_iter().collect();
    let of = |status: &str| statuses.get(status).copied().unwrap_or_default();
    Ok(Json(EndpointTotals {
        total: statuses.values().sum(),
        up: of("up"),
        down: of("down"),
        pending: of("pending"),
        paused: of("paused"),
        tags,
    }))
}
