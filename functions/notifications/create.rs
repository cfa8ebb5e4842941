//! POST /public/v1/notifications: creates a notification.

use axum::{Json, extract::State, http::StatusCode};
use channels::{Config, ConfigSchema};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{
    Caller, Context, Db, Error, Fields, Function, Input, Result, db::JsonText, error::ErrorBody,
    input::IdempotencyKey, on, sql,
};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    SERVICE,
    addresses::{States, confirmation::mail_links, to_confirm},
    config, dispatch,
    notification::Notification,
    row::{ENDPOINTS, Row, saved},
};
use crate::words;

const NAME: &str = "notification-create";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "creates a notification")
    .http(runtime::http!(handle))
    .per_minute(120)
    .reads(runtime::settings!(runtime::secret::Sealer, crate::links::PublicUrl))
    .publishes();

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewNotification, example = json!({
    "name": "On call", "kind": "email", "config": {"to": ["a@example.com"]}, "endpoint_ids": [7],
}))]
struct Body {
    /// 1 to 100 characters.
    name: String,
    #[schema(schema_with = config::kind_schema)]
    kind: String,
    /// The fields of the kind, as listed by `GET /notification-service/v1/notification_kinds`.
    #[schema(value_type = ConfigSchema)]
    config: Value,
    /// At most 1000 of your own endpoints; null: all endpoints, including future ones.
    #[serde(default)]
    endpoint_ids: Option<Vec<i64>>,
    /// Also send alerts when an endpoint is degraded: it works, but not as it should.
    #[serde(default = "super::yes")]
    #[schema(default = true)]
    send_degraded: bool,
    #[serde(default = "super::yes")]
    #[schema(default = true)]
    enabled: bool,
    /// Also send alerts for the incidents that are open now.
    #[serde(default)]
    #[schema(default = false)]
    send_open_incidents: bool,
}

/// If the server generates a webhook's secret, only this response shows it. Unconfirmed addresses get a
/// mail with a confirmation link, and nothing else until they are confirmed.
#[utoipa::path(
    post, path = "/public/v1/notifications", tag = "notifications", security(("apikey" = [])),
    request_body = Body,
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$", description = "Visible \
        ASCII. A second request with the same key is answered with the notification that the first one made.")),
    responses(
        (status = 201, body = Notification),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are invalid.", "code": "VALIDATION_FAILED",
            "fields": {"config.to[0]": "must be an email address"},
        })),
        (status = 401, body = ErrorBody),
        (status = 409, description = "There are 100 already.", body = ErrorBody),
        (status = 429, description = "Too many in this minute.", body = ErrorBody),
        (status = 503, description = "The endpoints cannot be looked up now.", body = ErrorBody),
    ),
)]
async fn handle(
    State(context): State<Context>,
    caller: Caller,
    key: IdempotencyKey,
    Input(body): Input<Body>,
) -> Result<(StatusCode, Json<Notification>)> {
    let mut fields = Fields::default();
    fields.check_line("name", &body.name, 1..=100);
    fields.finish()?;
    let mut config = Config::read(config::kind_named(&body.kind)?, &body.config, None)?;
    let endpoint_ids = super::check_endpoints(&context, caller.user_id, body.endpoint_ids).await?;
    let shown_once = config.generate(|| context.random().bytes());
    let row = Row {
        id: 0,
        user_id: caller.user_id,
        name: body.name,
        kind: body.kind,
        sealed_config: config::seal(&context, &config)?,
        endpoint_ids: endpoint_ids.map(JsonText),
        send_degraded: body.send_degraded,
        enabled: body.enabled,
        failures: 0,
        failed_at: None,
        not_before: None,
        tested_at: None,
        created_at: context.clock().now(),
        updated_at: context.clock().now(),
    };
    let row = insert(context.db()?, row, key.0).await?;
    if body.send_open_incidents
        && let Err(error) = dispatch::send_open_incidents(&context, NAME, &row).await
    {
        // The notification is created anyway; later incidents are sent.
        tracing::error!(%error, row.id, "open incidents could not be sent to a new notification");
    }
    // A client that repeats the request has not seen the first response, nor the secret in it.
    let is_fresh = context.clock().now() - row.created_at < SECRET_SHOWN_FOR;
    let config = row.config(&context)?;
    let links = to_confirm(&context, caller.user_id, &config, None).await?;
    let warning = mail_links(&context, caller.user_id, &links).await?;
    let shown = if shown_once && is_fresh {
        row.with_config(&context, &config, config.values().clone(), &States::default())?
    } else {
        row.shown_alone(&context).await?
    };
    Ok((StatusCode::CREATED, Json(Notification { warning, ..shown })))
}

const MAX_NOTIFICATIONS: i64 = 100;
/// How long a repeated request still gets the generated secret.
const SECRET_SHOWN_FOR: TimeDelta = TimeDelta::minutes(10);

/// Inserts the notification, or returns the one that an earlier request with this key created.
async fn insert(db: &Db, new: Row, key: Option<String>) -> Result<Row> {
    sql!(
        MADE = "SELECT * FROM notification_rows WHERE id = (
        SELECT notification_id FROM notification_idempotency_keys WHERE user_id = $1 AND key = $2)"
    );
    sql!(
        KEEP_KEY =
            "INSERT INTO notification_idempotency_keys (user_id, key, notification_id) VALUES ($1, $2, $3)"
    );
    sql!(GONE = "SELECT EXISTS (SELECT 1 FROM notification_user_tombstones WHERE user_id = $1)");
    sql!(INSERT = "INSERT INTO notifications
            (user_id, name, kind, sealed_config, all_endpoints, enabled, created_at, updated_at, send_degraded)
        SELECT $1, $2, $3, $4, $5, $6, $7, $7, $9
        WHERE (SELECT COUNT(*) FROM notifications WHERE user_id = $1) < $8
        RETURNING id");
    let created_at: DateTime<Utc> = new.created_at;
    let mut transaction = db.begin().await?;
    // Serializes requests of one user: two at once must not both create the hundredth notification, and
    // none may be created while the user is deleted.
    super::lock_user(&mut transaction, new.user_id).await?;
    // The gateway may accept a key for a moment after its user was deleted.
    let gone: bool = on!(transaction.connection(), db =>
        sqlx::query_scalar(GONE).bind(new.user_id).fetch_one(db).await)?;
    if gone {
        return Err(Error::unauthorized());
    }
    if let Some(key) = &key {
        let made = on!(transaction.connection(), db =>
            sqlx::query_as(MADE).bind(new.user_id).bind(key).fetch_optional(db).await)?;
        if let Some(made) = made {
            return Ok(made);
        }
    }
    let endpoint_ids = new.endpoint_ids.as_ref().map(|ids| ids.0.as_slice());
    let id: Option<i64> = on!(transaction.connection(), db => {
        let query = sqlx::query_scalar(INSERT).bind(new.user_id).bind(new.name).bind(new.kind);
        let query = query.bind(new.sealed_config).bind(endpoint_ids.is_none()).bind(new.enabled);
        query.bind(created_at).bind(MAX_NOTIFICATIONS).bind(new.send_degraded).fetch_optional(db).await
    })?;
    let row = match id {
        Some(id) => {
            ENDPOINTS.replace(&mut transaction, id, endpoint_ids).await?;
            Some(saved(&mut transaction, id).await?)
        }
        None => None,
    };
    if let (Some(key), Some(row)) = (key, &row) {
        on!(transaction.connection(), db => {
            sqlx::query(KEEP_KEY).bind(row.user_id).bind(key).bind(row.id).execute(db).await.map(drop)
        })?;
    }
    transaction.commit().await?;
    row.ok_or_else(|| {
        Error::conflict("TOO_MANY_NOTIFICATIONS", words::too_many_notifications(MAX_NOTIFICATIONS))
    })
}
