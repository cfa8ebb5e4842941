//! `GET /public/v1/announcements/{id}`: one of the caller's announcements.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Function, Id, Result, error::ErrorBody};

use super::{super::SERVICE, Announcement, own};

pub const FUNCTION: Function =
    Function::new("announcement-get", SERVICE, "returns one of the caller's announcements")
        .http(runtime::http!(handle));

#[utoipa::path(
    get, path = "/public/v1/announcements/{id}", tag = "announcements", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The announcement", body = Announcement),
        (status = 400, description = "Not an id", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such announcement of the caller's", body = ErrorBody),
    )
)]
async fn handle(caller: Caller, State(context): State<Context>, Id(id): Id) -> Result<Json<Announcement>> {
    own(context.db()?, caller.user_id, id).await.map(Json)
}
