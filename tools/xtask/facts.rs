//! The facts in docs/checks.md.

use checks::facts::{FACTS, Shape};

pub fn table() -> String {
    let mut text = "| fact | what | is |\n|---|---|---|\n".to_owned();
    for fact in FACTS {
        let (kind, needs) = match fact.shape {
            Shape::Number => ("a number", ""),
            Shape::Text => ("a text", ""),
            Shape::Body => ("the body", ""),
            Shape::Json => ("any JSON", ", selected by `path`"),
            Shape::Header => ("a text or number", ", called `name`"),
        };
        text += &format!("| `{}` | {}{needs} | {kind} |\n", fact.name, fact.label.0);
    }
    text += "\n| comparisons of | |\n|---|---|\n";
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
