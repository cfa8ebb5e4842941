//! Lists and pages under load, through the gateway and with a real key: the time that users wait.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use clap::Args;
use pongpong::Settings;
use runtime::{Db, Env, on};
use serde_json::Value;

use crate::{
    Options,
    chart::{Chart, Shape},
    data::{Call, Endpoints, add_endpoints, add_history, analyze},
    measure::{Rounds, Side, Spread, interleaved, megabytes, resident, sample},
    outside::{Load, Postgres, Served, ask, beside, free_port, wrk},
    prober::{self, BARE},
    record::{Better, Goal, Measured, Ratio, Table},
    targets::Targets,
};

const ENDPOINTS: i64 = 10_000;
const AT_ONCE: u32 = 8;

const LIST: &str = "endpoint-list, a page of 20";
const GET: &str = "endpoint-get, through the gateway";
const DIRECT: &str = "endpoint-get, the function itself";
const DASHBOARD: &str = "the page /dashboard";
pub fn measure(options: &Options) -> Result<Measured> {
    let runtime = tokio::runtime::Runtime::new()?;
    let postgres = runtime.block_on(Postgres::find())?;
    let mut measured = Measured::default();
    for (name, postgres) in
        [("SQLite", None)].into_iter().chain(postgres.as_ref().map(|postgres| ("PostgreSQL", Some(postgres))))
    {
        eprintln!("  {name}");
        on_one(options, &runtime, name, postgres, &mut measured)?;
    }
    Ok(measured)
}

fn on_one(
    options: &Options,
    runtime: &tokio::runtime::Runtime,
    name: &str,
    postgres: Option<&Postgres>,
    measured: &mut Measured,
) -> Result<()> {
    const DATABASE: &str = "bench_pages";
    let folder = tempfile::tempdir()?;
    let url = match postgres {
        Some(postgres) => runtime.block_on(postgres.create(DATABASE))?,
        None => format!("sqlite:{}/pongpong.db", folder.path().display()),
    };
    let engine = engine(folder.path(), &url)?;
    let (user, key) = sign_up(engine.port)?;
    runtime.block_on(fill(&url, user))?;
    let direct = direct(folder.path(), &url)?;

    let keyed = [format!("apikey: {key}")];
    let cookie = [format!("Cookie: pongpong_key={key}")];
    let trusted = [
        format!("X-Gateway-Token: {}", gateway_token(folder.path())?),
        format!("X-Consumer-Custom-ID: {user}"),
        "X-Credential-Identifier: bench".to_owned(),
    ];
    let ids: Vec<_> = (1..=25).map(|id| id.to_string()).collect();
    let overview =
        |range: &str| format!("/report-service/v1/overviews?endpoint_ids={}&range={range}", ids.join(","));
    let list = |query: &str| format!("/endpoint-service/v1/endpoints{query}");
    let asked: [(&'static str, &Served, String, &[String]); 11] = [
        (DIRECT, &direct, "/public/v1/endpoints/7".to_owned(), &trusted),
        (GET, &engine, list("/7"), &keyed),
        (LIST, &engine, list(""), &keyed),
        ("endpoint-list, the last page", &engine, list(&format!("?page={}", ENDPOINTS / 20)), &keyed),
        ("endpoint-list, the worst first", &engine, list("?sort=status&per_page=25"), &keyed),
        ("endpoint-list, by name", &engine, list("?sort=name"), &keyed),
        ("endpoint-list, searched", &engine, list("?q=point%20777"), &keyed),
        ("endpoint-list, those of a tag", &engine, list("?tag=team-7"), &keyed),
        ("endpoint-totals", &engine, "/endpoint-service/v1/endpoint_totals".to_owned(), &keyed),
        ("report-overview, 25 endpoints, 24 hours", &engine, overview("24h"), &keyed),
        (DASHBOARD, &engine, "/dashboard".to_owned(), &cookie),
    ];
    let loads = RefCell::new(BTreeMap::<&str, Vec<Load>>::new());
    let seconds = if options.quick { 1.0 } else { 3.0 };
    let sides = asked.iter().map(|(what, served, path, headers)| {
        let url = format!("http://127.0.0.1:{}{path}", served.port);
        let loads = &loads;
        let cpu = move || served.cpu() + postgres.map_or(Duration::ZERO, Postgres::cpu);
        Side::new(what, move || {
            sample(cpu, || {
                let load = wrk(&url, AT_ONCE, seconds, headers)?;
                loads.borrow_mut().entry(what).or_default().push(load);
                Ok(load.requests)
            })
        })
    });
    let targets = Targets::start()?;
    let bare = prober::bare_http(&targets);
    let rounds = interleaved(options.rounds.min(3), [bare].into_iter().chain(sides).collect())?;
    let memory = megabytes(resident(engine.pid())?.now);
    drop((engine, direct));
    if let Some(postgres) = postgres {
        runtime.block_on(postgres.drop(DATABASE))?;
    }
    report(name, memory, &rounds, &loads.into_inner(), measured)
}

fn report(
    name: &str,
    memory: f64,
    rounds: &[Rounds],
    loads: &BTreeMap<&str, Vec<Load>>,
    measured: &mut Measured,
) -> Result<()> {
    let mut table = Table::new(
        &format!("A user with 10,000 endpoints, {name}"),
        &format!(
            "{AT_ONCE} connections ask as fast as they are answered (wrk, on the same machine); with a day of results \
             behind every endpoint. Afterwards the engine holds {memory:.1} MB."
        ),
        &["", "CPU time, ms each", "p50, ms", "p99, ms", "a second"],
    );
    let of = |what: &str| rounds.iter().find(|side| side.name == what).context(what.to_owned());
    let spread = |what: &str, of: fn(&Load) -> f64| Spread::of(loads.get(what).into_iter().flatten().map(of));
    for side in rounds.iter().filter(|side| side.name != BARE) {
        table.row([
            side.name.to_owned(),
            side.cpu_micros().map(|micros| micros / 1e3).text(),
            spread(side.name, |load| load.p50_ms).text(),
            spread(side.name, |load| load.p99_ms).text(),
            spread(side.name, |load| load.per_second).text(),
        ]);
    }
    measured.tables.push(table);
    let ratio = |this: &str, other: &str, short: &str| -> Result<Ratio> {
        let what = format!("CPU time, {name}: {this} / {other}");
        Ok(Ratio::new(&format!("{short}, {name}"), &what, of(this)?.cost_beside(of(other)?)))
    };
    measured.ratios.push(ratio(DIRECT, BARE, "direct/wrk")?);
    measured.ratios.push(ratio(GET, DIRECT, "gateway/direct")?);
    measured.ratios.push(ratio(LIST, GET, "list/get")?);
    measured.ratios.push(ratio(DASHBOARD, GET, "dashboard/get")?);
    measured.goals.push(Goal {
        what: format!("endpoint-list, 10,000 endpoints, p99 with {AT_ONCE} at once, {name}"),
        unit: "ms".to_owned(),
        figure: spread(LIST, |load| load.p99_ms),
        goal: 10.0,
        better: Better::Lower,
        beside: String::new(),
    });
    let shown = rounds.iter().filter(|side| side.name != BARE);
    let bars = shown.map(|side| (side.name.to_owned(), spread(side.name, |load| load.p99_ms).median));
    measured.charts.push(Chart {
        file: format!("bench-pages-{}", name.to_lowercase()),
        title: format!("99th percentile under load, 10,000 endpoints, {name}"),
        x: "ms".to_owned(),
        y: String::new(),
        shape: Shape::Bars(bars.collect()),
    });
    Ok(())
}

/// Arguments of the process that [`engine`] starts.
#[derive(Args)]
pub struct Work {
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    port: u16,
    #[arg(long)]
    database_url: Option<String>,
}

/// The engine as a user starts it, but without rate limits, for the measurement.
pub async fn work(work: Work) -> Result<()> {
    runtime::telemetry::init_exposed(&Env::default(), "pongpong")?;
    let mut settings = Settings::at(work.data);
    settings.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, work.port));
    settings.database_url = work.database_url;
    let kong = &mut settings.files.kong.text;
    *kong = kong.replace("minute: ", "minute: 10000").into();
    let _engine = pongpong::start(settings).await?;
    std::future::pending().await
}

fn engine(data: &Path, database_url: &str) -> Result<Served> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env_clear()
        .env("LOG_LEVEL", "info")
        .arg("load")
        .arg("--data")
        .arg(data)
        .args(["--port", &port.to_string()]);
    if !database_url.starts_with("sqlite:") {
        command.args(["--database-url", database_url]);
    }
    Served::start(command, port, "/")
}

/// One function as on a cluster, over the same database.
fn direct(data: &Path, database_url: &str) -> Result<Served> {
    let port = free_port()?;
    let mut command = Command::new(beside("function")?);
    command.arg("endpoint-get").env_clear().env("PORT", port.to_string());
    command.env("DATABASE_URL", database_url).env("GATEWAY_TOKEN", gateway_token(data)?);
    Served::start(command, port, "/ready")
}

fn gateway_token(data: &Path) -> Result<String> {
    let secrets: Value = serde_json::from_slice(&std::fs::read(data.join("secrets.json"))?)?;
    Ok(secrets["gateway_token"].as_str().context("no gateway_token")?.to_owned())
}

fn sign_up(port: u16) -> Result<(i64, String)> {
    let Call { method, path, body } = Call::post(
        "/user-service/v1/signup",
        r#"{"email":"bench@example.com","password":"a long password"}"#.to_owned(),
    );
    let head = format!("{method} {path} HTTP/1.1\r\nContent-Type: application/json");
    let answer = ask(port, &head, body.as_bytes())?;
    ensure!(answer.status == 201, "{}: {}", answer.status, answer.body);
    let user: Value = serde_json::from_str(&answer.body)?;
    let (id, key) = (user["id"].as_i64(), user["key"].as_str());
    Ok((id.context("no id")?, key.context("no key")?.to_owned()))
}

/// Adds endpoints that are not due for years, and their results of the last day.
async fn fill(url: &str, user: i64) -> Result<()> {
    let (db, now) = (Db::at(url, 2)?, Utc::now());
    let endpoints = Endpoints {
        count: ENDPOINTS,
        user: Some(user),
        url: "https://shop-{n}.example.com/health",
        first_check_at: now.timestamp() + 10 * 365 * 86_400,
        settled: true,
        at: now,
    };
    add_endpoints(&db, &endpoints).await?;
    // They are shown as just checked.
    const CHECKED: &str = "UPDATE endpoints SET last_checked_at = $1";
    on!(db.write(), db => sqlx::query(CHECKED).bind(now.timestamp()).execute(db).await.map(drop))?;
    add_history(&db, user, ENDPOINTS, now).await?;
    analyze(&db).await?;
    db.close().await;
    Ok(())
}
