//! `GET /public/v1/status_pages/{id}`: one of the caller's status pages.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, Id, Result, error::ErrorBody};

use super::{SERVICE, StatusPage, own};

pub const FUNCTION: Function =
    Function::new("status-page-get", SERVICE, "returns one of the caller's status pages")
        .http(runtime::http!(handle));

#[utoipa::path(
    get, path = "/public/v1/status_pages/{id}", tag = "status pages", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The status page", body = StatusPage),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such status page of the caller's", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(id): Id) -> Result<Json<StatusPage>> {
    own(context.db()?, caller.user_id, id).await.map(Json)
}
