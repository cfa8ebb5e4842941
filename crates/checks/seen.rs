//! What a check has learned so far. It outlives the check when that is cut off by its timeout, so
//! that a result shows how far it got.

use std::{
    net::IpAddr,
    pin::pin,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::FutureExt;

use contract::{Failure, Timings};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Dns,
    Connect,
    Tls,
    FirstByte,
    Transfer,
    /// Between two hops of a redirect, and while the assertions are judged.
    Between,
}

pub(super) struct Seen {
    pub(super) ip: Option<IpAddr>,
    pub(super) status: Option<http::StatusCode>,
    pub(super) certificate_expires_at: Option<DateTime<Utc>>,
    /// By the server that was connected to last.
    pub(super) client_certificate_asked: bool,
    /// Known already, while more is found out about it.
    pub(super) failure: Option<Failure>,
    pub(super) bytes: u64,
    /// Since when the check waits for what other checks hold, and for how long it did before.
    pub(super) waiting_since: Option<Instant>,
    pub(super) waited: Duration,
    pub(super) phase: Phase,
    began: Instant,
    entered: Instant,
    spent: [Option<Duration>; 5],
}

impl Seen {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            ip: None,
            status: None,
            certificate_expires_at: None,
            client_certificate_asked: false,
            failure: None,
            bytes: 0,
            waiting_since: None,
            waited: Duration::ZERO,
            phase: Phase::Between,
            began: now,
            entered: now,
            spent: [None; 5],
        }
    }

    /// Waits for a place that other checks may hold, and notes for how long.
    pub(super) async fn wait<T>(&mut self, place: impl Future<Output = T>) -> T {
        let mut place = pin!(place);
        if let Some(place) = place.as_mut().now_or_never() {
            return place;
        }
        let since = *self.waiting_since.insert(Instant::now());
        let place = place.await;
        self.waiting_since = None;
        self.waited += since.elapsed();
        place
    }

    /// Whether half of `time` and more went by in waiting for other checks: that a check took long says nothing about its target
    /// then.
    pub(super) fn waited_for_most_of(&self, time: Duration) -> bool {
        let now = self.waiting_since.map_or(Duration::ZERO, |since| since.elapsed());
        self.waited + now >= time / 2
    }

    /// Ends the phase that runs. Over redirects, the times of the same phase add up.
    pub(super) fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        if let Some(spent) = self.spent.get_mut(self.phase as usize) {
            *spent = Some(spent.unwrap_or_default() + (now - self.entered));
        }
        self.phase = phase;
        self.entered = now;
    }

    /// A phase that was cut off shows how long it had lasted.
    pub(super) fn timings(&mut self) -> Timings {
        self.enter(self.phase);
        let [dns, connect, tls, first_byte, transfer] = self.spent.map(|spent| spent.map(millis));
        let total = millis(self.entered - self.began);
        Timings { dns, connect, tls, first_byte, transfer, total }
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
