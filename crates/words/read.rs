//! Reads one Fluent file as a list of messages.

use std::collections::{BTreeMap, BTreeSet};

use fluent_syntax::{
    ast::{Entry, Expression, InlineExpression, Message as Parsed, PatternElement},
    parser,
    unicode::unescape_unicode_to_string,
};

/// Starts a comment that names values which the other language omits.
const ONLY_HERE: &str = "Only here:";

#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Value(String),
}

#[derive(Debug, Default)]
pub struct Message {
    pub parts: Vec<Part>,
    /// Values that the other language may omit.
    pub only_here: BTreeSet<String>,
}

impl Message {
    pub fn values(&self) -> BTreeSet<&str> {
        let parts = self.parts.iter();
        parts
            .filter_map(|part| if let Part::Value(name) = part { Some(name.as_str()) } else { None })
            .collect()
    }
}

/// Reads a file; errors contain its name.
pub fn messages(file: &str, source: &str) -> Result<BTreeMap<String, Message>, Vec<String>> {
    let resource = parser::parse(source).map_err(|(_, errors)| {
        let line = |at: usize| source[..at.min(source.len())].lines().count().max(1);
        errors.iter().map(|error| format!("{file}:{}: {error}", line(error.pos.start))).collect::<Vec<_>>()
    })?;
    let (mut messages, mut wrong) = (BTreeMap::new(), Vec::new());
    for entry in resource.body {
        match entry {
            Entry::Message(parsed) => {
                let key = parsed.id.name;
                match message(&parsed) {
                    Err(why) => wrong.push(format!("{file}: `{key}` {why}")),
                    Ok(message) => {
                        if messages.insert(key.to_owned(), message).is_some() {
                            wrong.push(format!("{file}: `{key}` is there twice"));
                        }
                    }
                }
            }
            Entry::Term(term) => {
                wrong.push(format!("{file}: `-{}` is a term, and there are none", term.id.name))
            }
            Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) => {}
            Entry::Junk { content } => wrong.push(format!("{file}: cannot be read: {content:?}")),
        }
    }
    if wrong.is_empty() { Ok(messages) } else { Err(wrong) }
}

fn message(parsed: &Parsed<&str>) -> Result<Message, String> {
    check_name(parsed.id.name, '-')?;
    if let Some(attribute) = parsed.attributes.first() {
        return Err(format!("has the attribute `.{}`, and there are none", attribute.id.name));
    }
    let pattern = parsed.value.as_ref().ok_or("has no text")?;
    let mut message = Message::default();
    for element in &pattern.elements {
        match element {
            PatternElement::TextElement { value } => message.add_text(value),
            PatternElement::Placeable { expression: Expression::Inline(inline) } => match inline {
                InlineExpression::StringLiteral { value } => {
                    message.add_text(&unescape_unicode_to_string(value))
                }
                InlineExpression::VariableReference { id } => {
                    check_name(id.name, '_')?;
                    message.parts.push(Part::Value(id.name.to_owned()));
                }
                _ => {
                    return Err(
                        "holds something else in braces than a value `{ $name }` or a text `{ \" \" }`"
                            .to_owned(),
                    );
                }
            },
            PatternElement::Placeable { .. } => return Err("has a selector, and there are none".to_owned()),
        }
    }
    message.only_here = only_here(parsed);
    match message.only_here.iter().find(|name| !message.values().contains(name.as_str())) {
        Some(name) => Err(format!("has no ${name}, which its comment names")),
        None => Ok(message),
    }
}

impl Message {
    fn add_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }
}

fn only_here(parsed: &Parsed<&str>) -> BTreeSet<String> {
    let lines = parsed.comment.iter().flat_map(|comment| &comment.content);
    let names =
        lines.filter_map(|line| line.trim().strip_prefix(ONLY_HERE)).flat_map(|names| names.split(','));
    names.map(|name| name.trim().trim_start_matches('$').to_owned()).collect()
}

/// Keys and value names become Rust names.
fn check_name(name: &str, separator: char) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == separator;
    if name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(fits)
        && !name.ends_with(separator)
    {
        return Ok(());
    }
    Err(format!("has the name `{name}`: must have lower-case letters, digits and `{separator}`"))
}
