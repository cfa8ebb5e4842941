//! `GET /public/v1/users/{id}`: a user by ID; only the caller's own.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Error, Function, Id, Result, error::ErrorBody};

use super::{SERVICE, User, find};

pub const FUNCTION: Function =
    Function::new("user-get", SERVICE, "returns a user by id; only the caller itself")
        .http(runtime::http!(handle));

#[utoipa::path(
    get, path = "/public/v1/users/{id}", tag = "users", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The caller", body = User),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 403, description = "Somebody else, or nobody", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(id): Id) -> Result<Json<User>> {
    if id != caller.user_id {
        return Err(Error::forbidden());
    }
    find(&context, id).await.map(Json)
}
