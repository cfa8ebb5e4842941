//! `POST /public/v1/demo_checks`: checks any public URL once, without an account.

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
    Function::new("check-demo", SERVICE, "checks any public URL once, without an account")
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

/// The prober of anonymous checks. It never reaches a private network, whatever `CHECK_PRIVATE_NETWORKS` says, and it
/// takes no capacity from the checks of users.
struct DemoProber(Prober);

/// The owner of anonymous checks in the prober's fair shares.
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
    // Kinds that need an account are refused in the same way as a URL that no kind supports.
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
        // A private name and a name that does not exist get the same error: anonymous users must not find out which
        // private names exist.
        return Err(Error::field("url", words::HAS_NO_PUBLIC_ADDRESS));
    }
    Ok(Json(checked))
}
