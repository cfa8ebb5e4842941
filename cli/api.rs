//! The client of the public API, which all commands share.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use backon::{ExponentialBuilder, Retryable};
use indicatif::ProgressBar;
use net::trust::ExtraRoots;
use reqwest::{Method, StatusCode, header, redirect};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use crate::{
    error::{Exit, Failure},
    output,
};

/// An object of the API. A YAML value, because YAML keeps the order of the fields.
pub use crate::output::Value;

/// Longer than the gateway's timeout for a function (60 seconds).
const TIMEOUT: Duration = Duration::from_secs(65);
const PER_PAGE: usize = 100;

/// A kind of object that is found by its id or by its label.
pub struct Kind {
    pub name: &'static str,
    pub path: &'static str,
    /// The fields that can name an object, in order of preference.
    pub labels: &'static [&'static str],
}

pub const ENDPOINT: Kind =
    Kind { name: "endpoint", path: "/endpoint-service/v1/endpoints", labels: &["name"] };
pub const NOTIFICATION: Kind =
    Kind { name: "notification", path: "/notification-service/v1/notifications", labels: &["name"] };
pub const KEY: Kind = Kind { name: "key", path: "/user-service/v1/keys", labels: &["name"] };
pub const STATUS_PAGE: Kind =
    Kind { name: "status page", path: "/status-service/v1/status_pages", labels: &["slug", "title"] };
pub const ANNOUNCEMENT: Kind =
    Kind { name: "announcement", path: "/status-service/v1/announcements", labels: &["title"] };
pub const MAINTENANCE: Kind =
    Kind { name: "maintenance", path: "/endpoint-service/v1/maintenances", labels: &["title"] };
pub const BADGE: Kind = Kind { name: "badge", path: "/status-service/v1/badges", labels: &[] };

#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    pub base: String,
    key: Option<String>,
    /// After 429 (too many requests), waits and tries again instead of failing.
    is_patient: bool,
    is_quiet: bool,
}

#[derive(Deserialize)]
struct Listed {
    items: Vec<Value>,
    page: Page,
}

#[derive(Deserialize)]
struct Page {
    total_count: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: String,
    code: Option<String>,
    fields: std::collections::BTreeMap<String, String>,
}

/// A failed request, and whether to send it again.
struct Failed {
    failure: Failure,
    again: bool,
    after: Option<Duration>,
}

impl Api {
    pub fn new(base: &str, key: Option<String>, ca_cert: Option<&Path>) -> Result<Self> {
        let base = base.trim_end_matches('/').to_owned();
        let is_url = Url::parse(&base).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
        });
        if !is_url {
            let hint = "Give the URL of a pongpong, such as http://localhost:8000";
            return Err(Failure::usage(format!("`{base}` is not the URL of an API")).hint(hint).into());
        }
        let mut headers = header::HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, header::HeaderValue::from_static(language()));
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(ca_cert)?)
            .user_agent(concat!("pong/", env!("CARGO_PKG_VERSION")))
            // A redirect must not carry the API key to another server.
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(TIMEOUT)
            .default_headers(headers)
            .build()?;
        Ok(Self { client, base, key, is_patient: false, is_quiet: false })
    }

    /// For long operations: waits when the server asks for it.
    pub fn patient(&self) -> Self {
        Self { is_patient: true, ..self.clone() }
    }

    /// Shows no progress bar: the caller draws the screen.
    pub fn quiet(&self) -> Self {
        Self { is_quiet: true, ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None, None).await
    }

    pub async fn get_as<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        serde_norway::from_value(self.get(path).await?).with_context(|| format!("what {path} answered"))
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value> {
        self.send(Method::POST, path, Some(serde_json::to_vec(body)?), None).await
    }

    /// Creates an object. An idempotency key makes a repeated request safe.
    pub async fn create(&self, kind: &Kind, body: &impl Serialize) -> Result<Value> {
        let key = format!("pong-{:032x}", rand::random::<u128>());
        self.send(Method::POST, kind.path, Some(serde_json::to_vec(body)?), Some(key)).await
    }

    pub async fn update(&self, kind: &Kind, id: i64, body: &impl Serialize) -> Result<Value> {
        self.send(Method::PATCH, &format!("{}/{id}", kind.path), Some(serde_json::to_vec(body)?), None).await
    }

    pub async fn delete(&self, kind: &Kind, id: i64) -> Result<()> {
        self.send(Method::DELETE, &format!("{}/{id}", kind.path), None, None).await.map(drop)
    }

    /// All pages of a list, or as many as `limit` items need.
    pub async fn list(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: Option<usize>,
    ) -> Result<Vec<Value>> {
        let mut items: Vec<Value> = Vec::new();
        let bar = if self.is_quiet { ProgressBar::hidden() } else { output::progress(0, "fetching") };
        for page in 1.. {
            let mut query = query.to_vec();
            query.push(("page", page.to_string()));
            query.push(("per_page", PER_PAGE.to_string()));
            let listed: Listed =
                self.get_as(&with_query(path, &query)).await.map_err(|error| self.no_list(error))?;
            let wanted = limit.unwrap_or(usize::MAX).min(listed.page.total_count);
            // No progress bar for short lists.
            if wanted > 2 * PER_PAGE {
                bar.set_length(wanted as u64);
                bar.set_position(items.len() as u64);
            }
            // Counts pages, not received items: the server leaves out items that it cannot read.
            let is_last = page * PER_PAGE >= listed.page.total_count;
            for item in listed.items {
                // An object that is created while pages are fetched moves others to the next page: skip those
                // already seen.
                let is_new = id_of(&item)
                    .is_none_or(|id| items.iter().rev().take(PER_PAGE).all(|i| id_of(i) != Some(id)));
                if is_new {
                    items.push(item);
                }
            }
            if is_last || items.len() >= wanted {
                break;
            }
        }
        bar.finish_and_clear();
        items.truncate(limit.unwrap_or(usize::MAX));
        Ok(items)
    }

    /// Finds an object by id or by name.
    pub async fn find(&self, kind: &Kind, wanted: &str) -> Result<Value> {
        let id = wanted.parse::<i64>().ok();
        if let Some(id) = id {
            match self.get(&format!("{}/{id}", kind.path)).await {
                // Keys and badges can only be listed.
                Err(error) if matches!(Failure::of_ref(&error), Some(Exit::NotFound | Exit::Unsupported)) => {
                }
                found => return found,
            }
        }
        let query = if kind.name == ENDPOINT.name { vec![("q", wanted.to_owned())] } else { Vec::new() };
        let items = self.list(kind.path, &query, None).await?;
        let is_it = |item: &Value| {
            (id.is_some() && id_of(item) == id)
                || kind.labels.iter().any(|label| item[*label].as_str() == Some(wanted))
        };
        let mut found: Vec<Value> = items.into_iter().filter(is_it).collect();
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => {
                let hint = format!("pong {} list shows what there is", kind.name.replace(' ', "-"));
                let message = format!("there is no {} `{wanted}`", kind.name);
                Err(Failure::new(Exit::NotFound, message).hint(hint).into())
            }
            count => {
                let ids: Vec<_> = found.iter().filter_map(id_of).map(|id| id.to_string()).collect();
                let message = format!("there are {count} of {} `{wanted}`", kind.name);
                Err(Failure::usage(message).hint(format!("Say which by its id: {}", ids.join(", "))).into())
            }
        }
    }

    pub async fn find_id(&self, kind: &Kind, wanted: &str) -> Result<i64> {
        id_of(&self.find(kind, wanted).await?).context("it has no id")
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        idempotency_key: Option<String>,
    ) -> Result<Value> {
        let may_repeat = method == Method::GET || idempotency_key.is_some();
        let once = || async {
            let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
            if let Some(key) = &self.key {
                request = request.header("apikey", key);
            }
            if let Some(key) = &idempotency_key {
                request = request.header("idempotency-key", key);
            }
            if let Some(body) = &body {
                request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
            }
            self.answer(request, may_repeat).await
        };
        let backoff =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(300)).with_max_times(4);
        once.retry(backoff)
            .when(|failed: &Failed| failed.again)
            .adjust(|failed: &Failed, delay| delay.map(|delay| failed.after.unwrap_or(delay)))
            .await
            .map_err(|failed| failed.failure.into())
    }

    async fn answer(&self, request: reqwest::RequestBuilder, may_repeat: bool) -> Result<Value, Failed> {
        let unreachable = |error: reqwest::Error| Failed {
            again: may_repeat && !error.is_connect() && !error.is_timeout(),
            after: None,
            failure: self.unreachable(&error),
        };
        let response = request.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(body).map_err(|_| Failed {
                failure: self.no_pongpong(),
                again: false,
                after: None,
            });
        }
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let after = seconds.map(Duration::from_secs);
        let is_busy = matches!(
            status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        let again = match status {
            StatusCode::TOO_MANY_REQUESTS => self.is_patient,
            _ => is_busy && may_repeat,
        };
        let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        Err(Failed { failure: self.refused(status, &body, seconds, location), again, after })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let failure = Failure::error(format!("pongpong at {} does not answer: {cause}", self.base));
        if cause.to_string().contains("certificate") {
            return failure.hint("If it has a certificate of your own authority: --ca-cert FILE");
        }
        failure.hint("Is it running? Another one is named by --api-url URL, PONG_API_URL, or a context")
    }

    /// A list exists even when it is empty; 404 means that the server does not know this kind of object.
    fn no_list(&self, error: anyhow::Error) -> anyhow::Error {
        if Failure::of_ref(&error) == Some(Exit::NotFound) { self.unknown().into() } else { error }
    }

    fn unknown(&self) -> Failure {
        Failure::new(Exit::Unsupported, format!("{} does not know this operation", self.base))
            .hint("Either it is older than this pong, or it is no pongpong: check --api-url")
    }

    fn no_pongpong(&self) -> Failure {
        Failure::error(format!("what answers at {} is no pongpong", self.base))
            .hint("Name another by --api-url URL or PONG_API_URL")
    }

    fn refused(
        &self,
        status: StatusCode,
        body: &[u8],
        after: Option<u64>,
        location: Option<&str>,
    ) -> Failure {
        let parsed: Option<Refusal> = serde_json::from_slice(body).ok();
        let is_json = parsed.is_some();
        let Refusal { message, code, fields } = parsed.unwrap_or_default();
        let says = |exit, otherwise: &str| {
            let message = if message.is_empty() { otherwise.to_owned() } else { message.clone() };
            Failure { fields: fields.clone(), ..Failure::new(exit, message) }
        };
        match status.as_u16() {
            300..400 => {
                let failure = self.no_pongpong();
                match location {
                    Some(to) => failure.hint(format!("It sends elsewhere. Should it be --api-url {to} ?")),
                    None => failure,
                }
            }
            400 | 413 | 415 | 422 => says(Exit::Usage, "the server does not accept this"),
            401 if code.as_deref() == Some("INVALID_LOGIN") => says(Exit::NotLoggedIn, "not logged in")
                .hint("Check the e-mail address and the password; an account is made by: pong signup"),
            401 if self.key.is_none() => not_logged_in(),
            401 => Failure::new(Exit::NotLoggedIn, format!("{} does not accept the key", self.base))
                .hint("It may have expired. Log in again: pong login (or set PONG_API_KEY anew)"),
            403 => says(Exit::Error, "this is not allowed"),
            404 if is_json && code.is_some() => says(Exit::NotFound, "not found"),
            404 | 405 => self.unknown(),
            429 => {
                let wait = after.map_or_else(|| "later".to_owned(), |seconds| format!("in {seconds} s"));
                Failure::error("too many calls").hint(format!("Try again {wait}"))
            }
            500..600 => says(Exit::Error, "the server has a problem")
                .hint("Try again; if it stays so, the server's log knows why"),
            _ => says(Exit::Error, &format!("the server answered {status}")),
        }
    }
}

impl Failure {
    fn of_ref(error: &anyhow::Error) -> Option<Exit> {
        error.downcast_ref::<Self>().map(|failure| failure.exit)
    }
}

pub fn not_logged_in() -> Failure {
    Failure::new(Exit::NotLoggedIn, "you are not logged in")
        .hint("pong login, or pong signup for a new account, or set PONG_API_KEY")
}

pub fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

pub fn id_of(object: &Value) -> Option<i64> {
    object["id"].as_i64()
}

/// TLS settings that trust the public certificate authorities and those of a file.
pub fn tls(ca_cert: Option<&Path>) -> Result<ClientConfig> {
    let roots = extra_roots(ca_cert)?.store()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The certificate authorities of `--ca-cert`.
pub fn extra_roots(ca_cert: Option<&Path>) -> Result<ExtraRoots> {
    let Some(path) = ca_cert else { return Ok(ExtraRoots::default()) };
    let read = ExtraRoots::read(&path.to_string_lossy());
    Ok(read.map_err(|error| Failure::usage(format!("{}: {error:#}", path.display())))?)
}

/// The language of the server's messages: English or Korean.
fn language() -> &'static str {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    if set.is_some_and(|value| value.starts_with("ko")) { "ko" } else { "en" }
}
