//! The notification kinds in docs/notifications.md.

use std::fmt::Write as _;

use channels::{CHANNELS, Kind};
use serde_json::{Value, json};

use crate::config::{self, example};

pub fn kinds() -> String {
    CHANNELS.iter().map(kind).collect()
}

fn kind(kind: &Kind) -> String {
    let mut text = format!("## {}\n\n{}\n\n", kind.label.0, kind.about.0);
    text += &config::table(kind.fields);
    let required = kind.fields.iter().filter(|field| field.is_required);
    // For a kind without required fields, show the first field.
    let shown: Vec<_> = required.chain(kind.fields.first().filter(|field| !field.is_required)).collect();
    let config: Value = shown.iter().map(|field| (field.name.to_owned(), example(field))).collect();
    let body = json!({"name": "On call", "kind": kind.name, "config": config});
    let flags = shown.iter().map(|field| format!(" --{} {}", field.name.replace('_', "-"), field.example));
    let _ = write!(
        text,
        "\n```sh\npong notification add {} 'On call'{}\n```\n\n```json\n{body}\n```\n\n",
        kind.name,
        flags.collect::<String>()
    );
    text
}
