//! `pong completion` and `pong man`.

use std::{io::Write, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{
    Cli,
    error::{ENVIRONMENT, EXITS, Exit},
};

#[derive(Args)]
pub struct Completion {
    /// For example: pong completion bash > ~/.local/share/bash-completion/completions/pong
    shell: Shell,
}

#[derive(Args)]
pub struct Man {
    /// Write a page for each command to this folder instead
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
                std::io::stdout().write_all(&page()?)?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn page() -> Result<Vec<u8>> {
    let man = clap_mangen::Man::new(Cli::command());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for (heading, list) in [("EXIT STATUS", &EXITS[..]), ("ENVIRONMENT", &ENVIRONMENT)] {
        writeln!(page, ".SH \"{heading}\"")?;
        for (name, text) in list {
            // An escaped hyphen can be copied and typed.
            writeln!(page, ".TP\n\\fB{name}\\fR\n{}", text.replace('-', "\\-"))?;
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_do_not_collide() {
        Cli::command().debug_assert();
    }
}
