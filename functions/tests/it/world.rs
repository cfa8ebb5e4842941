//! A world for tests of functions: a real database, a clock that the test advances, and a broker that
//! delivers on demand.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, LazyLock, Mutex},
};

use anyhow::Context as _;
use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use contract::{CheckRequest, kind};
use functions::roles::{ROLES, Role};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use runtime::{
    Clock, Context, Db, Env, Function, Outgoing,
    outbound::{Outbound, To},
    secret::Random,
};
use serde::Serialize;
use serde_json::Value;
use sqlx::Connection;
use tower::ServiceExt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// Makes two tests of one: on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($(async fn $name:ident($world:ident: World) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn story($world: World) $body

            #[tokio::test]
            async fn on_sqlite() {
                story(World::new(Database::Sqlite).await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                story(World::new(Database::Postgres).await).await;
            }
        }
    )+};
}
pub(crate) use on_both;

pub const GATEWAY_TOKEN: &str = "the gateway's token";

pub struct World {
    /// Unrestricted; each function has a separate context, restricted to its declarations.
    pub context: Context,
    contexts: Contexts,
    /// Events that functions published or replied, and that are not delivered yet.
    pub events: Arc<Mutex<VecDeque<Sent>>>,
    /// Answers in place of functions: see [`World::stand_in`].
    stand_ins: StandIns,
    /// The number of events that the broker still accepts before it fails; `None`: it does not fail.
    pub broker_takes: Arc<Mutex<Option<usize>>>,
    /// While this is locked for writing, the broker does not answer.
    pub broker_answers: Arc<tokio::sync::RwLock<()>>,
    _data: tempfile::TempDir,
}

type Contexts = Arc<std::sync::OnceLock<HashMap<&'static str, Context>>>;
type StandIns = Arc<Mutex<HashMap<&'static str, StandIn>>>;
type StandIn = Arc<dyn Fn(&str) -> (u16, Value) + Send + Sync>;

/// An event under way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Sent {
    pub fn kind(&self) -> &str {
        self.headers.get("ce-type").and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    pub fn data<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).expect("the data of the event")
    }
}

/// A function's answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON, after checking the status.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { serde_json::from_slice(&self.body).expect("JSON") }
    }

    /// The code of an error, after checking the status.
    #[track_caller]
    pub fn code(&self, status: u16) -> String {
        self.json(status)["code"].as_str().expect("a code").to_owned()
    }

    /// The reply event, if there is one.
    pub fn reply(&self) -> Option<Sent> {
        let is_event = self.headers.contains_key("ce-specversion");
        is_event.then(|| Sent { headers: self.headers.clone(), body: self.body.clone() })
    }
}

impl World {
    pub async fn new(database: Database) -> Self {
        Self::with(database, []).await
    }

    /// With additional settings.
    pub async fn with<const N: usize>(database: Database, settings: [(&str, &str); N]) -> Self {
        runtime::install_crypto();
        let data = tempfile::tempdir().expect("a directory");
        let url = match database {
            Database::Sqlite => format!("sqlite:{}/pongpong.db", data.path().display()),
            Database::Postgres => new_postgres_database().await,
        };
        let outbox = data.path().join("outbox");
        let roles = match database {
            Database::Sqlite => Vec::new(),
            Database::Postgres => ROLES.iter().map(|role| (role.setting(), role_url(role, &url))).collect(),
        };
        let env: Env = [
            ("DATABASE_URL", url.as_str()),
            ("DATABASE_MAX_CONNECTIONS", "4"),
            ("GATEWAY_TOKEN", GATEWAY_TOKEN),
            ("ENCRYPTION_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"),
            ("CHECK_PRIVATE_NETWORKS", "allow"),
            ("OUTBOX_DIR", outbox.to_str().expect("UTF-8")),
            ("PUBLIC_URL", "https://pongpong.test"),
        ]
        .into_iter()
        .chain(settings)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let start = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").expect("a time").with_timezone(&Utc);
        let events = Arc::<Mutex<VecDeque<Sent>>>::default();
        // Functions call each other through the contexts, which are made below.
        let contexts = Contexts::default();
        let (stand_ins, broker_takes) = (StandIns::default(), Arc::<Mutex<Option<usize>>>::default());
        let broker_answers = Arc::<tokio::sync::RwLock<()>>::default();
        let outbound = Outbound::new(Arc::new({
            // Weak: otherwise a world would keep itself and its connections alive.
            let (events, contexts) = (Arc::clone(&events), Arc::downgrade(&contexts));
            let (stand_ins, broker_takes) = (Arc::clone(&stand_ins), Arc::clone(&broker_takes));
            let broker_answers = Arc::clone(&broker_answers);
            move |to, request| {
                let (events, contexts) = (Arc::clone(&events), contexts.upgrade());
                let (stand_ins, broker_takes) = (Arc::clone(&stand_ins), Arc::clone(&broker_takes));
                let broker_answers = Arc::clone(&broker_answers);
                Box::pin(async move {
                    match to {
                        To::Sink => {
                            let _it_does = broker_answers.read().await;
                            if let Some(left) = broker_takes.lock().expect("a count").as_mut() {
                                if *left == 0 {
                                    return Ok(Response::builder().status(503).body(Bytes::new())?);
                                }
                                *left -= 1;
                            }
                            let (parts, body) = request.into_parts();
                            events.lock().expect("events").push_back(Sent { headers: parts.headers, body });
                            Ok(Response::builder().status(202).body(Bytes::new())?)
                        }
                        To::Gateway => anyhow::bail!("there is no gateway in this world"),
                        To::Function(name) => {
                            let stand_in = stand_ins.lock().expect("stand-ins").get(name).cloned();
                            if let Some(stand_in) = stand_in {
                                let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
                                let (status, body) = stand_in(path);
                                return Ok(Response::builder()
                                    .status(status)
                                    .body(body.to_string().into())?);
                            }
                            let contexts = contexts.context("the world is over")?;
                            let answer = ask(&contexts, name, request.map(Body::from)).await;
                            let mut response = Response::builder().status(answer.status).body(answer.body)?;
                            *response.headers_mut() = answer.headers;
                            Ok(response)
                        }
                    }
                })
            }
        }));
        let env = env.with(roles.iter().cloned());
        let context = Context::new(env, Clock::manual(start), Random::System, outbound);
        let db = context.db().expect("a database");
        functions::migrate(db, context.env()).await.expect("migrates");
        let role_db = |url: &String| Db::at(url, 4).expect("a database");
        let dbs: HashMap<_, _> = roles.iter().map(|(setting, url)| (setting.clone(), role_db(url))).collect();
        let of_functions = functions::ALL.iter().map(|function| {
            let db = Role::of(function).map(|role| dbs.get(&role.setting()).unwrap_or(db).clone());
            (function.name, context_of(function, &context, db))
        });
        contexts.set(of_functions.collect()).ok().expect("set once");
        Self { context, contexts, events, stand_ins, broker_takes, broker_answers, _data: data }
    }

    /// The sent emails, as files, in no particular order.
    pub fn mails(&self) -> Vec<String> {
        let outbox = self.context.env().get("OUTBOX_DIR").expect("set");
        let Ok(files) = std::fs::read_dir(outbox) else { return Vec::new() };
        files.map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text")).collect()
    }

    /// The context of a function.
    pub fn context_of(&self, function: &str) -> &Context {
        &self.contexts.get().expect("the world is complete")[function]
    }

    /// Replaces a function for calls by other functions: takes the path, returns status and JSON.
    pub fn stand_in(
        &self,
        function: &'static str,
        answer: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static,
    ) {
        self.stand_ins.lock().expect("stand-ins").insert(function, Arc::new(answer));
    }

    /// The PostgreSQL pool of the database's owner.
    pub fn pool(&self) -> &sqlx::PgPool {
        match self.context.db().expect("a database") {
            Db::Postgres(pool) => pool,
            Db::Sqlite { .. } => panic!("this world is on SQLite"),
        }
    }

    pub fn clock(&self) -> &Clock {
        self.context.clock()
    }

    /// Calls an operation as a user would through the gateway (`None`: without a key).
    pub async fn call(&self, user: Option<i64>, method: &str, path: &str, body: Option<Value>) -> Answer {
        let name = self.function_for(method, path);
        self.request(name, user, method, path, body).await
    }

    /// A POST with the header `Idempotency-Key`.
    pub async fn post_once(&self, user: i64, path: &str, key: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header("x-gateway-token", GATEWAY_TOKEN)
            .header("x-consumer-custom-id", user)
            .header("x-credential-identifier", "a-credential")
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        let request = request.body(Body::from(body.to_string())).expect("a request");
        ask(&self.contexts, self.function_for("POST", path), request).await
    }

    /// Sends any request to one function.
    pub async fn send(&self, function: &str, request: Request<Body>) -> Answer {
        ask(&self.contexts, function, request).await
    }

    pub async fn request(
        &self,
        function: &str,
        user: Option<i64>,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(user) = user {
            request = request
                .header("x-gateway-token", GATEWAY_TOKEN)
                .header("x-consumer-custom-id", user)
                .header("x-credential-identifier", "a-credential");
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |json| Body::from(json.to_string()));
        ask(&self.contexts, function, request.body(body).expect("a request")).await
    }

    /// Delivers an event to one function.
    pub async fn event<T: Serialize + ?Sized>(
        &self,
        function: &str,
        kind: &str,
        id: &str,
        data: &T,
    ) -> Answer {
        let event = Outgoing::new("test", kind, id, self.clock().now(), data).expect("an event");
        let (parts, body) = event.into_request().expect("a request").into_parts();
        self.deliver(function, &Sent { headers: parts.headers, body }).await
    }

    pub async fn deliver(&self, function: &str, event: &Sent) -> Answer {
        let mut request = Request::builder().method(Method::POST).uri("/");
        *request.headers_mut().expect("headers") = event.headers.clone();
        ask(&self.contexts, function, request.body(Body::from(event.body.clone())).expect("a request")).await
    }

    /// Delivers published events to their subscribers, and the replies, until none is left. Returns every
    /// delivered event. A failed delivery fails the test.
    pub async fn settle(&self) -> Vec<Sent> {
        let mut seen = Vec::new();
        loop {
            let Some(event) = self.events.lock().expect("events").pop_front() else { return seen };
            // Checks scheduled in the future would wait for the clock.
            if event.kind() == kind::CHECK_REQUESTED
                && event.data::<Vec<CheckRequest>>().iter().any(|r| r.scheduled_at > self.clock().now())
            {
                seen.push(event);
                continue;
            }
            for function in functions::ALL {
                let attribute =
                    |name: &str| event.headers.get(format!("ce-{name}")).and_then(|v| v.to_str().ok());
                let wanted = function.subscriptions.iter().any(|s| s.wants(attribute));
                if wanted {
                    let answer = self.deliver(function.name, &event).await;
                    assert!(answer.status.is_success(), "{}: {answer:?}", function.name);
                    self.events.lock().expect("events").extend(answer.reply());
                }
            }
            seen.push(event);
        }
    }

    /// Sends a request without a body to one function.
    pub async fn ask(&self, function: &str, request: http::request::Builder) -> Answer {
        ask(&self.contexts, function, request.body(Body::empty()).expect("a request")).await
    }

    pub fn function_for(&self, method: &str, path: &str) -> &'static str {
        let path = path.split('?').next().unwrap_or(path);
        let fits = |pattern: &str| {
            let (mut a, mut b) = (pattern.split('/'), path.split('/'));
            loop {
                match (a.next(), b.next()) {
                    (None, None) => return true,
                    (Some(x), Some(y)) if x == y || x.starts_with('{') => {}
                    _ => return false,
                }
            }
        };
        functions::ALL
            .iter()
            .find(|f| f.operations().iter().any(|o| o.method == method && fits(&o.path)))
            .unwrap_or_else(|| panic!("no function answers {method} {path}"))
            .name
    }
}

/// A context as in a deployment: only with the settings and the access to the broker that the function
/// declares; on PostgreSQL with the role of its resource.
fn context_of(function: &Function, all: &Context, db: Option<Db>) -> Context {
    static SETTINGS: LazyLock<HashMap<&str, Vec<&str>>> =
        LazyLock::new(|| functions::ALL.iter().map(|f| (f.name, f.settings())).collect());
    let outbound = if function.publishes {
        all.outbound().clone()
    } else {
        let (name, all) = (function.name, all.outbound().clone());
        Outbound::new(Arc::new(move |to, request| {
            assert_ne!(to, To::Sink, "{name} publishes, and does not declare it");
            all.carry(to, request)
        }))
    };
    all.of_function(all.env().only(|name| SETTINGS[function.name].contains(&name)), outbound, db)
}

/// Functions that wait before a second try.
const SENDERS: [&str; 4] = ["email-send", "slack-send", "webhook-send", "channel-send"];

/// Advances the clock by a second whenever `future` waits for it.
async fn with_time<F: Future>(clock: &Clock, future: F) -> F::Output {
    let Clock::Manual(time) = clock else { return future.await };
    let others = time.receiver_count();
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|waker| {
        let polled = future.as_mut().poll(waker);
        if polled.is_pending() && time.receiver_count() > others {
            clock.advance(std::time::Duration::from_secs(1));
        }
        polled
    })
    .await
}

async fn ask(contexts: &Contexts, function: &str, request: Request<Body>) -> Answer {
    let function = functions::find(function).unwrap_or_else(|| panic!("there is no function {function}"));
    let context = &contexts.get().expect("the world is complete")[function.name];
    let response = runtime::serve::router(function, context).oneshot(request);
    let response = if SENDERS.contains(&function.name) {
        with_time(context.clock(), response).await
    } else {
        response.await
    };
    let response = response.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Roles belong to the server, not to a database: each world has separate ones.
fn role_url(role: &Role, url: &str) -> String {
    let mut url = url::Url::parse(url).expect("a URL");
    let name = format!("{}_{}", url.path().trim_start_matches('/'), role.name);
    url.set_username(&name).and_then(|()| url.set_password(Some("it's a word"))).expect("a server's URL");
    url.into()
}

/// Creates a database on the server of `TEST_POSTGRES_URL`.
pub async fn new_postgres_database() -> String {
    let url = std::env::var("TEST_POSTGRES_URL").expect(
        "TEST_POSTGRES_URL is not set: run the tests by `make test`, or under functions/tests/with-services",
    );
    let name = format!("t_{}", Random::System.bytes::<8>().map(|b| format!("{b:02x}")).concat());
    let mut admin = sqlx::PgConnection::connect(&url).await.expect("connects to TEST_POSTGRES_URL");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut admin).await.expect("creates a database");
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{name}")
}

/// The path of one of PostgreSQL's programs.
pub fn postgres_program(name: &str) -> std::path::PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let newest = versions.map(|version| version.expect("a folder").path()).max().expect("a version");
    newest.join("bin").join(name)
}
