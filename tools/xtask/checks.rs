//! The check kinds in docs/checks.md.

use std::fmt::Write as _;

use checks::{
    CHECKS, Kind,
    facts::{Fact, Shape},
};

use crate::config;

pub fn kinds() -> String {
    let mut text: String = CHECKS.iter().map(kind).collect();
    text += "### Comparisons\n\n| of | |\n|---|---|\n";
    for (kind, shape) in [
        ("numbers", Shape::Number),
        ("texts", Shape::Text),
        ("the body", Shape::Body),
        ("JSON and headers", Shape::Json),
    ] {
        let names: Vec<_> = shape.comparisons().iter().map(|c| format!("`{}`", c.as_str())).collect();
        text += &format!("| {kind} | {} |\n", names.join(", "));
    }
    text
}

fn kind(kind: &Kind) -> String {
    let schemes: Vec<_> = kind.schemes.iter().map(|scheme| format!("`{scheme}://`")).collect();
    let mut text = format!(
        "### `{}`: {}\n\n{} URLs begin with {}.\n\n",
        kind.name,
        kind.label.0,
        kind.about.0,
        schemes.join(" or ")
    );
    let _ = write!(text, "```sh\npong endpoint add {}\n```\n\n", kind.example);
    if !kind.fields.is_empty() {
        let _ = write!(text, "Its `config`:\n\n{}\n", config::table(kind.fields));
    }
    text += "| fact | what | is |\n|---|---|---|\n";
    kind.facts().for_each(|fact| text += &row(fact));
    text + "\n"
}

fn row(fact: &Fact) -> String {
    let (kind, needs) = match fact.shape {
        Shape::Number => ("a number", ""),
        Shape::Text => ("a text", ""),
        Shape::Body => ("the body", ""),
        Shape::Json => ("any JSON", ", selected by `path`"),
        Shape::Header => ("a text or number", ", called `name`"),
    };
    format!("| `{}` | {}{needs} | {kind} |\n", fact.name, fact.label.0)
}
