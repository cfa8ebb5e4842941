//! Questions about very many results, on PostgreSQL: 90 days of single results and a year of sums.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{Clock, Db};
use sqlx::PgPool;

use crate::{
    Options,
    chart::{Chart, Shape},
    data::{Call, Called, add_partition, context},
    measure::{Spread, cpu_of_this, number},
    outside::Postgres,
    record::{Measured, Table},
};

const NAME: &str = "bench_reports";
const DAYS: i64 = 90;
const DAY: i64 = 86_400;
const HOUR: i64 = 3600;
/// A result a minute.
const RESULTS_EACH: i64 = DAYS * 1440;
/// Endpoints of one user.
const EACH: i64 = 100;

pub fn measure(options: &Options) -> Result<Measured> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let postgres = Postgres::find().await?;
        let postgres =
            postgres.context("there is no PostgreSQL: run it under functions/tests/with-services")?;
        let measured = ask(&postgres, options).await;
        postgres.drop(NAME).await?;
        measured
    })
}

async fn ask(postgres: &Postgres, options: &Options) -> Result<Measured> {
    let now = DateTime::parse_from_rfc3339("2026-03-01T12:30:00Z")?.to_utc();
    let endpoints = (options.results / RESULTS_EACH).max(1);
    let began = Instant::now();
    let context = context(&postgres.create(NAME).await?, Clock::manual(now)).await?;
    let db = context.db()?;
    let Db::Postgres(pool) = db else { anyhow::bail!("not PostgreSQL") };
    let results = fill(db, pool, endpoints, now).await?;
    state(pool, now).await?;
    let rollup = Called::of(&context, "report-rollup")?;
    rollup.call(1, Call::post("/", String::new())).await.context("report-rollup")?;
    fill_rollups(pool, now).await?;
    eprintln!("  sums of a year are there, {:.0} s; vacuuming", began.elapsed().as_secs_f64());
    sqlx::raw_sql("VACUUM (ANALYZE)").execute(pool).await?;
    let size: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())").fetch_one(pool).await?;
    eprintln!("  {} results in {:.1} GB, {:.0} s", results, size as f64 / 1e9, began.elapsed().as_secs_f64());

    let since = |days: i64| (now - TimeDelta::days(days)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let summary = |days: i64| {
        let from = since(days);
        move |endpoint: i64| format!("/public/v1/summaries/{endpoint}?from={from}")
    };
    let overview = |range: &'static str| {
        move |endpoint: i64| {
            let first = (endpoint - 1) / EACH * EACH + 1;
            let ids: Vec<_> = (first..(first + 25).min(endpoints + 1)).map(|id| id.to_string()).collect();
            format!("/public/v1/overviews?endpoint_ids={}&range={range}", ids.join(","))
        }
    };
    type Path<'a> = Box<dyn Fn(i64) -> String + 'a>;
    let questions: [(&str, &str, Path<'_>); 12] = [
        ("summary of 24 hours", "report-summary", Box::new(summary(1))),
        ("summary of 7 days", "report-summary", Box::new(summary(7))),
        ("summary of 90 days", "report-summary", Box::new(summary(90))),
        ("summary of a year", "report-summary", Box::new(summary(364))),
        ("list, first page", "report-list", Box::new(|_| "/public/v1/reports".to_owned())),
        ("list, page 100", "report-list", Box::new(|_| "/public/v1/reports?page=100".to_owned())),
        ("list of an endpoint", "report-list", Box::new(|id| format!("/public/v1/reports?endpoint_id={id}"))),
        (
            "list of an endpoint's failures",
            "report-list",
            Box::new(|id| format!("/public/v1/reports?endpoint_id={id}&status=down")),
        ),
        ("overview, 25 endpoints, 24 hours", "report-overview", Box::new(overview("24h"))),
        ("overview, 25 endpoints, 7 days", "report-overview", Box::new(overview("7d"))),
        ("overview, 25 endpoints, 30 days", "report-overview", Box::new(overview("30d"))),
        ("overview, 25 endpoints, 90 days", "report-overview", Box::new(overview("90d"))),
    ];
    let mut table = Table::new(
        "Questions about many results",
        &format!(
            "{} results of {endpoints} endpoints, checked once a minute for {DAYS} days, and sums of a year, of users with \
             {EACH} endpoints each: {:.1} GB in PostgreSQL, made in {:.0} s. One question at a time, each about another \
             endpoint. The server's time is included. The results' tables are not logged: they are dropped soon.",
            number(results as f64),
            size as f64 / 1e9,
            began.elapsed().as_secs_f64()
        ),
        &["", "CPU time, ms", "wall time, ms"],
    );
    let mut bars = Vec::new();
    for (name, function, path) in &questions {
        let function = Called::of(&context, function)?;
        let times = 8 * options.rounds as i64;
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        for n in 0..times {
            let endpoint = n * 7919 % endpoints + 1;
            let path = path(endpoint);
            let cpu_before = cpu_of_this() + postgres.cpu();
            let began = Instant::now();
            let answer = function.call(owner(endpoint), Call::get(&path)).await?;
            wall.push(milliseconds(began.elapsed()));
            cpu.push(milliseconds(cpu_of_this() + postgres.cpu() - cpu_before));
            ensure!(answer.len() > 200, "{path}: {}", String::from_utf8_lossy(&answer));
        }
        let (cpu, wall) = (Spread::of(cpu), Spread::of(wall));
        eprintln!("  {name:36} {} ms of CPU, {} ms", cpu.text(), wall.text());
        bars.push(((*name).to_owned(), wall.median));
        table.row([(*name).to_owned(), cpu.text(), wall.text()]);
    }
    context.db()?.close().await;
    let chart = Chart {
        file: "bench-reports".to_owned(),
        title: format!("Questions about {} results", number(results as f64)),
        x: "ms, median".to_owned(),
        y: String::new(),
        shape: Shape::Bars(bars),
    };
    Ok(Measured { tables: vec![table], charts: vec![chart], ..Measured::default() })
}

fn owner(endpoint: i64) -> i64 {
    1 + (endpoint - 1) / EACH
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A day after the other, two at once. The tables are not logged: they are dropped soon, and what is asked
/// is asked all the same.
async fn fill(db: &Db, pool: &PgPool, endpoints: i64, now: DateTime<Utc>) -> Result<i64> {
    const SERIES: &str = "INSERT INTO report_series (user_id, endpoint_id, region) \
         SELECT 1 + (n - 1) / $2, n, 'default' FROM GENERATE_SERIES(1, $1) AS n ORDER BY n";
    sqlx::query(SERIES).bind(endpoints).bind(EACH).execute(pool).await?;
    let (end, today) = (now.timestamp(), now.timestamp() / DAY);
    let began = Instant::now();
    let mut results = 0;
    let days: Vec<_> = (today - DAYS + 1..=today).collect();
    for (n, pair) in days.chunks(2).enumerate() {
        let one = async |day: i64| fill_day(db, pool, day * DAY..((day + 1) * DAY).min(end)).await;
        let (first, second) = match *pair {
            [first, second] => tokio::join!(one(first), one(second)),
            [only] => (one(only).await, Ok(0)),
            _ => break,
        };
        results += first? + second?;
        if n % 9 == 8 {
            eprintln!("  {results} results, {:.0} s", began.elapsed().as_secs_f64());
        }
    }
    Ok(results)
}

async fn fill_day(db: &Db, pool: &PgPool, slots: std::ops::Range<i64>) -> Result<i64> {
    const RESULTS: &str = "
        INSERT INTO report_results (id, series_id, checked_after_ms, up, status_code, dns_ms, connect_ms, tls_ms,
            first_byte_ms, transfer_ms, total_ms, ip, certificate_expires, response_bytes, error_code, error_message)
        SELECT ((slot + s.id % 60 - 1735689600) << 23) | s.id, s.id, 300, luck > 0.002,
            CASE WHEN luck > 0.002 THEN 200 ELSE 500 END, 4, 12, 25, 40 + (luck * luck * 300)::INT, 3,
            84 + (luck * luck * 300)::INT, '\\xcb007107'::BYTEA, 1800000000, 1234,
            CASE WHEN luck <= 0.002 THEN 'STATUS_MISMATCH' END,
            CASE WHEN luck <= 0.002 THEN 'Expected status 200-399, got 500 Internal Server Error' END
        FROM GENERATE_SERIES($1, $2 - 60, 60) AS slot CROSS JOIN report_series s
            CROSS JOIN LATERAL (SELECT RANDOM() + 0 * slot * s.id AS luck OFFSET 0) AS drawn";
    let name = add_partition(db, slots.start).await?.context("no partition")?;
    let unlogged = format!("ALTER TABLE {name} SET UNLOGGED");
    sqlx::raw_sql(sqlx::AssertSqlSafe(unlogged)).execute(pool).await?;
    let added = sqlx::query(RESULTS).bind(slots.start).bind(slots.end).execute(pool).await?;
    Ok(added.rows_affected().try_into()?)
}

/// As if all but the last days had been summed up.
async fn state(pool: &PgPool, now: DateTime<Utc>) -> Result<()> {
    const STATE: &str = "INSERT INTO report_state (name, value) VALUES ('hours_until', $1), ('days_until', $2), \
         ('slots_until', $1), ('raw_from', $3), ('hours_from', 0)";
    let (hours_until, today) = (hours_until(now), now.timestamp() / DAY * DAY);
    let state = sqlx::query(STATE).bind(hours_until).bind(hours_until);
    state.bind(today - (DAYS - 1) * DAY).execute(pool).await?;
    sqlx::raw_sql("ALTER TABLE report_rollups SET UNLOGGED; ALTER TABLE report_slots SET UNLOGGED")
        .execute(pool)
        .await?;
    Ok(())
}

/// What comes after, the product sums up itself: the pattern for what is older.
fn hours_until(now: DateTime<Utc>) -> i64 {
    (now.timestamp() / DAY - 2) * DAY
}

/// A year of hours and days, with what the product made of the last ones.
async fn fill_rollups(pool: &PgPool, now: DateTime<Utc>) -> Result<()> {
    const ROLLUPS: &str = "
        INSERT INTO report_rollups (series_id, span, start, checks, up, sum_ms, min_ms, max_ms, latency, dns_ms,
            connect_ms, tls_ms, first_byte_ms, transfer_ms)
        SELECT s.id, $1, begins, made.checks, made.up, made.sum_ms, made.min_ms, made.max_ms, made.latency, made.dns_ms,
            made.connect_ms, made.tls_ms, made.first_byte_ms, made.transfer_ms
        FROM report_series s CROSS JOIN GENERATE_SERIES($2, $3 - $1, $1) AS begins
            JOIN (SELECT *, ROW_NUMBER() OVER (ORDER BY series_id, start) - 1 AS n FROM (
                SELECT * FROM report_rollups WHERE span = $1 ORDER BY start, series_id LIMIT 64) AS few) AS made
            ON made.n = (s.id + begins / $1) % (SELECT LEAST(64, COUNT(*)) FROM report_rollups WHERE span = $1)
        ON CONFLICT DO NOTHING";
    let until = hours_until(now);
    let year_ago = now.timestamp() / DAY * DAY - 365 * DAY;
    for (span, until) in [(HOUR, until), (DAY, until)] {
        let added =
            sqlx::query(ROLLUPS).bind(span).bind(year_ago).bind(until).execute(pool).await?.rows_affected();
        ensure!(added > 0, "there were no sums to copy, of {span} seconds");
    }
    Ok(())
}
