//! The backup of Uptime Kuma 1.x (Settings, Backup, Export): `monitorList` and `notificationList`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use contract::{Assertion, Comparison};
use fields::{Foreign, Tool};

use super::imported::{
    Imported, basic_auth, has_header, is_on, labels, milliseconds, set, set_header, whole_seconds,
};
use crate::{
    api::Value,
    apply::document::{Endpoint, Notification},
    output::plain,
};

pub fn read(text: &str) -> Result<Imported> {
    let backup: Value = match serde_json::from_str(text) {
        Ok(backup) => backup,
        Err(error) => {
            bail!("it is not JSON ({error}); Uptime Kuma 1.x makes it under Settings, Backup, Export")
        }
    };
    let Some(monitors) = items(&backup["monitorList"]) else {
        bail!("it has no monitorList; Uptime Kuma 1.x makes such a file under Settings, Backup, Export")
    };
    let mut imported = Imported::default();
    let groups: BTreeMap<i64, String> = monitors
        .iter()
        .filter(|monitor| monitor["type"].as_str() == Some("group"))
        .filter_map(|group| Some((group["id"].as_i64()?, plain(&group["name"]))))
        .collect();
    // By the notification's id in the backup.
    let mut told_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for monitor in &monitors {
        let name = plain(&monitor["name"]);
        if monitor["type"].as_str() == Some("group") {
            imported.differs(&name, "a group becomes a tag of what is in it");
            continue;
        }
        if let Some(endpoint) = endpoint(monitor, &groups, &mut imported) {
            for id in notification_ids(&monitor["notificationIDList"]) {
                told_of.entry(id).or_default().push(endpoint.name.clone());
            }
            imported.endpoints.push(endpoint);
        }
    }
    for notification in items(&backup["notificationList"]).unwrap_or_default() {
        if let Some(notification) = self::notification(&notification, &told_of, &mut imported) {
            imported.notifications.push(notification);
        }
    }
    Ok(imported)
}

/// The items of a list, or of an object that has them by id.
fn items(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Sequence(items) => Some(items.clone()),
        Value::Mapping(items) => Some(items.values().cloned().collect()),
        _ => None,
    }
}

fn notification_ids(value: &Value) -> Vec<String> {
    match value {
        Value::Mapping(ids) => ids.iter().filter(|(_, on)| is_on(on)).map(|(id, _)| plain(id)).collect(),
        Value::Sequence(ids) => ids.iter().map(plain).collect(),
        _ => Vec::new(),
    }
}

fn endpoint(monitor: &Value, groups: &BTreeMap<i64, String>, imported: &mut Imported) -> Option<Endpoint> {
    let name = plain(&monitor["name"]);
    if is_on(&monitor["upsideDown"]) {
        imported.skip(&name, "it is upside down (up when there is no answer), which pongpong does not know");
        return None;
    }
    let mut endpoint = match plain(&monitor["type"]).as_str() {
        "http" | "keyword" | "json-query" => http(monitor, imported)?,
        kind => {
            let settings = serde_json::to_value(monitor).unwrap_or_default();
            let foreign = Foreign { tool: Tool::UptimeKuma, kind, settings: &settings };
            let Some(endpoint) = imported.endpoint(&name, &foreign) else {
                imported.skip(&name, format!("it is of type {kind}: pongpong checks {}", labels()));
                return None;
            };
            endpoint
        }
    };
    let number = |field: &str| monitor[field].as_f64().filter(|number| *number > 0.0);
    let interval = number("interval").unwrap_or(60.0);
    endpoint.name = name.clone();
    endpoint.interval_seconds = whole_seconds(interval);
    // Uptime Kuma's default: 80 % of the interval.
    endpoint.timeout_ms = milliseconds(number("timeout").unwrap_or(interval * 0.8));
    endpoint.enabled = monitor.get("active").is_none_or(is_on);
    let retries = number("maxretries").unwrap_or_default();
    endpoint.failure_threshold = whole_seconds(retries + 1.0);
    if retries > 0.0 && number("retryInterval").is_some_and(|seconds| (seconds - interval).abs() > 0.5) {
        imported.differs(&name, "retries come at the interval, not at a retry interval of their own");
    }
    let tags = items(&monitor["tags"]).unwrap_or_default();
    endpoint.tags = tags
        .iter()
        .map(|tag| match plain(&tag["value"]).as_str() {
            "" => plain(&tag["name"]),
            value => format!("{}:{value}", plain(&tag["name"])),
        })
        .chain(monitor["parent"].as_i64().and_then(|parent| groups.get(&parent).cloned()))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    for (is_so, what) in [
        (number("resendInterval").is_some(), "an outage is told of once, and not again while it lasts"),
        (!monitor["proxyId"].is_null(), "it is checked without the proxy"),
    ] {
        if is_so {
            imported.differs(&name, what);
        }
    }
    Some(endpoint)
}

fn http(monitor: &Value, imported: &mut Imported) -> Option<Endpoint> {
    let name = plain(&monitor["name"]);
    let mut endpoint = Endpoint { name, url: plain(&monitor["url"]), ..Endpoint::default() };
    if let Some(method) = monitor["method"].as_str() {
        set(&mut endpoint, "method", method.to_uppercase());
    }
    set(&mut endpoint, "verify_tls", !is_on(&monitor["ignoreTls"]));
    set(&mut endpoint, "follow_redirects", monitor["maxredirects"].as_i64() != Some(0));
    if monitor["expiryNotification"].as_bool() == Some(false) {
        set(&mut endpoint, "certificate_warning_days", 0);
    }
    let codes: Vec<_> =
        items(&monitor["accepted_statuscodes"]).unwrap_or_default().iter().map(plain).collect();
    let codes = if codes.is_empty() { "200-299".to_owned() } else { codes.join(",") };
    set(&mut endpoint, "expected_status", codes);
    request(monitor, &mut endpoint, imported)?;
    judgement(monitor, &mut endpoint, imported);
    Some(endpoint)
}

fn request(monitor: &Value, endpoint: &mut Endpoint, imported: &mut Imported) -> Option<()> {
    let name = endpoint.name.clone();
    // Uptime Kuma keeps the headers as JSON within a text.
    let headers = plain(&monitor["headers"]);
    match serde_json::from_str::<BTreeMap<String, Value>>(&headers) {
        Ok(headers) => headers.iter().for_each(|(name, value)| set_header(endpoint, name, plain(value))),
        Err(_) if headers.trim().is_empty() => {}
        Err(_) => imported.differs(&name, "its headers are no JSON object, and left out"),
    }
    if let Some(body) = monitor["body"].as_str().filter(|body| !body.is_empty()) {
        set(endpoint, "body", body);
        let kind = match monitor["httpBodyEncoding"].as_str() {
            Some("xml") => "text/xml; charset=utf-8",
            Some("form") => {
                imported.differs(&name, "its body is sent as it stands, not turned into a form");
                "application/x-www-form-urlencoded"
            }
            _ => "application/json",
        };
        if !has_header(endpoint, "Content-Type") {
            set_header(endpoint, "Content-Type", kind);
        }
    }
    let (user, password) = (plain(&monitor["basic_auth_user"]), plain(&monitor["basic_auth_pass"]));
    let has_login = !user.is_empty() || !password.is_empty();
    match monitor["authMethod"].as_str() {
        // As in Uptime Kuma, an explicit header takes precedence.
        Some("basic") | None if has_login && !has_header(endpoint, "Authorization") => {
            set_header(endpoint, "Authorization", basic_auth(&user, &password));
        }
        Some(method @ ("ntlm" | "mtls" | "oauth2-cc")) => {
            imported.skip(&name, format!("it logs in by {method}, which pongpong cannot"));
            return None;
        }
        _ => {}
    }
    Some(())
}

fn judgement(monitor: &Value, endpoint: &mut Endpoint, imported: &mut Imported) {
    let kind = plain(&monitor["type"]);
    if kind == "keyword" {
        let value = plain(&monitor["keyword"]);
        let is_inverted = is_on(&monitor["invertKeyword"]);
        let comparison = if is_inverted { Comparison::NotContains } else { Comparison::Contains };
        endpoint.assertions.push(Assertion::of("body", comparison, value));
    }
    if kind == "json-query" {
        let (query, expected) = (plain(&monitor["jsonPath"]), plain(&monitor["expectedValue"]));
        let comparison = match monitor["jsonPathOperator"].as_str() {
            None | Some("==") => Some(Comparison::Equals),
            Some("!=") => Some(Comparison::NotEquals),
            Some("<") => Some(Comparison::LessThan),
            Some("<=") => Some(Comparison::LessOrEqual),
            Some(">") => Some(Comparison::GreaterThan),
            Some(">=") => Some(Comparison::GreaterOrEqual),
            Some("contains") => Some(Comparison::Contains),
            Some(_) => None,
        };
        match (path(&query), comparison) {
            (Some(path), Some(comparison)) => {
                let value: serde_json::Value =
                    serde_json::from_str(&expected).unwrap_or_else(|_| expected.into());
                endpoint.assertions.push(Assertion::of_json(&path, comparison, value));
            }
            _ => imported.differs(
                &endpoint.name,
                format!("the JSON query `{query}` is left out: only plain paths can be turned"),
            ),
        }
    }
}

/// Converts JSONata's plain paths (`data.list[0].status`) to JSONPath by prefixing `$.`.
fn path(query: &str) -> Option<String> {
    let query = query.trim();
    let plain = query.strip_prefix("$.").or_else(|| query.strip_prefix('$')).unwrap_or(query);
    let is_plain = plain.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]".contains(c));
    match plain {
        "" => Some("$".to_owned()),
        plain if !is_plain || plain.starts_with('.') => None,
        plain if plain.starts_with('[') => Some(format!("${plain}")),
        plain => Some(format!("$.{plain}")),
    }
}

fn notification(
    notification: &Value,
    told_of: &BTreeMap<String, Vec<String>>,
    imported: &mut Imported,
) -> Option<Notification> {
    let name = plain(&notification["name"]);
    // Again JSON within a text.
    let config = notification["config"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(config) = config else {
        imported.skip(&name, "its config cannot be read");
        return None;
    };
    let kind = plain(&config["type"]);
    let settings = serde_json::to_value(&config).unwrap_or_default();
    let foreign = Foreign { tool: Tool::UptimeKuma, kind: &kind, settings: &settings };
    let ours = imported.notification(&name, &foreign)?;
    let endpoints = told_of.get(&plain(&notification["id"])).cloned().unwrap_or_default();
    if endpoints.is_empty() {
        imported.skip(&name, "none of the endpoints uses it");
        return None;
    }
    Some(Notification {
        name,
        endpoints: Some(endpoints),
        enabled: notification.get("active").is_none_or(is_on),
        ..ours
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_turned() {
        for (query, ours) in [
            ("status", Some("$.status")),
            ("$.data.list[0].up", Some("$.data.list[0].up")),
            ("[0].name", Some("$[0].name")),
            ("$", Some("$")),
            ("$count(items)", None),
            ("items[price > 3]", None),
        ] {
            assert_eq!(path(query).as_deref(), ours, "{query}");
        }
    }
}
