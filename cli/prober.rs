//! A check from here, for whoever has no account: one request on a connection of its own, in its phases.

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::TlsConnector;
use url::{Host, Url};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    api::{self, Value},
    error::Failure,
};

const MAX_REDIRECTS: usize = 10;
const MAX_HEADERS: usize = 200;
/// Of one response.
const MAX_COOKIES: usize = 20;
const MAX_COOKIE_BYTES: usize = 4 * 1024;

/// As the API calls them; what only pongpong does is left out.
#[derive(Deserialize)]
#[serde(default)]
pub struct Target {
    method: String,
    headers: BTreeMap<String, String>,
    body: String,
    timeout_ms: u64,
    expected_status: String,
    follow_redirects: bool,
    verify_tls: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            body: String::new(),
            timeout_ms: 10_000,
            expected_status: "200-399".to_owned(),
            follow_redirects: true,
            verify_tls: true,
        }
    }
}

/// What the API answers to a check.
#[derive(Default, Serialize)]
struct Outcome {
    url: String,
    status: &'static str,
    status_code: Option<u16>,
    error: Option<Problem>,
    timings_ms: Timings,
    ip: Option<String>,
    certificate_expires_at: Option<DateTime<Utc>>,
    response_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Problem {
    code: &'static str,
    message: String,
}

#[derive(Default, Serialize)]
struct Timings {
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer: Option<f64>,
    total: f64,
}

fn problem(code: &'static str, message: impl Into<String>) -> Problem {
    Problem { code, message: message.into() }
}

pub async fn probe(url: &str, target: &Target, ca_cert: Option<&Path>) -> Result<Value> {
    let parsed =
        Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(start) = parsed else {
        return Err(Failure::usage(format!("`{url}` is not an http or https URL")).into());
    };
    let expected = ranges(&target.expected_status)?;
    let mut tls = api::tls(ca_cert)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    if !target.verify_tls {
        tls.dangerous().set_certificate_verifier(Arc::new(Anybody(rustls::crypto::ring::default_provider())));
    }
    let mut outcome = Outcome { url: url.to_owned(), ..Outcome::default() };
    let began = Instant::now();
    let limit = Duration::from_millis(target.timeout_ms);
    let fetched = match tokio::time::timeout(limit, fetch(start, target, Arc::new(tls), &mut outcome)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(problem("TIMEOUT", format!("No whole answer within {} ms", target.timeout_ms))),
    };
    outcome.timings_ms.total = tenths(began.elapsed());
    let judged = fetched.and_then(|status| {
        let is_expected = expected.iter().any(|(from, to)| (*from..=*to).contains(&status.as_u16()));
        let message = || format!("Expected status {}, got {status}", target.expected_status);
        if is_expected { Ok(()) } else { Err(problem("STATUS_MISMATCH", message())) }
    });
    outcome.status = if judged.is_ok() { "up" } else { "down" };
    outcome.error = judged.err();
    Ok(serde_norway::to_value(outcome)?)
}

fn ranges(text: &str) -> Result<Vec<(u16, u16)>> {
    let read = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
    };
    let wrong = || Failure::usage(format!("`{text}` is no list of status codes such as 200-299,301"));
    Ok(text.split(',').map(read).collect::<Option<Vec<_>>>().ok_or_else(wrong)?)
}

fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Adds to a phase: each hop has its own.
fn add(phase: &mut Option<f64>, since: Instant) {
    let sum = phase.unwrap_or_default() + tenths(since.elapsed());
    *phase = Some((sum * 10.0).round() / 10.0);
}

async fn fetch(
    mut url: Url,
    target: &Target,
    tls: Arc<ClientConfig>,
    outcome: &mut Outcome,
) -> Result<StatusCode, Problem> {
    let mut method = Method::from_bytes(target.method.as_bytes())
        .map_err(|_| problem("INVALID_REQUEST", format!("{} is not a method", target.method)))?;
    let (mut body, first) = (Bytes::from(target.body.clone()), url.origin());
    let mut cookies = CookieStore::default();
    for _ in 0..=MAX_REDIRECTS {
        // Headers may hold secrets: they do not go along to somebody else.
        let headers = if url.origin() == first { Some(&target.headers) } else { None };
        let set: Vec<_> =
            cookies.get_request_values(&url).map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = headers.cloned().unwrap_or_default();
        if !set.is_empty() {
            let name = headers.keys().find(|name| name.eq_ignore_ascii_case("cookie")).cloned();
            let own = name.and_then(|name| headers.remove(&name));
            headers.insert("Cookie".to_owned(), own.into_iter().chain(set).collect::<Vec<_>>().join("; "));
        }
        let response = exchange(&url, &method, &headers, body.clone(), &tls, outcome).await?;
        keep_cookies(&mut cookies, &url, response.headers());
        let status = response.status();
        outcome.status_code = Some(status.as_u16());
        let location =
            response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        read(response, outcome).await?;
        let (true, true, Some(location)) = (target.follow_redirects, status.is_redirection(), location)
        else {
            return Ok(status);
        };
        url = url
            .join(&location)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| problem("INVALID_REDIRECT", format!("The redirect leads to `{location}`")))?;
        if matches!(status.as_u16(), 301..=303) && method != Method::HEAD {
            (method, body) = (Method::GET, Bytes::new());
        }
    }
    Err(problem("TOO_MANY_REDIRECTS", format!("More than {MAX_REDIRECTS} redirects")))
}

/// For the host alone that set them: which domains it may speak for is not known here.
fn keep_cookies(cookies: &mut CookieStore, url: &Url, headers: &HeaderMap) {
    for line in headers.get_all(header::SET_COOKIE).iter().take(MAX_COOKIES) {
        let text = line.to_str().ok().filter(|text| text.len() <= MAX_COOKIE_BYTES);
        let Some(mut cookie) = text.and_then(|text| RawCookie::parse(text.to_owned()).ok()) else { continue };
        cookie.unset_domain();
        if url.scheme() == "https" {
            cookie.set_secure(true);
        }
        // One that is expired already is no error.
        let _ = cookies.insert_raw(&cookie, url);
    }
}

async fn exchange(
    url: &Url,
    method: &Method,
    headers: &BTreeMap<String, String>,
    body: Bytes,
    tls: &Arc<ClientConfig>,
    outcome: &mut Outcome,
) -> Result<Response<Incoming>, Problem> {
    let stream = connect(url, outcome).await?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method.clone();
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    *request.uri_mut() =
        path.parse().map_err(|_| problem("INVALID_REQUEST", format!("`{path}` cannot be asked for")))?;
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let agent = concat!("pong/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [("host", host), ("user-agent", agent), ("accept", "*/*")] {
        set(&mut request, name, value)?;
    }
    for (name, value) in headers {
        set(&mut request, name, value)?;
    }
    if url.scheme() == "http" {
        return answer(stream, request, outcome).await;
    }
    let name = match url.host() {
        Some(Host::Ipv4(ip)) => ServerName::from(std::net::IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => ServerName::from(std::net::IpAddr::V6(ip)),
        _ => ServerName::try_from(url.host_str().unwrap_or_default().to_owned())
            .map_err(|error| problem("TLS_INVALID", error.to_string()))?,
    };
    let began = Instant::now();
    let stream = TlsConnector::from(Arc::clone(tls))
        .connect(name, stream)
        .await
        .map_err(|error| problem("TLS_INVALID", format!("The TLS handshake failed: {error}")))?;
    add(&mut outcome.timings_ms.tls, began);
    outcome.certificate_expires_at =
        stream.get_ref().1.peer_certificates().and_then(|chain| expiry(chain.first()?));
    answer(stream, request, outcome).await
}

fn set(request: &mut Request<Full<Bytes>>, name: &str, value: &str) -> Result<(), Problem> {
    let wrong = || problem("INVALID_REQUEST", format!("The header {name} cannot be sent"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    request.headers_mut().insert(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
    Ok(())
}

async fn connect(url: &Url, outcome: &mut Outcome) -> Result<TcpStream, Problem> {
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
        Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
        _ => {
            let host = url.host_str().unwrap_or_default();
            let began = Instant::now();
            let found = tokio::net::lookup_host((host, port)).await;
            add(&mut outcome.timings_ms.dns, began);
            found
                .map_err(|error| problem("DNS_FAILURE", format!("{host} cannot be looked up: {error}")))?
                .collect()
        }
    };
    let began = Instant::now();
    let mut last = problem("DNS_FAILURE", "There is no address");
    for address in addresses {
        outcome.ip = Some(address.ip().to_string());
        match TcpStream::connect(address).await {
            Ok(stream) => {
                add(&mut outcome.timings_ms.connect, began);
                // What is slow to appear on the wire would look like a slow server.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                last = problem("CONNECT_REFUSED", format!("Connection to {address} was refused"));
            }
            Err(error) => {
                last = problem("CONNECT_FAILED", format!("Connection to {address} failed: {error}"))
            }
        }
    }
    Err(last)
}

async fn answer<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    outcome: &mut Outcome,
) -> Result<Response<Incoming>, Problem>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wrong = |error: hyper::Error| problem("PROTOCOL_ERROR", format!("No good answer: {error}"));
    let began = Instant::now();
    // As pongpong reads them.
    let builder = &mut http1::Builder::new();
    builder
        .max_headers(MAX_HEADERS)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(wrong)?;
    // It ends with the response.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(wrong)?;
    add(&mut outcome.timings_ms.first_byte, began);
    Ok(response)
}

async fn read(response: Response<Incoming>, outcome: &mut Outcome) -> Result<(), Problem> {
    let began = Instant::now();
    let mut body = response.into_body();
    outcome.response_bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| problem("PROTOCOL_ERROR", format!("The answer broke off: {error}")))?;
        outcome.response_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    add(&mut outcome.timings_ms.transfer, began);
    Ok(())
}

fn expiry(certificate: &CertificateDer<'_>) -> Option<DateTime<Utc>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}

/// For `--verify-tls false`: whoever answers is fine.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
