//! `GET /private/v1/maintenances`: a user's maintenances within a time range, for other functions.

use axum::{Json, extract::State};
use chrono::{DateTime, SecondsFormat, Utc};
use runtime::{Context, Function, List, Paging, Query, Result, db::page_of, error::ErrorBody, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Maintenance, Row};
use crate::endpoints::SERVICE;

const NAME: &str = "maintenance-private-list";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "lists a user's maintenances in a period, for other functions")
        .http(runtime::http!(handle));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    #[param(example = 1)]
    user_id: i64,
    /// Only maintenances that end after this time.
    from: Option<DateTime<Utc>>,
    /// Only maintenances that begin before this time.
    to: Option<DateTime<Utc>>,
}

/// A maintenance with its owner.
#[derive(Serialize, Deserialize, ToSchema)]
struct OwnedMaintenance {
    #[schema(example = 1)]
    user_id: i64,
    #[serde(flatten)]
    maintenance: Maintenance,
}

/// Returns a user's maintenances that overlap a time range, latest start first; at most 1000.
pub async fn call(
    context: &Context,
    user_id: i64,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<Maintenance>> {
    const PER_PAGE: i64 = 100;
    // More than any user plans, but still a limit.
    const MAX_PAGES: i64 = 10;
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let range = format!("user_id={user_id}&from={}&to={}", time(from), time(to));
    let mut all = Vec::new();
    for page in 1..=MAX_PAGES {
        let path = format!("/private/v1/maintenances?{range}&page={page}&per_page={PER_PAGE}");
        let found = context.outbound().get::<List<OwnedMaintenance>>(NAME, &path).await?;
        all.extend(found.items.into_iter().map(|owned| owned.maintenance));
        // Compares with the total, not with the number of items: items that cannot be read are missing from the list.
        if page * PER_PAGE >= found.page.total_count {
            break;
        }
    }
    Ok(all)
}

#[utoipa::path(
    get, path = "/private/v1/maintenances", tag = "maintenances", params(Filter, Paging),
    responses(
        (status = 200, description = "A page of maintenances, the newest beginning first", body = List<OwnedMaintenance>),
        (status = 400, description = "A parameter is invalid", body = ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<OwnedMaintenance>>> {
    macro_rules! matching {
        () => {
            "FROM endpoint_maintenance_rows WHERE user_id = $1 AND ($2 IS NULL OR ends_at > $2) \
             AND ($3 IS NULL OR starts_at < $3)"
        };
    }
    sql!(COUNT = concat!("SELECT COUNT(*) ", matching!()));
    sql!(SELECT = concat!("SELECT * ", matching!(), " ORDER BY starts_at DESC, id DESC LIMIT $4 OFFSET $5"));
    let (db, now) = (context.db()?, context.clock().now());
    let (from, to) = (filter.from.map(|at| at.timestamp()), filter.to.map(|at| at.timestamp()));
    let count = on!(db.read(), db => {
        sqlx::query_scalar(COUNT).bind(filter.user_id).bind(from).bind(to).fetch_one(db).await
    })?;
    let (rows, found): (Vec<Row>, _) = on!(db.read(), db => {
        let select = sqlx::query(SELECT).bind(filter.user_id).bind(from).bind(to);
        select.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    let owned = |row: Row| OwnedMaintenance { user_id: row.user_id, maintenance: row.shown(now) };
    Ok(paging.list(rows.into_iter().map(owned).collect(), found, count))
}
