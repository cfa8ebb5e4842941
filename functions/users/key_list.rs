//! `GET /public/v1/keys`: the caller's named keys, without their secrets.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use runtime::{Caller, Context, Function, List, Paging, Result, db::page_of, error::ErrorBody, on, sql};
use serde::Serialize;
use utoipa::ToSchema;

use super::SERVICE;

pub const FUNCTION: Function =
    Function::new("key-list", SERVICE, "lists the caller's named keys without their secrets")
        .http(runtime::http!(handle));

#[derive(Serialize, sqlx::FromRow, ToSchema)]
pub struct Key {
    id: i64,
    name: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

#[utoipa::path(
    get, path = "/public/v1/keys", tag = "keys", security(("apikey" = [])), params(Paging),
    responses(
        (status = 200, description = "A page of keys", body = List<Key>),
        (status = 400, description = "Not a page", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, paging: Paging) -> Result<Json<List<Key>>> {
    sql!(COUNT = "SELECT COUNT(*) FROM user_keys WHERE user_id = $1");
    sql!(
        SELECT = "SELECT id, name, created_at, expires_at FROM user_keys WHERE user_id = $1 \
         ORDER BY id LIMIT $2 OFFSET $3"
    );
    let db = context.db()?;
    let count = on!(db.read(), db => sqlx::query_scalar(COUNT).bind(caller.user_id).fetch_one(db).await)?;
    let (keys, found) = on!(db.read(), db => {
        let select = sqlx::query(SELECT).bind(caller.user_id).bind(paging.per_page).bind(paging.offset());
        select.fetch_all(db).await.map(page_of)
    })?;
    Ok(paging.list(keys, found, count))
}
