//! `POST /public/v1/endpoints`: creates an endpoint, and requests its first check immediately.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{
    Caller, Context, Error, Function, Input, Result, error::ErrorBody, input::IdempotencyKey, on, sql,
};

use super::{
    COUNT, Endpoint, SERVICE, Settings, begin_adding, columns,
    quota::{QuotaConfig, check_bytes_quota},
    start::{Start, ask_for_checks},
};
use crate::words;

const NAME: &str = "endpoint-create";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "creates an endpoint and requests its first check at once")
        .http(runtime::http!(handle))
        // Each call requests a check immediately.
        .per_minute(600)
        .asks_strangers()
        .reads(runtime::settings!(QuotaConfig, runtime::secret::Sealer))
        .publishes();

#[utoipa::path(
    post, path = "/public/v1/endpoints", tag = "endpoints", security(("apikey" = [])), request_body = Settings,
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$", description = "Visible \
        ASCII. A second request with the same key is answered with the endpoint that the first one made.")),
    responses(
        (status = 201, description = "Added", body = Endpoint),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 409, description = "TOO_MANY_ENDPOINTS, TOO_MANY_SETTINGS_BYTES, TOO_MANY_CHECK_BYTES", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    key: IdempotencyKey,
    Input(settings): Input<Settings>,
) -> Result<(StatusCode, Json<Endpoint>)> {
    let settings = settings.completed(&context, caller.user_id).await.checked(caller.user_id, None).await?;
    let settings = settings.sealed(&context, None)?;
    let start = Start::now(&context, caller.user_id, &settings, |_| false)?;
    let (endpoint, is_new) = insert(&context, caller.user_id, settings, start.next_check_at, key.0).await?;
    if is_new
        && endpoint.settings.enabled
        && let Err(error) = ask_for_checks(&context, NAME, caller.user_id, &endpoint, &start.times).await
    {
        // The endpoint is created anyway, and the schedule checks it within a minute.
        tracing::warn!(%error, endpoint_id = endpoint.id, "the first checks could not be asked for");
    }
    Ok((StatusCode::CREATED, Json(endpoint.shown())))
}

/// Returns the endpoint, and whether this call created it.
async fn insert(
    context: &Context,
    user_id: i64,
    s: Settings,
    next_check_at: i64,
    key: Option<String>,
) -> Result<(Endpoint, bool)> {
    sql!(
        MADE = concat!(
            "SELECT ",
            columns!(),
            " FROM endpoints WHERE id = (SELECT endpoint_id FROM endpoint_idempotency_keys \
         WHERE user_id = $1 AND key = $2)"
        )
    );
    sql!(KEEP_KEY = "INSERT INTO endpoint_idempotency_keys (user_id, key, endpoint_id) VALUES ($1, $2, $3)");
    sql!(
        INSERT = concat!(
            "INSERT INTO endpoints (user_id, name, url, kind, config, interval_seconds, timeout_ms, assertions, retries, \
         failure_threshold, success_threshold, enabled, tags, next_check_at, created_at, updated_at, settings_bytes, \
         bytes_per_minute, status) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, $16, $17, 'pending') RETURNING ",
            columns!()
        )
    );
    let bytes = s.bytes();
    let max = context.config::<QuotaConfig>()?.endpoints_per_user;
    let now = context.clock().now();
    let mut tx = begin_adding(context.db()?, user_id).await?;
    if let Some(key) = &key {
        let made = on!(tx.connection(), db =>
            sqlx::query_as(MADE).bind(user_id).bind(key).fetch_optional(db).await)?;
        if let Some(made) = made {
            return Ok((made, false));
        }
    }
    let count: i64 = on!(tx.connection(), db => sqlx::query_scalar(COUNT).bind(user_id).fetch_one(db).await)?;
    if count >= max {
        return Err(Error::conflict("TOO_MANY_ENDPOINTS", words::too_many_endpoints(count, max)));
    }
    let endpoint: Endpoint = on!(tx.connection(), db => {
        let insert = sqlx::query_as(INSERT).bind(user_id).bind(s.name).bind(s.url).bind(s.kind).bind(s.config);
        let insert = insert.bind(s.interval_seconds).bind(s.timeout_ms).bind(s.assertions).bind(s.retries);
        let insert = insert.bind(s.failure_threshold).bind(s.success_threshold).bind(s.enabled).bind(s.tags);
        let insert = insert.bind(next_check_at).bind(now).bind(bytes.stored()).bind(bytes.per_minute());
        insert.fetch_one(db).await
    })?;
    check_bytes_quota(context, &mut tx, user_id, &bytes).await?;
    if let Some(key) = key {
        on!(tx.connection(), db => {
            sqlx::query(KEEP_KEY).bind(user_id).bind(key).bind(endpoint.id).execute(db).await.map(drop)
        })?;
    }
    tx.commit().await?;
    Ok((endpoint, true))
}
