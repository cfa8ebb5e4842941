//! `GET /private/v1/users`: all users, for other functions.

use axum::{Json, extract::State};
use runtime::{Context, Function, List, Paging, Result, db::page_of, error::ErrorBody, on, sql};

use super::{SERVICE, User};

pub const FUNCTION: Function =
    Function::new("user-private-list", SERVICE, "lists all users, for other functions")
        .http(runtime::http!(handle));

#[utoipa::path(
    get, path = "/private/v1/users", tag = "users", params(Paging),
    responses(
        (status = 200, description = "A page of users", body = List<User>),
        (status = 400, description = "Not a page", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, paging: Paging) -> Result<Json<List<User>>> {
    sql!(COUNT = "SELECT COUNT(*) FROM users WHERE activated_at IS NOT NULL");
    sql!(
        SELECT = "SELECT id, email, language, time_zone, created_at FROM users WHERE activated_at IS NOT NULL \
         ORDER BY id LIMIT $1 OFFSET $2"
    );
    let db = context.db()?;
    let count = on!(db.read(), db => sqlx::query_scalar(COUNT).fetch_one(db).await)?;
    let (users, found) = on!(db.read(), db => {
        sqlx::query(SELECT).bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    Ok(paging.list(users, found, count))
}
