//! `cargo run -p xtask -- manifests [--check]`

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Writes what derives from the function table.
    Manifests {
        /// Writes nothing; fails when a file is stale.
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
