//! A target, read once: what cannot be probed is named field by field, what can becomes a `Plan`.
//!
//! Saving an endpoint and probing it read it the same way, so what was accepted can be probed.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use contract::Text;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use net::fair_share::{FairShare, Place};
use serde_json::Value;
use tokio::{task::JoinError, time::Instant};
use url::Url;

use super::{
    assertions::{self, Check},
    pattern::Pattern,
    status_ranges::StatusRanges,
};
use contract::{Assertion, Comparison, Failure, FailureCode, Target};

const MAX_URL_CHARS: usize = 2_048;
const MAX_HEADERS: usize = 50;
const MAX_HEADER_BYTES: usize = 8 * 1024;
const MAX_BODY_BYTES: usize = 64 * 1024;
const MAX_ASSERTIONS: usize = 20;
/// Of the compiled patterns of one target together [bytes]: about 50 ms to compile.
const MAX_PATTERNS_SIZE: usize = 2 * 1024 * 1024;
const MAX_RETRIES: u8 = 5;
const MAX_WARNING_DAYS: u32 = 365;

/// Everything that is wrong with a target, by field path (such as `assertions[2].value`).
pub fn validate(target: &Target) -> Problems {
    Plan::read(target).err().unwrap_or_default()
}

pub type Problems = Vec<(String, Text)>;

/// Each may take 150 MB, for a body that is decoded three times, and its JSON.
const MAX_COSTLY: usize = 2;

/// Patterns that are compiled at once. Judging has places of its own: neither waits for the other.
static COMPILING: LazyLock<Arc<FairShare>> = LazyLock::new(costly);
/// Bodies that are judged at once.
pub(super) static JUDGING: LazyLock<Arc<FairShare>> = LazyLock::new(costly);

/// The other processors go on with what is quick.
fn costly() -> Arc<FairShare> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    FairShare::of(processors.div_ceil(2).min(MAX_COSTLY))
}

/// A place, if it comes until then; owners take turns.
pub(super) async fn turn(share: &Arc<FairShare>, owner: i64, until: Option<Instant>) -> Option<Place> {
    match until {
        None => Some(share.take(owner).await),
        Some(until) => tokio::time::timeout_at(until, share.take(owner)).await.ok(),
    }
}

/// Runs what strangers can make slow outside the async workers. A panic goes on here.
pub(super) async fn off_workers<T: Send + 'static>(
    place: Place,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let working = tokio::task::spawn_blocking(move || {
        // Held until the work ends, also when nobody waits for it any more.
        let _place = place;
        work()
    });
    match working.await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is stopping.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// [`validate`] where patterns are compiled outside the async workers.
pub async fn validate_off_workers(owner: i64, target: &Target) -> Problems {
    match Plan::prepare(owner, target, None).await {
        Some(Err(problems)) => problems,
        Some(Ok(_)) | None => Problems::new(),
    }
}

/// How to probe, with nothing left to parse.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) timeout: Duration,
    pub(super) expected: StatusRanges,
    pub(super) checks: Arc<[Check]>,
    pub(super) follow_redirects: bool,
    pub(super) verify_tls: bool,
    pub(super) legacy_tls: bool,
    pub(super) certificate_warning_days: u32,
    pub(super) retries: u8,
}

impl Plan {
    /// Reads a target. What takes long is compiled outside the async workers, once. `None`: its turn did not come
    /// until then.
    pub(super) async fn prepare(
        owner: i64,
        target: &Target,
        until: Option<Instant>,
    ) -> Option<Result<Self, Problems>> {
        let is_new = |assertion: &Assertion| {
            let is_pattern = matches!(assertion.comparison, Comparison::Matches | Comparison::NotMatches);
            let regex = assertion.value.as_ref().and_then(Value::as_str);
            is_pattern && regex.is_some_and(|regex| !Pattern::is_cached(regex))
        };
        let must_compile = target.assertions.iter().take(MAX_ASSERTIONS).any(is_new);
        if !must_compile {
            return Some(Self::read(target));
        }
        let own = target.clone();
        let place = turn(&COMPILING, owner, until).await?;
        Some(off_workers(place, move || Self::read(&own)).await)
    }

    pub(super) fn read(target: &Target) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let mut note = |field: &str, message| problems.push((field.to_owned(), message));

        let url = read_url(&target.url).map_err(|message| note("url", message)).ok();
        let method = read_method(&target.method).map_err(|message| note("method", message)).ok();
        let expected =
            target.expected_status.parse().map_err(|message| note("expected_status", message)).ok();
        if !(100..=60_000).contains(&target.timeout_ms) {
            note("timeout_ms", contract::text("must be from 100 to 60000", "100에서 60000 사이여야 합니다"));
        }
        if target.retries > MAX_RETRIES {
            note("retries", contract::text("must be at most 5", "최대 5까지 가능합니다"));
        }
        if target.legacy_tls && !cfg!(feature = "legacy-tls") {
            let message = contract::text(
                "cannot be set: this pongpong was built without old TLS (the feature legacy-tls)",
                "설정할 수 없습니다. 이 pongpong은 오래된 TLS 기능(legacy-tls) 없이 빌드되었습니다",
            );
            note("legacy_tls", message);
        }
        if target.certificate_warning_days > MAX_WARNING_DAYS {
            note(
                "certificate_warning_days",
                contract::text("must be at most 365", "최대 365까지 가능합니다"),
            );
        }
        let body = target.body.as_deref().unwrap_or_default();
        if body.len() > MAX_BODY_BYTES {
            note("body", contract::text("must be at most 64 KiB", "최대 64 KiB까지 가능합니다"));
        }
        let mut headers = HeaderMap::new();
        if target.headers.len() > MAX_HEADERS {
            note("headers", contract::text("must be at most 50 headers", "헤더는 최대 50개까지 가능합니다"));
        } else {
            for (name, value) in &target.headers {
                match read_header(name, value) {
                    Ok((name, value)) => {
                        headers.insert(name, value);
                    }
                    Err(message) => note(&format!("headers.{}", assertions::cut(name)), message),
                }
            }
        }
        let mut patterns_size = 0;
        let mut checks = Vec::with_capacity(target.assertions.len().min(MAX_ASSERTIONS));
        if target.assertions.len() > MAX_ASSERTIONS {
            note(
                "assertions",
                contract::text("must be at most 20 assertions", "검증 조건은 최대 20개까지 가능합니다"),
            );
        } else {
            for (index, assertion) in target.assertions.iter().enumerate() {
                match Check::read(assertion) {
                    Ok(check) => {
                        patterns_size += check.size();
                        if patterns_size > MAX_PATTERNS_SIZE {
                            let message = contract::text(
                                "is too complex together with the patterns before it",
                                "앞의 정규식과 합쳐 너무 복잡합니다",
                            );
                            note(&format!("assertions[{index}].value"), message);
                            // The rest is not compiled.
                            break;
                        }
                        checks.push(check);
                    }
                    Err((field, message)) => note(&format!("assertions[{index}].{field}"), message),
                }
            }
        }

        match (url, method, expected) {
            (Some(mut url), Some(method), Some(expected)) if problems.is_empty() => {
                if let Some(value) = take_basic_auth(&mut url) {
                    // What was asked for in so many words comes first.
                    headers.entry(header::AUTHORIZATION).or_insert(value);
                }
                Ok(Self {
                    url,
                    method,
                    headers,
                    body: Bytes::copy_from_slice(body.as_bytes()),
                    timeout: Duration::from_millis(target.timeout_ms.into()),
                    expected,
                    checks: checks.into(),
                    follow_redirects: target.follow_redirects,
                    verify_tls: target.verify_tls,
                    legacy_tls: target.legacy_tls,
                    certificate_warning_days: target.certificate_warning_days,
                    retries: target.retries,
                })
            }
            _ => Err(problems),
        }
    }
}

/// What a probe answers for a target that should have been refused when it was saved.
pub(super) fn invalid(problems: &Problems) -> Failure {
    let text = problems
        .iter()
        .map(|(field, message)| format!("{field}: {}", message.en))
        .collect::<Vec<_>>()
        .join("; ");
    Failure { code: FailureCode::InvalidRequest, message: text }
}

fn read_url(text: &str) -> Result<Url, Text> {
    if text.chars().nth(MAX_URL_CHARS).is_some() {
        return Err(contract::text("must be at most 2048 characters", "최대 2048자까지 가능합니다"));
    }
    // The parser would drop tabs and newlines in silence.
    if text.chars().any(char::is_control) {
        return Err(contract::text("must not contain control characters", "제어 문자를 포함할 수 없습니다"));
    }
    let url = Url::parse(text)
        .map_err(|error| contract::text(format!("is not a URL: {error}"), "올바른 URL이 아닙니다"))?;
    check_url(&url)?;
    Ok(url)
}

/// What holds of the first URL holds of every redirect.
pub(super) fn check_url(url: &Url) -> Result<(), Text> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(contract::text(
            "must begin with http:// or https://",
            "http:// 또는 https://로 시작해야 합니다",
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(contract::text("must have a host", "호스트가 있어야 합니다"));
    }
    if url.port() == Some(0) {
        return Err(contract::text("must not have port 0", "포트 0은 사용할 수 없습니다"));
    }
    Ok(())
}

fn read_method(text: &str) -> Result<Method, Text> {
    match text {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        "OPTIONS" => Ok(Method::OPTIONS),
        _ => Err(contract::text(
            "must be one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS 중 하나여야 합니다",
        )),
    }
}

fn read_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Text> {
    if name.len() + value.len() > MAX_HEADER_BYTES {
        return Err(contract::text("must be at most 8 KiB", "최대 8 KiB까지 가능합니다"));
    }
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| contract::text("is not a valid header name", "올바른 헤더 이름이 아닙니다"))?;
    // These describe the connection, which is the prober's own, or would contradict the body.
    if matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    ) {
        return Err(contract::text("cannot be set", "설정할 수 없는 헤더입니다"));
    }
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        contract::text(
            "must not contain newlines or other control characters",
            "줄바꿈이나 다른 제어 문자를 포함할 수 없습니다",
        )
    })?;
    if name == header::HOST && http::uri::Authority::try_from(value.as_bytes()).is_err() {
        return Err(contract::text("is not a valid host", "올바른 호스트가 아닙니다"));
    }
    Ok((name, value))
}

/// Moves the user and password of a URL to the header that carries them, so that they show up in no
/// message and in no relative redirect.
pub(super) fn take_basic_auth(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text| percent_encoding::percent_decode_str(text);
    let mut pair: Vec<u8> = decode(url.username()).collect();
    pair.push(b':');
    pair.extend(decode(url.password().unwrap_or_default()));
    // These fail only for URLs that cannot have a user, so not for this one.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
