//! What a check has found so far. It outlives a check that its time-out cancels, so that the result shows how far the
//! check got.

use std::{
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::FutureExt;

use contract::{Failure, FailureCode, Timings};

use crate::failure;

pub(crate) const CLIENT_CERTIFICATE_REQUIRED: &str =
    "The server requires a client certificate (mutual TLS), and checks have none";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Dns,
    Connect,
    Tls,
    FirstByte,
    Transfer,
    /// Between two hops of a redirect, and while the assertions are judged.
    Between,
}

pub struct Progress {
    pub(crate) ip: Option<IpAddr>,
    /// The protocol's status code, such as 200.
    pub(crate) status_code: Option<u16>,
    /// The earliest expiry of the certificates that were sent.
    pub(crate) certificate_expires_at: Option<DateTime<Utc>>,
    /// Whether the server of the latest connection asked for a client certificate.
    pub(crate) client_certificate_asked: bool,
    /// A failure that is already known, while its details are still being found out.
    pub(crate) failure: Option<Failure>,
    pub(crate) bytes: u64,
    pub(crate) waits: Waits,
    pub(crate) phase: Phase,
    began: Instant,
    entered: Instant,
    spent: [Option<Duration>; 5],
}

/// How long a check waited for what other checks hold.
#[derive(Clone, Default)]
pub(crate) struct Waits(Arc<Mutex<Waited>>);

#[derive(Default)]
struct Waited {
    since: Option<Instant>,
    before: Duration,
}

impl Waits {
    /// Waits for a place, and counts the time even if the wait is cancelled.
    pub(crate) async fn wait<T>(&self, place: impl Future<Output = T>) -> T {
        let mut place = pin!(place);
        if let Some(place) = place.as_mut().now_or_never() {
            return place;
        }
        self.waited().since = Some(Instant::now());
        let _ends = Ends(self);
        place.await
    }

    /// Whether at least half of `time` was spent waiting for other checks: then the duration of the check says
    /// nothing about its target.
    pub(crate) fn are_most_of(&self, time: Duration) -> bool {
        let waited = self.waited();
        waited.before + waited.since.map_or(Duration::ZERO, |since| since.elapsed()) >= time / 2
    }

    fn waited(&self) -> MutexGuard<'_, Waited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Ends<'a>(&'a Waits);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let mut waited = self.0.waited();
        let now = waited.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        waited.before += now;
    }
}

impl Progress {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            ip: None,
            status_code: None,
            certificate_expires_at: None,
            client_certificate_asked: false,
            failure: None,
            bytes: 0,
            waits: Waits::default(),
            phase: Phase::Between,
            began: now,
            entered: now,
            spent: [None; 5],
        }
    }

    /// Ends the current phase. Over redirects, the times of the same phase add up.
    pub(crate) fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        if let Some(spent) = self.spent.get_mut(self.phase as usize) {
            *spent = Some(spent.unwrap_or_default() + (now - self.entered));
        }
        self.phase = phase;
        self.entered = now;
    }

    /// A phase that was cut off counts with its duration so far.
    pub(crate) fn timings(&mut self) -> Timings {
        self.enter(self.phase);
        let [dns, connect, tls, first_byte, transfer] = self.spent.map(|spent| spent.map(millis));
        let total = millis(self.entered - self.began);
        Timings { dns, connect, tls, first_byte, transfer, total }
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// A lack of resources on this machine says nothing about the target.
pub(crate) fn no_room() -> Failure {
    failure(
        FailureCode::NotStarted,
        "The check could not be finished in time: too many others took the room that it waited for",
    )
}
