//! How many checks a second of CPU time takes from schedule to stored and evaluated:
//! `cargo run --release -p functions --example pipeline_bench [ENDPOINTS] [MINUTES]`.
//!
//! A whole engine runs in this process: schedule, claim, broker, prober, results, state machine. Its
//! clock is advanced a minute at a time. The targets are served by another process (`probe_bench
//! --serve`), whose time does not count; PostgreSQL's does, and is measured when `TEST_POSTGRES_URL`
//! is set (functions/tests/with-services). With `OTEL_EXPORTER_OTLP_ENDPOINT` it is measured with telemetry.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

mod cpu;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chrono::DateTime;
use pongpong::{Engine, Settings};
use runtime::{Clock, Env, on, telemetry};
use serde_json::json;
use tower::ServiceExt;

use cpu::{cpu_of, cpu_of_this};

#[tokio::main]
async fn main() {
    runtime::install_crypto();
    telemetry::init_exposed(&Env::of_process(), "pongpong").unwrap();
    let mut arguments = std::env::args().skip(1).map(|number| number.parse::<i64>().unwrap());
    let (endpoints, minutes) = (arguments.next().unwrap_or(10_000), arguments.next().unwrap_or(5));
    let (mut target, url) = serve_target();
    measure("SQLite", None, endpoints, minutes, &url).await;
    if let Ok(server) = std::env::var("TEST_POSTGRES_URL") {
        let name = format!("pipeline_{}", std::process::id());
        let admin = sqlx::PgPool::connect(&server).await.unwrap();
        let sql = |verb: &str| sqlx::AssertSqlSafe(format!("{verb} DATABASE {name}"));
        sqlx::raw_sql(sql("CREATE")).execute(&admin).await.unwrap();
        let database = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        measure("PostgreSQL", Some(database), endpoints, minutes, &url).await;
        sqlx::raw_sql(sql("DROP")).execute(&admin).await.unwrap();
    }
    target.kill().unwrap();
    target.wait().unwrap();
}

fn serve_target() -> (Child, String) {
    let program = std::env::current_exe().unwrap().with_file_name("probe_bench");
    let mut command = Command::new(program);
    let mut child = command.arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = format!("http://127.0.0.1:{}/health", line.split(' ').next().unwrap());
    (child, url)
}

async fn measure(name: &str, database_url: Option<String>, endpoints: i64, minutes: i64, url: &str) {
    let data = tempfile::tempdir().unwrap();
    let mut settings = Settings::at(data.path());
    let clock = Clock::manual(DateTime::parse_from_rfc3339("2026-03-01T12:00:30Z").unwrap().to_utc());
    let is_sqlite = database_url.is_none();
    settings.database_url = database_url;
    settings.clock = clock.clone();
    let engine = pongpong::start(settings).await.unwrap();
    add(&engine, endpoints, url).await;
    // The first minute is of the endpoints' making.
    clock.advance(Duration::from_secs(60));
    settle(&engine, 0).await;
    clock.advance(Duration::from_secs(60));
    let before = settle(&engine, endpoints).await;

    let server = || if is_sqlite { 0.0 } else { cpu_of("postgres") };
    let (own, servers, began) = (cpu_of_this(), server(), Instant::now());
    for minute in 1..=minutes {
        clock.advance(Duration::from_secs(60));
        settle(&engine, before + minute * endpoints).await;
    }
    let (own, servers) = (cpu_of_this() - own, server() - servers);
    let checks = (endpoints * minutes) as f64;
    let memory = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory = memory.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
    print!(
        "{name}: {endpoints} endpoints, {minutes} minutes: {:.0} checks for each CPU-second",
        checks / (own + servers)
    );
    if !is_sqlite {
        print!(" ({:.0} of pongpong's own)", checks / own);
    }
    println!(", {:.0} for each second; resident {memory}", checks / began.elapsed().as_secs_f64());
    scrape(&engine, name).await;
    engine.stop().await.unwrap();
}

/// What Prometheus costs, asking for the metrics of all.
async fn scrape(engine: &Engine, name: &str) {
    let token = engine.context().env().required("KONG_ADMIN_TOKEN").unwrap();
    let request = reqwest::Client::new().get(format!("http://{}/metrics", engine.admin_address));
    let request = request.bearer_auth(token);
    for _ in 0..3 {
        let (own, began) = (cpu_of_this(), Instant::now());
        let answer = request.try_clone().unwrap().send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let bytes = answer.bytes().await.unwrap().len();
        let (cpu, time) = (cpu_of_this() - own, began.elapsed().as_secs_f64());
        println!("{name}: a scrape: {bytes} bytes, {cpu:.2} s of CPU (and the database's), {time:.2} s");
    }
}

/// Not through the gateway, which lets nobody add so many in a minute.
async fn add(engine: &Engine, endpoints: i64, url: &str) {
    let create = runtime::serve::router(functions::find("endpoint-create").unwrap(), engine.context());
    let token = engine.context().env().required("GATEWAY_TOKEN").unwrap();
    for _ in 0..endpoints {
        let request = http::Request::post("/public/v1/endpoints")
            .header("x-gateway-token", token)
            .header("x-consumer-custom-id", "1")
            .header("x-credential-identifier", "bench")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(json!({"url": url}).to_string()));
        let answer = create.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 201);
    }
}

/// Waits until at least so many results are stored, and nothing more happens; returns how many are.
async fn settle(engine: &Engine, least: i64) -> i64 {
    let (mut count, mut seen) = (0, f64::MIN);
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let sql = "SELECT COUNT(*) FROM report_results";
        let db = engine.context().db().unwrap();
        let now: i64 = on!(db.read(), db => sqlx::query_scalar(sql).fetch_one(db).await).unwrap();
        // Counting takes some milliseconds; handling a batch takes more.
        let cpu = cpu_of_this();
        if now >= least && now == count && cpu - seen < 0.01 {
            return now;
        }
        (count, seen) = (now, cpu);
    }
}
