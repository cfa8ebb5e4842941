use serde_json::{Value, json};

use super::PAGES;
use crate::world::{Database, World, on_both};

const PATH: &str = "/public/v1/announcements";

on_both! {
    async fn an_announcement_is_made_changed_and_taken_back(world: World) {
        let page = world.status_page(1, json!({"title": "Shop"})).await["id"].clone();
        let body = json!({"status_page_id": page, "title": "Slow", "text": "Two\r\nlines"});
        let made = world.call(Some(1), "POST", PATH, Some(body)).await.json(201);
        assert_eq!((&made["title"], &made["text"]), (&json!("Slow"), &json!("Two\nlines")));
        assert_eq!((&made["severity"], &made["ends_at"]), (&json!("info"), &Value::Null));
        assert_eq!(made["starts_at"], "2026-03-01T12:00:00Z");
        let path = format!("{PATH}/{}", made["id"]);
        assert_eq!(world.call(Some(1), "GET", &path, None).await.json(200), made);

        let change = json!({"severity": "critical", "ends_at": "2026-03-01T13:00:00.123456789+00:00"});
        let changed = world.call(Some(1), "PATCH", &path, Some(change)).await.json(200);
        assert_eq!((&changed["severity"], &changed["title"]), (&json!("critical"), &json!("Slow")));
        assert_eq!(changed["ends_at"], "2026-03-01T13:00:00.123456Z");
        let open = world.call(Some(1), "PATCH", &path, Some(json!({"ends_at": null}))).await.json(200);
        assert_eq!((&open["ends_at"], &open["starts_at"]), (&Value::Null, &made["starts_at"]));

        assert_eq!(world.call(Some(1), "DELETE", &path, None).await.status, 204);
        for method in ["GET", "DELETE"] {
            assert_eq!(world.call(Some(1), method, &path, None).await.code(404), "NOT_FOUND");
        }
        assert_eq!(world.call(Some(1), "PATCH", &path, Some(json!({}))).await.code(404), "NOT_FOUND");
    }

    async fn they_are_listed_by_page_newest_first(world: World) {
        let (one, two) = (world.status_page(1, json!({"title": "A"})).await, world.status_page(1, json!({"title": "B"})).await);
        for (page, title, starts_at) in [
            (&one, "older", "2026-02-01T00:00:00Z"), (&two, "other", "2026-02-03T00:00:00Z"),
            (&one, "newer", "2026-02-02T00:00:00Z"),
        ] {
            let body = json!({"status_page_id": page["id"], "title": title, "starts_at": starts_at});
            world.call(Some(1), "POST", PATH, Some(body)).await.json(201);
        }
        let titles = async |path: String| -> Vec<Value> {
            let list = world.call(Some(1), "GET", &path, None).await.json(200);
            list["items"].as_array().unwrap().iter().map(|item| item["title"].clone()).collect()
        };
        assert_eq!(titles(PATH.to_owned()).await, ["other", "newer", "older"]);
        assert_eq!(titles(format!("{PATH}?status_page_id={}", one["id"])).await, ["newer", "older"]);
        assert_eq!(world.call(Some(1), "GET", &format!("{PATH}?status_page_id=0"), None).await.code(400), "VALIDATION_FAILED");
        // They are deleted with their page.
        world.call(Some(1), "DELETE", &format!("{PAGES}/{}", one["id"]), None).await.json(204);
        assert_eq!(titles(PATH.to_owned()).await, ["other"]);
    }

    async fn bad_input_and_others_pages_are_refused(world: World) {
        let own = world.status_page(1, json!({"title": "A"})).await["id"].clone();
        let others = world.status_page(2, json!({"title": "B"})).await["id"].clone();
        let good = json!({"status_page_id": own, "title": "x"});
        let made = world.call(Some(1), "POST", PATH, Some(good.clone())).await.json(201);
        let path = format!("{PATH}/{}", made["id"]);
        let with = |name: &str, value: Value| { let mut body = good.clone(); body[name] = value; body };
        for (body, field) in [
            (with("status_page_id", others), "status_page_id"),
            (with("status_page_id", json!(-1)), "status_page_id"),
            (with("title", json!("")), "title"),
            (with("title", json!("a\u{7}")), "title"),
            (with("text", json!("x".repeat(2001))), "text"),
            (with("severity", json!("awful")), "severity"),
            (with("starts_at", json!("soon")), "starts_at"),
            (with("starts_at", json!("0001-01-01T00:00:00Z")), "starts_at"),
            (with("ends_at", json!("2026-01-01T00:00:00Z")), "ends_at"),
        ] {
            for (method, path) in [("POST", PATH), ("PATCH", path.as_str())] {
                let error = world.call(Some(1), method, path, Some(body.clone())).await.json(400);
                assert!(error["fields"][field].is_string(), "{method} {field}: {error}");
            }
        }
        for (method, body) in [("GET", None), ("PATCH", Some(json!({"title": "y"}))), ("DELETE", None)] {
            assert_eq!(world.call(Some(2), method, &path, body.clone()).await.code(404), "NOT_FOUND");
            assert_eq!(world.call(None, method, &path, body).await.code(401), "NOT_LOGGED_IN");
        }
        assert_eq!(world.call(None, "POST", PATH, Some(good)).await.code(401), "NOT_LOGGED_IN");
        let list = world.call(Some(2), "GET", PATH, None).await.json(200);
        assert_eq!(list["page"]["total_count"], 0);
    }
}
