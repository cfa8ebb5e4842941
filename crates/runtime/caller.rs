//! The authenticated caller of a request, as reported by the gateway.

use axum::extract::FromRequestParts;
use http::request::Parts;
use subtle::ConstantTimeEq;

use crate::{Context, Env, Error, FromEnv};

/// The logged-in user. The gateway checks the key and reports the user; its headers count only with the
/// token that it shares with the functions.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user_id: i64,
    /// The gateway's ID of the key that was used: what logout deletes.
    pub credential_id: String,
}

pub struct GatewayConfig {
    token: String,
}

impl FromEnv for GatewayConfig {
    const NAMES: &[&str] = &["GATEWAY_TOKEN"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        Ok(Self { token: env.required("GATEWAY_TOKEN")?.to_owned() })
    }
}

impl FromRequestParts<Context> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Error> {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let config = context.config::<GatewayConfig>()?;
        let token = header("x-gateway-token").unwrap_or("");
        if !bool::from(token.as_bytes().ct_eq(config.token.as_bytes())) {
            return Err(Error::unauthorized());
        }
        // Refused if one is missing: a client can make a proxy drop a header, but not forge one.
        let user_id = header("x-consumer-custom-id").and_then(|id| id.parse().ok());
        let credential_id = header("x-credential-identifier");
        match (user_id, credential_id) {
            (Some(user_id), Some(credential_id)) => {
                Ok(Self { user_id, credential_id: credential_id.to_owned() })
            }
            _ => Err(Error::unauthorized()),
        }
    }
}
