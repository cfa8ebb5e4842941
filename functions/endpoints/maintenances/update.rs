//! `PATCH /public/v1/maintenances/{id}`: changes the given fields of a maintenance.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Error, Function, Id, Input, Result, error::ErrorBody, input, on, sql};
use serde_json::{Map, Value, json};

use super::{ENDPOINTS, Maintenance, Plan, Row, check_own, saved};
use crate::endpoints::{SERVICE, announce};
use crate::words;

pub const FUNCTION: Function =
    Function::new("maintenance-update", SERVICE, "changes what is given, and keeps the rest")
        .http(runtime::http!(handle))
        .per_minute(10)
        .publishes();

/// `ends_at` of now ends it now, except for checks that were already requested (up to 65 seconds ahead).
#[utoipa::path(
    patch, path = "/public/v1/maintenances/{id}", tag = "maintenances", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    request_body(content = Plan, description = "Any of the fields; the others stay as they are"),
    responses(
        (status = 200, description = "Changed", body = Maintenance),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such maintenance of the caller's", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Id(id): Id,
    Input(patch): Input<Map<String, Value>>,
) -> Result<Json<Maintenance>> {
    sql!(SQLITE = "SELECT * FROM endpoint_maintenance_rows WHERE id = $1 AND user_id = $2");
    sql!(POSTGRES = "SELECT * FROM endpoint_maintenance_rows WHERE id = $1 AND user_id = $2 FOR UPDATE");
    sql!(
        UPDATE = "UPDATE endpoint_maintenances SET title = $2, description = $3, starts_at = $4, \
         ends_at = $5, updated_at = $6 WHERE id = $1"
    );
    let (db, now) = (context.db()?, context.clock().now());
    let mut tx = db.begin().await?;
    let select = db.pick(SQLITE, POSTGRES);
    let found: Option<Row> = on!(tx.connection(), db => {
        sqlx::query_as(select).bind(id).bind(caller.user_id).fetch_optional(db).await
    })?;
    let old = found.ok_or_else(Error::not_found)?;
    let lists_endpoints = patch.contains_key("endpoint_ids");
    let fields = json!({
        "title": old.title,
        "description": old.description,
        "starts_at": old.starts_at,
        "ends_at": old.ends_at,
        "endpoint_ids": old.endpoint_ids,
    });
    let plan = input::patched::<Plan>(&fields, patch)?.checked(now)?;
    if old.ends_at.time() <= now && plan.ends_at.time() > now {
        // The limit for the number of maintenances is checked only at creation: one that is over must stay over.
        let what = words::MAINTENANCE_IS_OVER;
        return Err(Error::field("ends_at", what));
    }
    if let Some(ids) = plan.endpoint_ids.as_ref().filter(|_| lists_endpoints) {
        check_own(&mut tx, caller.user_id, ids).await?;
    }
    on!(tx.connection(), db => {
        let update = sqlx::query(UPDATE).bind(id).bind(plan.title).bind(plan.description);
        let update = update.bind(plan.starts_at).bind(plan.ends_at).bind(now);
        update.execute(db).await.map(drop)
    })?;
    ENDPOINTS.replace(&mut tx, id, plan.endpoint_ids.as_deref()).await?;
    let row = saved(&mut tx, id).await?;
    // A new title does not affect checks.
    let held = |row: &Row| (row.starts_at.time(), row.ends_at.time(), row.endpoint_ids.clone());
    let is_moved = held(&old) != held(&row);
    let revised = if is_moved { row.revise_endpoints(&mut tx, now).await? } else { Vec::new() };
    tx.commit().await?;
    announce::try_announce(&context, "maintenance-update", revised).await;
    Ok(Json(row.shown(now)))
}
