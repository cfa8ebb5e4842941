//! An endpoint is added, or changed: every option, tried out before it is saved if wanted.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Query;
use http::{Method, StatusCode};
use runtime::error::Language;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    api::Refusal,
    form::Id,
    home::Checked,
    page::{Page, Section, pick},
    visitor::{Posted, Response, User, Visitor},
};
use crate::endpoints::{Endpoint, Settings, default_retries};
use checks::facts::{FACTS, Shape};
use contract::{Assertion, Comparison, Severity};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// What the API takes; more rows than that are of no use.
const MOST_HEADERS: usize = 50;
const MOST_ASSERTIONS: usize = 20;

/// The form as it is filled in: text, whatever it may mean, so that nothing is lost.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Sent {
    action: String,
    once: String,
    name: String,
    url: String,
    method: String,
    header_name: Vec<String>,
    header_value: Vec<String>,
    body: String,
    interval_seconds: String,
    timeout_ms: String,
    expected_status: String,
    assertion_fact: Vec<String>,
    assertion_what: Vec<String>,
    assertion_comparison: Vec<String>,
    assertion_value: Vec<String>,
    assertion_severity: Vec<String>,
    follow_redirects: bool,
    verify_tls: bool,
    legacy_tls: bool,
    certificate_warning_days: String,
    retries: String,
    failure_threshold: String,
    success_threshold: String,
    enabled: bool,
    tags: String,
}

/// A row of the assertions.
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

    /// As the API takes it.
    fn json(&self) -> Value {
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
            let is_number = FACTS.iter().any(|known| known.name == fact && known.shape == Shape::Number);
            let is_json = !is_pattern && (fact == "json" || is_number);
            assertion["value"] = if is_json { read(value) } else { value.as_str().into() };
        }
        assertion
    }
}

/// A value of JSON: text needs no quotes, unless it would mean something else without them.
fn read(text: &str) -> Value {
    serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) if serde_json::from_str::<Value>(text.trim()).is_err() => text.clone(),
        other => other.to_string(),
    }
}

/// The form as it is shown.
#[derive(Clone, Default)]
struct Fields {
    sent: Sent,
    headers: Vec<(String, String)>,
    assertions: Vec<Row>,
    /// How many rows were there of each, with the empty ones.
    rows: [usize; 2],
    /// What is wrong, by the API's names of the fields.
    errors: BTreeMap<String, String>,
}

impl Fields {
    fn of(s: &Settings) -> Self {
        let sent = Sent {
            name: s.name.clone(),
            url: s.url.clone(),
            method: s.method.clone(),
            body: s.body.clone().unwrap_or_default(),
            interval_seconds: s.interval_seconds.to_string(),
            timeout_ms: s.timeout_ms.to_string(),
            expected_status: s.expected_status.clone(),
            follow_redirects: s.follow_redirects,
            verify_tls: s.verify_tls,
            legacy_tls: s.legacy_tls,
            certificate_warning_days: s.certificate_warning_days.to_string(),
            retries: own_retries(s),
            failure_threshold: s.failure_threshold.to_string(),
            success_threshold: s.success_threshold.to_string(),
            enabled: s.enabled,
            tags: s.tags.0.join(", "),
            ..Sent::default()
        };
        Self {
            sent,
            headers: s.headers.0.clone().into_iter().collect(),
            assertions: s.assertions.0.iter().map(Row::of).collect(),
            rows: [0, 0],
            errors: BTreeMap::new(),
        }
    }

    /// Rows that are empty are left out: the first of the rest is the API's `assertions[0]`.
    fn read(mut sent: Sent) -> Self {
        let rows = [sent.header_name.len(), sent.assertion_fact.len()];
        let take = |values: &mut Vec<String>| std::mem::take(values).into_iter();
        let names = take(&mut sent.header_name);
        let mut values = take(&mut sent.header_value);
        let headers = names.map(|name| (name.trim().to_owned(), values.next().unwrap_or_default()));
        let headers = headers.filter(|(name, value)| !(name.is_empty() && value.trim().is_empty()));
        let headers = headers.take(MOST_HEADERS + 1).collect();
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
        let assertions = all.filter(|row| !row.is_empty()).take(MOST_ASSERTIONS + 1).collect();
        sent.url = sent.url.trim().to_owned();
        Self { sent, headers, assertions, rows, errors: BTreeMap::new() }
    }

    /// As the API takes it. What cannot even be said to it is noted here.
    fn json(&mut self, language: Language) -> Value {
        let sent = &self.sent;
        let mut errors = BTreeMap::new();
        let mut settings = Map::new();
        for (field, text) in [
            ("interval_seconds", &sent.interval_seconds),
            ("timeout_ms", &sent.timeout_ms),
            ("certificate_warning_days", &sent.certificate_warning_days),
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
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            if name.is_empty() || headers.insert(name.clone(), value.clone().into()).is_some() {
                let what = if name.is_empty() {
                    pick(language, "a header needs a name", "헤더 이름이 필요합니다")
                } else {
                    pick(language, "is there twice", "두 번 입력했습니다")
                };
                errors.insert(format!("headers.{name}"), what.to_owned());
            }
        }
        let mut assertions = Vec::new();
        for (index, row) in self.assertions.iter().enumerate() {
            if row.fact.is_empty() {
                let what = pick(language, "choose what to look at", "무엇을 검증할지 고르세요");
                errors.insert(format!("assertions[{index}].fact"), what.to_owned());
            }
            assertions.push(row.json());
        }
        // Browsers write lines of a form with CRLF; nobody typed that.
        let body = sent.body.replace("\r\n", "\n");
        let tags: Vec<&str> =
            sent.tags.split([',', ' ', '\n', '\t']).map(str::trim).filter(|tag| !tag.is_empty()).collect();
        for (field, value) in [
            ("name", Value::from(sent.name.trim())),
            ("url", sent.url.as_str().into()),
            ("method", sent.method.as_str().into()),
            ("headers", headers.into()),
            ("body", if body.is_empty() { Value::Null } else { body.into() }),
            ("expected_status", sent.expected_status.trim().into()),
            ("assertions", assertions.into()),
            ("follow_redirects", sent.follow_redirects.into()),
            ("verify_tls", sent.verify_tls.into()),
            ("legacy_tls", sent.legacy_tls.into()),
            ("enabled", sent.enabled.into()),
            ("tags", tags.into()),
        ] {
            settings.insert(field.to_owned(), value);
        }
        self.errors = errors;
        settings.into()
    }

    /// `add_header`, `remove_assertion 2`: a row more or less.
    fn rows_changed(&mut self, action: &str) -> bool {
        let (what, index) = action.split_once(' ').unwrap_or((action, ""));
        let index = index.parse::<usize>().unwrap_or(usize::MAX);
        match what {
            "add_header" => {
                let rows = (self.rows[0] + 1).clamp(self.headers.len(), MOST_HEADERS + 1);
                self.headers.resize(rows, Default::default());
            }
            "add_assertion" => {
                let rows = (self.rows[1] + 1).clamp(self.assertions.len(), MOST_ASSERTIONS + 1);
                self.assertions.resize(rows, Row::default());
            }
            "remove_header" if index < self.headers.len() => drop(self.headers.remove(index)),
            "remove_assertion" if index < self.assertions.len() => drop(self.assertions.remove(index)),
            "remove_header" | "remove_assertion" => {}
            _ => return false,
        }
        true
    }
}

/// Empty where it is the method's default: with another method it is that one's.
fn own_retries(settings: &Settings) -> String {
    let own = settings.retries.filter(|retries| *retries != default_retries(&settings.method));
    own.map(|retries| retries.to_string()).unwrap_or_default()
}

fn whole_number(language: Language) -> String {
    pick(language, "must be a whole number", "정수여야 합니다").to_owned()
}

#[derive(Template)]
#[template(path = "endpoint_form.html")]
struct Form {
    page: Page,
    /// Of the one that is changed; none of a new one.
    id: Option<i64>,
    fields: Fields,
    /// What is wrong with no field in particular.
    message: String,
    checked: Option<Checked>,
}

impl Form {
    fn new(visitor: &Visitor, id: Option<i64>, fields: Fields) -> Self {
        let title = match id {
            None => visitor.t("Add an endpoint", "엔드포인트 추가"),
            Some(_) => visitor.t("Edit the endpoint", "엔드포인트 수정"),
        };
        let page = visitor.page(Section::Dashboard, title);
        Self { page, id, fields, message: String::new(), checked: None }
    }

    fn checked_now(&self, checked: &Checked) -> String {
        format!("{}: {}", self.page.t("checked just now", "방금 체크함"), checked.url)
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

    /// A section that is folded opens where something is wrong in it, or set in it.
    fn is_wrong(&self, fields: &[&str]) -> bool {
        self.fields.errors.keys().any(|error| fields.iter().any(|field| error.starts_with(field)))
    }

    fn more_open(&self) -> bool {
        let sent = &self.fields.sent;
        let usual = self.fields.headers.is_empty()
            && sent.body.is_empty()
            && matches!(sent.method.as_str(), "GET" | "HEAD")
            && sent.follow_redirects
            && sent.verify_tls
            && !sent.legacy_tls;
        let own = ["headers", "body", "method", "follow_redirects", "verify_tls", "legacy_tls"];
        !usual || self.is_wrong(&own)
    }

    /// The rows that are filled in, and one to fill in.
    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = self.fields.headers.clone();
        if headers.last().is_none_or(|(name, value)| !(name.is_empty() && value.is_empty())) {
            headers.push(Default::default());
        }
        headers
    }

    fn header_error(&self, index: &usize, name: &str) -> &str {
        if *index < self.fields.headers.len() { self.error(&format!("headers.{name}")) } else { "" }
    }

    fn assertions(&self) -> Vec<Row> {
        let mut rows = self.fields.assertions.clone();
        if rows.last().is_none_or(|row| !row.is_empty()) {
            rows.push(Row::default());
        }
        rows
    }

    /// All that is wrong with a row, as one text.
    fn assertion_error(&self, index: &usize) -> String {
        let of_row = format!("assertions[{index}]");
        let own = self.fields.errors.iter().filter_map(|(field, what)| {
            let part = field.strip_prefix(&of_row)?;
            let name = match part.trim_start_matches('.') {
                "path" => "JSONPath",
                "name" => self.page.t("header", "헤더"),
                "value" => self.page.t("value", "값"),
                "comparison" => self.page.t("comparison", "비교"),
                _ => "",
            };
            Some(if name.is_empty() { what.clone() } else { format!("{name}: {what}") })
        });
        own.collect::<Vec<_>>().join("; ")
    }

    /// Tags are one field here, and many to the API.
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

    /// What is wrong with what has no place of its own on the page.
    fn other_errors(&self) -> Vec<String> {
        const PLACED: [&str; 12] = [
            "certificate_warning_days",
            "name",
            "url",
            "method",
            "body",
            "interval_seconds",
            "timeout_ms",
            "expected_status",
            "retries",
            "failure_threshold",
            "success_threshold",
            "headers",
        ];
        let placed = |field: &str| {
            let named = self.fields.headers.iter().any(|(name, _)| field == format!("headers.{name}"));
            let rows = self.fields.assertions.len();
            let row = (0..rows).any(|index| field.starts_with(&format!("assertions[{index}]")));
            PLACED.contains(&field) || field == "assertions" || field.starts_with("tags") || named || row
        };
        let others = self.fields.errors.iter().filter(|(field, _)| !placed(field));
        others.map(|(field, what)| format!("{field}: {what}")).collect()
    }

    fn comparison_name(&self, comparison: &Comparison) -> &str {
        match comparison {
            Comparison::Equals => self.page.t("equals", "같음"),
            Comparison::NotEquals => self.page.t("is not", "다름"),
            Comparison::Contains => self.page.t("contains", "포함"),
            Comparison::NotContains => self.page.t("does not contain", "포함하지 않음"),
            Comparison::Matches => self.page.t("matches (regex)", "정규식과 일치"),
            Comparison::NotMatches => self.page.t("does not match (regex)", "정규식과 불일치"),
            Comparison::LessThan => "<",
            Comparison::LessOrEqual => "≤",
            Comparison::GreaterThan => ">",
            Comparison::GreaterOrEqual => "≥",
            Comparison::Exists => self.page.t("exists", "있음"),
            Comparison::NotExists => self.page.t("does not exist", "없음"),
        }
    }

    /// Of a new row: what is asked for most.
    fn is_chosen(row: &Row, comparison: &Comparison) -> bool {
        row.comparison == comparison.as_str()
            || row.comparison.is_empty() && *comparison == Comparison::Contains
    }

    /// Again, with all that was sent, and what was wrong beside it.
    fn again(mut self, visitor: &Visitor, refusal: Refusal) -> Response {
        match refusal.status {
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT => {}
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => return visitor.refused(&refusal),
            // Too many tests, or nobody there: what was filled in is not lost by that.
            status => {
                let sorry = super::page::Sorry::of(self.page.clone(), &refusal);
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
}

pub async fn create_form(User(visitor): User, Query(new): Query<New>) -> Response {
    match Settings::of_url("https://") {
        Ok(defaults) => {
            let defaults = Settings { url: new.url, ..defaults };
            visitor.ok(&Form::new(&visitor, None, Fields::of(&defaults)))
        }
        Err(_) => visitor.refused(&Refusal { status: StatusCode::BAD_GATEWAY, ..Refusal::default() }),
    }
}

pub async fn create(User(visitor): User, Posted(sent): Posted<Sent>) -> Response {
    let sent = if sent.action == "quick" { with_defaults(sent) } else { sent };
    handle(&visitor, None, sent).await
}

/// From the form that has only a URL.
fn with_defaults(sent: Sent) -> Sent {
    let defaults = Settings::of_url(&sent.url).map(|defaults| Fields::of(&defaults).sent).unwrap_or_default();
    Sent { url: sent.url, once: sent.once, ..defaults }
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
    visitor.t("Added: the first check is on its way.", "추가했습니다. 곧 첫 체크를 합니다.")
}

async fn handle(visitor: &Visitor, id: Option<i64>, sent: Sent) -> Response {
    let (action, once) = (sent.action.clone(), sent.once.clone());
    let mut fields = Fields::read(sent);
    if fields.rows_changed(&action) {
        return visitor.ok(&Form::new(visitor, id, fields));
    }
    let settings = fields.json(visitor.language);
    let form = Form::new(visitor, id, fields);
    if !form.fields.errors.is_empty() {
        return visitor.show(StatusCode::BAD_REQUEST, &form);
    }
    if action == "test" {
        return match visitor.api.post("/endpoint-check/v1/checks", &settings).await {
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
                Some(_) => visitor.t("Saved.", "저장했습니다."),
            };
            visitor.go_saying(&format!("/endpoints/{}", endpoint.id), what)
        }
        Err(refusal) => form.again(visitor, refusal),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn sent(form: &str) -> Sent {
        serde_html_form::from_str(form).unwrap()
    }

    fn valid() -> Sent {
        Sent { url: "https://a.test".into(), ..with_defaults(sent("url=https%3A%2F%2Fa.test")) }
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
        assert_eq!(settings, Settings::of_url("a.test/x").unwrap());
    }

    #[test]
    fn settings_come_back_as_they_were() {
        let mut settings = Settings::of_url("https://a.test").unwrap();
        settings.name = "A".into();
        settings.body = Some("x\ny".into());
        settings.tags.0 = vec!["a".into(), "b".into()];
        settings.headers.0 = [("X-One".to_owned(), "1".to_owned())].into();
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
        assert_eq!(serde_json::from_value::<Settings>(json).unwrap(), settings);
    }

    #[test]
    fn rows_keep_together_and_empty_ones_are_left_out() {
        let fields = Fields::read(sent(
            "header_name=&header_value=&header_name=A&header_value=1&\
             assertion_fact=&assertion_what=&assertion_comparison=equals&assertion_value=&\
             assertion_fact=json&assertion_what=%24.a&assertion_comparison=equals&assertion_value=true",
        ));
        assert_eq!(fields.headers, [("A".to_owned(), "1".to_owned())]);
        assert_eq!(fields.assertions.len(), 1);
        assert_eq!(fields.assertions[0].json()["value"], true);
    }

    #[test]
    fn what_is_no_number_is_told_beside_it() {
        let mut fields = Fields::read(Sent {
            interval_seconds: "often".into(),
            header_name: vec!["A".into(), "A".into(), String::new()],
            header_value: vec!["1".into(), "2".into(), "3".into()],
            assertion_fact: vec!["total_ms".into(), String::new()],
            assertion_value: vec!["quick".into(), "x".into()],
            ..valid()
        });
        fields.json(Language::English);
        let wrong: Vec<_> = fields.errors.keys().map(String::as_str).collect();
        let expected = ["assertions[1].fact", "headers.", "headers.A", "interval_seconds"];
        assert_eq!(wrong, expected);
    }

    #[test]
    fn rows_come_and_go() {
        let mut fields = Fields::read(Sent {
            header_name: vec!["A".into(), "B".into()],
            header_value: vec!["1".into(), "2".into()],
            ..valid()
        });
        assert!(fields.rows_changed("add_header"));
        assert_eq!(fields.headers.len(), 3);
        let mut empty = Fields::read(Sent { assertion_fact: vec![String::new()], ..valid() });
        assert!(empty.rows_changed("add_assertion"));
        assert_eq!(empty.assertions.len(), 2, "one more than there were");
        assert!(fields.rows_changed("remove_header 0"));
        assert_eq!(fields.headers[0].0, "B");
        assert!(fields.rows_changed("remove_header 99"));
        assert!(!fields.rows_changed("save"));
    }
}
