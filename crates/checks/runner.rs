//! Runs checks of any kind: permits, time-outs, retries, judging, certificates that expire soon, panics.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use contract::{CheckStatus, Failure, FailureCode, Outcome, Severity, Target, Timings, shown};
use fields::Refusals;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, header};
use net::{
    address::PrivateNetworks,
    fair_share::{FairShare, Place},
    guarded,
    resolve::Resolver,
    trust::ExtraRoots,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Answer, Kind,
    assertions::{self, Compiled, Facts, Violation},
    cut, failure,
    network::{Network, Shared},
    plan::{self, Plan},
    progress::{Phase, Progress, no_room},
    request::exchange::{MAX_HELD, Memory, during},
    tls::Tls,
};

/// A longer body is judged outside the task: a pattern or a decoder may take milliseconds, which would distort the
/// timings of other checks.
pub(crate) const MAX_JUDGED_IN_PLACE: usize = 4 * 1024;
/// Twice the 10,000 checks that one owner can have waiting for a response, because a single owner gets half.
pub const DEFAULT_CONCURRENCY: usize = 20_480;
/// Checks that start at once: handshakes of thousands at the same time would measure this machine instead of the
/// targets.
const MAX_STARTING: usize = 500;
/// Names that are looked up at once, with up to [`FILES_PER_LOOKUP`] sockets each; owners share them.
const MAX_LOOKUPS: usize = 512;
/// Two record types, with two name servers each.
const FILES_PER_LOOKUP: usize = 4;
/// How many checks can run at once with this many open files.
pub fn concurrency_by(files: usize) -> usize {
    let others = MAX_LOOKUPS * FILES_PER_LOOKUP + guarded::SPARE_SOCKETS;
    (files - others.min(files / 4)).max(1)
}

/// A check that has not ended by then is mostly waiting: the next one starts beside it.
const STARTING_TIMEOUT: Duration = Duration::from_millis(250);

pub struct ProbeConfig {
    /// `CHECK_PRIVATE_NETWORKS`
    pub private_networks: Arc<PrivateNetworks>,
    /// `CHECK_CONCURRENCY`: checks that run at once in the process, shared by owners. A check that waits for its
    /// target costs a socket and some kB. A check that reads a long body for its assertions takes up to 10 MiB more,
    /// from a separate limit.
    pub concurrency: usize,
    /// Certificate authorities that are trusted in addition to the public ones.
    pub extra_roots: ExtraRoots,
    pub user_agent: String,
    /// The pause between a failed try and the next one.
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

/// For benchmarks: judges responses like a check of this target, without making one. `None`: the target is invalid.
pub fn judge_of(target: &Target) -> Option<impl Fn(&HeaderMap, &[u8]) -> bool + use<>> {
    let plan = Plan::read(target).ok()?;
    Some(move |headers: &HeaderMap, body: &[u8]| {
        let facts = Facts { headers: headers.clone(), body: body.to_vec(), ..Facts::default() };
        assertions::judge(&plan.assertions, &facts).is_ok()
    })
}

/// Runs checks. Built once per process and shared.
pub struct Prober {
    running: Arc<FairShare>,
    starting: Arc<FairShare>,
    pub(crate) shared: Shared,
    retry_pause: Duration,
}

impl Prober {
    pub fn new(config: ProbeConfig) -> anyhow::Result<Self> {
        Ok(Self {
            running: FairShare::of(config.concurrency),
            starting: FairShare::of(config.concurrency.min(MAX_STARTING)),
            shared: Shared {
                private_networks: config.private_networks,
                // No more than the open files permit: see `concurrency_by`.
                lookups: FairShare::of(MAX_LOOKUPS.min(config.concurrency.div_ceil(12))),
                resolver: config.resolver,
                memory: Memory::new(),
                tls: Tls::new(&config.extra_roots)?,
                user_agent: HeaderValue::try_from(config.user_agent)?,
            },
            retry_pause: config.retry_pause,
        })
    }

    /// Checks one target, with its `retries`, when a place is free: owners take turns. The status is unknown if the
    /// check could not start by `start_by`. Dropping the future cancels the check.
    pub async fn probe(&self, owner: i64, target: &Target, start_by: Option<Instant>) -> Outcome {
        // A panic of one check must not lose the other checks of its batch.
        let outcome = AssertUnwindSafe(self.check(owner, target, start_by)).catch_unwind().await;
        let mut outcome = outcome.unwrap_or_else(|panic| {
            let panic = net::panic_message(&*panic);
            tracing::error!(owner, url = url_of(target), panic, "a check panicked: a defect of pongpong");
            defect()
        });
        if let Some(failure) = &mut outcome.error {
            hide_secrets(target, &mut failure.message);
        }
        outcome
    }

    async fn check(&self, owner: i64, target: &Target, start_by: Option<Instant>) -> Outcome {
        if Kind::find(&target.kind).is_none() {
            let what = format!("This version of pongpong has no checks of the kind {}", cut(&target.kind));
            return unknown(FailureCode::InvalidRequest, what);
        }
        let plan = match Plan::prepare(owner, target, start_by).await {
            Some(Ok(plan)) => plan,
            // The target was accepted when it was saved, perhaps by another version.
            Some(Err(refusals)) => return unreadable(&refusals),
            None => return not_started(),
        };
        let mut tries_left = plan.retries;
        let judge_by = start_by;
        let mut start_by = start_by;
        let mut failed = None;
        loop {
            let outcome = {
                // Not held during the pause.
                let places = self.places(owner);
                let (_running, starting) = match start_by.take() {
                    None => places.await,
                    Some(start_by) => match tokio::time::timeout_at(start_by, places).await {
                        Ok(places) => places,
                        Err(_) => return not_started(),
                    },
                };
                // On the heap only while it runs: thousands of checks wait for their scheduled time.
                let mut trying = Box::pin(self.try_once(owner, &plan, judge_by));
                match tokio::time::timeout(STARTING_TIMEOUT, &mut trying).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        drop(starting);
                        trying.await
                    }
                }
            };
            // A successful check is not tried again.
            let code = outcome.error.as_ref().map(|error| error.code).filter(|_| !outcome.status.is_up());
            if code == Some(FailureCode::NotStarted) {
                // There is no room for another try either. If this try got no response, the outcome of the previous
                // one counts.
                return failed.filter(|_| outcome.status_code.is_none()).unwrap_or(outcome);
            }
            // The guard would refuse the same address again.
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
        let mut progress = Progress::new();
        let keeps_body = plan.assertions.iter().any(Compiled::needs_body);
        let network = Network { shared: &self.shared, owner, keeps_body };
        let running = tokio::time::timeout(plan.timeout, plan.check.run(&network, &mut progress));
        let answer = match running.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => return down(progress, failure),
            Err(_) if progress.waits.are_most_of(plan.timeout) => return down(progress, no_room()),
            Err(_) => {
                let failure = out_of_time(plan, &progress);
                return down(progress, failure);
            }
        };
        // Whether a processor is free to judge says nothing about the target, so judging is not part of the timings.
        let timings_ms = progress.timings();
        let judged = evaluate(owner, plan, answer, &progress, timings_ms, judge_by).await;
        let status = match &judged {
            Ok(None) => CheckStatus::Up,
            Ok(Some(_)) => CheckStatus::Degraded,
            // A lack of resources on this machine says nothing about the target.
            Err(failure) if failure.code == FailureCode::NotStarted => CheckStatus::Unknown,
            Err(_) => CheckStatus::Down,
        };
        let error = judged.unwrap_or_else(Some);
        Outcome { status, timings_ms, ..outcome(progress, error) }
    }
}

/// Why the check is down (`Err`); otherwise why it is degraded, if it is.
async fn evaluate(
    owner: i64,
    plan: &Plan,
    mut answer: Answer,
    progress: &Progress,
    timings: Timings,
    judge_by: Option<Instant>,
) -> Result<Option<Failure>, Failure> {
    let degraded = if plan.assertions.is_empty() {
        None
    } else {
        let asked = plan.assertions.iter().filter_map(Compiled::fact);
        answer.facts.values.extend(asked.filter_map(|name| Some((name, fact(name, progress, timings)?))));
        judge(owner, plan.assertions.clone(), answer, judge_by).await?
    };
    Ok(degraded.or_else(|| expires_soon(plan, progress.certificate_expires_at?)))
}

/// A fact that any kind may have. `None`: the check does not have it, or the kind itself provides it.
fn fact(name: &str, progress: &Progress, timings: Timings) -> Option<Value> {
    Some(match name {
        "total_ms" => timings.total.into(),
        "dns_ms" => timings.dns?.into(),
        "connect_ms" => timings.connect?.into(),
        "tls_ms" => timings.tls?.into(),
        "first_byte_ms" => timings.first_byte?.into(),
        "transfer_ms" => timings.transfer?.into(),
        "ip" => progress.ip?.to_string().into(),
        "certificate_days_left" => days_left(progress.certificate_expires_at?, Utc::now()).into(),
        _ => return None,
    })
}

/// Only if certificates are verified.
fn expires_soon(plan: &Plan, at: DateTime<Utc>) -> Option<Failure> {
    let days = days_left(at, Utc::now());
    let warning_days = plan.check.certificate_warning_days();
    let is_soon = warning_days > 0 && days <= i64::from(warning_days);
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
    checks: Arc<[Compiled]>,
    answer: Answer,
    until: Option<Instant>,
) -> Result<Option<Failure>, Failure> {
    let Answer { facts, mut memory, since } = answer;
    let judged = |held: Result<(), Violation>| match held {
        Ok(()) => Ok(None),
        Err(Violation { severity, message }) => {
            let failure = failure(FailureCode::AssertionFailed, message);
            if severity == Severity::Degraded { Ok(Some(failure)) } else { Err(failure) }
        }
    };
    let is_quick =
        !checks.iter().any(Compiled::is_costly) && !facts.headers.contains_key(header::CONTENT_ENCODING);
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

fn out_of_time(plan: &Plan, progress: &Progress) -> Failure {
    if let Some(failure) = &progress.failure {
        return failure.clone();
    }
    let ms = plan.timeout.as_millis();
    let (code, text) = match progress.phase {
        Phase::Dns => (FailureCode::ConnectTimeout, format!("The name was not resolved within {ms} ms")),
        Phase::Connect => {
            (FailureCode::ConnectTimeout, format!("The connection was not established within {ms} ms"))
        }
        Phase::Tls => (FailureCode::Timeout, format!("The TLS handshake was not finished within {ms} ms")),
        Phase::FirstByte => (FailureCode::Timeout, format!("No response came within {ms} ms")),
        Phase::Transfer => (
            FailureCode::Timeout,
            format!("The response did not end within {ms} ms ({} bytes came)", progress.bytes),
        ),
        Phase::Between => (FailureCode::Timeout, format!("The check was not finished within {ms} ms")),
    };
    failure(code, text)
}

/// Hides secrets in a message: a server may return what it received, and an assertion quotes it.
fn hide_secrets(target: &Target, message: &mut String) {
    // Shorter values are not secret, and may occur anywhere.
    const MIN_LEN: usize = 4;
    let fields = Kind::find(&target.kind).map(|kind| kind.fields).unwrap_or_default();
    for secret in fields::secrets(fields, &target.config) {
        // For `Bearer abc`, also the part after the scheme.
        for part in [secret.as_str(), secret.rsplit(' ').next().unwrap_or_default()] {
            if part.len() >= MIN_LEN && message.contains(part) {
                *message = message.replace(part, fields::MASK);
            }
        }
    }
}

fn url_of(target: &Target) -> String {
    cut(&shown::text_without_secrets(&target.url))
}

fn down(progress: Progress, failure: Failure) -> Outcome {
    outcome(progress, Some(failure))
}

fn outcome(mut progress: Progress, error: Option<Failure>) -> Outcome {
    Outcome {
        status: match &error {
            None => CheckStatus::Up,
            // A lack of resources on this machine says nothing about the target.
            Some(failure) if failure.code == FailureCode::NotStarted => CheckStatus::Unknown,
            Some(_) => CheckStatus::Down,
        },
        status_code: progress.status_code,
        error,
        timings_ms: progress.timings(),
        ip: progress.ip,
        certificate_expires_at: progress.certificate_expires_at,
        response_bytes: progress.bytes,
    }
}

/// The outcome of a check that was not made, and why: it says nothing about its target.
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

fn unreadable(refusals: &Refusals) -> Outcome {
    let all = refusals.iter().map(|(field, what)| format!("{field}: {}", what.en));
    let what =
        format!("This version of pongpong cannot read the settings: {}", all.collect::<Vec<_>>().join("; "));
    unknown(FailureCode::InvalidRequest, what)
}

fn defect() -> Outcome {
    unknown(FailureCode::ProberDefect, "The check was ended by a defect of pongpong; its log says more")
}

fn not_started() -> Outcome {
    unknown(
        FailureCode::NotStarted,
        "The check could not start before the next one was due: too many were running",
    )
}
