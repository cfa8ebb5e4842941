//! `DELETE /public/v1/endpoints/{id}`: deletes an endpoint, and all data that belongs to it.

use axum::extract::State;
use http::StatusCode;
use runtime::{Caller, Context, Function, Id, Outgoing, Result, error::ErrorBody, on, sql};

use super::{SERVICE, endpoint::find_own};
use contract::{EndpointDeleted, kind};

pub const FUNCTION: Function =
    Function::new("endpoint-delete", SERVICE, "deletes an endpoint and all its data")
        .http(runtime::http!(handle))
        .publishes();

#[utoipa::path(
    delete, path = "/public/v1/endpoints/{id}", tag = "endpoints", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such endpoint of the caller's", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(endpoint_id): Id) -> Result<StatusCode> {
    sql!(DELETE = "DELETE FROM endpoints WHERE id = $1 AND user_id = $2");
    let user_id = caller.user_id;
    find_own(&context, user_id, endpoint_id).await?;
    let id = format!("endpoint-{endpoint_id}-deleted");
    let gone = EndpointDeleted { endpoint_id, user_id };
    let event = Outgoing::new("endpoint-delete", kind::ENDPOINT_DELETED, id, context.clock().now(), &gone)?
        .of_owners([user_id]);
    // Publishes first, however long the broker takes: while the endpoint exists, the caller can try again.
    context.outbound().publish(event).await?;
    on!(context.db()?.write(), db => {
        sqlx::query(DELETE).bind(endpoint_id).bind(user_id).execute(db).await.map(drop)
    })?;
    Ok(StatusCode::NO_CONTENT)
}
