use serde_json::{Value, json};

use super::SECRET;
use crate::world::{Database, World, on_both};

const PATH: &str = "/public/v1/notifications";

fn email(name: &str) -> Value {
    json!({"name": name, "kind": "email", "config": {"to": ["a@example.com"]}})
}

on_both! {
    async fn a_channel_is_added_shown_changed_and_removed(world: World) {
        world.with_endpoints();
        let mut created = world.call(Some(1), "POST", PATH, Some(json!({
            "name": "On call", "kind": "email", "config": {"to": ["a@example.com"]}, "endpoint_ids": [3, 1, 3],
        }))).await.json(201);
        // The warning about the confirmation email.
        created.as_object_mut().unwrap().remove("warning");
        assert_eq!(created["config"], json!({"to": ["a@example.com"]}));
        assert_eq!(created["endpoint_ids"], json!([1, 3]));
        assert_eq!((&created["enabled"], &created["kind"]), (&json!(true), &json!("email")));
        assert_eq!(created["created_at"], "2026-03-01T12:00:00Z");
        let path = format!("{PATH}/{}", created["id"]);
        let shown = world.call(Some(1), "GET", &path, None).await;
        assert_eq!(shown.json(200), created);
        assert_eq!(shown.headers["cache-control"], "no-store", "it is of one user");

        world.clock().advance(std::time::Duration::from_secs(5));
        let changed = json!({"name": "우리 가게", "endpoint_ids": null, "enabled": false, "kind": "email",
            "config": {"to": ["b@example.com", "c@example.com"]}});
        let changed = world.call(Some(1), "PATCH", &path, Some(changed)).await.json(200);
        assert_eq!((&changed["name"], &changed["endpoint_ids"]), (&json!("우리 가게"), &Value::Null));
        assert_eq!((&changed["enabled"], &changed["updated_at"]), (&json!(false), &json!("2026-03-01T12:00:05Z")));
        let same = world.call(Some(1), "PATCH", &path, Some(json!({}))).await.json(200);
        assert_eq!((&same["config"], &same["endpoint_ids"]), (&changed["config"], &Value::Null));
        let none = world.call(Some(1), "PATCH", &path, Some(json!({"endpoint_ids": []}))).await.json(200);
        assert_eq!(none["endpoint_ids"], json!([]));

        assert_eq!(world.call(Some(1), "DELETE", &path, None).await.status, 204);
        for method in ["GET", "DELETE"] {
            assert_eq!(world.call(Some(1), method, &path, None).await.code(404), "NOT_FOUND");
        }
        assert_eq!(world.call(Some(1), "PATCH", &path, Some(json!({}))).await.code(404), "NOT_FOUND");
    }

    async fn users_never_see_each_others(world: World) {
        world.with_endpoints();
        let mine = world.notification(1, email("mine")).await;
        let others = world.notification(2, email("other's")).await;
        let list = world.call(Some(1), "GET", PATH, None).await.json(200);
        assert_eq!(list["page"], json!({"current_page": 1, "total_count": 1, "per_page": 20}));
        assert_eq!(list["items"][0]["id"], mine);
        let path = format!("{PATH}/{others}");
        assert_eq!(world.call(Some(1), "GET", &path, None).await.code(404), "NOT_FOUND");
        assert_eq!(world.call(Some(1), "PATCH", &path, Some(json!({"name": "x"}))).await.code(404), "NOT_FOUND");
        assert_eq!(world.call(Some(1), "DELETE", &path, None).await.code(404), "NOT_FOUND");
        assert_eq!(world.call(Some(1), "POST", &format!("{path}/test"), None).await.code(404), "NOT_FOUND");
        for (method, path) in [("GET", PATH), ("POST", PATH), ("GET", &path), ("DELETE", &path)] {
            let body = (method == "POST").then(|| email("x"));
            assert_eq!(world.call(None, method, path, body).await.code(401), "NOT_LOGGED_IN");
        }

        let private = world.call(None, "GET", &format!("/private/v1/notifications/{others}"), None).await.json(200);
        assert_eq!((&private["user_id"], &private["name"]), (&json!(2), &json!("other's")));
        let all = world.call(None, "GET", "/private/v1/notifications", None).await.json(200);
        assert_eq!(all["page"]["total_count"], 2);
        let of_one = world.call(None, "GET", "/private/v1/notifications?user_id=2&page=1&per_page=1", None).await;
        assert_eq!(of_one.json(200)["items"][0]["id"], others);
        let missing = world.call(None, "GET", "/private/v1/notifications/999", None).await;
        assert_eq!(missing.code(404), "NOT_FOUND");
    }

    async fn bad_input_is_named(world: World) {
        world.with_endpoints();
        let with = |name: &str, value: Value| { let mut body = email("x"); body[name] = value; body };
        let many: Vec<i64> = (1..=1001).collect();
        for (body, field) in [
            (json!({}), "name"),
            (with("name", json!("")), "name"),
            (with("name", json!(" ")), "name"),
            (with("name", json!("\u{200B}\u{3164}")), "name"),
            (with("name", json!("a\nb")), "name"),
            (with("name", json!("x".repeat(101))), "name"),
            (with("kind", json!("pigeon")), "kind"),
            (with("config", json!(null)), "config"),
            (with("config", json!({"to": ["nobody"]})), "config.to[0]"),
            (with("config", json!({"url": "https://x.test/"})), "config.url"),
            (with("endpoint_ids", json!([11])), "endpoint_ids"),
            (with("endpoint_ids", json!([10])), "endpoint_ids"),
            (with("endpoint_ids", json!([-1, 1])), "endpoint_ids"),
            (with("endpoint_ids", json!(["1"])), "endpoint_ids[0]"),
            (with("endpoint_ids", json!(many)), "endpoint_ids"),
            (with("user_id", json!(2)), "user_id"),
            (with("enabled", json!("yes")), "enabled"),
        ] {
            let answer = world.call(Some(1), "POST", PATH, Some(body.clone())).await.json(400);
            assert!(answer["fields"][field].is_string(), "{body}: {answer}");
        }
        let id = world.notification(1, email("fine")).await;
        let path = format!("{PATH}/{id}");
        for (body, field) in [
            (json!({"kind": "slack"}), "kind"),
            (json!({"config": {"webhook_url": "https://x.test/"}}), "config.webhook_url"),
            (json!({"name": ""}), "name"),
            (json!({"endpoint_ids": [12]}), "endpoint_ids"),
        ] {
            let answer = world.call(Some(1), "PATCH", &path, Some(body.clone())).await.json(400);
            assert!(answer["fields"][field].is_string(), "{body}: {answer}");
        }
        for id in ["0", "-1", "x", "99999999999999999999"] {
            let answer = world.call(Some(1), "GET", &format!("{PATH}/{id}"), None).await.json(400);
            assert!(answer["fields"]["id"].is_string(), "{answer}");
        }
        world.stand_in("endpoint-private-list", |_| (503, json!({})));
        let answer = world.call(Some(1), "POST", PATH, Some(with("endpoint_ids", json!([1])))).await;
        assert_eq!(answer.code(503), "UNAVAILABLE");
    }

    async fn secrets_are_never_in_answers(world: World) {
        let slack = json!({"name": "s", "kind": "slack",
            "config": {"domain": "acme", "channel": "#ops", "token": "xoxb-1-2-verysecret9876"}});
        let hook = json!({"name": "h", "kind": "slack",
            "config": {"webhook_url": "https://hooks.slack.com/services/T0/B0/verysecret"}});
        let webhook = json!({"name": "w", "kind": "webhook", "config": {"url": "https://x.test/", "secret": SECRET}});
        for (body, shown) in [
            (slack, json!({"domain": "acme", "channel": "#ops", "token": "xoxb-…9876"})),
            (hook, json!({"webhook_url": "https://hooks.slack.com/…"})),
            (webhook, json!({"url": "https://x.test/", "secret": "whsec_…LaSw"})),
        ] {
            let created = world.call(Some(1), "POST", PATH, Some(body)).await.json(201);
            assert_eq!(created["config"], shown);
            let path = format!("{PATH}/{}", created["id"]);
            // Sending back the config as it was shown changes nothing.
            let patched = world.call(Some(1), "PATCH", &path, Some(json!({"config": shown}))).await.json(200);
            assert_eq!(patched["config"], shown);
            assert_eq!(world.call(Some(1), "GET", &path, None).await.json(200)["config"], shown);
            let private = format!("/private/v1/notifications/{}", created["id"]);
            assert_eq!(world.call(None, "GET", &private, None).await.json(200)["config"], shown);
        }
        let list = world.call(Some(1), "GET", PATH, None).await;
        let all = String::from_utf8(list.body.to_vec()).unwrap();
        assert!(!all.contains("verysecret") && !all.contains(SECRET), "{all}");
        let sealed: Vec<String> = runtime::on!(world.context.db().unwrap().read(), db =>
            sqlx::query_scalar("SELECT sealed_config FROM notifications").fetch_all(db).await).unwrap();
        assert!(sealed.iter().all(|text| text.starts_with("v1.") && !text.contains("secret")));
    }

    async fn a_webhooks_secret_is_shown_once(world: World) {
        let body = json!({"name": "w", "kind": "webhook", "config": {"url": "https://x.test/"}});
        let created = world.call(Some(1), "POST", PATH, Some(body)).await.json(201);
        let secret = created["config"]["secret"].as_str().unwrap();
        assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
        let again = world.call(Some(1), "GET", &format!("{PATH}/{}", created["id"]), None).await.json(200);
        let masked = again["config"]["secret"].as_str().unwrap();
        assert_eq!(masked, format!("whsec_…{}", &secret[46..]));
    }

    async fn a_request_that_is_sent_again_makes_no_second_notification(world: World) {
        let body = json!({"name": "w", "kind": "webhook", "config": {"url": "https://x.test/"}});
        let tries = (0..4).map(|_| world.post_once(1, PATH, "key-1", &body));
        let answers = futures::future::join_all(tries).await;
        let first = answers[0].json(201);
        // Every answer contains the secret, whichever arrives.
        assert!(answers.iter().all(|answer| answer.json(201) == first), "{answers:?}");
        assert_eq!(first["config"]["secret"].as_str().unwrap().len(), 50);
        world.clock().advance(std::time::Duration::from_secs(600));
        let later = world.post_once(1, PATH, "key-1", &body).await.json(201);
        assert_eq!((&later["id"], later["config"]["secret"].as_str().unwrap().contains('…')), (&first["id"], true));
        assert_ne!(world.post_once(2, PATH, "key-1", &body).await.json(201)["id"], first["id"]);
        let list = world.call(Some(1), "GET", PATH, None).await.json(200);
        assert_eq!(list["page"]["total_count"], 1);
        world.post_once(1, PATH, "a b", &body).await.code(400);
    }

    async fn there_is_room_for_a_hundred(world: World) {
        for at in 0..99 {
            world.notification(1, email(&format!("n{at}"))).await;
        }
        let add = || world.call(Some(1), "POST", PATH, Some(email("one more")));
        let statuses = futures::future::join_all([add(), add(), add()]).await;
        let mut statuses: Vec<u16> = statuses.iter().map(|a| a.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409]);
        assert_eq!(add().await.code(409), "TOO_MANY_NOTIFICATIONS");
        world.notification(2, email("another's")).await;
        let page = world.call(Some(1), "GET", &format!("{PATH}?page=5&per_page=24"), None).await.json(200);
        assert_eq!(page["items"].as_array().unwrap().len(), 4);
    }
}
