//! Queries over very many results, on PostgreSQL: 90 days of single results and a year of sums.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{Clock, Context, Db};
use sqlx::PgPool;

use crate::{
    Options,
    chart::{Chart, Shape},
    data::{Call, Called, add_partition, context},
    measure::{Sample, Side, Spread, cpu_of_this, interleaved, number},
    outside::Postgres,
    prober,
    record::{Measured, Ratio, Table},
    targets::Targets,
};

const NAME: &str = "bench_reports";
const DAYS: i64 = 90;
const DAY: i64 = 86_400;
const HOUR: i64 = 3600;
/// One result a minute.
const RESULTS_EACH: i64 = DAYS * 1440;
/// Endpoints of one user.
const EACH: i64 = 100;

/// The number of results for the ratio: small enough for `bench-check`.
const FEW: i64 = 10 * RESULTS_EACH;

pub fn measure(options: &Options) -> Result<Measured> {
    let runtime = tokio::runtime::Runtime::new()?;
    let postgres = runtime.block_on(Postgres::find())?;
    let postgres = postgres.context("there is no PostgreSQL: run it under functions/tests/with-services")?;
    let mut measured = Measured::default();
    if options.results > 0 {
        measured = runtime.block_on(async {
            let history = History::make(&postgres, options.results).await?;
            let measured = history.measure(8 * options.rounds as i64).await;
            history.drop().await?;
            measured
        })?;
    }
    let (targets, few) = (Targets::start()?, runtime.block_on(History::make(&postgres, FEW))?);
    let all = || {
        runtime.block_on(async {
            let mut taken = Sample { count: 0, cpu: Duration::ZERO, wall: Duration::ZERO };
            for question in &few.questions() {
                for n in 0..20 {
                    let (cpu, wall) = few.ask(question, n).await?;
                    (taken.count, taken.cpu, taken.wall) =
                        (taken.count + 1, taken.cpu + cpu, taken.wall + wall);
                }
            }
            Ok(taken)
        })
    };
    let sides = vec![prober::bare_http(&targets), Side::new("questions", all)];
    let rounds = interleaved(options.rounds.min(3), sides)?;
    let what = format!("CPU time of a question about {FEW} results, each kind as often / of a wrk request");
    measured.ratios.push(Ratio::new("reports/wrk", &what, rounds[1].cost_beside(&rounds[0])));
    runtime.block_on(few.drop())?;
    Ok(measured)
}

/// A database full of results.
struct History<'a> {
    postgres: &'a Postgres,
    context: Context,
    endpoints: i64,
    results: i64,
    bytes: i64,
    took: Duration,
}

/// A query's name, its function, and its path for an endpoint.
type Question = (&'static str, &'static str, Box<dyn Fn(i64) -> String>);

impl<'a> History<'a> {
    async fn make(postgres: &'a Postgres, results: i64) -> Result<Self> {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:30:00Z")?.to_utc();
        let endpoints = (results / RESULTS_EACH).max(1);
        let began = Instant::now();
        let url = postgres.create(NAME).await?;
        let context = context(&url, Clock::manual(now)).await?;
        let db = context.db()?;
        // Its statements take longer than a function's may.
        let pool = &sqlx::PgPool::connect(&url).await?;
        let results = fill(db, pool, endpoints, now).await?;
        state(pool, now).await?;
        let rollup = Called::of(&context, "report-rollup")?;
        rollup.call(1, Call::post("/", String::new())).await.context("report-rollup")?;
        fill_rollups(pool, now).await?;
        eprintln!("  sums of a year are there, {:.0} s; vacuuming", began.elapsed().as_secs_f64());
        sqlx::raw_sql("VACUUM (ANALYZE)").execute(pool).await?;
        let bytes = "SELECT pg_database_size(current_database())";
        let bytes: i64 = sqlx::query_scalar(bytes).fetch_one(pool).await?;
        let took = began.elapsed();
        eprintln!("  {results} results in {:.1} GB, {:.0} s", bytes as f64 / 1e9, took.as_secs_f64());
        Ok(Self { postgres, context, endpoints, results, bytes, took })
    }

    async fn drop(self) -> Result<()> {
        self.context.db()?.close().await;
        self.postgres.drop(NAME).await
    }

    fn questions(&self) -> [Question; 12] {
        let (now, endpoints) = (self.context.clock().now(), self.endpoints);
        let summary = |days: i64| {
            let from = (now - TimeDelta::days(days)).format("%Y-%m-%dT%H:%M:%SZ");
            Box::new(move |endpoint: i64| format!("/public/v1/summaries/{endpoint}?from={from}"))
        };
        let overview = |range: &'static str| {
            Box::new(move |endpoint: i64| {
                let first = (endpoint - 1) / EACH * EACH + 1;
                let ids: Vec<_> = (first..(first + 25).min(endpoints + 1)).map(|id| id.to_string()).collect();
                format!("/public/v1/overviews?endpoint_ids={}&range={range}", ids.join(","))
            })
        };
        let list = |more: &'static str| {
            Box::new(move |id: i64| format!("/public/v1/reports{}", more.replace("ID", &id.to_string())))
        };
        [
            ("summary of 24 hours", "report-summary", summary(1)),
            ("summary of 7 days", "report-summary", summary(7)),
            ("summary of 90 days", "report-summary", summary(90)),
            ("summary of a year", "report-summary", summary(364)),
            ("list, first page", "report-list", list("")),
            ("list, page 100", "report-list", list("?page=100")),
            ("list of an endpoint", "report-list", list("?endpoint_id=ID")),
            ("list of an endpoint's failures", "report-list", list("?endpoint_id=ID&status=down")),
            ("overview, 25 endpoints, 24 hours", "report-overview", overview("24h")),
            ("overview, 25 endpoints, 7 days", "report-overview", overview("7d")),
            ("overview, 25 endpoints, 30 days", "report-overview", overview("30d")),
            ("overview, 25 endpoints, 90 days", "report-overview", overview("90d")),
        ]
    }

    /// Asks about the `n`th endpoint of a mixed order; returns CPU time and wall time.
    async fn ask(&self, (_, function, path): &Question, n: i64) -> Result<(Duration, Duration)> {
        let function = Called::of(&self.context, function)?;
        let endpoint = n * 7919 % self.endpoints + 1;
        let path = path(endpoint);
        let (cpu, began) = (cpu_of_this() + self.postgres.cpu(), Instant::now());
        let answer = function.call(owner(endpoint), Call::get(&path)).await?;
        let taken = (cpu_of_this() + self.postgres.cpu() - cpu, began.elapsed());
        ensure!(answer.len() > 200, "{path}: {}", String::from_utf8_lossy(&answer));
        Ok(taken)
    }

    async fn measure(&self, times: i64) -> Result<Measured> {
        let mut table = Table::new(
            "Questions about many results",
            &format!(
                "{} results of {} endpoints, checked once a minute for {DAYS} days, and sums of a year, of users with \
                 {EACH} endpoints each: {:.1} GB in PostgreSQL, made in {:.0} s. One question at a time, each about \
                 another endpoint. The server's time is included. The results' tables are not logged: they are dropped \
                 soon.",
                number(self.results as f64),
                self.endpoints,
                self.bytes as f64 / 1e9,
                self.took.as_secs_f64()
            ),
            &["", "CPU time, ms", "wall time, ms"],
        );
        let mut bars = Vec::new();
        for question in &self.questions() {
            let (mut cpu, mut wall) = (Vec::new(), Vec::new());
            for n in 0..times {
                let taken = self.ask(question, n).await?;
                cpu.push(milliseconds(taken.0));
                wall.push(milliseconds(taken.1));
            }
            let (name, cpu, wall) = (question.0.to_owned(), Spread::of(cpu), Spread::of(wall));
            eprintln!("  {name:36} {} ms of CPU, {} ms", cpu.text(), wall.text());
            table.row([name.clone(), cpu.text(), wall.text()]);
            bars.push((name, wall.median));
        }
        let chart = Chart {
            file: "bench-reports".to_owned(),
            title: format!("Questions about {} results", number(self.results as f64)),
            x: "ms, median".to_owned(),
            y: String::new(),
            shape: Shape::Bars(bars),
        };
        Ok(Measured { tables: vec![table], charts: vec![chart], ..Measured::default() })
    }
}

fn owner(endpoint: i64) -> i64 {
    1 + (endpoint - 1) / EACH
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Fills day by day, two days at once. The tables are unlogged: they are dropped soon, and reads are the
/// same.
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

async fn fill_day(db: &Db, pool: &PgPool, times: std::ops::Range<i64>) -> Result<i64> {
    const RESULTS: &str = "
        INSERT INTO report_results (id, series_id, checked_after_ms, up, status_code, dns_ms, connect_ms, tls_ms,
            first_byte_ms, transfer_ms, total_ms, ip, certificate_expires, response_bytes, error_code, error_message)
        SELECT ((scheduled_at + s.id % 60 - 1735689600) << 23) | s.id, s.id, 300, luck > 0.002,
            CASE WHEN luck > 0.002 THEN 200 ELSE 500 END, 4, 12, 25, 40 + (luck * luck * 300)::INT, 3,
            84 + (luck * luck * 300)::INT, '\\xcb007107'::BYTEA, 1800000000, 1234,
            CASE WHEN luck <= 0.002 THEN 'STATUS_MISMATCH' END,
            CASE WHEN luck <= 0.002 THEN 'Expected status 200-399, got 500 Internal Server Error' END
        FROM GENERATE_SERIES($1, $2 - 60, 60) AS scheduled_at CROSS JOIN report_series s
            CROSS JOIN LATERAL (SELECT RANDOM() + 0 * scheduled_at * s.id AS luck OFFSET 0) AS drawn";
    let name = add_partition(db, times.start).await?.context("no partition")?;
    let unlogged = format!("ALTER TABLE {name} SET UNLOGGED");
    sqlx::raw_sql(sqlx::AssertSqlSafe(unlogged)).execute(pool).await?;
    let added = sqlx::query(RESULTS).bind(times.start).bind(times.end).execute(pool).await?;
    Ok(added.rows_affected().try_into()?)
}

/// As if all but the last days were rolled up.
async fn state(pool: &PgPool, now: DateTime<Utc>) -> Result<()> {
    const STATE: &str = "INSERT INTO report_state (name, value) VALUES ('hours_until', $1), ('days_until', $2), \
         ('buckets_until', $1), ('raw_from', $3), ('hours_from', 0)";
    let (hours_until, today) = (hours_until(now), now.timestamp() / DAY * DAY);
    let state = sqlx::query(STATE).bind(hours_until).bind(hours_until);
    state.bind(today - (DAYS - 1) * DAY).execute(pool).await?;
    sqlx::raw_sql("ALTER TABLE report_rollups SET UNLOGGED; ALTER TABLE report_buckets SET UNLOGGED")
        .execute(pool)
        .await?;
    Ok(())
}

/// Later hours are rolled up by the product itself, as the pattern for the older ones.
fn hours_until(now: DateTime<Utc>) -> i64 {
    (now.timestamp() / DAY - 2) * DAY
}

/// A year of hours and days, copied from those that the product rolled up.
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
