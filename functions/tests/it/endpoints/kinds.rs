//! Tests of check kinds: how an endpoint's kind handles its config and its secrets.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::Request};
use contract::{CheckRequest, CheckResult, CheckStatus, kind};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::crud::create;
use crate::world::{Database, World, on_both};

const SECRET: &str = "Bearer very-secret";

/// A target that keeps the `Authorization` of each request.
async fn keeper() -> (String, Arc<Mutex<Vec<String>>>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let app = Router::new().fallback(async move |request: Request| {
        let value = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        keep.lock().unwrap().push(value.unwrap_or_default());
        "hello"
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, kept)
}

/// The requested checks, and the text of their event.
fn asked(world: &World) -> (Vec<CheckRequest>, String) {
    let events = world.events.lock().unwrap().drain(..).collect::<Vec<_>>();
    let asked: Vec<_> = events.iter().filter(|event| event.kind() == kind::CHECK_REQUESTED).collect();
    let text = events.iter().map(|event| String::from_utf8_lossy(&event.body)).collect();
    (asked.iter().flat_map(|event| event.data::<Vec<CheckRequest>>()).collect(), text)
}

async fn checked(world: &World, requests: &[CheckRequest]) -> Vec<CheckResult> {
    world
        .event("check-run", kind::CHECK_REQUESTED, "batch-1", requests)
        .await
        .reply()
        .expect("results")
        .data()
}

async fn stored(world: &World, id: &Value) -> String {
    let db = world.context.db().unwrap();
    let sql = "SELECT config FROM endpoints WHERE id = $1";
    let id = id.as_i64();
    runtime::on!(db.read(), db => sqlx::query_scalar(sql).bind(id).fetch_one(db).await).unwrap()
}

on_both! {
    async fn a_secret_is_sealed_until_the_check_is_made(world: World) {
        let (url, kept) = keeper().await;
        let config = json!({"secret_headers": {"Authorization": SECRET}});
        let made = create(&world, 1, json!({"url": url, "config": config})).await;
        assert_eq!(made["config"]["secret_headers"], json!({"Authorization": "…"}));
        let at_rest = stored(&world, &made["id"]).await;
        let (requests, events) = asked(&world);
        for text in [&at_rest, &events] {
            assert!(text.contains("Authorization") && !text.contains("very-secret"), "{text}");
        }
        let results = checked(&world, &requests[..1]).await;
        assert_eq!(results[0].outcome.status, CheckStatus::Up, "{:?}", results[0].outcome);
        assert_eq!(kept.lock().unwrap().pop().as_deref(), Some(SECRET));
        let answer = world.call(Some(1), "POST", "/public/v1/checks", Some(json!({"endpoint_id": made["id"]}))).await;
        assert_eq!(answer.json(200)["status"], "up");
        assert_eq!(kept.lock().unwrap().pop().as_deref(), Some(SECRET));
        // A change is checked with the secrets that stay masked.
        let tried = json!({"endpoint_id": made["id"], "config": {"method": "POST", "secret_headers": {"Authorization": "…"}}});
        assert_eq!(world.call(Some(1), "POST", "/public/v1/checks", Some(tried)).await.json(200)["status"], "up");
        assert_eq!(kept.lock().unwrap().pop().as_deref(), Some(SECRET));
        let of_another = json!({"endpoint_id": made["id"], "config": {}});
        world.call(Some(2), "POST", "/public/v1/checks", Some(of_another)).await.code(404);
    }

    async fn a_masked_secret_stays_and_does_not_follow_to_another_server(world: World) {
        let config = json!({"secret_headers": {"Authorization": SECRET, "X-Key": "other"}});
        let made = create(&world, 1, json!({"url": "https://a.test/x", "config": config})).await;
        let path = format!("/public/v1/endpoints/{}", made["id"]);
        let patch = |body: Value| world.call(Some(1), "PATCH", &path, Some(body));
        let before = stored(&world, &made["id"]).await;
        // The same config again is no change: checks under way count.
        let same = patch(json!({"config": made["config"], "url": "https://a.test/x"})).await.json(200);
        assert_eq!(same["revision"], made["revision"]);
        assert_eq!(stored(&world, &made["id"]).await, before);
        patch(json!({"url": "https://a.test/y"})).await.json(200);
        assert_eq!(stored(&world, &made["id"]).await, before);
        for elsewhere in [json!({"url": "https://b.test/x"}), json!({"url": "https://a.test:8443/x"}), json!({"url": "http://a.test/x"})] {
            let refused = patch(elsewhere.clone()).await.json(400);
            assert!(refused["fields"]["config.secret_headers.Authorization"].is_string(), "{elsewhere}: {refused}");
        }
        // A server with many sites selects one by this header.
        let host = json!({"config": {"headers": {"Host": "b.test"}, "secret_headers": {"X-Key": "…"}}});
        let refused = patch(host).await.json(400);
        assert!(refused["fields"]["config.secret_headers.X-Key"].is_string(), "{refused}");
        let again = json!({"url": "https://b.test/x", "config": {"secret_headers": {"Authorization": "new"}}});
        let moved = patch(again).await.json(200);
        assert_eq!(moved["config"]["secret_headers"], json!({"Authorization": "…"}));
        assert_eq!(patch(json!({"config": null})).await.json(200)["config"].get("secret_headers"), None);
    }

    async fn a_secret_of_another_key_is_no_outage(world: World) {
        let config = json!({"secret_headers": {"Authorization": SECRET}});
        create(&world, 1, json!({"url": "http://127.0.0.1:1/", "config": config})).await;
        let (mut requests, _) = asked(&world);
        requests[0].target.config["secret_headers"]["Authorization"] = "v1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
        let results = checked(&world, &requests[..1]).await;
        assert_eq!(results[0].outcome.status, CheckStatus::Unknown);
        let failure = results[0].outcome.error.as_ref().unwrap();
        assert!(failure.message.contains("cannot be opened"), "{failure:?}");
    }

    async fn an_endpoint_with_a_secret_that_cannot_be_opened_is_changed_all_the_same(world: World) {
        let config = json!({"secret_headers": {"Authorization": SECRET}});
        let made = create(&world, 1, json!({"url": "https://a.test/", "config": config})).await;
        let path = format!("/public/v1/endpoints/{}", made["id"]);
        let patch = |body: Value| world.call(Some(1), "PATCH", &path, Some(body));
        let other = r#"{"secret_headers":{"Authorization":"v1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#;
        let db = world.context.db().unwrap();
        runtime::on!(db.write(), db => sqlx::query("UPDATE endpoints SET config = $1").bind(other).execute(db).await.map(drop)).unwrap();
        assert_eq!(patch(json!({"enabled": false})).await.json(200)["status"], "paused");
        assert_eq!(stored(&world, &made["id"]).await, other, "it stays as it is");
        let check = json!({"endpoint_id": made["id"]});
        let refused = world.call(Some(1), "POST", "/public/v1/checks", Some(check)).await.json(400);
        assert!(refused["fields"]["config"].is_string(), "{refused}");
        patch(json!({"config": {"secret_headers": {"Authorization": "new"}}})).await.json(200);
        assert_ne!(stored(&world, &made["id"]).await, other);
    }

    async fn a_named_kind_completes_a_bare_address(world: World) {
        let made = create(&world, 1, json!({"kind": "tcp", "url": "db.example.com:5432"})).await;
        assert_eq!(made["url"], "tcp://db.example.com:5432");
        let made = create(&world, 1, json!({"url": "tcp://b\u{fc}cher.example:5432"})).await;
        assert_eq!(made["name"], "xn--bcher-kva.example");
        let path = format!("/public/v1/endpoints/{}", made["id"]);
        let refused = world.call(Some(1), "PATCH", &path, Some(json!({"url": "gopher://x"}))).await.json(400);
        assert!(refused["fields"]["url"].as_str().unwrap().contains("tcp://"), "{refused}");
        let bad = json!({"url": "gopher://x", "interval_seconds": 1});
        let refused = world.call(Some(1), "POST", "/public/v1/endpoints", Some(bad)).await.json(400);
        assert!(refused["fields"]["url"].is_string() && refused["fields"]["interval_seconds"].is_string(), "{refused}");
    }

    async fn tcp_is_checked_from_its_url_alone(world: World) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let made = create(&world, 1, json!({"url": url})).await;
        assert_eq!((&made["kind"], &made["config"], &made["name"]), (&json!("tcp"), &json!({}), &json!("127.0.0.1")));
        let (requests, _) = asked(&world);
        let outcome = checked(&world, &requests[..1]).await.remove(0).outcome;
        assert_eq!((outcome.status, outcome.status_code), (CheckStatus::Up, None), "{:?}", outcome.error);
        assert!(outcome.ip.is_some());
        drop(listener);
        let outcome = checked(&world, &requests[..1]).await.remove(0).outcome;
        assert_eq!(outcome.status, CheckStatus::Down);
    }

    async fn the_kind_follows_the_url(world: World) {
        let made = create(&world, 1, json!({"url": "https://a.test", "config": {"method": "POST"}})).await;
        let path = format!("/public/v1/endpoints/{}", made["id"]);
        let patch = |body: Value| world.call(Some(1), "PATCH", &path, Some(body));
        let tcp = patch(json!({"url": "tcp://a.test:22"})).await.json(200);
        assert_eq!((&tcp["kind"], &tcp["config"], &tcp["retries"]), (&json!("tcp"), &json!({}), &json!(1)));
        let refused = patch(json!({"url": "https://a.test", "kind": "tcp"})).await.json(400);
        assert!(refused["fields"]["url"].as_str().unwrap().contains("tcp://"), "{refused}");
        let refused = patch(json!({"kind": "http"})).await.json(400);
        assert!(refused["fields"]["url"].as_str().unwrap().contains("https://"), "{refused}");
        assert_eq!(patch(json!({"url": "a.test:23"})).await.json(200)["url"], "tcp://a.test:23");
        let http = patch(json!({"url": "https://a.test:8080"})).await.json(200);
        assert_eq!((&http["kind"], &http["config"]["method"]), (&json!("http"), &json!("GET")));
    }

    async fn kinds_are_listed_with_fields_and_facts(world: World) {
        let list = world.call(Some(1), "GET", "/public/v1/endpoint_kinds", None).await.json(200);
        let kinds = list["items"].as_array().unwrap();
        let tcp = kinds.iter().find(|kind| kind["kind"] == "tcp").expect("tcp");
        assert_eq!(tcp["schemes"], json!(["tcp"]));
        let http = kinds.iter().find(|kind| kind["kind"] == "http").expect("http");
        let method = &http["fields"][0];
        assert_eq!((&method["name"], &method["input"], &method["default"]), (&json!("method"), &json!("choice"), &json!("GET")));
        let status = http["facts"].as_array().unwrap().iter().find(|fact| fact["name"] == "status").unwrap();
        assert!(status["comparisons"].as_array().unwrap().contains(&json!("less_than")));
    }
}
