//! The one-machine engine in a process of its own, for tests that kill it, with a clock that moves
//! when standard input says so: `advance SECONDS`, `stop`.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use chrono::DateTime;
use pongpong::Settings;
use runtime::{Clock, Env, log, telemetry};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    runtime::install_crypto();
    let env = Env::of_process();
    log::init(&env, log::Format::Json)?;
    telemetry::init_exposed(&env, "pongpong")?;
    let mut settings = Settings::at(PathBuf::from(env.required("DATA_DIR")?));
    settings.database_url = env.get("DATABASE_URL").map(str::to_owned);
    let clock = Clock::manual(DateTime::parse_from_rfc3339(env.required("NOW")?)?.to_utc());
    settings.clock = clock.clone();
    settings.env = env;
    let engine = pongpong::start(settings).await?;
    println!("admin {}", engine.admin_address);
    println!("listening {}", engine.address);
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.split_once(' ') {
            Some(("advance", seconds)) => {
                clock.advance(Duration::from_secs(seconds.parse().with_context(|| line.clone())?));
                println!("advanced");
            }
            _ => break,
        }
    }
    engine.stop().await?;
    telemetry::shutdown().await;
    Ok(())
}
