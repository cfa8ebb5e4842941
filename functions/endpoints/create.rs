//! `POST /public/v1/endpoints`: adds an endpoint, and asks for a first check at once.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Input, Result, error::ErrorBody, on, text};

use super::{Endpoint, QuotaConfig, SERVICE, Settings, ask_for_check, begin_adding, columns, first_slot};

pub const FUNCTION: Function =
    Function::new("endpoint-create", SERVICE, "adds an endpoint, and asks for a first check at once")
        .http(runtime::http!(handle))
        // Each asks for a check at once.
        .per_minute(600)
        .reads(runtime::settings!(super::QuotaConfig))
        .publishes();

#[utoipa::path(
    post, path = "/public/v1/endpoints", tag = "endpoints", security(("apikey" = [])), request_body = Settings,
    responses(
        (status = 201, description = "Added", body = Endpoint),
        (status = 400, description = "A field is not acceptable", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 409, description = "TOO_MANY_ENDPOINTS", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Input(settings): Input<Settings>,
) -> Result<(StatusCode, Json<Endpoint>)> {
    let settings = settings.checked()?;
    let first = first_slot(&context, settings.interval_seconds);
    let endpoint = insert(&context, caller.user_id, settings, first).await?;
    if endpoint.settings.enabled
        && let Err(error) = ask_for_check(&context, "endpoint-create", caller.user_id, &endpoint).await
    {
        // It is added all the same, and its first slot is less than an interval away.
        tracing::warn!(%error, endpoint_id = endpoint.id, "the first check could not be asked for");
    }
    Ok((StatusCode::CREATED, Json(endpoint)))
}

async fn insert(context: &Context, user_id: i64, s: Settings, next_slot: i64) -> Result<Endpoint> {
    static COUNT: &str = "SELECT COUNT(*) FROM endpoints WHERE user_id = $1";
    static INSERT: &str = concat!(
        "INSERT INTO endpoints (user_id, name, url, method, headers, body, interval_seconds, timeout_ms, \
         expected_status, assertions, follow_redirects, verify_tls, retries, failure_threshold, \
         success_threshold, enabled, tags, next_slot, created_at, updated_at, status) VALUES \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19, \
         'pending') RETURNING ",
        columns!()
    );
    let most = context.config::<QuotaConfig>()?.endpoints_per_user;
    let now = context.clock().now();
    let mut tx = begin_adding(context.db()?, user_id).await?;
    let count: i64 = on!(tx.connection(), db => sqlx::query_scalar(COUNT).bind(user_id).fetch_one(db).await)?;
    if count >= most {
        return Err(Error::conflict(
            "TOO_MANY_ENDPOINTS",
            text(
                format!("You have {count} endpoints; {most} are allowed."),
                format!("엔드포인트는 {most}개까지 만들 수 있습니다."),
            ),
        ));
    }
    let endpoint = on!(tx.connection(), db => {
        let insert = sqlx::query_as(INSERT).bind(user_id).bind(s.name).bind(s.url).bind(s.method).bind(s.headers);
        let insert = insert.bind(s.body).bind(s.interval_seconds).bind(s.timeout_ms).bind(s.expected_status);
        let insert = insert.bind(s.assertions).bind(s.follow_redirects).bind(s.verify_tls).bind(s.retries);
        let insert = insert.bind(s.failure_threshold).bind(s.success_threshold).bind(s.enabled).bind(s.tags);
        insert.bind(next_slot).bind(now).fetch_one(db).await
    })?;
    tx.commit().await?;
    Ok(endpoint)
}
