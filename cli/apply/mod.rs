//! `pong apply`: creates and changes objects as a file says, and shows the changes first.

pub mod document;
pub mod export;
pub mod read;
mod secrets;
mod server;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value as Json};
use serde_norway::Mapping;
use similar::{ChangeTag, TextDiff};

use self::{
    document::Section,
    read::{Files, Wanted},
    server::{Existing, Names, ambiguous, body_of, fetch},
};
use crate::{
    api::{Api, Value},
    app::App,
    error::{Exit, Failure},
    output::{self, BOLD, DIM, GREEN, RED, YELLOW, confirm, paint, print, text, visible},
};

#[derive(Args)]
pub struct Apply {
    /// YAML or JSON file; - is standard input; may be repeated
    #[arg(long = "file", short = 'f', value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

#[derive(Args)]
pub struct How {
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: exit with 5 if there are changes
    #[arg(long, requires = "dry_run")]
    exit_code: bool,
    /// Delete objects that are missing from the file's sections
    #[arg(long)]
    prune: bool,
    /// Delete without asking for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Also send secrets that match their masked values on the server
    #[arg(long)]
    send_secrets: bool,
}

impl How {
    pub fn is_given(&self) -> bool {
        self.dry_run || self.prune || self.yes || self.send_secrets
    }
}

impl Apply {
    pub async fn run(self, app: &App) -> Result<Exit> {
        run(app, Files::read(&self.files)?, &self.how).await
    }
}

/// One object's change.
struct Change {
    section: Section,
    file: String,
    name: String,
    /// The current object: its id and fields. `None`: it is created.
    there: Option<(i64, Mapping)>,
    /// The wanted object, as it is sent and as it is compared and shown. `None`: it is deleted.
    wanted: Option<(Mapping, Mapping)>,
}

pub async fn run(app: &App, files: Files, how: &How) -> Result<Exit> {
    let api = app.api()?.patient();
    let mut names = Names::default();
    let (changes, unchanged) = plan(&api, files, how, &mut names).await?;
    let is_table = app.out.is_table();
    if is_table {
        changes.iter().try_for_each(Change::show)?;
    } else {
        let list: Result<Vec<Value>, _> = changes.iter().map(Change::described).collect();
        app.out.list(&list?, &[text("ACTION", "action"), text("KIND", "kind"), text("NAME", "name")], "")?;
    }
    let say = |text: &str| if is_table { print(text) } else { Ok(()) };
    if changes.is_empty() {
        say(&format!("Nothing to change: {unchanged} as they should be"))?;
        return Ok(Exit::Ok);
    }
    let count = |verb: &str| changes.iter().filter(|change| change.verb() == verb).count();
    let counts = format!(
        "{} to add, {} to change, {} to delete, {unchanged} unchanged",
        count("add"),
        count("change"),
        count("delete")
    );
    if how.dry_run {
        say(&format!("Dry run: {counts}"))?;
        return Ok(if how.exit_code { Exit::Changes } else { Exit::Ok });
    }
    let deletes = count("delete");
    if deletes > 0 && !confirm(&format!("Delete {deletes} with their history?"), how.yes)? {
        output::note("Nothing was done");
        return Ok(Exit::Error);
    }
    let failed = perform(&api, changes, &mut names).await;
    if let Some((last, others)) = failed.split_last() {
        others.iter().for_each(output::fail);
        return Err(last.clone().into());
    }
    say(&format!(
        "Done: {}",
        counts
            .replace(" to add", " added")
            .replace(" to change", " changed")
            .replace(" to delete", " deleted")
    ))?;
    Ok(Exit::Ok)
}

async fn plan(api: &Api, mut files: Files, how: &How, names: &mut Names) -> Result<(Vec<Change>, usize)> {
    let (mut changes, mut deletions, mut unchanged) = (Vec::new(), Vec::new(), 0);
    for section in Section::ALL {
        let wanted = files.sections.remove(&section);
        // Endpoints are always fetched: other sections refer to them by name.
        if wanted.is_none() && section != Section::Endpoints {
            continue;
        }
        let Some(mut there) = fetch(api, section, names).await? else {
            if wanted.is_some_and(|wanted| !wanted.is_empty()) {
                let message = format!("the server does not know of {}", section.key());
                return Err(Failure::new(Exit::Unsupported, message)
                    .hint("Leave them out, or renew the server")
                    .into());
            }
            continue;
        };
        let Some(wanted) = wanted else { continue };
        for wanted in wanted {
            if section == Section::Maintenances && is_over(&wanted) {
                output::note(&format!("{}: maintenance {} is over, and left out", wanted.file, wanted.name));
                continue;
            }
            let found = take(section, &mut there, &wanted)?;
            match compare(wanted, found, how)? {
                Some(change) => changes.push(change),
                None => unchanged += 1,
            }
        }
        if how.prune {
            deletions.extend(there.into_iter().map(|there| Change {
                section,
                file: String::new(),
                name: there.name,
                there: Some((there.id, there.fields)),
                wanted: None,
            }));
        }
    }
    // Delete in reverse order: objects before those they refer to.
    changes.extend(deletions.into_iter().rev());
    Ok((changes, unchanged))
}

fn is_over(wanted: &Wanted) -> bool {
    let ends = wanted.fields.get("ends_at").and_then(output::moment);
    ends.is_some_and(|ends| ends <= chrono::Utc::now())
}

/// The existing object with the same slug, else the one with the same name.
fn take(section: Section, there: &mut Vec<Existing>, wanted: &Wanted) -> Result<Option<Existing>> {
    let slug = wanted.fields.get("slug").and_then(Value::as_str);
    let is_it = |existing: &Existing| match slug {
        Some(slug) => existing.slug.as_deref() == Some(slug),
        None => existing.name == wanted.name,
    };
    let ids: Vec<_> = there.iter().filter(|existing| is_it(existing)).map(|existing| existing.id).collect();
    match ids[..] {
        [] => Ok(None),
        [_] => Ok(there.iter().position(is_it).map(|at| there.remove(at))),
        _ => Err(ambiguous(section.kind().name, &wanted.name, &ids).into()),
    }
}

fn compare(wanted: Wanted, there: Option<Existing>, how: &How) -> Result<Option<Change>> {
    let Wanted { file, section, name, fields } = wanted;
    let mut shown = fields.clone();
    if let Some(there) = &there {
        shown = secrets::settled(section, &shown, &there.fields, how.send_secrets);
        // Fields that the file leaves to the server keep the server's value.
        for field in ["slug", "starts_at"] {
            if let (false, Some(value)) = (shown.contains_key(field), there.fields.get(field)) {
                shown.insert(field.into(), value.clone());
            }
        }
        if shown == there.fields {
            return Ok(None);
        }
    }
    // Masked secrets that match stay unchanged.
    let nothing = Mapping::new();
    let known = there.as_ref().map_or(&nothing, |there| &there.fields);
    if secrets::has_unknown_mask(section, &shown, known) {
        let hint = "Put the secret itself there, best by an environment variable: ${SLACK_TOKEN}";
        let message = format!(
            "{file}: {} {name}: a secret is masked, and the server has none that it stands for",
            section.kind().name
        );
        return Err(Failure::usage(message).hint(hint).into());
    }
    let there = there.map(|there| (there.id, there.fields));
    Ok(Some(Change { section, file, name, there, wanted: Some((fields, shown)) }))
}

/// Performs all changes and returns the failures.
async fn perform(api: &Api, changes: Vec<Change>, names: &mut Names) -> Vec<Failure> {
    let bar = output::progress(changes.len() as u64, "applying");
    let mut failed = Vec::new();
    for change in changes {
        if let Err(error) = change.perform(api, names).await {
            let failure = Failure::of(error);
            let object = format!("{} {}", change.section.kind().name, change.name);
            let from = if change.file.is_empty() { String::new() } else { format!("{}: ", change.file) };
            let is_final =
                matches!(failure.exit, Exit::NotLoggedIn) || failure.message.contains("does not answer");
            failed.push(Failure { message: format!("{from}{object}: {}", failure.message), ..failure });
            if is_final {
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    failed
}

/// Shows the warning in the server's answer, if there is one.
fn warn_of(made: &crate::api::Value) {
    if let Some(warning) = made["warning"].as_str() {
        output::warn(warning);
    }
}

impl Change {
    fn verb(&self) -> &'static str {
        match (&self.there, &self.wanted) {
            (None, _) => "add",
            (Some(_), Some(_)) => "change",
            (Some(_), None) => "delete",
        }
    }

    async fn perform(&self, api: &Api, names: &mut Names) -> Result<()> {
        let kind = self.section.kind();
        match (&self.there, &self.wanted) {
            (None, Some((wanted, _))) => {
                let mut body = body_of(self.section, wanted, names)?;
                body.retain(|_, value| !value.is_null());
                let made = api.create(kind, &body).await?;
                warn_of(&made);
                if let (Section::Endpoints, Some(id)) = (self.section, crate::api::id_of(&made)) {
                    names.add(&self.name, id);
                }
            }
            (Some((id, there)), Some((wanted, shown))) => {
                let (old, new) = (body_of(self.section, there, names)?, body_of(self.section, shown, names)?);
                let mut changed: Map<String, Json> =
                    new.into_iter().filter(|(name, value)| old.get(name) != Some(value)).collect();
                if changed.contains_key("config") || changed.is_empty() {
                    // Secrets that only match their masks are sent too, so that they are correct afterwards.
                    let body = body_of(self.section, wanted, names)?;
                    changed.extend(body.into_iter().filter(|(name, _)| name == "config"));
                }
                warn_of(&api.update(kind, *id, &changed).await?);
            }
            (Some((id, _)), None) => api.delete(kind, *id).await?,
            (None, None) => {}
        }
        Ok(())
    }

    fn show(&self) -> Result<()> {
        let (style, sign) = match self.verb() {
            "add" => (GREEN, "+"),
            "change" => (YELLOW, "~"),
            _ => (RED, "-"),
        };
        let head = format!("{sign} {} {}", self.section.kind().name, visible(&self.name));
        print(&paint(style.bold(), &head))?;
        if let Some((_, wanted)) = &self.wanted {
            let empty = Mapping::new();
            let there = self.there.as_ref().map_or(&empty, |(_, fields)| fields);
            for line in diff(self.section, there, wanted)? {
                print(&format!("    {line}"))?;
            }
        }
        Ok(())
    }

    fn described(&self) -> Result<Value, serde_norway::Error> {
        let diff = match &self.wanted {
            Some((_, wanted)) => {
                let empty = Mapping::new();
                let there = self.there.as_ref().map_or(&empty, |(_, fields)| fields);
                diff(self.section, there, wanted).unwrap_or_default()
            }
            None => Vec::new(),
        };
        let diff: Vec<_> = diff.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        serde_norway::to_value(serde_json::json!({
            "action": self.verb(), "kind": self.section.kind().name, "name": self.name, "diff": diff,
        }))
    }
}

/// A unified diff of the two objects as YAML.
fn diff(section: Section, old: &Mapping, new: &Mapping) -> Result<Vec<String>> {
    let yaml = |fields: &Mapping| -> Result<String> {
        let hidden = secrets::hidden(section, fields);
        if hidden.is_empty() { Ok(String::new()) } else { Ok(serde_norway::to_string(&ordered(&hidden))?) }
    };
    let (old, new) = (yaml(old)?, yaml(new)?);
    let diff = TextDiff::from_lines(&old, &new);
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(2).iter().enumerate() {
        if at > 0 {
            lines.push(paint(DIM, "..."));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = visible(change.value().trim_end()).into_owned();
            lines.push(match change.tag() {
                ChangeTag::Delete => paint(RED, &format!("-{line}")),
                ChangeTag::Insert => paint(GREEN, &format!("+{line}")),
                ChangeTag::Equal => paint(BOLD.dimmed(), &format!(" {line}")),
            });
        }
    }
    Ok(lines)
}

/// Restores the order of the fields: values that were filled in come last.
fn ordered(fields: &Mapping) -> Mapping {
    let first =
        ["name", "title", "url", "slug", "kind", "description", "config", "groups", "starts_at", "ends_at"];
    let place =
        |name: &Value| first.iter().position(|first| name.as_str() == Some(first)).unwrap_or(first.len());
    let mut list: Vec<_> = fields.iter().collect();
    list.sort_by_key(|(name, _)| place(name));
    list.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
