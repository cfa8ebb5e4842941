//! Limits how often one client may call one route: rate-limiting with the policy `local`.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Counts calls by minute of the clock, as Kong does: each minute starts at zero, so only the callers of one
/// minute are kept.
#[derive(Debug, Default)]
pub struct Limits(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    minute: i64,
    used: HashMap<Arc<Caller>, u32>,
    /// The counted callers, oldest first.
    order: VecDeque<Arc<Caller>>,
}

/// A client on a route.
type Caller = (String, Who);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Ip(IpAddr),
    Consumer(String),
}

impl Who {
    pub fn at(address: IpAddr) -> Self {
        Self::Ip(network(address))
    }
}

/// An IPv6 client counts by its /64: otherwise each of its addresses would have a separate limit.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

/// A client's quota after a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Quota {
    pub allowed: bool,
    limit: u32,
    remaining: u32,
    reset_seconds: i64,
}

/// Bounds memory: beyond this number of callers in one minute, the oldest are dropped. Only the oldest:
/// otherwise a client with many addresses could reset everyone's limit.
const MAX_CLIENTS: usize = 100_000;

impl Limits {
    pub fn take(&self, route: &str, who: Who, limit: u32, now: DateTime<Utc>) -> Quota {
        let minute = now.timestamp().div_euclid(60);
        let reset_seconds = 60 - now.timestamp().rem_euclid(60);
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.minute != minute {
            *window = Window { minute, ..Window::default() };
        }
        let caller = Arc::new((route.to_owned(), who));
        if !window.used.contains_key(&caller) {
            if window.used.len() >= MAX_CLIENTS
                && let Some(oldest) = window.order.pop_front()
            {
                window.used.remove(&oldest);
            }
            window.order.push_back(Arc::clone(&caller));
        }
        let used = window.used.entry(caller).or_default();
        let allowed = *used < limit;
        if allowed {
            *used += 1;
        }
        Quota { allowed, limit, remaining: limit - (*used).min(limit), reset_seconds }
    }
}

impl Quota {
    pub fn write(&self, headers: &mut HeaderMap) {
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
        let quota = limits.take("r", other, 2, at(75));
        assert_eq!(quota, Quota { allowed: true, limit: 2, remaining: 1, reset_seconds: 45 });
    }

    #[test]
    fn of_too_many_callers_only_the_oldest_are_forgotten() {
        let limits = Limits::default();
        let take = |n: u32| {
            let who = Who::at(IpAddr::from(n.to_be_bytes()));
            limits.take("r", who, 1, DateTime::UNIX_EPOCH).allowed
        };
        let max = u32::try_from(MAX_CLIENTS).expect("fits");
        assert!((0..max).all(take));
        assert!(!take(0) && !take(max - 1), "all are remembered");
        assert!(take(max));
        assert!(!take(1) && !take(max), "only the oldest is forgotten");
        assert!(take(0));
    }

    #[test]
    fn one_network_of_ipv6_is_one_caller() {
        let at = |address: &str| Who::at(address.parse().expect("an address"));
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }
}
