//! Claims due endpoints in pages until none is left.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta};
use functions::endpoints::claim::{Claim, Claimed, Claims, Confirmation};
use runtime::Clock;

use crate::{
    Options,
    chart::{Chart, Line, Shape},
    data::{Call, Called, Endpoints, add_endpoints, context},
    measure::{Rounds, Sample, Side, Spread, cpu_of_this, interleaved, number},
    outside::Postgres,
    prober,
    record::{Measured, Ratio, Table},
    targets::Targets,
};

const PAGE: i64 = 1000;
/// The number for the ratios: small enough for `bench-check`.
const FEW: i64 = 50_000;

pub fn measure(options: &Options) -> Result<Measured> {
    let runtime = tokio::runtime::Runtime::new()?;
    let postgres = runtime.block_on(Postgres::find())?;
    let mut table = Table::new(
        "Due endpoints, claimed",
        &format!(
            "{} endpoints that are all due, claimed and confirmed in pages of {PAGE}, as the schedule does it; a \
             database server's time is included. The range is of ten tenths; the last of them beside the first tells \
             whether a page costs more the more were handed out before.",
            number(options.due as f64)
        ),
        &[
            "database",
            "endpoints per CPU-second",
            "CPU time, µs each",
            "last tenth / first tenth",
            "wall time, s",
        ],
    );
    let mut lines = Vec::new();
    let databases =
        || [("SQLite", None)].into_iter().chain(postgres.as_ref().map(|p| ("PostgreSQL", Some(p))));
    for (name, postgres) in databases().filter(|_| options.due > 0) {
        eprintln!("  {} due endpoints, {name}", options.due);
        let began = Instant::now();
        let tenths = runtime.block_on(claim(postgres, options.due))?;
        let micros: Vec<_> =
            tenths.iter().map(|(count, cpu, _)| cpu.as_secs_f64() * 1e6 / *count as f64).collect();
        let wall: Duration = tenths.iter().map(|(_, _, wall)| *wall).sum();
        eprintln!("  {:.0} s, with the making of them", began.elapsed().as_secs_f64());
        let (first, last) = (micros.first().copied(), micros.last().copied());
        table.row([
            name.to_owned(),
            Spread::of(micros.iter().map(|micros| 1e6 / micros)).text(),
            Spread::of(micros.iter().copied()).text(),
            number(last.unwrap_or(f64::NAN) / first.unwrap_or(f64::NAN)),
            number(wall.as_secs_f64()),
        ]);
        let mut done = 0;
        let points = tenths.iter().zip(&micros).map(|((count, _, _), micros)| {
            done += count;
            (done as f64, *micros)
        });
        lines.push(Line { name: name.to_owned(), points: points.collect() });
    }
    let growth = Chart {
        file: "bench-claim".to_owned(),
        title: "CPU time to claim and confirm an endpoint".to_owned(),
        x: "endpoints claimed before".to_owned(),
        y: "µs".to_owned(),
        shape: Shape::Growth(lines),
    };
    let targets = Targets::start()?;
    let few = |postgres| {
        let tenths = runtime.block_on(claim(postgres, FEW))?;
        let (cpu, wall) =
            (tenths.iter().map(|(_, cpu, _)| cpu).sum(), tenths.iter().map(|(.., wall)| wall).sum());
        Ok(Sample { count: FEW.unsigned_abs(), cpu, wall })
    };
    let sides = databases().map(|(name, postgres)| Side::new(name, move || few(postgres)));
    let rounds =
        interleaved(options.rounds.min(3), [prober::bare_http(&targets)].into_iter().chain(sides).collect())?;
    let (bare, rounds) = rounds.split_first().context("no rounds")?;
    let ratio = |side: &Rounds| {
        let what = format!("CPU time of one of {FEW} endpoints claimed on {} / of a wrk request", side.name);
        Ratio::new(&format!("claim on {}/wrk", side.name), &what, side.cost_beside(bare))
    };
    let ratios = rounds.iter().map(ratio).collect();
    let (tables, charts) = if options.due > 0 { (vec![table], vec![growth]) } else { (vec![], vec![]) };
    Ok(Measured { tables, charts, ratios, ..Measured::default() })
}

/// Endpoints, CPU time and wall time of each tenth.
async fn claim(postgres: Option<&Postgres>, due: i64) -> Result<Vec<(u64, Duration, Duration)>> {
    const NAME: &str = "bench_claim";
    let folder = tempfile::tempdir()?;
    let url = match postgres {
        Some(postgres) => postgres.create(NAME).await?,
        None => format!("sqlite:{}", folder.path().join("bench.db").display()),
    };
    let now = DateTime::parse_from_rfc3339("2026-03-01T12:01:00Z")?.to_utc();
    let context = context(&url, Clock::manual(now)).await?;
    let (first_check_at, url) = (now.timestamp() - 30, "https://shop-{n}.example.com/health");
    let endpoints = Endpoints { count: due, user: None, url, first_check_at, settled: true, at: now };
    add_endpoints(context.db()?, &endpoints).await?;
    let function = Called::of(&context, "endpoint-private-claim")?;
    let body = serde_json::to_string(&Claim { until: now + TimeDelta::seconds(65), limit: PAGE })?;
    let server = || postgres.map_or(Duration::ZERO, Postgres::cpu);
    let mut tenths = Vec::new();
    let mut claimed = 0;
    let (mut counted, mut cpu, mut began) = (0, cpu_of_this() + server(), Instant::now());
    loop {
        let answer = function.call(1, Call::post("/private/v1/endpoints/claim", body.clone())).await?;
        let claims: Claims = serde_json::from_slice(&answer)?;
        let confirmation = Confirmation { items: claims.items.iter().map(Claimed::confirmed).collect() };
        if !claims.items.is_empty() {
            let confirm =
                Call::post("/private/v1/endpoints/claim/confirm", serde_json::to_string(&confirmation)?);
            function.call(1, confirm).await?;
        }
        claimed += claims.items.len() as i64;
        counted += claims.items.len() as u64;
        if counted > 0 && (claims.items.is_empty() || counted >= due.unsigned_abs().div_ceil(10)) {
            let now = cpu_of_this() + server();
            tenths.push((counted, now - cpu, began.elapsed()));
            (counted, cpu, began) = (0, now, Instant::now());
        }
        if claims.items.is_empty() {
            break;
        }
    }
    ensure!(claimed == due, "{claimed} endpoints were claimed, not {due}");
    context.db()?.close().await;
    if let Some(postgres) = postgres {
        postgres.drop(NAME).await?;
    }
    Ok(tenths)
}
