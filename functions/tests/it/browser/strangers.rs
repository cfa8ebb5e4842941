//! A status page in the browsers of its readers.

use serde_json::{Value, json};

use super::driver::{Browser, Visitor};
use crate::{
    story::{Engine, Story},
    world::Database,
};

/// Creates a page with everything that a page can have.
async fn publish(engine: &Engine, site: &str) {
    let client = reqwest::Client::new();
    let post = async |path: &str, key: &str, body: Value| -> Value {
        let request = client.post(format!("{}{path}", engine.url)).header("apikey", key).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    };
    let me = json!({"email": "me@example.com", "password": "a good password"});
    let me = post("/user-service/v1/signup", "", me).await;
    let key = me["key"].as_str().unwrap();
    let mut ids = Vec::new();
    for (name, url) in [
        ("Shop", site),
        ("AVeryLongNameWithoutAnySpaceThatNobodyWouldType".repeat(2).as_str(), "http://127.0.0.1:9/"),
    ] {
        let body =
            json!({"name": name, "url": url, "retries": 0, "failure_threshold": 1, "interval_seconds": 10});
        ids.push(post("/endpoint-service/v1/endpoints", key, body).await["id"].clone());
    }
    let page = json!({"slug": "shop", "title": "Shop status", "description": "Two\nlines",
        "groups": [{"name": "Website", "endpoint_ids": ids}]});
    let page = post("/status-service/v1/status_pages", key, page).await;
    let announcement = json!({"status_page_id": page["id"], "title": "Slow deliveries", "severity": "warning", "text": "ErrorPage."});
    post("/status-service/v1/announcements", key, announcement).await;
    let planned = json!({"title": "A new database", "starts_at": "2026-03-02T00:00:00Z", "ends_at": "2026-03-02T02:00:00Z"});
    post("/endpoint-service/v1/maintenances", key, planned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_page_is_read_by_everybody() {
    let mut story = Story::new(Database::Sqlite).await;
    let mut engine = story.home.start();
    publish(&engine, &story.site.url).await;
    let wide = Browser::start(&engine.url, Visitor::default()).await;
    for _ in 0..60 {
        wide.open("/status/shop").await;
        if wide.has(".banner.degraded").await {
            break;
        }
        story.home.advance(&mut engine, 20);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    wide.sees("Some services are down").await;
    wide.sees("One service is down").await;
    assert_eq!(wide.axe().await, Vec::<String>::new());
    wide.close().await;
    // A phone with a dark colour scheme, in Korean, without scripts.
    let phone = Visitor {
        width: 375,
        height: 800,
        dark: true,
        language: "ko-KR",
        script: false,
        ..Visitor::default()
    };
    let phone = Browser::start(&engine.url, phone).await;
    phone.open("/status/shop").await;
    phone.sees("일부 서비스에 장애가 있습니다").await;
    assert!(
        phone.has("noscript meta[http-equiv='refresh']").await
            || phone.has("meta[http-equiv='refresh']").await
    );
    phone.close().await;
    let phone = Visitor { width: 375, height: 800, dark: true, ..Visitor::default() };
    let phone = Browser::start(&engine.url, phone).await;
    phone.open("/status/shop").await;
    assert!(!phone.overflows().await);
    assert_eq!(phone.axe().await, Vec::<String>::new());
    phone.close().await;
    engine.stop();
}
