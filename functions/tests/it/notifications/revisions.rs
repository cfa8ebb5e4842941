//! Changed settings apply at once, also to checks that were requested before.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{CheckResult, CheckStatus, EndpointChanged, Failure, FailureCode, Status, StatusChange, kind};
use serde_json::{Value, json};

use super::{at, result};
use crate::{
    listener::Listener,
    world::{Answer, Database, World, on_both},
};

fn of_revision(revision: i64, result: CheckResult) -> CheckResult {
    CheckResult { revision, ..result }
}

async fn evaluate(world: &World, id: &str, results: &[CheckResult]) -> Vec<(i64, Status)> {
    told(&world.event("notification-evaluate", kind::CHECK_COMPLETED, id, results).await)
}

fn told(answer: &Answer) -> Vec<(i64, Status)> {
    assert!(answer.status.is_success(), "{answer:?}");
    let changes: Vec<StatusChange> = answer.reply().map(|event| event.data()).unwrap_or_default();
    changes.iter().map(|c| ((c.changed_at - at(0)).num_minutes(), c.to)).collect()
}

async fn changed(world: &World, id: &str, revision: i64, enabled: bool) -> Vec<(i64, Status)> {
    let change = EndpointChanged {
        endpoint_id: 1,
        user_id: 7,
        revision,
        settings_revision: revision,
        enabled,
        changed_at: at(9),
        maintenance: None,
    };
    told(&world.event("notification-evaluate", kind::ENDPOINT_CHANGED, id, &[change]).await)
}

async fn add(world: &World, body: Value) -> i64 {
    let made = world.call(Some(1), "POST", "/public/v1/endpoints", Some(body)).await.json(201);
    world.events.lock().unwrap().clear();
    made["id"].as_i64().unwrap()
}

async fn patch(world: &World, id: i64, body: Value) -> Value {
    let path = format!("/public/v1/endpoints/{id}");
    let changed = world.call(Some(1), "PATCH", &path, Some(body)).await.json(200);
    // No checks are made here.
    world.events.lock().unwrap().retain(|event| event.kind() != kind::CHECK_REQUESTED);
    changed
}

async fn endpoint(world: &World, id: i64) -> Value {
    world.call(Some(1), "GET", &format!("/public/v1/endpoints/{id}"), None).await.json(200)
}

async fn incidents(world: &World) -> Vec<Value> {
    let answer = world.call(Some(1), "GET", "/public/v1/incidents", None).await.json(200);
    answer["items"].as_array().unwrap().clone()
}

/// Publishes a current result to all subscribers, and everything that follows.
async fn check(
    world: &World,
    endpoint_id: i64,
    revision: i64,
    status: CheckStatus,
    code: Option<FailureCode>,
) {
    // The tests with codes use an endpoint with the default threshold.
    let failure_threshold = if code.is_some() { 2 } else { 1 };
    world.clock().advance(Duration::from_secs(60));
    let now = world.clock().now();
    let mut result = of_revision(revision, result(endpoint_id, 1, 0, status == CheckStatus::Up));
    (result.scheduled_at, result.checked_at, result.outcome.status) = (now, now, status);
    result.failure_threshold = failure_threshold;
    if let Some(code) = code {
        result.outcome.error = Some(Failure { code, message: "No answer".into() });
    }
    tell(world, &[result]).await;
}

async fn tell(world: &World, results: &[CheckResult]) {
    for function in ["report-record", "endpoint-observe", "notification-evaluate"] {
        let id = format!("c/{}/{}", results[0].endpoint_id, results[0].scheduled_at);
        let answer = world.event(function, kind::CHECK_COMPLETED, &id, results).await;
        assert!(answer.status.is_success(), "{function}: {answer:?}");
        world.events.lock().unwrap().extend(answer.reply());
    }
    world.settle().await;
}

on_both! {
    async fn results_of_older_settings_count_for_nothing(world: World) {
        assert_eq!(evaluate(&world, "a", &[of_revision(2, result(1, 7, 0, true))]).await, [(0, Status::Up)]);
        let old = [of_revision(1, result(1, 7, 1, false)), of_revision(1, result(1, 7, 2, false))];
        assert_eq!(evaluate(&world, "b", &old).await, []);
        // One failure before a change and one after it are not two in a row.
        assert_eq!(evaluate(&world, "c", &[of_revision(2, result(1, 7, 3, false))]).await, []);
        assert_eq!(changed(&world, "d", 3, true).await, []);
        assert_eq!(evaluate(&world, "e", &[of_revision(2, result(1, 7, 4, false))]).await, []);
        assert_eq!(evaluate(&world, "f", &[of_revision(3, result(1, 7, 5, false))]).await, []);
        assert_eq!(evaluate(&world, "g", &[of_revision(3, result(1, 7, 6, false))]).await, [(6, Status::Down)]);
        // An endpoint stays down until a check with the new settings says otherwise; there was no event about
        // these settings.
        assert_eq!(evaluate(&world, "h", &[of_revision(4, result(1, 7, 7, false))]).await, []);
        assert_eq!(evaluate(&world, "i", &[of_revision(4, result(1, 7, 8, true))]).await, [(8, Status::Up)]);
    }

    async fn a_scheduled_time_is_never_checked_with_two_settings(world: World) {
        for _ in 0..30 {
            let id = world
                .call(Some(1), "POST", "/public/v1/endpoints", Some(json!({"url": "https://a.test", "interval_seconds": 10})))
                .await
                .json(201)["id"].as_i64().unwrap();
            world.clock().advance(std::time::Duration::from_secs(3));
            world.call(Some(1), "PATCH", &format!("/public/v1/endpoints/{id}"), Some(json!({"config": {"expected_status": "418"}}))).await.json(200);
        }
        let events = std::mem::take(&mut *world.events.lock().unwrap());
        let asked = events.iter().filter(|event| event.kind() == kind::CHECK_REQUESTED);
        let mut minutes: Vec<_> = asked
            .flat_map(|event| event.data::<Vec<contract::CheckRequest>>())
            .map(|request| (request.endpoint_id, request.scheduled_at))
            .collect();
        let count = minutes.len();
        minutes.sort_unstable();
        minutes.dedup();
        assert_eq!(minutes.len(), count, "the later result would be taken for the first, told again");
    }

    async fn a_pause_in_any_order_and_number_ends_the_outage_once(world: World) {
        let down = [of_revision(2, result(1, 7, 1, false)), of_revision(2, result(1, 7, 2, false))];
        assert_eq!(evaluate(&world, "a", &down).await, [(2, Status::Down)]);
        for _ in 0..2 {
            // A redelivery gets the same reply.
            assert_eq!(changed(&world, "pause", 3, false).await, [(9, Status::Paused)]);
        }
        assert_eq!(changed(&world, "late", 2, true).await, []);
        assert_eq!(evaluate(&world, "b", &[of_revision(2, result(1, 7, 3, false))]).await, []);
        // Resumed: the first result counts, whatever its scheduled time is.
        assert_eq!(evaluate(&world, "c", &[of_revision(4, result(1, 7, 2, true))]).await, [(2, Status::Up)]);
        assert_eq!(changed(&world, "late pause", 3, false).await, []);
        assert_eq!(changed(&world, "resume", 4, true).await, []);
    }

    async fn pausing_ends_the_incident_and_tells_nobody(world: World) {
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        let id = add(&world, json!({"url": "http://shop.test/", "failure_threshold": 1})).await;
        check(&world, id, 1, CheckStatus::Down, None).await;
        assert_eq!(hook.asked().len(), 1);
        assert_eq!(endpoint(&world, id).await["status"], "down");
        world.clock().advance(Duration::from_secs(1));
        assert_eq!(patch(&world, id, json!({"enabled": false})).await["revision"], 2);
        world.settle().await;
        let paused = endpoint(&world, id).await;
        assert_eq!((&paused["status"], &paused["status_reason"]), (&json!("paused"), &json!("Paused: it is not checked.")));
        let ended = incidents(&world).await;
        assert_eq!((&ended[0]["ended_at"], &ended[0]["end_reason"]), (&json!("2026-03-01T12:01:01Z"), &json!("paused")));
        // Results of checks that were requested before.
        check(&world, id, 1, CheckStatus::Down, None).await;
        check(&world, id, 1, CheckStatus::Down, None).await;
        assert_eq!((incidents(&world).await.len(), hook.asked().len()), (1, 0));

        patch(&world, id, json!({"enabled": true})).await;
        world.settle().await;
        assert_eq!(endpoint(&world, id).await["status"], "pending");
        check(&world, id, 3, CheckStatus::Up, None).await;
        assert_eq!(endpoint(&world, id).await["status"], "up");
        assert_eq!(hook.asked().len(), 0, "not back: it was paused");
        check(&world, id, 3, CheckStatus::Down, None).await;
        assert_eq!((incidents(&world).await.len(), hook.asked().len()), (2, 1));
    }

    async fn reports_count_no_check_with_settings_that_were_replaced(world: World) {
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        let paused = add(&world, json!({"url": "http://paused.test/", "failure_threshold": 1})).await;
        let moved = add(&world, json!({"url": "http://old.test/", "failure_threshold": 1})).await;
        // The first result of this one comes after the change.
        let corrected = add(&world, json!({"url": "http://typo.test/", "failure_threshold": 1})).await;
        for id in [paused, moved] {
            check(&world, id, 1, CheckStatus::Up, None).await;
        }
        patch(&world, paused, json!({"enabled": false})).await;
        patch(&world, moved, json!({"url": "http://new.test/"})).await;
        patch(&world, corrected, json!({"url": "http://right.test/"})).await;
        world.settle().await;
        let summary = async |id: i64| {
            // The summary covers the time before now.
            world.clock().advance(Duration::from_secs(1));
            let path = format!("/public/v1/summaries/{id}");
            let summary = world.call(Some(1), "GET", &path, None).await.json(200);
            (summary["checks"].as_i64().unwrap(), summary["uptime_percent"].clone())
        };
        for id in [paused, moved, corrected, paused, moved] {
            check(&world, id, 1, CheckStatus::Down, None).await;
        }
        assert_eq!(summary(paused).await, (1, json!(100.0)));
        assert_eq!(summary(moved).await, (1, json!(100.0)));
        assert_eq!(summary(corrected).await, (0, Value::Null));
        for id in [moved, corrected] {
            check(&world, id, 2, CheckStatus::Up, None).await;
        }
        assert_eq!((summary(moved).await.0, summary(corrected).await.0), (2, 1));
        // A late result of a check made before the change is history; an old event changes nothing.
        let mut late = of_revision(1, result(moved, 1, 0, true));
        (late.scheduled_at, late.checked_at) = (at(0), at(0));
        tell(&world, &[late]).await;
        assert_eq!(summary(moved).await.0, 3);
        let before = EndpointChanged {
            endpoint_id: moved, user_id: 1, revision: 1, settings_revision: 1, enabled: true, changed_at: at(0), maintenance: None,
        };
        assert!(world.event("report-record", kind::ENDPOINT_CHANGED, "late", &[before]).await.status.is_success());
        check(&world, moved, 2, CheckStatus::Up, None).await;
        assert_eq!(summary(moved).await.0, 4);
    }

    async fn a_down_alert_that_waits_is_not_sent_after_a_pause(world: World) {
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        let id = add(&world, json!({"url": "http://shop.test/", "failure_threshold": 1})).await;
        let down = CheckResult { failure_threshold: 1, ..of_revision(1, result(id, 1, 0, false)) };
        let change = world.event("notification-evaluate", kind::CHECK_COMPLETED, "a", &[down]).await.reply().unwrap();
        world.deliver("notification-dispatch", &change).await.json(202);
        let waiting = world.events.lock().unwrap().pop_front().unwrap();
        assert_eq!(waiting.kind(), kind::NOTIFICATION_REQUESTED);
        patch(&world, id, json!({"enabled": false})).await;
        world.settle().await;
        assert!(world.deliver("webhook-send", &waiting).await.status.is_success());
        assert_eq!(hook.asked().len(), 0);
        // Nor is a change that is dispatched late.
        world.deliver("notification-dispatch", &change).await.json(202);
        world.settle().await;
        assert_eq!(hook.asked().len(), 0);
    }

    async fn an_alert_names_no_url_that_was_not_checked(world: World) {
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        let id = add(&world, json!({"url": "http://old.test/", "failure_threshold": 1})).await;
        let down = CheckResult { failure_threshold: 1, ..of_revision(1, result(id, 1, 0, false)) };
        let change = world.event("notification-evaluate", kind::CHECK_COMPLETED, "a", &[down]).await.reply().unwrap();
        patch(&world, id, json!({"url": "http://new.test/"})).await;
        world.deliver("notification-dispatch", &change).await.json(202);
        world.settle().await;
        assert_eq!(hook.asked()[0].json()["data"]["url"], "");
    }

    async fn a_change_that_was_not_published_is_published_by_the_schedule(world: World) {
        let id = add(&world, json!({"url": "http://shop.test/", "failure_threshold": 1})).await;
        check(&world, id, 1, CheckStatus::Down, None).await;
        *world.broker_takes.lock().unwrap() = Some(0);
        patch(&world, id, json!({"enabled": false})).await;
        world.settle().await;
        assert!(incidents(&world).await[0]["ended_at"].is_null());
        let refused = world.request("endpoint-announce", None, "POST", "/", None).await;
        assert_eq!(refused.status, 503);
        *world.broker_takes.lock().unwrap() = None;
        for published in [1, 0] {
            world.request("endpoint-announce", None, "POST", "/", None).await.json(204);
            let sent = world.settle().await;
            assert_eq!(sent.iter().filter(|event| event.kind() == kind::ENDPOINT_CHANGED).count(), published);
        }
        assert_eq!(incidents(&world).await[0]["end_reason"], "paused");
    }

    async fn what_the_broker_refuses_after_a_while_is_not_lost(world: World) {
        let id = add(&world, json!({"url": "http://a.test/"})).await;
        let other = add(&world, json!({"url": "http://b.test/"})).await;
        let hangs = std::sync::Arc::clone(&world.broker_answers).write_owned().await;
        *world.broker_takes.lock().unwrap() = Some(0);
        let path = format!("/public/v1/endpoints/{other}");
        let deleting = world.call(Some(1), "DELETE", &path, None);
        let leaving = world.call(Some(2), "DELETE", "/public/v1/user", None);
        let changing = async {
            // The change is answered although the broker hangs.
            patch(&world, id, json!({"enabled": false})).await;
            drop(hangs);
        };
        let (deleted, gone, ()) = tokio::join!(deleting, leaving, changing);
        assert_eq!((deleted.status.as_u16(), gone.status.as_u16()), (503, 503));
        assert_eq!(endpoint(&world, other).await["id"], other);
        *world.broker_takes.lock().unwrap() = None;
        world.request("endpoint-announce", None, "POST", "/", None).await.json(204);
        assert!(world.settle().await.iter().any(|event| event.kind() == kind::ENDPOINT_CHANGED));
    }

    async fn a_new_title_of_a_maintenance_is_no_news_to_endpoints(world: World) {
        let id = add(&world, json!({"url": "http://a.test/"})).await;
        let now = world.clock().now();
        let plan = json!({"title": "Upgrade", "ends_at": now + chrono::TimeDelta::hours(1), "endpoint_ids": [id]});
        let path = "/public/v1/maintenances";
        let made = world.call(Some(1), "POST", path, Some(plan)).await.json(201);
        world.settle().await;
        let own = format!("{path}/{}", made["id"]);
        let later = json!({"ends_at": now + chrono::TimeDelta::hours(2)});
        for (change, published) in [(json!({"title": "New disks"}), 0), (later, 1)] {
            world.call(Some(1), "PATCH", &own, Some(change)).await.json(200);
            let sent = world.settle().await;
            assert_eq!(sent.iter().filter(|event| event.kind() == kind::ENDPOINT_CHANGED).count(), published);
        }
    }

    async fn a_maintenance_that_begins_now_holds_for_checks_under_way(world: World) {
        let (id, other) = (add(&world, json!({"url": "http://a.test/", "failure_threshold": 1})).await,
            add(&world, json!({"url": "http://b.test/", "failure_threshold": 1})).await);
        for id in [id, other] {
            check(&world, id, 1, CheckStatus::Up, None).await;
        }
        let ends_at = world.clock().now() + TimeDelta::minutes(30);
        let later = json!({"title": "Later", "starts_at": world.clock().now() + TimeDelta::minutes(10), "ends_at": ends_at});
        world.call(Some(1), "POST", "/public/v1/maintenances", Some(later)).await.json(201);
        assert_eq!(endpoint(&world, id).await["revision"], 1);
        let now = json!({"title": "Now", "ends_at": ends_at, "endpoint_ids": [id]});
        world.call(Some(1), "POST", "/public/v1/maintenances", Some(now)).await.json(201);
        world.settle().await;
        for id in [id, other] {
            check(&world, id, 1, CheckStatus::Down, None).await;
        }
        assert_eq!(endpoint(&world, id).await["status"], "up");
        assert_eq!(endpoint(&world, other).await["status"], "down");
        assert_eq!(incidents(&world).await.len(), 1);
    }

    async fn a_maintenance_drops_no_history(world: World) {
        let id = add(&world, json!({"url": "http://a.test/", "failure_threshold": 1})).await;
        check(&world, id, 1, CheckStatus::Up, None).await;
        let now = world.clock().now();
        let soon = json!({"title": "Soon", "starts_at": now + TimeDelta::minutes(30), "ends_at": now + TimeDelta::hours(1)});
        let made = world.call(Some(1), "POST", "/public/v1/maintenances", Some(soon)).await.json(201);
        let ahead = json!({"starts_at": now + TimeDelta::seconds(30)});
        world.call(Some(1), "PATCH", &format!("/public/v1/maintenances/{}", made["id"]), Some(ahead)).await.json(200);
        world.settle().await;
        assert_eq!(endpoint(&world, id).await["revision"], 2);
        // A late result from before the change, and one that was requested before it and scheduled after it.
        for seconds in [-20, 10] {
            let mut result = of_revision(1, result(id, 1, 0, true));
            result.scheduled_at = now + TimeDelta::seconds(seconds);
            result.checked_at = result.scheduled_at;
            tell(&world, &[result]).await;
        }
        world.clock().advance(Duration::from_secs(20));
        let summary = world.call(Some(1), "GET", &format!("/public/v1/summaries/{id}"), None).await.json(200);
        assert_eq!(summary["checks"], 3, "{summary}");
    }

    async fn a_clock_that_steps_forward_and_back_hides_no_result(world: World) {
        let id = add(&world, json!({"url": "http://shop.test/", "failure_threshold": 1})).await;
        check(&world, id, 1, CheckStatus::Up, None).await;
        let real: DateTime<Utc> = world.clock().now();
        world.clock().set(real + TimeDelta::hours(2));
        check(&world, id, 1, CheckStatus::Down, None).await;
        assert_eq!(endpoint(&world, id).await["status"], "down");
        world.clock().set(real);
        check(&world, id, 1, CheckStatus::Up, None).await;
        let seen = endpoint(&world, id).await;
        assert_eq!((&seen["status"], &seen["last_checked_at"]), (&json!("up"), &json!("2026-03-01T12:02:00Z")));
        assert!(incidents(&world).await[0]["ended_at"].is_string());
        check(&world, id, 1, CheckStatus::Down, None).await;
        assert_eq!(endpoint(&world, id).await["status"], "down");
        assert_eq!(incidents(&world).await.len(), 2);
    }

    async fn a_status_has_its_reason(world: World) {
        use CheckStatus::{Degraded, Down, Unknown, Up};
        let id = add(&world, json!({"url": "http://shop.test/"})).await;
        let reason = async || endpoint(&world, id).await["status_reason"].as_str().unwrap().to_owned();
        assert_eq!(reason().await, "Waiting for the first check.");
        check(&world, id, 1, Up, None).await;
        assert_eq!(reason().await, "The last check succeeded.");
        check(&world, id, 1, Unknown, Some(FailureCode::NotStarted)).await;
        assert_eq!(
            reason().await,
            "The last check was missed: too many others were running to make it before the next one was due."
        );
        check(&world, id, 1, Unknown, Some(FailureCode::ProberDefect)).await;
        assert_eq!(reason().await, "The last check was missed because of an internal error of pongpong.");
        let seen = endpoint(&world, id).await;
        assert_eq!((&seen["missed_checks"], &seen["last_checked_at"]), (&json!(2), &json!("2026-03-01T12:01:00Z")));
        check(&world, id, 1, Down, Some(FailureCode::Timeout)).await;
        assert_eq!(reason().await, "The last check failed: No answer. Failed checks in a row: 1; down after 2.");
        check(&world, id, 1, Down, Some(FailureCode::Timeout)).await;
        assert_eq!(reason().await, "Down since 2026-03-01 12:04:00 UTC. The last check failed: No answer.");
        patch(&world, id, json!({"failure_threshold": 3})).await;
        world.settle().await;
        assert_eq!(reason().await, "Down since 2026-03-01 12:04:00 UTC. The settings or a maintenance changed: \
            waiting for the first check since then.");
        check(&world, id, 2, Up, None).await;
        assert_eq!(reason().await, "The last check succeeded.");
        for _ in 0..2 {
            assert_eq!(endpoint(&world, id).await["status"], "up");
            check(&world, id, 2, Degraded, Some(FailureCode::CertificateExpiring)).await;
            assert_eq!(reason().await, "The last check succeeded, but: No answer.");
        }
        let seen = endpoint(&world, id).await;
        assert_eq!((&seen["status"], &seen["failures"]), (&json!("degraded"), &json!(0)));
        check(&world, id, 2, Up, None).await;
        assert_eq!(endpoint(&world, id).await["status"], "up");
        let korean = http::Request::get(format!("/public/v1/endpoints/{id}"))
            .header("x-gateway-token", crate::world::GATEWAY_TOKEN).header("x-consumer-custom-id", 1)
            .header("x-credential-identifier", "a-credential").header("accept-language", "ko");
        let korean = world.ask("endpoint-get", korean).await.json(200);
        assert_eq!(korean["status_reason"], "마지막 체크가 성공했습니다.");
    }

    async fn a_withheld_alert_says_so_and_an_answer_is_never_withheld(world: World) {
        let mut ids = Vec::new();
        for n in 0..15 {
            ids.push(add(&world, json!({"url": format!("http://{n}.test/"), "failure_threshold": 1})).await);
        }
        let results = |code: FailureCode, minute: i64| -> Vec<CheckResult> {
            let failed = |id: &i64| {
                let mut result = of_revision(1, result(*id, 1, minute, false));
                result.failure_threshold = 1;
                result.outcome.error = Some(Failure { code, message: "?".into() });
                result
            };
            ids.iter().map(failed).collect()
        };
        world.clock().advance(Duration::from_secs(60));
        tell(&world, &results(FailureCode::ConnectTimeout, 1)).await;
        let held = endpoint(&world, ids[0]).await;
        assert_eq!(held["status"], "pending");
        assert_eq!(held["status_reason"], "The last check failed: ?. Failed checks in a row: 1. The alert is withheld, \
            because most endpoints became unreachable from region default at once.");
        world.clock().advance(Duration::from_secs(60));
        tell(&world, &results(FailureCode::AssertionFailed, 2)).await;
        assert_eq!(endpoint(&world, ids[0]).await["status"], "down");
        assert_eq!(incidents(&world).await.len(), 15);
    }
}
