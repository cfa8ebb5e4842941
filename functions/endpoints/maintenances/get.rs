//! `GET /public/v1/maintenances/{id}`: one of the caller's maintenances.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, Id, Result, error::ErrorBody};

use super::{Maintenance, find_own};
use crate::endpoints::SERVICE;

pub const FUNCTION: Function =
    Function::new("maintenance-get", SERVICE, "returns one of the caller's maintenances")
        .http(runtime::http!(handle));

#[utoipa::path(
    get, path = "/public/v1/maintenances/{id}", tag = "maintenances", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The maintenance", body = Maintenance),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such maintenance of the caller's", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(id): Id) -> Result<Json<Maintenance>> {
    let row = find_own(&context, caller.user_id, id).await?;
    Ok(Json(row.shown(context.clock().now())))
}
