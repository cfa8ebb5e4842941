//! How often one client may call one route: rate-limiting with the policy `local`.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Counts calls by minute of the clock, as Kong does: a new minute starts from nothing, so that
/// only one minute's callers are ever remembered.
#[derive(Debug, Default)]
pub struct Limits(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    minute: i64,
    used: HashMap<(String, Who), u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Ip(IpAddr),
    Consumer(String),
}

/// Where a client stands after a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Standing {
    pub allowed: bool,
    limit: u32,
    remaining: u32,
    reset_seconds: i64,
}

/// More callers than this in one minute are forgotten rather than kept: memory has an end.
const MOST: usize = 100_000;

impl Limits {
    pub fn take(&self, route: &str, who: Who, limit: u32, now: DateTime<Utc>) -> Standing {
        let minute = now.timestamp().div_euclid(60);
        let reset_seconds = 60 - now.timestamp().rem_euclid(60);
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.minute != minute || window.used.len() >= MOST {
            window.minute = minute;
            window.used = HashMap::new();
        }
        let used = window.used.entry((route.to_owned(), who)).or_default();
        let allowed = *used < limit;
        if allowed {
            *used += 1;
        }
        Standing { allowed, limit, remaining: limit - (*used).min(limit), reset_seconds }
    }
}

impl Standing {
    pub fn tell(&self, headers: &mut HeaderMap) {
        const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
        const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
        const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
        const LIMIT_MINUTE: HeaderName = HeaderName::from_static("x-ratelimit-limit-minute");
        const REMAINING_MINUTE: HeaderName = HeaderName::from_static("x-ratelimit-remaining-minute");
        headers.insert(LIMIT, self.limit.into());
        headers.insert(REMAINING, self.remaining.into());
        headers.insert(RESET, HeaderValue::from(self.reset_seconds));
        headers.insert(LIMIT_MINUTE, self.limit.into());
        headers.insert(REMAINING_MINUTE, self.remaining.into());
        if !self.allowed {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.reset_seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_its_limit_and_the_next_one_is_new() {
        let limits = Limits::default();
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let take = |route, seconds| limits.take(route, Who::Consumer("a".into()), 2, at(seconds)).allowed;
        assert!(take("r", 0) && take("r", 10));
        assert!(!take("r", 59));
        assert!(take("other", 59) && take("r", 60));
        let other = Who::Ip(IpAddr::from([127, 0, 0, 1]));
        let standing = limits.take("r", other, 2, at(75));
        assert_eq!(standing, Standing { allowed: true, limit: 2, remaining: 1, reset_seconds: 45 });
    }
}
