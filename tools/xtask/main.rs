//! `cargo run -p xtask -- manifests [--check]`

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the files that are derived from the function table
    Manifests {
        /// Write nothing; fail if a file is outdated
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Manifests { check: true } => xtask::check(&xtask::root()),
        Task::Manifests { check: false } => {
            let written = xtask::write(&xtask::root())?;
            written.iter().for_each(|path| println!("wrote {}", path.display()));
            Ok(())
        }
    }
}
