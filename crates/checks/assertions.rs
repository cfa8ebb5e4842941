//! Assertions on the facts that a check found.
//!
//! Patterns and paths come from users and run over responses of unknown servers, so each one has limits: for its
//! length, for its compiled size, and for how often it can multiply the nodes that it visits.

use std::{borrow::Cow, fmt, sync::Arc};

use contract::{Assertion, Comparison, Severity, Text, words};
use http::{HeaderMap, HeaderName};
use memchr::memmem;
use regex_automata::hybrid::dfa::Cache;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::{
    Kind,
    content::{self, Content},
    cut,
    facts::{Fact, Shape},
    pattern::{Pattern, Work},
};

/// Memory limit for a body as JSON [bytes].
const MAX_JSON_MEMORY: usize = 96 * 1024 * 1024;
const MAX_PATTERN_CHARS: usize = 1_024;
const MAX_VALUE_BYTES: usize = 8 * 1024;
/// Maximum length of a long value in a message.
const MAX_SHOWN_CHARS: usize = 200;

/// An assertion, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    subject: Subject,
    comparison: Comparison,
    wanted: Wanted,
    severity: Severity,
}

/// What an assertion looks at.
#[derive(Clone, Debug)]
enum Subject {
    /// A number or a text.
    Value(&'static Fact),
    Header(HeaderName),
    Body,
    Json {
        text: String,
        path: JsonPath,
        /// How often each JSON value is visited, at most; zero if the path visits only a few values.
        weight: usize,
    },
}

/// What the subject is compared with.
#[derive(Clone, Debug)]
enum Wanted {
    Nothing,
    Value(Value),
    Pattern(Arc<Pattern>),
}

impl Compiled {
    /// The error names the field within the assertion.
    pub(crate) fn read(kind: &Kind, assertion: &Assertion) -> Result<Self, (&'static str, Text)> {
        let Assertion { fact, path, name, comparison, value, severity } = assertion;
        let fact = kind.fact(fact).map_err(|refusal| ("fact", refusal))?;
        let is_known = fact.shape.comparisons().contains(comparison);
        if !is_known {
            let known: Vec<_> = fact.shape.comparisons().iter().map(|known| known.as_str()).collect();
            let known = known.join(", ");
            let refusal = words::must_be_one_of_for_fact(fact.name, known);
            return Err(("comparison", refusal.into()));
        }
        for (field, given, shape) in [("path", path, Shape::Json), ("name", name, Shape::Header)] {
            if given.is_some() && fact.shape != shape {
                let refusal = words::does_not_belong_to_fact(fact.name);
                return Err((field, refusal.into()));
            }
        }
        let missing = || words::MISSING_FIELD;
        let subject = match fact.shape {
            Shape::Number | Shape::Text => Subject::Value(fact),
            Shape::Body => Subject::Body,
            Shape::Header => {
                let name = name.as_ref().ok_or_else(|| ("name", missing()))?;
                let name = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| ("name", words::IS_NOT_VALID_HEADER_NAME))?;
                Subject::Header(name)
            }
            Shape::Json => {
                let path = path.as_ref().ok_or_else(|| ("path", missing()))?;
                let (parsed, weight) = read_path(path).map_err(|refusal| ("path", refusal))?;
                Subject::Json { text: path.clone(), path: parsed, weight }
            }
        };
        let wanted = read_wanted(fact.shape, *comparison, value).map_err(|refusal| ("value", refusal))?;
        Ok(Self { subject, comparison: *comparison, wanted, severity: *severity })
    }

    /// Memory of the compiled pattern, as a measure of the cost of compiling it [bytes].
    pub(crate) fn size(&self) -> usize {
        if let Wanted::Pattern(pattern) = &self.wanted { pattern.size() } else { 0 }
    }

    /// Whether evaluation may take long, even for a short body.
    pub(crate) fn is_costly(&self) -> bool {
        match (&self.subject, &self.wanted) {
            (_, Wanted::Pattern(_)) => true,
            (Subject::Json { weight, .. }, _) => *weight > 0,
            _ => false,
        }
    }

    /// The name of the number or text that is compared.
    pub(crate) fn fact(&self) -> Option<&'static str> {
        if let Subject::Value(fact) = self.subject { Some(fact.name) } else { None }
    }

    pub(crate) fn needs_body(&self) -> bool {
        matches!(self.subject, Subject::Body | Subject::Json { .. })
    }
}

fn read_wanted(shape: Shape, comparison: Comparison, value: &Option<Value>) -> Result<Wanted, Text> {
    use Comparison::{Contains, Exists, Matches, NotContains, NotExists, NotMatches};
    let value = match (value, matches!(comparison, Exists | NotExists)) {
        (None, true) => return Ok(Wanted::Nothing),
        (None, false) => return Err(words::MISSING_FIELD),
        (Some(_), true) => {
            return Err(words::MUST_BE_ABSENT);
        }
        (Some(value), false) => value,
    };
    if matches!(comparison, Matches | NotMatches) {
        let Some(regex) = value.as_str() else {
            return Err(words::MUST_BE_REGULAR_EXPRESSION);
        };
        return read_regex(regex).map(Wanted::Pattern);
    }
    let bytes = value.as_str().map_or_else(|| value.to_string().len(), str::len);
    if bytes > MAX_VALUE_BYTES {
        return Err(words::must_be_at_most_kib(8).into());
    }
    if orders(comparison) || shape == Shape::Number {
        return match number_of(value) {
            Some(number) => Ok(Wanted::Value(number)),
            None => Err(words::MUST_BE_NUMBER),
        };
    }
    let is_plain = !(value.is_array() || value.is_object());
    if matches!(comparison, Contains | NotContains) && !is_plain {
        return Err(words::MUST_BE_SCALAR);
    }
    if *value == "" && matches!(comparison, Contains | NotContains) {
        return Err(words::MUST_NOT_BE_EMPTY);
    }
    if shape == Shape::Json {
        return Ok(Wanted::Value(value.clone()));
    }
    match as_text(value) {
        Some(text) => Ok(Wanted::Value(text.into_owned().into())),
        None => Err(words::MUST_BE_STRING_OR_NUMBER),
    }
}

/// A number, including one that is written as text.
fn number_of(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => {
            let text = text.trim();
            let number = text.parse::<i64>().map(Value::from);
            number.ok().or_else(|| number_in(text).map(Value::from))
        }
        _ => None,
    }
}

fn number_in(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// A text, or a number or boolean as text.
fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
        _ => None,
    }
}

fn check_pattern_length(text: &str) -> Result<(), Text> {
    if text.is_empty() {
        return Err(words::MUST_NOT_BE_EMPTY);
    }
    if text.chars().nth(MAX_PATTERN_CHARS).is_some() {
        return Err(words::must_be_at_most_characters(1024).into());
    }
    Ok(())
}

fn read_regex(text: &str) -> Result<Arc<Pattern>, Text> {
    check_pattern_length(text)?;
    Pattern::cached(text)
}

fn read_path(text: &str) -> Result<(JsonPath, usize), Text> {
    check_pattern_length(text)?;
    // Before parsing: each filter within a filter doubles the parser's time, and nested parentheses use up its stack.
    let weight = weight(text).ok_or(words::JSON_PATH_IS_TOO_COMPLEX)?;
    let path = JsonPath::parse(text).map_err(words::is_not_jsonpath)?;
    Ok((path, weight))
}

const MAX_NESTED_BRACKETS: usize = 16;

/// How often a path visits each value of a document, at most. A document is a tree, so every step and every
/// comparison may visit each value once; a list of selectors multiplies that. Zero: the path visits only a few
/// values. `None`: parsing could take long, or the path could exceed this bound, with two `..`, with a filter that
/// begins at the root, or with a comparison of two values including everything inside them.
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

/// Characters that separate the parts of a filter.
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

fn orders(comparison: Comparison) -> bool {
    use Comparison::{GreaterOrEqual, GreaterThan, LessOrEqual, LessThan};
    matches!(comparison, LessThan | LessOrEqual | GreaterThan | GreaterOrEqual)
}

/// The facts that a check found.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Numbers and texts, by name.
    pub(crate) values: Vec<(&'static str, Value)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the end of the body is missing.
    pub(crate) is_cut: bool,
}

/// An assertion that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) severity: Severity,
    pub(crate) message: String,
}

/// Fails with the first violated assertion of severity `down`, else with the first of severity `degraded`.
pub(crate) fn judge(checks: &[Compiled], facts: &Facts) -> Result<(), Violation> {
    let mut degraded = None;
    let mut content = None;
    let mut json = None;
    let mut work = Work::default();
    for (index, check) in checks.iter().enumerate() {
        // Only the first violated assertion of severity `degraded` is reported.
        if check.severity == Severity::Degraded && degraded.is_some() {
            continue;
        }
        let held = match &check.subject {
            Subject::Value(fact) => {
                let found = facts.values.iter().find(|(name, _)| *name == fact.name);
                check_value(check, found.map(|(_, value)| value), &mut work)
            }
            Subject::Header(name) => check_value(check, header(&facts.headers, name).as_ref(), &mut work),
            Subject::Body | Subject::Json { .. } => {
                let decode = || content::decode(&facts.headers, &facts.body, facts.is_cut);
                match content.get_or_insert_with(decode) {
                    Err(why) => Err(why.clone()),
                    Ok(content) => check_body(check, content, &mut json, &mut work),
                }
            }
        };
        let Err(why) = held else { continue };
        let message = format!("Assertion {} failed ({check}): {why}", index + 1);
        let violation = Violation { severity: check.severity, message };
        match check.severity {
            Severity::Down => return Err(violation),
            Severity::Degraded => degraded = Some(violation),
        }
    }
    degraded.map_or(Ok(()), Err)
}

/// Several fields of one name are equivalent to one field with commas (RFC 9110, 5.2).
fn header(headers: &HeaderMap, name: &HeaderName) -> Option<Value> {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(", ").into())
}

fn check_value(check: &Compiled, found: Option<&Value>, work: &mut Work) -> Result<(), String> {
    let found = match (check.comparison, found) {
        (Comparison::Exists, Some(_)) | (Comparison::NotExists, None) => return Ok(()),
        (_, None) => return Err("there is none".to_owned()),
        (_, Some(found)) => found,
    };
    if holds(check, found, &mut None, work)? {
        return Ok(());
    }
    Err(match found {
        Value::String(text) => format!("it is {}", Shown(text)),
        other => format!("it is {}", Raw(&other.to_string())),
    })
}

const SLOW_PATTERNS: &str = "the patterns take too long on this body, use simpler ones, or fewer";

/// Whether a comparison holds for a value that exists; `cache` belongs to its pattern.
fn holds(
    check: &Compiled,
    found: &Value,
    cache: &mut Option<Cache>,
    work: &mut Work,
) -> Result<bool, String> {
    use Comparison::{Contains, Equals, Exists, Matches, NotContains, NotEquals, NotExists, NotMatches};
    let wanted = match &check.wanted {
        Wanted::Nothing => return Ok(check.comparison == Exists),
        Wanted::Pattern(pattern) => {
            let Some(text) = as_text(found) else { return Ok(check.comparison == NotMatches) };
            let end = pattern.find_end_with(cache, text.as_bytes(), work).ok_or(SLOW_PATTERNS)?;
            return Ok(end.is_some() == (check.comparison == Matches));
        }
        Wanted::Value(wanted) => wanted,
    };
    Ok(match check.comparison {
        Equals => same(found, wanted),
        NotEquals => !same(found, wanted),
        Contains => contains(found, wanted),
        NotContains => !contains(found, wanted),
        // These compare with no value, or with a pattern.
        Exists | NotExists | Matches | NotMatches => false,
        _ => match (number_of(found).and_then(|found| found.as_f64()), wanted.as_f64()) {
            (Some(found), Some(wanted)) => in_order(check.comparison, found, wanted),
            _ => false,
        },
    })
}

fn check_body(
    check: &Compiled,
    content: &Content,
    json: &mut Option<Result<Json, String>>,
    work: &mut Work,
) -> Result<(), String> {
    let Content { text, cut } = content;
    if let Subject::Json { path, weight, .. } = &check.subject {
        let json = json.get_or_insert_with(|| match cut {
            None => read_json(text),
            Some(cut) => Err(format!("{cut}: it is not whole JSON")),
        });
        let json = json.as_ref().map_err(Clone::clone)?;
        work.visit(weight.saturating_mul(json.visits))?;
        return check_selected(check, path, &json.value, work);
    }
    let wanted = match &check.wanted {
        Wanted::Value(Value::String(wanted)) => wanted.as_bytes(),
        _ => b"",
    };
    // If the end of the text is missing, only a match before the cut is certain.
    let found = match (&check.wanted, check.comparison) {
        (Wanted::Pattern(pattern), _) => {
            let end = pattern.find_end(text, work).ok_or(SLOW_PATTERNS)?;
            end.is_some_and(|end| cut.is_none() || end < text.len())
        }
        (_, Comparison::Equals | Comparison::NotEquals) => match cut {
            // The text is already longer, or begins differently.
            Some(_) if wanted.len() <= text.len() || !wanted.starts_with(text) => false,
            Some(cut) => return Err(format!("it begins so, but {cut}")),
            None => **text == *wanted,
        },
        _ => memmem::find(text, wanted).is_some(),
    };
    let is_equality = matches!(check.comparison, Comparison::Equals | Comparison::NotEquals);
    let is_wanted =
        !matches!(check.comparison, Comparison::NotEquals | Comparison::NotContains | Comparison::NotMatches);
    match cut {
        _ if found && !is_wanted => Err(match check.comparison {
            Comparison::NotContains => "the body contains it",
            Comparison::NotMatches => "the body matches it",
            _ => "the body is that",
        }
        .to_owned()),
        _ if found || is_equality && !is_wanted => Ok(()),
        Some(cut) if !is_equality => Err(format!("it was not found, but {cut}")),
        _ if !is_wanted => Ok(()),
        _ if text.is_empty() => Err("the body is empty".to_owned()),
        _ => Err(format!("the body begins with {}", Shown::start_of(text))),
    }
}

struct Json {
    value: Value,
    /// The number of values, including nested ones, at most. For a deep document a multiple of it, because each level
    /// copies what its inner levels select.
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
/// Bytes of a searched text that count as one visit.
const BYTES_PER_VISIT: usize = 16;

fn read_json(text: &[u8]) -> Result<Json, String> {
    // Memory of a value, an array, and an object that is not empty, however short their text is.
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

/// If a path selects several values, the comparison must hold for each of them: "all items are ok".
fn check_selected(check: &Compiled, path: &JsonPath, json: &Value, work: &mut Work) -> Result<(), String> {
    let selected = path.query(json);
    match (check.comparison, selected.is_empty()) {
        (Comparison::NotExists, true) | (Comparison::Exists, false) => return Ok(()),
        (_, true) => return Err("the path selects nothing".to_owned()),
        (_, false) => {}
    }
    let looks_within = matches!(check.comparison, Comparison::Contains | Comparison::NotContains)
        || matches!(check.wanted, Wanted::Pattern(_));
    let mut cache = None;
    for found in selected.iter() {
        work.visit(match found {
            Value::String(text) if looks_within => 1 + text.len() / BYTES_PER_VISIT,
            Value::Array(items) if looks_within => items.len(),
            _ => 1,
        })?;
        if !holds(check, found, &mut cache, work)? {
            return Err(format!("it is {}", Raw(&found.to_string())));
        }
    }
    Ok(())
}

fn contains(found: &Value, wanted: &Value) -> bool {
    match found {
        Value::String(found) => as_text(wanted).is_some_and(|wanted| found.contains(&*wanted)),
        Value::Array(items) => items.iter().any(|item| same(item, wanted)),
        _ => false,
    }
}

/// For people, 1 and 1.0 are the same number; a text is compared as text, a number as number.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        // Two integers are compared as integers: a double cannot distinguish large ones.
        (Value::Number(a), Value::Number(b)) => {
            a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64())
        }
        (Value::String(_), Value::Number(_)) => number_of(found).is_some_and(|number| same(&number, wanted)),
        (Value::Number(_) | Value::Bool(_), Value::String(wanted)) => {
            as_text(found).is_some_and(|found| found == wanted.as_str())
        }
        _ => found == wanted,
    }
}

fn in_order(comparison: Comparison, found: f64, wanted: f64) -> bool {
    match comparison {
        Comparison::LessThan => found < wanted,
        Comparison::LessOrEqual => found <= wanted,
        Comparison::GreaterThan => found > wanted,
        Comparison::GreaterOrEqual => found >= wanted,
        _ => false,
    }
}

impl fmt::Display for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Value(fact) => f.write_str(fact.name),
            Subject::Header(name) => write!(f, "header {name}"),
            Subject::Body => f.write_str("body"),
            Subject::Json { text, .. } => write!(f, "{}", Raw(text)),
        }?;
        write!(f, " {}", words(self.comparison))?;
        match &self.wanted {
            Wanted::Nothing => Ok(()),
            Wanted::Pattern(pattern) => write!(f, " {}", Raw(pattern.as_str())),
            Wanted::Value(Value::String(text)) => write!(f, " {}", Shown(text)),
            Wanted::Value(value) => write!(f, " {}", Raw(&value.to_string())),
        }
    }
}

fn words(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equals => "equals",
        Comparison::NotEquals => "does not equal",
        Comparison::Contains => "contains",
        Comparison::NotContains => "does not contain",
        Comparison::Matches => "matches",
        Comparison::NotMatches => "does not match",
        Comparison::LessThan => "is less than",
        Comparison::LessOrEqual => "is at most",
        Comparison::GreaterThan => "is greater than",
        Comparison::GreaterOrEqual => "is at least",
        Comparison::Exists => "exists",
        Comparison::NotExists => "does not exist",
    }
}

struct Raw<'a>(&'a str);

impl fmt::Display for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cut(self.0))
    }
}

/// A shortened text in quotes.
struct Shown<'a>(&'a str);

impl Shown<'_> {
    fn start_of(body: &[u8]) -> String {
        // Characters have at most four bytes. One more character shows that the text is longer.
        let start = &body[..body.len().min(4 * MAX_SHOWN_CHARS + 4)];
        Shown(String::from_utf8_lossy(start).trim_start()).to_string()
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", cut(self.0))
    }
}
