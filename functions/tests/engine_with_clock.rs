//! The one-machine engine in a separate process, for tests that kill it. Its clock is moved by commands on
//! standard input: `advance SECONDS` (negative: back), `stop`. With names of functions as arguments, it
//! serves those on `PORT` instead, as `function` does. The clock begins at `NOW`; without it, the engine uses
//! the system's clock.

use std::{io::stdin, path::PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta};
use pongpong::{Limits, Settings};
use runtime::{Clock, Context, Env, FromEnv, log, outbound::Outbound, secret::Random, serve, telemetry};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    runtime::install_crypto();
    let env = Env::of_process();
    log::init(&env, log::Format::Json)?;
    let names: Vec<String> = std::env::args().skip(1).collect();
    let clock = match env.get("NOW") {
        Some(now) => Clock::manual(DateTime::parse_from_rfc3339(now)?.to_utc()),
        None => Clock::System,
    };
    if names.is_empty() {
        telemetry::init_exposed(&env, "pongpong")?;
        run_engine(env, clock).await?;
    } else {
        telemetry::init(&env, &names[0])?;
        let found = names.iter().map(|name| functions::find(name).with_context(|| name.clone()));
        let found = found.collect::<anyhow::Result<Vec<_>>>()?;
        let outbound = Outbound::http(&env);
        let context = Context::new(env, clock.clone(), Random::System, outbound);
        tokio::select! {
            served = serve::serve(&found, context) => served?,
            told = follow(&clock) => told?,
        }
    }
    telemetry::shutdown().await;
    Ok(())
}

async fn run_engine(env: Env, clock: Clock) -> anyhow::Result<()> {
    let mut settings = Settings::at(PathBuf::from(env.required("DATA_DIR")?));
    settings.database_url = env.get("DATABASE_URL").map(str::to_owned);
    settings.clock = clock.clone();
    settings.limits = Limits::from_env(&env)?;
    settings.env = env;
    let engine = pongpong::start(settings).await?;
    println!("admin {}", engine.admin_address);
    println!("listening {}", engine.address);
    tokio::select! {
        told = follow(&clock) => told?,
        () = serve::terminated() => {}
    }
    engine.stop().await
}

/// Follows commands until `stop`, or until standard input is closed.
async fn follow(clock: &Clock) -> anyhow::Result<()> {
    let (said, mut lines) = mpsc::unbounded_channel();
    // A thread outside the runtime: at its end, the runtime would wait for a blocking thread of its own,
    // which still reads.
    std::thread::spawn(move || stdin().lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
    while let Some(line) = lines.recv().await {
        let Some(("advance", seconds)) = line.split_once(' ') else { break };
        clock.set(clock.now() + TimeDelta::seconds(seconds.parse().with_context(|| line.clone())?));
        println!("advanced");
    }
    Ok(())
}
