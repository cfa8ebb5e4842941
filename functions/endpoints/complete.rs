//! `POST /private/v1/urls/complete`: adds the scheme to a URL that was typed without one.

use axum::{Json, extract::State};
use contract::address::Address;
use http::Method;
use runtime::{Context, Function, Input, Result, error::ErrorBody};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SERVICE, config::address, settings::Settings};
use crate::prober::{self, check_now, prober};

const NAME: &str = "url-complete";
const PATH: &str = "/private/v1/urls/complete";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "adds the scheme to a URL that was entered without one")
        .http(runtime::http!(handle))
        .asks_strangers()
        .without_database()
        .reads(runtime::settings!(prober::ProbeSettings, net::trust::ExtraRoots));

#[derive(Serialize, Deserialize, ToSchema)]
struct TypedUrl {
    #[schema(example = 1)]
    user_id: i64,
    #[schema(example = "example.com")]
    url: String,
}

#[derive(Serialize, Deserialize, ToSchema)]
struct CompletedUrl {
    #[schema(example = "https://example.com")]
    url: String,
}

/// Returns the URL that a user typed, with its scheme.
async fn call(context: &Context, user_id: i64, url: &str) -> Result<String> {
    let typed = TypedUrl { user_id, url: url.to_owned() };
    let completed: CompletedUrl = context.outbound().call(NAME, Method::POST, PATH, Some(&typed)).await?;
    Ok(completed.url)
}

impl Settings {
    /// Adds the scheme to a URL without one: asks the server, if both `https` and `http` are possible.
    pub async fn completed(mut self, context: &Context, user_id: i64) -> Self {
        // A check that sends secrets never falls back to HTTP because a server refuses HTTPS.
        if address(&self.kind, &self.url).fallback.is_none() || self.has_secrets() {
            return self;
        }
        match call(context, user_id, &self.url).await {
            Ok(url) => self.url = url,
            // Without an answer, the URL gets HTTPS.
            Err(error) => tracing::warn!(%error, "an address could not be completed"),
        }
        self
    }
}

const TIMEOUT_MS: i32 = 3000;

/// Returns an `http` URL if the server refuses HTTPS and answers HTTP.
#[utoipa::path(
    post, path = "/private/v1/urls/complete", tag = "checks", request_body = TypedUrl,
    responses(
        (status = 200, body = CompletedUrl),
        (status = 400, description = "Not a URL", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Input(typed): Input<TypedUrl>) -> Result<Json<CompletedUrl>> {
    let Address { url, fallback } = Address::of(&typed.url);
    let settings = Settings { timeout_ms: TIMEOUT_MS, retries: Some(0), ..Settings::of_url(&url)? };
    let target = settings.checked(typed.user_id, None).await?.target();
    let checked = check_now(&*prober(&context)?, typed.user_id, target, fallback).await;
    Ok(Json(CompletedUrl { url: checked.url }))
}
