//! `DELETE /public/v1/status_pages/{id}`: deletes a status page and its announcements.

use axum::extract::State;
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Id, Result, error::ErrorBody, on, sql};

use super::SERVICE;

pub const FUNCTION: Function =
    Function::new("status-page-delete", SERVICE, "deletes a status page and its announcements")
        .http(runtime::http!(handle));

#[utoipa::path(
    delete, path = "/public/v1/status_pages/{id}", tag = "status pages", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such status page of the caller's", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(id): Id) -> Result<StatusCode> {
    // Announcements are deleted with their page.
    sql!(DELETE = "DELETE FROM status_pages WHERE id = $1 AND user_id = $2");
    let deleted = on!(context.db()?.write(), db =>
        sqlx::query(DELETE).bind(id).bind(caller.user_id).execute(db).await.map(|d| d.rows_affected()))?;
    if deleted == 0 { Err(Error::not_found()) } else { Ok(StatusCode::NO_CONTENT) }
}
