//! `pong`, the terminal client of pongpong. It knows the public API and nothing else of the server.
//!
//! | file | what it does |
//! |---|---|
//! | `app.rs` | what every command is given: the API, the output |
//! | `api.rs`, `config.rs` | the one client; the contexts and their keys |
//! | `output.rs`, `chart.rs`, `error.rs` | what is seen; how it ends |
//! | `prober.rs` | a check from here |
//! | `apply/` | monitors as a file: read, compared, applied, exported |
//! | `import/` | other systems' files, turned into ours |
//! | the others | one command each |

mod announcement;
mod api;
mod app;
mod apply;
mod badge;
mod chart;
mod check;
mod config;
mod context;
mod endpoint;
mod error;
mod fields;
mod import;
mod incident;
mod key;
mod maintenance;
mod manual;
mod notification;
mod output;
mod report;
mod session;
mod status_page;
mod watch;

use clap::{Parser, Subcommand};

use crate::{
    app::{App, Global},
    error::{Exit, Failure},
};

/// Watches web services, from a terminal: the client of pongpong.
#[derive(Parser)]
#[command(name = "pong", version, after_help = error::help(), max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes an account, and logs in
    Signup(session::Login),
    /// Logs in, and keeps the key
    Login(session::Login),
    /// Ends the key, and forgets it
    Logout,
    /// Shows who is logged in, and where
    Whoami,
    /// What is watched
    #[command(subcommand)]
    Endpoint(endpoint::Command),
    /// Checks a URL now: from pongpong, or without an account from here
    Check(check::Check),
    /// A live screen of all endpoints
    Watch(watch::Watch),
    /// Results of checks, and what they come to
    #[command(subcommand)]
    Report(report::Command),
    /// Outages
    #[command(subcommand)]
    Incident(incident::Command),
    /// Whom to tell, and what was told
    #[command(subcommand)]
    Notification(notification::Command),
    /// Pages for the public
    #[command(subcommand)]
    StatusPage(status_page::Command),
    /// News on a status page
    #[command(subcommand)]
    Announcement(announcement::Command),
    /// Planned work, during which nobody is told of outages
    #[command(subcommand)]
    Maintenance(maintenance::Command),
    /// Images that show an endpoint's status and uptime
    #[command(subcommand)]
    Badge(badge::Command),
    /// API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Makes things as a file says
    Apply(apply::Apply),
    /// Writes what there is, as `apply` reads it
    Export(apply::export::Export),
    /// Turns another system's configuration into ours
    Import(import::Import),
    /// Several servers, or several accounts
    #[command(subcommand)]
    Context(context::Command),
    /// Prints what a shell needs to complete commands
    Completion(manual::Completion),
    /// Prints the manual page
    Man(manual::Man),
}

#[tokio::main]
async fn main() {
    // There is one, and it is installed once.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    // From the beginning: none is missed.
    let interrupted = interrupted();
    // Apart: a question waits for its answer, and an interrupt must not wait for both.
    let running = tokio::spawn(run(cli));
    let exit = tokio::select! {
        ended = running => ended.unwrap_or_else(|error| Err(error.into())).unwrap_or_else(|error| {
            if error::is_broken_pipe(&error) {
                return Exit::Ok;
            }
            let failure = Failure::of(error);
            output::fail(&failure);
            failure.exit
        }),
        () = interrupted => {
            watch::restore();
            session::echo::restore();
            output::note("interrupted");
            Exit::Interrupted
        }
    };
    // Whatever still waits for a key to be pressed is not waited for.
    std::process::exit(exit as i32);
}

#[cfg(unix)]
fn interrupted() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        // Without them it ends all the same, only less tidily.
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let app = App::new(cli.global);
    match cli.command {
        Command::Signup(login) => login.run(&app, true).await,
        Command::Login(login) => login.run(&app, false).await,
        Command::Logout => session::logout(&app).await,
        Command::Whoami => session::whoami(&app).await,
        Command::Endpoint(command) => command.run(&app).await,
        Command::Check(check) => check.run(&app).await,
        Command::Watch(watch) => watch.run(&app).await,
        Command::Report(command) => command.run(&app).await,
        Command::Incident(command) => command.run(&app).await,
        Command::Notification(command) => command.run(&app).await,
        Command::StatusPage(command) => command.run(&app).await,
        Command::Announcement(command) => command.run(&app).await,
        Command::Maintenance(command) => command.run(&app).await,
        Command::Badge(command) => command.run(&app).await,
        Command::Key(command) => command.run(&app).await,
        Command::Apply(apply) => apply.run(&app).await,
        Command::Export(export) => export.run(&app).await,
        Command::Import(import) => import.run(&app).await,
        Command::Context(command) => command.run(&app),
        Command::Completion(completion) => completion.run(),
        Command::Man(man) => man.run(),
    }
}
