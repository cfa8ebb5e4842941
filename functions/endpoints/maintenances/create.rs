//! `POST /public/v1/maintenances`: plans a maintenance, or begins one now.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Input, Result, error::ErrorBody, on, sql};

use super::{ENDPOINTS, Maintenance, Plan, check_own, saved};
use crate::endpoints::{SERVICE, announce, begin_adding};
use crate::words;

pub const FUNCTION: Function =
    Function::new("maintenance-create", SERVICE, "schedules a maintenance, or starts one now")
        .http(runtime::http!(handle))
        .per_minute(10)
        .publishes();

/// Maximum number of maintenances that are not over.
const MAX_MAINTENANCES: i64 = 100;

/// During a maintenance, its endpoints are checked as usual, but their results are marked: they do not count for
/// uptime, latency and apdex, no notification is sent for failures, and no incident begins or ends. The first check
/// after the maintenance counts again; an endpoint that is still down is reported then.
///
/// Checks are requested up to 65 seconds ahead. If a maintenance begins within that time, or is changed to do so,
/// checks that were already requested no longer change the status, and their results are marked. A maintenance that
/// is ended early still counts for at most 65 seconds. A maintenance that was planned earlier begins and ends to the
/// second.
#[utoipa::path(
    post, path = "/public/v1/maintenances", tag = "maintenances", security(("apikey" = [])), request_body = Plan,
    responses(
        (status = 201, description = "Planned", body = Maintenance),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 409, description = "TOO_MANY_MAINTENANCES", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Input(plan): Input<Plan>,
) -> Result<(StatusCode, Json<Maintenance>)> {
    sql!(
        INSERT = "INSERT INTO endpoint_maintenances \
         (user_id, title, description, starts_at, ends_at, all_endpoints, created_at, updated_at) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $7 \
         WHERE (SELECT COUNT(*) FROM endpoint_maintenances WHERE user_id = $1 AND ends_at > $8) < $9 RETURNING id"
    );
    let now = context.clock().now();
    let plan = plan.checked(now)?;
    if plan.ends_at.time() <= now {
        return Err(Error::field("ends_at", words::MUST_BE_IN_FUTURE));
    }
    let mut tx = begin_adding(context.db()?, caller.user_id).await?;
    if let Some(ids) = &plan.endpoint_ids {
        check_own(&mut tx, caller.user_id, ids).await?;
    }
    let id: Option<i64> = on!(tx.connection(), db => {
        let insert = sqlx::query_scalar(INSERT).bind(caller.user_id).bind(plan.title).bind(plan.description);
        let insert = insert.bind(plan.starts_at).bind(plan.ends_at).bind(plan.endpoint_ids.is_none());
        insert.bind(now).bind(now.timestamp()).bind(MAX_MAINTENANCES).fetch_optional(db).await
    })?;
    let id = id.ok_or_else(|| {
        let what = words::too_many_maintenances(MAX_MAINTENANCES);
        Error::conflict("TOO_MANY_MAINTENANCES", what)
    })?;
    ENDPOINTS.replace(&mut tx, id, plan.endpoint_ids.as_deref()).await?;
    let row = saved(&mut tx, id).await?;
    let revised = row.revise_endpoints(&mut tx, now).await?;
    tx.commit().await?;
    announce::try_announce(&context, "maintenance-create", revised).await;
    Ok((StatusCode::CREATED, Json(row.shown(now))))
}
