use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use chrono::{DateTime, TimeDelta, Utc};
use contract::Status;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{PAGES, list, parameter};
use crate::world::{Answer, Database, World, on_both};

const SHOWN: &str = "/public/v1/status/shop";

fn stand_ins(world: &World, maintenances: Vec<Value>) {
    let now = world.clock().now();
    world.stand_in("report-private-overview", move |path| {
        assert_eq!((parameter(path, "user_id"), parameter(path, "range")), ("1", "90d"));
        let ids: Vec<i64> =
            parameter(path, "endpoint_ids").split(',').map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() <= 100);
        let items: Vec<Value> = ids.into_iter().map(|id| overview(id, now)).collect();
        (200, overviews(now, &items))
    });
    world.stand_in("maintenance-private-list", move |_| (200, list(&maintenances)));
}

fn overviews(now: DateTime<Utc>, items: &[Value]) -> Value {
    json!({"range": "90d", "from": now, "to": now, "step_seconds": 86400, "items": items})
}

fn overview(id: i64, now: DateTime<Utc>) -> Value {
    json!({
        "endpoint_id": id, "checks": 2880, "up": 2879, "uptime_percent": 99.965, "avg_ms": 120.5,
        "last": {"checked_at": now, "status": "up", "total_ms": 90, "error": null},
        "buckets": [
            {"at": "2026-02-28T00:00:00Z", "checks": 1440, "up": 1439, "avg_ms": 118.2},
            {"at": "2026-03-01T00:00:00Z", "checks": 1440, "up": 1440, "avg_ms": 118.2},
        ],
        "incidents": [{
            "id": id, "endpoint_id": id, "started_at": now - TimeDelta::hours(id), "ended_at": null, "end_reason": null,
            "cause": {"code": "TIMEOUT", "message": "secret.test did not answer"},
        }],
    })
}

fn maintenance(now: DateTime<Utc>, title: &str, hours: (i64, i64), endpoint_ids: Value) -> Value {
    json!({
        "id": 1, "user_id": 1, "title": title, "description": "d", "starts_at": now + TimeDelta::hours(hours.0),
        "ends_at": now + TimeDelta::hours(hours.1), "endpoint_ids": endpoint_ids, "status": "active",
        "created_at": now, "updated_at": now,
    })
}

async fn shown(world: &World) -> Answer {
    world.call(None, "GET", SHOWN, None).await
}

on_both! {
    async fn a_page_shows_what_the_public_may_see(world: World) {
        let now = world.clock().now();
        let (one, two, hidden) = (world.watched(1, "Shop").await, world.watched(1, "Search").await, world.watched(1, "Hidden").await);
        stand_ins(&world, vec![
            maintenance(now, "ended", (-9, -8), json!([one])), maintenance(now, "not here", (-1, 1), json!([hidden])),
            maintenance(now, "planned", (1, 2), json!([one, hidden])), maintenance(now, "of all", (30, 31), Value::Null),
        ]);
        let page = world.status_page(1, json!({"slug": "shop", "title": "Shop", "groups": [
            {"name": "Website", "endpoint_ids": [two, one]},
        ]})).await;
        for (title, starts_at, ends_at) in [
            ("now", "2026-03-01T11:00:00Z", Value::Null), ("over", "2026-02-27T11:00:00Z", json!("2026-02-28T11:00:00Z")),
            ("long over", "2026-01-01T11:00:00Z", json!("2026-01-02T11:00:00Z")), ("soon", "2026-03-01T13:00:00Z", Value::Null),
        ] {
            let body = json!({"status_page_id": page["id"], "title": title, "starts_at": starts_at, "ends_at": ends_at});
            world.call(Some(1), "POST", "/public/v1/announcements", Some(body)).await.json(201);
        }
        world.becomes(1, one, Status::Up).await;
        world.becomes(1, two, Status::Down).await;
        let answer = shown(&world).await;
        let page = answer.json(200);
        assert_eq!((&page["status"], &page["generated_at"]), (&json!("partly_down"), &json!(now)));
        assert_eq!(page["groups"], json!([{"name": "Website", "endpoints": [
            {"name": "Search", "status": "down", "uptime_percent": 99.965, "avg_ms": 120.5,
                "days": [{"date": "2026-02-28", "checks": 1440, "up": 1439}, {"date": "2026-03-01", "checks": 1440, "up": 1440}]},
            {"name": "Shop", "status": "up", "uptime_percent": 99.965, "avg_ms": 120.5,
                "days": [{"date": "2026-02-28", "checks": 1440, "up": 1439}, {"date": "2026-03-01", "checks": 1440, "up": 1440}]},
        ]}]));
        assert_eq!(page["incidents"], json!([
            {"endpoint_name": "Shop", "started_at": "2026-03-01T11:00:00Z", "ended_at": null, "cause_code": "TIMEOUT"},
            {"endpoint_name": "Search", "started_at": "2026-03-01T10:00:00Z", "ended_at": null, "cause_code": "TIMEOUT"},
        ]));
        let titles = |list: &Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(titles(&page["announcements"]), ["now", "over"]);
        assert_eq!(titles(&page["maintenances"]), ["of all", "planned", "ended"]);
        assert_eq!(page["maintenances"][1], json!({
            "title": "planned", "description": "d", "starts_at": "2026-03-01T13:00:00Z", "ends_at": "2026-03-01T14:00:00Z",
            "announced_at": now, "status": "scheduled", "endpoint_names": ["Shop"],
        }));
        assert_eq!((&page["maintenances"][0]["endpoint_names"], &page["maintenances"][2]["status"]), (&Value::Null, &json!("ended")));
        // Endpoints' URLs, and endpoints that are not on the page, must stay private.
        let text = String::from_utf8_lossy(&answer.body);
        for secret in ["secret.test", "did not answer", "Hidden", "_id\"", "\"id\""] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }

    async fn statuses_are_told_as_the_public_sees_them(world: World) {
        let now = world.clock().now();
        let (one, two) = (world.watched(1, "Shop").await, world.watched(1, "Search").await);
        let groups = json!([{"endpoint_ids": [one, two]}]);
        world.status_page(1, json!({"slug": "shop", "title": "Shop", "groups": groups})).await;
        let look = async || {
            world.clock().advance(Duration::from_secs(15));
            let page = shown(&world).await.json(200);
            let statuses = page["groups"][0]["endpoints"].as_array().unwrap().iter().map(|e| e["status"].clone());
            (page["status"].clone(), statuses.collect::<Vec<_>>(), page["incidents"].as_array().unwrap().len())
        };
        stand_ins(&world, Vec::new());
        assert_eq!(look().await, (json!("unknown"), vec![json!("pending"), json!("pending")], 2));
        world.becomes(1, one, Status::Up).await;
        assert_eq!(look().await.0, "up");
        world.becomes(1, one, Status::Degraded).await;
        assert_eq!(look().await, (json!("degraded"), vec![json!("degraded"), json!("pending")], 2));
        world.becomes(1, one, Status::Up).await;
        stand_ins(&world, vec![maintenance(now, "m", (-1, 9), json!([two]))]);
        assert_eq!(look().await, (json!("maintenance"), vec![json!("up"), json!("maintenance")], 1));
        stand_ins(&world, Vec::new());
        world.becomes(1, one, Status::Down).await;
        assert_eq!(look().await.0, "partly_down");
        world.becomes(1, two, Status::Down).await;
        assert_eq!(look().await.0, "down");
        // It is unknown whether a paused endpoint is still down.
        let pause = Some(json!({"enabled": false}));
        world.call(Some(1), "PATCH", &format!("/public/v1/endpoints/{one}"), pause).await.json(200);
        assert_eq!(look().await, (json!("down"), vec![json!("paused"), json!("down")], 1));
        // Deleted, and still on the page for a moment.
        world.call(Some(1), "DELETE", &format!("/public/v1/endpoints/{two}"), None).await.json(204);
        assert_eq!(look().await, (json!("unknown"), vec![json!("paused")], 0));
    }

    async fn what_cannot_be_read_takes_no_page_away(world: World) {
        let now = world.clock().now();
        let (one, two) = (world.watched(1, "Shop").await, world.watched(1, "Search").await);
        let groups = json!([{"endpoint_ids": [one, two]}]);
        world.status_page(1, json!({"slug": "shop", "title": "Shop", "groups": groups})).await;
        let unreadable = json!({"id": 7, "title": 7});
        stand_ins(&world, vec![unreadable, maintenance(now, "m", (-1, 9), json!([one]))]);
        let poison = "UPDATE endpoints SET assertions = '[{\"type\":\"of the future\"}]' WHERE id = $1";
        runtime::on!(world.context.db().unwrap().write(), db =>
            sqlx::query(poison).bind(two).execute(db).await.map(drop)).unwrap();
        let page = shown(&world).await.json(200);
        assert_eq!(page["groups"][0]["endpoints"][0]["status"], "maintenance", "{page}");
    }

    async fn only_what_is_published_is_shown(world: World) {
        stand_ins(&world, Vec::new());
        let page = world.status_page(1, json!({"slug": "shop", "title": "Shop", "published": false})).await;
        assert_eq!(shown(&world).await.code(404), "NOT_FOUND");
        for slug in ["nothing-here", "UPPER", "x", "%00%00%00", "a%2Fb"] {
            let answer = world.call(None, "GET", &format!("/public/v1/status/{slug}"), None).await;
            assert_eq!(answer.code(404), "NOT_FOUND");
        }
        let path = format!("{PAGES}/{}", page["id"]);
        world.call(Some(1), "PATCH", &path, Some(json!({"published": true}))).await.json(200);
        assert_eq!(shown(&world).await.json(200)["groups"], json!([]));
        world.call(Some(1), "PATCH", &path, Some(json!({"published": false}))).await.json(200);
        world.clock().advance(Duration::from_secs(15));
        assert_eq!(shown(&world).await.code(404), "NOT_FOUND");
    }

    async fn a_page_is_fetched_once_for_many(world: World) {
        let id = world.watched(1, "Shop").await;
        let groups = json!([{"endpoint_ids": [id]}]);
        world.status_page(1, json!({"slug": "shop", "title": "Shop", "groups": groups})).await;
        stand_ins(&world, Vec::new());
        let now = world.clock().now();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        world.stand_in("report-private-overview", move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            (200, overviews(now, &[]))
        });
        let answers = futures::future::join_all((0..50).map(|_| shown(&world))).await;
        let first = answers[0].json(200);
        assert!(answers.iter().all(|answer| answer.json(200) == first));
        world.clock().advance(Duration::from_secs(14));
        shown(&world).await.json(200);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        world.clock().advance(Duration::from_secs(1));
        assert_ne!(shown(&world).await.json(200)["generated_at"], first["generated_at"]);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    async fn what_was_seen_is_not_sent_again(world: World) {
        stand_ins(&world, Vec::new());
        world.status_page(1, json!({"slug": "shop", "title": "Shop"})).await;
        let answer = shown(&world).await;
        assert_eq!(answer.headers["cache-control"], "public, max-age=30");
        assert_eq!(answer.headers["content-type"], "application/json");
        let etag = &answer.headers["etag"];
        let function = functions::find("status-page-show").unwrap();
        let router = runtime::serve::router(function, world.context_of("status-page-show"));
        for (seen, status) in [(etag.to_str().unwrap(), 304), ("W/\"x\", *", 304), ("\"another\"", 200)] {
            let request = Request::get(SHOWN).header("if-none-match", seen).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!((answer.status().as_u16(), &answer.headers()["etag"]), (status, etag));
        }
    }

    async fn all_is_well_is_never_said_of_what_is_not_known(world: World) {
        let id = world.watched(1, "Shop").await;
        let groups = json!([{"endpoint_ids": [id]}]);
        world.status_page(1, json!({"slug": "shop", "title": "Shop", "groups": groups})).await;
        for broken in ["endpoint-private-list", "report-private-overview", "maintenance-private-list"] {
            stand_ins(&world, Vec::new());
            world.stand_in("endpoint-private-list", move |_| (200, json!({"found": [id], "items": [{
                "id": id, "user_id": 1, "name": "Shop", "url": "https://shop.test/", "status": "up", "enabled": true,
                "revision": 1,
            }]})));
            let before = shown(&world).await.json(200);
            for (status, body) in [(503, json!({})), (404, json!({})), (200, json!({"items": 1}))] {
                world.stand_in(broken, move |_| (status, body.clone()));
                world.clock().advance(Duration::from_secs(15));
                // The last good copy, for five minutes.
                assert_eq!(shown(&world).await.json(200), before);
            }
            world.clock().advance(Duration::from_secs(300));
            assert_eq!(shown(&world).await.code(503), "UNAVAILABLE");
            world.clock().advance(Duration::from_secs(5));
        }
    }
}
