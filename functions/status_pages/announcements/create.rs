//! `POST /public/v1/announcements`: publishes an announcement on a status page.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Input, Result, error::ErrorBody, on, sql};

use super::{super::SERVICE, Announcement, Settings, columns};
use crate::words;

pub const FUNCTION: Function =
    Function::new("announcement-create", SERVICE, "posts an announcement on a status page")
        .http(runtime::http!(handle));

#[utoipa::path(
    post, path = "/public/v1/announcements", tag = "announcements", security(("apikey" = [])),
    request_body = Settings,
    responses(
        (status = 201, description = "Made", body = Announcement),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 409, description = "TOO_MANY_ANNOUNCEMENTS", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Input(settings): Input<Settings>,
) -> Result<(StatusCode, Json<Announcement>)> {
    let (settings, starts_at) = settings.checked(context.clock().now())?;
    super::check_page(&context, caller.user_id, settings.status_page_id).await?;
    let announcement = insert(&context, caller.user_id, settings, starts_at).await?;
    Ok((StatusCode::CREATED, Json(announcement)))
}

const MAX_ANNOUNCEMENTS: i64 = 500;

async fn insert(
    context: &Context,
    user_id: i64,
    settings: Settings,
    starts_at: DateTime<Utc>,
) -> Result<Announcement> {
    // The page may have been deleted after it was checked.
    sql!(
        INSERT = concat!(
            "INSERT INTO status_announcements (user_id, status_page_id, title, text, severity, starts_at, ends_at, \
         created_at, updated_at) \
         SELECT user_id, id, $3, $4, $5, $6, $7, $8, $8 FROM status_pages WHERE id = $2 AND user_id = $1 \
         AND (SELECT COUNT(*) FROM status_announcements WHERE status_page_id = $2) < $9 RETURNING ",
            columns!()
        )
    );
    let mut transaction = context.db()?.begin().await?;
    super::super::lock_user(&mut transaction, user_id).await?;
    let announcement = on!(transaction.connection(), db => {
        let insert = sqlx::query_as(INSERT).bind(user_id).bind(settings.status_page_id).bind(settings.title);
        let insert = insert.bind(settings.text).bind(settings.severity.as_str()).bind(starts_at);
        insert.bind(settings.ends_at).bind(context.clock().now()).bind(MAX_ANNOUNCEMENTS).fetch_optional(db).await
    })?;
    transaction.commit().await?;
    announcement.ok_or_else(|| {
        Error::conflict("TOO_MANY_ANNOUNCEMENTS", words::too_many_announcements(MAX_ANNOUNCEMENTS))
    })
}
