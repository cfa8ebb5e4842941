//! Files derived from the function table: generated here, committed, and checked by a test to be up to date.

mod checks;
mod config;
mod eventing;
mod examples;
mod kong;
mod lambda;
mod map;
mod notifications;
mod openapi;
mod schedules;
mod services;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

const HEADER: &str = "# Generated from functions/lib.rs by `make manifests`: do not edit.\n";

/// One file of these objects.
fn yaml(objects: &[impl Serialize]) -> Result<String> {
    let documents = objects.iter().map(serde_norway::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{HEADER}{}", documents.join("---\n")))
}

/// The expected content of every generated file, by its path in the repository.
pub fn generated(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let table = functions::ALL;
    let mut files = vec![
        ("infra/kong/kong.yml".into(), kong::file(table)?),
        ("knative/base/eventing/broker.yaml".into(), eventing::broker()?),
        ("knative/base/eventing/triggers.yaml".into(), eventing::triggers(table)?),
        ("knative/base/eventing/publishers.yaml".into(), eventing::publishers()?),
        ("knative/base/cron/cronjobs.yaml".into(), schedules::cron_jobs(table)?),
        ("knative/base/services/kustomization.yaml".into(), services::list(table)?),
        ("knative/base/migrate.yaml".into(), services::migration()?),
        ("infra/lambda/template.yaml".into(), lambda::template(table)?),
        ("docs/public-spec.yaml".into(), openapi::public(table)?),
        ("docs/private-spec.yaml".into(), openapi::private(table)?),
    ];
    for function in table {
        let path = format!("knative/base/services/{}.yaml", function.name);
        files.push((path.into(), services::service(function)?));
    }
    for (page, marker, inner) in [
        ("docs/functions.md", "functions", map::table(table)),
        ("docs/gateway.md", "routes", kong::table(table)),
        ("docs/deploy.md", "requests", services::requests(table)),
        ("docs/checks.md", "kinds", checks::kinds()),
        ("docs/notifications.md", "kinds", notifications::kinds()),
    ] {
        let text = fs::read_to_string(root.join(page)).context(page)?;
        files.push((page.into(), map::between_markers(&text, marker, &inner).context(page)?));
    }
    Ok(files)
}

/// Writes outdated files; returns their paths.
pub fn write(root: &Path) -> Result<Vec<PathBuf>> {
    let stale = stale(root)?;
    for (path, text) in &stale {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(stale.into_iter().map(|(path, _)| path).collect())
}

/// Fails, naming them, if files are outdated.
pub fn check(root: &Path) -> Result<()> {
    let stale = stale(root)?;
    if stale.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = stale.iter().map(|(path, _)| path.display().to_string()).collect();
    bail!("stale: {} (run `make manifests`)", names.join(", "))
}

fn stale(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut files = generated(root)?;
    // A missing file counts as outdated.
    files.retain(|(path, text)| fs::read_to_string(root.join(path)).ok().as_ref() != Some(text));
    Ok(files)
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_files_are_fresh() {
        super::check(&super::root()).expect("fresh");
    }

    #[test]
    fn every_setting_is_in_the_docs() {
        let page = std::fs::read_to_string(super::root().join("docs/settings.md")).expect("the page");
        for name in functions::ALL.iter().flat_map(|function| function.settings()) {
            assert!(page.contains(&format!("| `{name}`")), "docs/settings.md lacks {name}");
        }
    }

    /// Collects source files and pages, without tests.
    fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path())
        {
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if entry.is_dir()
                && !["target", "tests", "benches", "corpus"].contains(&name)
                && !name.starts_with('.')
            {
                sources(&entry, found);
            } else if name.ends_with(".rs") && name != "tests.rs"
                || name.ends_with(".html")
                || name.ends_with(".js")
            {
                found.push(entry);
            }
        }
    }

    /// Email, Slack and webhooks have separate functions, which the first contract names.
    #[test]
    fn no_file_but_a_kinds_own_names_it() {
        let root = super::root().canonicalize().expect("the root");
        let mut files = Vec::new();
        sources(&root, &mut files);
        assert!(files.len() > 300, "{}", files.len());
        for kind in channels::CHANNELS.iter().filter(|kind| kind.function.is_none()) {
            let own = format!("crates/channels/kinds/{}.rs", kind.name);
            let may = [own.as_str(), "crates/channels/kinds/mod.rs", "crates/channels/lib.rs"];
            for file in &files {
                let path = file.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
                let text = std::fs::read_to_string(file).expect("text").to_lowercase();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let names = code.contains(kind.name);
                assert!(!names || may.contains(&path.as_str()), "{path} names {}", kind.name);
            }
        }
    }

    /// Exceptions: importers read other tools' settings for web pages, and TLS names a setting in its advice.
    #[test]
    fn no_file_but_a_check_kinds_own_names_it() {
        let root = super::root().canonicalize().expect("the root");
        let mut files = Vec::new();
        for folder in ["crates", "functions", "cli", "infra"] {
            sources(&root.join(folder), &mut files);
        }
        for kind in checks::CHECKS {
            let own = format!("crates/checks/kinds/{}.rs", kind.name);
            let may = [own.as_str(), "crates/checks/lib.rs", "crates/checks/tls/mod.rs"];
            let fields = kind.fields.iter().map(|field| field.name).filter(|name| name.contains('_'));
            let mut words: Vec<_> = fields.map(|field| format!("\"{field}\"")).collect();
            words.push(format!("kinds::{}", kind.name));
            // `http` is also the scheme of every web page.
            if kind.name != "http" {
                words.extend([format!("\"{}\"", kind.name), format!("{}://", kind.name)]);
            }
            for file in &files {
                let path = file.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
                if may.contains(&path.as_str()) || path.starts_with("cli/import/") {
                    continue;
                }
                let text = std::fs::read_to_string(file).expect("text");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let named: Vec<_> = words.iter().filter(|word| code.contains(*word)).collect();
                assert!(named.is_empty(), "{path} names {}: {named:?}", kind.name);
            }
        }
    }

    /// Texts are in the catalogues, one file for each language; a kind is one file that includes its texts.
    #[test]
    fn no_source_but_a_kinds_holds_korean() {
        let root = super::root().canonicalize().expect("the root");
        let mut files = Vec::new();
        for folder in ["crates", "functions", "cli", "infra"] {
            sources(&root.join(folder), &mut files);
        }
        for file in &files {
            let path = file.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(file).expect("text");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let line = code.lines().find(|line| line.contains(|c| matches!(c, '\u{AC00}'..='\u{D7A3}')));
            let may = path.contains("/kinds/");
            assert!(line.is_none() || may, "{path}: belongs into words/ko.ftl: {}", line.unwrap_or_default());
        }
    }

    #[test]
    fn every_function_is_listed_once_and_has_a_trigger() {
        let mut names: Vec<_> = functions::ALL.iter().map(|f| f.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        for function in functions::ALL {
            assert!(function.http.is_some() || function.trigger.is_some(), "{}", function.name);
        }
    }

    /// Anyone can call a public function's URL: it must have no route for events.
    #[test]
    fn public_function_takes_no_event() {
        for function in functions::ALL {
            let is_public = function.name == "web"
                || function.operations().iter().any(|o| o.path.starts_with("/public/"));
            assert!(!is_public || function.trigger.is_none(), "{} answers POST /", function.name);
            assert!(function.subscriptions.is_empty() || function.trigger.is_some(), "{}", function.name);
        }
    }

    #[test]
    fn service_that_is_not_public_is_cluster_local() {
        for function in functions::ALL {
            let service = crate::services::service(function).expect("YAML");
            let is_local = service.contains("networking.knative.dev/visibility: cluster-local");
            let is_public = function.name == "web"
                || function.operations().iter().any(|o| o.path.starts_with("/public/"));
            assert_eq!(is_local, !is_public, "{}", function.name);
        }
    }
}
