//! The notification kinds in docs/notifications.md.

use std::fmt::Write as _;

use channels::{CHANNELS, Field, Input, Kind};
use serde_json::{Value, json};

pub fn kinds() -> String {
    CHANNELS.iter().map(kind).collect()
}

fn kind(kind: &Kind) -> String {
    let mut text = format!("## {}\n\n{}\n\n", kind.label.0, kind.about.0);
    text += "| field | | what |\n|---|---|---|\n";
    for field in kind.fields {
        let marks = [
            (field.is_required, "required"),
            (field.is_secret, "secret"),
            (field.generate.is_some(), "generated when absent"),
        ];
        let marks: Vec<_> = marks.iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| *mark).collect();
        let _ = writeln!(text, "| `{}` | {} | {} |", field.name, marks.join(", "), what(field));
    }
    let required = kind.fields.iter().filter(|field| field.is_required);
    // Of a kind without any, the first says enough.
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

fn what(field: &Field) -> String {
    let bound = match field.input {
        Input::Url => String::new(),
        Input::Line { max } => format!(" At most {max} characters."),
        Input::Emails { .. } => String::new(),
    };
    format!("{}. {}{bound}", field.label.0, field.help.0)
}

fn example(field: &Field) -> Value {
    match field.input {
        Input::Emails { .. } => json!([field.example]),
        Input::Url | Input::Line { .. } => json!(field.example),
    }
}
