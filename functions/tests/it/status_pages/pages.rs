use serde_json::{Value, json};

use super::PAGES;
use crate::world::{Database, World, on_both};

on_both! {
    async fn a_page_is_made_shown_changed_and_removed(world: World) {
        let (one, two) = (world.watched(1, "Shop").await, world.watched(1, "Search").await);
        let made = world.status_page(1, json!({
            "slug": "shop", "title": " Shop ", "description": "Two\r\nlines",
            "groups": [{"name": "Website", "endpoint_ids": [two, one]}, {"endpoint_ids": []}],
        })).await;
        assert_eq!((&made["slug"], &made["title"]), (&json!("shop"), &json!("Shop")));
        assert_eq!((&made["description"], &made["published"]), (&json!("Two\nlines"), &json!(true)));
        let groups = json!([{"name": "Website", "endpoint_ids": [two, one]}, {"name": "", "endpoint_ids": []}]);
        assert_eq!(made["groups"], groups);
        let path = format!("{PAGES}/{}", made["id"]);
        assert_eq!(world.call(Some(1), "GET", &path, None).await.json(200), made);

        world.clock().advance(std::time::Duration::from_secs(5));
        let change = json!({"title": "우리 가게", "published": false, "description": null});
        let changed = world.call(Some(1), "PATCH", &path, Some(change)).await.json(200);
        assert_eq!((&changed["title"], &changed["description"]), (&json!("우리 가게"), &json!("")));
        assert_eq!((&changed["slug"], &changed["groups"]), (&json!("shop"), &groups));
        assert_eq!((&changed["published"], &changed["updated_at"]), (&json!(false), &json!("2026-03-01T12:00:05Z")));
        let moved = world.call(Some(1), "PATCH", &path, Some(json!({"slug": null}))).await.json(200);
        assert_eq!(moved["slug"].as_str().unwrap().len(), 12);

        assert_eq!(world.call(Some(1), "DELETE", &path, None).await.status, 204);
        for method in ["GET", "DELETE"] {
            assert_eq!(world.call(Some(1), method, &path, None).await.code(404), "NOT_FOUND");
        }
        assert_eq!(world.call(Some(1), "PATCH", &path, Some(json!({}))).await.code(404), "NOT_FOUND");
    }

    async fn an_address_is_given_once(world: World) {
        let first = world.status_page(1, json!({"title": "A"})).await;
        let second = world.status_page(2, json!({"title": "B", "slug": "mine"})).await;
        let slug = first["slug"].as_str().unwrap();
        assert!(slug.len() == 12 && slug.bytes().all(|b| b.is_ascii_lowercase()), "{slug}");
        let again = json!({"title": "C", "slug": "mine"});
        assert_eq!(world.call(Some(1), "POST", PAGES, Some(again)).await.code(409), "SLUG_TAKEN");
        let path = format!("{PAGES}/{}", first["id"]);
        let taken = world.call(Some(1), "PATCH", &path, Some(json!({"slug": "mine"}))).await;
        assert_eq!(taken.code(409), "SLUG_TAKEN");
        let path = format!("{PAGES}/{}", second["id"]);
        world.call(Some(2), "PATCH", &path, Some(json!({"slug": "mine", "title": "same"}))).await.json(200);
    }

    async fn users_never_see_each_others(world: World) {
        let mine = world.status_page(1, json!({"title": "mine"})).await["id"].clone();
        let others = world.status_page(2, json!({"title": "other's"})).await["id"].clone();
        let list = world.call(Some(1), "GET", PAGES, None).await.json(200);
        assert_eq!(list["page"], json!({"current_page": 1, "total_count": 1, "per_page": 20}));
        assert_eq!(list["items"][0]["id"], mine);
        let path = format!("{PAGES}/{others}");
        assert_eq!(world.call(Some(1), "GET", &path, None).await.code(404), "NOT_FOUND");
        assert_eq!(world.call(Some(1), "PATCH", &path, Some(json!({"title": "x"}))).await.code(404), "NOT_FOUND");
        assert_eq!(world.call(Some(1), "DELETE", &path, None).await.code(404), "NOT_FOUND");
        for (method, path) in [("GET", PAGES), ("POST", PAGES), ("GET", &path), ("PATCH", &path), ("DELETE", &path)] {
            let body = ["POST", "PATCH"].contains(&method).then(|| json!({"title": "x"}));
            assert_eq!(world.call(None, method, path, body).await.code(401), "NOT_LOGGED_IN");
        }
    }

    async fn bad_input_is_named(world: World) {
        let own = world.watched(1, "Shop").await;
        let others = world.watched(2, "Other").await;
        let with = |name: &str, value: Value| { let mut body = json!({"title": "x"}); body[name] = value; body };
        let group = |ids: Value| json!([{"name": "g", "endpoint_ids": ids}]);
        let many: Vec<i64> = (1..=201).collect();
        let page = world.status_page(1, json!({"title": "x"})).await;
        let path = format!("{PAGES}/{}", page["id"]);
        for (body, field) in [
            (with("title", json!(" ")), "title"),
            (with("title", json!("\u{200C}\u{FEFF}")), "title"),
            (with("title", json!("a\nb")), "title"),
            (with("title", json!("x".repeat(101))), "title"),
            (with("description", json!("x".repeat(2001))), "description"),
            (with("description", json!("a\tb")), "description"),
            (with("slug", json!("ab")), "slug"),
            (with("slug", json!("-abc")), "slug"),
            (with("slug", json!("Abc")), "slug"),
            (with("slug", json!("a".repeat(64))), "slug"),
            (with("published", json!("yes")), "published"),
            (with("colour", json!("red")), "colour"),
            (with("groups", group(json!([own, own]))), "groups[0].endpoint_ids"),
            (with("groups", json!([{"endpoint_ids": [own]}, {"endpoint_ids": [own]}])), "groups[1].endpoint_ids"),
            (with("groups", group(json!([own, others]))), "groups[0].endpoint_ids"),
            (with("groups", group(json!([0]))), "groups[0].endpoint_ids"),
            (with("groups", group(json!([-1]))), "groups[0].endpoint_ids"),
            (with("groups", group(json!([i64::MAX]))), "groups[0].endpoint_ids"),
            (with("groups", group(json!(many))), "groups"),
            (with("groups", json!(vec![json!({"name": "g", "endpoint_ids": []}); 21])), "groups"),
            (with("groups", json!([{"name": "x".repeat(101), "endpoint_ids": []}])), "groups[0].name"),
        ] {
            for (method, path) in [("POST", PAGES), ("PATCH", path.as_str())] {
                let error = world.call(Some(1), method, path, Some(body.clone())).await.json(400);
                assert_eq!(error["code"], "VALIDATION_FAILED", "{body}");
                assert!(error["fields"][field].is_string(), "{field}: {error}");
            }
        }
        let missing = world.call(Some(1), "POST", PAGES, Some(json!({}))).await.json(400);
        assert!(missing["fields"]["title"].is_string(), "{missing}");
    }

    async fn two_hundred_endpoints_are_looked_up_and_not_twice(world: World) {
        let mut ids = Vec::new();
        for n in 0..200 {
            ids.push(world.watched(1, &format!("Shop {n}")).await);
        }
        let page = world.status_page(1, json!({"title": "x", "groups": [{"endpoint_ids": ids}]})).await;
        let path = format!("{PAGES}/{}", page["id"]);
        // Endpoints already on the page need no look-up: a page can be renamed even if other functions are
        // unavailable.
        world.stand_in("endpoint-private-list", |_| (503, json!({})));
        world.call(Some(1), "PATCH", &path, Some(json!({"title": "y"}))).await.json(200);
        let body = json!({"title": "z", "groups": [{"endpoint_ids": ids}]});
        assert_eq!(world.call(Some(1), "POST", PAGES, Some(body)).await.code(503), "UNAVAILABLE");
    }

    async fn there_are_bounds(world: World) {
        for n in 0..100 {
            world.status_page(1, json!({"title": n.to_string()})).await;
        }
        let one_more = || world.call(Some(1), "POST", PAGES, Some(json!({"title": "one more"})));
        assert_eq!(one_more().await.code(409), "TOO_MANY_STATUS_PAGES");
        world.status_page(2, json!({"title": "other's"})).await;
    }
}
