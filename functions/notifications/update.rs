//! PATCH /public/v1/notifications/{id}: changes the given fields.

use axum::{Json, extract::State};
use channels::{Config, ConfigSchema};
use runtime::{Caller, Context, Error, Fields, Function, Id, Input, Result, error::ErrorBody, on, sql};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    SERVICE,
    addresses::{confirmation::mail_links, to_confirm},
    config,
    deliveries::queue,
    notification::Notification,
    row::{ENDPOINTS, Row, own, saved},
};
use crate::words;

pub const FUNCTION: Function = Function::new("notification-update", SERVICE, "changes a notification")
    .http(runtime::http!(handle))
    .reads(runtime::settings!(runtime::secret::Sealer, crate::links::PublicUrl));

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NotificationChanges, example = json!({"name": "Nights", "endpoint_ids": null}))]
struct Body {
    name: Option<String>,
    /// Cannot be changed, only repeated.
    #[schema(schema_with = config::optional_kind_schema)]
    kind: Option<String>,
    /// Replaces the whole config; a secret that is sent back masked keeps its value.
    #[schema(value_type = Option<ConfigSchema>)]
    config: Option<Value>,
    /// null: all endpoints.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<i64>>)]
    endpoint_ids: Option<Option<Vec<i64>>>,
    send_degraded: Option<bool>,
    enabled: Option<bool>,
}

/// Distinguishes null from absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Vec<i64>>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// New addresses of an email notification get a mail with a confirmation link.
#[utoipa::path(
    patch, path = "/public/v1/notifications/{id}", tag = "notifications", security(("apikey" = [])),
    params(("id" = i64, Path, example = 3)), request_body = Body,
    responses(
        (status = 200, body = Notification),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are invalid.", "code": "VALIDATION_FAILED",
            "fields": {"endpoint_ids": "there is no endpoint 9"},
        })),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, description = "The endpoints cannot be looked up now.", body = ErrorBody),
    ),
)]
async fn handle(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id,
    Input(body): Input<Body>,
) -> Result<Json<Notification>> {
    sql!(
        UPDATE = "UPDATE notifications SET name = COALESCE($3, name),
            sealed_config = COALESCE($4, sealed_config), enabled = COALESCE($5, enabled),
            updated_at = $6,
            failures = CASE WHEN $4 IS NULL THEN failures ELSE 0 END,
            not_before = CASE WHEN $4 IS NULL THEN not_before ELSE NULL END,
            tested_at = CASE WHEN $7 THEN NULL ELSE tested_at END, send_degraded = COALESCE($8, send_degraded)
        WHERE id = $1 AND user_id = $2 RETURNING id"
    );
    // Waiting messages use the new settings, and do not wait for earlier failures.
    sql!(
        MOVE = "UPDATE deliveries SET host = $2, due_at = CASE WHEN due_at > $3 THEN $3 ELSE due_at END
        WHERE notification_id = $1 AND status = 'pending' AND leased_at IS NULL"
    );
    // These were never handed to a sender: disabling and enabling again must not fill the log. The last
    // few stay visible.
    sql!(FORGET = "DELETE FROM deliveries
        WHERE notification_id = $1 AND status = 'pending' AND handed_at IS NULL AND id NOT IN (
            SELECT id FROM deliveries WHERE notification_id = $1 AND status = 'pending' ORDER BY id DESC LIMIT 20)");
    sql!(
        SILENCE = "UPDATE deliveries SET status = 'failed', finished_at = $2,
            error = 'Not sent: the notification was disabled.'
        WHERE notification_id = $1 AND status = 'pending' AND leased_at IS NULL"
    );
    let row = own(context.db()?, caller.user_id, id).await?;
    check(&row, &body)?;
    // An unreadable config does not block other changes.
    let before = if body.config.is_some() { Some(row.config(&context)?) } else { None };
    let read = |sent: Value| -> Result<_> { Ok(Config::read(row.kind()?, &sent, before.as_ref())?) };
    let config: Option<Config> = body.config.map(read).transpose()?;
    let is_other = config.is_some() && config != before;
    let sealed_config = config.as_ref().map(|config| config::seal(&context, config)).transpose()?;
    let gives_endpoints = body.endpoint_ids.is_some();
    let endpoint_ids = super::check_endpoints(&context, caller.user_id, body.endpoint_ids.flatten()).await?;
    let now = context.clock().now();
    let mut transaction = context.db()?.begin().await?;
    queue::lock(&mut transaction).await?;
    on!(transaction.connection(), db => {
        let query = sqlx::query(UPDATE).bind(id).bind(caller.user_id).bind(body.name);
        let query = query.bind(sealed_config).bind(body.enabled).bind(now).bind(is_other);
        query.bind(body.send_degraded).fetch_one(db).await.map(drop)
    })
    .map_err(Error::not_found_if_no_row)?;
    if gives_endpoints {
        ENDPOINTS.replace(&mut transaction, id, endpoint_ids.as_deref()).await?;
    }
    let row = saved(&mut transaction, id).await?;
    if let Some(config) = &config {
        on!(transaction.connection(), db =>
            sqlx::query(MOVE).bind(id).bind(config.host()).bind(now).execute(db).await.map(drop))?;
    }
    if !row.enabled {
        on!(transaction.connection(), db => {
            sqlx::query(FORGET).bind(id).execute(&mut *db).await?;
            sqlx::query(SILENCE).bind(id).bind(now).execute(&mut *db).await.map(drop)
        })?;
    }
    transaction.commit().await?;
    let links = match &config {
        Some(config) => to_confirm(&context, caller.user_id, config, before.as_ref()).await?,
        None => Vec::new(),
    };
    let warning = mail_links(&context, caller.user_id, &links).await?;
    Ok(Json(Notification { warning, ..row.shown_alone(&context).await? }))
}

fn check(row: &Row, body: &Body) -> Result<()> {
    let mut fields = Fields::default();
    if let Some(name) = &body.name {
        fields.check_line("name", name, 1..=100);
    }
    let same = body.kind.as_ref().is_none_or(|kind| *kind == row.kind);
    fields.check(same, "kind", || words::KIND_CANNOT_BE_CHANGED);
    Ok(fields.finish()?)
}
