use std::time::Duration;

use contract::Status;
use serde_json::{Value, json};

use super::{list, parameter};
use crate::world::{Database, World, on_both};

const PATH: &str = "/public/v1/badges";
const NOW: &str = "2026-03-01T12:00:00Z";

fn stand_ins(world: &World) {
    world.stand_in("report-private-overview", |path| {
        let id: i64 = parameter(path, "endpoint_ids").parse().unwrap();
        let uptime = if parameter(path, "range") == "7d" { 98.5 } else { 100.0 };
        (
            200,
            json!({"range": "7d", "from": NOW, "to": NOW, "step_seconds": 60, "items": [{
                "endpoint_id": id, "checks": 10, "up": 9, "uptime_percent": uptime, "avg_ms": 120.5,
                "last": null, "buckets": [], "incidents": [],
            }]}),
        )
    });
    world.stand_in("maintenance-private-list", |_| (200, list(&[])));
}

on_both! {
    async fn a_badge_is_made_once_and_shows_until_it_is_removed(world: World) {
        stand_ins(&world);
        let id = world.watched(1, "Shop").await;
        let make = || world.call(Some(1), "POST", PATH, Some(json!({"endpoint_id": id})));
        let made = make().await.json(201);
        assert_eq!(make().await.json(200), made);
        let token = made["token"].as_str().unwrap();
        let show = |range: &str| format!("/public/v1/badge_data/{token}{range}");
        let shown = world.call(None, "GET", &show("?range=7d"), None).await;
        assert_eq!(shown.headers["cache-control"], "public, max-age=30");
        assert_eq!(shown.json(200), json!({
            "name": "Shop", "status": "pending", "range": "7d", "uptime_percent": 98.5, "avg_ms": 120.5,
        }));
        world.becomes(1, id, Status::Down).await;
        // Cached for some seconds.
        assert_eq!(world.call(None, "GET", &show("?range=7d"), None).await.json(200)["status"], "pending");
        world.clock().advance(Duration::from_secs(15));
        assert_eq!(world.call(None, "GET", &show("?range=7d"), None).await.json(200)["status"], "down");
        assert_eq!(world.call(None, "GET", &show(""), None).await.json(200)["range"], "24h");
        assert_eq!(world.call(None, "GET", &show("?range=1y"), None).await.code(400), "VALIDATION_FAILED");

        let listed = world.call(Some(1), "GET", PATH, None).await.json(200);
        assert_eq!(listed["items"], json!([made]));
        let other = world.call(Some(1), "GET", &format!("{PATH}?endpoint_id={}", id + 1), None).await.json(200);
        assert_eq!(other["items"], json!([]));
        assert_eq!(world.call(Some(1), "DELETE", &format!("{PATH}/{}", made["id"]), None).await.status, 204);
        world.clock().advance(Duration::from_secs(15));
        assert_eq!(world.call(None, "GET", &show(""), None).await.code(404), "NOT_FOUND");
        // A new badge has another token.
        assert_ne!(make().await.json(201)["token"], made["token"]);
    }

    async fn nobody_makes_or_sees_anothers(world: World) {
        let id = world.watched(1, "Shop").await;
        let body = || Some(json!({"endpoint_id": id}));
        for (user, id) in [(2, id), (1, id + 1), (1, 0), (1, -1)] {
            let error = world.call(Some(user), "POST", PATH, Some(json!({"endpoint_id": id}))).await.json(400);
            assert!(error["fields"]["endpoint_id"].is_string(), "{error}");
        }
        let made = world.call(Some(1), "POST", PATH, body()).await.json(201);
        let path = format!("{PATH}/{}", made["id"]);
        assert_eq!(world.call(Some(2), "DELETE", &path, None).await.code(404), "NOT_FOUND");
        assert_eq!(world.call(Some(2), "GET", PATH, None).await.json(200)["page"]["total_count"], 0);
        for (method, path, body) in [("GET", PATH, None), ("POST", PATH, body()), ("DELETE", &path, None)] {
            assert_eq!(world.call(None, method, path, body).await.code(401), "NOT_LOGGED_IN");
        }
        for token in ["x".to_owned(), "x".repeat(43), "%00".repeat(43)] {
            let shown = world.call(None, "GET", &format!("/public/v1/badge_data/{token}"), None).await;
            assert_eq!(shown.code(404), "NOT_FOUND");
        }
    }

    async fn what_was_not_checked_has_no_figures(world: World) {
        world.stand_in("report-private-overview", |_| {
            (200, json!({"range": "24h", "from": NOW, "to": NOW, "step_seconds": 60, "items": []}))
        });
        let now = world.clock().now();
        world.stand_in("maintenance-private-list", move |_| (200, list(&[json!({
            "id": 1, "user_id": 1, "title": "t", "description": "", "starts_at": now, "ends_at": now + chrono::TimeDelta::hours(1),
            "endpoint_ids": null, "status": "active", "created_at": now, "updated_at": now,
        })])));
        let id = world.watched(1, "Shop").await;
        let made = world.call(Some(1), "POST", PATH, Some(json!({"endpoint_id": id}))).await.json(201);
        let path = format!("/public/v1/badge_data/{}", made["token"].as_str().unwrap());
        let shown = world.call(None, "GET", &path, None).await.json(200);
        assert_eq!((&shown["uptime_percent"], &shown["avg_ms"]), (&Value::Null, &Value::Null));
        assert_eq!(shown["status"], "maintenance");
    }
}
