//! `pongpong`: starts the engine, and stops it when asked to. See [`pongpong::start`].

mod cli;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    runtime::install_crypto();
    match cli::Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pongpong: {error:#}");
            ExitCode::FAILURE
        }
    }
}
