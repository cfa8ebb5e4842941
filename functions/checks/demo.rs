//! `POST /public/v1/demo_checks`: checks any public URL once, for people who have no account yet.

use axum::{Json, extract::State};
use checks::{CHECKS, ProbeConfig, Prober};
use contract::address::Address;
use net::address::PrivateNetworks;
use runtime::{Context, Env, Error, FromEnv, Function, Input, Result, error::ErrorBody};
use serde::Deserialize;
use utoipa::ToSchema;

use super::SERVICE;
use crate::{
    endpoints::Settings,
    prober::{Checked, check_now},
    words,
};
use contract::FailureCode;

pub const FUNCTION: Function =
    Function::new("check-demo", SERVICE, "checks any public URL once, for people who have no account yet")
        .http(runtime::http!(handle))
        .per_minute(10)
        .asks_strangers()
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

/// Whose turn it is, where nobody is logged in.
const NOBODY: i64 = 0;

#[utoipa::path(
    post, path = "/public/v1/demo_checks", tag = "checks", request_body = Demo,
    responses(
        (status = 200, description = "The result; a target that is down is a result too", body = Checked),
        (status = 400, description = "Not a URL, or no address on the public internet", body = ErrorBody),
        (status = 404, description = "Switched off (DEMO_CHECKS)", body = ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, Input(demo): Input<Demo>) -> Result<Json<Checked>> {
    if !context.config::<DemoSettings>()?.on {
        return Err(Error::not_found());
    }
    let fallback = Address::of(&demo.url).fallback;
    // What strangers may not try is refused as a URL that no check has.
    let kind = CHECKS.iter().find(|kind| kind.is_demo).map_or_else(String::new, |kind| kind.name.to_owned());
    let settings =
        Settings { kind, timeout_ms: TIMEOUT_MS, retries: Some(0), ..Settings::of_url(&demo.url)? };
    let target = settings.checked(NOBODY, None).await?.target();
    let prober = context.shared(|_| {
        let config = ProbeConfig::new(PrivateNetworks::Deny)?;
        Ok(DemoProber(Prober::new(ProbeConfig { concurrency: CONCURRENCY, ..config })?))
    })?;
    let checked = check_now(&prober.0, NOBODY, target, fallback).await;
    let code = checked.outcome.error.as_ref().map(|error| error.code);
    if matches!(code, Some(FailureCode::BlockedAddress | FailureCode::DnsFailure)) {
        // A private name and one that does not exist look the same: which private names there are is nothing for
        // strangers.
        return Err(Error::field("url", words::HAS_NO_PUBLIC_ADDRESS));
    }
    Ok(Json(checked))
}
