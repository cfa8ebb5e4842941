//! Counts the outcomes of messages.

use std::sync::LazyLock;

use channels::{CHANNELS, Kind};
use runtime::telemetry::{Counter, Histogram, KeyValue, counter, seconds};

static NOTIFICATIONS: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.notifications", "{notification}", "What became of messages"));

/// Unknown kinds are not counted, because labels must have few values.
pub(crate) fn count(kind: &str, outcome: &'static str) {
    if let Some(kind) = Kind::find(kind) {
        add(1, kind, outcome);
    }
}

pub(super) fn label(kind: &Kind) -> KeyValue {
    KeyValue::new("kind", kind.name)
}

fn add(messages: u64, kind: &Kind, outcome: &'static str) {
    NOTIFICATIONS.add(messages, &[label(kind), KeyValue::new("outcome", outcome)]);
}

pub(crate) fn count_from_zero() {
    for kind in CHANNELS {
        ["delivered", "failed", "postponed", "given_up", "unwanted"]
            .into_iter()
            .for_each(|what| add(0, kind, what));
        SECOND_TRIES.add(0, &[label(kind)]);
    }
}

pub(super) static SECOND_TRIES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter("pongpong.notification.second_tries", "{try}", "Tries made a second after one that failed")
});

pub(super) static DELAY: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    seconds("pongpong.notification.delay", "From a change to the message that tells of it", 300.0)
});
