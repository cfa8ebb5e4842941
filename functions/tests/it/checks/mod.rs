//! Tests of functions/checks: the functions around the prober (which has separate tests).

use std::{
    collections::BTreeSet, sync::Arc, sync::atomic::AtomicU16, sync::atomic::Ordering, time::Duration,
};

use axum::{Router, routing::get};
use contract::{CheckRequest, CheckResult, CheckStatus, FailureCode, Target, kind};
use functions::checks::run;
use serde_json::json;

use crate::world::{Database, Sent, World, on_both};

/// A target that answers with the status that a test sets.
pub struct Site {
    pub url: String,
    pub status: Arc<AtomicU16>,
}

impl Site {
    pub async fn start() -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let answer = Arc::clone(&status);
        let app = Router::new().route("/slow", get(std::future::pending::<()>)).fallback(async move || {
            (http::StatusCode::from_u16(answer.load(Ordering::SeqCst)).unwrap(), "hello")
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, status }
    }
}

fn request(world: &World, endpoint_id: i64, url: &str, in_seconds: i64) -> CheckRequest {
    CheckRequest {
        endpoint_id,
        user_id: 1,
        scheduled_at: world.clock().now() + chrono::TimeDelta::seconds(in_seconds),
        failure_threshold: 1,
        success_threshold: 1,
        interval_seconds: 60,
        revision: 0,
        maintenance: false,
        target: Target { timeout_ms: 300, ..Target::of("http", url) }.with("expected_status", "200-299"),
    }
}

#[tokio::test]
async fn a_batch_is_probed_and_replied() {
    let world = World::new(Database::Sqlite).await;
    let site = Site::start().await;
    let mut batch = [
        request(&world, 1, &site.url, 0),
        request(&world, 2, "http://127.0.0.1:1/", 0),
        request(&world, 3, &format!("{}/slow", site.url), 0),
    ];
    batch[1].maintenance = true;
    let answer = world.event("check-run", kind::CHECK_REQUESTED, "batch-1", &batch).await;
    let reply = answer.reply().expect("a reply");
    assert_eq!(reply.kind(), kind::CHECK_COMPLETED);
    assert_eq!(
        (&reply.headers["ce-id"], &reply.headers["ce-source"]),
        (&"batch-1/0".parse().unwrap(), &"/pongpong/check-run".parse().unwrap())
    );
    let mut results: Vec<CheckResult> = reply.data();
    results.sort_by_key(|result| result.endpoint_id);
    let told: Vec<_> =
        results.iter().map(|r| (r.outcome.status, r.outcome.error.as_ref().map(|e| e.code))).collect();
    assert_eq!(
        told,
        [
            (CheckStatus::Up, None),
            (CheckStatus::Down, Some(FailureCode::ConnectRefused)),
            (CheckStatus::Down, Some(FailureCode::Timeout)),
        ]
    );
    assert_eq!(results[0].outcome.status_code, Some(200));
    assert_eq!(results.iter().map(|r| r.maintenance).collect::<Vec<_>>(), [false, true, false]);
    assert!(results.iter().all(|r| r.user_id == 1 && r.scheduled_at == world.clock().now()));
}

#[tokio::test]
async fn a_check_waits_for_its_scheduled_time_and_the_others_do_not_wait_for_it() {
    let world = Arc::new(World::new(Database::Sqlite).await);
    let site = Site::start().await;
    let batch = [request(&world, 1, &site.url, 0), request(&world, 2, &site.url, 4)];
    let running = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.event("check-run", kind::CHECK_REQUESTED, "b", &batch).await }
    });
    // The first result is published while the second check still waits.
    let first = loop {
        if let Some(event) = world.events.lock().unwrap().pop_front() {
            break event;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(first.data::<Vec<CheckResult>>()[0].endpoint_id, 1);
    assert!(!running.is_finished());
    world.clock().advance(Duration::from_secs(4));
    let reply = running.await.unwrap().reply().expect("a reply");
    let rest: Vec<CheckResult> = reply.data();
    assert_eq!((rest.len(), rest[0].endpoint_id, rest[0].checked_at), (1, 2, world.clock().now()));
}

#[tokio::test]
async fn a_batch_that_waits_for_its_scheduled_times_is_given_back_when_the_process_stops() {
    let world = Arc::new(World::new(Database::Sqlite).await);
    let batch = [request(&world, 1, "http://127.0.0.1:1/", 60)];
    let running = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.event("check-run", kind::CHECK_REQUESTED, "b", &batch).await }
    });
    world.context.stop();
    assert_eq!(running.await.unwrap().code(503), "UNAVAILABLE", "the broker sends it again");
}

#[tokio::test]
async fn an_empty_batch_and_unreadable_items_have_an_empty_answer() {
    let world = World::new(Database::Sqlite).await;
    let answer = world.event::<[CheckRequest]>("check-run", kind::CHECK_REQUESTED, "b", &[]).await;
    assert!(answer.status.is_success() && answer.body.is_empty());
    let unreadable = json!([{"endpoint_id": 1}]);
    let answer = world.event("check-run", kind::CHECK_REQUESTED, "b", &unreadable).await;
    assert!(answer.status.is_success() && answer.body.is_empty());
    world.event("check-run", kind::CHECK_REQUESTED, "b", "x").await.code(400);
}

on_both! {
    async fn a_tick_asks_for_what_is_due_once(world: World) {
        for n in 0..30 {
            let body = json!({"url": format!("https://h{n}.example.com"), "interval_seconds": 60});
            world.call(Some(1 + n % 3), "POST", "/public/v1/endpoints", Some(body)).await.json(201);
        }
        world.events.lock().unwrap().clear();
        world.clock().advance(Duration::from_secs(60));
        let tick = async || world.request("check-schedule", None, "POST", "/", None).await.json(200);
        assert_eq!(tick().await["status"], "ok");
        assert_eq!(tick().await["checks"], 0, "a second tick finds nothing left");
        let events: Vec<_> = world.events.lock().unwrap().drain(..).collect();
        let mut asked: Vec<_> = events.iter().flat_map(|e| e.data::<Vec<CheckRequest>>()).map(|r| r.endpoint_id).collect();
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked.len(), 30);
        for event in &events {
            let times: Vec<_> = event.data::<Vec<CheckRequest>>().iter().map(|r| r.scheduled_at.timestamp()).collect();
            assert!(times.iter().max().unwrap() - times.iter().min().unwrap() < 5, "{times:?}");
            let owners: BTreeSet<_> = event.data::<Vec<CheckRequest>>().iter().map(|r| r.user_id.to_string()).collect();
            let owners: Vec<_> = owners.into_iter().collect();
            assert_eq!(event.headers["ce-owners"], owners.join(","), "whose places it takes");
        }
    }

    async fn a_person_can_check_now(world: World) {
        let site = Site::start().await;
        let check = async |user, body| world.call(Some(user), "POST", "/public/v1/checks", Some(body)).await;
        let up = check(1, json!({"url": site.url})).await.json(200);
        assert_eq!((&up["status"], &up["status_code"]), (&json!("up"), &json!(200)));
        assert!(up["timings_ms"]["total"].is_u64());

        site.status.store(503, Ordering::SeqCst);
        let body = json!({"url": site.url, "retries": 0});
        let id = world.call(Some(1), "POST", "/public/v1/endpoints", Some(body)).await.json(201)["id"].clone();
        let down = check(1, json!({"endpoint_id": id})).await.json(200);
        assert_eq!((&down["status"], &down["error"]["code"]), (&json!("down"), &json!("STATUS_MISMATCH")));
        assert_eq!(check(2, json!({"endpoint_id": id})).await.code(404), "NOT_FOUND");

        // A draft of an endpoint is checked with all settings that it would be saved with.
        let draft = json!({
            "name": "Draft", "url": site.url, "config": {"expected_status": "503"}, "interval_seconds": 300, "retries": 0,
            "tags": ["a"], "assertions": [{"fact": "body", "comparison": "contains", "value": "hello"}],
        });
        assert_eq!(check(1, draft.clone()).await.json(200)["status"], "up");
        let mut failing = draft.clone();
        failing["assertions"][0]["value"] = json!("goodbye");
        assert_eq!(check(1, failing).await.json(200)["error"]["code"], "ASSERTION_FAILED");
        for (field, wrong) in [("interval_seconds", json!(1)), ("colour", json!("red")), ("timeout_ms", json!("x"))] {
            let mut body = draft.clone();
            body[field] = wrong;
            assert!(check(1, body).await.json(400)["fields"][field].is_string(), "{field}");
        }

        check(1, json!({})).await.code(400);
        assert!(check(1, json!({"name": "x"})).await.json(400)["fields"]["url"].is_string());
        check(1, json!({"url": "ftp://x"})).await.code(400);
        // A change is checked before it is saved.
        let tried = json!({"endpoint_id": id, "url": format!("{}/tried", site.url), "config": {"expected_status": "503"}});
        assert_eq!(check(1, tried.clone()).await.json(200)["status"], "up");
        check(2, tried).await.code(404);
        check(1, json!({"endpoint_id": -1})).await.code(400);
        world.call(None, "POST", "/public/v1/checks", Some(json!({"url": site.url}))).await.code(401);
    }
}

async fn demo(world: &World, body: serde_json::Value) -> crate::world::Answer {
    world.call(None, "POST", "/public/v1/demo_checks", Some(body)).await
}

#[tokio::test]
async fn a_stranger_may_check_what_is_public_alone() {
    // Independent of CHECK_PRIVATE_NETWORKS, which is `allow` in this world.
    let world = World::new(Database::Sqlite).await;
    let site = Site::start().await;
    for url in [
        site.url.as_str(),
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest",
        "http://localhost/",
    ] {
        let answer = demo(&world, json!({"url": url})).await.json(400);
        let what = answer["fields"]["url"].as_str().unwrap_or_default();
        assert!(what.contains("private addresses are not allowed here"), "{answer}");
    }
    assert!(demo(&world, json!({"url": "ftp://x"})).await.json(400)["fields"]["url"].is_string());
    let more = demo(&world, json!({"url": "http://10.0.0.1/", "retries": 5})).await;
    assert!(more.json(400)["fields"]["retries"].is_string());
    demo(&world, json!({})).await.code(400);
}

#[tokio::test]
async fn demo_checks_can_be_switched_off() {
    let world = World::with(Database::Sqlite, [("DEMO_CHECKS", "off")]).await;
    assert_eq!(demo(&world, json!({"url": "http://10.0.0.1/"})).await.code(404), "NOT_FOUND");
}

#[tokio::test]
async fn a_check_whose_next_one_is_due_is_not_made() {
    let world = World::new(Database::Sqlite).await;
    let site = Site::start().await;
    let batch = [
        request(&world, 1, &site.url, -60),
        request(&world, 2, &site.url, -59),
        CheckRequest { interval_seconds: 10, ..request(&world, 3, &site.url, -10) },
    ];
    let reply =
        world.event("check-run", kind::CHECK_REQUESTED, "late", &batch).await.reply().expect("a reply");
    let mut results: Vec<CheckResult> = reply.data();
    results.sort_by_key(|result| result.endpoint_id);
    let told: Vec<_> =
        results.iter().map(|r| (r.outcome.status, r.outcome.error.as_ref().map(|e| e.code))).collect();
    let late = (CheckStatus::Unknown, Some(FailureCode::RequestedTooLate));
    assert_eq!(told, [late, (CheckStatus::Up, None), late]);
}

/// Unknown fields are passed on too, because the endpoints' version may be newer.
#[tokio::test]
async fn the_schedule_passes_requests_on_as_they_are() {
    let world = World::new(Database::Sqlite).await;
    let scheduled_at = world.clock().now().timestamp();
    let claimed = |id: i64| {
        let mut request = serde_json::to_value(request(&world, id, "http://site.test/", 0)).unwrap();
        request["target"]["assertions"] =
            json!([{"fact": "of the future", "comparison": "equals", "new": 1e3}]);
        request["quorum"] = json!(2);
        json!({
            "endpoint_id": id, "user_id": 1, "kind": "http", "revision": 3, "times": [scheduled_at, scheduled_at + 60], "missed": 0,
            "claimed_from": 0, "next_check_at": 60, "maintenance": [scheduled_at + 60], "request": request,
        })
    };
    let mut poisoned = claimed(2);
    poisoned["request"] = json!("nothing that can be read");
    let pages = std::sync::Mutex::new(vec![
        json!({"items": []}),
        json!({"items": [claimed(1), poisoned, {"endpoint_id": 4}, claimed(3)]}),
    ]);
    world.stand_in("endpoint-private-claim", move |path| match path {
        "/private/v1/endpoints/claim" => (200, pages.lock().unwrap().pop().unwrap()),
        _ => (204, serde_json::Value::Null),
    });
    world.tick("check-schedule").await;
    let events: Vec<_> = world.events.lock().unwrap().drain(..).collect();
    let asked: Vec<_> = events.iter().flat_map(|event| event.data::<Vec<serde_json::Value>>()).collect();
    let told = asked.iter().map(|request| {
        let at: chrono::DateTime<chrono::Utc> = request["scheduled_at"].as_str().unwrap().parse().unwrap();
        let is_held = request["maintenance"] == true;
        (request["endpoint_id"].as_i64().unwrap(), at.timestamp() - scheduled_at, is_held)
    });
    assert_eq!(told.collect::<Vec<_>>(), [(1, 0, false), (3, 0, false), (1, 60, true), (3, 60, true)]);
    assert_eq!((&asked[0]["quorum"], &asked[0]["target"]["assertions"][0]["new"]), (&json!(2), &json!(1e3)));
}

/// The scheduled times requested since the last call, in order.
fn asked(world: &World) -> Vec<i64> {
    let events: Vec<_> = world.events.lock().unwrap().drain(..).collect();
    let requests = events.iter().filter(|event| event.kind() == kind::CHECK_REQUESTED);
    let is_delivered_once = |event: &&Sent| {
        let attribute = |name: &str| event.headers.get(format!("ce-{name}")).and_then(|v| v.to_str().ok());
        let wanting = run::FUNCTION.subscriptions.iter().filter(|subscription| subscription.wants(attribute));
        assert_eq!(wanting.count(), 1, "{:?}", event.headers);
    };
    let mut times: Vec<_> = requests
        .inspect(is_delivered_once)
        .flat_map(|event| event.data::<Vec<CheckRequest>>())
        .map(|request| request.scheduled_at.timestamp())
        .collect();
    times.sort_unstable();
    times
}

on_both! {
    async fn large_endpoints_that_are_changed_all_the_time_begin_with_the_schedule(world: World) {
        let headers: serde_json::Map<_, _> =
            (0..20).map(|n| (format!("X-{n}"), json!("x".repeat(8_000)))).collect();
        let config = json!({"method": "POST", "body": "x".repeat(60_000), "headers": headers});
        let body = json!({"url": "https://example.com", "interval_seconds": 10, "config": config});
        let made = world.call(Some(1), "POST", "/public/v1/endpoints", Some(body)).await.json(201);
        let own = format!("/public/v1/endpoints/{}", made["id"]);
        for n in 0..29 {
            let change = json!({"timeout_ms": 5000 + n});
            world.call(Some(1), "PATCH", &own, Some(change)).await.json(200);
        }
        let events: Vec<_> = world.events.lock().unwrap().drain(..).collect();
        let asked = events.iter().filter(|event| event.kind() == kind::CHECK_REQUESTED);
        let sizes: Vec<_> =
            asked.map(|event| serde_json::to_vec(&event.data::<serde_json::Value>()).unwrap().len()).collect();
        assert!(!sizes.is_empty() && sizes.iter().sum::<usize>() < 16 << 20, "{sizes:?}");
    }

    async fn checks_begin_at_once_and_go_on_at_their_interval(world: World) {
        let path = "/public/v1/endpoints";
        for (second, interval) in [(0, 10), (3, 10), (59, 10), (20, 60), (58, 300)] {
            let minute = world.clock().now().timestamp() / 60 * 60 + 120;
            world.clock().set(chrono::DateTime::from_timestamp(minute + second, 0).unwrap());
            let body = json!({"url": "https://example.com", "interval_seconds": interval});
            let made = world.call(Some(1), "POST", path, Some(body)).await.json(201);
            let mut times = asked(&world);
            assert_eq!(times[0], minute + second, "at once");
            world.clock().set(chrono::DateTime::from_timestamp(minute + 60, 0).unwrap());
            world.tick("check-schedule").await;
            times.extend(asked(&world));
            let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(gaps.first().is_none_or(|gap| (1..=interval).contains(gap)), "{gaps:?}");
            assert!(gaps.iter().skip(1).all(|gap| *gap == interval), "{gaps:?}");
            assert!(*times.last().unwrap() >= (minute + 125 - interval).min(minute + second), "{times:?}");
            let own = format!("{path}/{}", made["id"]);
            // A change that does not affect checks.
            world.call(Some(1), "PATCH", &own, Some(json!({"name": "Shop"}))).await.json(200);
            assert_eq!(asked(&world), [0; 0]);
            for edit in [json!({"url": "https://example.com/2"}), json!({"enabled": false}), json!({"enabled": true})] {
                world.call(Some(1), "PATCH", &own, Some(edit.clone())).await.json(200);
                // A second later if the old settings' check is due now.
                let now = world.clock().now().timestamp();
                let first = asked(&world).first().copied();
                assert_eq!(first.is_some(), edit["enabled"] != false, "{edit}");
                assert!(first.is_none_or(|first| (now..=now + 1).contains(&first)), "{edit}: {first:?}");
            }
            world.call(Some(1), "DELETE", &own, None).await.json(204);
            asked(&world);
        }
    }

    async fn whoever_changes_much_begins_with_the_schedule(world: World) {
        let path = "/public/v1/endpoints";
        let minute = world.clock().now().timestamp() / 60 * 60 + 120;
        world.clock().set(chrono::DateTime::from_timestamp(minute + 5, 0).unwrap());
        world.tick("check-schedule").await;
        let body = json!({"url": "https://example.com", "interval_seconds": 10});
        let made = world.call(Some(1), "POST", path, Some(body.clone())).await.json(201);
        let own = format!("{path}/{}", made["id"]);
        assert!((6..=7).contains(&asked(&world).len()));
        // One at once, and one event for all that follow.
        let change = async |n: i64| {
            let edit = json!({"url": format!("https://example.com/{n}")});
            world.call(Some(1), "PATCH", &own, Some(edit)).await.json(200);
            world.events.lock().unwrap().iter().filter(|event| event.kind() == kind::CHECK_REQUESTED).count()
        };
        assert_eq!(change(1).await, 2);
        for n in 2..=30 {
            assert_eq!(change(n).await, n as usize * 2);
        }
        assert_eq!([change(31).await, change(32).await], [60, 60]);
        asked(&world);
        world.call(Some(2), "POST", path, Some(body)).await.json(201);
        assert!((6..=7).contains(&asked(&world).len()), "another user's begins at once");
        // The schedule continues with it in time.
        world.clock().set(chrono::DateTime::from_timestamp(minute + 60, 0).unwrap());
        world.tick("check-schedule").await;
        let times = asked(&world);
        assert!(times.iter().all(|scheduled_at| *scheduled_at >= minute + 65), "{times:?}");
        assert!(times.len() >= 10, "of both: {times:?}");
        let state = world.call(Some(1), "GET", &own, None).await.json(200);
        assert_eq!(state["missed_checks"], 0, "{state}");
    }

    async fn a_failed_check_is_confirmed_within_seconds(world: World) {
        let body = json!({"url": "https://example.com", "interval_seconds": 60, "failure_threshold": 3});
        let made = world.call(Some(1), "POST", "/public/v1/endpoints", Some(body)).await.json(201);
        asked(&world);
        let start = world.clock().now();
        let result = |second: i64, up: bool, revision: i64| CheckResult {
            scheduled_at: start + chrono::TimeDelta::seconds(second),
            failure_threshold: 3,
            interval_seconds: 60,
            revision,
            ..crate::notifications::result(made["id"].as_i64().unwrap(), 1, 0, up)
        };
        let confirmed = async |results: &[CheckResult]| {
            world.clock().set(results[0].scheduled_at);
            let id = format!("check-{}", results[0].scheduled_at.timestamp());
            let changed = world.event("notification-evaluate", kind::CHECK_COMPLETED, &id, results).await;
            let failed: Vec<_> = world.events.lock().unwrap().drain(..).collect();
            for event in failed.iter().filter(|event| event.kind() == kind::CHECK_FAILED) {
                for _ in 0..2 {
                    assert!(world.deliver("endpoint-confirm", event).await.status.is_success());
                }
            }
            let mut times: Vec<_> = asked(&world).into_iter().map(|scheduled_at| scheduled_at - start.timestamp()).collect();
            times.dedup();
            (times, changed.reply().is_some())
        };
        assert_eq!(confirmed(&[result(0, true, 1)]).await, (vec![], true));
        assert_eq!(confirmed(&[result(60, false, 1)]).await, (vec![70], false));
        assert_eq!(confirmed(&[result(70, false, 1)]).await, (vec![], false), "the first alone");
        assert_eq!(confirmed(&[result(120, false, 1)]).await, (vec![], true), "down");
        assert_eq!(confirmed(&[result(130, false, 1)]).await, (vec![], false));
        assert_eq!(confirmed(&[result(140, true, 1)]).await, (vec![], true));
        assert_eq!(confirmed(&[result(200, false, 9)]).await.0, [0; 0], "of settings that are not the endpoint's");
    }
}
