//! `POST /public/v1/demo_checks`: checks any public URL once, for people who have no account yet.

use axum::{Json, extract::State};
use runtime::{
    Context, Env, Error, FromEnv, Function, Input, Result, address::PrivateNetworks, error::ErrorBody,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    SERVICE,
    now::Checked,
    probe::{ProbeConfig, Prober},
};
use crate::{
    contract::{Failure, FailureCode, Timings},
    endpoints::Settings,
};

pub const FUNCTION: Function =
    Function::new("check-demo", SERVICE, "checks any public URL once, for people who have no account yet")
        .http(runtime::http!(handle))
        .per_minute(10)
        .without_database()
        .reads(runtime::settings!(DemoSettings));

/// `DEMO_CHECKS`: `on` (default) or `off`.
pub(crate) struct DemoSettings {
    on: bool,
}

impl FromEnv for DemoSettings {
    const NAMES: &[&str] = &["DEMO_CHECKS"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        match env.get("DEMO_CHECKS").unwrap_or("on") {
            "on" => Ok(Self { on: true }),
            "off" => Ok(Self { on: false }),
            other => anyhow::bail!("DEMO_CHECKS must be on or off, not `{other}`"),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Demo {
    #[schema(example = "https://example.com/", max_length = 2048)]
    url: String,
}

const TIMEOUT_MS: i32 = 5000;
const CONCURRENCY: usize = 50;

/// What strangers ask for has a prober of its own: it never sees a private network, whatever
/// `CHECK_PRIVATE_NETWORKS` says, and takes no place from the checks of users.
struct DemoProber(Prober);

#[utoipa::path(
    post, path = "/public/v1/demo_checks", tag = "checks", request_body = Demo,
    responses(
        (status = 200, description = "The result; a target that is down is a result too", body = Checked),
        (status = 400, description = "A field is not acceptable", body = ErrorBody),
        (status = 404, description = "Switched off (DEMO_CHECKS)", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Input(demo): Input<Demo>) -> Result<Json<Checked>> {
    if !context.config::<DemoSettings>()?.on {
        return Err(Error::not_found());
    }
    let settings = Settings { timeout_ms: TIMEOUT_MS, retries: Some(0), ..Settings::of_url(&demo.url)? };
    let target = settings.checked().await?.target();
    let prober = context.shared(|_| {
        let config = ProbeConfig::new(PrivateNetworks::Deny)?;
        Ok(DemoProber(Prober::new(ProbeConfig { concurrency: CONCURRENCY, ..config })?))
    })?;
    let mut outcome = prober.0.probe(0, &target, None).await;
    let code = outcome.error.as_ref().map(|error| error.code);
    if matches!(code, Some(FailureCode::BlockedAddress | FailureCode::DnsFailure)) {
        // Which private names there are is nothing for strangers: one that is not, and one that may not be
        // asked, look the same.
        let message = "It has no address on the public internet".to_owned();
        outcome.error = Some(Failure { code: FailureCode::DnsFailure, message });
        (outcome.ip, outcome.timings_ms) = (None, Timings::default());
    }
    Ok(Json(Checked { url: target.url, outcome }))
}
