//! `scenario`: tests the promises of pongpong on any deployment, from outside through its gateway: from
//! sign-up to recovery, and which requests must be refused. It deletes everything that it created, even if a
//! step fails or it is interrupted.

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

/// Test a deployment from sign-up to recovery, and report every deviation.
///
/// It signs up, lets an endpoint go down and recover, and deletes everything that it created. It takes two to
/// four minutes, because checks are scheduled once a minute.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The gateway, such as https://api.example.com
    #[arg(long, env = "URL", default_value = "http://localhost:8000")]
    url: String,
    /// URL to check; it must answer the deployment with 200 [default: the deployment itself]
    #[arg(long)]
    target: Option<String>,
    /// Recipient of the emails, who must open the link in the first one within `--timeout` [default: an
    /// address at example.com that nobody confirms; the scenario checks that it gets no messages]
    #[arg(long, conflicts_with = "webhook_listen")]
    email: Option<String>,
    /// Receive webhooks on this address instead of sending email, and verify them
    #[arg(long, value_name = "ADDRESS")]
    webhook_listen: Option<SocketAddr>,
    /// URL at which the deployment reaches the webhook receiver [default: the listening address]
    #[arg(long, value_name = "URL", requires = "webhook_listen")]
    webhook_url: Option<String>,
    /// Maximum duration of one step
    #[arg(long, default_value = "150s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// State that all steps share.
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
        // A second interrupt ends the deletion as well.
        tokio::select! {
            _ = run.report.step("what was made is deleted", run.people.delete(&run.api)) => {}
            () = interrupted() => run.report.clear(),
        }
    }
    Ok(run.report.end(broke_off))
}

async fn interrupted() {
    // A hang-up means that the terminal was closed.
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
