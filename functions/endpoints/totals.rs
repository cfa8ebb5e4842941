//! `GET /public/v1/endpoint_totals`: how many endpoints the caller has, by status and by tag.

use std::collections::{HashMap, HashSet};

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, Result, db::JsonText, error::ErrorBody, on, sql};
use serde::Serialize;
use utoipa::ToSchema;

use super::SERVICE;

pub const FUNCTION: Function =
    Function::new("endpoint-totals", SERVICE, "counts the caller's endpoints by status and by tag")
        .http(runtime::http!(handle));

const MAX_TAGS: usize = 200;

#[derive(Serialize, ToSchema)]
struct EndpointTotals {
    #[schema(example = 12)]
    total: i64,
    #[schema(example = 9)]
    up: i64,
    #[schema(example = 0)]
    degraded: i64,
    #[schema(example = 1)]
    down: i64,
    #[schema(example = 1)]
    pending: i64,
    #[schema(example = 1)]
    paused: i64,
    /// The most used first, at most 200.
    tags: Vec<TagTotal>,
}

#[derive(Serialize, ToSchema)]
struct TagTotal {
    #[schema(example = "shop")]
    tag: String,
    /// Endpoints with this tag.
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
    // Many endpoints share a list of tags. Each distinct list is split once here, instead of every endpoint's list in
    // the database.
    sql!(
        SQL = "SELECT CASE WHEN enabled THEN status ELSE 'paused' END AS shown, tags, COUNT(*) \
         FROM endpoints WHERE user_id = $1 GROUP BY shown, tags"
    );
    let rows: Vec<(String, JsonText<Vec<String>>, i64)> = on!(context.db()?.read(), db =>
        sqlx::query_as(SQL).bind(caller.user_id).fetch_all(db).await)?;
    let mut statuses = HashMap::<_, i64>::new();
    let mut tags = HashMap::<_, i64>::new();
    for (status, JsonText(list), count) in rows {
        *statuses.entry(status).or_default() += count;
        for tag in list.into_iter().collect::<HashSet<_>>() {
            *tags.entry(tag).or_default() += count;
        }
    }
    let mut tags: Vec<_> = tags.into_iter().map(|(tag, count)| TagTotal { tag, count }).collect();
    tags.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.tag.cmp(&b.tag)));
    tags.truncate(MAX_TAGS);
    let of = |status: &str| statuses.get(status).copied().unwrap_or_default();
    Ok(Json(EndpointTotals {
        total: statuses.values().sum(),
        up: of("up"),
        degraded: of("degraded"),
        down: of("down"),
        pending: of("pending"),
        paused: of("paused"),
        tags,
    }))
}
