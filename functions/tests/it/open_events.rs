//! Events are extensible: a subscriber ignores what it does not know, and an unreadable item does not prevent
//! the others from being handled.

use contract::{
    AlertKind, CheckStatus, DeliveryOutcome, EndpointChanged, EndpointDeleted, Failure, FailureCode,
    NotificationDelivered, Outcome, Reader, RegionChange, RegionOutage, Span, Status, StatusChange,
    UserChanged, UserDeleted, kind,
};
use serde_json::{Value, json};

use crate::{
    notifications::result,
    world::{Database, World, on_both},
};

/// Valid data for an event of this kind, about endpoint 1 of user 1.
fn sample(world: &World, kind: &str) -> Value {
    let now = world.clock().now();
    let change = StatusChange {
        endpoint_id: 1,
        user_id: 1,
        from: Status::Up,
        to: Status::Down,
        changed_at: now,
        revision: 0,
        outage_started_at: Some(now),
        cause: Some(Failure { code: FailureCode::Timeout, message: "slow".into() }),
    };
    let outage = RegionOutage { id: 1, region: "here".into(), failing: 3, endpoints: 3, held_minutes: 15 };
    let of = |value: Result<Value, serde_json::Error>| value.unwrap();
    match kind {
        kind::CHECK_REQUESTED => json!([{
            "endpoint_id": 1, "user_id": 1, "scheduled_at": now, "failure_threshold": 1, "success_threshold": 1,
            "target": {
                "kind": "http", "url": "http://127.0.0.1:1/", "timeout_ms": 300, "retries": 0,
                "assertions": [{"fact": "body", "comparison": "contains", "value": "ok"}],
            },
        }]),
        kind::CHECK_COMPLETED => json!([result(1, 1, 0, true)]),
        kind::CHECK_FAILED => json!([{"endpoint_id": 1, "user_id": 1, "scheduled_at": now}]),
        kind::STATUS_CHANGED => json!([change]),
        kind::REGION_CHANGED => json!([RegionChange {
            user_id: 1,
            what: AlertKind::RegionOutage,
            changed_at: now,
            since: now,
            outage,
        }]),
        kind::NOTIFICATION_REQUESTED => json!({
            "delivery_id": 1, "attempt": 1, "notification_id": 1, "kind": "webhook", "sealed_config": "",
            "alert": {
                "endpoint_id": 1, "endpoint_name": "Shop", "url": "http://shop.test/", "what": "down",
                "changed_at": now, "link": "http://pong.test/",
            },
        }),
        kind::NOTIFICATION_DELIVERED => of(serde_json::to_value(NotificationDelivered {
            delivery_id: 1,
            attempt: 1,
            tries: 0,
            outcome: DeliveryOutcome::Delivered,
            error: None,
            retry_after_seconds: None,
            reached: Vec::new(),
            at: now,
        })),
        kind::USER_CHANGED => json!([UserChanged { user_id: 7, revision: 1, reader: Reader::default() }]),
        kind::USER_DELETED => of(serde_json::to_value(UserDeleted { user_id: 7 })),
        kind::ENDPOINT_DELETED => of(serde_json::to_value(EndpointDeleted { endpoint_id: 7, user_id: 7 })),
        kind::ENDPOINT_CHANGED => json!([EndpointChanged {
            endpoint_id: 1,
            user_id: 1,
            revision: 2,
            settings_revision: 2,
            enabled: false,
            changed_at: now,
            maintenance: Some(Span { from: now, until: now }),
        }]),
        other => panic!("{other} has no sample: add one"),
    }
}

/// Adds an unknown field to every object.
fn extended(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(extended).collect(),
        Value::Object(members) => {
            let is_map = members.keys().all(|name| name.contains('-'));
            let members = members.into_iter().map(|(name, value)| (name, extended(value)));
            let unknown = (!is_map).then(|| ("of_the_future".to_owned(), json!({"a": [1]})));
            Value::Object(members.chain(unknown).collect())
        }
        other => other,
    }
}

on_both! {
    async fn an_unknown_field_is_ignored_by_every_subscriber(world: World) {
        for function in functions::ALL {
            for subscription in function.subscriptions {
                let data = extended(sample(&world, subscription.kind));
                let answer = world.event(function.name, subscription.kind, "extended", &data).await;
                // This world has no Kong that it could ask to delete the user.
                let is_read = function.name == "user-forget" && answer.status == 500;
                assert!(is_read || answer.status.is_success(), "{} {}: {answer:?}", function.name, subscription.kind);
            }
        }
    }

    async fn an_assertion_with_an_unknown_field_is_checked(world: World) {
        let data = extended(sample(&world, kind::CHECK_REQUESTED));
        let answer = world.event("check-run", kind::CHECK_REQUESTED, "extended", &data).await;
        let results: Vec<contract::CheckResult> = answer.reply().expect("a result").data();
        // Nothing listens there, so it was tried.
        assert_eq!(results[0].outcome.status, CheckStatus::Down, "{results:?}");
    }

    async fn an_assertion_of_the_future_is_no_outage(world: World) {
        for assertion in [
            json!({"fact": "body", "comparison": "rhymes_with", "value": "ok"}),
            json!({"fact": "status", "comparison": "equals", "value": 200, "severity": "curious"}),
            json!({"fact": "mood", "comparison": "equals", "value": "fine"}),
        ] {
            let mut data = sample(&world, kind::CHECK_REQUESTED);
            data[0]["target"]["assertions"] = json!([assertion]);
            let answer = world.event("check-run", kind::CHECK_REQUESTED, "future", &data).await;
            let results: Vec<contract::CheckResult> = answer.reply().expect("results").data();
            assert_eq!(results[0].outcome.status, contract::CheckStatus::Unknown, "{assertion}");
        }
    }

    async fn an_unknown_kind_of_alert_is_carried(world: World) {
        for function in functions::ALL {
            for subscription in function.subscriptions {
                if subscription.kind != kind::NOTIFICATION_REQUESTED { continue }
                let mut data = sample(&world, subscription.kind);
                data["alert"]["what"] = json!("of the future");
                data["alert"]["cause"] = json!({"code": "OF_THE_FUTURE", "message": "?"});
                let answer = world.event(function.name, subscription.kind, "unknown", &data).await;
                assert!(answer.status.is_success(), "{}: {answer:?}", function.name);
            }
        }
    }

    async fn an_unreadable_item_keeps_no_other_from_being_handled(world: World) {
        for function in functions::ALL {
            for subscription in function.subscriptions {
                let Value::Array(mut items) = sample(&world, subscription.kind) else { continue };
                items.insert(0, json!({"of": "the future"}));
                let mut deep = json!(1);
                for _ in 0..110 {
                    deep = json!([deep]);
                }
                items.insert(1, deep);
                let mut unknown = items[2].clone();
                for name in ["to", "what"] {
                    if unknown.get(name).is_some() {
                        unknown[name] = json!("of the future");
                    }
                }
                if unknown.get("outcome").is_some() {
                    unknown["outcome"]["status"] = json!("of the future");
                }
                items.push(unknown);
                let answer = world.event(function.name, subscription.kind, "mixed", &items).await;
                assert!(answer.status.is_success(), "{} {}: {answer:?}", function.name, subscription.kind);
            }
        }
    }

    async fn the_others_of_a_batch_are_recorded_and_evaluated(world: World) {
        let mut down = result(1, 1, 0, false);
        down.failure_threshold = 1;
        let impossible = json!({"endpoint_id": 0, "user_id": 1});
        let mut no_such_id = json!(down);
        no_such_id["endpoint_id"] = json!(-4);
        let batch = json!([impossible, no_such_id, down]);
        let recorded = world.event("report-record", kind::CHECK_COMPLETED, "b", &batch).await;
        assert_eq!(recorded.status, 202, "{recorded:?}");
        let stored = world.call(Some(1), "GET", "/public/v1/reports", None).await.json(200);
        assert_eq!(stored["page"]["total_count"], 1, "{stored}");
        let evaluated = world.event("notification-evaluate", kind::CHECK_COMPLETED, "b", &batch).await;
        let changes: Vec<StatusChange> = evaluated.reply().expect("a change").data();
        assert!(changes.iter().any(|change| change.endpoint_id == 1 && change.to == Status::Down));
    }
}

#[test]
fn an_unknown_code_of_a_failure_is_carried() {
    let json = json!({
        "status": "down", "error": {"code": "OF_THE_FUTURE", "message": "?"}, "timings_ms": {"total": 1},
        "response_bytes": 0,
    });
    let outcome: Outcome = serde_json::from_value(json).unwrap();
    assert_eq!((outcome.status, outcome.timings_ms.total), (CheckStatus::Down, 1));
    assert_eq!(outcome.error.unwrap().code, FailureCode::Other);
}
