//! An engine with small functions that record their requests and give the answers that a test chooses.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    routing::{any, post},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use pongpong::{
    Engine, Settings,
    wiring::{File, Files},
};
use runtime::{Clock, Context, Env, Function, Outgoing, Routes, Subscription};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

const NONE: &[Subscription] = &[];

macro_rules! subscriber {
    ($name:literal) => {
        Function::new($name, "test", "a test").on(NONE, || {
            post(async |State(context): State<Context>, headers: HeaderMap, body: Bytes| {
                Script::of(&context).play($name, headers, body).await
            })
        })
    };
}

pub static FUNCTIONS: &[Function] = &[
    Function::new("echo", "test", "says what it was asked")
        .without_database()
        .http(Routes::undescribed(|| Router::new().route("/{*path}", any(echo)).route("/", any(echo)))),
    Function::new("strangers", "test", "waits for a server of its caller's")
        .without_database()
        .asks_strangers()
        .http(Routes::undescribed(|| Router::new().route("/{*path}", any(echo)))),
    subscriber!("first"),
    subscriber!("second"),
    subscriber!("dead-letter"),
    subscriber!("ticker"),
];

/// Requests of `/test/v1/hang`, which are never answered.
pub static HANGING: AtomicUsize = AtomicUsize::new(0);

/// Requests of `/test/v1/connections`, each of which takes all the database connections that it can get.
pub static WAITING: AtomicUsize = AtomicUsize::new(0);
pub static TAKING: AtomicUsize = AtomicUsize::new(0);

pub const LARGE: usize = 15 << 20;

/// Answers with the received request, so that a test can see what passed the gateway.
async fn echo(State(context): State<Context>, request: Request) -> axum::Json<Value> {
    let (parts, body) = request.into_parts();
    match parts.uri.path() {
        "/test/v1/hang" => {
            HANGING.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        "/strangers/v1/wait" => {
            WAITING.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        "/test/v1/connections" => {
            TAKING.fetch_add(1, Ordering::SeqCst);
            let mut held = Vec::new();
            let runtime::db::On::Sqlite(pool) = context.db().unwrap().read() else { panic!("SQLite") };
            while let Ok(connection) = pool.acquire().await {
                held.push(connection);
            }
            std::future::pending::<()>().await;
        }
        "/test/v1/large" => return axum::Json("x".repeat(LARGE).into()),
        _ => {}
    }
    let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
    let mut headers = serde_json::Map::new();
    for (name, value) in &parts.headers {
        headers.insert(name.to_string(), String::from_utf8_lossy(value.as_bytes()).into());
    }
    axum::Json(json!({
        "method": parts.method.as_str(), "uri": parts.uri.to_string(), "headers": headers, "length": length,
    }))
}

/// A function's answer.
#[derive(Clone, Debug)]
pub struct Line {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Answers only when the test opens this gate.
    pub gate: Option<Arc<Semaphore>>,
    /// Panics when its body is read.
    pub breaks: bool,
}

pub fn status(status: u16) -> Line {
    Line { status, headers: HeaderMap::new(), body: Bytes::new(), gate: None, breaks: false }
}

pub fn says(status: u16, body: &'static str) -> Line {
    Line { body: Bytes::from_static(body.as_bytes()), ..self::status(status) }
}

pub fn breaks() -> Line {
    Line { breaks: true, ..status(200) }
}

pub fn gated(gate: &Arc<Semaphore>) -> Line {
    Line { gate: Some(Arc::clone(gate)), ..status(202) }
}

pub fn replies(kind: &str, id: &str) -> Line {
    let event = Outgoing::new("test", kind, id, DateTime::UNIX_EPOCH, &1).unwrap();
    let (parts, body) = event.into_request().unwrap().into_parts();
    Line { headers: parts.headers, body, ..status(200) }
}

#[derive(Clone, Debug)]
pub struct Call {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Recorded calls and planned answers by function. Without a planned answer, a function answers 202.
#[derive(Default)]
pub struct Script {
    lines: Mutex<HashMap<&'static str, VecDeque<Line>>>,
    calls: Mutex<HashMap<&'static str, Vec<Call>>>,
    called: tokio::sync::Notify,
}

impl Script {
    fn of(context: &Context) -> Arc<Self> {
        context.shared(|_| Ok(Self::default())).unwrap()
    }

    async fn play(&self, name: &'static str, headers: HeaderMap, body: Bytes) -> Response<Body> {
        self.calls.lock().unwrap().entry(name).or_default().push(Call { headers, body });
        self.called.notify_waiters();
        let line = self.lines.lock().unwrap().get_mut(name).and_then(VecDeque::pop_front);
        let line = line.unwrap_or_else(|| status(202));
        if let Some(gate) = line.gate {
            gate.acquire().await.unwrap().forget();
        }
        let body = if line.breaks { broken_body() } else { Body::from(line.body) };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(line.status).unwrap();
        *response.headers_mut() = line.headers;
        response
    }
}

fn broken_body() -> Body {
    let broken = async { panic!("the body breaks, as the test wants it to") };
    Body::from_stream(futures::stream::once(broken).map(|bytes: Bytes| Ok::<_, std::io::Error>(bytes)))
}

pub struct World {
    pub engine: Engine,
    pub clock: Clock,
    data: Arc<tempfile::TempDir>,
    files: Files,
}

/// The wiring of these tests; a test may replace parts of it.
pub fn files() -> Files {
    let file = |name, text: &'static str| File { name, text: text.into() };
    Files {
        kong: file("kong.yml", include_str!("kong.yml")),
        eventing: vec![file("eventing.yaml", include_str!("eventing.yaml"))],
        cron: vec![file("cron.yaml", include_str!("cron.yaml"))],
    }
}

/// Exposes metrics; called before anything counts.
pub fn telemetry() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| runtime::telemetry::init_exposed(&Env::default(), "pongpong").unwrap());
}

/// A metric that all tests of this process share, by label.
pub fn count(metric: &str, label: &str) -> f64 {
    let said = runtime::telemetry::exposition().unwrap();
    let series = |line: &&str| line.starts_with(metric) && line.contains(label);
    said.lines().find(series).map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

pub fn settings(data: &tempfile::TempDir, files: Files, clock: Clock) -> Settings {
    telemetry();
    Settings {
        functions: FUNCTIONS,
        files,
        clock,
        grace: Duration::from_secs(5),
        ..Settings::at(data.path())
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(files()).await
    }

    pub async fn with(files: Files) -> Self {
        Self::at("2026-03-01T12:00:30Z", files).await
    }

    pub async fn at(start: &str, files: Files) -> Self {
        runtime::install_crypto();
        let start: DateTime<Utc> = start.parse().unwrap();
        let data = Arc::new(tempfile::tempdir().unwrap());
        let clock = Clock::manual(start);
        let engine = pongpong::start(settings(&data, files.clone(), clock.clone())).await.unwrap();
        Self { engine, clock, data, files }
    }

    /// Kills the engine and starts another one on the same data.
    pub async fn killed_and_restarted(self) -> Self {
        self.killed_for(Duration::ZERO).await
    }

    pub async fn killed_for(self, pause: Duration) -> Self {
        let Self { engine, clock, data, files } = self;
        drop(engine);
        clock.advance(pause);
        let engine = pongpong::start(settings(&data, files.clone(), clock.clone())).await.unwrap();
        Self { engine, clock, data, files }
    }

    pub fn data(&self) -> &tempfile::TempDir {
        &self.data
    }

    pub fn script(&self, name: &'static str, lines: impl IntoIterator<Item = Line>) {
        let script = Script::of(self.engine.context());
        script.lines.lock().unwrap().entry(name).or_default().extend(lines);
    }

    pub fn calls(&self, name: &str) -> Vec<Call> {
        let script = Script::of(self.engine.context());
        script.calls.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    /// Waits until a function has been called this many times.
    pub async fn called(&self, name: &str, times: usize) {
        let script = Script::of(self.engine.context());
        loop {
            let called = script.called.notified();
            tokio::pin!(called);
            called.as_mut().enable();
            if self.calls(name).len() >= times {
                return;
            }
            called.await;
        }
    }

    pub async fn publish(&self, kind: &str, id: &str) {
        self.publish_to(kind, id, None).await;
    }

    pub async fn publish_to(&self, kind: &str, id: &str, channel: Option<&str>) {
        self.publish_with(kind, id, channel.map(|channel| ("channel", channel))).await;
    }

    /// Publishes an event with an extension attribute.
    pub async fn publish_with(&self, kind: &str, id: &str, extension: Option<(&str, &str)>) {
        let mut event = Outgoing::new("test", kind, id, self.clock.now(), &json!({"id": id})).unwrap();
        if let Some((name, value)) = extension {
            event = event.with_extension(name, value);
        }
        self.engine.context().outbound().publish(event).await.unwrap();
    }

    pub async fn idle(&self) {
        self.engine.idle().await.unwrap();
    }

    /// Advances the clock and waits until due work is done.
    pub async fn pass(&self, seconds: f64) {
        self.clock.advance(Duration::from_secs_f64(seconds));
        self.idle().await;
    }

    pub async fn queued(&self) -> Vec<(String, i64)> {
        self.engine.broker().queued().await.unwrap()
    }

    /// Sends a request to the gateway: `GET /path`, then one header a line.
    pub async fn ask(&self, head: &str) -> Answer {
        send(self.engine.address, head, b"").await
    }

    pub fn admin_token(&self) -> String {
        self.engine.context().env().required("KONG_ADMIN_TOKEN").unwrap().to_owned()
    }

    pub async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let token = self.admin_token();
        let head = format!("{method} {path}\ncontent-type: application/json\nkong-admin-token: {token}");
        send(self.engine.admin_address, &head, body.as_bytes()).await
    }

    /// Creates a consumer with a key; returns the key's id.
    pub async fn key(&self, user: &str, key: &str, ttl: Option<u32>) -> String {
        let custom_id = user.trim_start_matches("user-");
        self.admin("POST", "/consumers", Some(json!({"username": user, "custom_id": custom_id}))).await;
        let path = format!("/consumers/{user}/key-auth");
        let made = self.admin("POST", &path, Some(json!({"key": key, "ttl": ttl}))).await.json(201);
        made["id"].as_str().unwrap().to_owned()
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { serde_json::from_str(&self.body).unwrap() }
    }

    #[track_caller]
    pub fn message(&self, status: u16) -> String {
        self.json(status)["message"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends a request over a plain socket: no client library changes the bytes.
pub async fn send(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let host = if headers.to_ascii_lowercase().contains("host:") { "" } else { "Host: 127.0.0.1\r\n" };
    let mut text = format!("{line} HTTP/1.1\r\n{host}");
    // Unless the test sets Connection itself.
    if !headers.to_ascii_lowercase().contains("connection:") {
        text.push_str("Connection: close\r\n");
    }
    if !headers.to_ascii_lowercase().contains("transfer-encoding:") {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for header in headers.lines() {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    parse(&String::from_utf8(answer).unwrap())
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.parse::<http::HeaderName>().unwrap(), value.parse::<http::HeaderValue>().unwrap())
    };
    Answer { status, headers: headers.lines().map(header).collect(), body: body.to_owned() }
}
