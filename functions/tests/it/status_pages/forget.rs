use contract::{EndpointDeleted, UserDeleted, kind};
use serde_json::json;

use super::PAGES;
use crate::world::{Database, World, on_both};

on_both! {
    async fn a_deleted_endpoint_leaves_pages_and_badges(world: World) {
        let (one, two) = (world.watched(1, "A").await, world.watched(1, "B").await);
        let groups = json!([{"name": "g", "endpoint_ids": [one, two]}]);
        let page = world.status_page(1, json!({"title": "x", "groups": groups})).await;
        for id in [one, two] {
            world.call(Some(1), "POST", "/public/v1/badges", Some(json!({"endpoint_id": id}))).await.json(201);
        }
        let gone = EndpointDeleted { endpoint_id: one, user_id: 1 };
        for _ in 0..2 {
            world.event("status-forget", kind::ENDPOINT_DELETED, "x", &gone).await.json(202);
        }
        let page = world.call(Some(1), "GET", &format!("{PAGES}/{}", page["id"]), None).await.json(200);
        assert_eq!(page["groups"], json!([{"name": "g", "endpoint_ids": [two]}]));
        let badges = world.call(Some(1), "GET", "/public/v1/badges", None).await.json(200);
        assert_eq!((&badges["page"]["total_count"], &badges["items"][0]["endpoint_id"]), (&json!(1), &json!(two)));
    }

    async fn a_deleted_user_leaves_nothing_and_makes_nothing(world: World) {
        let id = world.watched(1, "A").await;
        let page = world.status_page(1, json!({"title": "x"})).await;
        let others = world.status_page(2, json!({"title": "x"})).await;
        let announcement = json!({"status_page_id": page["id"], "title": "x"});
        world.call(Some(1), "POST", "/public/v1/announcements", Some(announcement.clone())).await.json(201);
        world.call(Some(1), "POST", "/public/v1/badges", Some(json!({"endpoint_id": id}))).await.json(201);
        for _ in 0..2 {
            world.event("status-forget", kind::USER_DELETED, "x", &UserDeleted { user_id: 1 }).await.json(202);
        }
        for path in [PAGES, "/public/v1/announcements", "/public/v1/badges"] {
            let list = world.call(Some(1), "GET", path, None).await.json(200);
            assert_eq!(list["page"]["total_count"], 0, "{path}");
        }
        world.call(Some(2), "GET", &format!("{PAGES}/{}", others["id"]), None).await.json(200);
        // A key that the gateway still accepts must not create objects again.
        assert_eq!(world.call(Some(1), "POST", PAGES, Some(json!({"title": "x"}))).await.code(401), "NOT_LOGGED_IN");
        let badge = world.call(Some(1), "POST", "/public/v1/badges", Some(json!({"endpoint_id": id}))).await;
        assert_eq!(badge.code(401), "NOT_LOGGED_IN");
        let announcement = world.call(Some(1), "POST", "/public/v1/announcements", Some(announcement)).await;
        assert_eq!(announcement.code(400), "VALIDATION_FAILED");
    }

    async fn an_event_that_is_not_whole_deletes_nothing(world: World) {
        let page = world.status_page(1, json!({"title": "x"})).await;
        for (kind, data) in [
            (kind::ENDPOINT_DELETED, json!({"user_id": 1})),
            (kind::USER_DELETED, json!({"endpoint_id": 1})),
            (kind::USER_DELETED, json!([])),
            (kind::STATUS_CHANGED, json!({"user_id": 1})),
        ] {
            assert_eq!(world.event("status-forget", kind, "x", &data).await.status, 400);
        }
        world.call(Some(1), "GET", &format!("{PAGES}/{}", page["id"]), None).await.json(200);
    }
}
