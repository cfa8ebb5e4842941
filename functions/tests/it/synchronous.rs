//! A broker that answers a publisher only when every subscriber, and those of their events, are done:
//! Knative's in-memory channel without `messaging.knative.dev/async-handler`. Even then, a slow target must
//! not block anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use pongpong::{Engine, Mode, Settings};
use runtime::Clock;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A server whose `/slow` answers when the test allows it.
struct Target {
    url: String,
    asked: Arc<AtomicUsize>,
    let_go: Arc<Semaphore>,
}

impl Target {
    async fn start() -> Self {
        let (asked, let_go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let slow = {
            let (asked, let_go) = (Arc::clone(&asked), Arc::clone(&let_go));
            async move || {
                asked.fetch_add(1, Ordering::SeqCst);
                let _ = let_go.acquire().await;
                "late"
            }
        };
        let app = Router::new().route("/slow", get(slow)).route("/good", get(async || "at once"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked, let_go }
    }
}

/// A user with a key.
struct Person {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl Person {
    async fn sign_up(engine: &Engine) -> Self {
        let client = reqwest::Client::new();
        let url = format!("http://{}", engine.address);
        let mut person = Self { client, url, key: String::new() };
        let account = json!({"email": "me@example.com", "password": "a good password"});
        person.post(201, "/user-service/v1/signup", &account).await;
        let login = person.post(200, "/user-service/v1/login", &account).await;
        person.key = login["key"].as_str().unwrap().to_owned();
        person
    }

    async fn post(&self, status: u16, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).header("apikey", &self.key).json(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        answer.json().await.unwrap()
    }

    async fn add(&self, name: &str, url: &str) {
        let endpoint = json!({"name": name, "url": url, "interval_seconds": 60, "timeout_ms": 60_000});
        self.post(201, "/endpoint-service/v1/endpoints", &endpoint).await;
    }

    /// Returns when this many endpoints are up and were checked at this time or later.
    async fn wait_for_up(&self, count: usize, since: &str) {
        let list = format!("{}/endpoint-service/v1/endpoints?per_page=100", self.url);
        let waiting = async {
            loop {
                let answer = self.client.get(&list).header("apikey", &self.key).send().await.unwrap();
                let list: Value = answer.json().await.unwrap();
                let is_up = |endpoint: &&Value| {
                    endpoint["status"] == "up"
                        && endpoint["last_checked_at"].as_str().is_some_and(|at| at >= since)
                };
                if list["items"].as_array().unwrap().iter().filter(is_up).count() == count {
                    return;
                }
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), waiting).await.is_err() {
            let answer = self.client.get(&list).header("apikey", &self.key).send().await.unwrap();
            panic!("{count} are not up: {}", answer.text().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_target_holds_up_nobody_and_no_check_is_cut_off() {
    runtime::install_crypto();
    let (target, data) = (Target::start().await, tempfile::tempdir().unwrap());
    let clock = Clock::manual("2026-03-01T12:00:30Z".parse().unwrap());
    let settings = Settings { clock: clock.clone(), broker: Mode::Synchronous, ..Settings::at(data.path()) };
    let engine = pongpong::start(settings).await.unwrap();
    let person = Person::sign_up(&engine).await;

    // Answered while its first check is under way.
    person.add("slow", &format!("{}/slow", target.url)).await;
    for n in 0..20 {
        person.add(&format!("good {n}"), &format!("{}/good", target.url)).await;
    }
    person.wait_for_up(20, "2026-03-01T12:00:30Z").await;

    // The next minute's checks are requested and made, although the broker answers for none of its batches.
    clock.advance(Duration::from_secs(35));
    engine.schedule_idle().await;
    clock.advance(Duration::from_secs(30));
    person.wait_for_up(20, "2026-03-01T12:01:00Z").await;

    // Both checks of the slow target are complete, and were made once.
    target.let_go.add_permits(Semaphore::MAX_PERMITS >> 1);
    person.wait_for_up(21, "2026-03-01T12:01:00Z").await;
    assert_eq!(target.asked.load(Ordering::SeqCst), 2);
    engine.stop().await.unwrap();
}
