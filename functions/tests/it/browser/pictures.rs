//! `make screenshots`: the pictures of README and docs, from a real engine with three months of history.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::Uri};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    driver::{Browser, Visitor},
    history::{KINDS, results},
};
use crate::{
    story::{Engine, Story},
    world::Database,
};

const TOKEN: &str = "pictures-admin-token";

/// A user with three months of history.
struct Owner {
    client: reqwest::Client,
    url: String,
    admin: String,
    key: String,
    id: i64,
}

impl Owner {
    async fn sign_up(engine: &Engine) -> Self {
        let client = reqwest::Client::new();
        let body = json!({"email": "me@example.com", "password": "a good password"});
        let signup = format!("{}/user-service/v1/signup", engine.url);
        let answer: Value = client.post(signup).json(&body).send().await.unwrap().json().await.unwrap();
        Self {
            client,
            url: engine.url.clone(),
            admin: engine.admin.clone(),
            key: answer["key"].as_str().unwrap().to_owned(),
            id: answer["id"].as_i64().unwrap(),
        }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).header("apikey", &self.key).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    async fn past(&self, endpoint_id: i64, kind: &super::history::Kind, now: chrono::DateTime<chrono::Utc>) {
        for items in results(endpoint_id, self.id, kind, now).chunks(300) {
            let request = self.client.post(format!("{}/private/v1/reports", self.admin));
            let request = request.header("kong-admin-token", TOKEN).json(&json!({ "items": items }));
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        }
    }
}

fn path_of(name: &str) -> String {
    name.to_lowercase().replace([' ', '·'], "-")
}

/// The targets: each service has its own response time, and one of them can be broken.
struct Services {
    url: String,
    broken: Arc<AtomicBool>,
}

impl Services {
    async fn start() -> Self {
        let broken = Arc::<AtomicBool>::default();
        let is_broken = Arc::clone(&broken);
        let answer = async move |uri: Uri| {
            let kind = KINDS.iter().find(|kind| uri.path().trim_start_matches('/') == path_of(kind.name));
            tokio::time::sleep(Duration::from_millis(kind.map_or(1, |kind| kind.ms as u64))).await;
            let checkout = kind.is_some_and(|kind| kind.name == "Checkout API");
            if checkout && is_broken.load(Ordering::SeqCst) {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            }
        };
        // The same address in every picture, if it is free.
        let socket = match TcpListener::bind("127.0.0.1:9191").await {
            Ok(socket) => socket,
            Err(_) => TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let url = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(socket, Router::new().fallback(answer)).await });
        Self { url, broken }
    }
}

/// Creates endpoints with a history, one of them down now, and a user's other objects.
async fn furnish(story: &mut Story, engine: &mut Engine) -> Owner {
    let services = Services::start().await;
    let owner = Owner::sign_up(engine).await;
    let mut ids = Vec::new();
    for kind in &KINDS {
        let body = json!({
            "name": kind.name, "url": format!("{}/{}", services.url, path_of(kind.name)), "tags": kind.tags,
            "interval_seconds": 60, "retries": 0, "failure_threshold": 1,
        });
        let endpoint = owner.post("/endpoint-service/v1/endpoints", body).await;
        let id = endpoint["id"].as_i64().unwrap();
        owner.past(id, kind, story.home.now()).await;
        ids.push(id);
    }
    // An endpoint that is down: nothing listens there.
    let gone = json!({"name": "Legacy import", "url": "http://127.0.0.1:9/", "tags": ["internal"], "retries": 0, "failure_threshold": 1});
    owner.post("/endpoint-service/v1/endpoints", gone).await;
    let page = json!({
        "slug": "shop", "title": "Shop status", "description": "What our customers use, and how it is doing.",
        "groups": [
            {"name": "Storefront", "endpoint_ids": [ids[0], ids[2], ids[5], ids[7]]},
            {"name": "APIs", "endpoint_ids": [ids[1], ids[3], ids[4]]},
        ],
    });
    let page = owner.post("/status-service/v1/status_pages", page).await;
    let announcement = json!({
        "status_page_id": page["id"], "severity": "info", "title": "Search is being rebuilt",
        "text": "Results may be a few minutes old until this evening.",
    });
    owner.post("/status-service/v1/announcements", announcement).await;
    let now = story.home.now();
    let maintenance = json!({
        "title": "A new database for payments", "description": "Payments are queued meanwhile.", "endpoint_ids": [ids[4]],
        "starts_at": now + chrono::TimeDelta::hours(30), "ends_at": now + chrono::TimeDelta::hours(32),
    });
    owner.post("/endpoint-service/v1/maintenances", maintenance).await;
    let mail = json!({"name": "On call", "kind": "email", "config": {"to": ["oncall@example.com"]}});
    owner.post("/notification-service/v1/notifications", mail).await;
    owner.post("/status-service/v1/badges", json!({"endpoint_id": ids[0]})).await;
    // A closed incident, and rollups for long ranges.
    services.broken.store(true, Ordering::SeqCst);
    pass(story, engine, 4).await;
    services.broken.store(false, Ordering::SeqCst);
    pass(story, engine, 14).await;
    owner
}

async fn pass(story: &mut Story, engine: &mut Engine, minutes: usize) {
    for _ in 0..minutes * 2 {
        story.home.advance(engine, 30);
        // The engine is another process: its checks take real time.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

async fn take(browser: &Browser, path: &str, file: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    std::fs::create_dir_all(&folder).unwrap();
    browser.open(path).await;
    let picture = browser.client.screenshot().await.unwrap();
    std::fs::write(folder.join(file), picture).unwrap();
}

async fn visit(url: &str, visitor: Visitor) -> Browser {
    let browser = Browser::start(url, visitor).await;
    browser.open("/login").await;
    browser.fill("email", "me@example.com").await;
    browser.fill("password", "a good password").await;
    browser.find("main button").await.click().await.unwrap();
    browser.is_at("/dashboard").await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/images: make screenshots"]
async fn screenshots() {
    let mut story = Story::new(Database::Sqlite).await;
    story.home.settings.push(("KONG_ADMIN_TOKEN", TOKEN.to_owned()));
    // Three months of history are recorded at once.
    story.home.settings.push(("RETENTION_RAW_DAYS", "100".to_owned()));
    let mut engine = story.home.start();
    furnish(&mut story, &mut engine).await;

    let wide = Browser::start(&engine.url, Visitor { height: 760, ..Visitor::default() }).await;
    take(&wide, "/", "home.png").await;
    wide.close().await;
    let wide = visit(&engine.url, Visitor { height: 860, ..Visitor::default() }).await;
    take(&wide, "/dashboard?range=90d", "dashboard.png").await;
    take(&wide, "/notifications", "notifications.png").await;
    take(&wide, "/reports", "reports.png").await;
    wide.close().await;
    let tall = visit(&engine.url, Visitor { height: 1500, ..Visitor::default() }).await;
    take(&tall, "/endpoints/1?range=24h", "endpoint.png").await;
    take(&tall, "/status/shop", "status-page.png").await;
    tall.close().await;
    let dark =
        visit(&engine.url, Visitor { dark: true, height: 860, language: "ko-KR", ..Visitor::default() })
            .await;
    take(&dark, "/dashboard?range=90d", "dashboard-ko-dark.png").await;
    dark.close().await;
    let phone = visit(&engine.url, Visitor { width: 390, height: 844, ..Visitor::default() }).await;
    take(&phone, "/dashboard", "dashboard-phone.png").await;
    take(&phone, "/status/shop", "status-page-phone.png").await;
    phone.close().await;
    engine.stop();
}
