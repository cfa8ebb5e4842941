//! Debian's Prometheus scrapes a running engine as docs/metrics.md describes. Then it is asked all queries of
//! our dashboards and rules, and of dashboards made for blackbox_exporter.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    story::{Engine, Story},
    world::Database,
};

const TOKEN: &str = "the-admin-token";

/// Metrics that only a cluster has, and where they come from.
const OF_A_CLUSTER: [(&str, &str); 3] = [
    ("kube_", "kube-state-metrics: pods, CronJobs, requested resources"),
    ("kn_", "Knative: scaling, its broker"),
    ("kong_", "Kong: the engine is the gateway itself"),
];
/// Metrics that only appear during problems that the story does not have.
const OF_TROUBLE: [(&str, &str); 4] = [
    ("pongpong_region_outages_total", "a region has an outage"),
    (r#"http_response_status_code=~"5..""#, "a function answers a person with 5xx"),
    (r#"http_response_status_code=~"5..|404|408|409|429""#, "a function refuses an event"),
    (r#"ALERTS{alertstate="firing",alertname!="Watchdog"}"#, "an alert fires"),
];

struct Prometheus {
    process: Child,
    url: String,
    client: reqwest::Client,
    _data: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Prometheus {
    fn start(engine: &Engine) -> Self {
        let data = tempfile::tempdir().unwrap();
        let token = data.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        let docs = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
        let (_, rest) = docs.split_once("<!-- scrape -->\n```yaml\n").unwrap();
        let written = rest.split_once("```").unwrap().0;
        let told = written
            .replace("/etc/prometheus/pongpong.token", token.to_str().unwrap())
            .replace("localhost:8001", engine.admin.trim_start_matches("http://"));
        assert!(!told.contains("/etc/") && !told.contains(":8001"), "{told}");
        let mut config: Value = serde_norway::from_str(&told).unwrap();
        config["global"] =
            json!({"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"});
        config["rule_files"] = json!([root().join("infra/monitoring/config/rules.yml")]);
        // JSON is YAML.
        std::fs::write(data.path().join("prometheus.yml"), config.to_string()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("prometheus")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"])
            .current_dir(data.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("Debian's package prometheus (make test-packages)");
        let url = format!("http://127.0.0.1:{port}");
        Self { process, url, client: reqwest::Client::new(), _data: data }
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let query = serde_html_form::to_string(parameters).unwrap();
        let answer = self.client.get(format!("{}{path}?{query}", self.url)).send().await.ok()?;
        let (status, text) = (answer.status(), answer.text().await.ok()?);
        // It answers 503 while it starts.
        if status.as_u16() == 503 {
            return None;
        }
        assert!(status.is_success(), "{parameters:?}: {text}");
        Some(serde_json::from_str::<Value>(&text).unwrap()["data"].clone())
    }

    /// The series of an answer: their labels, and their current values.
    async fn ask(&self, query: &str) -> Vec<(Value, f64)> {
        let Some(answer) = self.get("/api/v1/query", &[("query", query)]).await else { return Vec::new() };
        let number = |value: &Value| value[1].as_str().unwrap().parse().unwrap();
        match answer["resultType"].as_str() {
            Some("scalar") => vec![(Value::Null, number(&answer["result"]))],
            Some("vector") => {
                let series = answer["result"].as_array().unwrap();
                series.iter().map(|s| (s["metric"].clone(), number(&s["value"]))).collect()
            }
            other => panic!("{query}: {other:?}"),
        }
    }

    /// Waits until the answer fulfils a condition.
    async fn becomes(&self, query: &str, what: &str, is: impl Fn(&[(Value, f64)]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let seen = self.ask(query).await;
            if is(&seen) {
                return;
            }
            assert!(Instant::now() < deadline, "{query} is not {what}: {seen:?}");
            // Prometheus is another process with the real time.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for exactly one series with this value.
    async fn is(&self, query: &str, value: f64) {
        let near = |seen: &[(Value, f64)]| matches!(seen, [(_, it)] if (it - value).abs() < 1e-9);
        self.becomes(query, &value.to_string(), near).await;
    }
}

/// A client with the maximum number of connections is visible in the metric and in the log.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_refused_are_counted_and_told() {
    let mut story = Story::new(Database::Sqlite).await;
    story.home.settings.push(("KONG_ADMIN_TOKEN", TOKEN.to_owned()));
    story.home.settings.push(("MAX_CONNECTIONS_PER_ADDRESS", "2".to_owned()));
    let mut engine = story.home.start();
    let refused = async |engine: &Engine| {
        let request = reqwest::Client::new().get(format!("{}/metrics", engine.admin)).bearer_auth(TOKEN);
        let text = request.send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("pongpong_connections_refused_total "));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert_eq!(refused(&engine).await, "0");
    let mut open = Vec::new();
    for n in 0..5 {
        let mut stream = TcpStream::connect(engine.url.trim_start_matches("http://")).await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(stream.read_exact(&mut [0; 12]).await.is_ok(), n < 2, "connection {n}");
        open.push(stream);
    }
    assert_eq!(refused(&engine).await, "3");
    let told = engine.hears("MAX_CONNECTIONS_PER_ADDRESS");
    assert!(told.contains(r#""level":"WARN""#) && told.contains(r#""peer":"127.0.0.1:"#), "{told}");
}

/// The queries of the dashboards, with Grafana's variables replaced: place and query.
fn dashboard_queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(root().join("infra/monitoring/dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().unwrap();
                let query = query.replace("$__rate_interval", "5m").replace("$function", ".*");
                queries.push((format!("{}: {}", dashboard["title"], panel["title"]), query));
            }
        }
    }
    assert!(queries.len() > 40);
    queries
}

/// Queries of Grafana's 7587 (Prometheus Blackbox Exporter) and 13659 (Blackbox Exporter, HTTP prober) with
/// all endpoints selected, and their number of series: three endpoints, one of them with TLS.
const OF_BLACKBOX: [(&str, usize); 17] = [
    (r#"probe_duration_seconds{instance=~"$target"}"#, 3),
    (r#"probe_http_duration_seconds{instance=~"$target"}"#, 15),
    (r#"probe_success{instance=~"$target"}"#, 3),
    (r#"probe_http_status_code{instance=~"$target"}"#, 3),
    (r#"probe_http_version{instance=~"$target"}"#, 0),
    (r#"probe_http_ssl{instance=~"$target"}"#, 3),
    (r#"probe_ssl_earliest_cert_expiry{instance=~"$target"} - time()"#, 1),
    (r#"avg(probe_duration_seconds{instance=~"$target"})"#, 1),
    (r#"avg(probe_dns_lookup_time_seconds{instance=~"$target"})"#, 1),
    (r#"probe_http_ssl{job=~"$job", instance=~"$instance"} > 0"#, 1),
    (r#"(probe_ssl_earliest_cert_expiry{job=~"$job", instance=~"$instance"} - time()) / 3600 / 24"#, 1),
    (r#"probe_http_status_code{job=~"$job", instance=~"$instance"} > 0"#, 3),
    (r#"avg_over_time(probe_duration_seconds{job=~"$job", instance=~"$instance"}[1m])"#, 3),
    (r#"probe_tls_version_info{job=~"$job", instance=~"$instance"}"#, 0),
    (r#"avg_over_time(probe_dns_lookup_time_seconds{job=~"$job", instance=~"$instance"}[1m])"#, 3),
    (r#"avg by (phase) (probe_http_duration_seconds{job=~"$job", instance=~"$instance"})"#, 5),
    (r#"count_values("value", probe_http_status_code{job=~"$job", instance=~"$instance"})"#, 2),
];

/// A result of a check by TLS, made up because no certificate here is trusted.
async fn secured(engine: &Engine, id: &Value, at: chrono::DateTime<chrono::Utc>) {
    let result = json!({
        "endpoint_id": id, "user_id": 1, "scheduled_at": at, "checked_at": at, "region": "local",
        "failure_threshold": 1, "success_threshold": 1,
        "outcome": {
            "status": "up", "status_code": 200, "response_bytes": 2, "ip": "2001:db8::1",
            "timings_ms": {"dns": 1, "connect": 2, "tls": 30, "first_byte": 4, "transfer": 0, "total": 37},
            "certificate_expires_at": "2030-01-01T00:00:00Z",
        },
    });
    let request = reqwest::Client::new().post(format!("{}/private/v1/reports", engine.admin));
    let answer = request.header("kong-admin-token", TOKEN).json(&json!({"items": [result]})).send().await;
    assert_eq!(answer.unwrap().status(), 201);
}

/// promtool must be able to parse the engine's metrics.
async fn is_well_formed(engine: &Engine) {
    let request = reqwest::Client::new().get(format!("{}/metrics", engine.admin)).bearer_auth(TOKEN);
    let text = request.send().await.unwrap().text().await.unwrap();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_gets_an_answer_to_all_that_dashboards_and_rules_ask() {
    let mut story = Story::new(Database::Sqlite).await;
    story.home.settings.push(("KONG_ADMIN_TOKEN", TOKEN.to_owned()));
    let mut engine = story.home.start();
    let prometheus = Prometheus::start(&engine);
    prometheus.is(r#"up{job="pongpong/pongpong"}"#, 1.0).await;
    // Counters begin at 0, so that the first count is visible as an increase.
    prometheus.is(r#"pongpong_notifications_total{kind="email",outcome="delivered"}"#, 0.0).await;

    // Shop and Steady are up, Secure has made-up results; then Shop goes down: an email arrives, Slack
    // refuses.
    let person = story.begin(&mut engine).await;
    let steady = crate::checks::Site::start().await;
    let mut ids = Vec::new();
    for (name, url, tags) in
        [("Steady", steady.url.as_str(), json!(["web", "eu"])), ("Secure", "http://127.0.0.1:1/", json!([]))]
    {
        // Secure's own checks fail, which is not reported.
        let new = json!({"name": name, "url": url, "tags": tags, "retries": 0, "failure_threshold": 100});
        ids.push(person.post(&engine, "/endpoint-service/v1/endpoints", new).await["id"].clone());
    }
    prometheus.is(r#"probe_success{name="Secure"}"#, 0.0).await;
    secured(&engine, &ids[1], story.home.now() + TimeDelta::minutes(30)).await;
    prometheus.is(r#"probe_success{name="Secure"}"#, 1.0).await;
    prometheus.is(r#"probe_success{name="Shop"}"#, 1.0).await;
    story.slack.answers(503, "not now");
    story.site.status.store(503, Ordering::SeqCst);
    person.wait_for_status(&mut story.home, &mut engine, "down").await;
    person.wait_for_delivered(&mut story.home, &mut engine, 1).await;
    let refused = r#"pongpong_notifications_total{kind="slack",outcome="postponed"} > 0"#;
    prometheus.becomes(refused, "there", |seen| seen.len() == 1).await;
    story.slack.answers(404, "no such channel");
    let failed = "/notification-service/v1/deliveries?status=failed";
    person
        .wait(&mut story.home, &mut engine, failed, "refused", |list| list["page"]["total_count"] == 1)
        .await;

    // Any client can claim to deliver an event: its type must not become a label.
    let visit = reqwest::Client::new().get(&engine.url).header("ce-type", "made.up");
    assert_eq!(visit.send().await.unwrap().status(), 200);

    // The current state.
    for (query, value) in [
        (r#"probe_success{name="Shop",id="1",tags="",region="local",user="1",instance="Shop"}"#, 0.0),
        (r#"probe_http_status_code{name="Shop"}"#, 503.0),
        (r#"probe_success{name="Steady",tags="eu,web"}"#, 1.0),
        (r#"probe_http_status_code{name="Steady"}"#, 200.0),
        (r#"probe_ip_protocol{name="Steady"}"#, 4.0),
        (r#"probe_http_ssl{name="Steady"}"#, 0.0),
        (r#"probe_http_ssl{name="Secure"}"#, 1.0),
        (r#"probe_ip_protocol{name="Secure"}"#, 6.0),
        (r#"probe_duration_seconds{name="Secure"}"#, 0.037),
        (r#"probe_dns_lookup_time_seconds{name="Secure"}"#, 0.001),
        (r#"probe_http_duration_seconds{name="Secure",phase="tls"}"#, 0.03),
        (r#"sum(probe_http_duration_seconds{name="Secure"})"#, 0.037),
        (r#"probe_ssl_earliest_cert_expiry{name="Secure"}"#, 1_893_456_000.0),
        (r#"pongpong_notifications_total{kind="email",outcome="delivered"}"#, 1.0),
        (r#"pongpong_notifications_total{kind="slack",outcome="failed"}"#, 1.0),
        ("sum(pongpong_notifications_total)", 3.0),
        (r#"pongpong_notification_delay_seconds_count{kind="email"}"#, 1.0),
        ("sum(pongpong_notification_delay_seconds_count)", 1.0),
        (r#"pongpong_status_changes_total{status="down"}"#, 1.0),
        ("sum(pongpong_dead_letters_total)", 0.0),
        (
            r#"http_server_request_duration_seconds_count{faas_name="endpoint-create",http_route="/public/v1/endpoints",http_response_status_code="201"}"#,
            3.0,
        ),
        (r#"http_server_request_duration_seconds_count{faas_name="web",http_route="/"}"#, 1.0),
        (r#"absent(messaging_process_duration_seconds_count{faas_name="web"})"#, 1.0),
        // One at once for each, and those until the next tick.
        (r#"pongpong_checks_requested_total{by="endpoint-create"} >= bool 3"#, 1.0),
        // Each check is recorded once, plus the results of `secured`.
        (r#"pongpong_checks_recorded_total{outcome="new"} - on () sum(pongpong_checks_total)"#, 1.0),
        (r#"sum(pongpong_checks_recorded_total{outcome!="new"})"#, 0.0),
        // Requested checks are made, or will be within a minute.
        ("clamp_min(sum(pongpong_checks_total) - sum(pongpong_checks_requested_total), 0)", 0.0),
    ] {
        prometheus.is(query, value).await;
    }
    is_well_formed(&engine).await;
    // With a key, the gateway returns the metrics of that user's endpoints.
    let own = person.text(&engine, "/report-service/v1/metrics").await;
    assert!(own.contains("\nprobe_success{id=\"1\",name=\"Shop\"") && !own.contains("pongpong_"), "{own}");
    let anybody = reqwest::get(format!("{}/report-service/v1/metrics", engine.url)).await.unwrap();
    assert_eq!(anybody.status(), 401);

    // The dashboards.
    for (place, query) in dashboard_queries() {
        let seen = prometheus.ask(&query).await;
        if OF_A_CLUSTER.iter().any(|(metrics, _)| query.contains(metrics)) {
            let at_least_zero = query.ends_with("or vector(0)");
            assert_eq!(seen.len(), usize::from(at_least_zero), "{place}: {query}: {seen:?}");
        } else if !OF_TROUBLE.iter().any(|(what, _)| query.contains(what)) {
            // A rate needs two scrapes.
            prometheus.becomes(&query, &place, |seen| !seen.is_empty()).await;
        }
    }
    let rounded = |query: &str| format!("round({query})");
    for (query, value) in [
        (r#"sum(increase(pongpong_notifications_total{outcome="delivered"}[24h])) or vector(0)"#, 1.0),
        (r#"sum(increase(pongpong_notifications_total{outcome=~"failed|given_up"}[24h])) or vector(0)"#, 1.0),
        ("sum(increase(pongpong_dead_letters_total[24h])) or vector(0)", 0.0),
    ] {
        prometheus.is(&rounded(query), value).await;
    }

    // The rules.
    let rules = prometheus.get("/api/v1/rules", &[]).await.unwrap();
    let rules = rules["groups"].as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap());
    let mut count = 0;
    for rule in rules {
        count += 1;
        assert_eq!(rule["health"], "ok", "{rule}");
        prometheus.ask(rule["query"].as_str().unwrap()).await;
        // There is no Kong, and no alert about it.
        match rule["name"].as_str().unwrap() {
            "Watchdog" => assert_eq!(rule["state"], "firing"),
            "GatewayGone" | "TargetDown" | "DeadLetters" => assert_eq!(rule["state"], "inactive", "{rule}"),
            _ => {}
        }
    }
    assert!(count > 15);

    // Dashboards made for blackbox_exporter.
    for (query, series) in OF_BLACKBOX {
        let query = ["$target", "$job", "$instance"].iter().fold(query.to_owned(), |q, v| q.replace(v, ".+"));
        let seen = prometheus.ask(&query).await;
        assert_eq!(seen.len(), series, "{query}: {seen:?}");
    }
    let targets = prometheus.get("/api/v1/label/instance/values", &[("match[]", "probe_success")]).await;
    assert_eq!(targets.unwrap(), json!(["Secure", "Shop", "Steady"]));

    // The newest results outlive the engine; its counters restart.
    drop(engine);
    let engine = story.home.start();
    let request = reqwest::Client::new().get(format!("{}/metrics", engine.admin)).bearer_auth(TOKEN);
    let text = request.send().await.unwrap().text().await.unwrap();
    for line in [
        r#"probe_success{id="1",name="Shop",region="local",tags="",user="1"} 0"#,
        r#"pongpong_notifications_total{kind="email",outcome="delivered"} 0"#,
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    engine.stop();
}
