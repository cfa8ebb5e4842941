//! `GET /public/v1/user`: the caller.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, Result, error::ErrorBody};

use super::{SERVICE, User, find};

pub const FUNCTION: Function =
    Function::new("user-me", SERVICE, "returns the caller").http(runtime::http!(handle));

#[utoipa::path(
    get, path = "/public/v1/user", tag = "users", security(("apikey" = [])),
    responses(
        (status = 200, description = "The caller", body = User),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>) -> Result<Json<User>> {
    find(&context, caller.user_id).await.map(Json)
}
