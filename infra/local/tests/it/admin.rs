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
    let token = format!("kong-admin-token: {}", world.admin_token());
    let head = format!("POST /consumers\ncontent-type: application/json\n{token}");
    let broken = send(address, &head, b"{").await;
    assert_eq!(broken.message(400), "Cannot parse JSON body");
    // A foreign web page could send this without a preflight.
    let head = format!("POST /consumers\ncontent-type: text/plain\n{token}");
    let form = send(address, &head, br#"{"username":"b"}"#).await;
    assert_eq!(form.message(400), "Cannot parse JSON body");
    let foreign = send(address, &format!("GET /consumers\nHost: evil.example\n{token}"), b"").await;
    assert_eq!(foreign.message(403), "Forbidden");
    send(address, &format!("GET /consumers\nHost: localhost:8001\n{token}"), b"").await.json(200);
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

#[tokio::test]
async fn nobody_is_answered_without_the_token() {
    let world = World::new().await;
    let almost = world.admin_token().replace(|_: char| true, "a");
    for (method, path) in [("GET", "/consumers"), ("POST", "/consumers"), ("GET", "/nothing")] {
        for header in
            ["x: y".to_owned(), "kong-admin-token: ".to_owned(), format!("kong-admin-token: {almost}")]
        {
            let head = format!("{method} {path}\ncontent-type: application/json\n{header}");
            let refused = send(world.engine.admin_address, &head, b"").await;
            assert_eq!(refused.message(401), "Invalid credentials. Token required", "{head}");
        }
    }
}

#[tokio::test]
async fn prometheus_is_answered_by_the_token_as_a_bearer() {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let engine = pongpong::start(pongpong::Settings::at(data.path())).await.unwrap();
    let token = engine.context().env().required("KONG_ADMIN_TOKEN").unwrap();
    let ask = async |header: &str| send(engine.admin_address, &format!("GET /metrics\n{header}"), b"").await;
    for wrong in [
        "x: y".to_owned(),
        "authorization: Bearer ".to_owned(),
        "authorization: Bearer nonsense".to_owned(),
        format!("authorization: Basic {token}"),
        format!("authorization: {token}"),
        format!("kong-admin-token: Bearer {token}"),
        format!("Host: evil.example\nauthorization: Bearer {token}"),
    ] {
        assert!([401, 403].contains(&ask(&wrong).await.status), "{wrong}");
    }
    for right in [format!("authorization: Bearer {token}"), format!("kong-admin-token: {token}")] {
        let answer = ask(&right).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4"));
    }
    // The public address is open to everyone: its answer names the right path.
    let elsewhere = send(engine.address, "GET /metrics", b"").await;
    assert_eq!(elsewhere.status, 404);
    assert!(elsewhere.body.contains("/report-service/v1/metrics"), "{}", elsewhere.body);
    // Partial metrics would look like deleted endpoints.
    engine.context().db().unwrap().close().await;
    assert!(ask(&format!("authorization: Bearer {token}")).await.status >= 500);
    engine.stop().await.unwrap();
}

/// The prober runs on this machine, and by default may request servers on it: that must not give a user who
/// enters an endpoint access to the admin API.
#[tokio::test]
async fn a_check_that_is_aimed_at_the_admin_api_gets_nothing() {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let engine = pongpong::start(pongpong::Settings::at(data.path())).await.unwrap();
    let ask = async |line: &str, key: &str, body: Value| {
        let head = format!("{line}\ncontent-type: application/json\napikey: {key}");
        send(engine.address, &head, body.to_string().as_bytes()).await
    };
    let signup = async |email: &str| {
        let new = json!({"email": email, "password": "a long password"});
        ask("POST /user-service/v1/signup", "", new).await.json(201)
    };
    let thief = signup("thief@example.com").await;
    let victim = signup("victim@example.com").await;
    let key = thief["key"].as_str().unwrap();
    let consumers = format!("http://{}/consumers", engine.admin_address);
    let aimed = json!({
        "url": format!("{consumers}/user-{}/key-auth", victim["id"]),
        "config": {
            "method": "POST",
            "headers": {"content-type": "application/json"},
            "body": r#"{"key":"stolen"}"#,
        },
    });
    let endpoint = ask("POST /endpoint-service/v1/endpoints", key, aimed).await.json(201);
    let check = "POST /endpoint-check/v1/checks";
    let checked = ask(check, key, json!({"endpoint_id": endpoint["id"]})).await.json(200);
    assert_eq!(checked["status_code"], 401, "{checked}");
    let checked = ask(check, key, json!({"url": consumers})).await.json(200);
    assert_eq!(checked["status_code"], 401, "{checked}");
    assert_eq!(ask("GET /user-service/v1/user", "stolen", Value::Null).await.status, 401);
    ask("GET /user-service/v1/user", victim["key"].as_str().unwrap(), Value::Null).await.json(200);
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_runs_it_reaches_the_private_api_and_so_the_dead_letters() {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let engine = pongpong::start(pongpong::Settings::at(data.path())).await.unwrap();
    let token = engine.context().env().required("KONG_ADMIN_TOKEN").unwrap();
    let ask = async |line: &str| {
        send(engine.admin_address, &format!("{line}\nkong-admin-token: {token}"), b"").await
    };
    let kind = "io.pongpong.check.requested.v1";
    let poison =
        runtime::Outgoing::new("check-schedule", kind, "1", engine.context().clock().now(), &"nonsense");
    engine.context().outbound().publish(poison.unwrap()).await.unwrap();
    engine.idle().await.unwrap();

    let letters = "/private/v1/dead_letters";
    let list = ask(&format!("GET {letters}?per_page=1")).await.json(200);
    let letter = &list["items"][0];
    assert_eq!((&letter["event_id"], &letter["replayed_at"]), (&json!("1"), &Value::Null), "{list}");
    let replay = format!("POST {letters}/{}/replay", letter["id"]);
    assert_eq!(ask(&replay).await.json(200), json!({"status": "ok"}));
    // The event still fails: it is delivered again and comes back. This test uses the real clock, so it waits
    // for retries.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        engine.idle().await.unwrap();
        let again = &ask(&format!("GET {letters}")).await.json(200)["items"][0];
        if again["received_at"].as_str() > letter["received_at"].as_str() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{again}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    assert_eq!(ask(&format!("PUT {letters}")).await.message(405), "Method not allowed");
    assert_eq!(ask("GET /public/v1/endpoints").await.message(404), "Not found");
    let line = format!("GET {letters}");
    assert_eq!(send(engine.admin_address, &line, b"").await.status, 401);
    assert_eq!(send(engine.address, &line, b"").await.status, 404);
    engine.stop().await.unwrap();
}
