//! An API client without inside knowledge: requests, answers, and what is wrong with an answer.

use std::{fmt, time::Duration};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Longer than the gateway's timeout for a function (60 seconds).
const TIMEOUT: Duration = Duration::from_secs(65);

/// Unlike most clients, this one sends paths unchanged, dots included: only so can it show that no spelling
/// of a path bypasses the gateway.
pub struct Api {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
}

impl Api {
    pub fn at(url: &str) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().with_context(|| format!("`{url}` is not a URL"))?;
        ensure!(
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none(),
            "`{url}` is not the URL of a deployment: give one such as https://api.example.com"
        );
        let connector =
            HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        // A new connection for each request, so that requests reach all nodes of a gateway, and none is sent
        // on a connection that the server is closing.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, base })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        Ask { api: self, method, path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: Value) -> Ask<'_> {
        self.ask(Method::POST, path).json(body)
    }

    pub fn patch(&self, path: &str, body: Value) -> Ask<'_> {
        self.ask(Method::PATCH, path).json(body)
    }

    pub fn delete(&self, path: &str) -> Ask<'_> {
        self.ask(Method::DELETE, path)
    }
}

pub struct Ask<'a> {
    api: &'a Api,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask<'_> {
    pub fn key(self, key: &str) -> Self {
        self.header("apikey", key)
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(HeaderName::from_static(name), value);
        }
        self
    }

    fn json(self, body: Value) -> Self {
        self.raw(body.to_string())
    }

    pub fn raw(mut self, body: impl Into<Bytes>) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = body.into();
        self
    }

    pub async fn send(self) -> Result<Answer, Failure> {
        let asked = format!("{} {}", self.method, self.path);
        let failed = |came: String| Failure {
            asked: asked.clone(),
            expected: "an answer".into(),
            came,
            is_broken_off: true,
            ..Failure::default()
        };
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() =
            format!("{}{}", self.api.base, self.path).parse().map_err(|error| failed(format!("{error}")))?;
        *request.headers_mut() = self.headers;
        let answered = async {
            let (parts, body) = self.api.client.request(request).await?.into_parts();
            anyhow::Ok((parts, body.collect().await?.to_bytes()))
        };
        let answered = tokio::time::timeout(TIMEOUT, answered).await;
        let (parts, body) = answered
            .map_err(|_| failed(format!("none within {} seconds", TIMEOUT.as_secs())))?
            .map_err(|error| failed(format!("none: {error:#}")))?;
        Ok(Answer { asked, status: parts.status, headers: parts.headers, body })
    }

    /// Sends the request and requires this status.
    pub async fn expect(self, status: u16) -> Result<Answer, Failure> {
        let answer = self.send().await?;
        if answer.status == status { Ok(answer) } else { Err(answer.wrong(described(status))) }
    }
}

fn described(status: u16) -> String {
    StatusCode::from_u16(status).map_or_else(|_| status.to_string(), |status| status.to_string())
}

#[derive(Clone, Debug)]
pub struct Answer {
    asked: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body; null if it is not JSON, so that every lookup fails.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Requires a condition on the body or the headers.
    pub fn check(&self, fine: bool, expected: impl Into<String>) -> Result<(), Failure> {
        if fine { Ok(()) } else { Err(self.wrong(expected)) }
    }

    pub fn wrong(&self, expected: impl Into<String>) -> Failure {
        Failure {
            asked: self.asked.clone(),
            expected: expected.into(),
            came: format!("{}  {}", self.status, shortened(&self.body)),
            request_id: self.headers.get("x-request-id").and_then(|id| Some(id.to_str().ok()?.to_owned())),
            ..Failure::default()
        }
    }

    /// A failure that may still turn into success.
    pub fn not_yet(&self, expected: impl Into<String>) -> Failure {
        Failure { may_change: true, ..self.wrong(expected) }
    }
}

const MAX_CHARS: usize = 1000;

fn shortened(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    // Gateways write JSON over several lines.
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}… ({} bytes)", &line[..at], body.len()),
        None => line,
    }
}

/// A request, what was expected, and what was received.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    pub asked: String,
    pub expected: String,
    pub came: String,
    pub request_id: Option<String>,
    /// Trying again may succeed.
    pub may_change: bool,
    /// There was no answer.
    pub is_broken_off: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "    asked     {}", self.asked)?;
        writeln!(f, "    expected  {}", self.expected)?;
        write!(f, "    came      {}", self.came)?;
        if let Some(id) = &self.request_id {
            write!(f, "\n    request   {id}")?;
        }
        Ok(())
    }
}
