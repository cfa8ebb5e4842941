//! What is pure and done often: `cargo bench -p functions [FILTER]`.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::{hint::black_box, net::IpAddr};

use checks::{StatusRanges, judge_of, validate};
use chrono::{DateTime, TimeDelta, Utc};
use contract::{Assertion, CheckResult, CheckStatus, Comparison, Outcome, Status, Target, Timings};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use functions::{
    notifications::state::State,
    reports::{sketch::Sketch, tally::Tally},
};
use http::HeaderMap;
use net::address::PrivateNetworks;
use pongpong::wiring::{Files, Wiring};
use runtime::input;
use serde_json::json;
use url::Url;

fn target() -> Target {
    Target { retries: 1, ..Target::of("http", "https://shop.example.com:8443/health?full=1") }
        .with("expected_status", "200-299,301,404")
        .with("headers", json!({"Accept": "application/json"}))
}

fn checks(c: &mut Criterion) {
    c.bench_function("status ranges: read", |b| {
        b.iter(|| black_box("200-299,301,404").parse::<StatusRanges>().unwrap());
    });
    let ranges: StatusRanges = "200-299,301,404".parse().unwrap();
    c.bench_function("status ranges: look up", |b| b.iter(|| ranges.contains(black_box(404))));

    let assertions = [
        ("contains", Assertion::of("body", Comparison::Contains, "\"queue\"")),
        ("matches", Assertion::of("body", Comparison::Matches, "\"length\":\\s*\\d+")),
        (
            "JSONPath",
            Assertion::of_json("$.services[?@.name == 'db'].queue.length", Comparison::LessThan, json!(100)),
        ),
    ];
    let services: Vec<_> = ["web", "cache", "db"]
        .iter()
        .map(|name| json!({"name": name, "status": "ok", "queue": {"length": 7}}))
        .collect();
    let body = json!({"status": "ok", "services": services}).to_string();
    for (name, assertion) in assertions {
        let target = Target { assertions: vec![assertion], ..target() };
        c.bench_function(&format!("target with an assertion ({name}): read"), |b| {
            b.iter(|| validate(black_box(&target)));
        });
        let judge = judge_of(&target).unwrap();
        let headers = HeaderMap::new();
        assert!(judge(&headers, body.as_bytes()));
        c.bench_function(&format!("assertion ({name}): judge a body"), |b| {
            b.iter(|| judge(&headers, black_box(body.as_bytes())));
        });
    }

    let networks: PrivateNetworks = "10.1.0.0/16,127.0.0.2/32".parse().unwrap();
    let addresses: Vec<IpAddr> = [
        "93.184.215.14",
        "10.1.2.3",
        "169.254.169.254",
        "2606:2800:21f:cb07::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
    ]
    .map(|ip| ip.parse().unwrap())
    .into();
    c.bench_function("address guard: six addresses", |b| {
        b.iter(|| addresses.iter().filter(|ip| networks.permits(**black_box(ip))).count());
    });
    let url = Url::parse("http://0x7f.1/health").unwrap();
    c.bench_function("address guard: a URL", |b| {
        b.iter(|| PrivateNetworks::Deny.check_url(black_box(&url)).is_err())
    });
}

fn result(n: i64, status: CheckStatus) -> CheckResult {
    let scheduled_at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(30_000_000 + n);
    CheckResult {
        endpoint_id: 7,
        user_id: 1,
        scheduled_at,
        checked_at: scheduled_at,
        region: "default".to_owned(),
        failure_threshold: 2,
        success_threshold: 1,
        outcome: Outcome {
            status,
            status_code: Some(200),
            error: None,
            timings_ms: Timings {
                dns: Some(3),
                connect: Some(12),
                tls: Some(25),
                first_byte: Some(80),
                transfer: Some(2),
                total: 122,
            },
            ip: Some([203, 0, 113, 7].into()),
            certificate_expires_at: Some(scheduled_at + TimeDelta::days(60)),
            response_bytes: 1234,
        },
        interval_seconds: 60,
        revision: 0,
        maintenance: false,
    }
}

fn results(c: &mut Criterion) {
    // Every tenth fails, so that states change.
    let row: Vec<_> =
        (0..60).map(|n| result(n, if n % 10 < 2 { CheckStatus::Down } else { CheckStatus::Up })).collect();
    let state = State { status: Status::Up, last_scheduled_at: DateTime::UNIX_EPOCH, ..State::unknown() };
    c.bench_function("state machine: 60 results", |b| {
        let changes = |mut state: State| row.iter().filter_map(|result| state.take(result, false)).count();
        b.iter_batched(|| state.clone(), changes, BatchSize::SmallInput);
    });

    let hours: Vec<_> = (0..24_u32)
        .map(|hour| {
            let mut sketch = Sketch::default();
            (0..60).for_each(|minute| sketch.add(80 + (hour * 31 + minute * 7) % 60));
            sketch
        })
        .collect();
    let written: Vec<_> = hours.iter().map(Sketch::to_bytes).collect();
    c.bench_function("sketches: a day of 24 hours, read and merged", |b| {
        b.iter(|| {
            let mut day = Sketch::default();
            written.iter().for_each(|bytes| day.merge(&Sketch::from_bytes(black_box(bytes)).unwrap()));
            day.quantile(0.99)
        });
    });
    c.bench_function("tally: an hour of 60 results", |b| {
        b.iter(|| {
            let mut tally = Tally::default();
            for n in 0..60 {
                tally.add(true, 80 + black_box(n) * 7 % 60, [Some(3), Some(12), Some(25), Some(40), Some(2)]);
            }
            tally
        });
    });

    let batch = serde_json::to_vec(&row).unwrap();
    c.bench_function("event data: 60 results, read and checked as text", |b| {
        b.iter(|| input::parse::<Vec<CheckResult>>(black_box(&batch)).unwrap());
    });
}

fn wiring(c: &mut Criterion) {
    let files = Files::default();
    c.bench_function("wiring: kong.yml, triggers and schedule, read", |b| {
        b.iter(|| Wiring::read(black_box(&files), functions::ALL, "token").unwrap());
    });
}

criterion_group!(pure, checks, results, wiring);
criterion_main!(pure);
