//! `GET /private/v1/users/{id}`: any user, for other functions.

use axum::{Json, extract::State};
use runtime::{Context, Function, Id, Result, error::ErrorBody};

use super::{SERVICE, User, find};

pub const FUNCTION: Function =
    Function::new("user-private-get", SERVICE, "returns any user, for other functions")
        .http(runtime::http!(handle));

#[utoipa::path(
    get, path = "/private/v1/users/{id}", tag = "users", params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The user", body = User),
        (status = 404, description = "No such user", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Id(id): Id) -> Result<Json<User>> {
    find(&context, id).await.map(Json)
}
