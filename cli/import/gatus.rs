//! Gatus' configuration: `endpoints` with their conditions, and `alerting` for the kinds that pongpong has.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use contract::{Assertion, Comparison};
use fields::{Foreign, Tool};

use super::imported::{
    Imported, duration, has_fact, has_header, is_on, labels, milliseconds, parsed, set, set_header,
    status_ranges, whole_seconds,
};
use crate::{
    api::Value,
    apply::document::{Endpoint, Notification},
    output::plain,
};

pub fn read(text: &str) -> Result<Imported> {
    let mut config = parsed(text)?;
    variables(&mut config);
    // Older versions called endpoints services.
    let list = config.get("endpoints").or_else(|| config.get("services"));
    let Some(list) = list.and_then(Value::as_sequence) else { bail!("it has no endpoints") };
    let mut imported = Imported { has_variables: true, ..Imported::default() };
    let mut told_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for item in list {
        let Some(mut endpoint) = endpoint(item, &config["alerting"], &mut imported) else { continue };
        // Names are unique only within a group.
        if !names.insert(endpoint.name.clone()) {
            endpoint.name = format!("{}/{}", plain(&item["group"]), endpoint.name);
            names.insert(endpoint.name.clone());
        }
        for alert in item["alerts"].as_sequence().into_iter().flatten() {
            if alert.get("enabled").is_none_or(is_on) {
                told_of.entry(plain(&alert["type"])).or_default().push(endpoint.name.clone());
            }
        }
        imported.endpoints.push(endpoint);
    }
    for (section, why) in [
        ("external-endpoints", "they are pushed to, which pongpong does not know"),
        ("suites", "checks of several steps are not known"),
        ("maintenance", "plan it by: pong maintenance add"),
        ("announcements", "make them by: pong announcement add"),
    ] {
        let is_there = config.get(section).is_some_and(|value| !value.is_null());
        if is_there {
            imported.skip(section, why);
        }
    }
    for (channel, endpoints) in told_of {
        alerting(&channel, &config["alerting"][channel.as_str()], endpoints, &mut imported);
    }
    Ok(imported)
}

/// Gatus writes `$NAME` for a variable and `$$` for a dollar sign; pongpong writes `${NAME}`, and `$${` for
/// `${`.
fn variables(value: &mut Value) {
    match value {
        Value::String(text) => *text = ours(text),
        Value::Sequence(items) => items.iter_mut().for_each(variables),
        Value::Mapping(fields) => fields.iter_mut().for_each(|(_, value)| variables(value)),
        _ => {}
    }
}

fn ours(text: &str) -> String {
    let (mut result, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        result += before;
        if let Some(tail) = after.strip_prefix('$') {
            result += if tail.starts_with('{') { "$$" } else { "$" };
            rest = tail;
            continue;
        }
        let length = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
        if length > 0 && !after.starts_with(|c: char| c.is_ascii_digit()) {
            result += &format!("${{{}}}", &after[..length]);
            rest = &after[length..];
        } else {
            result.push('$');
            rest = after;
        }
    }
    result + rest
}

fn endpoint(item: &Value, alerting: &Value, imported: &mut Imported) -> Option<Endpoint> {
    let name = plain(&item["name"]);
    let url = plain(&item["url"]);
    let other = ["dns", "ssh"].into_iter().find(|kind| item.get(*kind).is_some());
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let kind = other.unwrap_or(scheme);
    let is_http = matches!(kind, "http" | "https" | "");
    let mut endpoint = if is_http {
        Endpoint { url, ..Endpoint::default() }
    } else {
        let settings = serde_json::to_value(item).unwrap_or_default();
        let foreign = Foreign { tool: Tool::Gatus, kind, settings: &settings };
        let Some(endpoint) = imported.endpoint(&name, &foreign) else {
            imported.skip(&name, format!("it is checked by {kind}: pongpong checks {}", labels()));
            return None;
        };
        endpoint
    };
    endpoint.name = name.clone();
    if let Some(seconds) = item["interval"].as_str().and_then(duration) {
        endpoint.interval_seconds = whole_seconds(seconds);
    }
    endpoint.enabled = item.get("enabled").is_none_or(is_on);
    if is_http {
        request(item, &mut endpoint, imported);
    } else if item["body"].as_str().is_some_and(|body| !body.is_empty()) {
        imported.differs(&name, "its body is not sent: it is only connected to");
    }
    client(&item["client"], &mut endpoint, imported);
    endpoint.tags.extend(item["group"].as_str().map(str::to_owned));
    let alerts = item["alerts"].as_sequence().cloned().unwrap_or_default();
    let min = |field: &str, default: u64| {
        let thresholds = alerts.iter().filter_map(|alert| {
            let usual = &alerting[plain(&alert["type"]).as_str()]["default-alert"];
            let said = |field: &str| alert.get(field).or_else(|| usual.get(field));
            let is_on = said("enabled").is_none_or(is_on);
            is_on.then(|| said(field).and_then(Value::as_u64).unwrap_or(default))
        });
        thresholds.min().map(|number| number as u32)
    };
    if let Some(threshold) = min("failure-threshold", 3) {
        endpoint.failure_threshold = threshold;
    }
    if let Some(threshold) = min("success-threshold", 2) {
        endpoint.success_threshold = threshold;
    }
    if item.get("maintenance-windows").is_some() {
        imported.differs(&name, "its maintenance windows are left out: pong maintenance add");
    }
    conditions(&item["conditions"], &mut endpoint, imported);
    Some(endpoint)
}

fn request(item: &Value, endpoint: &mut Endpoint, imported: &mut Imported) {
    if let Some(method) = item["method"].as_str() {
        set(endpoint, "method", method.to_uppercase());
    }
    for (name, value) in item["headers"].as_mapping().into_iter().flatten() {
        set_header(endpoint, &plain(name), plain(value));
    }
    let mut body = item["body"].as_str().filter(|body| !body.is_empty()).map(str::to_owned);
    if is_on(&item["graphql"]) {
        let query = body.take().unwrap_or_default();
        body = Some(serde_json::json!({ "query": query }).to_string());
        if !has_header(endpoint, "Content-Type") {
            set_header(endpoint, "Content-Type", "application/json");
        }
    }
    let Some(body) = body else { return };
    if body.contains("[ENDPOINT_") || body.contains("[RANDOM_STRING") {
        imported.differs(&endpoint.name, "placeholders in its body are sent as they stand");
    }
    set(endpoint, "body", body);
}

fn client(client: &Value, endpoint: &mut Endpoint, imported: &mut Imported) {
    let is_http = has_fact(endpoint, "status");
    for (field, value) in client.as_mapping().into_iter().flatten() {
        match field.as_str().unwrap_or_default() {
            "insecure" if is_http => set(endpoint, "verify_tls", !is_on(value)),
            "ignore-redirect" if is_http => set(endpoint, "follow_redirects", !is_on(value)),
            "timeout" => {
                if let Some(seconds) = value.as_str().and_then(duration) {
                    endpoint.timeout_ms = milliseconds(seconds);
                }
            }
            other => imported.differs(&endpoint.name, format!("client.{other} is left out")),
        }
    }
}

fn conditions(list: &Value, endpoint: &mut Endpoint, imported: &mut Imported) {
    let mut codes: BTreeSet<u16> = (100..=999).collect();
    let has_status = has_fact(endpoint, "status");
    for condition in list.as_sequence().into_iter().flatten().map(plain) {
        let read = match parts(&condition) {
            None => Err("it is not understood"),
            Some(("[STATUS]", ..)) if !has_status => Err(NO_FACT),
            Some(parts) => self::condition(parts, &mut codes),
        };
        let read = match read {
            Ok(Some(assertion)) if !has_fact(endpoint, &assertion.fact) => Err(NO_FACT),
            read => read,
        };
        match read {
            Ok(assertion) => endpoint.assertions.extend(assertion),
            Err(why) => {
                imported.differs(&endpoint.name, format!("the condition `{condition}` is left out: {why}"))
            }
        }
    }
    if has_status {
        set(endpoint, "expected_status", status_ranges(&codes));
    }
}

const NO_FACT: &str = "this kind of check does not find it out";

type Parts<'a> = (&'a str, &'a str, &'a str);

fn parts(condition: &str) -> Option<Parts<'_>> {
    // Longer operators first: `<=` begins with `<`.
    ["==", "!=", "<=", ">=", "<", ">"].iter().find_map(|sign| {
        let (left, right) = condition.split_once(&format!(" {sign} "))?;
        Some((left.trim(), *sign, right.trim()))
    })
}

/// Converts a condition to an assertion or to fewer accepted codes. `None`: pongpong checks it anyway.
fn condition(
    (left, sign, right): Parts<'_>,
    codes: &mut BTreeSet<u16>,
) -> Result<Option<Assertion>, &'static str> {
    match left {
        "[STATUS]" => {
            let numbers: Vec<u16> = any(right).iter().filter_map(|text| text.parse().ok()).collect();
            let [first, ..] = numbers[..] else { return Err("it compares with no number") };
            codes.retain(|code| match sign {
                "==" => numbers.contains(code),
                "!=" => !numbers.contains(code),
                "<" => *code < first,
                "<=" => *code <= first,
                ">" => *code > first,
                _ => *code >= first,
            });
            if codes.is_empty() { Err("no status is left that would be fine") } else { Ok(None) }
        }
        "[RESPONSE_TIME]" => {
            let limit: u32 = right.parse().map_err(|_| "it compares with no number")?;
            Ok(Some(Assertion::of("total_ms", comparison(sign), limit)))
        }
        "[IP]" if any(right) == [right] && matches!(sign, "==" | "!=") => {
            Ok(Some(Assertion::of("ip", comparison(sign), right)))
        }
        // An endpoint that cannot be connected to is down anyway.
        "[CONNECTED]" if (sign, right) == ("==", "true") => Ok(None),
        "[CERTIFICATE_EXPIRATION]" if matches!(sign, ">" | ">=") => {
            let seconds = duration(right).ok_or("it compares with no duration")?;
            // pongpong counts whole days.
            let days = (seconds / 86_400.0).ceil() as u32;
            Ok(Some(Assertion::of("certificate_days_left", Comparison::GreaterOrEqual, days)))
        }
        "[BODY]" => body(sign, right).map(Some),
        left => match left.strip_prefix("[BODY]") {
            Some(path) => json(path, sign, right).map(Some),
            None => match left.strip_prefix("has([BODY]").and_then(|path| path.strip_suffix(')')) {
                Some(path) => {
                    let comparison = match (sign, right) {
                        ("==", "true") | ("!=", "false") => Comparison::Exists,
                        ("==", "false") | ("!=", "true") => Comparison::NotExists,
                        _ => return Err("it is either true or false"),
                    };
                    Ok(Some(Assertion::of_json(&json_path(path)?, comparison, ())))
                }
                None if left.starts_with("len(") => Err("the length of a value is not known"),
                None => Err("there is nothing like it"),
            },
        },
    }
}

fn comparison(sign: &str) -> Comparison {
    match sign {
        "==" => Comparison::Equals,
        "!=" => Comparison::NotEquals,
        "<" => Comparison::LessThan,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::GreaterThan,
        _ => Comparison::GreaterOrEqual,
    }
}

/// The values of `any(200, 429)`, or a single value.
fn any(text: &str) -> Vec<&str> {
    match text.strip_prefix("any(").and_then(|text| text.strip_suffix(')')) {
        Some(list) => list.split(',').map(str::trim).collect(),
        None => vec![text],
    }
}

fn pattern(text: &str) -> Option<&str> {
    text.strip_prefix("pat(")?.strip_suffix(')')
}

/// The text of `*text*`, if it has no other wildcards.
fn within(pattern: &str) -> Option<&str> {
    let text = pattern.strip_prefix('*')?.strip_suffix('*')?;
    (!text.is_empty() && !text.contains(['*', '?', '[', '\\'])).then_some(text)
}

/// The regular expression for a whole text with the wildcards `*` and `?`.
fn regex_of(pattern: &str) -> String {
    let mut regex = "(?s)^".to_owned();
    for c in pattern.chars() {
        match c {
            '*' => regex += ".*",
            '?' => regex.push('.'),
            c if "\\.+*?()|[]{}^$".contains(c) => regex.extend(['\\', c]),
            c => regex.push(c),
        }
    }
    regex + "$"
}

/// Gatus compares the body without surrounding whitespace.
fn trimmed(regex: &str) -> String {
    let whole = regex.strip_prefix("(?s)^").and_then(|regex| regex.strip_suffix('$')).unwrap_or(regex);
    format!(r"(?s)^\s*{whole}\s*$")
}

fn body(sign: &str, right: &str) -> Result<Assertion, &'static str> {
    if !matches!(sign, "==" | "!=") || any(right) != [right] {
        return Err("the body as a whole has no size, and is one text");
    }
    let (comparison, text) = match pattern(right) {
        Some(pattern) => by_pattern(sign, pattern),
        // Without `pat()`, wildcards have no meaning.
        None => {
            let special = |c| "\\.+*?()|[]{}^$".contains(c);
            let literal: String =
                right.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect();
            by_regex(sign, literal)
        }
    };
    let is_regex = matches!(comparison, Comparison::Matches | Comparison::NotMatches);
    Ok(Assertion::of("body", comparison, if is_regex { trimmed(&text) } else { text }))
}

fn by_regex(sign: &str, regex: String) -> (Comparison, String) {
    (if sign == "==" { Comparison::Matches } else { Comparison::NotMatches }, regex)
}

/// The comparison that is equivalent to a pattern, and its value.
fn by_pattern(sign: &str, pattern: &str) -> (Comparison, String) {
    match (within(pattern), sign) {
        (Some(text), "==") => (Comparison::Contains, text.to_owned()),
        (Some(text), _) => (Comparison::NotContains, text.to_owned()),
        (None, sign) => by_regex(sign, regex_of(pattern)),
    }
}

fn json_path(path: &str) -> Result<String, &'static str> {
    let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]-".contains(c));
    if !is_plain {
        return Err("the path is not understood");
    }
    // A name with a hyphen must be in brackets.
    let steps: Vec<_> = path
        .trim_start_matches('.')
        .split('.')
        .filter(|step| !step.is_empty())
        .map(|step| match step.split_once('[') {
            _ if step.starts_with('[') => step.to_owned(),
            Some((name, index)) if name.contains('-') => format!("['{name}'][{index}"),
            None if step.contains('-') => format!("['{step}']"),
            _ => format!(".{step}"),
        })
        .collect();
    Ok(format!("${}", steps.concat()))
}

fn json(path: &str, sign: &str, right: &str) -> Result<Assertion, &'static str> {
    let path = json_path(path)?;
    if any(right) != [right] {
        return Err("one of several values is not known");
    }
    if let Some(pattern) = pattern(right) {
        if !matches!(sign, "==" | "!=") {
            return Err("a pattern has no size");
        }
        let (comparison, text) = by_pattern(sign, pattern);
        return Ok(Assertion::of_json(&path, comparison, text));
    }
    let value: serde_json::Value = serde_json::from_str(right).unwrap_or_else(|_| right.into());
    Ok(Assertion::of_json(&path, comparison(sign), value))
}

fn alerting(provider: &str, config: &Value, endpoints: Vec<String>, imported: &mut Imported) {
    let settings = serde_json::to_value(config).unwrap_or_default();
    let foreign = Foreign { tool: Tool::Gatus, kind: provider, settings: &settings };
    let place = format!("alerting.{provider}");
    let Some(notification) = imported.notification(&place, &foreign) else { return };
    if config.get("overrides").is_some() {
        imported.differs(&place, "its overrides of groups are left out");
    }
    imported.notifications.push(Notification {
        name: provider.to_owned(),
        endpoints: Some(endpoints),
        enabled: true,
        ..notification
    });
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use serde_json::json;

    use super::*;

    fn turned(text: &str) -> Result<Option<serde_json::Value>, &'static str> {
        let mut codes = (100..=999).collect();
        condition(parts(text).unwrap(), &mut codes)
            .map(|assertion| assertion.map(|assertion| json!(assertion)))
    }

    #[test]
    fn conditions_become_assertions() {
        for (text, ours) in [
            ("[RESPONSE_TIME] < 300", json!({"fact": "total_ms", "comparison": "less_than", "value": 300})),
            (
                "[RESPONSE_TIME] <= 300",
                json!({"fact": "total_ms", "comparison": "less_or_equal", "value": 300}),
            ),
            (
                "[BODY].status == UP",
                json!({"fact": "json", "path": "$.status", "comparison": "equals", "value": "UP"}),
            ),
            (
                "[BODY].data[0].id >= 3",
                json!({"fact": "json", "path": "$.data[0].id", "comparison": "greater_or_equal", "value": 3}),
            ),
            (
                "[BODY][0].id == 1",
                json!({"fact": "json", "path": "$[0].id", "comparison": "equals", "value": 1}),
            ),
            (
                "[BODY].a-b.c == true",
                json!({"fact": "json", "path": "$['a-b'].c", "comparison": "equals", "value": true}),
            ),
            (
                "[BODY].name == pat(*jo*)",
                json!({"fact": "json", "path": "$.name", "comparison": "contains", "value": "jo"}),
            ),
            ("[BODY] == pat(*fine*)", json!({"fact": "body", "comparison": "contains", "value": "fine"})),
            (
                "[BODY] != pat(*error*)",
                json!({"fact": "body", "comparison": "not_contains", "value": "error"}),
            ),
            (
                "[BODY] == pat(v?.*)",
                json!({"fact": "body", "comparison": "matches", "value": r"(?s)^\s*v.\..*\s*$"}),
            ),
            (
                "[BODY] != pat(v?)",
                json!({"fact": "body", "comparison": "not_matches", "value": r"(?s)^\s*v.\s*$"}),
            ),
            (
                "[BODY] == pong",
                json!({"fact": "body", "comparison": "matches", "value": r"(?s)^\s*pong\s*$"}),
            ),
            ("[IP] == 1.1.1.1", json!({"fact": "ip", "comparison": "equals", "value": "1.1.1.1"})),
            ("[RESPONSE_TIME] > 1", json!({"fact": "total_ms", "comparison": "greater_than", "value": 1})),
            ("has([BODY].a) == true", json!({"fact": "json", "path": "$.a", "comparison": "exists"})),
            (
                "has([BODY].a-b) == false",
                json!({"fact": "json", "path": "$['a-b']", "comparison": "not_exists"}),
            ),
            (
                "[CERTIFICATE_EXPIRATION] > 49h",
                json!({"fact": "certificate_days_left", "comparison": "greater_or_equal", "value": 3}),
            ),
        ] {
            assert_eq!(turned(text), Ok(Some(ours)), "{text}");
        }
        assert_eq!(turned("[CONNECTED] == true"), Ok(None));
        for text in [
            "[CERTIFICATE_EXPIRATION] < 48h",
            "len([BODY].a) > 0",
            "[IP] > 1.1.1.1",
            "[BODY].a == any(1, 2)",
            "[RESPONSE_TIME] > soon",
        ] {
            assert!(turned(text).is_err(), "{text}");
        }
    }

    #[test]
    fn conditions_on_the_status_come_together() {
        let mut endpoint = Endpoint::default();
        let list: Value =
            serde_norway::from_str("['[STATUS] >= 200', '[STATUS] < 300', '[STATUS] != 204']").unwrap();
        conditions(&list, &mut endpoint, &mut Imported::default());
        assert_eq!(endpoint.config["expected_status"], "200-203,205-299");
        let list: Value = serde_norway::from_str("['[STATUS] == any(200, 429)']").unwrap();
        conditions(&list, &mut endpoint, &mut Imported::default());
        assert_eq!(endpoint.config["expected_status"], "200,429");
    }

    #[test]
    fn ports_are_turned_and_what_they_cannot_hold_is_told() {
        let config = "
endpoints:
  - {name: db, group: core, url: 'tcp://$DB_HOST:5432', interval: 30s, client: {timeout: 3s},
     conditions: ['[CONNECTED] == true', '[RESPONSE_TIME] < 200']}
  - {name: redis, url: 'tcp://r:6379', body: PING, conditions: ['[BODY] == pat(*PONG*)', '[STATUS] == 200']}
  - {name: ping, url: 'icmp://a', conditions: ['[CONNECTED] == true']}
";
        let imported = read(config).expect("a configuration");
        let briefs: Vec<_> = imported.endpoints.iter().map(|endpoint| endpoint.clone().brief()).collect();
        let expected: Vec<serde_norway::Mapping> = serde_norway::from_str(
            "
- {name: db, url: 'tcp://${DB_HOST}:5432', interval_seconds: 30, timeout_ms: 3000, tags: [core],
   assertions: [{fact: total_ms, comparison: less_than, value: 200}]}
- {name: redis, url: 'tcp://r:6379'}
",
        )
        .unwrap();
        assert_eq!(briefs, expected);
        let notes: Vec<_> =
            imported.notes.iter().map(|note| format!("{}: {}", note.what, note.why)).collect();
        assert_eq!(
            notes,
            [
                "redis: its body is not sent: it is only connected to",
                "redis: the condition `[BODY] == pat(*PONG*)` is left out: this kind of check does not find it out",
                "redis: the condition `[STATUS] == 200` is left out: this kind of check does not find it out",
                "ping: it is checked by icmp: pongpong checks HTTP, TCP",
            ]
        );
    }

    #[test]
    fn variables_are_written_our_way() {
        for (theirs, ours) in [
            ("$HOST/a", "${HOST}/a"),
            ("${HOST}/a", "${HOST}/a"),
            ("5$$", "5$"),
            ("$${X}", "$${X}"),
            ("$1", "$1"),
        ] {
            assert_eq!(super::ours(theirs), ours);
        }
    }

    #[test]
    fn a_threshold_is_the_alerts_own_or_its_kinds_and_not_of_what_is_off() {
        let config = "
alerting: {slack: {webhook-url: 'https://hooks.test/x', default-alert: {failure-threshold: 10}}}
endpoints:
  - {name: A, url: 'https://a.test', conditions: ['[STATUS] == 200'], alerts: [{type: slack}]}
  - {name: B, url: 'https://b.test', conditions: ['[STATUS] == 200'],
     alerts: [{type: email, failure-threshold: 7}, {type: slack, enabled: false, failure-threshold: 1}]}
";
        let imported = read(config).expect("a configuration");
        let thresholds: Vec<_> = imported.endpoints.iter().map(|e| e.failure_threshold).collect();
        assert_eq!(thresholds, [10, 7]);
    }
}
