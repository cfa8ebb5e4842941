//! `PATCH /public/v1/status_pages/{id}`: changes the given fields of a status page.

use axum::{Json, extract::State};
use runtime::{
    Caller, Context, Error, Function, Id, Input, Result,
    error::{ErrorBody, OnConstraint},
    input, on, sql,
};
use serde_json::{Map, Value};

use super::{SERVICE, Settings, StatusPage, slug_taken};
use crate::words;

pub const FUNCTION: Function =
    Function::new("status-page-update", SERVICE, "changes what is given, and keeps the rest")
        .http(runtime::http!(handle));

#[utoipa::path(
    patch, path = "/public/v1/status_pages/{id}", tag = "status pages", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    request_body(
        content = Settings,
        description = "Any of the fields; the others stay as they are. `slug: null` gives it another random one",
    ),
    responses(
        (status = 200, description = "Changed", body = StatusPage),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such status page of the caller's", body = ErrorBody),
        (status = 409, description = "SLUG_TAKEN, or CHANGED_MEANWHILE", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Id(id): Id,
    Input(patch): Input<Map<String, Value>>,
) -> Result<Json<StatusPage>> {
    // Endpoints are looked up between reading and writing, and no lock is held that long: tries again after another
    // change.
    for _ in 0..3 {
        if let Some(page) = change(&context, caller.user_id, id, patch.clone()).await? {
            return Ok(Json(page));
        }
    }
    let what = words::CHANGED_MEANWHILE;
    Err(Error::conflict("CHANGED_MEANWHILE", what))
}

/// Returns `None` if another update was faster.
async fn change(
    context: &Context,
    user_id: i64,
    id: i64,
    patch: Map<String, Value>,
) -> Result<Option<StatusPage>> {
    sql!(
        UPDATE = "UPDATE status_pages SET slug = $3, title = $4, description = $5, published = $6, \
         updated_at = $7 WHERE id = $1 AND user_id = $2 AND updated_at = $8 RETURNING id"
    );
    let db = context.db()?;
    let StatusPage { slug, title, description, groups, published, updated_at, .. } =
        super::own(db, user_id, id).await?;
    let old = Settings { slug: Some(slug), title, description, groups: groups.0, published };
    let new = input::patched::<Settings>(&old, patch)?.checked()?;
    super::check_endpoints(context, user_id, &new.groups, &old.groups).await?;
    let slug = new.slug.unwrap_or_else(|| super::random_slug(context.random()));
    let mut transaction = db.begin().await?;
    let updated = on!(transaction.connection(), db => {
        let update = sqlx::query_scalar(UPDATE).bind(id).bind(user_id).bind(slug).bind(new.title);
        let update = update.bind(new.description).bind(new.published);
        update.bind(context.clock().now()).bind(updated_at).fetch_optional(db).await
    });
    let updated: Option<i64> = updated.on_unique(slug_taken)?;
    if updated.is_none() {
        return Ok(None);
    }
    let page = super::save_groups(&mut transaction, id, new.groups).await?;
    transaction.commit().await?;
    Ok(Some(page))
}
