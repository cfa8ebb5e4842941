//! The command line.

use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use pongpong::{GRACE, Limits, Mode, Settings};
use runtime::{
    Clock, Env, FromEnv,
    log::{self, VERSION},
    secret::Random,
    serve::terminated,
    telemetry,
};

/// Monitors web services and alerts you when they go down: everything in one process.
///
/// Settings of the functions (SMTP_URL, SLACK_API_URL, CHECK_CONCURRENCY, PUBLIC_URL, ...) are taken from the
/// environment.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: Up,
}

#[derive(Subcommand)]
enum Command {
    /// Start pongpong (the same as no command)
    Up(Up),
}

#[derive(Args)]
struct Up {
    /// Address of the web pages and the API
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Address of the admin API; keep it on this machine
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:8001")]
    admin_listen: SocketAddr,
    /// Data folder
    #[arg(long, env = "DATA_DIR", default_value = "./data")]
    data: PathBuf,
    /// sqlite:PATH or postgres://... [default: SQLite in the data folder]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

impl Cli {
    pub async fn run(self) -> Result<()> {
        let up = match self.command {
            Some(Command::Up(up)) => up,
            None => self.up,
        };
        let env = Env::of_process();
        log::init(&env, log::Format::Text)?;
        telemetry::init_exposed(&env, "pongpong")?;
        let settings = Settings {
            listen: up.listen,
            admin_listen: up.admin_listen,
            data: up.data,
            database_url: up.database_url.filter(|url| !url.is_empty()),
            grace: Duration::from_secs(env.parse_or("SHUTDOWN_GRACE_SECONDS", GRACE.as_secs())?),
            clock: Clock::System,
            random: Random::System,
            functions: functions::ALL,
            files: Default::default(),
            limits: Limits::from_env(&env)?,
            broker: Mode::Durable,
            env,
        };
        let engine = pongpong::start(settings).await?;
        tracing::info!(address = %engine.address, admin = %engine.admin_address, version = VERSION, "serving");
        if std::io::stdout().is_terminal() {
            welcome(engine.address);
        }
        terminated().await;
        tracing::info!("stopping: taking nothing new, finishing what runs");
        tokio::select! {
            stopped = engine.stop() => stopped?,
            // A second signal ends the wait.
            () = terminated() => {}
        }
        telemetry::shutdown().await;
        tracing::info!("stopped");
        Ok(())
    }
}

fn welcome(address: SocketAddr) {
    println!(
        "\n  pongpong is at http://{address}\n\n  Sign up:\n\n    \
         curl -X POST http://{address}/user-service/v1/signup \\\n      \
         -H 'content-type: application/json' \\\n      \
         -d '{{\"email\":\"you@example.com\",\"password\":\"a long password\"}}'\n"
    );
}
