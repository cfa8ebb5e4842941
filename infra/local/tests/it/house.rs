//! An engine with pongpong's own functions, whose checks can be held back.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, extract::State, routing::post};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use contract::{CheckRequest, kind};
use functions::checks::run;
use http::{HeaderMap, Request};
use pongpong::{Engine, Settings};
use runtime::{Clock, Context, Function, Outgoing};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, MutexGuard, watch},
};
use tower::ServiceExt;

use crate::world::{send, telemetry};

/// Holds check requests back, and records their scheduled times.
struct Hold {
    held: watch::Sender<bool>,
    times: watch::Sender<BTreeSet<DateTime<Utc>>>,
}

impl Hold {
    fn of(context: &Context) -> Arc<Self> {
        let new = || Self { held: watch::Sender::new(false), times: watch::Sender::default() };
        context.shared(|_| Ok(new())).unwrap()
    }

    async fn pass(&self, requests: &[CheckRequest]) {
        self.times.send_modify(|times| times.extend(requests.iter().map(|request| request.scheduled_at)));
        // Cannot fail: `self` holds the sender.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
    }
}

/// `check-run`, which begins when the test allows it.
const HELD: Function = Function {
    trigger: Some(|| {
        post(async |State(context): State<Context>, headers: HeaderMap, body: Bytes| {
            Hold::of(&context).pass(&serde_json::from_slice::<Vec<_>>(&body).unwrap()).await;
            let mut request = Request::post("/").body(Body::from(body)).unwrap();
            *request.headers_mut() = headers;
            let run = Router::new().route("/", run::FUNCTION.trigger.unwrap()()).with_state(context);
            run.oneshot(request).await
        })
    }),
    ..run::FUNCTION
};

/// All tests of this process share their metrics, so they run one by one.
static ONE_BY_ONE: Mutex<()> = Mutex::const_new(());

pub struct House {
    pub engine: Engine,
    pub clock: Clock,
    key: String,
    site: Site,
    _data: tempfile::TempDir,
    _only: MutexGuard<'static, ()>,
}

impl House {
    pub async fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap()).await
    }

    pub async fn at(data: tempfile::TempDir) -> Self {
        runtime::install_crypto();
        telemetry();
        let only = ONE_BY_ONE.lock().await;
        let functions = functions::ALL.iter().map(|f| if f.name == HELD.name { HELD } else { *f });
        let functions: Vec<_> = functions.collect();
        let clock = Clock::manual("2026-03-01T12:00:30Z".parse::<DateTime<Utc>>().unwrap());
        let settings =
            Settings { functions: functions.leak(), clock: clock.clone(), ..Settings::at(data.path()) };
        let engine = pongpong::start(settings).await.unwrap();
        let site = Site::start().await;
        let mut house = Self { engine, clock, key: String::new(), site, _data: data, _only: only };
        let somebody = json!({"email": "me@example.com", "password": "a good password"});
        house.key =
            house.ask("POST /user-service/v1/signup", &somebody).await["key"].as_str().unwrap().to_owned();
        house
    }

    async fn ask(&self, line: &str, body: &Value) -> Value {
        let head = format!("{line}\ncontent-type: application/json\napikey: {}", self.key);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = send(self.engine.address, &head, body.as_bytes()).await;
        assert!((200..300).contains(&answer.status), "{line}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The number of results, and the number of missed checks.
    async fn seen(&self) -> (i64, i64) {
        let reports = self.ask("GET /report-service/v1/reports", &Value::Null).await;
        // The admin API has no rate limit.
        let token = self.engine.context().env().required("KONG_ADMIN_TOKEN").unwrap();
        let head = format!("GET /private/v1/endpoints\nkong-admin-token: {token}");
        let endpoints = send(self.engine.admin_address, &head, b"").await.json(200);
        let number = |value: &Value| value.as_i64().unwrap();
        (number(&reports["page"]["total_count"]), number(&endpoints["items"][0]["missed_checks"]))
    }

    /// Adds an endpoint that is checked every ten seconds, and waits until its checks are requested.
    pub async fn add(&self) {
        self.add_unasked().await;
        self.asked_until(self.clock.now() + TimeDelta::seconds(25)).await;
    }

    /// Adds the endpoint without waiting.
    pub async fn add_unasked(&self) {
        let body = json!({"url": self.site.url, "interval_seconds": 10});
        self.ask("POST /endpoint-service/v1/endpoints", &body).await;
    }

    /// Requests this many checks of another owner's endpoints. Their scheduled time is in the future, so they
    /// wait.
    pub async fn ask_for(&self, owner: i64, count: i64, source: &str) {
        let settings = functions::endpoints::Settings::of_url(&self.site.url).unwrap();
        let scheduled_at = (self.clock.now() + TimeDelta::seconds(20)).timestamp();
        let publish = (0..count).map(async |n| {
            let request = settings.request(owner * 10_000 + n, owner, scheduled_at, 1);
            let id = format!("{owner}-{n}");
            let event =
                Outgoing::new(source, kind::CHECK_REQUESTED, id, self.clock.now(), &[request]).unwrap();
            let event = event.with_extension("owners", &owner.to_string());
            self.engine.context().outbound().publish(event).await.unwrap();
        });
        futures::future::join_all(publish).await;
    }

    pub fn hold(&self, held: bool) {
        Hold::of(self.engine.context()).held.send_replace(held);
    }

    /// Sets the clock, and waits until the checks of the following minute are requested.
    pub async fn comes(&self, time: &str) {
        let time: DateTime<Utc> = format!("2026-03-01T{time}Z").parse().unwrap();
        self.clock.set(time);
        self.engine.schedule_idle().await;
        self.asked_until(time + TimeDelta::seconds(50)).await;
    }

    async fn asked_until(&self, scheduled_at: DateTime<Utc>) {
        let mut asked = Hold::of(self.engine.context()).times.subscribe();
        asked.wait_for(|times| times.last() >= Some(&scheduled_at)).await.unwrap();
    }

    /// The number of due checks whose successor is due too, and of due checks that are the newest.
    pub fn due(&self, interval: i64) -> (usize, usize) {
        let (now, times) = (self.clock.now(), Hold::of(self.engine.context()).times.borrow().clone());
        let due = times.into_iter().filter(|scheduled_at| *scheduled_at <= now);
        let (stale, new): (Vec<_>, Vec<_>) =
            due.partition(|scheduled_at| now - scheduled_at >= TimeDelta::seconds(interval));
        (stale.len(), new.len())
    }

    /// The number of requests that the endpoint received.
    pub fn hits(&self) -> usize {
        self.site.hits.load(Ordering::SeqCst)
    }

    /// Sets whether the endpoint answers.
    pub fn answers(&self, answers: bool) {
        self.site.answers.send_replace(answers);
    }

    /// Waits for this number of results and of missed checks.
    pub async fn until(&self, expected: (i64, i64)) {
        let mut seen = (0, 0);
        for _ in 0..1_000 {
            seen = self.seen().await;
            if seen == expected {
                return;
            }
        }
        panic!("{seen:?} instead of {expected:?}")
    }
}

struct Site {
    url: String,
    hits: Arc<AtomicUsize>,
    answers: watch::Sender<bool>,
}

impl Site {
    async fn start() -> Self {
        let (hits, answers) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(true));
        let (hit, may_answer) = (Arc::clone(&hits), answers.clone());
        let app = Router::new().fallback(async move || {
            hit.fetch_add(1, Ordering::SeqCst);
            let _ = may_answer.subscribe().wait_for(|answers| *answers).await;
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, hits, answers }
    }
}
