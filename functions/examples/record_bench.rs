//! How many results are recorded in a second of this process's and the database's CPU time, and how
//! many bytes each takes: `cargo run --release -p functions --example record_bench [ENDPOINTS] [MINUTES]`.
//!
//! PostgreSQL is measured as well when `TEST_POSTGRES_URL` is set (functions/tests/with-services).
#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

mod cpu;

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use functions::contract::{CheckResult, Outcome, Timings, UpDown, kind};
use runtime::{Clock, Context, Env, Outgoing, outbound::Outbound, secret::Random};
use tower::ServiceExt;

use cpu::{cpu_of, cpu_of_this};

const BATCH: usize = 1000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|number| number.parse::<i64>().unwrap());
    let (endpoints, minutes) = (arguments.next().unwrap_or(2000), arguments.next().unwrap_or(150));
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("bench.db");
    let rows = endpoints * minutes;

    let (cpu, wall) = record(&format!("sqlite:{}", file.display()), endpoints, minutes).await;
    let bytes = std::fs::metadata(&file).unwrap().len();
    println!(
        "SQLite: {rows} results of {endpoints} endpoints: {:.0} for each CPU-second ({:.0} for each second), \
         {:.1} bytes each, indexes included",
        rows as f64 / cpu,
        rows as f64 / wall,
        bytes as f64 / rows as f64
    );

    if let Ok(server) = std::env::var("TEST_POSTGRES_URL") {
        let name = format!("bench_{}", std::process::id());
        let admin = sqlx::PgPool::connect(&server).await.unwrap();
        let sql = |verb: &str| sqlx::AssertSqlSafe(format!("{verb} DATABASE {name}"));
        sqlx::raw_sql(sql("CREATE")).execute(&admin).await.unwrap();
        let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        let before = cpu_of("postgres");
        let (own, wall) = record(&url, endpoints, minutes).await;
        let server = cpu_of("postgres") - before;
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        let size = "SELECT SUM(pg_total_relation_size(inhrelid))::BIGINT FROM pg_inherits
            WHERE inhparent = 'report_results'::REGCLASS";
        let bytes: i64 = sqlx::query_scalar(size).fetch_one(&pool).await.unwrap();
        pool.close().await;
        sqlx::raw_sql(sql("DROP")).execute(&admin).await.unwrap();
        println!(
            "PostgreSQL: {rows} results of {endpoints} endpoints: {:.0} for each CPU-second, {:.0} of the function's \
             alone ({:.0} for each second), {:.1} bytes each, indexes included",
            rows as f64 / (own + server),
            rows as f64 / own,
            rows as f64 / wall,
            bytes as f64 / rows as f64
        );
    }
}

/// Delivers the batches of every minute; gives CPU and wall time.
async fn record(url: &str, endpoints: i64, minutes: i64) -> (f64, f64) {
    let env: Env = [("DATABASE_URL".to_owned(), url.to_owned())].into_iter().collect();
    let start = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc();
    let clock = Clock::manual(start);
    let outbound = Outbound::http(&env);
    let context = Context::new(env, clock.clone(), Random::System, outbound);
    functions::migrate(context.db().unwrap(), context.env()).await.unwrap();
    let router = runtime::serve::router(functions::find("report-record").unwrap(), &context);
    let (mut cpu, mut wall) = (0.0, 0.0);
    for minute in 0..minutes {
        clock.advance(std::time::Duration::from_secs(60));
        let results: Vec<_> = (1..=endpoints).map(|n| result(n, start, minute)).collect();
        for batch in results.chunks(BATCH) {
            // What sending costs is not what recording costs.
            let event = Outgoing::new("bench", kind::CHECK_COMPLETED, "b", start, batch).unwrap();
            let request = event.into_request().unwrap().map(axum::body::Body::from);
            let (cpu_before, began) = (cpu_of_this(), Instant::now());
            let answer = router.clone().oneshot(request).await.unwrap();
            assert!(answer.status().is_success(), "{answer:?}");
            cpu += cpu_of_this() - cpu_before;
            wall += began.elapsed().as_secs_f64();
        }
    }
    context.db().unwrap().close().await;
    (cpu, wall)
}

/// As the check of a site looks: every phase timed, nothing round.
fn result(endpoint: i64, start: DateTime<Utc>, minute: i64) -> CheckResult {
    let noise = u32::try_from((endpoint * 7919 + minute * 104_729) % 997).unwrap();
    let scheduled_at = start + TimeDelta::seconds(minute * 60 + endpoint % 60);
    let first_byte = 20 + noise % 300;
    CheckResult {
        endpoint_id: endpoint,
        user_id: 1 + endpoint / 20,
        scheduled_at,
        checked_at: scheduled_at + TimeDelta::milliseconds(300 + i64::from(noise)),
        region: "default".into(),
        failure_threshold: 2,
        success_threshold: 1,
        maintenance: false,
        outcome: Outcome {
            status: UpDown::Up,
            status_code: Some(200),
            error: None,
            timings_ms: Timings {
                dns: Some(noise % 20),
                connect: Some(10 + noise % 50),
                tls: Some(20 + noise % 100),
                first_byte: Some(first_byte),
                transfer: Some(noise % 10),
                total: 30 + noise % 180 + first_byte,
            },
            ip: Some([203, 0, 113, endpoint.to_le_bytes()[0]].into()),
            certificate_expires_at: DateTime::from_timestamp(1_800_000_000 + endpoint, 0),
            response_bytes: u64::from(noise) * 80,
        },
    }
}
