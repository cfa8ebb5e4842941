//! `PATCH /public/v1/endpoints/{id}`: changes the given fields of an endpoint.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Error, Function, Id, Input, Result, error::ErrorBody, on, sql};
use serde_json::{Map, Value};

use super::{
    Endpoint, SERVICE, Settings, announce, columns,
    endpoint::find_own,
    patched,
    quota::{QuotaConfig, check_bytes_quota},
    start::{Start, ask_for_checks},
};

const NAME: &str = "endpoint-update";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "changes what is given, and keeps the rest")
    .http(runtime::http!(handle))
    .per_minute(600)
    .asks_strangers()
    .reads(runtime::settings!(QuotaConfig, runtime::secret::Sealer))
    .publishes();

/// Maximum number of tries, if other updates change the endpoint at the same time.
const MAX_TRIES: u32 = 5;

#[utoipa::path(
    patch, path = "/public/v1/endpoints/{id}", tag = "endpoints", security(("apikey" = [])),
    params(("id" = i64, Path, minimum = 1)),
    request_body(content = Settings, description = "Any of the fields; the others stay as they are. `config` is replaced as a whole, but a secret that is sent back masked stays."),
    responses(
        (status = 200, description = "Changed", body = Endpoint),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such endpoint of the caller's", body = ErrorBody),
        (status = 409, description = "TOO_MANY_SETTINGS_BYTES, TOO_MANY_CHECK_BYTES, CHANGED_MEANWHILE", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Id(id): Id,
    Input(patch): Input<Map<String, Value>>,
) -> Result<Json<Endpoint>> {
    // Two people may change different fields at once: the row is locked from reading to writing.
    sql!(SQLITE = concat!("SELECT ", columns!(), " FROM endpoints WHERE id = $1 AND user_id = $2"));
    sql!(
        POSTGRES =
            concat!("SELECT ", columns!(), " FROM endpoints WHERE id = $1 AND user_id = $2 FOR UPDATE")
    );
    sql!(
        UPDATE = concat!(
            "UPDATE endpoints SET name = $2, url = $3, kind = $4, config = $5, interval_seconds = $6, timeout_ms = $7, \
         assertions = $8, retries = $9, failure_threshold = $10, success_threshold = $11, enabled = $12, tags = $13, \
         next_check_at = COALESCE($14, next_check_at), \
         leased_until = CASE WHEN $14 IS NULL THEN leased_until END, updated_at = $15, revision = revision + $16, \
         settings_revision = CASE WHEN $16 = 0 THEN settings_revision ELSE revision + $16 END, settings_bytes = $17, bytes_per_minute = $18 WHERE id = $1 RETURNING ",
            columns!()
        )
    );
    sql!(NEXT_CHECK = "SELECT next_check_at FROM endpoints WHERE id = $1");
    let db = context.db()?;
    let select = db.pick(SQLITE, POSTGRES);
    let mut seen = find_own(&context, caller.user_id, id).await?.settings;
    let mut tries = 0;
    let (mut tx, old, s) = loop {
        // Each try may send requests to a server of the caller's choice.
        tries += 1;
        if tries > MAX_TRIES {
            return Err(Error::conflict("CHANGED_MEANWHILE", crate::words::CHANGED_MEANWHILE));
        }
        // Validation runs before the row is locked: slow validation must not block others.
        let opened = seen.clone().opened_as_possible(&context);
        let settings = patched(&seen, patch.clone())?.completed(&context, caller.user_id).await;
        let settings = settings.checked(caller.user_id, Some(&opened)).await?;
        let settings = settings.sealed(&context, Some((&seen, &opened)))?;
        let mut tx = db.begin().await?;
        let found: Option<Endpoint> = on!(tx.connection(), db => {
            sqlx::query_as(select).bind(id).bind(caller.user_id).fetch_optional(db).await
        })?;
        let old = found.ok_or_else(Error::not_found)?.settings;
        if old == seen {
            break (tx, old, settings);
        }
        seen = old;
    };
    // A new name or tag does not affect checks. After any other change, the endpoint is checked anew from now on:
    // checks that were requested before belong to an older revision.
    let changed = Settings { name: old.name.clone(), tags: old.tags.clone(), ..s.clone() } != old;
    let handed_out: i64 =
        on!(tx.connection(), db => sqlx::query_scalar(NEXT_CHECK).bind(id).fetch_one(db).await)?;
    let is_taken = |scheduled_at| {
        scheduled_at < handed_out && (handed_out - scheduled_at) % i64::from(old.interval_seconds.max(1)) == 0
    };
    let start =
        (changed && s.enabled).then(|| Start::now(&context, caller.user_id, &s, is_taken)).transpose()?;
    let next_check_at = start.as_ref().map(|start| start.next_check_at);
    let (bytes, before) = (s.bytes(), old.bytes());
    let now = context.clock().now();
    let endpoint: Endpoint = on!(tx.connection(), db => {
        let update = sqlx::query_as(UPDATE).bind(id).bind(s.name).bind(s.url).bind(s.kind).bind(s.config);
        let update = update.bind(s.interval_seconds).bind(s.timeout_ms).bind(s.assertions).bind(s.retries);
        let update = update.bind(s.failure_threshold).bind(s.success_threshold).bind(s.enabled).bind(s.tags);
        let update = update.bind(next_check_at).bind(now).bind(i64::from(changed));
        update.bind(bytes.stored()).bind(bytes.per_minute()).fetch_one(db).await
    })?;
    // A user who is over a limit that was lowered later may still change other fields, or reduce the size.
    if bytes.stored() > before.stored() || bytes.per_minute() > before.per_minute() {
        check_bytes_quota(&context, &mut tx, caller.user_id, &bytes).await?;
    }
    tx.commit().await?;
    if changed {
        let Endpoint { id, revision, updated_at, .. } = endpoint;
        let enabled = endpoint.settings.enabled;
        let settings_revision = revision;
        let row =
            announce::Row { id, user_id: caller.user_id, revision, settings_revision, enabled, updated_at };
        announce::try_announce(&context, NAME, vec![row]).await;
    }
    if let Some(start) = start
        && let Err(error) = ask_for_checks(&context, NAME, caller.user_id, &endpoint, &start.times).await
    {
        tracing::warn!(%error, endpoint_id = id, "the first checks could not be asked for");
    }
    Ok(Json(endpoint.shown()))
}
