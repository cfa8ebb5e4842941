//! Reads a target once: errors are named field by field, and a valid target becomes a `Plan`.
//!
//! Saving an endpoint and checking it read the target in the same way, so an accepted endpoint can be checked.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use contract::{Assertion, Comparison, Target, Text, words};
use fields::Refusals;
use net::fair_share::{FairShare, Place};
use serde_json::Value;
use tokio::{task::JoinError, time::Instant};
use url::Url;

use crate::{Kind, Planned, assertions::Compiled, pattern::Pattern};

const MAX_URL_CHARS: usize = 2_048;
const MAX_ASSERTIONS: usize = 20;
/// Size of all compiled patterns of one target [bytes]: about 50 ms to compile.
const MAX_PATTERNS_SIZE: usize = 2 * 1024 * 1024;
const MAX_RETRIES: u8 = 5;

/// Everything that is wrong with a target, by field path (such as `assertions[2].value`).
pub fn validate(target: &Target) -> Refusals {
    with_fields(target, Plan::read(target).err().unwrap_or_default())
}

/// Adds what is wrong with single fields of the config: they are validated only when the endpoint is saved.
fn with_fields(target: &Target, refusals: Refusals) -> Refusals {
    let Some(kind) = Kind::find(&target.kind) else { return refusals };
    match fields::read(kind.fields, &target.config, None) {
        Ok(_) => refusals,
        Err(of_fields) => {
            let others = refusals.into_iter().filter(|(field, _)| !field.starts_with("config"));
            of_fields.0.into_iter().chain(others).collect()
        }
    }
}

/// Maximum number of costly evaluations at once. Each may take 150 MB, for a body that is decoded three times, and
/// its JSON.
const MAX_COSTLY: usize = 2;

/// Patterns that are compiled at once. Judging has its own places, so that neither waits for the other.
static COMPILING: LazyLock<Arc<FairShare>> = LazyLock::new(costly);
/// Bodies that are judged at the same time.
pub(crate) static JUDGING: LazyLock<Arc<FairShare>> = LazyLock::new(costly);

/// Leaves the other processors to quick work.
fn costly() -> Arc<FairShare> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    FairShare::of(processors.div_ceil(2).min(MAX_COSTLY))
}

/// A place, if one is free by `until`; owners take turns.
pub(crate) async fn turn(share: &Arc<FairShare>, owner: i64, until: Option<Instant>) -> Option<Place> {
    match until {
        None => Some(share.take(owner).await),
        Some(until) => tokio::time::timeout_at(until, share.take(owner)).await.ok(),
    }
}

/// Runs work that untrusted input can make slow, outside the async workers. A panic of the work continues here.
pub(crate) async fn off_workers<T: Send + 'static>(
    place: Place,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let working = tokio::task::spawn_blocking(move || {
        // Held until the work ends, even if nobody waits for it any more.
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

/// [`validate`], with patterns compiled outside the async workers.
pub async fn validate_off_workers(owner: i64, target: &Target) -> Refusals {
    match Plan::prepare(owner, target, None).await {
        Some(Err(refusals)) => with_fields(target, refusals),
        Some(Ok(_)) => with_fields(target, Refusals::new()),
        None => Refusals::new(),
    }
}

/// A check with nothing left to parse.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) check: Box<dyn Planned>,
    pub(crate) timeout: Duration,
    pub(crate) assertions: Arc<[Compiled]>,
    pub(crate) retries: u8,
}

impl Plan {
    /// Reads a target. Patterns that are not cached are compiled outside the async workers. `None`: no place was free
    /// by `until`.
    pub(crate) async fn prepare(
        owner: i64,
        target: &Target,
        until: Option<Instant>,
    ) -> Option<Result<Self, Refusals>> {
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

    pub(crate) fn read(target: &Target) -> Result<Self, Refusals> {
        let Some(kind) = Kind::find(&target.kind) else {
            let known = Kind::names();
            let what = words::must_be_one_of(known);
            return Err(vec![("kind".to_owned(), what.into())]);
        };
        let mut refusals = Refusals::new();
        let check = read_url(kind, &target.url).map_err(|what| vec![("url".to_owned(), what)]);
        let check = check.and_then(|url| (kind.plan)(&url, &target.config));
        let check = check.map_err(|wrong| refusals.extend(wrong)).ok();
        let mut note = |field: String, what| refusals.push((field, what));
        if !(100..=60_000).contains(&target.timeout_ms) {
            note("timeout_ms".to_owned(), words::TIMEOUT_MUST_BE_FROM_TO);
        }
        if target.retries > MAX_RETRIES {
            note("retries".to_owned(), words::MUST_BE_AT_MOST_5);
        }
        let mut patterns_size = 0;
        let mut assertions = Vec::with_capacity(target.assertions.len().min(MAX_ASSERTIONS));
        if target.assertions.len() > MAX_ASSERTIONS {
            let what = words::MUST_BE_AT_MOST_20_ASSERTIONS;
            note("assertions".to_owned(), what);
        } else {
            for (index, assertion) in target.assertions.iter().enumerate() {
                match Compiled::read(kind, assertion) {
                    Ok(compiled) => {
                        patterns_size += compiled.size();
                        if patterns_size > MAX_PATTERNS_SIZE {
                            let what = words::PATTERNS_ARE_TOO_COMPLEX;
                            note(format!("assertions[{index}].value"), what);
                            // The remaining patterns are not compiled.
                            break;
                        }
                        assertions.push(compiled);
                    }
                    Err((field, what)) => note(format!("assertions[{index}].{field}"), what),
                }
            }
        }
        match check {
            Some(check) if refusals.is_empty() => Ok(Self {
                check,
                timeout: Duration::from_millis(target.timeout_ms.into()),
                assertions: assertions.into(),
                retries: target.retries,
            }),
            _ => Err(refusals),
        }
    }
}

fn read_url(kind: &Kind, written: &str) -> Result<Url, Text> {
    if written.chars().nth(MAX_URL_CHARS).is_some() {
        return Err(words::must_be_at_most_characters(2048).into());
    }
    // The parser would silently drop tabs and newlines.
    if written.chars().any(char::is_control) {
        return Err(words::MUST_NOT_CONTAIN_CONTROL_CHARACTERS);
    }
    let url = Url::parse(written).map_err(words::is_not_a_url)?;
    if !kind.has_scheme(url.scheme()) {
        let known = Kind::beginnings([kind]);
        return Err(words::must_begin_with_for_kind(kind.name, known).into());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(words::MUST_HAVE_HOST);
    }
    Ok(url)
}
