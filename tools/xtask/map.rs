//! The table of functions in `docs/functions.md`.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use runtime::Function;

pub fn table(table: &[Function]) -> String {
    let mut text = "| function | trigger | does |\n|---|---|---|\n".to_owned();
    for function in table {
        let mut triggers: Vec<_> =
            function.operations().iter().map(|o| format!("`{} {}`", o.method, o.path)).collect();
        triggers.extend(function.subscriptions.iter().map(|s| {
            let kind = s.kind.trim_start_matches("io.pongpong.").trim_end_matches(".v1");
            let only = s.only.map(|(name, value)| format!(", {name} {value}")).unwrap_or_default();
            format!("event `{kind}`{only}")
        }));
        triggers.extend(function.cron.map(|cron| format!("cron `{cron}`")));
        match function.name {
            "web" => triggers.push("everything else".into()),
            "dead-letter" => triggers.push("what the broker gave up on".into()),
            _ => {}
        }
        writeln!(text, "| {} | {} | {} |", function.name, triggers.join("<br>"), function.does).ok();
    }
    text
}

/// Replaces the text between `<!-- NAME -->` and `<!-- /NAME -->`.
pub fn between_markers(page: &str, name: &str, text: &str) -> Result<String> {
    let (start, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&start).with_context(|| format!("no {start}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("no {end}"))?;
    Ok(format!("{before}{start}\n{text}{end}{after}"))
}
