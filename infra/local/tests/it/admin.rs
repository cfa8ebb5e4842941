//! The subset of Kong's Admin API.

use serde_json::{Value, json};

use crate::world::{World, send};

#[tokio::test]
async fn a_consumer_is_made_found_and_deleted() {
    let world = World::new().await;
    let new = json!({"username": "user-7", "custom_id": "7", "tags": ["a"]});
    let made = world.admin("POST", "/consumers", Some(new.clone())).await.json(201);
    assert_eq!(
        (&made["username"], &made["custom_id"], &made["tags"]),
        (&json!("user-7"), &json!("7"), &json!(["a"]))
    );
    let id = made["id"].as_str().unwrap();
    assert_eq!(id.len(), 36);

    let taken = world.admin("POST", "/consumers", Some(new)).await.json(409);
    assert_eq!((&taken["code"], &taken["name"]), (&json!(5), &json!("unique constraint violation")));

    let found = world.admin("GET", "/consumers?custom_id=7", None).await.json(200);
    assert_eq!((&found["data"][0]["id"], &found["next"]), (&json!(id), &Value::Null));
    let none = world.admin("GET", "/consumers?custom_id=8", None).await.json(200);
    assert_eq!(none["data"], json!([]));
    for name in ["user-7", id] {
        assert_eq!(world.admin("GET", &format!("/consumers/{name}"), None).await.json(200)["id"], id);
    }
    assert_eq!(world.admin("GET", "/consumers/7", None).await.message(404), "Not found");
    for _ in 0..2 {
        assert_eq!(world.admin("DELETE", "/consumers/user-7", None).await.json(204), Value::Null);
    }
    world.admin("GET", "/consumers/user-7", None).await.json(404);
}

#[tokio::test]
async fn consumers_are_paged() {
    let world = World::new().await;
    for n in 0..5 {
        world.admin("POST", "/consumers", Some(json!({"custom_id": n.to_string()}))).await.json(201);
    }
    let (mut path, mut seen) = ("/consumers?size=2".to_owned(), 0);
    loop {
        let page = world.admin("GET", &path, None).await.json(200);
        seen += page["data"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        path = next.to_owned();
    }
    assert_eq!(seen, 5);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let world = World::new().await;
    for body in [
        json!({}),
        json!({"username": ""}),
        json!({"username": 7}),
        json!({"username": "a", "unknown": 1}),
        json!([]),
    ] {
        let refused = world.admin("POST", "/consumers", Some(body.clone())).await.json(400);
        assert_eq!(refused["name"], "schema violation", "{body}");
    }
    let consumer = json!({"username": "a"});
    world.admin("POST", "/consumers", Some(consumer)).await.json(201);
    for body in [json!({"ttl": -1}), json!({"ttl": "1"}), json!({"ttl": 100_000_001}), json!({"key": ""})] {
        let refused = world.admin("POST", "/consumers/a/key-auth", Some(body.clone())).await.json(400);
        assert_eq!(refused["code"], 2, "{body}");
    }
    let address = world.engine.admin_address;
    let broken = send(address, "POST /consumers\ncontent-type: application/json", b"{").await;
    assert_eq!(broken.message(400), "Cannot parse JSON body");
    // What a web page of somebody else's could send without asking.
    let form = send(address, "POST /consumers\ncontent-type: text/plain", br#"{"username":"b"}"#).await;
    assert_eq!(form.message(400), "Cannot parse JSON body");
    let foreign = send(address, "GET /consumers\nHost: evil.example", b"").await;
    assert_eq!(foreign.message(403), "Forbidden");
    send(address, "GET /consumers\nHost: localhost:8001", b"").await.json(200);
    world.admin("PUT", "/consumers", None).await.json(405);
    assert_eq!(world.admin("GET", "/nothing", None).await.message(404), "Not found");
}

#[tokio::test]
async fn keys_are_made_listed_and_deleted() {
    let world = World::new().await;
    let id = world.key("user-7", "a key", Some(60)).await;
    world.admin("POST", "/consumers/nobody/key-auth", Some(json!({}))).await.json(404);
    let taken = world.admin("POST", "/consumers/user-7/key-auth", Some(json!({"key": "a key"}))).await;
    assert_eq!(taken.json(409)["fields"], json!({"key": "already exists"}));
    let made = world.admin("POST", "/consumers/user-7/key-auth", None).await.json(201);
    assert_eq!((made["key"].as_str().unwrap().len(), &made["ttl"]), (43, &Value::Null));

    world.pass(15.0).await;
    let keys = world.admin("GET", "/consumers/user-7/key-auth", None).await.json(200);
    assert_eq!((keys["data"].as_array().unwrap().len(), &keys["next"]), (2, &Value::Null));
    let listed = keys["data"].as_array().unwrap().iter().find(|key| key["id"] == json!(id)).unwrap();
    assert_eq!((&listed["ttl"], listed.get("key")), (&json!(45), None));

    world.key("user-8", "another's", None).await;
    world.admin("DELETE", &format!("/consumers/user-8/key-auth/{id}"), None).await;
    let left = async || {
        world.admin("GET", "/consumers/user-7/key-auth", None).await.json(200)["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(left().await, 2, "only its own consumer's key is deleted");
    world.admin("DELETE", &format!("/consumers/user-7/key-auth/{id}"), None).await.json(204);
    world.admin("DELETE", &format!("/consumers/user-7/key-auth/{id}"), None).await.json(204);
    assert_eq!(left().await, 1);
    world.admin("DELETE", "/consumers/nobody/key-auth/1", None).await.json(404);
}

#[tokio::test]
async fn a_key_is_not_kept_in_clear() {
    let world = World::new().await;
    world.key("user-7", "the-secret-of-this-key", None).await;
    let (data, path) = (world.data().path().to_owned(), world.data().path().join("engine.db"));
    for file in [path, data.join("engine.db-wal")] {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!bytes.windows(22).any(|w| w == b"the-secret-of-this-key"), "{}", file.display());
    }
}
