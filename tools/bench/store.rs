//! Storing results: CPU time and bytes of each.

use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::Body;
use chrono::{DateTime, TimeDelta, Utc};
use contract::{CheckResult, CheckStatus, Outcome, Timings, kind};
use runtime::{Clock, Db, Outgoing, on};

use crate::{
    Options,
    data::{Called, context},
    measure::{Sample, Side, Spread, cpu_of_this, interleaved, number},
    outside::Postgres,
    prober,
    record::{Better, Goal, Measured, Ratio, Table},
    targets::Targets,
};

const BATCH: usize = 1000;

pub fn measure(options: &Options) -> Result<Measured> {
    let runtime = tokio::runtime::Runtime::new()?;
    let postgres = runtime.block_on(Postgres::find())?;
    let (endpoints, minutes) = (2_000, 150);
    let run = |postgres: Option<&Postgres>| {
        runtime.block_on(record(postgres, endpoints, minutes)).map(|(sample, _)| sample)
    };
    let targets = Targets::start()?;
    let mut sides = vec![prober::bare_http(&targets), Side::new("SQLite", || run(None))];
    if let Some(postgres) = &postgres {
        sides.push(Side::new("PostgreSQL", || run(Some(postgres))));
    }
    let rounds = interleaved(options.rounds.min(3), sides)?;
    let (bare, rounds) = rounds.split_first().context("no rounds")?;
    let mut table = Table::new(
        "Results, stored",
        &format!(
            "{} results of {} endpoints, in events of {BATCH}; a database server's time is included, indexes are too.",
            number((endpoints * minutes) as f64),
            number(endpoints as f64)
        ),
        &["database", "results per CPU-second", "bytes of each"],
    );
    let (mut goals, mut ratios) = (Vec::new(), Vec::new());
    for side in rounds {
        let bytes =
            runtime.block_on(bytes_of_a_result(postgres.as_ref().filter(|_| side.name != "SQLite")))?;
        table.row([side.name.to_owned(), side.per_cpu_second().text(), number(bytes)]);
        let what = format!("bytes of a stored result on {}", side.name);
        ratios.push(Ratio::new(&format!("bytes on {}", side.name), &what, Spread::one(bytes)));
        ratios.push(Ratio::new(
            &format!("store on {}/wrk", side.name),
            &format!("CPU time of a result stored on {} / of a wrk request", side.name),
            side.cost_beside(bare),
        ));
        if side.name == "SQLite" {
            goals.push(Goal {
                what: "bytes stored for a check, SQLite, indexes included".to_owned(),
                unit: String::new(),
                figure: Spread::one(bytes),
                goal: 100.0,
                better: Better::Lower,
                beside: String::new(),
            });
        }
    }
    Ok(Measured { tables: vec![table], goals, ratios, ..Measured::default() })
}

/// Including indexes.
pub async fn bytes_of_a_result(postgres: Option<&Postgres>) -> Result<f64> {
    let (sample, bytes) = record(postgres, 2_000, 60).await?;
    Ok(bytes as f64 / sample.count as f64)
}

/// Delivers the batches of every minute; returns the cost, and the bytes of the tables.
async fn record(postgres: Option<&Postgres>, endpoints: i64, minutes: i64) -> Result<(Sample, u64)> {
    const NAME: &str = "bench_store";
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bench.db");
    let url = match postgres {
        Some(postgres) => postgres.create(NAME).await?,
        None => format!("sqlite:{}", file.display()),
    };
    let start = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z")?.to_utc();
    let clock = Clock::manual(start);
    let context = context(&url, clock.clone()).await?;
    let function = Called::of(&context, "report-record")?;
    let server = || postgres.map_or(Duration::ZERO, Postgres::cpu);
    let mut taken = Sample { count: 0, cpu: Duration::ZERO, wall: Duration::ZERO };
    for minute in 0..minutes {
        clock.advance(Duration::from_secs(60));
        let results: Vec<_> = (1..=endpoints).map(|n| result(n, start, minute)).collect();
        for batch in results.chunks(BATCH) {
            // Sending is not part of the cost of storing.
            let event = Outgoing::new("bench", kind::CHECK_COMPLETED, "b", start, batch)?;
            let request = event.into_request()?.map(Body::from);
            let (before, began) = (cpu_of_this(), std::time::Instant::now());
            let of_server = server();
            function.send(request).await?;
            taken.cpu += cpu_of_this() - before + (server() - of_server);
            taken.wall += began.elapsed();
            taken.count += batch.len() as u64;
        }
    }
    let bytes = match context.db()? {
        Db::Sqlite { .. } => {
            on!(context.db()?.write(), db =>
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(db).await.map(drop))?;
            std::fs::metadata(&file)?.len()
        }
        Db::Postgres(pool) => {
            let size = "SELECT SUM(pg_total_relation_size(inhrelid))::BIGINT FROM pg_inherits
                WHERE inhparent = 'report_results'::REGCLASS";
            sqlx::query_scalar::<_, i64>(size).fetch_one(pool).await?.try_into()?
        }
    };
    context.db()?.close().await;
    if let Some(postgres) = postgres {
        postgres.drop(NAME).await?;
    }
    Ok((taken, bytes))
}

/// A typical result of a website's check: every phase is timed, with uneven numbers.
fn result(endpoint: i64, start: DateTime<Utc>, minute: i64) -> CheckResult {
    let noise = u32::try_from((endpoint * 7919 + minute * 104_729) % 997).unwrap_or_default();
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
        interval_seconds: 60,
        revision: 0,
        maintenance: false,
        outcome: Outcome {
            status: CheckStatus::Up,
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
