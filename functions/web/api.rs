//! The public API, called through the gateway: pages have the same permissions as their visitor.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use contract::Language;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use runtime::{
    Env, FromEnv,
    outbound::{Outbound, To},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// `GATEWAY_URL` (default `http://kong-proxy`, as on a cluster); read by the transport.
pub struct Gateway;

impl FromEnv for Gateway {
    const NAMES: &[&str] = &["GATEWAY_URL"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        env.parse::<url::Url>("GATEWAY_URL").map(|_| Self)
    }
}

/// The user and the language for API calls.
#[derive(Clone)]
pub struct Api {
    pub outbound: Outbound,
    pub key: Option<HeaderValue>,
    pub language: Language,
    /// `X-Forwarded-For`, so that limits per address apply to the visitor, not to this function.
    pub forwarded: Option<HeaderValue>,
    /// `PUBLIC_URL` is https: Kong's routes may allow only https, and would answer internal calls with
    /// 308.
    pub is_https: bool,
}

/// An error response of the API.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Refusal {
    #[serde(skip)]
    pub status: StatusCode,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub code: String,
    /// The errors by field.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

/// A page that takes longer is useless; but a check of a slow endpoint takes its time.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const PATIENCE_WITH_CHECKS: Duration = Duration::from_secs(150);

/// Identifies the form that a request came from: a form sent twice has its effect once.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Api {
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        self.call::<(), T>(Method::GET, path, None, None).await
    }

    /// Sends POST, PATCH or PUT. `once`: see [`IDEMPOTENCY_KEY`].
    pub async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
        once: Option<&str>,
    ) -> Result<T, Refusal> {
        self.call(method, path, Some(body), once).await
    }

    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Refusal> {
        self.call(Method::POST, path, Some(body), None).await
    }

    pub async fn patch<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Refusal> {
        self.call(Method::PATCH, path, Some(body), None).await
    }

    pub async fn delete(&self, path: &str) -> Result<(), Refusal> {
        self.call::<(), serde::de::IgnoredAny>(Method::DELETE, path, None, None).await.map(drop)
    }

    async fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        once: Option<&str>,
    ) -> Result<T, Refusal> {
        let is_check = method == Method::POST && path.starts_with("/endpoint-check/");
        let request = self.request(method, path, body, once).map_err(|error| gone(&error))?;
        let timeout = if is_check { PATIENCE_WITH_CHECKS } else { CALL_TIMEOUT };
        let answer = tokio::time::timeout(timeout, self.outbound.carry(To::Gateway, request)).await;
        let response = answer.map_err(anyhow::Error::from).flatten().map_err(|error| gone(&error))?;
        let (status, body) = (response.status(), response.body());
        if !status.is_success() {
            if status.is_redirection() {
                return Err(gone(&anyhow::anyhow!("the gateway sends {path} elsewhere")));
            }
            // Kong's own refusals have no code: the status decides.
            let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
            return Err(Refusal { status, ..refusal });
        }
        let body: &[u8] = if body.is_empty() { b"null" } else { body };
        serde_json::from_slice(body).map_err(|error| {
            gone(&anyhow::Error::from(error).context(format!("reading the answer to {path}")))
        })
    }

    fn request<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        once: Option<&str>,
    ) -> anyhow::Result<Request<Bytes>> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::ACCEPT_LANGUAGE, self.language.code());
        if let Some(key) = &self.key {
            request = request.header("apikey", key);
        }
        if let Some(forwarded) = &self.forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        if self.is_https {
            request = request.header("x-forwarded-proto", "https");
        }
        if let Some(once) = once.filter(|once| !once.is_empty()) {
            // Encoded, because anybody can send a form: the API must decide about values that a header
            // cannot hold.
            request = request.header(IDEMPOTENCY_KEY, utf8_percent_encode(once, CONTROLS).to_string());
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                serde_json::to_vec(body)?
            }
            None => Vec::new(),
        };
        Ok(request.body(body.into())?)
    }
}

fn gone(error: &anyhow::Error) -> Refusal {
    tracing::error!(error = format!("{error:#}"), "the API did not answer");
    Refusal { status: StatusCode::BAD_GATEWAY, ..Refusal::default() }
}
