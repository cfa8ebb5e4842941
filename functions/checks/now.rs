//! `POST /public/v1/checks`: checks an endpoint, or what may become one, and answers with the result.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Input, Result, error::ErrorBody, input, text};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{SERVICE, prober};
use crate::{
    contract::{Outcome, Target},
    endpoints::{OwnedEndpoint, Settings},
};

pub const FUNCTION: Function = Function::new(
    "check-now",
    SERVICE,
    "checks an endpoint, or what may become one, and answers with the result",
)
.http(runtime::http!(handle))
.per_minute(60)
.without_database()
.reads(runtime::settings!(super::ProbeSettings, runtime::trust::ExtraRoots));

/// An endpoint that is there, or one as it would be saved.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(example = json!({"url": "https://example.com/health"}))]
#[expect(dead_code, reason = "only described: what is wrong with a field is told by its own type")]
enum Wanted {
    Endpoint {
        #[schema(example = 1, minimum = 1)]
        endpoint_id: i64,
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
    let target = match (id, wanted.values().all(Value::is_null)) {
        (Some(id), true) => {
            let invalid =
                || Error::field("endpoint_id", text("must be a positive integer", "양의 정수여야 합니다"));
            let id = id.as_i64().filter(|id| *id > 0).ok_or_else(invalid)?;
            target_of(&context, caller.user_id, id).await?
        }
        (None, false) => {
            let settings: Settings = input::parse(Value::Object(wanted).to_string().as_bytes())?;
            settings.checked(caller.user_id).await?.target()
        }
        _ => {
            let what = text("give either endpoint_id or url", "endpoint_id와 url 중 하나를 지정하세요");
            return Err(Error::field("endpoint_id", what));
        }
    };
    let outcome = prober(&context)?.probe(caller.user_id, &target, None).await;
    Ok((StatusCode::OK, Json(Checked { url: target.url, outcome })))
}

async fn target_of(context: &Context, user_id: i64, id: i64) -> Result<Target> {
    let owned: OwnedEndpoint =
        context.outbound().get("endpoint-private-get", &format!("/private/v1/endpoints/{id}")).await?;
    if owned.user_id == user_id { Ok(owned.endpoint.settings.target()) } else { Err(Error::not_found()) }
}
