//! `GET /public/v1/endpoints/{id}`: one of the caller's endpoints.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, Id, Result, error::ErrorBody};

use super::{Endpoint, SERVICE, endpoint::find_own};

pub const FUNCTION: Function =
    Function::new("endpoint-get", SERVICE, "returns one of the caller's endpoints")
        .http(runtime::http!(handle));

#[utoipa::path(
    get, path = "/public/v1/endpoints/{id}", tag = "endpoints", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The endpoint", body = Endpoint),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such endpoint of the caller's", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(id): Id) -> Result<Json<Endpoint>> {
    Ok(Json(find_own(&context, caller.user_id, id).await?.shown()))
}
