//! Requests of status pages to other resources. A missing response is never treated as an empty list: the error is
//! returned as 503.

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures::future::try_join_all;
use http::StatusCode;
use runtime::{Context, Error, Result};

use crate::{
    endpoints::{
        maintenances::{self, Maintenance},
        private_list::{self, EndpointBrief},
    },
    reports::{overview::OverviewItem, private_overview},
};

/// Returns those of `ids` that belong to the user.
pub async fn endpoints(context: &Context, user_id: i64, ids: &[i64]) -> Result<Vec<EndpointBrief>> {
    let possible: Vec<i64> = ids.iter().copied().filter(|id| *id > 0).collect();
    let mut found = private_list::briefs(context, &possible).await.map_err(unavailable)?.items;
    found.retain(|endpoint| endpoint.user_id == user_id);
    Ok(found)
}

/// `zone`: the time zone of daily buckets.
pub async fn overviews(
    context: &Context,
    user_id: i64,
    ids: &[i64],
    range: &str,
    zone: Tz,
) -> Result<Vec<OverviewItem>> {
    const CHUNK: usize = 100;
    let asked = ids.chunks(CHUNK).map(|some| private_overview::call(context, user_id, some, range, zone));
    Ok(try_join_all(asked).await.map_err(unavailable)?.into_iter().flatten().collect())
}

/// The maintenances that overlap a time range.
pub async fn maintenances(
    context: &Context,
    user_id: i64,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<Maintenance>> {
    maintenances::private_list::call(context, user_id, from, to).await.map_err(unavailable)
}

/// A list never returns 404, and an error between functions is not the visitor's fault.
fn unavailable(error: Error) -> Error {
    match error.status() {
        StatusCode::SERVICE_UNAVAILABLE => error,
        _ => Error::unavailable(anyhow!("{error}")),
    }
}
