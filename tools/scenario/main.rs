//! `scenario`: what pongpong promises, tried from outside on any deployment, through its gateway only:
//! from sign-up to recovery, and what must be refused. It leaves nothing behind, also when a step
//! fails or when it is interrupted.

mod api;
mod people;
mod receiver;
mod refusals;
mod report;
mod story;

use std::{future::pending, net::SocketAddr, process::ExitCode, time::Duration};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use self::{api::Api, people::People, receiver::Receiver, report::Report};

/// Tells pongpong's whole story to a deployment, and says what was not as it should be.
///
/// It signs up, lets an endpoint go down and recover, and deletes all that it made. It takes two to
/// four minutes, for checks are handed out once a minute.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The gateway, such as https://api.example.com
    #[arg(long, env = "URL", default_value = "http://localhost:8000")]
    url: String,
    /// What is watched: anything that answers 200 to the deployment [default: the deployment itself].
    #[arg(long)]
    target: Option<String>,
    /// Who gets the mails, and opens the link in the first one within `--timeout` [default: an address at
    /// example.com that nobody confirms; it is checked that it gets none].
    #[arg(long, conflicts_with = "webhook_listen")]
    email: Option<String>,
    /// Receives webhooks here instead of sending mail, and verifies them.
    #[arg(long, value_name = "ADDRESS")]
    webhook_listen: Option<SocketAddr>,
    /// How the deployment reaches what listens there [default: by that address].
    #[arg(long, value_name = "URL", requires = "webhook_listen")]
    webhook_url: Option<String>,
    /// How long one step may take.
    #[arg(long, default_value = "150s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// What all steps share.
pub struct Run {
    api: Api,
    report: Report,
    people: People,
    receiver: Option<Receiver>,
    target: String,
    email: Option<String>,
    timeout: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scenario: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<bool> {
    let api = Api::at(&cli.url)?;
    let receiver = match cli.webhook_listen {
        Some(listen) => Some(Receiver::open(listen, cli.webhook_url).await?),
        None => None,
    };
    let target = cli.target.unwrap_or_else(|| format!("{}/", api.base()));
    let run = Run {
        api,
        report: Report::begin(),
        people: People::default(),
        receiver,
        target,
        email: cli.email,
        timeout: cli.timeout,
    };
    let broke_off = tokio::select! {
        told = story::tell(&run) => told.err().map(|_| "the story broke off"),
        () = interrupted() => {
            run.report.clear();
            Some("interrupted")
        }
    };
    if !run.people.is_empty() {
        // Who asks a second time does not want to wait for this, either.
        tokio::select! {
            _ = run.report.step("what was made is deleted", run.people.delete(&run.api)) => {}
            () = interrupted() => run.report.clear(),
        }
    }
    Ok(run.report.end(broke_off))
}

async fn interrupted() {
    // Hang-up: the terminal was closed.
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
