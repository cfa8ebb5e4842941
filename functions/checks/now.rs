//! `POST /public/v1/checks`: checks an endpoint, or what may become one, and answers with the result.

use axum::{Json, extract::State};
use checks::Prober;
use contract::address::Address;
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Input, Result, error::ErrorBody, input, text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{SERVICE, prober};
use crate::endpoints::{OwnedEndpoint, Settings, address};
use contract::{FailureCode, Outcome, Target};

pub const FUNCTION: Function = Function::new(
    "check-now",
    SERVICE,
    "checks an endpoint, or what may become one, and answers with the result",
)
.http(runtime::http!(handle, complete))
.per_minute(60)
.asks_strangers()
.without_database()
.reads(runtime::settings!(super::ProbeSettings, net::trust::ExtraRoots, runtime::secret::Sealer));

/// An endpoint that is there, as it is or as a change would make it; or one as it would be saved.
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
    /// Any setting of an endpoint, to try it out before it is saved.
    Settings(Box<Settings>),
}

#[derive(Serialize, ToSchema)]
pub struct Checked {
    #[schema(example = "https://example.com/health")]
    pub url: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[utoipa::path(
    post, path = "/public/v1/checks", tag = "checks", security(("apikey" = [])), request_body = Wanted,
    responses(
        (status = 200, description = "The result; a target that is down is a result too", body = Checked),
        (status = 400, description = "A field is not acceptable", body = ErrorBody),
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
            let what = text("give either endpoint_id or url", "endpoint_id와 url 중 하나를 지정하세요");
            return Err(Error::field("endpoint_id", what));
        }
        None => {
            let settings: Settings = input::parse(Value::Object(wanted).to_string().as_bytes())?;
            let fallback =
                address(&settings.kind, &settings.url).fallback.filter(|_| !settings.has_secrets());
            (settings.checked(caller.user_id, None).await?, fallback)
        }
        Some(id) => {
            let invalid =
                || Error::field("endpoint_id", text("must be a positive integer", "양의 정수여야 합니다"));
            let id = id.as_i64().filter(|id| *id > 0).ok_or_else(invalid)?;
            let stored = settings_of(&context, caller.user_id, id).await?;
            if is_alone {
                (stored.opened(&context)?, None)
            } else {
                (stored.tried(&context, caller.user_id, wanted).await?, None)
            }
        }
    };
    let target = settings.target();
    let checked = probe(&*prober(&context)?, caller.user_id, target, fallback).await;
    Ok((StatusCode::OK, Json(checked)))
}

/// Checks `target`. One that refuses HTTPS, where its scheme was not typed, is checked by `fallback`; that counts if it
/// succeeds.
pub(super) async fn probe(
    prober: &Prober,
    user_id: i64,
    target: Target,
    fallback: Option<String>,
) -> Checked {
    let outcome = prober.probe(user_id, &target, None).await;
    let is_refused = outcome.error.as_ref().is_some_and(|error| error.code == FailureCode::ConnectRefused);
    if let Some(url) = fallback.filter(|_| is_refused) {
        let target = Target { url, ..target.clone() };
        let outcome = prober.probe(user_id, &target, None).await;
        if outcome.status.is_up() {
            return Checked { url: target.url, outcome };
        }
    }
    Checked { url: target.url, outcome }
}

/// An address that was typed without a scheme.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = TypedAddress)]
pub struct Typed {
    #[schema(example = 1)]
    pub user_id: i64,
    #[schema(example = "example.com")]
    pub url: String,
}

/// The URL that it stands for.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = CompletedAddress)]
pub struct Completed {
    #[schema(example = "https://example.com")]
    pub url: String,
}

const COMPLETE_TIMEOUT_MS: i32 = 3000;

/// Gives a bare address its scheme: HTTP if the server refuses HTTPS and answers HTTP.
#[utoipa::path(
    post, path = "/private/v1/addresses/complete", tag = "checks", request_body = Typed,
    responses(
        (status = 200, body = Completed),
        (status = 400, description = "Not an address", body = ErrorBody),
    )
)]
async fn complete(State(context): State<Context>, Input(typed): Input<Typed>) -> Result<Json<Completed>> {
    let Address { url, fallback } = Address::of(&typed.url);
    let settings = Settings { timeout_ms: COMPLETE_TIMEOUT_MS, retries: Some(0), ..Settings::of_url(&url)? };
    let target = settings.checked(typed.user_id, None).await?.target();
    let checked = probe(&*prober(&context)?, typed.user_id, target, fallback).await;
    Ok(Json(Completed { url: checked.url }))
}

async fn settings_of(context: &Context, user_id: i64, id: i64) -> Result<Settings> {
    let owned: OwnedEndpoint =
        context.outbound().get("endpoint-private-get", &format!("/private/v1/endpoints/{id}")).await?;
    if owned.user_id == user_id { Ok(owned.endpoint.settings) } else { Err(Error::not_found()) }
}
