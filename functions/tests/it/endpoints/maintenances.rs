//! Maintenances are planned, changed and ended, and mark the scheduled times during them.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    CheckRequest, CheckResult, CheckStatus, EndpointDeleted, Status, StatusChange, UserDeleted, kind,
};
use functions::endpoints::claim::{Claimed, Claims};
use serde_json::{Value, json};

use crate::world::{Database, World, on_both};

const PATH: &str = "/public/v1/maintenances";

async fn endpoint(world: &World, user: i64) -> i64 {
    let body = json!({"url": "https://example.com", "interval_seconds": 10});
    world.call(Some(user), "POST", "/public/v1/endpoints", Some(body)).await.json(201)["id"].as_i64().unwrap()
}

fn after(world: &World, seconds: i64) -> DateTime<Utc> {
    world.clock().now() + TimeDelta::seconds(seconds)
}

async fn plan(world: &World, user: i64, body: Value) -> Value {
    world.call(Some(user), "POST", PATH, Some(body)).await.json(201)
}

/// Claims as the schedule does: by endpoint, the scheduled times from now on and whether they are marked.
async fn claim(world: &World) -> BTreeMap<i64, Vec<(i64, bool)>> {
    let body = json!({"until": after(world, 65), "limit": 1000});
    let claims = world.call(None, "POST", "/private/v1/endpoints/claim", Some(body)).await.json(200);
    let claims: Claims = serde_json::from_value(claims).unwrap();
    let confirmed = json!({"items": claims.items.iter().map(Claimed::confirmed).collect::<Vec<_>>()});
    world.call(None, "POST", "/private/v1/endpoints/claim/confirm", Some(confirmed)).await.json(204);
    let mut times = BTreeMap::<i64, Vec<_>>::new();
    for request in claims.items.iter().flat_map(|claimed| claimed.requests().unwrap()) {
        let request: CheckRequest = serde_json::from_str(request.json.get()).unwrap();
        let scheduled_at = (request.scheduled_at - world.clock().now()).num_seconds();
        times.entry(request.endpoint_id).or_default().push((scheduled_at, request.maintenance));
    }
    times
}

on_both! {
    async fn one_is_planned_shown_changed_and_called_off(world: World) {
        let (mine, other) = (endpoint(&world, 1).await, endpoint(&world, 1).await);
        let made = plan(&world, 1, json!({"title": " Upgrade ", "ends_at": after(&world, 3600)})).await;
        assert_eq!(made, json!({
            "id": made["id"], "title": "Upgrade", "description": "", "starts_at": "2026-03-01T12:00:00Z",
            "ends_at": "2026-03-01T13:00:00Z", "endpoint_ids": null, "status": "active",
            "created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T12:00:00Z",
        }));
        let path = format!("{PATH}/{}", made["id"]);
        assert_eq!(world.call(Some(1), "GET", &path, None).await.json(200), made);
        let patch = async |body: Value| world.call(Some(1), "PATCH", &path, Some(body)).await;
        let changed = patch(json!({"endpoint_ids": [other, mine, mine], "starts_at": "2026-03-01T21:30:00+09:00"})).await.json(200);
        assert_eq!((&changed["endpoint_ids"], &changed["starts_at"]), (&json!([mine, other]), &json!("2026-03-01T12:30:00Z")));
        assert_eq!((&changed["status"], &changed["title"]), (&json!("scheduled"), &json!("Upgrade")));
        assert_eq!(patch(json!({"endpoint_ids": null})).await.json(200)["endpoint_ids"], Value::Null);
        world.clock().advance(Duration::from_secs(2000));
        assert_eq!(world.call(Some(1), "GET", &path, None).await.json(200)["status"], "active");
        // Ended earlier than planned.
        assert_eq!(patch(json!({"ends_at": world.clock().now()})).await.json(200)["status"], "ended");
        world.call(Some(1), "DELETE", &path, None).await.json(204);
        assert_eq!(world.call(Some(1), "GET", &path, None).await.code(404), "NOT_FOUND");
        assert_eq!(world.call(Some(1), "DELETE", &path, None).await.code(404), "NOT_FOUND");
        assert_eq!(patch(json!({"title": "x"})).await.code(404), "NOT_FOUND");
    }

    async fn each_wrong_field_is_named(world: World) {
        let (mine, others) = (endpoint(&world, 1).await, endpoint(&world, 2).await);
        let with = |name: &str, value: Value| {
            let mut body = json!({"title": "T", "ends_at": after(&world, 60)});
            body[name] = value;
            body
        };
        let many: Vec<i64> = (1..=1001).collect();
        for (field, body) in [
            ("title", json!({"ends_at": after(&world, 60)})),
            ("ends_at", json!({"title": "T"})),
            ("title", with("title", json!(" "))),
            ("title", with("title", json!("\u{2060}\u{AD}"))),
            ("title", with("title", json!("a\nb"))),
            ("title", with("title", json!("x".repeat(101)))),
            ("description", with("description", json!("x".repeat(2001)))),
            ("ends_at", with("ends_at", json!(after(&world, 0)))),
            ("ends_at", with("starts_at", json!(after(&world, 60)))),
            ("ends_at", with("starts_at", json!(after(&world, 61 - 90 * 86_400 - 2)))),
            ("ends_at", json!({"title": "T", "starts_at": after(&world, -60), "ends_at": after(&world, -1)})),
            ("starts_at", with("starts_at", json!("tomorrow"))),
            ("endpoint_ids", with("endpoint_ids", json!([mine, others]))),
            ("endpoint_ids", with("endpoint_ids", json!([-1]))),
            ("endpoint_ids", with("endpoint_ids", json!(many))),
            ("colour", with("colour", json!("red"))),
        ] {
            let answer = world.call(Some(1), "POST", PATH, Some(body.clone())).await.json(400);
            assert!(answer["fields"][field].is_string(), "{body}: {answer}");
        }
        let made = plan(&world, 1, with("endpoint_ids", json!([mine]))).await;
        let path = format!("{PATH}/{}", made["id"]);
        for (field, body) in [
            ("ends_at", json!({"ends_at": null})),
            ("ends_at", json!({"ends_at": after(&world, 91 * 86_400)})),
            ("endpoint_ids", json!({"endpoint_ids": [others]})),
            ("status", json!({"status": "ended"})),
        ] {
            let answer = world.call(Some(1), "PATCH", &path, Some(body.clone())).await.json(400);
            assert!(answer["fields"][field].is_string(), "{body}: {answer}");
        }
    }

    async fn lists_are_filtered_private_and_newest_first(world: World) {
        for (title, from, to) in [("over", -600, 60), ("now", -60, 600), ("later", 3600, 7200)] {
            plan(&world, 1, json!({"title": title, "starts_at": after(&world, from), "ends_at": after(&world, to)})).await;
        }
        let others = plan(&world, 2, json!({"title": "other's", "ends_at": after(&world, 600)})).await;
        world.clock().advance(Duration::from_secs(60));
        let titles = |list: &Value| -> Vec<String> {
            list["items"].as_array().unwrap().iter().map(|m| m["title"].as_str().unwrap().to_owned()).collect()
        };
        let list = async |query: &str| titles(&world.call(Some(1), "GET", &format!("{PATH}?{query}"), None).await.json(200));
        assert_eq!(list("").await, ["later", "now", "over"]);
        assert_eq!(list("status=active").await, ["now"]);
        assert_eq!(list("status=scheduled").await, ["later"]);
        assert_eq!(list("status=ended").await, ["over"]);
        assert_eq!(list("page=2&per_page=2").await, ["over"]);
        world.call(Some(1), "GET", &format!("{PATH}?status=sideways"), None).await.code(400);
        let path = format!("{PATH}/{}", others["id"]);
        for (method, body) in [("GET", None), ("PATCH", Some(json!({"title": "mine"}))), ("DELETE", None)] {
            assert_eq!(world.call(Some(1), method, &path, body).await.code(404), "NOT_FOUND");
        }
        world.call(None, "GET", PATH, None).await.code(401);
        let private = async |query: String| {
            let path = format!("/private/v1/maintenances?{query}");
            world.call(None, "GET", &path, None).await.json(200)
        };
        assert_eq!(titles(&private("user_id=1".into()).await), ["later", "now", "over"]);
        assert_eq!(private("user_id=2".into()).await["items"][0]["user_id"], 2);
        let (from, to) = (after(&world, 0).to_rfc3339_opts(chrono::SecondsFormat::Secs, true), "2026-03-01T13:00:00Z");
        assert_eq!(titles(&private(format!("user_id=1&from={from}&to={to}")).await), ["now"]);
        assert_eq!(titles(&private(format!("user_id=1&to={to}&per_page=1")).await), ["now"]);
        assert_eq!(private("user_id=1".into()).await["page"]["total_count"], 3);
    }

    async fn a_user_plans_a_hundred_at_most(world: World) {
        let body = json!({"title": "T", "ends_at": after(&world, 600)});
        for _ in 0..99 {
            plan(&world, 1, body.clone()).await;
        }
        let add = || world.call(Some(1), "POST", PATH, Some(body.clone()));
        let mut statuses: Vec<_> = futures::future::join_all([add(), add(), add()]).await.iter().map(|a| a.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409]);
        assert_eq!(add().await.code(409), "TOO_MANY_MAINTENANCES");
        world.clock().advance(Duration::from_secs(600));
        plan(&world, 1, json!({"title": "those are over", "ends_at": after(&world, 600)})).await;
        let again = json!({"ends_at": after(&world, 600)});
        let revived = world.call(Some(1), "PATCH", &format!("{PATH}/1"), Some(again)).await;
        assert!(revived.json(400)["fields"]["ends_at"].is_string(), "what is over stays so");
    }

    async fn scheduled_times_in_a_maintenance_are_marked_and_no_others(world: World) {
        let (chosen, spared, others) = (endpoint(&world, 1).await, endpoint(&world, 1).await, endpoint(&world, 2).await);
        world.clock().advance(Duration::from_secs(60));
        assert!(claim(&world).await.values().flatten().all(|(_, marked)| !marked));
        world.clock().advance(Duration::from_secs(60));
        let (from, to) = (after(&world, 20), after(&world, 40));
        plan(&world, 1, json!({"title": "T", "starts_at": from, "ends_at": to, "endpoint_ids": [chosen]})).await;
        let times = claim(&world).await;
        assert_eq!(times[&chosen].iter().filter(|(_, marked)| *marked).count(), 2, "{times:?}");
        for (scheduled_at, marked) in &times[&chosen] {
            assert_eq!(*marked, (20..40).contains(scheduled_at), "{times:?}");
        }
        assert!(times[&spared].iter().chain(&times[&others]).all(|(_, marked)| !marked), "{times:?}");
        // A maintenance of all endpoints applies to the next scheduled times that are handed out.
        plan(&world, 1, json!({"title": "T", "ends_at": after(&world, 600)})).await;
        world.clock().advance(Duration::from_secs(60));
        let times = claim(&world).await;
        assert!(times[&chosen].iter().chain(&times[&spared]).all(|(_, marked)| *marked), "{times:?}");
        assert!(times[&others].iter().all(|(_, marked)| !marked), "{times:?}");
    }

    async fn results_of_checks_that_were_asked_for_before_it_are_marked(world: World) {
        let (chosen, spared) = (endpoint(&world, 1).await, endpoint(&world, 1).await);
        world.events.lock().unwrap().clear();
        let start = world.clock().now();
        let record = async |seconds: i64| {
            let results = [chosen, spared].map(|id| {
                let at = start + TimeDelta::seconds(seconds);
                CheckResult { scheduled_at: at, checked_at: at, ..crate::notifications::result(id, 1, 0, false) }
            });
            let id = format!("r{seconds}");
            let answer = world.event("report-record", kind::CHECK_COMPLETED, &id, &results).await;
            assert!(answer.status.is_success(), "{answer:?}");
        };
        record(0).await;
        world.clock().advance(Duration::from_secs(30));
        let soon = json!({"title": "T", "starts_at": after(&world, 5), "ends_at": after(&world, 45), "endpoint_ids": [chosen]});
        plan(&world, 1, soon).await;
        // Before any subscriber is notified.
        record(40).await;
        world.settle().await;
        for scheduled_at in [34, 35, 74, 75] {
            record(scheduled_at).await;
        }
        world.clock().advance(Duration::from_secs(60));
        let marked = async |id: i64| {
            let path = format!("/public/v1/reports?endpoint_id={id}");
            let list = world.call(Some(1), "GET", &path, None).await.json(200);
            let items = list["items"].as_array().unwrap().iter().filter(|item| item["maintenance"] == true);
            let at = |item: &Value| item["checked_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap() - start;
            items.map(|item| at(item).num_seconds()).collect::<Vec<_>>()
        };
        assert_eq!((marked(chosen).await, marked(spared).await), (vec![74, 40, 35], vec![]));
    }

    async fn the_first_check_of_a_new_endpoint_is_marked_too(world: World) {
        plan(&world, 1, json!({"title": "T", "ends_at": after(&world, 600)})).await;
        for user in [1, 2] {
            endpoint(&world, user).await;
        }
        let asked: Vec<_> = world.events.lock().unwrap().drain(..).flat_map(|e| e.data::<Vec<CheckRequest>>()).collect();
        let told: HashSet<_> = asked.iter().map(|r| (r.user_id, r.maintenance)).collect();
        assert_eq!(told, [(1, true), (2, false)].into());
    }

    async fn what_is_gone_leaves_nothing(world: World) {
        let (gone, kept) = (endpoint(&world, 1).await, endpoint(&world, 1).await);
        let both = plan(&world, 1, json!({"title": "T", "ends_at": after(&world, 600), "endpoint_ids": [gone, kept]})).await;
        let one = plan(&world, 1, json!({"title": "T", "ends_at": after(&world, 600), "endpoint_ids": [gone]})).await;
        plan(&world, 2, json!({"title": "T", "ends_at": after(&world, 600)})).await;
        let event = EndpointDeleted { endpoint_id: gone, user_id: 1 };
        for _ in 0..2 {
            world.event("endpoint-forget", kind::ENDPOINT_DELETED, "e", &event).await.json(202);
        }
        let listed = async |of: &Value| {
            world.call(Some(1), "GET", &format!("{PATH}/{}", of["id"]), None).await.json(200)["endpoint_ids"].clone()
        };
        assert_eq!((listed(&both).await, listed(&one).await), (json!([kept]), json!([])));
        let path = format!("{PATH}/{}", one["id"]);
        world.call(Some(1), "PATCH", &path, Some(json!({"title": "still to be changed"}))).await.json(200);
        world.clock().advance(Duration::from_secs(60));
        world.event("endpoint-forget", kind::USER_DELETED, "u", &UserDeleted { user_id: 1 }).await.json(202);
        let left = async |user| world.call(Some(user), "GET", PATH, None).await.json(200)["page"]["total_count"].clone();
        assert_eq!((left(1).await, left(2).await), (json!(0), json!(1)));
        let body = json!({"title": "T", "ends_at": after(&world, 600)});
        assert_eq!(world.call(Some(1), "POST", PATH, Some(body)).await.code(401), "NOT_LOGGED_IN");
    }

    async fn what_breaks_in_a_maintenance_is_told_after_it(world: World) {
        let id = endpoint(&world, 1).await;
        world.events.lock().unwrap().clear();
        let mut number = 0;
        let mut check = async |down: bool, maintenance: bool| {
            number += 1;
            world.clock().advance(Duration::from_secs(60));
            let mut result = crate::notifications::result(id, 1, 0, !down);
            (result.scheduled_at, result.checked_at) = (world.clock().now(), world.clock().now());
            result.maintenance = maintenance;
            if down {
                result.outcome.status = CheckStatus::Down;
            }
            let event = runtime::Outgoing::new("check-run", kind::CHECK_COMPLETED, format!("e{number}"), world.clock().now(), &[result]);
            let (parts, body) = event.unwrap().into_request().unwrap().into_parts();
            world.events.lock().unwrap().push_back(crate::world::Sent { headers: parts.headers, body });
            let told = world.settle().await;
            let changes = told.iter().filter(|event| event.kind() == kind::STATUS_CHANGED);
            changes.flat_map(|event| event.data::<Vec<StatusChange>>()).map(|change| change.to).collect::<Vec<_>>()
        };
        assert_eq!(check(false, false).await, [Status::Up]);
        assert_eq!(check(true, false).await, []);
        for _ in 0..3 {
            assert_eq!(check(true, true).await, []);
        }
        let shown = async || world.call(Some(1), "GET", &format!("/public/v1/endpoints/{id}"), None).await.json(200);
        let in_it = shown().await;
        assert_eq!((&in_it["status"], &in_it["last_checked_at"]), (&json!("up"), &json!(world.clock().now())));
        assert_eq!(check(true, false).await, [], "one failure");
        assert_eq!(check(true, false).await, [Status::Down], "two in a row, after it");
        assert_eq!(shown().await["status"], "down");
        let incidents = world.call(Some(1), "GET", "/public/v1/incidents", None).await.json(200);
        assert_eq!(incidents["items"][0]["started_at"], "2026-03-01T12:06:00Z");
        assert_eq!(check(false, true).await, [], "nor is a recovery told");
        assert_eq!(check(false, false).await, [Status::Up]);
        let summary = world.call(Some(1), "GET", &format!("/public/v1/summaries/{id}?to=2026-03-02"), None).await.json(200);
        assert_eq!((&summary["checks"], &summary["up"]), (&json!(5), &json!(2)));
    }
}
