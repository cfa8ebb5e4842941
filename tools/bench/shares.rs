//! How one owner's slow targets and channels affect the others: they must notice nothing.
//!
//! An engine runs in a separate process with the real clock. One owner has endpoints, or webhooks, that
//! accept connections and never answer; ten others have healthy ones.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, ValueEnum};
use contract::{Status, StatusChange, kind};
use pongpong::{Engine, Settings};
use runtime::{Outgoing, on, secret::Sealer};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Options,
    data::{Endpoints, add_endpoints},
    measure::{Spread, megabytes, number, resident},
    record::{Better, Goal, Measured, Ratio, Table},
    targets::Targets,
};

/// The owner whose targets hang.
const SLOW: i64 = 1;
const OTHERS: std::ops::RangeInclusive<i64> = 2..=11;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Checks,
    Deliveries,
}

/// Arguments of the engine's process.
#[derive(Args)]
pub struct Work {
    what: What,
    /// The number of hanging endpoints or webhooks.
    hanging: i64,
    #[arg(long)]
    port: u16,
    /// Duration of the measurement.
    #[arg(long)]
    minutes: u64,
}

/// The output of the engine's process: the delays of the others' checks or messages, in milliseconds.
#[derive(Serialize, Deserialize)]
struct Done {
    late: Vec<f64>,
    missed: i64,
    open_files: usize,
    resident: u64,
}

/// Runs in the engine's process.
pub async fn work(work: Work) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let engine = pongpong::start(Settings::at(folder.path())).await?;
    let done = match work.what {
        What::Checks => checks(&engine, &work).await?,
        What::Deliveries => deliveries(&engine, &work).await?,
    };
    println!("{}", serde_json::to_string(&done)?);
    // Do not wait for hanging checks.
    std::process::exit(0)
}

async fn add(engine: &Engine, user: i64, count: i64, url: &str) -> Result<()> {
    let at = Utc::now();
    let first_check_at = at.timestamp() / 60 * 60 + 60;
    let endpoints = Endpoints { count, user: Some(user), url, first_check_at, settled: false, at };
    add_endpoints(engine.context().db()?, &endpoints).await
}

/// One minute to start; then the checks of the others count.
async fn checks(engine: &Engine, work: &Work) -> Result<Done> {
    const PATIENT: &str = "UPDATE endpoints SET timeout_ms = 60000 WHERE user_id = $1";
    const LATE: &str =
        "SELECT r.checked_after_ms FROM report_results r JOIN report_series s ON s.id = r.series_id
        WHERE s.user_id <> $1 ORDER BY r.id";
    const MISSED: &str = "SELECT COALESCE(SUM(missed_checks), 0) FROM endpoints WHERE user_id <> $1";
    let db = engine.context().db()?;
    add(engine, SLOW, work.hanging, &format!("http://127.0.0.1:{}/hanging", work.port)).await?;
    for user in OTHERS {
        add(engine, user, 100, &format!("http://127.0.0.1:{}/health", work.port)).await?;
    }
    on!(db.write(), db => sqlx::query(PATIENT).bind(SLOW).execute(db).await.map(drop))?;
    let late = async || -> Result<Vec<i64>> {
        Ok(on!(db.read(), db => sqlx::query_scalar(LATE).bind(SLOW).fetch_all(db).await)?)
    };
    let next = Utc::now().timestamp() / 60 * 60 + 60 - Utc::now().timestamp();
    tokio::time::sleep(Duration::from_secs(next.unsigned_abs() + 61)).await;
    let before = late().await?.len();
    let mut open_files = 0;
    for _ in 0..work.minutes * 6 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        open_files = open_files.max(std::fs::read_dir("/proc/self/fd")?.count());
    }
    let late = late().await?.split_off(before);
    ensure!(
        late.len() > 900 * usize::try_from(work.minutes)?,
        "{} checks of the others were made",
        late.len()
    );
    Ok(Done {
        late: late.into_iter().map(|ms| ms as f64).collect(),
        missed: on!(db.read(), db => sqlx::query_scalar(MISSED).bind(SLOW).fetch_one(db).await)?,
        open_files,
        resident: resident(std::process::id())?.max,
    })
}

/// Maximum number of webhooks of the slow owner.
const CHANNELS: i64 = 100;

/// The slow owner's messages first; then, once a second, one of each other owner.
async fn deliveries(engine: &Engine, work: &Work) -> Result<Done> {
    const TOLD: &str = "SELECT changed_at, finished_at FROM deliveries
        WHERE user_id <> $1 AND status = 'delivered'";
    let (db, rounds) = (engine.context().db()?, 30 * work.minutes);
    let well = format!("http://127.0.0.1:{}/health", work.port);
    let channels = work.hanging.min(CHANNELS);
    add(engine, SLOW, work.hanging / channels, &well).await?;
    for _ in 0..channels {
        channel(engine, SLOW, &format!("http://127.0.0.1:{}/hanging", work.port)).await?;
    }
    for user in OTHERS {
        add(engine, user, rounds.try_into()?, &well).await?;
        channel(engine, user, &well).await?;
    }
    let ids = async |user: i64| -> Result<Vec<i64>> {
        const IDS: &str = "SELECT id FROM endpoints WHERE user_id = $1 ORDER BY id";
        Ok(on!(db.read(), db => sqlx::query_scalar(IDS).bind(user).fetch_all(db).await)?)
    };
    for some in ids(SLOW).await?.chunks(500) {
        goes_down(engine, SLOW, some).await?;
    }
    let mut others = Vec::new();
    for user in OTHERS {
        others.push((user, ids(user).await?));
    }
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (user, ids) in &others {
            goes_down(engine, *user, &[ids[usize::try_from(round)?]]).await?;
        }
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    let told: Vec<(DateTime<Utc>, DateTime<Utc>)> =
        on!(db.read(), db => sqlx::query_as(TOLD).bind(SLOW).fetch_all(db).await)?;
    let expected = i64::try_from(rounds)? * OTHERS.count() as i64;
    Ok(Done {
        missed: expected - told.len() as i64,
        late: told.iter().map(|(asked, done)| (*done - *asked).as_seconds_f64() * 1e3).collect(),
        open_files: std::fs::read_dir("/proc/self/fd")?.count(),
        resident: resident(std::process::id())?.max,
    })
}

async fn channel(engine: &Engine, user: i64, url: &str) -> Result<()> {
    const ADD: &str = "INSERT INTO notifications
            (user_id, name, kind, sealed_config, all_endpoints, enabled, created_at, updated_at)
        VALUES ($1, 'hook', 'webhook', $2, TRUE, TRUE, $3, $3)";
    let context = engine.context();
    let config = json!({ "url": url }).to_string();
    let sealed = context.config::<Sealer>()?.seal(context.random(), "notification-config", &config)?;
    on!(context.db()?.write(), db =>
        sqlx::query(ADD).bind(user).bind(sealed).bind(Utc::now()).execute(db).await.map(drop))?;
    Ok(())
}

async fn goes_down(engine: &Engine, user_id: i64, endpoints: &[i64]) -> Result<()> {
    let now = Utc::now();
    let change = |endpoint_id: &i64| StatusChange {
        endpoint_id: *endpoint_id,
        user_id,
        from: Status::Up,
        to: Status::Down,
        changed_at: now,
        revision: 0,
        outage_started_at: Some(now - TimeDelta::minutes(1)),
        cause: None,
    };
    let changes: Vec<_> = endpoints.iter().map(change).collect();
    let id = format!("bench-{user_id}-{}", now.timestamp_micros());
    let event = Outgoing::new("bench", kind::STATUS_CHANGED, id, now, &changes)?;
    Ok(engine.context().outbound().publish(event).await?)
}

/// Both cases, each compared with the same run without hanging targets.
pub fn measure(options: &Options) -> Result<Measured> {
    let targets = Targets::start()?;
    let minutes = if options.quick { 1 } else { 3 };
    let mut table = Table::new(
        "One owner's slow targets and channels",
        &format!(
            "What others notice of an owner whose targets, or webhooks, accept and never answer. Checks: ten owners \
             with 100 endpoints each, checked once a minute for {minutes} minutes beside endpoints of one more owner \
             that hang for 60 s each; late is the start of a check after its scheduled time. Deliveries: ten owners, one \
             a second each, beside those of one more owner, of 1,000 endpoints to 100 webhooks each, that were all \
             asked for at once before; late is from the change to the receiver's answer. One process, SQLite, by the real clock."
        ),
        &[
            "what",
            "hang",
            "late, ms: median",
            "99 %",
            "most",
            "not done",
            "open files",
            "resident at most, MB",
        ],
    );
    let (mut ratios, mut goals) = (Vec::new(), Vec::new());
    for (what, hanging, name) in [
        (What::Checks, 1, "checks"),
        (What::Checks, 10_000, "checks"),
        (What::Deliveries, 1, "deliveries"),
        (What::Deliveries, 100_000, "deliveries"),
    ] {
        eprintln!("  {name} beside {hanging} that hang");
        let done = run(what, hanging, minutes, targets.http)?;
        let mut late = done.late.clone();
        late.sort_by(f64::total_cmp);
        let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
        table.row([
            name.to_owned(),
            number(hanging as f64),
            number(at(0.5)),
            number(at(0.99)),
            number(at(1.0)),
            done.missed.to_string(),
            number(done.open_files as f64),
            number(megabytes(done.resident)),
        ]);
        if hanging == 1 {
            continue;
        }
        goals.push(Goal {
            what: format!(
                "delay of other owners' {name}, with {} hanging {name} of one owner",
                number(hanging as f64)
            ),
            unit: "ms".to_owned(),
            figure: Spread::one(at(1.0)),
            goal: 1_000.0,
            better: Better::Lower,
            beside: String::new(),
        });
        ensure!(done.missed == 0, "{} {name} of the others were not done", done.missed);
        if what == What::Checks {
            goals.push(Goal {
                what: "resident memory with 10,000 hanging checks".to_owned(),
                unit: "MB".to_owned(),
                figure: Spread::one(megabytes(done.resident)),
                goal: 256.0,
                better: Better::Lower,
                beside: String::new(),
            });
        }
        // At least a second, which others may notice: differences of a few milliseconds are noise.
        ratios.push(Ratio::new(
            &format!("late {name}"),
            &format!("seconds, at least one, that the latest of 99 % of others' {name} was late"),
            Spread::one((at(0.99) / 1e3).max(1.0)),
        ));
    }
    Ok(Measured { tables: vec![table], goals, ratios, ..Measured::default() })
}

fn run(what: What, hanging: i64, minutes: u64, port: u16) -> Result<Done> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("owners")
        .arg(if what == What::Checks { "checks" } else { "deliveries" })
        .arg(hanging.to_string());
    command.args(["--port", &port.to_string(), "--minutes", &minutes.to_string()]);
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the engine's process ended: {}", output.status);
    let last = output.stdout.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(serde_json::from_slice(last)?)
}
