//! Runs the program `scenario` against a working engine, and against broken ones.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use axum::{Router, http::StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

const ADMIN_TOKEN: &str = "the-token-of-the-admin-api";

/// Cargo builds examples beside the test binaries.
fn engine() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/engine_with_clock");
    assert!(program.exists(), "{} is not built: cargo build --workspace --examples", program.display());
    program
}

/// A one-machine engine in which a second lasts 40 ms; killed when dropped.
struct Engine {
    child: Child,
    url: String,
    admin: String,
    stopping: Arc<AtomicBool>,
    _data: tempfile::TempDir,
}

impl Engine {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        // The receiver verifies signatures with its own clock: the engine's clock must be close to it.
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let mut child = Command::new(engine())
            .env_clear()
            .envs([("NOW", now.as_str()), ("LOG_LEVEL", "warn"), ("KONG_ADMIN_TOKEN", ADMIN_TOKEN)])
            .env("DATA_DIR", data.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut lines = BufReader::new(output);
        let admin = hear(&mut lines, "admin ");
        let url = format!("http://{}", hear(&mut lines, "listening "));
        let stopping = Arc::new(AtomicBool::new(false));
        let clock = Arc::clone(&stopping);
        std::thread::spawn(move || run_the_clock(input, lines, &clock));
        Self { child, url, admin: format!("http://{admin}"), stopping, _data: data }
    }

    async fn private(&self, path: &str) -> Value {
        let request =
            http::Request::get(format!("{}{path}", self.admin)).header("kong-admin-token", ADMIN_TOKEN);
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
        let answer = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    async fn is_empty(&self) {
        let users = self.private("/private/v1/users").await;
        assert_eq!(users["page"]["total_count"], 0, "{users}");
        // Endpoints are deleted by an event, which may still be under way when the user is deleted.
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let endpoints = self.private("/private/v1/endpoints").await;
            if endpoints["page"]["total_count"] == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "{endpoints}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let consumers = self.private("/consumers").await;
        assert!(consumers["data"].as_array().is_some_and(Vec::is_empty), "{consumers}");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hear(lines: &mut BufReader<ChildStdout>, start: &str) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the engine ended");
        if let Some(rest) = line.trim_end().strip_prefix(start) {
            return rest.to_owned();
        }
    }
}

fn run_the_clock(mut input: ChildStdin, mut lines: BufReader<ChildStdout>, stopping: &AtomicBool) {
    while !stopping.load(Ordering::SeqCst) && writeln!(input, "advance 1").is_ok() {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or_default() == 0 {
            break;
        }
        // Read all output, including the engine's log.
        std::thread::sleep(Duration::from_millis(if line == "advanced\n" { 40 } else { 0 }));
    }
}

fn scenario(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scenario"));
    command.env_clear().args(["--url", url, "--timeout", "60s"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn told(mut command: Command) -> (Output, String) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat();
    (output, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story_is_told_by_mail_and_leaves_nothing_behind() {
    let engine = Engine::start();
    let (output, text) = told(scenario(&engine.url, &[])).await;
    assert!(output.status.success(), "{text}");
    assert!(!text.contains('✗') && text.contains("\nOK: "), "{text}");
    engine.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story_is_told_by_webhook() {
    let engine = Engine::start();
    let (output, text) = told(scenario(&engine.url, &["--webhook-listen", "127.0.0.1:0"])).await;
    assert!(output.status.success(), "{text}");
    engine.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_it_leaves_nothing_behind() {
    let engine = Engine::start();
    let mut child = scenario(&engine.url, &[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    hear(&mut lines, "✓ the first result is there");
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    hear(&mut lines, "✓ what was made is deleted");
    hear(&mut lines, "FAILED: interrupted");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    engine.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_it_leaves_nothing_behind() {
    let engine = Engine::start();
    let mut child = scenario(&engine.url, &[]).stderr(Stdio::inherit()).spawn().unwrap();
    hear(&mut BufReader::new(child.stdout.take().unwrap()), "✓ signs up");
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(ended.success());
    engine.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_says_what_came_and_leaves_nothing_behind() {
    let engine = Engine::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = format!("http://{nobody}/");
    let (output, text) = told(scenario(&engine.url, &["--target", &target])).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "✗ the target answers, as seen from the deployment",
        "asked     POST /endpoint-check/v1/checks\n",
        "give --target a URL that is\n",
        "came      200 OK  {",
        "CONNECT_REFUSED",
        "request   ",
        "✓ what was made is deleted",
        "FAILED: the story broke off",
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    engine.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_deployment_is_told_at_once() {
    let broken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", broken.local_addr().unwrap());
    let app = Router::new().fallback(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "out of order") });
    tokio::spawn(async { axum::serve(broken, app).await });
    let (output, text) = told(scenario(&url, &[])).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("expected  401 Unauthorized: is pongpong's gateway at http://127.0.0.1:"),
        "{text}"
    );
    assert!(text.contains("came      500 Internal Server Error  out of order\n"), "{text}");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (output, text) = told(scenario(&format!("http://{nobody}"), &[])).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("came      none: ") && text.contains("refused"), "{text}");

    for url in ["localhost:8000", "ftp://example.com", "http://a b/"] {
        let (output, text) = told(scenario(url, &[])).await;
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.starts_with("scenario: `"), "{text}");
    }
}
