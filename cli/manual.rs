//! `pong completion` and `pong man`.

use std::{io::Write, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, error::Exit};

#[derive(Args)]
pub struct Completion {
    /// As in: pong completion bash > ~/.local/share/bash-completion/completions/pong
    shell: Shell,
}

#[derive(Args)]
pub struct Man {
    /// Writes a page for each command into this folder instead
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl Completion {
    pub fn run(self) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "pong", &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(Exit::Ok)
    }
}

impl Man {
    pub fn run(self) -> Result<Exit> {
        match self.dir {
            Some(folder) => {
                std::fs::create_dir_all(&folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                clap_mangen::generate_to(Cli::command(), folder)?;
            }
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Cli::command()).render(&mut page)?;
                std::io::stdout().write_all(&page)?;
            }
        }
        Ok(Exit::Ok)
    }
}
