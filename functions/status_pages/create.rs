//! `POST /public/v1/status_pages`: creates a status page.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{
    Caller, Context, Error, Function, Input, Result,
    error::{ErrorBody, OnConstraint},
    on, sql,
};

use super::{SERVICE, Settings, StatusPage, slug_taken};
use crate::words;

pub const FUNCTION: Function =
    Function::new("status-page-create", SERVICE, "creates a status page").http(runtime::http!(handle));

#[utoipa::path(
    post, path = "/public/v1/status_pages", tag = "status pages", security(("apikey" = [])),
    request_body = Settings,
    responses(
        (status = 201, description = "Made", body = StatusPage),
        (status = 400, description = "A field is invalid", body = ErrorBody, example = json!({
            "message": "Some fields are invalid.", "code": "VALIDATION_FAILED",
            "fields": {"groups[0].endpoint_ids": "there is no endpoint 9"},
        })),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 409, description = "SLUG_TAKEN, or TOO_MANY_STATUS_PAGES", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Input(settings): Input<Settings>,
) -> Result<(StatusCode, Json<StatusPage>)> {
    let settings = settings.checked()?;
    super::check_endpoints(&context, caller.user_id, &settings.groups, &[]).await?;
    let page = insert(&context, caller.user_id, settings).await?;
    Ok((StatusCode::CREATED, Json(page)))
}

const MAX_STATUS_PAGES: i64 = 100;

async fn insert(context: &Context, user_id: i64, settings: Settings) -> Result<StatusPage> {
    sql!(
        INSERT = "INSERT INTO status_pages (user_id, slug, title, description, published, created_at, updated_at) \
         SELECT $1, $2, $3, $4, $5, $6, $6 \
         WHERE (SELECT COUNT(*) FROM status_pages WHERE user_id = $1) < $7 RETURNING id"
    );
    let slug = settings.slug.unwrap_or_else(|| super::random_slug(context.random()));
    let mut transaction = context.db()?.begin().await?;
    super::lock_user(&mut transaction, user_id).await?;
    super::refuse_the_gone(&mut transaction, user_id).await?;
    let inserted = on!(transaction.connection(), db => {
        let insert = sqlx::query_scalar(INSERT).bind(user_id).bind(slug).bind(settings.title);
        let insert = insert.bind(settings.description).bind(settings.published);
        insert.bind(context.clock().now()).bind(MAX_STATUS_PAGES).fetch_optional(db).await
    });
    let id: Option<i64> = inserted.on_unique(slug_taken)?;
    let id = id.ok_or_else(|| {
        Error::conflict("TOO_MANY_STATUS_PAGES", words::too_many_status_pages(MAX_STATUS_PAGES))
    })?;
    let page = super::save_groups(&mut transaction, id, settings.groups).await?;
    transaction.commit().await?;
    Ok(page)
}
