//! The prober alone, compared with blackbox_exporter and check_http, and with a bare client as the limit.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use checks::{ProbeConfig, Prober};
use chrono::Utc;
use contract::{Assertion, CheckRequest, Comparison, Target, kind};
use net::{address::PrivateNetworks, trust::ExtraRoots};
use runtime::Outgoing;
use tokio::task::JoinSet;

use crate::{
    Options,
    chart::{Chart, Shape},
    measure::{
        Rounds, Sample, Side, Spread, cpu_of_children, cpu_of_this, interleaved, megabytes, resident, sample,
    },
    outside::{Served, ask, beside, free_port, wrk},
    record::{Better, Goal, Measured, Ratio, Table},
    targets::Targets,
};

/// Maximum number of concurrent checks.
const AT_ONCE: usize = 100;
const BATCH: usize = 500;
const CHECK_HTTP: &str = "/usr/lib/nagios/plugins/check_http";
const SECONDS: f64 = 1.0;

const HTTP: &str = "pongpong, HTTP";
const ASSERTING: &str = "pongpong, HTTP, three assertions";
const MIXED: &str = "pongpong, HTTP, 10 % failing or slow";
const HTTPS: &str = "pongpong, HTTPS";
const FUNCTION: &str = "pongpong, check-run by events, HTTP";
const BLACKBOX: &str = "blackbox_exporter, HTTP";
const BLACKBOX_TLS: &str = "blackbox_exporter, HTTPS";
const CHECK: &str = "check_http, HTTP";
const CHECK_TLS: &str = "check_http, HTTPS";
pub const BARE: &str = "wrk, HTTP";
const BARE_TLS: &str = "wrk, HTTPS";

pub fn target(url: String) -> Target {
    Target::of("http", url)
}

pub fn measure(options: &Options) -> Result<Measured> {
    let targets = Targets::start()?;
    let folder = tempfile::tempdir()?;
    let root_file = folder.path().join("root.pem");
    targets.write_root(&root_file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut config = ProbeConfig::new(PrivateNetworks::Allow)?;
    config.concurrency = AT_ONCE;
    config.extra_roots = ExtraRoots(vec![targets.root.clone().into()]);
    let prober = Arc::new(Prober::new(config)?);
    let (http, https) = (targets.http, targets.https);
    let plain = target(format!("http://127.0.0.1:{http}/health"));
    let secure = target(format!("https://127.0.0.1:{https}/health"));
    let mut asserting = plain.clone();
    asserting.assertions = vec![
        Assertion::of("body", Comparison::Contains, "ok"),
        Assertion::of_json("$.queue.length", Comparison::LessThan, serde_json::json!(100)),
        Assertion::of("total_ms", Comparison::LessThan, 5_000),
    ];
    let at = |path: &str| target(format!("http://127.0.0.1:{http}{path}"));
    let refused = target(format!("http://127.0.0.1:{}/", targets.refused));
    let mixed: Vec<_> = (0..100)
        .map(|n| match n {
            0..3 => refused.clone(),
            3..6 => at("/failing"),
            6..10 => at("/slow"),
            _ => plain.clone(),
        })
        .collect();
    let ours = |targets: Vec<Target>, count: usize, failing: usize| {
        let (prober, runtime) = (Arc::clone(&prober), &runtime);
        move || {
            sample(cpu_of_this, || {
                let failed = runtime.block_on(probe(&prober, &targets, count))?;
                let expected = count / targets.len() * failing;
                ensure!(failed == expected, "{failed} checks failed, {expected} should");
                Ok(count as u64)
            })
        }
    };

    let blackbox = blackbox(folder.path(), &root_file)?;
    let blackbox_idle = resident(blackbox.pid())?.now;
    let through_blackbox = |target: &str| {
        let path = format!("/probe?module=http_2xx&target={target}");
        let first = ask(blackbox.port, &format!("GET {path} HTTP/1.1"), b"")?;
        ensure!(first.body.contains("\nprobe_success 1\n"), "blackbox_exporter: {}", first.body);
        let url = format!("http://127.0.0.1:{}{path}", blackbox.port);
        sample(|| blackbox.cpu(), || Ok(wrk(&url, 10, SECONDS, &[])?.requests))
    };
    let function = check_run(&targets)?;
    let function_idle = resident(function.pid())?.now;
    let batch = check_requests(&plain)?;
    let close = ["Connection: close".to_owned()];
    let n = if options.quick { 1 } else { 2 };

    let rounds = interleaved(
        options.rounds,
        vec![
            bare_http(&targets),
            Side::new(HTTP, ours(vec![plain.clone()], n * 10_000, 0)),
            Side::new(ASSERTING, ours(vec![asserting], n * 10_000, 0)),
            Side::new(MIXED, ours(mixed, n * 10_000, 6)),
            Side::new(FUNCTION, || {
                sample(
                    || function.cpu(),
                    || {
                        for _ in 0..n * 10 {
                            let answer = ask(function.port, &batch.0, &batch.1)?;
                            let done = answer.body.matches("\"status\":\"up\"").count();
                            ensure!(done == BATCH, "{done} of a batch: {}", answer.head);
                        }
                        Ok((n * 10 * BATCH) as u64)
                    },
                )
            }),
            Side::new(BLACKBOX, || through_blackbox(&plain.url)),
            Side::new(CHECK, || check_http(n * 100, &["-I", "127.0.0.1", "-p", &http.to_string()])),
            Side::new(BARE_TLS, || bare(&format!("https://127.0.0.1:{https}/health"), &close)),
            Side::new(HTTPS, ours(vec![secure.clone()], n * 2_500, 0)),
            Side::new(BLACKBOX_TLS, || through_blackbox(&secure.url)),
            Side::new(CHECK_TLS, || {
                let arguments = ["-H", "localhost", "-I", "127.0.0.1", "-S", "-p", &https.to_string()];
                check_http(n * 50, &arguments)
            }),
        ],
    )?;
    let memory = [
        ("pongpong, check-run, idle", function_idle),
        ("pongpong, check-run, after its checks", resident(function.pid())?.now),
        ("blackbox_exporter, idle", blackbox_idle),
        ("blackbox_exporter, after its probes", resident(blackbox.pid())?.now),
    ];
    report(&rounds, &memory)
}

fn report(rounds: &[Rounds], memory: &[(&str, u64); 4]) -> Result<Measured> {
    let of = |name: &str| rounds.iter().find(|side| side.name == name).context(name.to_owned());
    let mut checks = Table::new(
        "Checks per CPU-second",
        "Each check opens a connection of its own; over HTTPS it makes a full handshake and verifies the \
         certificate (check_http and wrk do not). Of 100 mixed targets 3 refuse connections, 3 answer 500 and 4 take half a \
         second. blackbox_exporter is asked over kept connections and answers with its metrics; check_http is a \
         process for each check, as Nagios runs it. check-run is the function as it is deployed: a process that \
         is sent events of 500 checks and replies with their results.",
        &["", "per CPU-second", "CPU time, µs each", "costs as many times a wrk request"],
    );
    for side in rounds {
        let bare = of(if side.name.contains("HTTPS") { BARE_TLS } else { BARE })?;
        let beside = side.cost_beside(bare).text();
        let name = side.name.to_owned();
        checks.row([name, side.per_cpu_second().text(), side.cpu_micros().text(), beside]);
    }
    let mut held = Table::new(
        "Memory of a prober",
        "Resident, in MB. The function is the release build's; the image's is smaller: see below.",
        &["", "MB"],
    );
    for (name, bytes) in memory {
        held.row([(*name).to_owned(), Spread::one(megabytes(*bytes)).text()]);
    }
    let ratio = |name: &str, this: &str, other: &str| -> Result<Ratio> {
        let what = format!("CPU time of a check: {this} / {other}");
        Ok(Ratio::new(name, &what, of(this)?.cost_beside(of(other)?)))
    };
    let ratios = vec![
        ratio("http/wrk", HTTP, BARE)?,
        ratio("http/blackbox", HTTP, BLACKBOX)?,
        ratio("http/check_http", HTTP, CHECK)?,
        ratio("https/wrk", HTTPS, BARE_TLS)?,
        ratio("https/blackbox", HTTPS, BLACKBOX_TLS)?,
        ratio("https/check_http", HTTPS, CHECK_TLS)?,
        ratio("assertions/http", ASSERTING, HTTP)?,
        ratio("mixed/http", MIXED, HTTP)?,
        ratio("check-run/http", FUNCTION, HTTP)?,
        Ratio::new(
            "check-run memory/blackbox memory",
            "resident after checks: check-run / blackbox_exporter",
            Spread::one(memory[1].1 as f64 / memory[3].1 as f64),
        ),
    ];
    let goal = |what: &str, side: &str, goal: f64, beside: [&str; 3]| -> Result<Goal> {
        let beside = beside.map(|name| {
            let per_second = of(name).map(|side| side.per_cpu_second().median).unwrap_or(f64::NAN);
            format!("{}: {}", name.split(',').next().unwrap_or(name), crate::measure::number(per_second))
        });
        Ok(Goal {
            what: what.to_owned(),
            unit: String::new(),
            figure: of(side)?.per_cpu_second(),
            goal,
            better: Better::Higher,
            beside: beside.join("; "),
        })
    };
    let goals = vec![
        goal("HTTP checks per CPU-second, prober alone", HTTP, 10_000.0, [BLACKBOX, CHECK, BARE])?,
        goal(
            "HTTPS checks (full handshake) per CPU-second",
            HTTPS,
            2_500.0,
            [BLACKBOX_TLS, CHECK_TLS, BARE_TLS],
        )?,
    ];
    let bars = |sides: &[&str]| -> Result<Shape> {
        let mut bars = Vec::new();
        for name in sides {
            bars.push(((*name).to_owned(), of(name)?.per_cpu_second().median));
        }
        bars.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(Shape::Bars(bars))
    };
    let chart = |file: &str, title: &str, shape| Chart {
        file: file.to_owned(),
        title: title.to_owned(),
        x: "checks per CPU-second".to_owned(),
        y: String::new(),
        shape,
    };
    let charts = vec![
        chart(
            "bench-http",
            "HTTP checks per CPU-second",
            bars(&[BARE, HTTP, ASSERTING, MIXED, FUNCTION, BLACKBOX, CHECK])?,
        ),
        chart(
            "bench-https",
            "HTTPS checks per CPU-second",
            bars(&[BARE_TLS, HTTPS, BLACKBOX_TLS, CHECK_TLS])?,
        ),
    ];
    Ok(Measured { tables: vec![checks, held], charts, goals, ratios, ..Measured::default() })
}

/// Checks in batches, as the checker gets them; returns the number of failures.
async fn probe(prober: &Arc<Prober>, targets: &[Target], count: usize) -> Result<usize> {
    let mut failed = 0;
    let mut running = JoinSet::new();
    for (n, target) in targets.iter().cycle().take(count).enumerate() {
        let (prober, target) = (Arc::clone(prober), target.clone());
        running.spawn(async move { prober.probe(0, &target, None).await });
        if running.len() == BATCH || n + 1 == count {
            while let Some(outcome) = running.join_next().await {
                failed += usize::from(outcome?.error.is_some());
            }
        }
    }
    Ok(failed)
}

/// The reference for all costs: wrk's requests, each on a new connection.
pub fn bare_http(targets: &Targets) -> Side<'static> {
    let url = format!("http://127.0.0.1:{}/health", targets.http);
    Side::new(BARE, move || bare(&url, &["Connection: close".to_owned()]))
}

fn bare(url: &str, headers: &[String]) -> Result<Sample> {
    sample(cpu_of_children, || Ok(wrk(url, 100, SECONDS, headers)?.requests))
}

fn blackbox(folder: &Path, root: &Path) -> Result<Served> {
    let config = folder.join("blackbox.yml");
    let text = format!(
        "modules:\n  http_2xx:\n    prober: http\n    timeout: 10s\n    http:\n      preferred_ip_protocol: ip4\n      \
         tls_config: {{ca_file: {}}}\n",
        root.display()
    );
    fs::write(&config, text)?;
    let port = free_port()?;
    let mut command = Command::new("prometheus-blackbox-exporter");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=error");
    Served::start(command, port, "/-/healthy")
}

/// The function itself.
fn check_run(targets: &Targets) -> Result<Served> {
    let port = free_port()?;
    let mut command = Command::new(beside("function")?);
    command.arg("check-run").env_clear().env("PORT", port.to_string()).env("LOG_LEVEL", "warn");
    command.env("CHECK_PRIVATE_NETWORKS", "allow").env("CHECK_CONCURRENCY", AT_ONCE.to_string());
    // The destination of results that do not wait for the others: there are none.
    command.env("K_SINK", format!("http://127.0.0.1:{}/", targets.refused));
    Served::start(command, port, "/health")
}

/// A batch event, for [`ask`].
fn check_requests(target: &Target) -> Result<(String, Vec<u8>)> {
    let now = Utc::now();
    let requests: Vec<_> = (1..=BATCH as i64)
        .map(|endpoint_id| CheckRequest {
            endpoint_id,
            user_id: 1,
            scheduled_at: now,
            failure_threshold: 2,
            success_threshold: 1,
            target: target.clone(),
            // The same batch is used throughout: none of its checks may be older than its next scheduled
            // time.
            interval_seconds: 86_400,
            revision: 0,
            maintenance: false,
        })
        .collect();
    let event = Outgoing::new("bench", kind::CHECK_REQUESTED, "bench", now, &requests)?.into_request()?;
    let mut head = String::from("POST / HTTP/1.1");
    for (name, value) in event.headers() {
        head += &format!("\r\n{name}: {}", value.to_str()?);
    }
    Ok((head, event.body().to_vec()))
}

fn check_http(count: usize, arguments: &[&str]) -> Result<Sample> {
    sample(cpu_of_children, || {
        for _ in 0..count {
            let mut command = Command::new(CHECK_HTTP);
            command.args(arguments).args(["-u", "/health", "-t", "10"]);
            let output =
                command.stdin(Stdio::null()).output().context("check_http is missing: run make bench")?;
            ensure!(output.status.success(), "check_http: {}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(count as u64)
    })
}
