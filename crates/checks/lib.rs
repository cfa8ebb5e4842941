//! The prober: is it up, how fast, and if not, why.
//!
//! Every check opens its own connection, as a newcomer would: nothing is pooled, cached or resumed.
//! Whatever a target does costs bounded time (`timeout_ms` covers the whole exchange, redirects
//! included; assertions have bounds of their own) and bounded memory.

mod assertions;
mod content;
mod cookies;
mod exchange;
pub mod facts;
#[cfg(feature = "legacy-tls")]
mod legacy_tls;
mod p521;
mod pattern;
mod plan;
mod redirect;
mod seen;
mod status_ranges;
mod tls;

#[cfg(test)]
mod tests;

use std::{io, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use net::{
    address::PrivateNetworks,
    fair_share::{FairShare, Place},
    guarded::{self, ConnectError, Metered, Stream},
    resolve::Resolver,
    trust::ExtraRoots,
};
use serde_json::Value;
use tokio::{net::TcpStream, time::Instant};
use url::{Host, Position, Url};

use self::{
    assertions::{Check, Facts, Violation, cut},
    cookies::Cookies,
    exchange::{
        Answer, Held, Keep, MAX_HANDSHAKE_STEPS, MAX_HELD, Memory, Stopped, during, exchange, leads_elsewhere,
    },
    plan::Plan,
    redirect::{Hop, MAX_REDIRECTS},
    seen::{Phase, Seen},
    tls::Tls,
};
pub use self::{
    plan::{validate, validate_off_workers},
    status_ranges::StatusRanges,
};
use contract::shown;
use contract::{CheckStatus, Failure, FailureCode, Outcome, Severity, Target, Timings};

/// Judging more than so much of a body leaves the task: a pattern or a decoder may take
/// milliseconds, in which other checks want their timings right.
const MAX_JUDGED_IN_PLACE: usize = 4 * 1024;
/// Twice the 10,000 that one owner can have hanging, for one owner gets half.
pub const DEFAULT_CONCURRENCY: usize = 20_480;
/// Checks that begin at once: handshakes of thousands at the same time would measure this machine instead of the
/// targets.
const MAX_STARTING: usize = 500;
/// Names that are looked up at once, each by up to [`FILES_PER_LOOKUP`] sockets; owners share them.
const MAX_LOOKUPS: usize = 512;
/// Two record types, and two name servers.
const FILES_PER_LOOKUP: usize = 4;
/// So many checks can run at once with so many open files.
pub fn concurrency_by(files: usize) -> usize {
    let others = MAX_LOOKUPS * FILES_PER_LOOKUP + guarded::SPARE_SOCKETS;
    (files - others.min(files / 4)).max(1)
}

/// A check that has not ended by then mostly waits: the next one begins beside it.
const STARTING_TIMEOUT: Duration = Duration::from_millis(250);

pub struct ProbeConfig {
    /// `CHECK_PRIVATE_NETWORKS`
    pub private_networks: Arc<PrivateNetworks>,
    /// `CHECK_CONCURRENCY`: checks that run at once in the process, shared out per owner. One that waits
    /// for its target costs a socket and some kB; one that reads a long body for its assertions
    /// takes up to 10 MiB more, out of a bound of its own.
    pub concurrency: usize,
    /// Certificate authorities that are trusted beside the public ones.
    pub extra_roots: ExtraRoots,
    pub user_agent: String,
    /// Between a failed try and the next one.
    pub retry_pause: Duration,
    pub resolver: Resolver,
}

impl ProbeConfig {
    pub fn new(private_networks: PrivateNetworks) -> anyhow::Result<Self> {
        Ok(Self {
            private_networks: Arc::new(private_networks),
            concurrency: DEFAULT_CONCURRENCY,
            extra_roots: ExtraRoots::default(),
            user_agent: concat!("pongpong/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry_pause: Duration::from_millis(500),
            resolver: Resolver::system()?,
        })
    }
}

/// Judges answers as a check of this target does, without one: for benchmarks. `None`: the target is not
/// acceptable.
pub fn judge_of(target: &Target) -> Option<impl Fn(&HeaderMap, &[u8]) -> bool + use<>> {
    let plan = Plan::read(target).ok()?;
    Some(move |headers: &HeaderMap, body: &[u8]| {
        let facts = Facts { headers: headers.clone(), body: body.to_vec(), ..Facts::default() };
        assertions::judge(&plan.checks, &facts).is_ok()
    })
}

/// Where an answer to a check of this target leads, and with which headers of it: for fuzzing. `None`: nowhere.
pub fn redirected(target: &Target, status: StatusCode, location: &HeaderValue) -> Option<(Url, HeaderMap)> {
    let answered = HeaderMap::from_iter([(header::LOCATION, location.clone())]);
    let hop = Hop::of(&Plan::read(target).ok()?).redirected(status, &answered).ok()?;
    Some((hop.url, hop.headers))
}

/// Built once per process and shared.
pub struct Prober {
    private_networks: Arc<PrivateNetworks>,
    running: Arc<FairShare>,
    starting: Arc<FairShare>,
    lookups: Arc<FairShare>,
    memory: Memory,
    tls: Tls,
    user_agent: HeaderValue,
    retry_pause: Duration,
    resolver: Resolver,
}

impl Prober {
    pub fn new(config: ProbeConfig) -> anyhow::Result<Self> {
        Ok(Self {
            private_networks: config.private_networks,
            running: FairShare::of(config.concurrency),
            starting: FairShare::of(config.concurrency.min(MAX_STARTING)),
            // No more than there are files for: see `concurrency_by`.
            lookups: FairShare::of(MAX_LOOKUPS.min(config.concurrency.div_ceil(12))),
            memory: Memory::new(),
            tls: Tls::new(&config.extra_roots)?,
            user_agent: HeaderValue::try_from(config.user_agent)?,
            retry_pause: config.retry_pause,
            resolver: config.resolver,
        })
    }

    /// Checks one target, as often as its `retries` say, once there is room for it: owners take turns.
    /// Unknown, when it could not start by `start_by`. Dropping the future ends the check.
    pub async fn probe(&self, owner: i64, target: &Target, start_by: Option<Instant>) -> Outcome {
        // A defect that one target brings to light must not lose the others of its batch.
        let outcome = AssertUnwindSafe(self.check(owner, target, start_by)).catch_unwind().await;
        outcome.unwrap_or_else(|panic| {
            let panic = net::panic_message(&*panic);
            tracing::error!(owner, url = url_of(target), panic, "a check panicked: a defect of pongpong");
            defect()
        })
    }

    async fn check(&self, owner: i64, target: &Target, start_by: Option<Instant>) -> Outcome {
        let plan = match Plan::prepare(owner, target, start_by).await {
            Some(Ok(plan)) => plan,
            Some(Err(problems)) => return down(Seen::new(), plan::invalid(&problems)),
            None => return not_started(),
        };
        let mut tries_left = plan.retries;
        let judge_by = start_by;
        let mut start_by = start_by;
        let mut failed = None;
        loop {
            let outcome = {
                // Not held while pausing.
                let places = self.places(owner);
                let (_running, starting) = match start_by.take() {
                    None => places.await,
                    Some(start_by) => match tokio::time::timeout_at(start_by, places).await {
                        Ok(places) => places,
                        Err(_) => return not_started(),
                    },
                };
                // On the heap only while it runs: thousands wait for their slot.
                let mut trying = Box::pin(self.try_once(owner, &plan, judge_by));
                match tokio::time::timeout(STARTING_TIMEOUT, &mut trying).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        drop(starting);
                        trying.await
                    }
                }
            };
            // What works is not tried again.
            let code = outcome.error.as_ref().map(|error| error.code).filter(|_| !outcome.status.is_up());
            if code == Some(FailureCode::NotStarted) {
                // There is no room for another try either. What the one before it says counts, where this one got nothing
                // else.
                return failed.filter(|_| outcome.status_code.is_none()).unwrap_or(outcome);
            }
            // What the guard refused it would refuse again.
            let is_final =
                matches!(code, None | Some(FailureCode::BlockedAddress | FailureCode::InvalidRequest));
            if is_final || tries_left == 0 {
                return outcome;
            }
            failed = Some(outcome);
            tries_left -= 1;
            tokio::time::sleep(self.retry_pause).await;
        }
    }

    async fn places(&self, owner: i64) -> (Place, Place) {
        let running = self.running.take(owner).await;
        (running, self.starting.take(owner).await)
    }

    async fn try_once(&self, owner: i64, plan: &Plan, judge_by: Option<Instant>) -> Outcome {
        let mut seen = Seen::new();
        let answer = match tokio::time::timeout(plan.timeout, self.fetch(owner, plan, &mut seen)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => return down(seen, failure),
            Err(_) if seen.waits.are_most_of(plan.timeout) => return down(seen, no_room()),
            Err(_) => {
                let failure = out_of_time(plan, &seen);
                return down(seen, failure);
            }
        };
        // Whether a processor is free to judge says nothing about the target: it takes no time of the check's.
        let timings_ms = seen.timings();
        let judged = self.evaluate(owner, plan, answer, &seen, timings_ms, judge_by).await;
        let status = match &judged {
            Ok(None) => CheckStatus::Up,
            Ok(Some(_)) => CheckStatus::Degraded,
            // What this machine lacked says nothing about the target.
            Err(failure) if failure.code == FailureCode::NotStarted => CheckStatus::Unknown,
            Err(_) => CheckStatus::Down,
        };
        let error = judged.unwrap_or_else(Some);
        Outcome { status, timings_ms, ..outcome(seen, error) }
    }

    /// Why it is down; or else why it is degraded, if it is.
    async fn evaluate(
        &self,
        owner: i64,
        plan: &Plan,
        answer: Answer,
        seen: &Seen,
        timings: Timings,
        judge_by: Option<Instant>,
    ) -> Result<Option<Failure>, Failure> {
        let status = answer.status;
        if !plan.expected.contains(status.as_u16()) {
            let text = format!("Expected status {}, got {}", plan.expected, described(status));
            return Err(failure(FailureCode::StatusMismatch, text));
        }
        let degraded = if plan.checks.is_empty() {
            None
        } else {
            let asked = plan.checks.iter().filter_map(Check::fact);
            let values = asked.filter_map(|name| Some((name, fact(name, &answer, seen, timings)?))).collect();
            judge(owner, plan.checks.clone(), answer, values, judge_by).await?
        };
        Ok(degraded.or_else(|| expires_soon(plan, seen.certificate_expires_at?)))
    }

    /// Follows redirects to the final answer.
    async fn fetch(&self, owner: i64, plan: &Plan, seen: &mut Seen) -> Result<Answer, Failure> {
        let keep = Keep {
            body: plan.checks.iter().any(Check::needs_body),
            memory: &self.memory,
            owner,
            skip_redirects: plan.follow_redirects,
        };
        let mut hop = Hop::of(plan);
        let wanted = tls::Wanted { verify: plan.verify_tls, legacy: plan.legacy_tls };
        let mut cookies = Cookies::default();
        loop {
            let answer = self.visit(&hop, &cookies, wanted, keep, seen).await?;
            if !plan.follow_redirects || !leads_elsewhere(answer.status, &answer.headers) {
                return Ok(answer);
            }
            cookies.keep(&hop.url, &answer.headers);
            hop = hop.redirected(answer.status, &answer.headers)?;
            seen.redirects += 1;
            if seen.redirects > MAX_REDIRECTS {
                let text =
                    format!("More than {MAX_REDIRECTS} redirects, the last one to {}", shown(&hop.url));
                return Err(failure(FailureCode::TooManyRedirects, text));
            }
        }
    }

    async fn visit(
        &self,
        hop: &Hop,
        cookies: &Cookies,
        wanted: tls::Wanted,
        keep: Keep<'_>,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        // What the hop before said is no part of what this one comes to.
        (seen.ip, seen.status, seen.client_certificate_asked) = (None, None, false);
        let stream = Metered::new(self.connect(keep.owner, &hop.url, seen).await.map_err(no_connection)?);
        let mut held = Held::of(keep, Arc::clone(&stream.meter), seen.waits.clone());
        let stream = if hop.url.scheme() == "https" {
            seen.enter(Phase::Tls);
            held.most = MAX_HANDSHAKE_STEPS;
            let stream = held.reading(self.tls.handshake(stream, &hop.url, wanted, seen)).await;
            stream.map_err(|stopped| match stopped {
                Stopped::Wanted => no_room(),
                Stopped::TooLong => {
                    failure(FailureCode::TlsInvalid, "The server's certificates are too long")
                }
            })??
        } else {
            Stream::Plain(stream)
        };
        let request = self.request(hop, cookies, stream.speaks_http2()).ok_or_else(|| {
            let text = format!("{} cannot be requested", shown(&hop.url));
            failure(FailureCode::InvalidRequest, text)
        })?;
        exchange(stream, request, keep, held, seen).await
    }

    async fn connect(&self, owner: i64, url: &Url, seen: &mut Seen) -> Result<TcpStream, ConnectError> {
        let addresses = {
            let _place = match url.host() {
                Some(Host::Domain(_)) => Some(seen.waits.wait(self.lookups.take(owner)).await),
                _ => None,
            };
            if _place.is_some() {
                seen.enter(Phase::Dns);
            }
            guarded::addresses(url, &self.resolver, &self.private_networks).await?
        };
        seen.enter(Phase::Connect);
        let stream = guarded::connect(&addresses).await?;
        // Close by reset: when a probe closes, it has all it wants, and a thousand checks a second
        // against one address would otherwise leave every local port waiting in TIME_WAIT for a minute.
        // It also tells an endless sender to stop.
        let _ = stream.set_zero_linger();
        seen.ip = stream.peer_addr().ok().map(|address| address.ip());
        Ok(stream)
    }

    fn request(&self, hop: &Hop, cookies: &Cookies, http2: bool) -> Option<Request<Full<Bytes>>> {
        let path = &hop.url[Position::BeforePath..Position::AfterQuery];
        let mut headers = HeaderMap::with_capacity(hop.headers.len() + 4);
        let host = match hop.headers.get(header::HOST) {
            Some(host) => host.clone(),
            None => HeaderValue::from_str(&hop.url[Position::BeforeHost..Position::AfterPort]).ok()?,
        };
        let uri = if http2 {
            // HTTP/2 has a pseudo header in place of Host.
            Uri::builder()
                .scheme(hop.url.scheme())
                .authority(host.as_bytes())
                .path_and_query(path)
                .build()
                .ok()?
        } else {
            headers.insert(header::HOST, host);
            Uri::try_from(path).ok()?
        };
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in &hop.headers {
            if name != header::HOST {
                headers.insert(name.clone(), value.clone());
            }
        }
        if let Some(cookie) = cookies.header(&hop.url, hop.headers.get(header::COOKIE)) {
            headers.insert(header::COOKIE, cookie);
        }
        if !http2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let mut request = Request::new(Full::new(hop.body.clone()));
        *request.method_mut() = hop.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Some(request)
    }
}

/// A number or a text that an assertion compares; none: this check does not have it.
fn fact(name: &str, answer: &Answer, seen: &Seen, timings: Timings) -> Option<Value> {
    Some(match name {
        "status" => answer.status.as_u16().into(),
        "http_version" => match answer.version {
            http::Version::HTTP_10 => "1.0".into(),
            http::Version::HTTP_2 => "2".into(),
            _ => "1.1".into(),
        },
        "redirects" => seen.redirects.into(),
        "body_bytes" => seen.bytes.into(),
        "total_ms" => timings.total.into(),
        "dns_ms" => timings.dns?.into(),
        "connect_ms" => timings.connect?.into(),
        "tls_ms" => timings.tls?.into(),
        "first_byte_ms" => timings.first_byte?.into(),
        "transfer_ms" => timings.transfer?.into(),
        "ip" => seen.ip?.to_string().into(),
        "certificate_days_left" => days_left(seen.certificate_expires_at?, Utc::now()).into(),
        _ => return None,
    })
}

/// Only where certificates are verified.
fn expires_soon(plan: &Plan, at: DateTime<Utc>) -> Option<Failure> {
    let days = days_left(at, Utc::now());
    let is_wanted = plan.verify_tls && plan.certificate_warning_days > 0;
    let is_soon = is_wanted && days <= i64::from(plan.certificate_warning_days);
    let day = at.format("%Y-%m-%d");
    is_soon.then(|| {
        let text = match days {
            ..=0 => format!("A certificate expires within a day ({day})"),
            1 => format!("A certificate expires in 1 day ({day})"),
            _ => format!("A certificate expires in {days} days ({day})"),
        };
        failure(FailureCode::CertificateExpiring, text)
    })
}

/// Whole days, negative once it has expired.
pub fn days_left(expires_at: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (expires_at - now).num_seconds().div_euclid(86_400)
}

async fn judge(
    owner: i64,
    checks: Arc<[Check]>,
    answer: Answer,
    values: Vec<(&'static str, Value)>,
    until: Option<Instant>,
) -> Result<Option<Failure>, Failure> {
    let Answer { headers, body, is_cut, mut memory, since, .. } = answer;
    let judged = |held: Result<(), Violation>| match held {
        Ok(()) => Ok(None),
        Err(Violation { severity, message }) => {
            let failure = failure(FailureCode::AssertionFailed, message);
            if severity == Severity::Degraded { Ok(Some(failure)) } else { Err(failure) }
        }
    };
    let is_quick = !checks.iter().any(Check::is_costly) && !headers.contains_key(header::CONTENT_ENCODING);
    let facts = Facts { values, headers, body, is_cut };
    if is_quick && facts.body.len() <= MAX_JUDGED_IN_PLACE {
        return judged(assertions::judge(&checks, &facts));
    }
    let turn = during(&mut memory, since + MAX_HELD, plan::turn(&plan::JUDGING, owner, until)).await;
    let Some(place) = turn.map_err(|_| no_room())? else {
        return Err(failure(
            FailureCode::NotStarted,
            "The response could not be judged before the next check was due: too many others were being judged",
        ));
    };
    let judge = move || {
        let _memory = memory;
        assertions::judge(&checks, &facts)
    };
    judged(plan::off_workers(place, judge).await)
}

fn out_of_time(plan: &Plan, seen: &Seen) -> Failure {
    if let Some(failure) = &seen.failure {
        return failure.clone();
    }
    let ms = plan.timeout.as_millis();
    let (code, text) = match seen.phase {
        Phase::Dns => (FailureCode::ConnectTimeout, format!("The name was not resolved within {ms} ms")),
        Phase::Connect => {
            (FailureCode::ConnectTimeout, format!("The connection was not established within {ms} ms"))
        }
        Phase::Tls => (FailureCode::Timeout, format!("The TLS handshake was not finished within {ms} ms")),
        Phase::FirstByte => (FailureCode::Timeout, format!("No response came within {ms} ms")),
        Phase::Transfer => (
            FailureCode::Timeout,
            format!("The response did not end within {ms} ms ({} bytes came)", seen.bytes),
        ),
        Phase::Between => (FailureCode::Timeout, format!("The check was not finished within {ms} ms")),
    };
    failure(code, text)
}

fn url_of(target: &Target) -> String {
    cut(&shown::text_without_secrets(&target.url))
}

/// A URL in a message: what is behind its path may be secret, also of what a redirect leads to.
fn shown(url: &Url) -> String {
    cut(&shown::without_secrets(url))
}

fn described(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn no_connection(error: ConnectError) -> Failure {
    let code = match &error {
        ConnectError::NoHost => FailureCode::InvalidRequest,
        ConnectError::Unresolved(error) if error.is_local() => FailureCode::NotStarted,
        ConnectError::Unresolved(_) => FailureCode::DnsFailure,
        ConnectError::Blocked(_) => FailureCode::BlockedAddress,
        ConnectError::Refused(_, error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => FailureCode::ConnectRefused,
            io::ErrorKind::TimedOut => FailureCode::ConnectTimeout,
            _ => FailureCode::ConnectFailed,
        },
        ConnectError::NoAddress => FailureCode::ConnectFailed,
        ConnectError::Local(_) => FailureCode::NotStarted,
    };
    failure(code, error.to_string())
}

fn failure(code: FailureCode, message: impl Into<String>) -> Failure {
    Failure { code, message: message.into() }
}

fn down(seen: Seen, failure: Failure) -> Outcome {
    outcome(seen, Some(failure))
}

fn outcome(mut seen: Seen, error: Option<Failure>) -> Outcome {
    Outcome {
        status: match &error {
            None => CheckStatus::Up,
            // What this machine lacked says nothing about the target.
            Some(failure) if failure.code == FailureCode::NotStarted => CheckStatus::Unknown,
            Some(_) => CheckStatus::Down,
        },
        status_code: seen.status.map(|status| status.as_u16()),
        error,
        timings_ms: seen.timings(),
        ip: seen.ip,
        certificate_expires_at: seen.certificate_expires_at,
        response_bytes: seen.bytes,
    }
}

/// A check that was not made, and why: it says nothing about its target.
pub fn unknown(code: FailureCode, message: impl Into<String>) -> Outcome {
    Outcome {
        status: CheckStatus::Unknown,
        status_code: None,
        error: Some(failure(code, message)),
        timings_ms: Timings::default(),
        ip: None,
        certificate_expires_at: None,
        response_bytes: 0,
    }
}

fn defect() -> Outcome {
    unknown(FailureCode::ProberDefect, "The check was ended by a defect of pongpong; its log says more")
}

fn no_room() -> Failure {
    failure(
        FailureCode::NotStarted,
        "The check could not be finished in time: too many others took the room that it waited for",
    )
}

fn not_started() -> Outcome {
    unknown(
        FailureCode::NotStarted,
        "The check could not start before the next one was due: too many were running",
    )
}
