//! Three months of history, for pages that look realistic.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// The behaviour of an endpoint.
pub struct Kind {
    pub name: &'static str,
    pub tags: &'static [&'static str],
    /// Typical duration of its answers.
    pub ms: f64,
    /// Failed checks per thousand on a bad day.
    pub bad: u32,
}

pub const KINDS: [Kind; 9] = [
    Kind { name: "Shop", tags: &["shop", "public"], ms: 182.0, bad: 0 },
    Kind { name: "Checkout API", tags: &["shop", "api"], ms: 96.0, bad: 350 },
    Kind { name: "Search", tags: &["shop", "api"], ms: 240.0, bad: 60 },
    Kind { name: "Login", tags: &["api", "public"], ms: 74.0, bad: 0 },
    Kind { name: "Payments · Seoul", tags: &["api", "kr"], ms: 131.0, bad: 120 },
    Kind { name: "Image CDN", tags: &["public"], ms: 28.0, bad: 0 },
    Kind { name: "Blog", tags: &["public"], ms: 410.0, bad: 40 },
    Kind { name: "상품 리뷰", tags: &["shop", "kr"], ms: 158.0, bad: 0 },
    Kind { name: "Admin console", tags: &["internal"], ms: 320.0, bad: 900 },
];

/// Deterministic noise: pictures change only when pages do.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
}

/// The results of one endpoint until now: every hour for 90 days, every two minutes on the last day.
pub fn results(endpoint_id: i64, user_id: i64, kind: &Kind, now: DateTime<Utc>) -> Vec<Value> {
    let mut noise = Noise(endpoint_id.unsigned_abs() * 7919);
    let hourly = (25..90 * 24).rev().map(|hour| TimeDelta::hours(hour));
    let recent = (1..25 * 30).rev().map(|n| TimeDelta::minutes(2 * n));
    let mut results = Vec::new();
    let bad_day = 4 + endpoint_id * 3 % 31;
    for ago in hourly.chain(recent) {
        let at = now - ago;
        let day = ago.num_days();
        let is_bad = kind.bad > 0 && (day == bad_day || day == bad_day + 29);
        let fails = is_bad && noise.next() * 1000.0 < f64::from(kind.bad);
        let of_day = f64::from(chrono::Timelike::hour(&at)) / 24.0 * std::f64::consts::TAU;
        let busy = 1.0 + 0.25 * (of_day - 2.0).sin();
        let slow = if noise.next() > 0.985 { 2.6 } else { 1.0 };
        let mut part = |share: f64| (kind.ms * share * busy * slow * (0.8 + 0.4 * noise.next())) as u32;
        let (dns, connect, tls) = (part(0.06), part(0.12), part(0.22));
        let (first_byte, transfer) = (part(0.48), part(0.12));
        let total = dns + connect + tls + first_byte + transfer;
        let outcome = if fails {
            let error = json!({"code": "STATUS_MISMATCH", "message": "Expected status 200-399, got 503"});
            json!({"status": "down", "status_code": 503, "error": error, "response_bytes": 162,
                "timings_ms": {"dns": dns, "connect": connect, "tls": tls, "first_byte": first_byte, "transfer": 1,
                    "total": dns + connect + tls + first_byte + 1}})
        } else {
            json!({"status": "up", "status_code": 200, "ip": "203.0.113.7", "response_bytes": 18_432,
                "certificate_expires_at": now + TimeDelta::days(58),
                "timings_ms": {"dns": dns, "connect": connect, "tls": tls, "first_byte": first_byte, "transfer": transfer,
                    "total": total}})
        };
        results.push(json!({
            "endpoint_id": endpoint_id, "user_id": user_id, "scheduled_at": at, "checked_at": at,
            "region": "local", "failure_threshold": 2, "success_threshold": 1, "outcome": outcome,
        }));
    }
    results
}
