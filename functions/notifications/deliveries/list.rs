//! GET /public/v1/deliveries: sent messages, their recipients and outcomes, newest first.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use runtime::{
    Caller, Context, Error, Fields, Function, List, Paging, Query, Result, db::page_of, error::ErrorBody,
    items::keep_readable, on, sql,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::notifications::{SERVICE, config::kind_schema};
use contract::Alert;

pub const FUNCTION: Function =
    Function::new("delivery-list", SERVICE, "lists deliveries with their recipients and results")
        .http(runtime::http!(handle));

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    notification_id: Option<i64>,
    endpoint_id: Option<i64>,
    status: Option<DeliveryStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    Pending,
    Delivered,
    Failed,
    /// Never sent: a later message includes it, or it was no longer true.
    Superseded,
}

impl DeliveryStatus {
    const ALL: [(Self, &str); 4] = [
        (Self::Pending, "pending"),
        (Self::Delivered, "delivered"),
        (Self::Failed, "failed"),
        (Self::Superseded, "superseded"),
    ];
}

/// One message to one notification about one change.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    #[schema(example = 12)]
    pub id: i64,
    pub notification_id: i64,
    /// 0 if it is not about one endpoint.
    pub endpoint_id: i64,
    #[schema(schema_with = kind_schema)]
    pub kind: String,
    /// Masked.
    #[schema(example = "m…@example.com")]
    pub recipient: String,
    pub alert: Alert,
    pub status: DeliveryStatus,
    /// The error of the last try, as the receiver reported it. If delivered: the recipients that were not
    /// reached.
    pub error: Option<String>,
    /// 1, plus one for each retry that a user requested.
    pub attempts: i64,
    /// Failed tries of the last attempt; tries are repeated for 24 hours.
    pub tries: i64,
    /// While pending after a failure, or while waiting for other messages: the earliest time of the next
    /// try.
    pub next_try_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    notification_id: i64,
    endpoint_id: i64,
    kind: String,
    recipient: String,
    alert: String,
    status: String,
    error: Option<String>,
    attempt: i64,
    tries: i64,
    due_at: DateTime<Utc>,
    is_leased: bool,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

#[utoipa::path(
    get, path = "/public/v1/deliveries", tag = "deliveries", security(("apikey" = [])), params(Filter, Paging),
    responses(
        (status = 200, body = List<Delivery>),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are invalid.", "code": "VALIDATION_FAILED",
            "fields": {"status": "unknown variant `lost`, expected one of `pending`, `delivered`, `failed`, `superseded`"},
        })),
        (status = 401, body = ErrorBody),
    ),
)]
async fn handle(
    State(context): State<Context>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<Delivery>>> {
    sql!(
        SELECT = "SELECT id, notification_id, endpoint_id, kind, recipient, alert, status,
            error, attempt, tries, due_at, leased_at IS NOT NULL AS is_leased, created_at, finished_at
        FROM deliveries WHERE user_id = $1 AND ($2 IS NULL OR notification_id = $2)
            AND ($3 IS NULL OR endpoint_id = $3) AND ($4 IS NULL OR status = $4)
        ORDER BY id DESC LIMIT $5 OFFSET $6"
    );
    sql!(
        COUNT = "SELECT COUNT(*) FROM deliveries WHERE user_id = $1
            AND ($2 IS NULL OR notification_id = $2)
            AND ($3 IS NULL OR endpoint_id = $3) AND ($4 IS NULL OR status = $4)"
    );
    let mut fields = Fields::default();
    fields.check_id(filter.notification_id, "notification_id");
    fields.check_id(filter.endpoint_id, "endpoint_id");
    fields.finish()?;
    let status =
        DeliveryStatus::ALL.into_iter().find(|(s, _)| Some(*s) == filter.status).map(|(_, name)| name);
    let db = context.db()?;
    let (rows, found): (Vec<Row>, _) = on!(db.read(), db => {
        let query = sqlx::query(SELECT).bind(caller.user_id).bind(filter.notification_id);
        let query = query.bind(filter.endpoint_id).bind(status);
        query.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    let total: i64 = on!(db.read(), db => {
        let query = sqlx::query_scalar(COUNT).bind(caller.user_id).bind(filter.notification_id);
        query.bind(filter.endpoint_id).bind(status).fetch_one(db).await
    })?;
    let items = rows.into_iter().map(|row| (row.id, Delivery::try_from(row)));
    Ok(paging.list(keep_readable(items), found, total))
}

impl TryFrom<Row> for Delivery {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let status = DeliveryStatus::ALL.into_iter().find(|(_, name)| *name == row.status);
        Ok(Self {
            id: row.id,
            notification_id: row.notification_id,
            // Region outages are stored under negative IDs.
            endpoint_id: row.endpoint_id.max(0),
            kind: row.kind,
            recipient: row.recipient,
            alert: serde_json::from_str(&row.alert).map_err(Error::internal)?,
            status: status.map_or(DeliveryStatus::Pending, |(status, _)| status),
            error: row.error,
            attempts: row.attempt,
            tries: row.tries,
            next_try_at: (row.status == "pending" && !row.is_leased).then_some(row.due_at),
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}
