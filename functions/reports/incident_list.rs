//! `GET /public/v1/incidents`: the caller's incidents, newest first.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use runtime::{Caller, Context, Fields, Function, List, Paging, Query, Result, db::page_of, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{SERVICE, moment, store};
use contract::Failure;

pub const FUNCTION: Function =
    Function::new("incident-list", SERVICE, "lists incidents, newest first").http(runtime::http!(handle));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only incidents of this endpoint.
    #[param(example = 7, minimum = 1)]
    endpoint_id: Option<i64>,
    /// Only incidents that are still open, or only incidents that are over.
    open: Option<bool>,
    /// Only incidents that lasted until after this time: a date or a date-time.
    #[param(example = "2026-03-01")]
    from: Option<String>,
    /// Only incidents that began before this time. A date includes the whole day.
    #[param(example = "2026-03-01T12:00:00Z")]
    to: Option<String>,
}

/// A time during which an endpoint was down.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    #[schema(example = 3)]
    id: i64,
    #[schema(example = 7)]
    pub endpoint_id: i64,
    pub started_at: DateTime<Utc>,
    /// Null: still open.
    pub ended_at: Option<DateTime<Utc>>,
    /// Null: still open.
    end_reason: Option<EndReason>,
    pub cause: Option<Failure>,
}

/// Why an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    Recovered,
    /// The endpoint was paused: it is not known whether it recovered.
    Paused,
}

impl EndReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Paused => "paused",
        }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct Stored {
    id: i64,
    endpoint_id: i64,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    end_reason: Option<String>,
    cause_code: Option<String>,
    cause_message: Option<String>,
}

impl From<Stored> for Incident {
    fn from(stored: Stored) -> Self {
        let Stored { id, endpoint_id, started_at, ended_at, end_reason, cause_code, cause_message } = stored;
        let end_reason = end_reason.map(|reason| match reason.as_str() {
            "paused" => EndReason::Paused,
            _ => EndReason::Recovered,
        });
        let cause = store::failure(cause_code, cause_message);
        Self { id, endpoint_id, started_at, ended_at, end_reason, cause }
    }
}

/// Lists your incidents, open and closed, newest first.
#[utoipa::path(
    get,
    path = "/public/v1/incidents",
    tag = "incidents",
    operation_id = "incident-list",
    params(Filter, Paging),
    security(("apikey" = [])),
    responses(
        (status = 200, description = "A page of incidents", body = List<Incident>),
        (status = 400, description = "A filter is invalid", body = runtime::error::ErrorBody),
        (status = 401, description = "Not logged in", body = runtime::error::ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<Incident>>> {
    sql!(
        COUNT = "
        SELECT COUNT(*) FROM report_incidents
        WHERE user_id = $1 AND ($2 IS NULL OR endpoint_id = $2) AND ($3 IS NULL OR (ended_at IS NULL) = $3)
            AND (ended_at IS NULL OR ended_at > $4) AND started_at < $5"
    );
    sql!(LIST = "
        SELECT id, endpoint_id, started_at, ended_at, end_reason, cause_code, cause_message FROM report_incidents
        WHERE user_id = $1 AND ($2 IS NULL OR endpoint_id = $2) AND ($3 IS NULL OR (ended_at IS NULL) = $3)
            AND (ended_at IS NULL OR ended_at > $4) AND started_at < $5
        ORDER BY started_at DESC, id DESC LIMIT $6 OFFSET $7");
    let mut fields = Fields::default();
    fields.check_id(filter.endpoint_id, "endpoint_id");
    let (from, to) = moment::range(&mut fields, filter.from.as_deref(), filter.to.as_deref());
    fields.finish()?;
    let from = moment::time_of(from.unwrap_or(moment::FIRST_TIME).max(moment::FIRST_TIME));
    let to = moment::time_of(to.unwrap_or(moment::LAST_TIME).min(moment::LAST_TIME));
    let (count, (items, found)) = on!(context.db()?.read(), db => {
        let count = sqlx::query_scalar::<_, i64>(COUNT).bind(caller.user_id).bind(filter.endpoint_id);
        let count = count.bind(filter.open).bind(from).bind(to).fetch_one(db).await?;
        let list = sqlx::query(LIST).bind(caller.user_id).bind(filter.endpoint_id);
        let list = list.bind(filter.open).bind(from).bind(to);
        let list = list.bind(paging.per_page).bind(paging.offset());
        (count, page_of::<Stored, _>(list.fetch_all(db).await?))
    });
    Ok(paging.list(items.into_iter().map(Incident::from).collect(), found, count))
}
