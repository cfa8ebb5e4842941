//! What status pages ask of other resources. That one of them does not answer is never taken for
//! "there is nothing": the error is passed on as 503.

use anyhow::anyhow;
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use futures::future::try_join_all;
use http::StatusCode;
use runtime::{Context, Error, Items, Result, page::Page};
use serde::{Deserialize, de::DeserializeOwned};

use contract::Status;

/// How many ids go into one question, and how many rows into one answer.
const CHUNK: usize = 100;

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Answer<T> {
    items: Items<T>,
    page: Option<Page>,
}

#[derive(Debug, Deserialize)]
pub struct Endpoint {
    pub id: i64,
    pub user_id: i64,
    pub name: String,
    pub status: Status,
}

#[derive(Debug, Deserialize)]
pub struct Overview {
    pub endpoint_id: i64,
    pub uptime_percent: Option<f64>,
    pub avg_ms: Option<f64>,
    pub slots: Vec<Slot>,
    pub incidents: Vec<Incident>,
}

#[derive(Debug, Deserialize)]
pub struct Slot {
    pub at: DateTime<Utc>,
    pub checks: i64,
    pub up: i64,
}

#[derive(Debug, Deserialize)]
pub struct Incident {
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub cause: Option<Cause>,
}

/// Its message stays with the user: it may name hosts.
#[derive(Debug, Deserialize)]
pub struct Cause {
    /// As text: a code that this version does not know is no reason to show nothing.
    pub code: String,
}

#[derive(Debug, Deserialize)]
pub struct Maintenance {
    pub title: String,
    pub description: String,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    /// Null: all of the user's.
    pub endpoint_ids: Option<Vec<i64>>,
    pub created_at: DateTime<Utc>,
}

impl Maintenance {
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    pub fn covers(&self, endpoint_id: i64) -> bool {
        self.endpoint_ids.as_ref().is_none_or(|ids| ids.contains(&endpoint_id))
    }
}

/// Those of `ids` that are the user's own.
pub async fn endpoints(context: &Context, user_id: i64, ids: &[i64]) -> Result<Vec<Endpoint>> {
    let possible: Vec<i64> = ids.iter().copied().filter(|id| *id > 0).collect();
    let found: Vec<Vec<Endpoint>> = try_join_all(possible.chunks(CHUNK).map(async |some| {
        let path = format!("/private/v1/endpoints?user_id={user_id}&ids={}&per_page={CHUNK}", list(some));
        items(context, "endpoint-private-list", &path).await
    }))
    .await?;
    Ok(found.into_iter().flatten().filter(|endpoint| endpoint.user_id == user_id).collect())
}

/// `zone`: whose days those of 90 days are.
pub async fn overviews(
    context: &Context,
    user_id: i64,
    ids: &[i64],
    range: &str,
    zone: Tz,
) -> Result<Vec<Overview>> {
    let found: Vec<Vec<Overview>> = try_join_all(ids.chunks(CHUNK).map(async |some| {
        let path = format!(
            "/private/v1/overviews?user_id={user_id}&endpoint_ids={}&range={range}&zone={}",
            list(some),
            percent_encoding::utf8_percent_encode(zone.name(), percent_encoding::NON_ALPHANUMERIC)
        );
        items(context, "report-private-overview", &path).await
    }))
    .await?;
    Ok(found.into_iter().flatten().collect())
}

/// Those that overlap a time.
pub async fn maintenances(
    context: &Context,
    user_id: i64,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<Maintenance>> {
    // More than anybody plans; a bound all the same.
    const MOST_PAGES: usize = 10;
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut all = Vec::new();
    for page in 1..=MOST_PAGES {
        let path = format!(
            "/private/v1/maintenances?user_id={user_id}&from={}&to={}&page={page}&per_page={CHUNK}",
            time(from),
            time(to)
        );
        let found = answer(context, "maintenance-private-list", &path).await?;
        all.extend(found.items);
        // Not by how many came: what cannot be read is missing in the list.
        if found.page.is_none_or(|page| page.current_page * page.per_page >= page.total_count) {
            break;
        }
    }
    Ok(all)
}

async fn items<T: DeserializeOwned>(context: &Context, function: &'static str, path: &str) -> Result<Vec<T>> {
    Ok(answer(context, function, path).await?.items.0)
}

async fn answer<T: DeserializeOwned>(
    context: &Context,
    function: &'static str,
    path: &str,
) -> Result<Answer<T>> {
    let answer: Result<Answer<T>> = context.outbound().get(function, path).await;
    answer.map_err(|error| match error.status() {
        StatusCode::SERVICE_UNAVAILABLE => error,
        // A list is never 404, and what is wrong between functions is not the visitor's mistake.
        _ => Error::unavailable(anyhow!("{function}: {error}")),
    })
}

fn list(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}
