//! `DELETE /public/v1/badges/{id}`: deletes a badge; its token stops working.

use axum::extract::State;
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Id, Result, error::ErrorBody, on, sql};

use super::super::SERVICE;

pub const FUNCTION: Function =
    Function::new("badge-delete", SERVICE, "deletes a badge; its token becomes invalid")
        .http(runtime::http!(handle));

#[utoipa::path(
    delete, path = "/public/v1/badges/{id}", tag = "badges", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such badge of the caller's", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(id): Id) -> Result<StatusCode> {
    sql!(DELETE = "DELETE FROM status_badges WHERE id = $1 AND user_id = $2");
    let deleted = on!(context.db()?.write(), db =>
        sqlx::query(DELETE).bind(id).bind(caller.user_id).execute(db).await.map(|d| d.rows_affected()))?;
    if deleted == 0 { Err(Error::not_found()) } else { Ok(StatusCode::NO_CONTENT) }
}
