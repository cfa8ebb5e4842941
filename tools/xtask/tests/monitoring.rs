//! Checks the queries and alerts of infra/monitoring: Prometheus accepts the PromQL, the metrics exist, and
//! alerts fire exactly when they should. `promtool` is in Debian's package `prometheus`.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use regex::Regex;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn yaml(path: &str) -> Value {
    serde_norway::from_str(&read(path)).unwrap()
}

fn promtool(arguments: &[&str], file: &Value) {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(root().join("infra/monitoring/config/rules.yml"), folder.path().join("rules.yml")).unwrap();
    // JSON is YAML.
    fs::write(folder.path().join("file.yml"), file.to_string()).unwrap();
    let output = Command::new("promtool")
        .args(arguments)
        .arg("file.yml")
        .current_dir(&folder)
        .output()
        .expect("promtool of Debian's package prometheus (make test-packages)");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn dashboards() -> Vec<(String, Value)> {
    let mut found: Vec<_> = fs::read_dir(root().join("infra/monitoring/dashboards"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// The queries of the dashboards, with Grafana's variables replaced.
fn dashboard_queries() -> Vec<String> {
    let mut queries = Vec::new();
    for (_, dashboard) in dashboards() {
        for target in list(&dashboard["panels"]).iter().flat_map(|panel| list(&panel["targets"])) {
            queries.push(text(&target["expr"]).replace("$__rate_interval", "5m").replace("$function", ".*"));
        }
    }
    queries
}

fn alerts() -> Vec<Value> {
    let rules = yaml("infra/monitoring/config/rules.yml");
    list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"]).to_vec()).collect()
}

#[test]
fn prometheus_accepts_its_rules_and_the_queries_of_dashboards() {
    promtool(&["check", "rules"], &yaml("infra/monitoring/config/rules.yml"));
    let recorded: Vec<_> = dashboard_queries()
        .iter()
        .enumerate()
        .map(|(i, expr)| json!({"record": format!("query:{i}"), "expr": expr}))
        .collect();
    assert!(recorded.len() > 40);
    promtool(&["check", "rules"], &json!({"groups": [{"name": "dashboards", "rules": recorded}]}));
}

#[test]
fn prometheus_accepts_its_configuration() {
    let mut config = yaml("infra/monitoring/config/prometheus.yml");
    for job in config["scrape_configs"].as_array_mut().unwrap() {
        // Debian's Prometheus is built without Kubernetes service discovery; our configuration uses only this
        // much of it.
        let job = job.as_object_mut().unwrap();
        for search in list(&job.remove("kubernetes_sd_configs").unwrap_or_default()) {
            let namespaces = &search["namespaces"]["names"];
            assert_eq!(*search, json!({"role": "pod", "namespaces": {"names": namespaces}}));
            assert!(!list(namespaces).is_empty());
        }
    }
    promtool(&["check", "config"], &config);
}

#[test]
fn every_metric_that_is_asked_for_exists() {
    let documented = read("docs/metrics.md");
    let state_metrics = read("infra/monitoring/kube-state-metrics.yaml");
    let allowed =
        Regex::new("--metric-allowlist=(.*)").unwrap().captures(&state_metrics).unwrap()[1].to_owned();
    let allowed: BTreeSet<_> = allowed.split(',').collect();
    let name = Regex::new(r"\b(?:pongpong|http_server|messaging|kube)_[a-z_]+\b").unwrap();
    let quoted = Regex::new(r#""[^"]*""#).unwrap();
    let mut asked = dashboard_queries();
    asked.extend(alerts().iter().map(|alert| text(&alert["expr"]).to_owned()));
    let mut state = BTreeSet::new();
    for query in &asked {
        let without_values = quoted.replace_all(query, "");
        for metric in name.find_iter(&without_values).map(|found| found.as_str()) {
            if metric.starts_with("kube_") {
                state.insert(metric.to_owned());
                continue;
            }
            let part = ["_bucket", "_count", "_sum"].iter().find_map(|part| metric.strip_suffix(part));
            let known = |metric| documented.contains(&format!("`{metric}`"));
            assert!(known(metric) || part.is_some_and(known), "docs/metrics.md has no {metric}: {query}");
        }
    }
    assert_eq!(state.iter().map(String::as_str).collect::<BTreeSet<_>>(), allowed);
}

#[test]
fn a_dashboard_is_shown_and_each_panel_asks_one_question_in_a_unit() {
    let kustomization = read("infra/monitoring/kustomization.yaml");
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(kustomization.contains(&format!("dashboards/{name}")), "{name} is not shown");
        assert!(uids.insert(text(&dashboard["uid"]).to_owned()), "{name}");
        let mut titles = BTreeSet::new();
        let mut places = BTreeSet::new();
        for panel in list(&dashboard["panels"]) {
            let title = text(&panel["title"]);
            assert!(titles.insert(title), "{name}: {title} is there twice");
            assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty());
            assert_eq!(panel["datasource"]["uid"], "prometheus");
            let side = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(side("x") + side("w") <= 24);
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(places.insert((x, y)), "{name}: {title} covers another panel");
                }
            }
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_is_explained() {
    let explained = read("docs/watch.md");
    for alert in alerts() {
        let name = text(&alert["alert"]);
        assert!(["page", "warning", "none"].contains(&text(&alert["labels"]["severity"])), "{name}");
        assert!(!text(&alert["annotations"]["summary"]).is_empty());
        assert!(explained.contains(&format!("**{name}**")), "docs/watch.md does not explain {name}");
    }
}

const CHECKS: &str = r#"pongpong_checks_total{status="up",region="default",instance="a"}"#;
const REQUESTED: &str = r#"pongpong_checks_requested_total{by="check-schedule",instance="b"}"#;
const RECORDED: &str = r#"pongpong_checks_recorded_total{outcome="new",instance="c"}"#;
const MISSED: &str = r#"pongpong_checks_missed_total{reason="too_late",instance="a"}"#;
const LAG_10: &str = r#"pongpong_schedule_lag_seconds_bucket{region="default",le="10.0"}"#;
const LAG_30: &str = r#"pongpong_schedule_lag_seconds_bucket{region="default",le="30.0"}"#;
const LAG_ALL: &str = r#"pongpong_schedule_lag_seconds_bucket{region="default",le="+Inf"}"#;
const NEXT_RUN: &str = r#"kube_cronjob_next_schedule_time{namespace="pongpong",cronjob="check-schedule"}"#;
const LAST_RUN: &str =
    r#"kube_cronjob_status_last_schedule_time{namespace="pongpong",cronjob="check-schedule"}"#;
const SUCCESS: &str =
    r#"kube_cronjob_status_last_successful_time{namespace="pongpong",cronjob="check-schedule"}"#;
const DEAD: &str =
    r#"pongpong_dead_letters_total{destination="report-record",cloudevents_event_type="other"}"#;
const DELIVERED: &str = r#"pongpong_notifications_total{channel="email",outcome="delivered"}"#;
const FAILED: &str = r#"pongpong_notifications_total{channel="email",outcome="failed"}"#;
const REGION_OUTAGES: &str = r#"pongpong_region_outages_total{region="default",scope="region",instance="a"}"#;
const REGION_OUTAGES_OF_ONE: &str =
    r#"pongpong_region_outages_total{region="default",scope="user",instance="a"}"#;
const REQUESTS: &str = r#"http_server_request_duration_seconds_count{job="pongpong/key-list",faas_name="key-list",http_response_status_code="200"}"#;
const ERRORS: &str = r#"http_server_request_duration_seconds_count{job="pongpong/key-list",faas_name="key-list",http_response_status_code="500"}"#;
const EVENTS: &str = r#"messaging_process_duration_seconds_count{job="pongpong/check-run",faas_name="check-run",http_response_status_code="200"}"#;
const REFUSED: &str = r#"messaging_process_duration_seconds_count{job="pongpong/check-run",faas_name="check-run",http_response_status_code="503"}"#;
const SENT: &str =
    r#"kn_eventing_dispatch_duration_seconds_count{component="filter",http_response_status_code="202"}"#;
const SENT_AGAIN: &str =
    r#"kn_eventing_dispatch_duration_seconds_count{component="filter",http_response_status_code="502"}"#;
const KAFKA: &str =
    r#"kn_eventing_dispatch_latency_ms_count{component="dispatcher",http_response_status_code="200"}"#;
const KAFKA_AGAIN: &str =
    r#"kn_eventing_dispatch_latency_ms_count{component="dispatcher",http_response_status_code="503"}"#;
const NOT_READY: &str =
    r#"kube_pod_status_ready{namespace="pongpong",pod="web-1",function="web",condition="false"}"#;
const KONG: &str = r#"kong_http_requests_total{code="200"}"#;
const KONG_ERRORS: &str = r#"kong_http_requests_total{code="503"}"#;
const KONG_UP: &str = r#"up{job="kong",pod="kong-1"}"#;
const KONG_DATABASE: &str = r#"kong_datastore_reachable{pod="kong-1"}"#;
const POSTGRES: &str =
    r#"kube_statefulset_status_replicas_ready{namespace="pongpong",statefulset="postgres"}"#;
const COLLECTOR_UP: &str = r#"up{job="otel-collector",instance="otel-collector:8889"}"#;
const ENGINE_UP: &str = r#"up{job="pongpong/pongpong",instance="localhost:8001"}"#;

/// Series with a value for each minute, in promtool's notation.
type Series = &'static [(&'static str, &'static str)];

/// An hour and a half without problems, one value a minute; a few errors are normal.
const GOOD: Series = &[
    (CHECKS, "0+100x90"),
    (REQUESTED, "0+100x90"),
    (RECORDED, "0+100x90"),
    (MISSED, "0x90"),
    (LAG_10, "0+100x90"),
    (LAG_30, "0+100x90"),
    (LAG_ALL, "0+100x90"),
    (NEXT_RUN, "60+60x90"),
    (LAST_RUN, "0+60x90"),
    (SUCCESS, "0+60x90"),
    (DEAD, "3x90"),
    (DELIVERED, "0+5x90"),
    (FAILED, "0+1x90"),
    (REGION_OUTAGES, "2x90"),
    (REGION_OUTAGES_OF_ONE, "0+1x90"),
    (REQUESTS, "0+100x90"),
    (ERRORS, "0+1x90"),
    (EVENTS, "0+100x90"),
    (REFUSED, "0+1x90"),
    (SENT, "0+100x90"),
    (SENT_AGAIN, "0+1x90"),
    (KAFKA, "0+100x90"),
    (KAFKA_AGAIN, "0+1x90"),
    (NOT_READY, "0x90"),
    (KONG, "0+100x90"),
    (KONG_ERRORS, "0+1x90"),
    (KONG_UP, "1x90"),
    (KONG_DATABASE, "1x90"),
    (POSTGRES, "1x90"),
    (COLLECTOR_UP, "1x90"),
];

/// Faults that replace these series, and the only alerts that fire after an hour.
const BAD: &[(Series, &[&str])] = &[
    (&[], &[]),
    (&[(CHECKS, "0+100x50 5000x40")], &["NoChecks"]),
    (&[(CHECKS, "_x90")], &["NoChecks"]),
    (&[(MISSED, "0x50 2x40")], &["ChecksMissed"]),
    (&[(RECORDED, "0+80x90")], &["ChecksLost"]),
    // All results arrived, except missed checks; or all endpoints were paused half an hour ago.
    (&[(RECORDED, "0+80x90"), (MISSED, "0+20x90")], &["ChecksMissed"]),
    (&[(REQUESTED, "0+100x29 2900x61"), (RECORDED, "0+100x30 3000x60")], &[]),
    (&[(LAG_10, "0+90x90")], &["ChecksLate"]),
    (&[(NEXT_RUN, "60+60x40 2460x50")], &["ScheduleNotRun"]),
    (&[(SUCCESS, "0+60x40 2400x50")], &["ScheduleNotRun"]),
    (&[(DEAD, "3x50 4x40")], &["DeadLetters"]),
    (&[(DELIVERED, "0x90")], &["NotificationsFailing"]),
    (&[(REGION_OUTAGES, "2x50 3x40")], &["RegionOutage"]),
    (&[(REGION_OUTAGES, "_x50 28x40")], &["RegionOutage"]),
    (&[(REGION_OUTAGES, "_x90"), (REGION_OUTAGES_OF_ONE, "_x50 28x40")], &[]),
    (&[(ERRORS, "0+10x90")], &["FunctionErrors"]),
    (&[(REFUSED, "0+10x90")], &["DeliveriesFailing"]),
    (&[(SENT_AGAIN, "0+10x90")], &["BrokerRetries"]),
    (&[(KAFKA_AGAIN, "0+10x90")], &["BrokerRetries"]),
    (&[(NOT_READY, "1x90")], &["FunctionsNotReady"]),
    (&[(KONG_ERRORS, "0+10x90")], &["GatewayErrors"]),
    (&[(KONG_UP, "_x90")], &["GatewayGone"]),
    (&[(KONG_UP, "0x90")], &["GatewayGone", "TargetDown"]),
    (&[(COLLECTOR_UP, "0x90")], &["TargetDown"]),
    (&[(KONG_UP, "_x90"), (ENGINE_UP, "1x90")], &[]),
    (&[(KONG_UP, "_x90"), (ENGINE_UP, "0x90")], &["TargetDown"]),
    (&[(KONG_DATABASE, "0x90")], &["DatabaseNotReady"]),
    (&[(KONG_DATABASE, "_x90"), (POSTGRES, "0x90")], &["DatabaseNotReady"]),
];

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    let mut fired: BTreeSet<_> = ["Watchdog"].into();
    let mut tests = Vec::new();
    for (wrong, who) in BAD {
        fired.extend(*who);
        let mut series: BTreeMap<_, _> = GOOD.iter().copied().collect();
        series.extend(wrong.iter().copied());
        let series: Vec<_> =
            series.iter().map(|(series, values)| json!({"series": series, "values": values})).collect();
        let expected: Vec<_> = ["Watchdog"]
            .iter()
            .chain(*who)
            .map(|alert| json!({"labels": format!("{{alertname=\"{alert}\"}}"), "value": 1}))
            .collect();
        tests.push(json!({
            "interval": "1m",
            "input_series": series,
            "promql_expr_test": [{
                "expr": r#"group by (alertname) (ALERTS{alertstate="firing"})"#,
                "eval_time": "1h",
                "exp_samples": expected,
            }],
        }));
    }
    let names: Vec<_> = alerts().iter().map(|alert| text(&alert["alert"]).to_owned()).collect();
    assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), fired, "who is not tried?");
    promtool(
        &["test", "rules"],
        &json!({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}),
    );
}
