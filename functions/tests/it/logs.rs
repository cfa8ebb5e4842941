//! The log format of a function fits the configuration of infra/logging.

use serde_json::{Map, Value};

use crate::process::Running;

const FLUENT_BIT: &str = include_str!("../../../infra/logging/config/fluent-bit.yml");
const TEMPLATE: &str = include_str!("../../../infra/logging/config/index-template.json");

fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "keyword" | "match_only_text" => value.is_string(),
        "long" => value.is_i64(),
        "short" => value.as_i64().is_some_and(|n| i16::try_from(n).is_ok()),
        "date_nanos" => value.as_str().is_some_and(|time| chrono::DateTime::parse_from_rfc3339(time).is_ok()),
        other => panic!("the index template has a new type, {other}"),
    }
}

/// A line as Fluent Bit's filters leave it.
fn filtered(line: &str) -> Map<String, Value> {
    let Value::Object(mut record) = serde_json::from_str(line).unwrap() else { panic!("{line}") };
    let time = record.remove("timestamp").unwrap();
    record.insert("@timestamp".to_owned(), time);
    if let Some(Value::Object(span)) = record.remove("span") {
        record.extend(span);
    }
    record.remove("name");
    record
}

#[tokio::test]
async fn every_field_of_a_line_is_one_that_can_be_searched_by() {
    for needed in ["time_key: timestamp", "nested_under: span", "remove_key: [name, "] {
        assert!(FLUENT_BIT.contains(needed), "{needed} is not done any more: see filtered()");
    }
    let template: Value = serde_json::from_str(TEMPLATE).unwrap();
    let fields = template["template"]["mappings"]["properties"].as_object().unwrap();

    // A function without its database logs its start, requests, failures and stop.
    runtime::install_crypto();
    let nowhere = [("DATABASE_URL", "postgres://nobody:nothing@127.0.0.1:1/nowhere")];
    let running = Running::start(&["endpoint-private-list"], &nowhere).await;
    for path in ["/private/v1/endpoints?per_page=nonsense", "/private/v1/endpoints", "/ready"] {
        let answer = reqwest::get(format!("{}{path}", running.url)).await.unwrap();
        assert!(!answer.status().is_success(), "{path}");
    }
    running.terminate();
    let said = String::from_utf8(running.ended().await.stdout).unwrap();

    let mut seen = Map::new();
    for line in said.lines() {
        for (field, value) in filtered(line) {
            let kind =
                fields.get(&field).unwrap_or_else(|| panic!("the index template has no {field}: {line}"));
            assert!(fits(kind["type"].as_str().unwrap(), &value), "{field}: {line}");
            seen.insert(field, value);
        }
    }
    for field in ["@timestamp", "level", "function", "version", "trace_id", "message"] {
        assert!(seen.contains_key(field), "{field}");
    }
    for field in ["method", "path", "status", "duration_ms", "error"] {
        assert!(seen.contains_key(field), "{field}");
    }
}

#[test]
fn a_file_s_name_tells_pod_and_container() {
    let start = "regex: ";
    let pattern = FLUENT_BIT.lines().find_map(|line| line.trim().strip_prefix(start)).unwrap();
    let pattern = regex::Regex::new(pattern).unwrap();
    let id = "0123456789abcdef".repeat(4);
    let name =
        format!("/var/log/containers/check-run-00001-deployment-7d9f-x2x5v_pongpong_user-container-{id}.log");
    let found = pattern.captures(&name).unwrap();
    assert_eq!(&found["pod"], "check-run-00001-deployment-7d9f-x2x5v");
    assert_eq!(&found["container"], "user-container");
}
