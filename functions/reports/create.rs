//! `POST /private/v1/reports`: stores check results, like the event `check.completed`.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{Context, Function, Input, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SERVICE, record::record};
use contract::CheckResult;

pub const FUNCTION: Function =
    Function::new("report-create", SERVICE, "stores check results by HTTP").http(runtime::http!(handle));

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewReports {
    #[schema(example = json!([{
        "endpoint_id": 7, "user_id": 1, "scheduled_at": "2026-03-01T12:00:00Z", "checked_at": "2026-03-01T12:00:00.250Z",
        "region": "default", "failure_threshold": 2, "success_threshold": 1,
        "outcome": {"status": "up", "status_code": 200, "timings_ms": {"total": 123}, "response_bytes": 5120},
    }]))]
    items: Vec<CheckResult>,
}

#[derive(Serialize, ToSchema)]
struct Done {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Stores check results.
///
/// A result that already exists (same endpoint, scheduled time and region) stays unchanged. Results of deleted
/// endpoints and users are ignored.
#[utoipa::path(
    post,
    path = "/private/v1/reports",
    tag = "reports",
    operation_id = "report-create",
    request_body = NewReports,
    responses(
        (status = 201, description = "Stored", body = Done),
        (status = 400, description = "Not acceptable", body = runtime::error::ErrorBody),
        (status = 413, description = "Too large", body = runtime::error::ErrorBody),
        (status = 415, description = "Not JSON", body = runtime::error::ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    Input(new): Input<NewReports>,
) -> Result<(StatusCode, Json<Done>)> {
    record(&context, &new.items, "items").await?;
    Ok((StatusCode::CREATED, Json(Done { status: "ok" })))
}
