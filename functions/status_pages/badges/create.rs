//! `POST /public/v1/badges`: creates an endpoint's badge, or returns the existing one.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Input, Result, error::ErrorBody, on, sql};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    super::{SERVICE, no_endpoint, upstream},
    Badge, columns,
};

pub const FUNCTION: Function =
    Function::new("badge-create", SERVICE, "creates an endpoint's badge, or returns the existing one")
        .http(runtime::http!(handle));

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBadge)]
struct Body {
    /// One of the caller's own endpoints.
    #[schema(example = 7)]
    endpoint_id: i64,
}

#[utoipa::path(
    post, path = "/public/v1/badges", tag = "badges", security(("apikey" = [])), request_body = Body,
    responses(
        (status = 200, description = "It was there", body = Badge),
        (status = 201, description = "Made", body = Badge),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Input(Body { endpoint_id }): Input<Body>,
) -> Result<(StatusCode, Json<Badge>)> {
    sql!(
        INSERT = concat!(
            "INSERT INTO status_badges (user_id, endpoint_id, token, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (endpoint_id) DO NOTHING RETURNING ",
            columns!()
        )
    );
    sql!(
        SELECT =
            concat!("SELECT ", columns!(), " FROM status_badges WHERE endpoint_id = $1 AND user_id = $2")
    );
    let user_id = caller.user_id;
    if upstream::endpoints(&context, user_id, &[endpoint_id]).await?.is_empty() {
        return Err(Error::field("endpoint_id", no_endpoint(endpoint_id)));
    }
    let (token, now) = (context.random().token(), context.clock().now());
    let mut transaction = context.db()?.begin().await?;
    super::super::lock_user(&mut transaction, user_id).await?;
    super::super::refuse_the_gone(&mut transaction, user_id).await?;
    let made = on!(transaction.connection(), db => {
        let insert = sqlx::query_as(INSERT).bind(user_id).bind(endpoint_id).bind(token).bind(now);
        insert.fetch_optional(db).await
    })?;
    let answer = match made {
        Some(badge) => (StatusCode::CREATED, Json(badge)),
        None => {
            let badge = on!(transaction.connection(), db => {
                sqlx::query_as(SELECT).bind(endpoint_id).bind(user_id).fetch_one(db).await
            })
            .map_err(Error::not_found_if_no_row)?;
            (StatusCode::OK, Json(badge))
        }
    };
    transaction.commit().await?;
    Ok(answer)
}
