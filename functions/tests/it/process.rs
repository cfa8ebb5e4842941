//! The binary `function`: how it selects its function, serves, drains, and runs on Lambda.

use std::{
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::collector::{Collector, Span};

const FUNCTION: &str = env!("CARGO_BIN_EXE_function");

pub fn function(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(FUNCTION);
    command
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running function; killed when dropped.
pub struct Running {
    child: Child,
    pub url: String,
}

impl Running {
    pub async fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let port = free_port().to_string();
        let child = function(arguments, settings).env("PORT", &port).spawn().unwrap();
        let running = Self { child, url: format!("http://127.0.0.1:{port}") };
        let deadline = Instant::now() + Duration::from_secs(10);
        while reqwest::get(format!("{}/health", running.url)).await.is_err() {
            assert!(Instant::now() < deadline, "it does not serve");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running
    }

    pub fn terminate(&self) {
        let done = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(done.success());
    }

    pub async fn ended(mut self) -> Output {
        tokio::task::spawn_blocking(move || {
            let child = std::mem::replace(&mut self.child, Command::new("true").spawn().unwrap());
            child.wait_with_output().unwrap()
        })
        .await
        .unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_unknown_or_missing_name_exits_2_and_lists_the_valid_ones() {
    for (arguments, settings) in [
        (&[][..], &[][..]),
        (&["nonsense"], &[]),
        (&[], &[("K_SERVICE", "nonsense")]),
        (&["user-login", "x"], &[]),
    ] {
        let output = function(arguments, settings).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        for function in functions::ALL {
            assert!(said.contains(function.name), "{said}");
        }
    }
}

#[test]
fn a_setting_that_is_not_acceptable_is_told_of_at_start() {
    for (name, value) in [
        ("CHECK_CONCURRENCY", "abc"),
        ("CHECK_PRIVATE_NETWORKS", "nonsense"),
        ("EXTRA_CA_CERTS", "/nonexistent"),
        ("LOGIN_KEY_TTL_SECONDS", "x"),
        ("MAX_ENDPOINTS_PER_USER", "0"),
        ("REGION", "a region with a name that is too long"),
        ("RETENTION_RAW_DAYS", "x"),
        ("SMTP_URL", "bogus"),
        // Last: with a valid PORT, a function without other errors would start to serve.
        ("PORT", "none"),
    ] {
        let settings = [("PORT", "none"), (name, value)];
        let output = function(&["user-me"], &settings).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[tokio::test]
async fn the_name_comes_from_the_argument_then_knative_then_lambda() {
    runtime::install_crypto();
    for (arguments, settings, expected) in [
        (&["user-login"][..], &[("K_SERVICE", "user-signup")][..], "user-login"),
        (&[], &[("K_SERVICE", "user-signup"), ("AWS_LAMBDA_FUNCTION_NAME", "user-login")], "user-signup"),
        (&[], &[("AWS_LAMBDA_FUNCTION_NAME", "check-run")], "check-run"),
    ] {
        let running = Running::start(arguments, settings).await;
        running.terminate();
        let output = running.ended().await;
        assert!(output.status.success());
        let log = String::from_utf8(output.stdout).unwrap();
        let first: Value = serde_json::from_str(log.lines().next().unwrap()).expect("logs are JSON");
        assert_eq!((&first["functions"], &first["level"]), (&json!(expected), &json!("INFO")));
        assert!(first["version"].is_string() && first["timestamp"].is_string());
    }
}

#[tokio::test]
async fn health_readiness_and_unknown_paths() {
    runtime::install_crypto();
    let bad =
        Running::start(&["endpoint-list"], &[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")]).await;
    let get = async |running: &Running, path: &str| {
        let answer = reqwest::get(format!("{}{path}", running.url)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get(&bad, "/health").await, (200, "ok".into()));
    let (status, why) = get(&bad, "/ready").await;
    assert_eq!(status, 503);
    assert!(why.contains("database"), "{why}");
    let (status, body) = get(&bad, "/nowhere").await;
    assert_eq!(
        (status, serde_json::from_str::<Value>(&body).unwrap()["code"].clone()),
        (404, json!("NOT_FOUND"))
    );
    // A function without a database, which it would wait for.
    let sender = Running::start(&["check-run"], &[]).await;
    assert_eq!(get(&sender, "/ready").await, (200, "ok".into()));
}

#[tokio::test]
async fn what_went_wrong_is_logged_with_the_trace_of_whoever_asked() {
    runtime::install_crypto();
    let settings = [("LOG_LEVEL", "warn"), ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")];
    let running = Running::start(&["user-private-get"], &settings).await;
    let asked = reqwest::Client::new()
        .get(format!("{}/private/v1/users/1", running.url))
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(asked.send().await.unwrap().status(), 503);
    running.terminate();
    let log = String::from_utf8(running.ended().await.stdout).unwrap();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let span = json!({"name": "request", "function": "user-private-get", "version": line["span"]["version"],
        "trace_id": "0af7651916cd43dd8448eb211c80319c"});
    assert_eq!((&line["message"], &line["span"]), (&json!("not now"), &span));
}

#[tokio::test]
async fn several_functions_share_a_port() {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}/p.db", data.path().display());
    let migrated = function(&["migrate"], &[("DATABASE_URL", &database)]).output().unwrap();
    assert!(migrated.status.success());
    let running = Running::start(
        &["endpoint-private-list", "endpoint-forget", "endpoint-private-get"],
        &[("DATABASE_URL", &database)],
    )
    .await;
    let client = reqwest::Client::new();
    let list: Value = client
        .get(format!("{}/private/v1/endpoints", running.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list["page"]["total_count"], 0);
    let event = |host: &str| {
        client
            .post(&running.url)
            .header("host", host)
            .header("ce-specversion", "1.0")
            .header("ce-id", "1")
            .header("ce-source", "/test")
            .header("ce-type", "io.pongpong.user.deleted.v1")
            .header("content-type", "application/json")
            .body(r#"{"user_id":1}"#)
    };
    assert_eq!(event("endpoint-forget.pongpong.svc.cluster.local").send().await.unwrap().status(), 202);
    assert_eq!(event("somebody-else").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn what_the_schedule_triggers_can_be_triggered_by_hand() {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}/p.db", data.path().display());
    assert!(function(&["migrate"], &[("DATABASE_URL", &database)]).output().unwrap().status.success());
    let running = Running::start(&["report-purge"], &[("DATABASE_URL", &database)]).await;
    let trigger =
        |name: &str| function(&["trigger", name], &[("FUNCTION_URL", &running.url)]).output().unwrap();
    let output = trigger("report-purge");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("triggered"));
    assert_eq!(trigger("user-login").status.code(), Some(2), "no schedule triggers that");
    running.terminate();
    assert!(running.ended().await.status.success());
    let away =
        function(&["trigger", "report-purge"], &[("FUNCTION_URL", "http://127.0.0.1:1")]).output().unwrap();
    assert_eq!(away.status.code(), Some(1), "a failure is reported");
}

#[tokio::test]
async fn sigterm_lets_a_running_request_finish() {
    runtime::install_crypto();
    // A target that answers only after the function received SIGTERM.
    let (release, released) = tokio::sync::watch::channel(false);
    let (reached, mut was_reached) = tokio::sync::mpsc::channel::<()>(1);
    let target = Router::new().fallback(async move || {
        reached.send(()).await.unwrap();
        released.clone().wait_for(|go| *go).await.unwrap();
        "late"
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, target).await });

    let running =
        Running::start(&["check-now"], &[("GATEWAY_TOKEN", "t"), ("CHECK_PRIVATE_NETWORKS", "allow")]).await;
    let asked = tokio::spawn(
        reqwest::Client::new()
            .post(format!("{}/public/v1/checks", running.url))
            .header("x-gateway-token", "t")
            .header("x-consumer-custom-id", "1")
            .header("x-credential-identifier", "c")
            .json(&json!({"url": url}))
            .send(),
    );
    was_reached.recv().await.unwrap();
    running.terminate();
    // A stopping function accepts no new connections.
    while tokio::net::TcpStream::connect(running.url.strip_prefix("http://").unwrap()).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    release.send(true).unwrap();
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["status"], "up");
    assert!(running.ended().await.status.success());
}

// The collector must answer while this waits for processes.
#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_and_what_it_triggers_are_in_one_trace() {
    runtime::install_crypto();
    let collector = Collector::start().await;
    let data = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}/p.db", data.path().display());
    assert!(function(&["migrate"], &[("DATABASE_URL", &database)]).output().unwrap().status.success());
    let otlp = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str());
    let running = Running::start(&["report-purge"], &[("DATABASE_URL", &database), otlp]).await;
    let trigger = |settings: &[(&str, &str)]| {
        function(&["trigger", "report-purge"], settings).output().unwrap().status.success()
    };
    let to = ("FUNCTION_URL", running.url.as_str());
    assert!(trigger(&[to, otlp]));
    // A trace that is not sampled leaves no spans in the function either.
    assert!(trigger(&[to, otlp, ("OTEL_TRACES_SAMPLER", "always_off")]));
    assert!(!trigger(&[("FUNCTION_URL", "http://127.0.0.1:1"), otlp]));
    running.terminate();
    assert!(running.ended().await.status.success());
    let spans = collector.spans();
    let told = |span: &Span| (span.service.clone(), span.name.clone(), span.failed);
    let one = |service: &str, name: &str, failed| (service.to_owned(), name.to_owned(), failed);
    let mut seen: Vec<_> = spans.iter().map(told).collect();
    seen.sort();
    let expected = [
        one("report-purge", "POST /", false),
        one("trigger", "POST report-purge", false),
        one("trigger", "POST report-purge", true),
        one("trigger", "trigger report-purge", false),
        one("trigger", "trigger report-purge", true),
    ];
    assert_eq!(seen, expected);
    let answered = spans.iter().find(|span| span.service == "report-purge").unwrap();
    let called = spans.iter().find(|span| span.id == answered.parent).unwrap();
    let ticked = spans.iter().find(|span| span.id == called.parent).unwrap();
    assert_eq!((called.name.as_str(), ticked.name.as_str()), ("POST report-purge", "trigger report-purge"));
    assert!(ticked.parent.is_empty() && ticked.trace == answered.trace);
    let route = [("faas.name", "report-purge"), ("http.route", "/"), ("http.response.status_code", "202")];
    assert_eq!(collector.counted("http.server.request.duration", &route), 2.0);
}

#[tokio::test]
async fn a_collector_that_is_away_keeps_nobody_waiting() {
    runtime::install_crypto();
    let nobody = crate::listener::nobody().await;
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", nobody.as_str()), ("GATEWAY_TOKEN", "t")];
    let running = Running::start(&["user-me"], &settings).await;
    assert_eq!(reqwest::get(format!("{}/public/v1/user", running.url)).await.unwrap().status(), 401);
    let told = Instant::now();
    running.terminate();
    assert!(running.ended().await.status.success());
    // Much less than the exporter's own timeout.
    assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
}

/// A stand-in for the Lambda Runtime API: hands out one event, and keeps the answer.
#[derive(Clone)]
struct LambdaApi {
    event: Arc<Mutex<Option<Value>>>,
    answers: tokio::sync::mpsc::UnboundedSender<Value>,
}

async fn next_invocation(State(api): State<LambdaApi>) -> impl IntoResponse {
    let event = api.event.lock().unwrap().take();
    let Some(event) = event else { return std::future::pending().await };
    let headers = [
        ("lambda-runtime-aws-request-id", "1"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:ap-northeast-2:1:function:check-now"),
        ("content-type", "application/json"),
    ];
    (headers, event.to_string())
}

async fn invocation_response(
    State(api): State<LambdaApi>,
    Path(id): Path<String>,
    body: Bytes,
) -> impl IntoResponse {
    assert_eq!(id, "1");
    api.answers.send(serde_json::from_slice(&body).unwrap()).unwrap();
    http::StatusCode::ACCEPTED
}

#[tokio::test]
async fn the_same_router_answers_on_lambda() {
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/public/v1/checks", "rawQueryString": "",
        "headers": {
            "content-type": "application/json", "x-gateway-token": "t", "x-consumer-custom-id": "1",
            "x-credential-identifier": "c", "host": "id.execute-api.ap-northeast-2.amazonaws.com",
        },
        "requestContext": {
            "accountId": "1", "apiId": "id", "domainName": "id.execute-api.ap-northeast-2.amazonaws.com",
            "domainPrefix": "id", "requestId": "r", "routeKey": "$default", "stage": "$default",
            "time": "01/Mar/2026:12:00:00 +0000", "timeEpoch": 1772366400000_i64,
            "http": {"method": "POST", "path": "/public/v1/checks", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"},
        },
        "body": "{\"url\":\"http://127.0.0.1:1/\"}", "isBase64Encoded": false,
    });
    let collector = Collector::start().await;
    let (answers, mut answered) = tokio::sync::mpsc::unbounded_channel();
    let api = LambdaApi { event: Arc::new(Mutex::new(Some(event))), answers };
    let app = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(invocation_response))
        .with_state(api);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let settings = [
        ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", "check-now"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "g"),
        ("GATEWAY_TOKEN", "t"),
        ("CHECK_PRIVATE_NETWORKS", "allow"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
    ];
    let child = function(&[], &settings).stdout(Stdio::null()).spawn().unwrap();
    let _running = Running { child, url: String::new() };
    let answer =
        tokio::time::timeout(Duration::from_secs(30), answered.recv()).await.expect("an answer").unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["status"], &body["error"]["code"]), (&json!("down"), &json!("CONNECT_REFUSED")));
    // Lambda may freeze the process now: telemetry must have been sent.
    let spans = collector.spans();
    assert_eq!((spans[0].service.as_str(), spans[0].name.as_str()), ("check-now", "POST /public/v1/checks"));
    assert_eq!(collector.counted("http.server.request.duration", &[("faas.name", "check-now")]), 1.0);
}
