//! The contexts: servers and their keys, in one file that only its owner can read.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

use crate::error::Failure;

pub const DEFAULT: &str = "default";

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    pub api_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.email.as_deref().unwrap_or("nobody"), self.api_url)
    }
}

/// Below `XDG_CONFIG_HOME`, else `~/.config`.
pub fn path() -> Result<PathBuf> {
    let base = etcetera::choose_base_strategy().context("there is no home folder; set XDG_CONFIG_HOME")?;
    Ok(base.config_dir().join("pong").join("config.yaml"))
}

impl Config {
    pub fn load() -> Result<Self> {
        let path = path()?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        warn_if_others_can_read(&path);
        serde_norway::from_str(&text).map_err(|error| {
            let hint = "Correct it, or remove it and log in again: pong login";
            Failure::error(format!("{}: {error}", path.display())).hint(hint).into()
        })
    }

    /// Replaces the file atomically: a reader sees the old file or the new one.
    pub fn save(&self) -> Result<()> {
        let path = path()?;
        let write = || -> Result<()> {
            let folder = path.parent().context("it has no folder")?;
            make_private(folder)?;
            // Created with mode 0600.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(serde_norway::to_string(self)?.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The name of the chosen context, and the context if it exists.
    pub fn chosen(&self, asked: Option<&str>) -> Result<(String, Option<Context>)> {
        let name = asked.or(self.current.as_deref()).unwrap_or(DEFAULT);
        Ok((name.to_owned(), self.contexts.get(name).cloned()))
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(unix)]
fn warn_if_others_can_read(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_or(0, |data| data.permissions().mode());
    if mode & 0o077 != 0 {
        crate::output::warn(&format!(
            "others can read {}, and your key in it: chmod 600 it, or log in anew",
            path.display()
        ));
    }
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_: &Path) {}
