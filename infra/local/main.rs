//! `pongpong`: starts the engine, and stops it on a signal. See [`pongpong::start`].

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    runtime::process::prepare();
    runtime::install_crypto();
    let cli = cli::Cli::parse();
    let ended =
        tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|r| r.block_on(cli.run()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pongpong: {error:#}");
            ExitCode::FAILURE
        }
    }
}
