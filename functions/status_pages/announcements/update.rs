//! `PATCH /public/v1/announcements/{id}`: changes the given fields of an announcement.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Error, Function, Id, Input, Result, error::ErrorBody, input, on, sql};
use serde_json::{Map, Value};

use super::{super::SERVICE, Announcement, Settings, columns};

pub const FUNCTION: Function =
    Function::new("announcement-update", SERVICE, "changes what is given, and keeps the rest")
        .http(runtime::http!(handle));

#[utoipa::path(
    patch, path = "/public/v1/announcements/{id}", tag = "announcements", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    request_body(content = Settings, description = "Any of the fields; the others stay as they are"),
    responses(
        (status = 200, description = "Changed", body = Announcement),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such announcement of the caller's", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Id(id): Id,
    Input(patch): Input<Map<String, Value>>,
) -> Result<Json<Announcement>> {
    // Two people may change different fields at once: the row is locked from reading to writing.
    sql!(
        SQLITE = concat!("SELECT ", columns!(), " FROM status_announcements WHERE id = $1 AND user_id = $2")
    );
    sql!(
        POSTGRES = concat!(
            "SELECT ",
            columns!(),
            " FROM status_announcements WHERE id = $1 AND user_id = $2 FOR UPDATE"
        )
    );
    sql!(
        UPDATE = concat!(
            "UPDATE status_announcements SET status_page_id = $2, title = $3, text = $4, severity = $5, \
         starts_at = $6, ends_at = $7, updated_at = $8 WHERE id = $1 RETURNING ",
            columns!()
        )
    );
    let (db, now) = (context.db()?, context.clock().now());
    // Checked before the row is locked, so that SQLite's only connection for writing does not wait.
    if let Some(page_id) = patch.get("status_page_id").and_then(Value::as_i64) {
        super::own(db, caller.user_id, id).await?;
        super::check_page(&context, caller.user_id, page_id).await?;
    }
    let mut transaction = db.begin().await?;
    let select = db.pick(SQLITE, POSTGRES);
    let found: Option<Announcement> = on!(transaction.connection(), db => {
        sqlx::query_as(select).bind(id).bind(caller.user_id).fetch_optional(db).await
    })?;
    let old = settings(found.ok_or_else(Error::not_found)?);
    let (new, starts_at) = input::patched::<Settings>(&old, patch)?.checked(now)?;
    let announcement = on!(transaction.connection(), db => {
        let update = sqlx::query_as(UPDATE).bind(id).bind(new.status_page_id).bind(new.title).bind(new.text);
        let update = update.bind(new.severity.as_str()).bind(starts_at).bind(new.ends_at);
        update.bind(now).fetch_one(db).await
    });
    let announcement: Announcement = announcement.map_err(|error| match &error {
        // The page was deleted after it was checked.
        sqlx::Error::Database(db) if db.is_foreign_key_violation() => super::no_page(new.status_page_id),
        _ => Error::not_found_if_no_row(error),
    })?;
    transaction.commit().await?;
    Ok(Json(announcement))
}

fn settings(announcement: Announcement) -> Settings {
    let Announcement { status_page_id, title, text, severity, starts_at, ends_at, .. } = announcement;
    Settings { status_page_id, title, text, severity, starts_at: Some(starts_at), ends_at }
}
