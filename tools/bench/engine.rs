//! The whole pipeline, from schedule to stored and evaluated: CPU time, memory, and their growth.
//!
//! An engine runs in a separate process (this program, started again); its clock is advanced a minute at a
//! time. It claims, publishes, probes, stores and evaluates as in production.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{DateTime, TimeDelta};
use clap::Args;
use pongpong::{Engine, Settings};
use runtime::{Clock, on};
use serde::{Deserialize, Serialize};

use crate::{
    Options,
    chart::{Chart, Line, Shape},
    data::{Endpoints, add_endpoints},
    measure::{
        ANONYMOUS, Rounds, Sample, Side, Spread, cpu_of_family, cpu_of_this, interleaved, megabytes, number,
        resident,
    },
    outside::Postgres,
    prober,
    record::{Better, Goal, Measured, Ratio, Table},
    store::bytes_of_a_result,
    targets::Targets,
};

/// Arguments of the engine's process.
#[derive(Args)]
pub struct Work {
    #[arg(long)]
    endpoints: i64,
    #[arg(long)]
    minutes: i64,
    #[arg(long)]
    url: String,
    /// Default: SQLite.
    #[arg(long)]
    database_url: Option<String>,
    /// Process id of that database's server.
    #[arg(long)]
    server: Option<u32>,
    /// Counts requests to functions, which takes CPU time itself.
    #[arg(long)]
    pub requests: bool,
}

/// The output of the engine's process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Done {
    checks: u64,
    own: Duration,
    server: Duration,
    wall: Duration,
    resident: u64,
    max: u64,
    anonymous: u64,
    requests: u64,
}

/// Runs in the engine's process.
pub async fn work(work: Work) -> Result<()> {
    let requests = Arc::new(AtomicU64::new(0));
    if work.requests {
        tracing::subscriber::set_global_default(Requests(Arc::clone(&requests)))?;
    }
    let folder = tempfile::tempdir()?;
    let start = DateTime::parse_from_rfc3339("2026-03-01T12:00:30Z")?.to_utc();
    let clock = Clock::manual(start);
    let mut settings = Settings::at(folder.path());
    settings.clock = clock.clone();
    settings.database_url = work.database_url.clone();
    let engine = pongpong::start(settings).await?;
    let first_check_at = start.timestamp() + 30;
    let endpoints = Endpoints {
        count: work.endpoints,
        user: None,
        url: &work.url,
        first_check_at,
        settled: false,
        at: start,
    };
    add_endpoints(engine.context().db()?, &endpoints).await?;
    let due = |now: DateTime<chrono::Utc>| -> i64 {
        let of = |phase: i64| (now.timestamp() - first_check_at - phase + 60).max(0) / 60;
        (0..60).map(|phase| (work.endpoints + 60 - phase) / 60 * of(phase)).sum::<i64>()
            // Numbers begin at 1: there is one less of phase 0.
            - of(0)
    };
    let minute = async || {
        clock.advance(Duration::from_secs(60));
        settle(&engine, due(clock.now())).await
    };
    // Work that is done once: series, partitions, the first status.
    for _ in 0..2 {
        minute().await?;
    }
    let server = || work.server.map_or(Duration::ZERO, cpu_of_family);
    let (own, servers, began, before) = (cpu_of_this(), server(), Instant::now(), due(clock.now()));
    let requests_before = requests.load(Ordering::Relaxed);
    for _ in 0..work.minutes {
        minute().await?;
    }
    let resident = resident(std::process::id())?;
    let done = Done {
        checks: (due(clock.now()) - before).unsigned_abs(),
        own: cpu_of_this() - own,
        server: server() - servers,
        wall: began.elapsed(),
        resident: resident.now,
        max: resident.max,
        anonymous: resident.anonymous,
        requests: requests.load(Ordering::Relaxed) - requests_before,
    };
    ensure!(clock.now() == start + TimeDelta::minutes(work.minutes + 2), "the clock went another way");
    engine.stop().await?;
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}

/// Waits until this number of results is stored and the process is idle.
async fn settle(engine: &Engine, expected: i64) -> Result<()> {
    const STORED: &str = "SELECT COUNT(*) FROM report_results";
    const PAUSE: Duration = Duration::from_millis(25);
    let began = Instant::now();
    let mut quiet = 0;
    let mut stored = 0;
    while quiet < 3 || stored != expected {
        ensure!(began.elapsed() < Duration::from_secs(600), "{stored} results are stored, not {expected}");
        let before = cpu_of_this();
        tokio::time::sleep(PAUSE).await;
        quiet = if cpu_of_this() - before < PAUSE / 10 { quiet + 1 } else { 0 };
        // Counting takes time too: count only when everything may be done.
        if quiet >= 3 && stored != expected {
            let db = engine.context().db()?;
            stored = on!(db.read(), db => sqlx::query_scalar(STORED).fetch_one(db).await)?;
            ensure!(stored <= expected, "{stored} results are stored, not {expected}");
            quiet = 1;
        }
    }
    Ok(())
}

/// Counts the answers of functions by their log lines.
struct Requests(Arc<AtomicU64>);

impl tracing::Subscriber for Requests {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target() == "runtime::serve"
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Starts the engine's process and waits for it.
struct Runs<'a> {
    runtime: &'a tokio::runtime::Runtime,
    postgres: Option<Postgres>,
    url: String,
}

#[derive(Clone, Copy, PartialEq)]
enum On {
    Sqlite,
    Postgres,
}

impl Runs<'_> {
    fn run(&self, on: On, endpoints: i64, minutes: i64, requests: bool) -> Result<Done> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["engine", "--url", &self.url]);
        command.args(["--endpoints", &endpoints.to_string(), "--minutes", &minutes.to_string()]);
        if requests {
            command.arg("--requests");
        }
        const NAME: &str = "bench_engine";
        if on == On::Postgres {
            let postgres = self.postgres.as_ref().context("there is no PostgreSQL")?;
            let url = self.runtime.block_on(postgres.create(NAME))?;
            command.args(["--database-url", &url, "--server", &postgres.pid().to_string()]);
        }
        let output = command.stderr(std::process::Stdio::inherit()).output()?;
        if let (On::Postgres, Some(postgres)) = (on, &self.postgres) {
            self.runtime.block_on(postgres.drop(NAME))?;
        }
        if !output.status.success() {
            bail!("the engine's process ended: {}", output.status);
        }
        // The lines before the last one are errors that functions logged.
        let last = output.stdout.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        serde_json::from_slice(last).with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn databases(&self) -> impl Iterator<Item = (On, &'static str)> {
        let postgres = self.postgres.as_ref().map(|_| (On::Postgres, "PostgreSQL"));
        [(On::Sqlite, "SQLite")].into_iter().chain(postgres)
    }
}

impl Done {
    fn sample(&self) -> Sample {
        Sample { count: self.checks, cpu: self.own + self.server, wall: self.wall }
    }
}

/// 10,000 endpoints on each database; memory with 2,000; cost of a million checks.
pub fn pipeline(options: &Options) -> Result<Measured> {
    let (targets, runtime) = (Targets::start()?, tokio::runtime::Runtime::new()?);
    let postgres = runtime.block_on(Postgres::find())?;
    let runs = Runs { runtime: &runtime, postgres, url: format!("http://127.0.0.1:{}/health", targets.http) };
    let (endpoints, minutes) = (10_000, if options.quick { 2 } else { 5 });
    let own = RefCell::new(BTreeMap::<&str, Vec<Sample>>::new());
    let mut sides = vec![prober::bare_http(&targets)];
    for (on, name) in runs.databases() {
        let (runs, own) = (&runs, &own);
        sides.push(Side::new(name, move || {
            let done = runs.run(on, endpoints, minutes, false)?;
            let alone = Sample { cpu: done.own, ..done.sample() };
            own.borrow_mut().entry(name).or_default().push(alone);
            Ok(done.sample())
        }));
    }
    let rounds = interleaved(options.rounds, sides)?;
    let (bare, rounds) = rounds.split_first().context("no rounds")?;

    let mut table = Table::new(
        "From schedule to stored and evaluated",
        &format!(
            "{} endpoints, each checked by HTTP once a minute for {minutes} minutes: claimed, published, probed, \
             stored, summed up and evaluated in one process. A database server's time is included; the last column \
             leaves it out.",
            number(endpoints as f64)
        ),
        &[
            "database",
            "checks per CPU-second",
            "CPU time, µs each",
            "costs as many times a wrk request",
            "without the server",
        ],
    );
    let mut own = own.into_inner();
    let (mut ratios, mut goals) = (Vec::new(), Vec::new());
    for side in rounds {
        let alone = Rounds { name: side.name, samples: own.remove(side.name).unwrap_or_default() };
        table.row([
            side.name.to_owned(),
            side.per_cpu_second().text(),
            side.cpu_micros().text(),
            side.cost_beside(bare).text(),
            alone.per_cpu_second().text(),
        ]);
        ratios.push(Ratio::new(
            &format!("pipeline on {}/wrk", side.name),
            &format!("CPU time of a check, scheduled to evaluated, on {} / of a wrk request", side.name),
            side.cost_beside(bare),
        ));
        goals.push(Goal {
            what: format!("checks per CPU-second, scheduled to stored and evaluated, {}", side.name),
            unit: String::new(),
            figure: side.per_cpu_second(),
            goal: 4_000.0,
            better: Better::Higher,
            beside: String::new(),
        });
    }

    let (watched, for_minutes) = (2_000, 30);
    let mut held = Table::new(
        "Memory of one machine",
        &format!("{watched} endpoints, checked once a minute for {for_minutes} minutes; in MB. {ANONYMOUS}"),
        &["database", "resident", "at most", "anonymous"],
    );
    for (on, name) in runs.databases() {
        eprintln!("  memory of {watched} endpoints, {name}");
        let mut done = Vec::new();
        for _ in 0..options.rounds.min(3) {
            done.push(runs.run(on, watched, for_minutes, false)?);
        }
        let resident = Spread::of(done.iter().map(|done| megabytes(done.resident)));
        let max = Spread::of(done.iter().map(|done| megabytes(done.max)));
        let anonymous = Spread::of(done.iter().map(|done| megabytes(done.anonymous)));
        held.row([name.to_owned(), resident.text(), max.text(), anonymous.text()]);
        ratios.push(Ratio::new(
            &format!("memory on {name}"),
            &format!("resident memory of {watched} endpoints on {name}, MB"),
            resident,
        ));
        if on == On::Sqlite {
            goals.push(Goal {
                what: "resident memory, 2,000 endpoints on one machine".to_owned(),
                unit: "MB".to_owned(),
                figure: resident,
                goal: 60.0,
                better: Better::Lower,
                beside: String::new(),
            });
        }
    }

    let mut cost = Table::new(
        "What a million checks cost",
        "Requests are those that functions answer: claims, events and their deliveries, on a cluster each an HTTP \
         request. In money: `CPU-seconds * price of a vCPU-second + requests * price of a request + bytes * price \
         of a byte and month * months kept`.",
        &["database", "CPU-seconds", "requests of functions", "MB of results"],
    );
    for (on, name) in runs.databases() {
        eprintln!("  requests of a check, {name}");
        let counted = runs.run(on, endpoints, 2, true)?;
        ensure!(counted.requests > 0, "no requests were counted");
        let side = rounds.iter().find(|side| side.name == name).context("a side")?;
        let postgres = runs.postgres.as_ref().filter(|_| on == On::Postgres);
        let bytes = runtime.block_on(bytes_of_a_result(postgres))?;
        cost.row([
            name.to_owned(),
            side.cpu_micros().text(),
            number(1e6 * counted.requests as f64 / counted.checks as f64),
            number(bytes),
        ]);
    }
    Ok(Measured { tables: vec![table, held, cost], goals, ratios, ..Measured::default() })
}

/// From a hundred endpoints to a hundred thousand.
pub fn growth(options: &Options) -> Result<Measured> {
    let (targets, runtime) = (Targets::start()?, tokio::runtime::Runtime::new()?);
    let postgres = runtime.block_on(Postgres::find())?;
    let runs = Runs { runtime: &runtime, postgres, url: format!("http://127.0.0.1:{}/health", targets.http) };
    let mut table = Table::new(
        "How cost grows",
        "Endpoints that are checked by HTTP once a minute, on one machine. CPU time is of one endpoint's check, \
         a database server's included; memory is the engine's.",
        &[
            "endpoints",
            "database",
            "CPU time, µs a check",
            "resident, MB",
            "at most, MB",
            "resident, kB an endpoint",
        ],
    );
    let (mut cpu, mut memory) = (Vec::new(), Vec::new());
    for (on, name) in runs.databases() {
        let (mut cpus, mut kilobytes) = (Vec::new(), Vec::new());
        for endpoints in &options.endpoints {
            let endpoints = *endpoints;
            let minutes = (100_000 / endpoints).clamp(3, 10);
            eprintln!("  {endpoints} endpoints, {minutes} minutes, {name}");
            let mut done = Vec::new();
            for _ in 0..options.rounds.div_ceil(3) {
                done.push(runs.run(on, endpoints, minutes, false)?);
            }
            let spread = |of: &dyn Fn(&Done) -> f64| Spread::of(done.iter().map(of));
            let micros = spread(&|d| d.sample().cpu.as_secs_f64() * 1e6 / d.checks as f64);
            let resident = spread(&|d| megabytes(d.resident));
            let each = spread(&|d| d.resident as f64 / 1e3 / endpoints as f64);
            cpus.push((endpoints as f64, micros.median));
            kilobytes.push((endpoints as f64, each.median));
            table.row([
                number(endpoints as f64),
                name.to_owned(),
                micros.text(),
                resident.text(),
                spread(&|d| megabytes(d.max)).text(),
                each.text(),
            ]);
        }
        cpu.push(Line { name: name.to_owned(), points: cpus });
        memory.push(Line { name: name.to_owned(), points: kilobytes });
    }
    let chart = |file: &str, title: &str, y: &str, lines| Chart {
        file: file.to_owned(),
        title: title.to_owned(),
        x: "endpoints".to_owned(),
        y: y.to_owned(),
        shape: Shape::Growth(lines),
    };
    let charts = vec![
        chart("bench-growth-cpu", "CPU time of a check, scheduled to evaluated", "µs", cpu),
        chart("bench-growth-memory", "Resident memory for each endpoint", "kB", memory),
    ];
    Ok(Measured { tables: vec![table], charts, ..Measured::default() })
}
