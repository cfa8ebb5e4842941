//! `pong export`: writes the current configuration in the form that `pong apply` reads.

use std::{io::Write, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_norway::Mapping;

use super::{
    document::Section,
    read::escape,
    secrets,
    server::{Names, ambiguous, fetch},
};
use crate::{
    api::Value,
    app::App,
    error::Exit,
    output::{Format, note, print, warn},
};

#[derive(Args)]
pub struct Export {
    /// Write to this file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub async fn run(self, app: &App) -> Result<Exit> {
        let api = app.api()?;
        let mut names = Names::default();
        let mut document = Mapping::new();
        let (mut count, mut has_masks) = (0, false);
        for section in Section::ALL {
            let Some(there) = fetch(&api, section, &mut names).await? else {
                warn(&format!("the server does not know of {}: they are left out", section.key()));
                continue;
            };
            // Objects are identified by name: with duplicate names, the file could not be applied.
            for (at, one) in there.iter().enumerate() {
                let same: Vec<_> =
                    there.iter().filter(|other| other.name == one.name).map(|other| other.id).collect();
                if section != Section::StatusPages
                    && same.len() > 1
                    && there[..at].iter().all(|other| other.name != one.name)
                {
                    return Err(ambiguous(section.kind().name, &one.name, &same).into());
                }
            }
            count += there.len();
            has_masks |= there.iter().any(|one| secrets::is_masked(section, &one.fields));
            let items: Vec<_> = there.into_iter().map(|one| Value::Mapping(one.fields)).collect();
            if !items.is_empty() {
                document.insert(section.key().into(), items.into());
            }
        }
        let mut document = Value::Mapping(document);
        escape(&mut document);
        let text = written(&document, app.out.format, has_masks)?;
        save(&text, self.out.as_deref())?;
        if let Some(file) = &self.out {
            note(&format!("Wrote {count} to {}", file.display()));
        }
        Ok(Exit::Ok)
    }
}

pub fn written(document: &Value, format: Format, has_masks: bool) -> Result<String> {
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(document)?);
    }
    let mut text = String::new();
    if has_masks {
        text += "# Secrets are masked (…): applied where they are, they stay as they are. Elsewhere put\n\
                 # in the secret itself, or a variable: token: ${SLACK_TOKEN}\n";
    }
    let is_empty = document.as_mapping().is_some_and(Mapping::is_empty);
    text += &if is_empty { "endpoints: []\n".to_owned() } else { serde_norway::to_string(document)? };
    Ok(text.trim_end().to_owned())
}

/// Writes the file atomically: it is never half written.
pub fn save(text: &str, file: Option<&std::path::Path>) -> Result<()> {
    let Some(file) = file else { return print(text) };
    let write = || -> Result<()> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut new = tempfile::NamedTempFile::new_in(folder.unwrap_or(std::path::Path::new(".")))?;
        writeln!(new, "{text}")?;
        new.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}
