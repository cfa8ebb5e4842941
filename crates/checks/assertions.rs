//! What must hold of a response beside its status.
//!
//! Patterns and paths come from users and run over what strangers answer, so every one has a bound:
//! on its length, on the size of what it compiles to, and on how often it can multiply the nodes
//! that it visits.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName};
use memchr::memmem;
use serde_json::Value;
use serde_json_path::JsonPath;

use contract::Text;

use super::{
    content::{self, Content},
    pattern::{Pattern, Work},
};
use contract::{Assertion, Comparison};

/// What a body may take as JSON [bytes].
const MAX_JSON_MEMORY: usize = 96 * 1024 * 1024;
const MAX_PATTERN_CHARS: usize = 1_024;
const MAX_VALUE_BYTES: usize = 8 * 1024;
/// What people see of something long.
const MAX_SHOWN_CHARS: usize = 200;

/// An assertion, compiled.
#[derive(Debug)]
pub(super) enum Check {
    Contains {
        value: String,
        wanted: bool,
    },
    Matches(Arc<Pattern>),
    JsonPath {
        text: String,
        path: JsonPath,
        /// Of each JSON value, how often it is looked at, at most; none, where only a few are.
        weight: usize,
        comparison: Comparison,
        value: Value,
    },
    Header {
        name: HeaderName,
        comparison: Comparison,
        value: String,
    },
    TotalTime {
        below_ms: u32,
    },
}

impl Check {
    /// The error names the field within the assertion.
    pub(super) fn read(assertion: &Assertion) -> Result<Self, (&'static str, Text)> {
        match assertion {
            Assertion::BodyContains { value } => {
                Ok(Self::Contains { value: read_text(value)?, wanted: true })
            }
            Assertion::BodyNotContains { value } => {
                Ok(Self::Contains { value: read_text(value)?, wanted: false })
            }
            Assertion::BodyMatches { regex } => {
                read_regex(regex).map(Self::Matches).map_err(|message| ("regex", message))
            }
            Assertion::JsonPath { path, comparison, value } => {
                let (text, comparison) = (path.clone(), *comparison);
                let (path, weight) = read_path(path).map_err(|message| ("path", message))?;
                check_json_value(comparison, value).map_err(|message| ("value", message))?;
                Ok(Self::JsonPath { text, path, weight, comparison, value: value.clone() })
            }
            Assertion::Header { name, comparison, value } => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                    let message = contract::text("is not a valid header name", "올바른 헤더 이름이 아닙니다");
                    ("name", message)
                })?;
                if value.len() > MAX_VALUE_BYTES {
                    return Err(("value", too_long()));
                }
                if orders(*comparison) && number(value).is_none() {
                    return Err(("value", not_a_number()));
                }
                Ok(Self::Header { name, comparison: *comparison, value: value.clone() })
            }
            Assertion::TotalTime { below_ms } => {
                if !(1..=60_000).contains(below_ms) {
                    let message = contract::text("must be from 1 to 60000", "1에서 60000 사이여야 합니다");
                    return Err(("below_ms", message));
                }
                Ok(Self::TotalTime { below_ms: *below_ms })
            }
        }
    }

    /// Memory of what was compiled, as a measure of what compiling it costs [bytes].
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Matches(pattern) => pattern.size(),
            _ => 0,
        }
    }

    /// Whether judging by it may take long, also of a short body.
    pub(super) fn is_costly(&self) -> bool {
        match self {
            Self::Matches(_) => true,
            Self::JsonPath { weight, .. } => *weight > 0,
            Self::Contains { .. } | Self::Header { .. } | Self::TotalTime { .. } => false,
        }
    }

    pub(super) fn needs_body(&self) -> bool {
        matches!(self, Self::Contains { .. } | Self::Matches(_) | Self::JsonPath { .. })
    }
}

fn too_long() -> Text {
    contract::text("must be at most 8 KiB", "최대 8 KiB까지 가능합니다")
}

fn not_a_number() -> Text {
    contract::text("must be a number, since it is compared by size", "크기를 비교하므로 숫자여야 합니다")
}

fn read_text(value: &str) -> Result<String, (&'static str, Text)> {
    if value.is_empty() {
        return Err(("value", contract::text("must not be empty", "비어 있을 수 없습니다")));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(("value", too_long()));
    }
    Ok(value.to_owned())
}

fn check_pattern_length(text: &str) -> Result<(), Text> {
    if text.is_empty() {
        return Err(contract::text("must not be empty", "비어 있을 수 없습니다"));
    }
    if text.chars().nth(MAX_PATTERN_CHARS).is_some() {
        return Err(contract::text("must be at most 1024 characters", "최대 1024자까지 가능합니다"));
    }
    Ok(())
}

fn read_regex(text: &str) -> Result<Arc<Pattern>, Text> {
    check_pattern_length(text)?;
    Pattern::cached(text)
}

fn read_path(text: &str) -> Result<(JsonPath, usize), Text> {
    check_pattern_length(text)?;
    // Before the parser sees it: each filter within a filter doubles the parser's time, and nested
    // parentheses use up its stack.
    let weight = weight(text).ok_or_else(|| {
        contract::text(
            "is too complex: at most one `..`, two filters, three commas and 16 nested brackets; within a filter \
             neither `..` nor `$`, and comparisons with a literal only",
            "너무 복잡합니다. `..`은 1개, 필터는 2개, 쉼표는 3개, 괄호 중첩은 16단계까지이며 필터 안에는 `..`과 `$`를 쓸 수 \
             없고 리터럴과만 비교할 수 있습니다",
        )
    })?;
    let path = JsonPath::parse(text).map_err(|error| {
        contract::text(format!("is not a JSONPath: {error}"), format!("올바른 JSONPath가 아닙니다: {error}"))
    })?;
    Ok((path, weight))
}

const MAX_NESTED_BRACKETS: usize = 16;

/// How often a path may look at each value of a document, at most: every step and every comparison may come to each
/// value once, since a document is a tree, and a list of selectors multiplies that. Zero, where it looks at a few values
/// only. None, where parsing it could take long, or where it could take more than that: two `..`, a filter that begins
/// at the root, and a comparison of two values, each with all that is within it.
fn weight(path: &str) -> Option<usize> {
    let (mut descents, mut filters, mut commas, mut steps, mut depth) = (0, 0, 0, 0, 0_usize);
    let (mut quote, mut looks_at_many) = (None, false);
    let mut chars = path.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match (quote, char) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), _) if char == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(char),
            (None, '.') => {
                steps += 1;
                if chars.next_if(|(_, next)| *next == '.').is_some() {
                    descents += 1;
                    if filters > 0 {
                        return None;
                    }
                }
            }
            (None, '$') if filters > 0 => return None,
            (None, '?') => filters += 1,
            (None, ',') => commas += 1,
            (None, '*' | ':') => looks_at_many = true,
            (None, '@') => steps += 1,
            (None, '=' | '<' | '>' | '!') if filters > 0 => {
                let is_two = chars.next_if(|(_, next)| *next == '=').is_some();
                if char == '!' && !is_two {
                    continue;
                }
                steps += 1;
                if !ends_with_literal(&path[..at])
                    && !begins_with_literal(&path[at + 1 + usize::from(is_two)..])
                {
                    return None;
                }
            }
            (None, '[' | '(') => {
                steps += 1;
                depth += 1;
                if depth > MAX_NESTED_BRACKETS {
                    return None;
                }
            }
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    if descents > 1 || filters > 2 || commas > 3 {
        return None;
    }
    let is_plain = descents + filters == 0 && !looks_at_many;
    Some(if is_plain { 0 } else { steps << commas })
}

/// What separates the parts of a filter.
const BETWEEN: &[char] =
    &['(', ')', '[', ']', ',', '&', '|', '!', '<', '=', '>', '?', '"', '\'', ' ', '\t', '\r', '\n'];

fn ends_with_literal(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with(['"', '\'']) || is_literal(text.rsplit(BETWEEN).next().unwrap_or_default())
}

fn begins_with_literal(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(['"', '\'']) || is_literal(text.split(BETWEEN).next().unwrap_or_default())
}

fn is_literal(word: &str) -> bool {
    serde_json::from_str::<Value>(word).is_ok()
}

fn check_json_value(comparison: Comparison, value: &Value) -> Result<(), Text> {
    if orders(comparison) && !value.is_number() {
        return Err(not_a_number());
    }
    if comparison == Comparison::Contains && (value.is_array() || value.is_object()) {
        return Err(contract::text(
            "must be a string, number, boolean or null for `contains`",
            "`contains`에는 문자열, 숫자, 참/거짓 또는 null이어야 합니다",
        ));
    }
    if value.to_string().len() > MAX_VALUE_BYTES {
        return Err(too_long());
    }
    Ok(())
}

fn orders(comparison: Comparison) -> bool {
    use Comparison::{GreaterOrEqual, GreaterThan, LessOrEqual, LessThan};
    matches!(comparison, LessThan | LessOrEqual | GreaterThan | GreaterOrEqual)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Why the first assertion that does not hold does not. A body that is cut lacks its end.
pub(super) fn judge(
    checks: &[Check],
    headers: &HeaderMap,
    body: &[u8],
    is_cut: bool,
    total_ms: u32,
) -> Result<(), String> {
    let mut content = None;
    let mut json = None;
    let mut work = Work::default();
    for (index, check) in checks.iter().enumerate() {
        let held = match check {
            Check::TotalTime { below_ms } if total_ms < *below_ms => Ok(()),
            Check::TotalTime { .. } => Err(format!("the check took {total_ms} ms")),
            Check::Header { name, comparison, value } => check_header(headers, name, *comparison, value),
            Check::Contains { .. } | Check::Matches(_) | Check::JsonPath { .. } => {
                match content.get_or_insert_with(|| content::decode(headers, body, is_cut)) {
                    Err(why) => Err(why.clone()),
                    Ok(content) => check_body(check, content, &mut json, &mut work),
                }
            }
        };
        held.map_err(|why| format!("Assertion {} failed ({check}): {why}", index + 1))?;
    }
    Ok(())
}

fn check_header(
    headers: &HeaderMap,
    name: &HeaderName,
    comparison: Comparison,
    value: &str,
) -> Result<(), String> {
    let seen = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect::<Vec<_>>();
    if seen.is_empty() {
        return Err("the response has no such header".to_owned());
    }
    // Several fields of one name mean the same as one field with commas (RFC 9110, 5.2).
    let seen = seen.join(", ");
    let holds = match comparison {
        Comparison::Equals => seen == value,
        Comparison::NotEquals => seen != value,
        Comparison::Contains => seen.contains(value),
        _ => match (number(&seen), number(value)) {
            (Some(seen), Some(value)) => in_order(comparison, seen, value),
            _ => false,
        },
    };
    if holds { Ok(()) } else { Err(format!("it is {}", Shown(&seen))) }
}

fn check_body(
    check: &Check,
    content: &Content,
    json: &mut Option<Result<Json, String>>,
    work: &mut Work,
) -> Result<(), String> {
    let Content { text, cut } = content;
    // Where the end is missing, only what was found is certain: it may be followed by the rest.
    let found = match check {
        Check::Contains { value, .. } => memmem::find(text, value.as_bytes()).is_some(),
        Check::Matches(pattern) => {
            let end = pattern.find_end(text, work);
            let end = end.ok_or("the patterns take too long on this body, use simpler ones, or fewer")?;
            end.is_some_and(|end| cut.is_none() || end < text.len())
        }
        Check::JsonPath { path, weight, comparison, value, .. } => {
            let json = json.get_or_insert_with(|| match cut {
                None => read_json(text),
                Some(cut) => Err(format!("{cut}: it is not whole JSON")),
            });
            let json = json.as_ref().map_err(Clone::clone)?;
            work.visit(weight.saturating_mul(json.visits))?;
            return check_selected(path, *comparison, value, &json.value, work);
        }
        Check::Header { .. } | Check::TotalTime { .. } => return Ok(()),
    };
    let is_wanted = !matches!(check, Check::Contains { wanted: false, .. });
    match cut {
        _ if found && !is_wanted => Err("the body contains it".to_owned()),
        _ if found => Ok(()),
        Some(cut) => Err(format!("it was not found, but {cut}")),
        None if !is_wanted => Ok(()),
        None if text.is_empty() => Err("the body is empty".to_owned()),
        None => Err(format!("the body begins with {}", Shown::start_of(text))),
    }
}

struct Json {
    value: Value,
    /// So many values it has at most, with those within; many times as many where it is deep, for each level copies
    /// what those within it select.
    visits: usize,
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

const COPIED_LEVELS: usize = 8;
/// Of a text that is searched.
const BYTES_PER_VISIT: usize = 16;

fn read_json(text: &[u8]) -> Result<Json, String> {
    // Short as they may be in the text: a value, an array and an object with something in it.
    let bytes = |byte| match byte {
        b',' => 64,
        b'[' => 160,
        _ => 640,
    };
    let (mut values, mut memory) = (1, text.len());
    for at in memchr::memchr3_iter(b',', b'[', b'{', text) {
        values += 1;
        memory += bytes(text[at]);
    }
    if memory > MAX_JSON_MEMORY {
        let mib = MAX_JSON_MEMORY / 1024 / 1024;
        return Err(format!("the body has too many JSON values: they would take more than {mib} MiB"));
    }
    let read = match std::str::from_utf8(text) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_str(&String::from_utf8_lossy(text)),
    };
    match read {
        Ok(value) => Ok(Json { visits: values * (1 + depth(&value) / COPIED_LEVELS), value }),
        Err(error) => Err(format!("the body is not JSON ({error}): {}", Shown::start_of(text))),
    }
}

/// Of several values that a path selects, each must hold: "all items are ok".
fn check_selected(
    path: &JsonPath,
    comparison: Comparison,
    value: &Value,
    json: &Value,
    work: &mut Work,
) -> Result<(), String> {
    let selected = path.query(json);
    if selected.is_empty() {
        return Err("the path selects nothing".to_owned());
    }
    for seen in selected.iter() {
        work.visit(match seen {
            Value::String(text) if comparison == Comparison::Contains => text.len() / BYTES_PER_VISIT,
            Value::Array(items) if comparison == Comparison::Contains => items.len(),
            _ => 1,
        })?;
        if !compare(comparison, seen, value) {
            return Err(format!("it is {}", Raw(&seen.to_string())));
        }
    }
    Ok(())
}

fn compare(comparison: Comparison, seen: &Value, value: &Value) -> bool {
    match comparison {
        Comparison::Equals => same(seen, value),
        Comparison::NotEquals => !same(seen, value),
        Comparison::Contains => match seen {
            Value::String(seen) => value.as_str().is_some_and(|value| seen.contains(value)),
            Value::Array(seen) => seen.iter().any(|seen| same(seen, value)),
            _ => false,
        },
        _ => match (seen.as_f64(), value.as_f64()) {
            (Some(seen), Some(value)) => in_order(comparison, seen, value),
            _ => false,
        },
    }
}

/// To people, 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    // Two integers are compared as such: a double cannot tell large ones apart.
    a == b || ((a.is_f64() || b.is_f64()) && a.is_number() && a.as_f64() == b.as_f64())
}

fn in_order(comparison: Comparison, seen: f64, value: f64) -> bool {
    match comparison {
        Comparison::LessThan => seen < value,
        Comparison::LessOrEqual => seen <= value,
        Comparison::GreaterThan => seen > value,
        Comparison::GreaterOrEqual => seen >= value,
        Comparison::Equals | Comparison::NotEquals | Comparison::Contains => false,
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contains { value, wanted: true } => write!(f, "body contains {}", Shown(value)),
            Self::Contains { value, wanted: false } => {
                write!(f, "body does not contain {}", Shown(value))
            }
            Self::Matches(pattern) => write!(f, "body matches {}", Raw(pattern.as_str())),
            Self::JsonPath { text, comparison, value, .. } => {
                write!(f, "{} {} {}", Raw(text), words(*comparison), Raw(&value.to_string()))
            }
            Self::Header { name, comparison, value } => {
                write!(f, "header {name} {} {}", words(*comparison), Shown(value))
            }
            Self::TotalTime { below_ms } => write!(f, "total time is below {below_ms} ms"),
        }
    }
}

fn words(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equals => "equals",
        Comparison::NotEquals => "does not equal",
        Comparison::Contains => "contains",
        Comparison::LessThan => "is less than",
        Comparison::LessOrEqual => "is at most",
        Comparison::GreaterThan => "is greater than",
        Comparison::GreaterOrEqual => "is at least",
    }
}

/// The first 200 characters, on one line, without what a terminal or a mail would act on.
pub(super) fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String =
        chars.by_ref().take(MAX_SHOWN_CHARS).map(|char| if char.is_control() { ' ' } else { char }).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

struct Raw<'a>(&'a str);

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cut(self.0))
    }
}

/// The same in quotes.
struct Shown<'a>(&'a str);

impl Shown<'_> {
    fn start_of(body: &[u8]) -> String {
        // Characters have at most four bytes, and one more shows that there is more.
        let start = &body[..body.len().min(4 * MAX_SHOWN_CHARS + 4)];
        Shown(String::from_utf8_lossy(start).trim_start()).to_string()
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", cut(self.0))
    }
}
