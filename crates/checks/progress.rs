//! What a check has found out so far. It outlives the check when that is cut off by its timeout, so
//! that a result shows how far it got.

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
    /// What the protocol answers with, such as 200.
    pub(crate) status_code: Option<u16>,
    /// The first to expire of the certificates that were sent.
    pub(crate) certificate_expires_at: Option<DateTime<Utc>>,
    /// By the server that was connected to last.
    pub(crate) client_certificate_asked: bool,
    /// Known already, while more is found out about it.
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
    /// Waits for a place, also if nobody waits for it to the end.
    pub(crate) async fn wait<T>(&self, place: impl Future<Output = T>) -> T {
        let mut place = pin!(place);
        if let Some(place) = place.as_mut().now_or_never() {
            return place;
        }
        self.waited().since = Some(Instant::now());
        let _ends = Ends(self);
        place.await
    }

    /// Whether half of `time` and more went by in waiting for other checks: that a check took long says nothing about
    /// its target then.
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

    /// Ends the phase that runs. Over redirects, the times of the same phase add up.
    pub(crate) fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        if let Some(spent) = self.spent.get_mut(self.phase as usize) {
            *spent = Some(spent.unwrap_or_default() + (now - self.entered));
        }
        self.phase = phase;
        self.entered = now;
    }

    /// A phase that was cut off shows how long it had lasted.
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

/// What this machine lacked says nothing about the target.
pub(crate) fn no_room() -> Failure {
    failure(
        FailureCode::NotStarted,
        "The check could not be finished in time: too many others took the room that it waited for",
    )
}
