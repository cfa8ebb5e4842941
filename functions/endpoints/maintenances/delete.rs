//! `DELETE /public/v1/maintenances/{id}`: cancels a maintenance, or ends it and removes it.

use axum::extract::State;
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Id, Result, error::ErrorBody, on, sql};

use crate::endpoints::SERVICE;

pub const FUNCTION: Function =
    Function::new("maintenance-delete", SERVICE, "cancels or deletes a maintenance")
        .http(runtime::http!(handle))
        .per_minute(10);

/// Results that are already marked stay marked.
#[utoipa::path(
    delete, path = "/public/v1/maintenances/{id}", tag = "maintenances", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such maintenance of the caller's", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(id): Id) -> Result<StatusCode> {
    sql!(DELETE = "DELETE FROM endpoint_maintenances WHERE id = $1 AND user_id = $2");
    let deleted = on!(context.db()?.write(), db => {
        let delete = sqlx::query(DELETE).bind(id).bind(caller.user_id);
        delete.execute(db).await.map(|done| done.rows_affected())
    })?;
    if deleted == 0 { Err(Error::not_found()) } else { Ok(StatusCode::NO_CONTENT) }
}
