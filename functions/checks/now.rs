//! `POST /public/v1/checks`: checks an endpoint, or any URL, and answers with the result.

use axum::{Json, extract::State};
use http::StatusCode;
use runtime::{Caller, Context, Error, Function, Input, Result, error::ErrorBody, text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SERVICE, prober};
use crate::{
    contract::{Outcome, Target},
    endpoints::{OwnedEndpoint, Settings},
};

pub const FUNCTION: Function =
    Function::new("check-now", SERVICE, "checks an endpoint, or any URL, and answers with the result")
        .http(runtime::http!(handle))
        .per_minute(60)
        .without_database()
        .reads(runtime::settings!(super::ProbeSettings, runtime::trust::ExtraRoots));

/// One of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://example.com/health"}))]
pub struct Wanted {
    #[schema(example = 1)]
    endpoint_id: Option<i64>,
    #[schema(example = "https://example.com/health", max_length = 2048)]
    url: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Checked {
    #[schema(example = "https://example.com/health")]
    url: String,
    #[serde(flatten)]
    outcome: Outcome,
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
    Input(wanted): Input<Wanted>,
) -> Result<(StatusCode, Json<Checked>)> {
    let target = match (wanted.endpoint_id, wanted.url) {
        (Some(id), None) => target_of(&context, caller.user_id, id).await?,
        (None, Some(url)) => Settings::of_url(&url)?.checked()?.target(),
        _ => {
            let what = text("give either endpoint_id or url", "endpoint_id와 url 중 하나를 지정하세요");
            return Err(Error::field("endpoint_id", what));
        }
    };
    let outcome = prober(&context)?.probe(&target).await;
    Ok((StatusCode::OK, Json(Checked { url: target.url, outcome })))
}

async fn target_of(context: &Context, user_id: i64, id: i64) -> Result<Target> {
    if id < 1 {
        return Err(Error::field("endpoint_id", text("must be a positive integer", "양의 정수여야 합니다")));
    }
    let owned: OwnedEndpoint =
        context.outbound().get("endpoint-private-get", &format!("/private/v1/endpoints/{id}")).await?;
    if owned.user_id == user_id { Ok(owned.endpoint.settings.target()) } else { Err(Error::not_found()) }
}
