//! The form that creates or changes an endpoint, with every option, and tests it before saving.

use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::Query, response::Response};
use contract::Language;
use http::{Method, StatusCode};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::{
    api::Refusal,
    config::{self, ConfigForm},
    form::{Id, Wrong},
    home::Checked,
    page::{Page, Section},
    visitor::{Posted, User, Visitor},
};
use crate::endpoints::{Endpoint, Settings};
use crate::words;
use checks::{
    CHECKS, Kind,
    facts::{Fact, Shape},
};
use contract::{Assertion, Comparison, Severity};

/// The limit of the API; more rows are of no use.
const MAX_ASSERTIONS: usize = 20;

/// The form as sent: all values as text, so that no input is lost.
#[derive(Clone, Default)]
pub struct Sent {
    common: Common,
    config: ConfigForm,
}

/// The fields of every kind.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Common {
    action: String,
    once: String,
    kind: String,
    name: String,
    url: String,
    interval_seconds: String,
    timeout_ms: String,
    assertion_fact: Vec<String>,
    assertion_what: Vec<String>,
    assertion_comparison: Vec<String>,
    assertion_value: Vec<String>,
    assertion_severity: Vec<String>,
    retries: String,
    failure_threshold: String,
    success_threshold: String,
    enabled: bool,
    tags: String,
}

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        config::split(deserializer).map(|(common, config)| Self { common, config })
    }
}

/// One assertion of the form.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    fact: String,
    /// The JSONPath, or the header's name.
    what: String,
    comparison: String,
    value: String,
    severity: String,
}

impl Row {
    fn is_empty(&self) -> bool {
        self.fact.is_empty() && self.what.trim().is_empty() && self.value.trim().is_empty()
    }

    fn of(assertion: &Assertion) -> Self {
        let Assertion { fact, path, name, comparison, value, severity } = assertion;
        let is_pattern = matches!(comparison, Comparison::Matches | Comparison::NotMatches);
        Self {
            severity: if *severity == Severity::Degraded { "degraded" } else { "down" }.to_owned(),
            fact: fact.clone(),
            what: path.as_ref().or(name.as_ref()).cloned().unwrap_or_default(),
            comparison: comparison.as_str().to_owned(),
            value: match value {
                None => String::new(),
                Some(Value::String(text)) if fact != "json" || is_pattern => text.clone(),
                Some(other) => written(other),
            },
        }
    }

    /// The JSON for the API.
    fn json(&self, kind: &Kind) -> Value {
        let Self { fact, what, comparison, value, severity } = self;
        let mut assertion = json!({"fact": fact, "comparison": comparison});
        if severity == "degraded" {
            assertion["severity"] = "degraded".into();
        }
        match fact.as_str() {
            "json" => assertion["path"] = what.trim().into(),
            "header" => assertion["name"] = what.trim().into(),
            _ => {}
        }
        let has_none = value.is_empty() && matches!(comparison.as_str(), "exists" | "not_exists");
        if !has_none {
            let is_pattern = matches!(comparison.as_str(), "matches" | "not_matches");
            let is_number = kind.facts().any(|known| known.name == fact && known.shape == Shape::Number);
            let is_json = !is_pattern && (fact == "json" || is_number);
            assertion["value"] = if is_json { read(value) } else { value.as_str().into() };
        }
        assertion
    }
}

/// Reads a JSON value: text needs quotes only if it would otherwise be read as another JSON value.
fn read(text: &str) -> Value {
    serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) if serde_json::from_str::<Value>(text.trim()).is_err() => text.clone(),
        other => other.to_string(),
    }
}

/// The form as shown.
#[derive(Clone)]
struct Fields {
    kind: &'static Kind,
    sent: Common,
    config: ConfigForm,
    assertions: Vec<Row>,
    /// Number of rows in the form, including empty ones.
    rows: usize,
    /// Errors, by the API's field names.
    errors: BTreeMap<String, String>,
    /// The form was for another kind: the user has not seen this kind's settings.
    is_new_kind: bool,
}

/// The kind by the URL's scheme; without a scheme, by name.
fn kind_of(name: &str, url: &str) -> &'static Kind {
    let named = Kind::find(name).unwrap_or(&CHECKS[0]);
    Some(url).filter(|url| url.contains("://")).and_then(Kind::of_url).unwrap_or(named)
}

impl Fields {
    fn of(s: &Settings) -> Self {
        let kind = Kind::find(&s.kind).unwrap_or_else(|| kind_of("", &s.url));
        let sent = Common {
            kind: kind.name.to_owned(),
            name: s.name.clone(),
            url: s.url.clone(),
            interval_seconds: s.interval_seconds.to_string(),
            timeout_ms: s.timeout_ms.to_string(),
            retries: own_retries(kind, s),
            failure_threshold: s.failure_threshold.to_string(),
            success_threshold: s.success_threshold.to_string(),
            enabled: s.enabled,
            tags: s.tags.0.join(", "),
            ..Common::default()
        };
        Self {
            kind,
            sent,
            config: ConfigForm::of(kind.fields, &fields::with_defaults(kind.fields, &s.config.0)),
            assertions: s.assertions.0.iter().map(Row::of).collect(),
            rows: 0,
            errors: BTreeMap::new(),
            is_new_kind: false,
        }
    }

    /// Leaves out empty rows: the first remaining row is the API's `assertions[0]`.
    fn read(Sent { common: mut sent, config }: Sent) -> Self {
        let rows = sent.assertion_fact.len();
        let take = |values: &mut Vec<String>| std::mem::take(values).into_iter();
        let mut whats = take(&mut sent.assertion_what);
        let mut comparisons = take(&mut sent.assertion_comparison);
        let mut values = take(&mut sent.assertion_value);
        let mut severities = take(&mut sent.assertion_severity);
        let all = take(&mut sent.assertion_fact).map(|fact| Row {
            fact,
            what: whats.next().unwrap_or_default(),
            comparison: comparisons.next().unwrap_or_default(),
            value: values.next().unwrap_or_default(),
            severity: severities.next().unwrap_or_default(),
        });
        let assertions = all.filter(|row| !row.is_empty()).take(MAX_ASSERTIONS + 1).collect();
        sent.url = sent.url.trim().to_owned();
        let kind = kind_of(&sent.kind, &sent.url);
        let is_new_kind = Kind::find(&sent.kind).is_some_and(|shown| shown.name != kind.name);
        let mut fields = Self { kind, sent, config, assertions, rows, errors: BTreeMap::new(), is_new_kind };
        if is_new_kind {
            fields.turn_to(kind);
        }
        fields
    }

    /// Switches to a kind, with its defaults.
    fn turn_to(&mut self, kind: &'static Kind) {
        self.kind = kind;
        self.config = ConfigForm::of(kind.fields, &fields::with_defaults(kind.fields, &json!({})));
    }

    /// The JSON for the API. Records errors for text that has no JSON form.
    fn json(&mut self, language: Language) -> Value {
        let sent = &self.sent;
        let mut errors = BTreeMap::new();
        let mut settings = Map::new();
        for (field, text) in [
            ("interval_seconds", &sent.interval_seconds),
            ("timeout_ms", &sent.timeout_ms),
            ("failure_threshold", &sent.failure_threshold),
            ("success_threshold", &sent.success_threshold),
        ] {
            match text.trim().parse::<i32>() {
                Ok(number) => drop(settings.insert(field.to_owned(), number.into())),
                Err(_) => drop(errors.insert(field.to_owned(), whole_number(language))),
            }
        }
        match sent.retries.trim() {
            "" => drop(settings.insert("retries".to_owned(), Value::Null)),
            text => match text.parse::<i32>() {
                Ok(number) => drop(settings.insert("retries".to_owned(), number.into())),
                Err(_) => drop(errors.insert("retries".to_owned(), whole_number(language))),
            },
        }
        let (config, refusals) = self.config.json(self.kind.fields);
        errors.extend(refusals.into_iter().map(|(field, what)| (field, what.of(language).to_owned())));
        let mut assertions = Vec::new();
        for (index, row) in self.assertions.iter().enumerate() {
            if row.fact.is_empty() {
                let what = words::CHOOSE_A_FACT.of(language);
                errors.insert(format!("assertions[{index}].fact"), what.to_owned());
            }
            assertions.push(row.json(self.kind));
        }
        let tags: Vec<&str> =
            sent.tags.split([',', ' ', '\n', '\t']).map(str::trim).filter(|tag| !tag.is_empty()).collect();
        for (field, value) in [
            ("name", Value::from(sent.name.trim())),
            ("url", sent.url.as_str().into()),
            ("kind", self.kind.name.into()),
            ("config", config),
            ("assertions", assertions.into()),
            ("enabled", sent.enabled.into()),
            ("tags", tags.into()),
        ] {
            settings.insert(field.to_owned(), value);
        }
        self.errors = errors;
        settings.into()
    }

    /// `add_assertion`, `remove_assertion 2`: adds or removes a row; `kind tcp`: changes the kind.
    fn is_changed_by(&mut self, action: &str) -> bool {
        let (what, argument) = action.split_once(' ').unwrap_or((action, ""));
        let index = argument.parse::<usize>().unwrap_or(usize::MAX);
        match what {
            "kind" => {
                let Some(kind) = Kind::find(argument) else { return true };
                if kind_of(kind.name, &self.sent.url).name != kind.name {
                    self.sent.url.clear();
                }
                self.turn_to(kind);
            }
            "add_assertion" => {
                let rows = (self.rows + 1).clamp(self.assertions.len(), MAX_ASSERTIONS + 1);
                self.assertions.resize(rows, Row::default());
            }
            "remove_assertion" if index < self.assertions.len() => drop(self.assertions.remove(index)),
            "remove_assertion" => {}
            _ => return false,
        }
        true
    }
}

/// Empty if it is the default, so that it follows the config if the default depends on it.
fn own_retries(kind: &Kind, settings: &Settings) -> String {
    let usual = i32::from(kind.default_retries(&settings.config.0));
    settings
        .retries
        .filter(|retries| *retries != usual)
        .map(|retries| retries.to_string())
        .unwrap_or_default()
}

/// The most common comparison of a fact.
fn usual(fact: &Fact) -> &'static str {
    let usual = match fact.shape {
        Shape::Number if fact.name.ends_with("_left") => Comparison::GreaterOrEqual,
        Shape::Number if fact.name.ends_with("_ms") => Comparison::LessThan,
        Shape::Body => Comparison::Contains,
        Shape::Number | Shape::Text | Shape::Json | Shape::Header => Comparison::Equals,
    };
    usual.as_str()
}

fn whole_number(language: Language) -> String {
    words::MUST_BE_WHOLE_NUMBER.of(language).to_owned()
}

#[derive(Template)]
#[template(path = "endpoint_form.html")]
struct Form {
    page: Page,
    /// The endpoint to change; `None` for a new one.
    id: Option<i64>,
    fields: Fields,
    /// Errors without a field.
    message: String,
    checked: Option<Checked>,
}

impl Form {
    fn new(visitor: &Visitor, id: Option<i64>, fields: Fields) -> Self {
        let title = match id {
            None => visitor.t(&words::ADD_ENDPOINT),
            Some(_) => visitor.t(&words::EDIT_ENDPOINT),
        };
        let page = visitor.page(Section::Dashboard, title);
        Self { page, id, fields, message: String::new(), checked: None }
    }

    fn checked_now(&self, checked: &Checked) -> String {
        format!("{}: {}", self.page.t(&words::CHECKED_JUST_NOW), checked.url)
    }

    fn path(&self) -> String {
        self.id.map_or("/endpoints/new".to_owned(), |id| format!("/endpoints/{id}/edit"))
    }

    fn back(&self) -> String {
        self.id.map_or("/dashboard".to_owned(), |id| format!("/endpoints/{id}"))
    }

    fn error(&self, field: &str) -> &str {
        self.fields.errors.get(field).map_or("", String::as_str)
    }

    fn invalid(&self, field: &str) -> bool {
        !self.error(field).is_empty()
    }

    /// A collapsed section opens if it contains an error.
    fn is_wrong(&self, field: &str) -> bool {
        self.fields.errors.keys().any(|error| error.starts_with(field))
    }

    fn is_of(&self, kind: &Kind) -> bool {
        self.fields.kind.name == kind.name
    }

    fn is_config_open(&self) -> bool {
        self.is_wrong("config") || !self.fields.config.is_usual(self.fields.kind.fields)
    }

    /// The errors of the config's fields.
    fn config_wrong(&self) -> Wrong {
        let own: Vec<_> =
            self.fields.kind.fields.iter().map(|field| format!("config.{}", field.name)).collect();
        let errors = self.fields.errors.clone().into_iter().filter(|(name, _)| name.starts_with("config"));
        Wrong::within(errors.collect(), &own)
    }

    /// The labels of the config's fields, on one line.
    fn config_labels(&self) -> String {
        let labels = self.fields.kind.fields.iter().map(|field| self.page.pair(&field.label));
        labels.collect::<Vec<_>>().join(" · ")
    }

    fn assertions(&self) -> Vec<Row> {
        let mut rows = self.fields.assertions.clone();
        if rows.last().is_none_or(|row| !row.is_empty()) {
            rows.push(Row::default());
        }
        rows
    }

    /// All errors of a row, as one text.
    fn assertion_error(&self, index: &usize) -> String {
        let of_row = format!("assertions[{index}]");
        let own = self.fields.errors.iter().filter_map(|(field, what)| {
            let part = field.strip_prefix(&of_row)?;
            let name = match part.trim_start_matches('.') {
                "path" => "JSONPath",
                "name" => self.page.t(&words::PART_HEADER),
                "value" => self.page.t(&words::PART_VALUE),
                "comparison" => self.page.t(&words::PART_COMPARISON),
                _ => "",
            };
            Some(if name.is_empty() { what.clone() } else { format!("{name}: {what}") })
        });
        own.collect::<Vec<_>>().join("; ")
    }

    /// Tags are one field in the form, and a list in the API.
    fn tag_error(&self) -> String {
        let sent: Vec<&str> =
            self.fields.sent.tags.split([',', ' ', '\n', '\t']).filter(|tag| !tag.is_empty()).collect();
        let own = self.fields.errors.iter().filter_map(|(field, what)| {
            let index = field.strip_prefix("tags")?.trim_matches(['[', ']']).parse::<usize>();
            let tag = index.ok().and_then(|index| sent.get(index));
            Some(tag.map_or(what.clone(), |tag| format!("{tag}: {what}")))
        });
        own.collect::<Vec<_>>().join("; ")
    }

    /// The errors that have no field on the page.
    fn other_errors(&self) -> Vec<String> {
        const PLACED: [&str; 7] = [
            "name",
            "url",
            "interval_seconds",
            "timeout_ms",
            "retries",
            "failure_threshold",
            "success_threshold",
        ];
        let placed = |field: &str| {
            let rows = self.fields.assertions.len();
            let row = (0..rows).any(|index| field.starts_with(&format!("assertions[{index}]")));
            let is_config = self.fields.kind.fields.iter().any(|known| {
                let rest = field.strip_prefix("config.").and_then(|field| field.strip_prefix(known.name));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            });
            PLACED.contains(&field) || field == "assertions" || field.starts_with("tags") || row || is_config
        };
        let others = self.fields.errors.iter().filter(|(field, _)| !placed(field));
        others.map(|(field, what)| format!("{field}: {what}")).collect()
    }

    /// Preselects `contains` in a new row: if it does not fit the fact, the API refuses it, which is
    /// better than a check that always fails.
    fn is_chosen(row: &Row, comparison: &Comparison) -> bool {
        row.comparison == comparison.as_str()
            || row.comparison.is_empty() && *comparison == Comparison::Contains
    }

    fn comparison_name(&self, comparison: &Comparison) -> &str {
        match comparison {
            Comparison::Equals => self.page.t(&words::COMPARISON_EQUALS),
            Comparison::NotEquals => self.page.t(&words::COMPARISON_IS_NOT),
            Comparison::Contains => self.page.t(&words::COMPARISON_CONTAINS),
            Comparison::NotContains => self.page.t(&words::COMPARISON_DOES_NOT_CONTAIN),
            Comparison::Matches => self.page.t(&words::COMPARISON_MATCHES),
            Comparison::NotMatches => self.page.t(&words::COMPARISON_DOES_NOT_MATCH),
            Comparison::LessThan => "<",
            Comparison::LessOrEqual => "≤",
            Comparison::GreaterThan => ">",
            Comparison::GreaterOrEqual => "≥",
            Comparison::Exists => self.page.t(&words::COMPARISON_EXISTS),
            Comparison::NotExists => self.page.t(&words::COMPARISON_DOES_NOT_EXIST),
        }
    }

    /// Shows the form again, with all input and the errors beside their fields.
    fn again(mut self, visitor: &Visitor, refusal: Refusal) -> Response {
        match refusal.status {
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT => {}
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => return visitor.refused(&refusal),
            // Too many requests, or the API does not answer: keep the input.
            status => {
                let sorry = super::page::ErrorPage::of(self.page.clone(), &refusal);
                self.message = sorry.message().to_owned();
                return visitor.show(status, &self);
            }
        }
        if refusal.fields.is_empty() {
            self.message = refusal.message;
        }
        self.fields.errors = refusal.fields;
        visitor.show(refusal.status, &self)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct New {
    url: String,
    kind: String,
}

pub async fn create_form(User(visitor): User, Query(new): Query<New>) -> Response {
    match Settings::of_url("") {
        Ok(defaults) => {
            let kind = kind_of(&new.kind, &new.url).name.to_owned();
            let defaults = Settings { url: new.url, kind, ..defaults };
            visitor.ok(&Form::new(&visitor, None, Fields::of(&defaults)))
        }
        Err(_) => visitor.refused(&Refusal { status: StatusCode::BAD_GATEWAY, ..Refusal::default() }),
    }
}

pub async fn create(User(visitor): User, Posted(sent): Posted<Sent>) -> Response {
    let sent = if sent.common.action == "quick" { with_defaults(sent) } else { sent };
    handle(&visitor, None, sent).await
}

/// Fills in the defaults, for the form that has only a URL.
fn with_defaults(sent: Sent) -> Sent {
    let Common { url, once, .. } = sent.common;
    let Ok(defaults) = Settings::of_url(&url) else { return Sent::default() };
    let Fields { sent, config, .. } = Fields::of(&defaults);
    Sent { common: Common { url, once, ..sent }, config }
}

pub async fn edit_form(User(visitor): User, Id([id]): Id) -> Response {
    match visitor.api.get::<Endpoint>(&path_of(Some(id))).await {
        Ok(endpoint) => visitor.ok(&Form::new(&visitor, Some(id), Fields::of(&endpoint.settings))),
        Err(refusal) => visitor.refused(&refusal),
    }
}

pub async fn edit(User(visitor): User, Id([id]): Id, Posted(sent): Posted<Sent>) -> Response {
    handle(&visitor, Some(id), sent).await
}

fn path_of(id: Option<i64>) -> String {
    let one = id.map(|id| format!("/{id}")).unwrap_or_default();
    format!("/endpoint-service/v1/endpoints{one}")
}

pub fn added(visitor: &Visitor) -> &str {
    visitor.t(&words::ENDPOINT_ADDED)
}

async fn handle(visitor: &Visitor, id: Option<i64>, sent: Sent) -> Response {
    let (action, once) = (sent.common.action.clone(), sent.common.once.clone());
    let mut fields = Fields::read(sent);
    if fields.is_changed_by(&action) {
        return visitor.ok(&Form::new(visitor, id, fields));
    }
    if fields.is_new_kind {
        return turned(visitor, id, fields).await;
    }
    let settings = fields.json(visitor.language);
    let form = Form::new(visitor, id, fields);
    if !form.fields.errors.is_empty() {
        return visitor.show(StatusCode::BAD_REQUEST, &form);
    }
    if action == "test" {
        let mut tried = settings;
        if let Some(id) = id {
            tried["endpoint_id"] = id.into();
        }
        return match visitor.api.post("/endpoint-check/v1/checks", &tried).await {
            Ok(checked) => visitor.ok(&Form { checked: Some(checked), ..form }),
            Err(refusal) => form.again(visitor, refusal),
        };
    }
    let (method, once) = if id.is_some() { (Method::PATCH, None) } else { (Method::POST, Some(once)) };
    let once = once.as_deref().filter(|once| !once.is_empty());
    match visitor.api.send::<_, Endpoint>(method, &path_of(id), &settings, once).await {
        Ok(endpoint) => {
            let what = match id {
                None => added(visitor),
                Some(_) => visitor.t(&words::SAVED),
            };
            visitor.go_saying(&format!("/endpoints/{}", endpoint.id), what)
        }
        Err(refusal) => form.again(visitor, refusal),
    }
}

/// Shows the form of the kind that the URL names, before settings are used that the user has not seen.
async fn turned(visitor: &Visitor, id: Option<i64>, mut fields: Fields) -> Response {
    if let Some(id) = id {
        match visitor.api.get::<Endpoint>(&path_of(Some(id))).await {
            Ok(endpoint) if endpoint.settings.kind == fields.kind.name => {
                fields.config = Fields::of(&endpoint.settings).config;
            }
            Ok(_) => {}
            Err(refusal) => return visitor.refused(&refusal),
        }
    }
    let label = visitor.language.choose(fields.kind.label);
    let message = words::kind_by_url(label).of(visitor.language);
    visitor.show(StatusCode::BAD_REQUEST, &Form { message, ..Form::new(visitor, id, fields) })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn sent(form: &str) -> Sent {
        serde_html_form::from_str(form).unwrap()
    }

    fn valid(change: impl FnOnce(&mut Common)) -> Sent {
        let mut valid = with_defaults(sent("url=https%3A%2F%2Fa.test"));
        change(&mut valid.common);
        valid
    }

    #[test]
    fn a_url_is_enough() {
        let mut fields = Fields::read(with_defaults(sent("url=a.test%2Fx&once=1&action=quick")));
        let json = fields.json(Language::English);
        assert!(fields.errors.is_empty(), "{:?}", fields.errors);
        let settings: Settings = serde_json::from_value({
            let mut json = json;
            json.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            json
        })
        .unwrap();
        assert_eq!(settings.url, "a.test/x");
        assert_eq!(settings.kind, "http");
    }

    #[test]
    fn settings_come_back_as_they_were() {
        let mut settings = Settings::of_url("https://a.test").unwrap();
        settings.name = "A".into();
        settings.kind = "http".into();
        settings.config.0 = json!({"headers": {"X-One": "1"}, "body": "x\ny", "method": "POST"});
        settings.tags.0 = vec!["a".into(), "b".into()];
        settings.assertions.0 = vec![
            Assertion::of("body", Comparison::Contains, "ok"),
            Assertion::of("body", Comparison::Matches, "^a b$"),
            Assertion::of_json("$.n", Comparison::LessThan, json!(4)),
            Assertion::of_json("$.s", Comparison::Equals, json!("4")),
            Assertion::of_json("$.t", Comparison::Equals, json!("fine")),
            Assertion::of_header("Via", Comparison::Contains, "x"),
            Assertion::of("total_ms", Comparison::LessThan, 500),
            Assertion::of_json("$.code", Comparison::Matches, "200"),
            Assertion::of_json("$.code", Comparison::Equals, ()),
            Assertion::of_json("$.code", Comparison::NotExists, ()),
            Assertion::of("http_version", Comparison::Equals, "2"),
            Assertion { severity: Severity::Degraded, ..Assertion::of("ip", Comparison::Matches, "^10") },
        ];
        let mut fields = Fields::of(&settings);
        let json = fields.json(Language::English);
        assert!(fields.errors.is_empty(), "{:?}", fields.errors);
        settings.config.0 = fields::with_defaults(Kind::find("http").unwrap().fields, &settings.config.0);
        assert_eq!(serde_json::from_value::<Settings>(json).unwrap(), settings);
    }

    #[test]
    fn rows_keep_together_and_empty_ones_are_left_out() {
        let fields = Fields::read(sent(
            "assertion_fact=&assertion_what=&assertion_comparison=equals&assertion_value=&\
             assertion_fact=json&assertion_what=%24.a&assertion_comparison=equals&assertion_value=true",
        ));
        assert_eq!(fields.assertions.len(), 1);
        assert_eq!(fields.assertions[0].json(fields.kind)["value"], true);
    }

    #[test]
    fn what_is_no_number_is_told_beside_it() {
        let mut sent = valid(|sent| {
            sent.interval_seconds = "often".into();
            sent.assertion_fact = vec!["total_ms".into(), String::new()];
            sent.assertion_value = vec!["quick".into(), "x".into()];
        });
        sent.config = self::sent("config.headers=A").config;
        let mut fields = Fields::read(sent);
        fields.json(Language::English);
        let wrong: Vec<_> = fields.errors.keys().map(String::as_str).collect();
        assert_eq!(wrong, ["assertions[1].fact", "config.headers.A", "interval_seconds"]);
    }

    #[test]
    fn the_scheme_of_a_url_chooses_the_kind() {
        let kind = |form| Fields::read(sent(form)).kind.name;
        assert_eq!(kind("kind=http&url=tcp%3A%2F%2Fa.test%3A1"), "tcp");
        assert_eq!(kind("kind=tcp&url=a.test:22"), "tcp");
        let turned = Fields::read(sent("kind=tcp&url=https%3A%2F%2Fa.test"));
        assert!(turned.is_new_kind && turned.config.is_usual(turned.kind.fields), "nobody saw its settings");
        assert_eq!(kind("url=a.test"), "http");
    }

    #[test]
    fn rows_come_and_go() {
        let rows = |facts: &[&str]| {
            let facts = facts.iter().map(|fact| (*fact).to_owned()).collect();
            Fields::read(valid(|sent| sent.assertion_fact = facts))
        };
        let mut fields = rows(&["status", "body"]);
        assert!(fields.is_changed_by("add_assertion"));
        assert_eq!(fields.assertions.len(), 3);
        let mut empty = rows(&[""]);
        assert!(empty.is_changed_by("add_assertion"));
        assert_eq!(empty.assertions.len(), 2, "one more than there were");
        assert!(fields.is_changed_by("remove_assertion 0"));
        assert_eq!(fields.assertions[0].fact, "body");
        assert!(fields.is_changed_by("remove_assertion 99"));
        assert!(!fields.is_changed_by("save"));
    }
}
