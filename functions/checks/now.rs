//! `POST /public/v1/checks`: checks an endpoint, or settings that are not saved yet, and returns the result.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Input, Result, error::ErrorBody, input};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::SERVICE;
use crate::{
    endpoints::{Settings, address, patched, private_get},
    prober::{Checked, ProbeSettings, check_now, prober},
    words,
};

pub const FUNCTION: Function = Function::new(
    "check-now",
    SERVICE,
    "checks an endpoint, or settings that are not saved yet, and returns the result",
)
.http(runtime::http!(handle))
.per_minute(60)
.asks_strangers()
.without_database()
.reads(runtime::settings!(ProbeSettings, net::trust::ExtraRoots, runtime::secret::Sealer));

/// An existing endpoint, with or without changes; or settings of an endpoint that is not saved yet.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(example = json!({"url": "https://example.com/health"}))]
#[expect(dead_code, reason = "only described: what is wrong with a field is told by its own type")]
enum Wanted {
    Endpoint {
        #[schema(example = 1, minimum = 1)]
        endpoint_id: i64,
        #[serde(flatten)]
        changes: Map<String, Value>,
    },
    /// Any settings of an endpoint, to try them before they are saved.
    Settings(Box<Settings>),
}

#[utoipa::path(
    post, path = "/public/v1/checks", tag = "checks", security(("apikey" = [])), request_body = Wanted,
    responses(
        (status = 200, description = "The result; a target that is down is a result too", body = Checked),
        (status = 400, description = "A field is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
        (status = 404, description = "No such endpoint of the caller's", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Input(mut wanted): Input<Map<String, Value>>,
) -> Result<(StatusCode, Json<Checked>)> {
    let id = wanted.remove("endpoint_id").filter(|id| !id.is_null());
    let is_alone = wanted.values().all(Value::is_null);
    let (settings, fallback) = match id {
        None if is_alone => {
            let what = words::GIVE_EITHER_ENDPOINT_ID_OR_URL;
            return Err(Error::field("endpoint_id", what));
        }
        None => {
            let settings: Settings = input::parse(Value::Object(wanted).to_string().as_bytes())?;
            let fallback =
                address(&settings.kind, &settings.url).fallback.filter(|_| !settings.has_secrets());
            (settings.checked(caller.user_id, None).await?, fallback)
        }
        Some(id) => {
            let invalid = || Error::field("endpoint_id", contract::words::MUST_BE_POSITIVE_INTEGER);
            let id = id.as_i64().filter(|id| *id > 0).ok_or_else(invalid)?;
            let stored = settings_of(&context, caller.user_id, id).await?;
            if is_alone {
                (stored.opened(&context)?, None)
            } else {
                let changed = patched(&stored, wanted)?.completed(&context, caller.user_id).await;
                let opened = stored.opened(&context)?;
                (changed.checked(caller.user_id, Some(&opened)).await?, None)
            }
        }
    };
    let target = settings.target();
    let checked = check_now(&*prober(&context)?, caller.user_id, target, fallback).await;
    Ok((StatusCode::OK, Json(checked)))
}

async fn settings_of(context: &Context, user_id: i64, id: i64) -> Result<Settings> {
    let owned = private_get::call(context, id).await?;
    if owned.user_id == user_id { Ok(owned.endpoint.settings) } else { Err(Error::not_found()) }
}
