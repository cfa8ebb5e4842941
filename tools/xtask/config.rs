//! The config fields of kinds in docs.

use std::fmt::Write as _;

use fields::{Field, Input};
use serde_json::{Value, json};

pub fn table(fields: &[Field]) -> String {
    let mut text = "| field | | what |\n|---|---|---|\n".to_owned();
    for field in fields {
        let default = field.default.value().map(|default| format!("default `{default}`"));
        let marks = [
            (field.is_required, "required"),
            (field.is_secret, "secret"),
            (field.generate.is_some(), "generated when absent"),
        ];
        let marks = marks.iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| (*mark).to_owned());
        let marks: Vec<_> = marks.chain(default).collect();
        let _ = writeln!(text, "| `{}` | {} | {} |", field.name, marks.join(", "), what(field));
    }
    text
}

fn what(field: &Field) -> String {
    let bound = match field.input {
        Input::Line { max } => format!(" At most {max} characters."),
        Input::Text { max } => format!(" At most {} KiB.", max / 1024),
        Input::Headers { max } => format!(" At most {max}."),
        Input::Choice { of } => format!(" One of {}.", of.join(", ")),
        Input::Number { min, max } => format!(" From {min} to {max}."),
        Input::Url | Input::Emails { .. } | Input::Flag => String::new(),
    };
    let help = field.help.0;
    let end = if help.is_empty() || help.ends_with(['.', '?']) { "" } else { "." };
    format!("{}. {help}{end}{bound}", field.label.0)
}

/// A value for a field, from its example.
pub fn example(field: &Field) -> Value {
    match field.input {
        Input::Emails { .. } => json!([field.example]),
        _ => json!(field.example),
    }
}
