//! `pong import`: files in the form that each system documents.

use std::path::Path;

use serde_json::{Value, json};

use crate::world::{Ran, World};

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name).display().to_string()
}

impl World {
    async fn import(&self, line: &str, more: &[&str]) -> Ran {
        let mut command = self.pong(["import", "--from"]);
        command.args(line.split_whitespace()).args(more);
        command.env("API_URL", "https://api.example.org").env("API_TOKEN", "t");
        self.run(command, "").await
    }

    /// Applies an import twice: the second time changes nothing. Returns the endpoints.
    async fn applied(&self, line: &str) -> Vec<Value> {
        self.import(line, &["--apply"]).await.does();
        assert!(self.import(line, &["--apply"]).await.does().starts_with("Nothing to change"));
        self.json("endpoint list --sort name").await.as_array().unwrap().clone()
    }
}

fn object(yaml: &str, section: &str, name: &str) -> Value {
    let document: Value = serde_norway::from_str(yaml).unwrap();
    document[section].as_array().unwrap().iter().find(|object| object["name"] == name).unwrap().clone()
}

/// Requests that may change something on a server must not be retried.
fn assert_repeats(endpoints: &[Value]) {
    assert!(endpoints.iter().any(|endpoint| endpoint["config"]["method"] == "POST"));
    for endpoint in endpoints {
        assert_eq!(endpoint["retries"], i32::from(endpoint["config"]["method"] != "POST"), "{endpoint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_uptime_kuma() {
    let world = World::new().await;
    let line = format!("uptime-kuma {}", file("uptime-kuma.json"));
    let ran = world.import(&line, &[]).await;
    assert_eq!(
        object(&ran.out, "endpoints", "Shop"),
        json!({
            "name": "Shop", "url": "https://shop.example.com/",
            "config": {
                "headers": {"X-Probe": "$${kuma}"}, "secret_headers": {"Authorization": "Basic cHJvYmU6c2VjcmV0"},
                "expected_status": "200-299,401",
            },
            "interval_seconds": 120, "timeout_ms": 20000, "failure_threshold": 3, "tags": ["Shop-team", "env:prod"],
        })
    );
    assert_eq!(
        object(&ran.out, "endpoints", "Checkout"),
        json!({
            "name": "Checkout", "url": "https://shop.example.com/checkout",
            "config": {
                "method": "POST", "headers": {"Content-Type": "application/json"}, "body": "{\"item\": 1}",
                "expected_status": "200-299", "follow_redirects": false, "verify_tls": false,
            },
            "timeout_ms": 48000,
            "assertions": [{"fact": "body", "comparison": "not_contains", "value": "sold out"}],
            "failure_threshold": 1, "enabled": false, "tags": ["Shop-team", "paid"],
        })
    );
    let queue = object(&ran.out, "endpoints", "Queue");
    assert_eq!(
        queue["assertions"],
        json!([{"fact": "json", "path": "$.data.waiting", "comparison": "equals", "value": 0}])
    );
    assert_eq!(
        object(&ran.out, "endpoints", "Mail port"),
        json!({
            "name": "Mail port", "url": "tcp://mail.example.com:25", "timeout_ms": 48000, "tags": ["Shop-team"],
        })
    );
    let mail = object(&ran.out, "notifications", "Night mail");
    assert_eq!(
        (&mail["config"]["to"][1], &mail["endpoints"]),
        (&"boss@example.com".into(), &json!(["Shop", "Mail port"]))
    );
    assert_eq!(object(&ran.out, "notifications", "Team chat")["endpoints"], json!(["Shop", "Checkout"]));
    for part in [
        "skipped  Router: it is of type ping: pongpong checks HTTP, TCP",
        "skipped  Database: it is of type postgres",
        "skipped  Backup: it is of type push",
        "skipped  Must be away: it is upside down",
        "skipped  Intranet: it logs in by ntlm",
        "skipped  Phones: notifications by telegram",
        "differs  Shop: retries come at the interval",
        "differs  Checkout: an outage is told of once",
        "differs  Sum: the JSON query `$sum(items.price)` is left out",
        "differs  Shop team: a group becomes a tag",
        "5 endpoints and 2 notifications; 6 skipped",
    ] {
        assert!(ran.err.contains(part), "{part} is missing: {}", ran.err);
    }
    let endpoints = world.applied(&line).await;
    assert_eq!(endpoints.len(), 5);
    let named = |name| endpoints.iter().find(|endpoint| endpoint["name"] == name).unwrap();
    assert_eq!(named("Shop")["config"]["headers"]["X-Probe"], "${kuma}");
    assert_eq!(named("Shop")["config"]["secret_headers"], json!({"Authorization": "…"}));
    assert_eq!(named("Mail port")["kind"], "tcp");
    assert_repeats(&endpoints);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_gatus() {
    let world = World::new().await;
    let line = format!("gatus {}", file("gatus.yaml"));
    let ran = world.import(&line, &[]).await;
    assert_eq!(
        object(&ran.out, "endpoints", "website"),
        json!({
            "name": "website", "url": "https://example.org/health", "interval_seconds": 300,
            "config": {"expected_status": "200"},
            "assertions": [
                {"fact": "json", "path": "$.status", "comparison": "equals", "value": "UP"},
                {"fact": "total_ms", "comparison": "less_than", "value": 300},
                {"fact": "certificate_days_left", "comparison": "greater_or_equal", "value": 2},
            ],
            "failure_threshold": 3, "success_threshold": 2, "tags": ["core"],
        })
    );
    let beta = object(&ran.out, "endpoints", "beta team/website");
    assert_eq!(
        (&beta["config"]["expected_status"], &beta["tags"]),
        (&"100-399".into(), &json!(["beta-team"]))
    );
    assert_eq!(
        beta["assertions"],
        json!([{"fact": "body", "comparison": "contains", "value": "<h1>Welcome</h1>"}])
    );
    let api = object(&ran.out, "endpoints", "api");
    assert_eq!((&api["url"], &api["timeout_ms"]), (&"${API_URL}/graphql".into(), &3000.into()));
    assert_eq!(
        api["config"],
        json!({
            "method": "POST", "headers": {"X-Price": "5$", "Content-Type": "application/json"},
            "secret_headers": {"Authorization": "Bearer ${API_TOKEN}"},
            "body": json!({"query": "{ users { id } }\n"}).to_string(), "verify_tls": false,
            "expected_status": "200,204", "follow_redirects": false,
        })
    );
    assert_eq!(
        object(&ran.out, "endpoints", "cache"),
        json!({
            "name": "cache", "url": "tcp://cache.example.org:6379", "interval_seconds": 30, "tags": ["core"],
            "assertions": [{"fact": "total_ms", "comparison": "less_than", "value": 200}],
        })
    );
    assert_eq!(object(&ran.out, "endpoints", "paused")["enabled"], false);
    assert_eq!(object(&ran.out, "notifications", "slack")["endpoints"], json!(["website"]));
    assert_eq!(
        object(&ran.out, "notifications", "email")["config"]["to"],
        json!(["oncall@example.com", "boss@example.com"])
    );
    for part in [
        "differs  api: the condition `len([BODY].data.users) > 0` is left out",
        "differs  api: client.proxy-url is left out",
        "differs  paused: interval_seconds 5 became 10",
        "skipped  dns: it is checked by dns",
        "skipped  gateway: it is checked by icmp: pongpong checks HTTP, TCP",
        "differs  cache: the condition `[BODY] == pat(*PONG*)` is left out",
        "skipped  external-endpoints: ",
        "skipped  alerting.pagerduty: ",
    ] {
        assert!(ran.err.contains(part), "{part} is missing: {}", ran.err);
    }
    let endpoints = world.applied(&line).await;
    assert_eq!((endpoints.len(), &endpoints[0]["url"]), (5, &"https://api.example.org/graphql".into()));
    assert_repeats(&endpoints);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_prometheus_with_the_blackbox_exporter() {
    let world = World::new().await;
    let line = format!("blackbox {} --modules {}", file("prometheus.yml"), file("blackbox.yml"));
    let out = world.path("out.yaml");
    let ran = world.import(&line, &["-o", out.to_str().unwrap()]).await;
    let text = std::fs::read_to_string(&out).unwrap();
    assert_eq!(
        object(&text, "endpoints", "example.org/health"),
        json!({
            "name": "example.org/health", "url": "http://example.org/health", "interval_seconds": 30,
            "timeout_ms": 8000, "config": {"expected_status": "200-299"}, "tags": ["env:prod", "websites"],
        })
    );
    assert_eq!(
        object(&text, "endpoints", "login.example.com/session"),
        json!({
            "name": "login.example.com/session", "url": "https://login.example.com/session",
            "config": {
                "method": "POST", "headers": {"Content-Type": "application/json"},
                "secret_headers": {"Authorization": "Basic cHJvYmU6c2VjcmV0"}, "body": "{\"user\": \"probe\"}",
                "expected_status": "200-201,302", "follow_redirects": false, "verify_tls": false, "legacy_tls": true,
            },
            "interval_seconds": 120, "timeout_ms": 5000,
            "assertions": [
                {"fact": "body", "comparison": "not_matches", "value": "maintenance"},
                {"fact": "body", "comparison": "not_matches", "value": "err(or)?"},
                {"fact": "body", "comparison": "matches", "value": "token[0-9]+"},
                {"fact": "header", "name": "Content-Type", "comparison": "matches", "value": "application/json"},
                {"fact": "header", "name": "X-Version", "comparison": "matches", "value": "^v[0-9]"},
            ],
            "tags": ["login"],
        })
    );
    assert_eq!(
        object(&text, "endpoints", "192.0.2.1:22"),
        json!({
            "name": "192.0.2.1:22", "url": "tcp://192.0.2.1:22", "interval_seconds": 30, "timeout_ms": 8000,
            "tags": ["ports"],
        })
    );
    for part in [
        "skipped  job node: it has no parameter `module`",
        "skipped  job pings: its module icmp is of icmp: pongpong checks HTTP, TCP",
        "skipped  job discovered: targets of file_sd_configs are not in the file",
        "differs  module http_login: tls_config.ca_file is left out",
        "differs  module http_login: http.valid_http_versions is left out",
        "4 endpoints and 0 notifications",
        "pong apply -f ",
    ] {
        assert!(ran.err.contains(part), "{part} is missing: {}", ran.err);
    }
    let endpoints = world.applied(&line).await;
    assert_eq!(endpoints.len(), 4);
    assert_repeats(&endpoints);
    let unknown = world.import(&format!("blackbox {}", file("prometheus.yml")), &[]).await;
    assert!(
        unknown.err.contains("skipped  job login: its module http_login is not known"),
        "{}",
        unknown.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_another_system_is_refused() {
    let world = World::empty().await;
    for (line, part) in [
        (format!("uptime-kuma {}", file("gatus.yaml")), "it is not JSON"),
        (format!("gatus {}", file("prometheus.yml")), "it has no endpoints"),
        (format!("blackbox {}", file("gatus.yaml")), "it has no scrape_configs"),
        (format!("gatus {} --modules {}", file("gatus.yaml"), file("blackbox.yml")), "--modules is only for"),
        (format!("gatus {} --dry-run", file("gatus.yaml")), "Together with --apply"),
        ("nagios x".to_owned(), "invalid value 'nagios'"),
        ("gatus /nowhere".to_owned(), "cannot read /nowhere"),
    ] {
        world.import(&line, &[]).await.fails(2, &[part]);
    }
}
