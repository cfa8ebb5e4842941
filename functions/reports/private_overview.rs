//! `GET /private/v1/overviews`: any user's endpoints over a range, slot by slot, for other functions.

use axum::{Json, extract::State};
use runtime::{Context, Function, Query, Result};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    SERVICE,
    overview::{Overview, OverviewRange, endpoints, overview, zone},
};

pub const FUNCTION: Function = Function::new(
    "report-private-overview",
    SERVICE,
    "shows how any user's endpoints did over a range, slot by slot, for other functions",
)
.http(runtime::http!(handle));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    #[param(example = 1, minimum = 1)]
    user_id: i64,
    /// 1 to 100 ids with commas between them.
    #[param(example = "1,2,3")]
    endpoint_ids: String,
    #[serde(default)]
    #[param(inline, required = false)]
    range: OverviewRange,
    /// Whose days the slots of `90d` are: an IANA name; UTC unless given.
    #[param(example = "Asia/Seoul")]
    zone: Option<String>,
}

#[utoipa::path(
    get,
    path = "/private/v1/overviews",
    tag = "reports",
    params(Asked),
    responses(
        (status = 200, description = "The overview", body = Overview),
        (status = 400, description = "A parameter is not acceptable", body = runtime::error::ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Query(asked): Query<Asked>) -> Result<Json<Overview>> {
    let endpoints = endpoints(&asked.endpoint_ids)?;
    overview(&context, asked.user_id, &endpoints, asked.range, zone(asked.zone.as_deref())?).await.map(Json)
}
