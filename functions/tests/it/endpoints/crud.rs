//! Endpoints are created, shown, changed and deleted, each by its owner alone.

use std::{collections::HashSet, time::Duration};

use contract::{
    CheckRequest, EndpointDeleted, Failure, FailureCode, Status, StatusChange, UserDeleted, kind,
};
use serde_json::{Value, json};

use crate::world::{Database, World, on_both};

pub(super) async fn create(world: &World, user: i64, body: Value) -> Value {
    world.call(Some(user), "POST", "/public/v1/endpoints", Some(body)).await.json(201)
}

fn change(world: &World, endpoint_id: i64, to: Status, seconds_ago: i64) -> StatusChange {
    StatusChange {
        endpoint_id,
        user_id: 1,
        from: Status::Pending,
        to,
        changed_at: world.clock().now() - chrono::TimeDelta::seconds(seconds_ago),
        revision: 0,
        outage_started_at: None,
        cause: Some(Failure { code: FailureCode::Timeout, message: "No answer".into() }),
    }
}

on_both! {
    async fn a_new_endpoint_has_the_defaults_and_is_checked_at_once(world: World) {
        let made = create(&world, 1, json!({ "url": "https://shop.example.com/health" })).await;
        assert_eq!(made["name"], "shop.example.com");
        assert_eq!(
            (&made["interval_seconds"], &made["timeout_ms"], &made["kind"], &made["config"]["expected_status"]),
            (&json!(60), &json!(10000), &json!("http"), &json!("200-399"))
        );
        assert_eq!((&made["failure_threshold"], &made["success_threshold"]), (&json!(2), &json!(1)));
        assert_eq!((&made["status"], &made["last_checked_at"]), (&json!("pending"), &Value::Null));
        assert_eq!(made["created_at"], "2026-03-01T12:00:00Z");

        let asked = world.events.lock().unwrap().pop_front().expect("a check is asked for");
        assert_eq!(asked.kind(), kind::CHECK_REQUESTED);
        assert_eq!(asked.headers["ce-owners"], "1");
        let asked: Vec<CheckRequest> = asked.data();
        assert_eq!((asked[0].endpoint_id, asked[0].user_id), (made["id"].as_i64().unwrap(), 1));
        assert_eq!(asked[0].target.url, "https://shop.example.com/health");
        assert_eq!(asked[0].scheduled_at, world.clock().now());
    }

    async fn what_could_not_run_yet_is_not_missed(world: World) {
        for _ in 0..20 {
            create(&world, 1, json!({"url": "https://example.com", "interval_seconds": 10})).await;
            world.clock().advance(std::time::Duration::from_secs(1));
        }
        // The next minute's tick, slightly late.
        world.clock().advance(std::time::Duration::from_secs(43));
        let until = world.clock().now() + chrono::TimeDelta::seconds(65);
        let claim = json!({"until": until, "limit": 100});
        let claimed = world.call(None, "POST", "/private/v1/endpoints/claim", Some(claim)).await.json(200);
        let items = claimed["items"].as_array().unwrap();
        assert_eq!(items.len(), 20);
        assert!(items.iter().all(|item| item["missed"] == 0), "{items:?}");
    }

    async fn what_is_set_is_kept_and_shown(world: World) {
        let all = json!({
            "name": "가게", "url": "https://example.com/a?b=c", "kind": "http",
            "config": {
                "method": "POST", "headers": {"X-A": "1"}, "secret_headers": {"X-B": "…"}, "body": "{\"q\":1}",
                "expected_status": "200-299,301", "follow_redirects": false, "verify_tls": false, "legacy_tls": true,
                "certificate_warning_days": 7,
            },
            "interval_seconds": 10, "timeout_ms": 500,
            "assertions": [{"fact": "body", "comparison": "contains", "value": "ok"}, {"fact": "total_ms", "comparison": "less_than", "value": 900}],
            "retries": 0, "failure_threshold": 3,
            "success_threshold": 2, "enabled": true, "tags": ["shop", "서울"],
        });
        let mut sent = all.clone();
        sent["config"]["secret_headers"]["X-B"] = "hidden".into();
        let made = create(&world, 1, sent).await;
        let path = format!("/public/v1/endpoints/{}", made["id"]);
        let shown = world.call(Some(1), "GET", &path, None).await.json(200);
        assert_eq!(shown, made);
        for (field, value) in all.as_object().unwrap() {
            assert_eq!(&shown[field], value, "{field}");
        }
    }

    async fn each_wrong_field_is_named(world: World) {
        let url = "https://example.com";
        for (field, body) in [
            ("url", json!({})),
            ("url", json!({"url": "ftp://example.com"})),
            ("url", json!({"url": "file:///etc/passwd"})),
            ("url", json!({"url": "http://"})),
            ("url", json!({"url": "http://example.com:99999"})),
            ("url", json!({"url": format!("http://example.com/{}", "x".repeat(2048))})),
            ("url", json!({"url": 7})),
            ("name", json!({"url": url, "name": "x".repeat(101)})),
            ("name", json!({"url": url, "name": "\u{200B}\u{3164}"})),
            ("tags", json!({"url": url, "tags": ["\u{3164}"]})),
            ("config.method", json!({"url": url, "config": {"method": "FETCH"}})),
            ("config.host", json!({"url": url, "config": {"host": "x"}})),
            ("config", json!({"url": url, "config": [1]})),
            ("config.secret_headers.X-A", json!({"url": url, "config": {"secret_headers": {"X-A": "…"}}})),
            ("config.method", json!({"url": "tcp://example.com:5432", "config": {"method": "GET"}})),
            ("kind", json!({"url": url, "kind": "carrier_pigeon"})),
            ("url", json!({"url": url, "kind": "tcp"})),
            ("url", json!({"url": "tcp://example.com"})),
            ("url", json!({"url": "tcp://example.com:5432/path"})),
            ("assertions[0].fact", json!({"url": "tcp://example.com:5432", "assertions": [
                {"fact": "status", "comparison": "equals", "value": 200},
            ]})),
            ("assertions[0].comparison", json!({"url": "tcp://example.com:5432", "assertions": [
                {"fact": "connect_ms", "comparison": "contains", "value": 1},
            ]})),
            ("config.headers.X-A", json!({"url": url, "config": {"headers": {"X-A": "1\r\nX-B: 2"}}})),
            ("interval_seconds", json!({"url": url, "interval_seconds": 9})),
            ("interval_seconds", json!({"url": url, "interval_seconds": -60})),
            ("interval_seconds", json!({"url": url, "interval_seconds": 1e300})),
            ("timeout_ms", json!({"url": url, "timeout_ms": 0})),
            ("config.expected_status", json!({"url": url, "config": {"expected_status": "200-"}})),
            ("assertions", json!({"url": url, "assertions": [{"fact": "body", "comparison": "matches", "value": "("}]})),
            ("assertions", json!({"url": url, "assertions": [{"type": "nonsense"}]})),
            ("assertions[0].below", json!({"url": url, "assertions": [{"fact": "ip", "comparison": "exists", "below": 1}]})),
            ("assertions", json!({"url": url, "assertions": [{"fact": "json", "path": "$", "comparison": "equals",
                "value": (0..20).fold(json!(1), |value, _| json!([value])),
            }]})),
            ("tags", json!({"url": url, "tags": ["a\"b"]})),
            ("failure_threshold", json!({"url": url, "failure_threshold": 0})),
            ("retries", json!({"url": url, "retries": 99})),
            ("retries", json!({"url": url, "retries": 5, "timeout_ms": 60000})),
            ("colour", json!({"url": url, "colour": "red"})),
        ] {
            let answer = world.call(Some(1), "POST", "/public/v1/endpoints", Some(body.clone())).await;
            assert_eq!(answer.code(400), "VALIDATION_FAILED", "{body}");
            let fields = answer.json(400)["fields"].as_object().unwrap().clone();
            assert!(fields.keys().any(|name| name.starts_with(field)), "{body}: {fields:?}");
        }
    }

    async fn methods_with_effects_are_repeated_only_on_request(world: World) {
        let url = "https://example.com";
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] {
            let unasked = i64::from(["GET", "HEAD", "OPTIONS"].contains(&method));
            let made = create(&world, 1, json!({"url": url, "config": {"method": method}})).await;
            assert_eq!(made["retries"], unasked, "{method}");
            let asked: Vec<CheckRequest> = world.events.lock().unwrap().pop_front().unwrap().data();
            assert_eq!(i64::from(asked[0].target.retries), unasked, "{method}");
            let made = create(&world, 1, json!({"url": url, "config": {"method": method}, "retries": 2})).await;
            assert_eq!(made["retries"], 2, "{method}");
            world.events.lock().unwrap().clear();
        }
        let made = create(&world, 1, json!({"url": url})).await;
        let path = format!("/public/v1/endpoints/{}", made["id"]);
        for (patch, retries) in [
            (json!({"config": {"method": "POST"}}), 0),
            (json!({"retries": 3}), 3),
            (json!({"config": {"method": "PUT"}}), 3),
            (json!({"config": {"method": "GET"}, "retries": null}), 1),
            (json!({"config": {"method": "POST"}, "retries": 1}), 1),
            (json!({"retries": null}), 0),
            (json!({"config": {"method": "GET"}, "retries": 3}), 3),
            (json!({"config": {"method": "POST"}}), 3),
        ] {
            let changed = world.call(Some(1), "PATCH", &path, Some(patch.clone())).await.json(200);
            assert_eq!(changed["retries"], retries, "{patch}");
        }
    }

    async fn status_of_three_digits_is_taken(world: World) {
        let body = json!({"url": "https://example.com", "config": {"expected_status": "100-199,999"}});
        assert_eq!(create(&world, 1, body).await["config"]["expected_status"], "100-199,999");
        let body = json!({"url": "https://example.com", "config": {"expected_status": "1000"}});
        let refused = world.call(Some(1), "POST", "/public/v1/endpoints", Some(body)).await.json(400);
        let message = refused["fields"]["config.expected_status"].as_str().unwrap().to_owned();
        assert!(message.contains("from 100 to 999"), "{message}");
    }

    async fn a_patch_changes_what_it_names_and_null_is_the_default(world: World) {
        let made = create(&world, 1, json!({"url": "https://example.com", "name": "A", "config": {"body": "x", "method": "POST"}})).await;
        let path = format!("/public/v1/endpoints/{}", made["id"]);
        let patch = |body: Value| world.call(Some(1), "PATCH", &path, Some(body));
        let changed = patch(json!({"name": "B", "timeout_ms": 700})).await.json(200);
        assert_eq!((&changed["name"], &changed["timeout_ms"], &changed["config"]["body"]), (&json!("B"), &json!(700), &json!("x")));
        assert_eq!(patch(json!({"config": {"method": "POST"}})).await.json(200)["config"]["body"], Value::Null);
        assert_eq!(patch(json!({"config": null})).await.json(200)["config"]["method"], "GET");
        assert_eq!(patch(json!({"timeout_ms": null})).await.json(200)["timeout_ms"], 10000);
        assert_eq!(patch(json!({"url": null})).await.code(400), "VALIDATION_FAILED");
        assert_eq!(patch(json!({"id": 7})).await.code(400), "VALIDATION_FAILED");
        assert_eq!(patch(json!({"enabled": false})).await.json(200)["status"], "paused");
        assert_eq!(patch(json!({"enabled": true})).await.json(200)["status"], "pending");
        let answer = world.call(Some(1), "PATCH", "/public/v1/endpoints/999", Some(json!({}))).await;
        assert_eq!(answer.code(404), "NOT_FOUND");
    }

    async fn lists_are_paged_and_searched(world: World) {
        for n in 0..25 {
            let tag = if n % 2 == 0 { "even" } else { "odd" };
            create(&world, 1, json!({"url": format!("https://h{n}.example.com/100%_a"), "name": format!("Shop {n}"), "tags": [tag, "all"]})).await;
        }
        create(&world, 2, json!({"url": "https://other.example.com"})).await;
        let list = async |query: &str| {
            let list = world.call(Some(1), "GET", &format!("/public/v1/endpoints{query}"), None).await.json(200);
            (list["items"].as_array().unwrap().len(), list["page"]["total_count"].as_i64().unwrap())
        };
        assert_eq!(list("").await, (20, 25));
        assert_eq!(list("?page=2").await, (5, 25));
        assert_eq!(list("?page=3").await, (0, 25));
        assert_eq!(list("?per_page=100").await, (25, 25));
        assert_eq!(list("?q=SHOP%201&per_page=100").await, (11, 11));
        assert_eq!(list("?q=h7.example").await, (1, 1));
        assert_eq!(list("?q=100%25_A").await, (20, 25));
        assert_eq!(list("?q=100%25%25").await, (0, 0));
        assert_eq!(list("?tag=odd").await, (12, 12));
        assert_eq!(list("?tag=od").await, (0, 0));
        assert_eq!(list("?status=pending&tag=even").await, (13, 13));
        assert_eq!(list("?status=down").await, (0, 0));
        for long in [format!("?q={}", "_".repeat(30_000)), format!("?tag={}", "a".repeat(51))] {
            world.call(Some(1), "GET", &format!("/public/v1/endpoints{long}"), None).await.code(400);
        }
        for bad in ["?q=%ff", "?page=0", "?page=-1", "?page=99999999999999999999", "?per_page=101", "?per_page=x", "?status=sideways", "?q=%00"] {
            let answer = world.call(Some(1), "GET", &format!("/public/v1/endpoints{bad}"), None).await;
            answer.code(400);
        }
    }

    async fn the_largest_checks_fit_into_events(world: World) {
        let text = |bytes: usize| "\u{1}".repeat(bytes / 6);
        let body = json!({"url": "https://example.com", "interval_seconds": 3600});
        for _ in 0..3 {
            let made = create(&world, 1, body.clone()).await;
            let own = format!("/public/v1/endpoints/{}", made["id"]);
            let headers: serde_json::Map<_, _> =
                (0..15).map(|n| (format!("x-{n}"), json!("\"".repeat(4000)))).collect();
            let assertions = vec![json!({"fact": "body", "comparison": "contains", "value": text(47_000)}); 5];
            let config = json!({"method": "POST", "body": text(120_000), "headers": headers});
            for patch in [json!({"config": config}), json!({"assertions": assertions})] {
                world.call(Some(1), "PATCH", &own, Some(patch)).await.json(200);
            }
        }
        world.clock().advance(Duration::from_secs(3600));
        world.tick("check-schedule").await;
        let events = world.events.lock().unwrap();
        assert!(events.iter().any(|event| event.body.len() > 400_000), "large ones");
        assert!(events.iter().all(|event| event.body.len() < 1_000_000));
    }

    async fn a_request_that_is_sent_again_makes_no_second_endpoint(world: World) {
        let path = "/public/v1/endpoints";
        let body = json!({"url": "https://example.com", "name": "first"});
        let tries = (0..4).map(|_| world.post_once(1, path, "key-1", &body));
        let answers = futures::future::join_all(tries).await;
        let first = answers[0].json(201);
        assert!(answers.iter().all(|answer| answer.json(201) == first), "{answers:?}");
        let ids: HashSet<_> =
            world.events.lock().unwrap().iter().map(|event| event.headers["ce-id"].clone()).collect();
        assert_eq!(world.events.lock().unwrap().len(), ids.len(), "each check once");
        let other = json!({"url": "https://example.com", "name": "second"});
        assert_eq!(world.post_once(1, path, "key-1", &other).await.json(201)["name"], "first");
        assert_eq!(world.post_once(1, path, "key-2", &other).await.json(201)["name"], "second");
        assert_eq!(world.post_once(2, path, "key-1", &other).await.json(201)["name"], "second", "another user's key");
        world.call(Some(1), "DELETE", &format!("{path}/{}", first["id"]), None).await.json(204);
        assert_eq!(world.post_once(1, path, "key-1", &body).await.json(201)["name"], "first", "made anew");
        for key in ["", "a b", &"x".repeat(201), "\u{e9}"] {
            let answer = world.post_once(1, path, key, &body).await.json(400);
            assert!(answer["fields"]["Idempotency-Key"].is_string(), "{key}: {answer}");
        }
    }

    async fn lists_are_sorted_both_ways(world: World) {
        let mut ids = vec![];
        for (name, enabled) in [("beta", true), ("Alpha", true), ("alpha", false), ("Gamma", true)] {
            let made = create(&world, 1, json!({"url": "https://example.com", "name": name, "enabled": enabled})).await;
            ids.push(made["id"].as_i64().unwrap());
        }
        let changes = [change(&world, ids[0], Status::Up, 50), change(&world, ids[3], Status::Down, 50)];
        world.event("endpoint-observe", kind::STATUS_CHANGED, "c", &changes).await;
        let checked = [(ids[3], -60), (ids[0], -30)].map(|(id, ago)| {
            let mut result = crate::reports::up(id, world.clock().now() + chrono::TimeDelta::seconds(ago), 5);
            result.user_id = 1;
            result
        });
        world.event("endpoint-observe", kind::CHECK_COMPLETED, "r", &checked).await;
        for (sort, order) in [
            ("created_at", [0, 1, 2, 3]),
            ("name", [1, 2, 0, 3]),
            ("status", [3, 1, 0, 2]),
            ("last_checked_at", [1, 2, 3, 0]),
        ] {
            let sorted = async |sort: String| {
                let list = world.call(Some(1), "GET", &format!("/public/v1/endpoints?sort={sort}"), None).await.json(200);
                list["items"].as_array().unwrap().iter().map(|e| e["id"].as_i64().unwrap()).collect::<Vec<_>>()
            };
            let mut expected = order.map(|at: usize| ids[at]);
            assert_eq!(sorted(sort.into()).await, expected, "{sort}");
            expected.reverse();
            assert_eq!(sorted(format!("-{sort}")).await, expected, "-{sort}");
        }
        let second = world.call(Some(1), "GET", "/public/v1/endpoints?sort=name&per_page=1&page=2", None).await.json(200);
        assert_eq!(second["items"][0]["id"], ids[2]);
        world.call(Some(1), "GET", "/public/v1/endpoints?sort=colour", None).await.code(400);
    }

    async fn totals_by_status_and_tag(world: World) {
        let totals = async |user| world.call(Some(user), "GET", "/public/v1/endpoint_totals", None).await.json(200);
        assert_eq!(totals(1).await, json!({"total": 0, "up": 0, "degraded": 0, "down": 0, "pending": 0, "paused": 0, "tags": []}));
        let mut ids = vec![];
        for (tags, enabled) in [
            (json!(["shop", "eu", "eu"]), true), (json!(["shop"]), true), (json!([]), false), (json!(["가게"]), true),
            (json!([]), true),
        ] {
            let made = create(&world, 1, json!({"url": "https://example.com", "tags": tags, "enabled": enabled})).await;
            ids.push(made["id"].as_i64().unwrap());
        }
        create(&world, 2, json!({"url": "https://example.com", "tags": ["other"]})).await;
        let changes = [change(&world, ids[0], Status::Up, 50), change(&world, ids[1], Status::Down, 50), change(&world, ids[2], Status::Up, 50),
            change(&world, ids[4], Status::Degraded, 50)];
        world.event("endpoint-observe", kind::STATUS_CHANGED, "c", &changes).await;
        let found = world.call(Some(1), "GET", "/public/v1/endpoints?status=degraded", None).await.json(200);
        assert_eq!((&found["items"][0]["id"], found["items"].as_array().unwrap().len()), (&json!(ids[4]), 1));
        let sorted = world.call(Some(1), "GET", "/public/v1/endpoints?sort=status", None).await.json(200);
        let sorted: Vec<_> = sorted["items"].as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
        assert_eq!(json!(sorted), json!(["down", "degraded", "pending", "up", "paused"]));
        assert_eq!(totals(1).await, json!({
            "total": 5, "up": 1, "degraded": 1, "down": 1, "pending": 1, "paused": 1,
            "tags": [{"tag": "shop", "count": 2}, {"tag": "eu", "count": 1}, {"tag": "가게", "count": 1}],
        }));
        world.call(None, "GET", "/public/v1/endpoint_totals", None).await.code(401);
    }

    async fn two_users_never_see_each_others(world: World) {
        let made = create(&world, 1, json!({"url": "https://example.com"})).await;
        let path = format!("/public/v1/endpoints/{}", made["id"]);
        for (method, body) in [("GET", None), ("PATCH", Some(json!({"name": "mine"}))), ("DELETE", None)] {
            assert_eq!(world.call(Some(2), method, &path, body).await.code(404), "NOT_FOUND");
        }
        let list = world.call(Some(2), "GET", "/public/v1/endpoints", None).await.json(200);
        assert_eq!(list["page"]["total_count"], 0);
        assert_eq!(world.call(Some(1), "GET", &path, None).await.json(200)["name"], "example.com");
    }

    async fn without_the_gateways_word_nobody_is_logged_in(world: World) {
        assert_eq!(world.call(None, "GET", "/public/v1/endpoints", None).await.code(401), "NOT_LOGGED_IN");
        let mut forged = http::Request::get("/public/v1/endpoints").body(axum::body::Body::empty()).unwrap();
        forged.headers_mut().insert("x-consumer-custom-id", "1".parse().unwrap());
        forged.headers_mut().insert("x-credential-identifier", "c".parse().unwrap());
        forged.headers_mut().insert("x-gateway-token", "guessed".parse().unwrap());
        let function = functions::find("endpoint-list").unwrap();
        let answer = tower::ServiceExt::oneshot(runtime::serve::router(function, world.context_of(function.name)), forged).await.unwrap();
        assert_eq!(answer.status(), 401);
    }

    async fn deleting_tells_the_others(world: World) {
        let made = create(&world, 1, json!({"url": "https://example.com", "enabled": false})).await;
        assert!(world.events.lock().unwrap().is_empty(), "a paused endpoint is not checked");
        let path = format!("/public/v1/endpoints/{}", made["id"]);
        world.call(Some(1), "DELETE", &path, None).await.json(204);
        assert_eq!(world.events.lock().unwrap().pop_front().unwrap().kind(), kind::ENDPOINT_DELETED);
        assert_eq!(world.call(Some(1), "DELETE", &path, None).await.code(404), "NOT_FOUND");
        assert_eq!(world.call(Some(1), "GET", &path, None).await.code(404), "NOT_FOUND");
    }

    async fn a_deletion_that_was_cut_off_is_finished(world: World) {
        let id = create(&world, 1, json!({"url": "https://example.com"})).await["id"].as_i64().unwrap();
        let gone = EndpointDeleted { endpoint_id: id, user_id: 1 };
        for _ in 0..2 {
            world.event("endpoint-forget", kind::ENDPOINT_DELETED, "e", &gone).await.json(202);
        }
        assert_eq!(world.call(Some(1), "GET", &format!("/public/v1/endpoints/{id}"), None).await.code(404), "NOT_FOUND");
    }

    async fn a_list_counts_right_whoever_adds_and_removes_at_once(world: World) {
        let world = &world;
        let add = |user| create(world, user, json!({"url": "https://example.com"}));
        let made = futures::future::join_all((0..10).map(|n| add(1 + n / 8))).await;
        let id = |n: usize| made[n]["id"].as_i64().unwrap();
        let count = async |user| {
            let list = world.call(Some(user), "GET", "/public/v1/endpoints?per_page=1", None).await.json(200);
            list["page"]["total_count"].as_i64().unwrap()
        };
        assert_eq!((count(1).await, count(2).await, count(3).await), (8, 2, 0));
        let remove = async |n: usize| {
            let gone = EndpointDeleted { endpoint_id: id(n), user_id: 1 };
            let path = format!("/public/v1/endpoints/{}", id(n));
            let deleted = world.call(Some(1), "DELETE", &path, None);
            let forgotten = world.event("endpoint-forget", kind::ENDPOINT_DELETED, "e", &gone);
            let (_, forgotten, _) = futures::join!(deleted, forgotten, add(1));
            forgotten.json(202);
        };
        futures::future::join_all([0, 1, 2].map(remove)).await;
        assert_eq!((count(1).await, count(2).await), (8, 2));
        world.event("endpoint-forget", kind::USER_DELETED, "u", &UserDeleted { user_id: 1 }).await;
        assert_eq!((count(1).await, count(2).await), (0, 2));
    }

    async fn ids_that_are_none_are_refused(world: World) {
        for id in ["0", "-1", "+1", "01", "x", "99999999999999999999", "1.5"] {
            let answer = world.call(Some(1), "GET", &format!("/public/v1/endpoints/{id}"), None).await;
            assert!(answer.json(400)["fields"]["id"].is_string(), "{id}");
        }
    }

    async fn a_status_change_that_comes_late_is_ignored(world: World) {
        let id = create(&world, 1, json!({"url": "https://example.com"})).await["id"].as_i64().unwrap();
        let status = async || {
            let path = format!("/public/v1/endpoints/{id}");
            world.call(Some(1), "GET", &path, None).await.json(200)["status"].clone()
        };
        let tell = async |change: StatusChange| {
            let answer = world.event("endpoint-observe", kind::STATUS_CHANGED, "c", &[change]).await;
            assert!(answer.status.is_success() && answer.body.is_empty(), "{answer:?}");
        };
        tell(change(&world, id, Status::Down, 100)).await;
        assert_eq!(status().await, "down");
        tell(change(&world, id, Status::Up, 200)).await;
        assert_eq!(status().await, "down");
        tell(change(&world, id, Status::Up, 50)).await;
        tell(change(&world, id, Status::Up, 50)).await;
        assert_eq!(status().await, "up");
        tell(change(&world, 999, Status::Up, 50)).await;
        let poison = world.event("endpoint-observe", kind::STATUS_CHANGED, "p", "nonsense").await;
        poison.code(400);
    }

    async fn a_user_who_is_gone_leaves_nothing_and_brings_nothing_back(world: World) {
        create(&world, 1, json!({"url": "https://example.com"})).await;
        create(&world, 2, json!({"url": "https://example.com"})).await;
        for _ in 0..2 {
            world.event("endpoint-forget", kind::USER_DELETED, "u", &UserDeleted { user_id: 1 }).await;
        }
        let left = world.call(None, "GET", "/private/v1/endpoints", None).await.json(200);
        assert_eq!((&left["page"]["total_count"], &left["items"][0]["user_id"]), (&json!(1), &json!(2)));
        let again = world.call(Some(1), "POST", "/public/v1/endpoints", Some(json!({"url": "https://example.com"}))).await;
        assert_eq!(again.code(401), "NOT_LOGGED_IN");
    }

    async fn other_functions_ask_by_owner_and_ids(world: World) {
        let mut ids = vec![];
        for user in [1, 1, 2] {
            ids.push(create(&world, user, json!({"url": "https://example.com"})).await["id"].as_i64().unwrap());
        }
        let count = async |query: String| {
            world.call(None, "GET", &format!("/private/v1/endpoints?{query}"), None).await.json(200)["page"]["total_count"].clone()
        };
        assert_eq!(count("user_id=1".into()).await, 2);
        assert_eq!(count(String::new()).await, 3);
        let briefs = async |ids: String| {
            world.call(None, "GET", &format!("/private/v1/endpoint_briefs?ids={ids}"), None).await.json(200)
        };
        let some = briefs(format!("{},{},999", ids[2], ids[0])).await;
        assert_eq!(some["found"], json!([ids[0], ids[2]]));
        let brief = json!({"id": ids[2], "user_id": 2, "name": "example.com", "url": "https://example.com",
            "status": "pending", "enabled": true, "revision": 1});
        assert_eq!(some["items"][1], brief);
        assert_eq!(briefs(String::new()).await, json!({"items": [], "found": []}));
        world.call(None, "GET", "/private/v1/endpoint_briefs?ids=1,x", None).await.code(400);
        let poison = "UPDATE endpoints SET status = 'of the future' WHERE id = $1";
        runtime::on!(world.context.db().unwrap().write(), db =>
            sqlx::query(poison).bind(ids[0]).execute(db).await.map(drop)).unwrap();
        let some = briefs(format!("{},{}", ids[0], ids[1])).await;
        assert_eq!((&some["found"], some["items"].as_array().unwrap().len()), (&json!(ids[..2]), 1));
        let one = world.call(None, "GET", &format!("/private/v1/endpoints/{}", ids[2]), None).await.json(200);
        assert_eq!(one["user_id"], 2);
        world.call(None, "GET", "/private/v1/endpoints/999", None).await.code(404);
    }
}

async fn the_quota_of_bytes_holds(database: Database) {
    let world = World::with(database, [("MAX_CHECK_BYTES_PER_MINUTE", "40000")]).await;
    let path = "/public/v1/endpoints";
    let body = |bytes: usize, interval: i64| {
        json!({
            "url": "https://example.com", "config": {"method": "POST", "body": "x".repeat(bytes)}, "interval_seconds": interval,
        })
    };
    let made = create(&world, 1, body(30_000, 60)).await;
    let refused = world.call(Some(1), "POST", path, Some(body(3_000, 10))).await;
    assert_eq!(refused.code(409), "TOO_MANY_CHECK_BYTES");
    create(&world, 1, body(3_000, 60)).await;
    create(&world, 2, body(30_000, 60)).await;
    let own = format!("{path}/{}", made["id"]);
    let refused = world.call(Some(1), "PATCH", &own, Some(json!({"interval_seconds": 30}))).await;
    assert_eq!(refused.code(409), "TOO_MANY_CHECK_BYTES");
    assert_eq!(world.call(Some(1), "GET", &own, None).await.json(200)["interval_seconds"], 60);
    world.call(Some(1), "PATCH", &own, Some(json!({"config": {"body": "short"}}))).await.json(200);
    create(&world, 1, body(30_000, 60)).await;
    world.call(Some(1), "DELETE", &own, None).await;
    let refused = world.call(Some(1), "POST", path, Some(body(30_000, 60))).await;
    assert_eq!(refused.code(409), "TOO_MANY_CHECK_BYTES");
}

#[tokio::test]
async fn the_quota_of_bytes_holds_on_sqlite() {
    the_quota_of_bytes_holds(Database::Sqlite).await;
}

#[tokio::test]
async fn the_quota_of_bytes_holds_on_postgres() {
    the_quota_of_bytes_holds(Database::Postgres).await;
}

async fn the_quota_of_stored_bytes_holds(database: Database) {
    let world = World::with(database, [("MAX_SETTINGS_BYTES_PER_USER", "40000")]).await;
    let path = "/public/v1/endpoints";
    // Checked so rarely that it causes almost no bytes per minute.
    let body = |bytes: usize| {
        json!({
            "url": "https://example.com", "config": {"method": "POST", "body": "x".repeat(bytes)}, "interval_seconds": 86400,
        })
    };
    let made = create(&world, 1, body(30_000)).await;
    let refused = world.call(Some(1), "POST", path, Some(body(10_000))).await;
    let said = refused.json(409);
    assert_eq!(said["code"], "TOO_MANY_SETTINGS_BYTES");
    assert!(said["fields"]["config"].as_str().unwrap().contains("40000 are allowed"), "{said}");
    create(&world, 2, body(30_000)).await;
    let small = create(&world, 1, body(5_000)).await;
    let small = format!("{path}/{}", small["id"]);
    let headers = json!({"config": {"body": "x".repeat(5_000), "headers": {"X-Long": "x".repeat(5_000)}}});
    let refused = world.call(Some(1), "PATCH", &small, Some(headers.clone())).await.json(409);
    assert!(refused["fields"]["config"].is_string(), "{refused}");
    world.call(Some(1), "PATCH", &small, Some(json!({"name": "renamed"}))).await.json(200);
    world
        .call(Some(1), "PATCH", &format!("{path}/{}", made["id"]), Some(json!({"config": null})))
        .await
        .json(200);
    world.call(Some(1), "PATCH", &small, Some(headers)).await.json(200);
    world.call(Some(1), "DELETE", &small, None).await;
    create(&world, 1, body(35_000)).await;
    world.call(Some(1), "POST", path, Some(body(5_000))).await.code(409);
}

#[tokio::test]
async fn the_quota_of_stored_bytes_holds_on_sqlite() {
    the_quota_of_stored_bytes_holds(Database::Sqlite).await;
}

#[tokio::test]
async fn the_quota_of_stored_bytes_holds_on_postgres() {
    the_quota_of_stored_bytes_holds(Database::Postgres).await;
}

async fn the_quota_holds(database: Database) {
    let world = World::with(database, [("MAX_ENDPOINTS_PER_USER", "3")]).await;
    let tries = (0..8).map(|_| {
        world.call(Some(1), "POST", "/public/v1/endpoints", Some(json!({"url": "https://example.com"})))
    });
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(refused.code(409), "TOO_MANY_ENDPOINTS");
    }
    create(&world, 2, json!({"url": "https://example.com"})).await;
}

#[tokio::test]
async fn the_quota_holds_on_sqlite() {
    the_quota_holds(Database::Sqlite).await;
}

#[tokio::test]
async fn the_quota_holds_on_postgres() {
    the_quota_holds(Database::Postgres).await;
}
