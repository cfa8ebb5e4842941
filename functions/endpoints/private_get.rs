//! `GET /private/v1/endpoints/{id}`: any endpoint with its owner, for other functions.

use axum::{Json, extract::State};
use runtime::{Context, Error, Function, Id, Result, error::ErrorBody, on, sql};

use super::{OwnedEndpoint, SERVICE, columns};

const NAME: &str = "endpoint-private-get";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "returns any endpoint with its owner, for other functions")
        .http(runtime::http!(handle));

pub async fn call(context: &Context, id: i64) -> Result<OwnedEndpoint> {
    context.outbound().get(NAME, &format!("/private/v1/endpoints/{id}")).await
}

#[utoipa::path(
    get, path = "/private/v1/endpoints/{id}", tag = "endpoints", params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The endpoint", body = OwnedEndpoint),
        (status = 404, description = "No such endpoint", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Id(id): Id) -> Result<Json<OwnedEndpoint>> {
    sql!(SQL = concat!("SELECT user_id, ", columns!(), " FROM endpoints WHERE id = $1"));
    let found = on!(context.db()?.read(), db => sqlx::query_as(SQL).bind(id).fetch_optional(db).await)?;
    found.map(Json).ok_or_else(Error::not_found)
}
