//! `GET /public/v1/badge_data/{token}`: the data of a badge, for everybody who has its token.

use axum::{
    extract::{Path, State},
    response::Response,
};
use chrono::TimeDelta;
use chrono_tz::Tz;
use futures::try_join;
use http::HeaderMap;
use runtime::{Context, Error, Function, Query, Result, error::ErrorBody, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::{
    SERVICE,
    cache::{self, Cache},
    show::ShownStatus,
    upstream,
};

pub const FUNCTION: Function =
    Function::new("badge-show", SERVICE, "returns the data of a badge to anyone with its token")
        .http(runtime::http!(handle));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    #[serde(default)]
    #[param(default = "24h", required = false)]
    range: Range,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = BadgeRange)]
pub enum Range {
    #[default]
    #[serde(rename = "24h")]
    Day,
    #[serde(rename = "7d")]
    Week,
    #[serde(rename = "30d")]
    Month,
    #[serde(rename = "90d")]
    Quarter,
}

impl Range {
    pub fn as_str(self) -> &'static str {
        serde_variant::to_variant_name(&self).unwrap_or_default()
    }
}

#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = BadgeData)]
pub struct Shown {
    #[schema(example = "Checkout")]
    pub name: String,
    pub status: ShownStatus,
    pub range: Range,
    /// Null: no check was made in that time.
    #[schema(example = 99.987)]
    pub uptime_percent: Option<f64>,
    #[schema(example = 120.5)]
    pub avg_ms: Option<f64>,
}

#[utoipa::path(
    get, path = "/public/v1/badge_data/{token}", tag = "badges",
    params(("token" = String, Path, example = "Zt1xj0dYc4pS0nQ8mJtW3m2oXcV5eB7a9rUfGhKlN6w"), Wanted),
    responses(
        (status = 200, description = "What it says", body = Shown),
        (status = 304, description = "The one that `If-None-Match` names"),
        (status = 400, description = "Not a range", body = ErrorBody),
        (status = 404, description = "No such badge", body = ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    Path(token): Path<String>,
    Query(Wanted { range }): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response> {
    if token.len() != 43 || token.contains('\0') {
        return Err(Error::not_found());
    }
    let cache = context.shared(|_| Ok(Cache::default()))?;
    let key = format!("badge/{token}/{}", range.as_str());
    let badge = cache.get(context.clock(), &key, fetch(&context, &token, range)).await?;
    Ok(cache::respond(&headers, badge))
}

async fn fetch(context: &Context, token: &str, range: Range) -> Result<Shown> {
    sql!(SELECT = "SELECT user_id, endpoint_id FROM status_badges WHERE token = $1");
    let found: Option<(i64, i64)> =
        on!(context.db()?.read(), db => sqlx::query_as(SELECT).bind(token).fetch_optional(db).await)?;
    let (user_id, id) = found.ok_or_else(Error::not_found)?;
    let ids = [id];
    let now = context.clock().now();
    let (endpoints, overviews, maintenances) = try_join!(
        upstream::endpoints(context, user_id, &ids),
        upstream::overviews(context, user_id, &ids, range.as_str(), Tz::UTC),
        upstream::maintenances(context, user_id, now, now + TimeDelta::seconds(1)),
    )?;
    let endpoint = endpoints.first().ok_or_else(Error::not_found)?;
    let overview = overviews.iter().find(|overview| overview.endpoint_id == id);
    Ok(Shown {
        name: endpoint.name.clone(),
        status: ShownStatus::of(endpoint, &maintenances, now),
        range,
        uptime_percent: overview.and_then(|o| o.uptime_percent),
        avg_ms: overview.and_then(|o| o.avg_ms),
    })
}
