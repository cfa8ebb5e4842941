//! `GET /private/v1/overviews`: summaries of any user's endpoints over a range, in buckets, for other functions.

use axum::{Json, extract::State};
use chrono_tz::Tz;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::{Context, Function, Query, Result};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    SERVICE,
    overview::{Overview, OverviewItem, OverviewRange, endpoints, overview, zone},
};

const NAME: &str = "report-private-overview";

pub const FUNCTION: Function = Function::new(
    NAME,
    SERVICE,
    "summarizes any user's endpoints over a range, by bucket, for other functions",
)
.http(runtime::http!(handle));

/// At most 100 endpoints. `zone`: the time zone of daily buckets.
pub async fn call(
    context: &Context,
    user_id: i64,
    endpoint_ids: &[i64],
    range: &str,
    zone: Tz,
) -> Result<Vec<OverviewItem>> {
    let ids = endpoint_ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let zone = utf8_percent_encode(zone.name(), NON_ALPHANUMERIC);
    let path =
        format!("/private/v1/overviews?user_id={user_id}&endpoint_ids={ids}&range={range}&zone={zone}");
    Ok(context.outbound().get::<Overview>(NAME, &path).await?.items)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    #[param(example = 1, minimum = 1)]
    user_id: i64,
    /// 1 to 100 comma-separated ids.
    #[param(example = "1,2,3")]
    endpoint_ids: String,
    #[serde(default)]
    #[param(inline, required = false)]
    range: OverviewRange,
    /// Time zone of the daily buckets of `90d`: an IANA name. Default: UTC.
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
        (status = 400, description = "A parameter is invalid", body = runtime::error::ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Query(asked): Query<Asked>) -> Result<Json<Overview>> {
    let endpoints = endpoints(&asked.endpoint_ids)?;
    overview(&context, asked.user_id, &endpoints, asked.range, zone(asked.zone.as_deref())?).await.map(Json)
}
