//! `pong import`: converts another system's configuration to a file for `pong apply`, and reports what it
//! cannot convert.

mod blackbox;
mod gatus;
mod imported;
mod uptime_kuma;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    app::App,
    apply::{
        self,
        export::save,
        read::{Files, contents},
    },
    error::{Exit, Failure},
    output::note,
};

#[derive(Args)]
pub struct Import {
    /// System that the file belongs to
    #[arg(long, value_enum)]
    from: System,
    /// uptime-kuma: the backup (JSON); gatus: the configuration; blackbox: Prometheus' configuration. - is
    /// standard input
    file: PathBuf,
    /// blackbox: the exporter's own configuration, with the modules
    #[arg(long, value_name = "FILE")]
    modules: Option<PathBuf>,
    /// Write to this file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE", conflicts_with = "apply")]
    out: Option<PathBuf>,
    /// Apply it at once
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    how: apply::How,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum System {
    UptimeKuma,
    Gatus,
    Blackbox,
}

impl Import {
    pub async fn run(self, app: &App) -> Result<Exit> {
        if !self.apply && self.how.is_given() {
            let message = "--dry-run, --prune, --yes and --send-secrets are about applying it";
            return Err(Failure::usage(message).hint("Together with --apply").into());
        }
        let (file, text) = contents(&self.file)?;
        let wrong = |error: anyhow::Error| Failure::usage(format!("{file}: {error:#}"));
        let modules = match &self.modules {
            Some(path) if self.from == System::Blackbox => Some(contents(path)?.1),
            Some(_) => return Err(Failure::usage("--modules is only for --from blackbox").into()),
            None => None,
        };
        let mut imported = match self.from {
            System::UptimeKuma => uptime_kuma::read(&text),
            System::Gatus => gatus::read(&text),
            System::Blackbox => blackbox::read(&text, modules.as_deref()),
        }
        .map_err(wrong)?;
        imported.finish();
        imported.tell();
        if imported.endpoints.is_empty() {
            return Err(Failure::usage(format!("{file} holds nothing that could be checked")).into());
        }
        let text = imported.document(app)?;
        if self.apply {
            let mut files = Files::default();
            files.add(&file, &text, &|name| std::env::var(name).ok())?;
            return apply::run(app, files, &self.how).await;
        }
        save(&text, self.out.as_deref())?;
        if let Some(out) = &self.out {
            note(&format!("Wrote {}. Look at it, then: pong apply -f {}", out.display(), out.display()));
        }
        Ok(Exit::Ok)
    }
}
