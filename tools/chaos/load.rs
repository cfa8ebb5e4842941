//! Ten minutes with twice as many checks as one machine is rated for. Afterwards: memory does not grow, there
//! is no backlog and no lost scheduled time.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use runtime::{Db, on};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    process::{Log, Process, program},
    sites::Site,
};

#[derive(clap::Args)]
pub struct Load {
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Rated checks a minute of one machine (docs/operate.md); twice as many are requested
    #[arg(long, default_value_t = 10_000)]
    rate: i64,
}

/// The shortest interval: few endpoints make many checks.
const INTERVAL: i64 = 10;
const WINDOW: Duration = Duration::from_secs(10);
/// Time for the backlog when the load is over.
const RECOVERY: Duration = Duration::from_secs(180);

/// Maximum growth of the median of resident memory from the second third of an engine's life to the last.
const GROWTH: f64 = 1.1;

/// Share of the scheduled times of a whole run that may be counted as missed: one in a thousand.
const MISSED: f64 = 0.001;

/// Read from the database, because the stored data counts. Covers all copies, whose first scheduled times are
/// known.
#[derive(Debug, Default)]
struct Account {
    /// Scheduled times that passed and were handed out.
    times: i64,
    results: i64,
    /// Counted as missed: never claimed, or too late.
    missed: i64,
}

impl Account {
    /// Scheduled times that passed and have neither a result nor were counted as missed; negative if some
    /// have both.
    fn unexplained(&self) -> i64 {
        self.times - self.results - self.missed
    }
}

pub async fn run(load: &Load, log: &Arc<Log>) -> Result<()> {
    let endpoints = (2 * load.rate * INTERVAL / 60).max(1);
    let folder = tempfile::tempdir()?;
    let site = Site::start("127.0.0.1").await?;
    let (mut engine, url) = start(folder.path(), log).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let post = async |path: &str, key: &str, body: Value| -> Result<Value> {
        let request = client.post(format!("{url}{path}")).header("apikey", key).json(&body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    };
    let person = json!({"email": "me@example.com", "password": "a good password"});
    let person = post("/user-service/v1/signup", "", person).await?;
    let key = person["key"].as_str().context("a key")?;
    let body =
        json!({"name": "load", "url": format!("http://{}/", site.address()), "interval_seconds": INTERVAL});
    let first = post("/endpoint-service/v1/endpoints", key, body).await?;
    let first = first["id"].as_i64().context("an id")?;
    let db = Db::at(&format!("sqlite:{}/pongpong.db", folder.path().display()), 1)?;
    let starts = multiply(&db, first, endpoints - 1).await?;
    println!("chaos load: {endpoints} endpoints every {INTERVAL} s, {} checks a minute", 6 * endpoints);

    tokio::time::sleep(Duration::from_secs((starts - Utc::now().timestamp()).max(0).unsigned_abs())).await;
    // The memory of each of the two engines, which run one after the other.
    let (began, mut memories) = (Instant::now(), vec![Vec::new()]);
    while began.elapsed().as_secs_f64() < load.minutes * 60.0 {
        if memories.len() == 1 && began.elapsed().as_secs_f64() >= load.minutes * 30.0 {
            stop(&mut engine).await?;
            (engine, _) = start(folder.path(), log).await?;
            memories.push(Vec::new());
            println!("{:4.0} s: stopped by SIGTERM, and started again", began.elapsed().as_secs_f64());
        }
        tokio::time::sleep(WINDOW).await;
        ensure!(engine.ended().is_none(), "the engine ended by itself");
        let memory = engine.memory().context("the engine's memory")?;
        memories.last_mut().context("an engine")?.push(memory);
        let account = account(&db, starts, log).await?;
        println!(
            "{:4.0} s: resident {:.1} MB, {} due, {} results, {} missed, {} behind",
            began.elapsed().as_secs_f64(),
            memory as f64 / 1e6,
            account.times,
            account.results,
            account.missed,
            account.unexplained()
        );
    }
    // The load is over; checks that were handed out are still made.
    static STOP: &str = "UPDATE endpoints SET enabled = FALSE";
    on!(db.write(), db => sqlx::query(STOP).execute(db).await.map(drop))?;
    let stopped = Instant::now();
    let left = loop {
        let left = account(&db, starts, log).await?;
        let now = Utc::now().timestamp();
        static LAST: &str = "SELECT MAX(next_check_at) FROM endpoints";
        let last: i64 = on!(db.read(), db => sqlx::query_scalar(LAST).fetch_one(db).await)?;
        if last < now && left.unexplained() == 0 {
            break left;
        }
        ensure!(
            stopped.elapsed() < RECOVERY,
            "{} checks are unexplained after {RECOVERY:?}: {left:?}",
            left.unexplained()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    println!("recovered {:.0} s after the load", stopped.elapsed().as_secs_f64());
    for memory in &memories {
        let third = memory.len() / 3;
        let (early, late) =
            (median(&memory[third..memory.len() - third])?, median(&memory[memory.len() - third.max(1)..])?);
        println!("resident, second third {early:.1} MB, last third {late:.1} MB");
        ensure!(late < early * GROWTH, "memory grows");
    }
    stop(&mut engine).await?;
    ensure!(log.faults().is_empty(), "{:?}", log.faults());
    let share = left.missed as f64 / left.times.max(1) as f64;
    println!(
        "chaos load: {} checks due: {} results, {} missed and counted ({:.3} %), {} unexplained",
        left.times,
        left.results,
        left.missed,
        100.0 * share,
        left.unexplained()
    );
    ensure!(left.results > 0, "nothing was checked");
    ensure!(share <= MISSED, "more than {} % were missed", 100.0 * MISSED);
    Ok(())
}

/// Starts an engine; returns it and its URL.
async fn start(data: &Path, log: &Arc<Log>) -> Result<(Process, String)> {
    let mut command = Command::new(program("examples/engine_with_clock")?);
    // Without NOW it uses the system's clock.
    command.env_clear().env("DATA_DIR", data).env("LOG_LEVEL", "warn");
    let engine = Process::spawn(command, "engine", log)?;
    let mut listening = engine.listening.clone();
    let url = tokio::time::timeout(Duration::from_secs(30), listening.wait_for(Option::is_some)).await??;
    let url = url.clone().context("an address")?;
    Ok((engine, url))
}

/// SIGTERM, with work under way.
async fn stop(engine: &mut Process) -> Result<()> {
    ensure!(engine.ended().is_none(), "the engine ended by itself");
    engine.terminate()?;
    ensure!(engine.wait(Duration::from_secs(30)).await?.success(), "it does not end well at SIGTERM");
    Ok(())
}

/// In MB.
fn median(memory: &[u64]) -> Result<f64> {
    let mut memory = memory.to_vec();
    memory.sort_unstable();
    Ok(*memory.get(memory.len() / 2).context("too short to look at memory")? as f64 / 1e6)
}

/// Adds `times` copies of an endpoint, with their scheduled times spread over the interval; returns when the
/// first is due. Bypasses the gateway, whose rate limit does not allow so many.
async fn multiply(db: &Db, endpoint: i64, times: i64) -> Result<i64> {
    static COPY: &str = "INSERT INTO endpoints (user_id, name, url, kind, config, interval_seconds,
            timeout_ms, assertions, retries, failure_threshold,
            success_threshold, enabled, tags, status, next_check_at, created_at, updated_at)
        WITH RECURSIVE numbers (n) AS (SELECT 1 WHERE $2 > 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < $2)
        SELECT user_id, name, url, kind, config, interval_seconds, timeout_ms, assertions, retries, failure_threshold, success_threshold, enabled,
            tags, status, $3 + n % interval_seconds, created_at, updated_at
        FROM endpoints, numbers WHERE id = $1";
    static FIRST: &str = "SELECT next_check_at FROM endpoints WHERE id = $1";
    let first: i64 = on!(db.read(), db => sqlx::query_scalar(FIRST).bind(endpoint).fetch_one(db).await)?;
    on!(db.write(), db => sqlx::query(COPY).bind(endpoint).bind(times).bind(first).execute(db).await.map(drop))?;
    Ok(first)
}

async fn account(db: &Db, starts: i64, log: &Log) -> Result<Account> {
    static ACCOUNT: &str = "SELECT
        (SELECT COALESCE(SUM((CASE WHEN next_check_at < $2 THEN next_check_at ELSE $2 END
                - $1 - (rank % interval_seconds) + interval_seconds - 1) / interval_seconds), 0)
            FROM (SELECT e.*, ROW_NUMBER() OVER (ORDER BY id) - 1 AS rank FROM endpoints e) AS ranked
            WHERE rank > 0 AND next_check_at > $1),
        (SELECT COUNT(*) FROM report_results r JOIN report_series s ON s.id = r.series_id
            WHERE s.endpoint_id > (SELECT MIN(id) FROM endpoints)
                AND r.id < (($2 - 1735689600) << 23)),
        (SELECT COALESCE(SUM(missed_checks), 0) FROM endpoints WHERE id > (SELECT MIN(id) FROM endpoints))";
    let now = Utc::now().timestamp();
    let (times, results, not_claimed): (i64, i64, i64) = on!(db.read(), db =>
        sqlx::query_as(ACCOUNT).bind(starts).bind(now).fetch_one(db).await)?;
    Ok(Account { times, results, missed: not_claimed + log.too_late.load(Ordering::SeqCst) })
}
