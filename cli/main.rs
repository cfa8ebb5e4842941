//! `pong`: the terminal client of pongpong. It uses only the server's public API.
//!
//! | file | purpose |
//! |---|---|
//! | `app.rs` | settings of all commands: the API, the output |
//! | `api.rs`, `config.rs` | the API client; the contexts and their keys |
//! | `output.rs`, `chart.rs`, `error.rs` | output; charts; errors and exit codes |
//! | `check.rs`, `fields.rs` | a check, from this machine too; flags for the fields of kinds |
//! | `apply/` | configuration as a file: read, compare, apply, export |
//! | `import/` | converts other systems' files |
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

/// Monitor web services from a terminal: the client of pongpong
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
    /// Create an account and log in
    Signup(session::Login),
    /// Log in and save the key
    Login(session::Login),
    /// Revoke the key and remove it from this machine
    Logout,
    /// Show the current user and server
    Whoami,
    /// Manage endpoints
    #[command(subcommand)]
    Endpoint(endpoint::Command),
    /// Check a URL now: from pongpong, or from this machine without an account
    Check(check::Check),
    /// Show a live screen of all endpoints
    Watch(watch::Watch),
    /// Show check results and summaries
    #[command(subcommand)]
    Report(report::Command),
    /// Show incidents
    #[command(subcommand)]
    Incident(incident::Command),
    /// Manage notifications and their deliveries
    #[command(subcommand)]
    Notification(notification::Command),
    /// Manage public status pages
    #[command(subcommand)]
    StatusPage(status_page::Command),
    /// Manage announcements on a status page
    #[command(subcommand)]
    Announcement(announcement::Command),
    /// Manage planned maintenance, during which no alerts are sent
    #[command(subcommand)]
    Maintenance(maintenance::Command),
    /// Manage badges: images that show an endpoint's status and uptime
    #[command(subcommand)]
    Badge(badge::Command),
    /// Manage API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Create and change objects as a file says
    Apply(apply::Apply),
    /// Write the current configuration in the form that `apply` reads
    Export(apply::export::Export),
    /// Convert another system's configuration
    Import(import::Import),
    /// Manage contexts: several servers or accounts
    #[command(subcommand)]
    Context(context::Command),
    /// Print a shell's completion script
    Completion(manual::Completion),
    /// Print the manual page
    Man(manual::Man),
}

#[tokio::main]
async fn main() {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    // Registered first, so that no signal is missed.
    let interrupted = interrupted();
    // In a task of its own: a prompt blocks until it is answered, and an interrupt must not wait for it.
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
    // Do not wait for a task that still reads from the terminal.
    std::process::exit(exit as i32);
}

#[cfg(unix)]
fn interrupted() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        // Without signal handlers the program still ends, but without cleanup.
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
