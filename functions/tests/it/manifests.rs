//! Runs the manifests of `knative/overlays/dev`: every function is a separate process with exactly the
//! arguments and variables of its manifest, started by the first request to its name, as by Knative; events
//! go where the Triggers say. Only addresses differ from a cluster.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, extract::Request, response::Response};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{kong::Kong, listener::Listener, smtp::SmtpServer, world::new_postgres_database};

const FUNCTION: &str = env!("CARGO_BIN_EXE_function");

/// The overlay as a cluster gets it, with generated secrets.
fn rendered() -> Vec<Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let copy = tempfile::tempdir().unwrap();
    let run = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let command = |program: &Path| std::process::Command::new(program);
    run(command(Path::new("cp")).arg("-a").args(["knative", "infra"]).arg(copy.path()).current_dir(&root));
    let _ = std::fs::remove_dir_all(copy.path().join("knative/overlays/dev/secrets"));
    run(command(&copy.path().join("infra/secrets")).arg("dev"));
    let kubectl = root.join("target/test-tools/bin/kubectl");
    assert!(kubectl.exists(), "kubectl is not there: run make test-packages");
    let yaml = run(command(&kubectl).arg("kustomize").arg(copy.path().join("knative/overlays/dev")));
    serde_norway::Deserializer::from_str(&yaml)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// The addresses that replace those of a cluster.
struct Places {
    postgres: String,
    kong: String,
    smtp: String,
}

/// How a container is started.
#[derive(Clone)]
struct Container {
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
}

struct Cluster {
    services: HashMap<String, Container>,
    migration: Container,
    /// By the name of the CronJob.
    jobs: HashMap<String, Container>,
    triggers: Vec<Value>,
    running: tokio::sync::Mutex<HashMap<String, (Child, u16)>>,
    /// The address to which every name of the cluster leads.
    ingress: String,
    /// Number of events that are not handled yet.
    events: AtomicUsize,
    client: reqwest::Client,
    logs: tempfile::TempDir,
}

impl Cluster {
    async fn start(places: &Places) -> Arc<Self> {
        runtime::install_crypto();
        let objects = rendered();
        let of = |kind: &str, version: &str| {
            objects.iter().filter(|o| o["kind"] == kind && o["apiVersion"] == version).collect::<Vec<_>>()
        };
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ingress = format!("http://{}", listener.local_addr().unwrap());
        let container = |template: &Value| container(template, &objects, places);
        // As SinkBinding does for the workloads that it selects.
        let binding = of("SinkBinding", "sources.knative.dev/v1")[0];
        let bound = binding["spec"]["subject"]["selector"]["matchLabels"].as_object().unwrap();
        let services = of("Service", "serving.knative.dev/v1").into_iter().map(|service| {
            let mut made = container(&service["spec"]["template"]);
            if bound.iter().all(|(label, value)| service["metadata"]["labels"][label] == *value) {
                made.variables.insert("K_SINK".to_owned(), format!("{ingress}/pongpong/default"));
            }
            (name(service), made)
        });
        let cron_jobs = of("CronJob", "batch/v1").into_iter();
        let migration = of("Job", "batch/v1").into_iter().find(|job| name(job) == "migrate").unwrap();
        let cluster = Arc::new(Self {
            services: services.collect(),
            migration: container(&migration["spec"]["template"]),
            jobs: cron_jobs
                .map(|job| (name(job), container(&job["spec"]["jobTemplate"]["spec"]["template"])))
                .collect(),
            triggers: of("Trigger", "eventing.knative.dev/v1").into_iter().cloned().collect(),
            running: tokio::sync::Mutex::default(),
            ingress: ingress.clone(),
            events: AtomicUsize::new(0),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            logs: tempfile::tempdir().unwrap(),
        });
        let serving = Arc::clone(&cluster);
        let app = Router::new().fallback(async move |request: Request| serving.ingress(request).await);
        tokio::spawn(async move { axum::serve(listener, app).await });
        cluster
    }

    /// Runs a Job to its end.
    async fn run(&self, container: &Container) {
        let output = self.command(container).stderr(Stdio::piped()).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{:?}: {}", container.arguments, String::from_utf8_lossy(&said));
    }

    fn command(&self, container: &Container) -> Command {
        let mut command = Command::new(FUNCTION);
        // Names of the cluster are not resolved: HTTP requests go to the ingress.
        command.args(&container.arguments).env_clear().env("http_proxy", &self.ingress);
        command.envs(&container.variables).current_dir(self.logs.path()).kill_on_drop(true);
        command
    }

    /// The address of a function; starts it if it is scaled to zero.
    async fn wake(&self, function: &str) -> String {
        let mut running = self.running.lock().await;
        if let Some((_, port)) = running.get(function) {
            return format!("http://127.0.0.1:{port}");
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let container = &self.services[function];
        let log = std::fs::File::create(self.logs.path().join(function)).unwrap();
        let mut command = self.command(container);
        command.env("PORT", port.to_string()).env("K_SERVICE", function);
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        running.insert(function.to_owned(), (child, port));
        let address = format!("http://127.0.0.1:{port}");
        let ready = async {
            while !self.client.get(format!("{address}/ready")).send().await.is_ok_and(|a| a.status() == 200) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), ready).await;
        in_time.unwrap_or_else(|_| panic!("{function} does not get ready: {}", self.log(function)));
        address
    }

    fn log(&self, function: &str) -> String {
        std::fs::read_to_string(self.logs.path().join(function)).unwrap_or_default()
    }

    async fn ingress(self: Arc<Self>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if parts.uri.path() == "/pongpong/default" {
            self.accept(parts.headers, body);
            return Response::builder().status(202).body(axum::body::Body::empty()).unwrap();
        }
        let host = parts.uri.host().map(str::to_owned);
        let host = host.or_else(|| Some(parts.headers.get("host")?.to_str().ok()?.to_owned())).unwrap();
        // Like Knative's ingress: other forms of the name are not routed.
        let name = host.strip_suffix(".pongpong.svc.cluster.local");
        let Some(name) = name.filter(|name| self.services.contains_key(*name)) else {
            return Response::builder().status(404).body(format!("no route to {host}").into()).unwrap();
        };
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let (status, headers, body) = self.ask(name, parts.method, path, parts.headers, body).await;
        let mut response = Response::builder().status(status).body(body.into()).unwrap();
        *response.headers_mut() = headers;
        response.headers_mut().remove("transfer-encoding");
        response
    }

    async fn ask(
        &self,
        function: &str,
        method: http::Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let url = format!("{}{path}", self.wake(function).await);
        let sent = self.client.request(method, url).headers(headers).body(body).send().await.unwrap();
        (sent.status(), sent.headers().clone(), sent.bytes().await.unwrap())
    }

    /// Accepts an event for the Broker; the Triggers decide who gets it, and replies return here.
    fn accept(self: &Arc<Self>, headers: HeaderMap, body: Bytes) {
        for trigger in &self.triggers {
            let wanted =
                trigger["spec"]["filter"]["attributes"].as_object().unwrap().iter().all(|(name, value)| {
                    headers.get(format!("ce-{name}")).and_then(|v| v.to_str().ok()) == value.as_str()
                });
            if wanted {
                self.events.fetch_add(1, Ordering::SeqCst);
                let subscriber = trigger["spec"]["subscriber"]["ref"]["name"].as_str().unwrap().to_owned();
                tokio::spawn(Arc::clone(self).deliver(subscriber, headers.clone(), body.clone()));
            }
        }
    }

    fn deliver(
        self: Arc<Self>,
        subscriber: String,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> futures::future::BoxFuture<'static, ()> {
        headers.remove("host");
        headers.remove("content-length");
        Box::pin(async move {
            let (status, reply, answer) = self.ask(&subscriber, http::Method::POST, "/", headers, body).await;
            assert!(status.is_success(), "{subscriber}: {status} {}", self.log(&subscriber));
            if reply.contains_key("ce-type") {
                self.accept(reply, answer);
            }
            self.events.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// Waits until every event is handled, and `done`.
    async fn settled(&self, done: impl Fn() -> bool) {
        let settled = async {
            while self.events.load(Ordering::SeqCst) > 0 || !done() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), settled).await.is_err() {
            let running: Vec<_> = self.running.lock().await.keys().cloned().collect();
            let logs: String = running.iter().map(|name| format!("{name}:\n{}\n", self.log(name))).collect();
            panic!("it does not settle: {logs}");
        }
    }

    /// A user's request as the gateway forwards it.
    async fn call(&self, function: &str, user: Option<i64>, method: &str, path: &str, body: Value) -> Value {
        let token = &self.services["user-me"].variables["GATEWAY_TOKEN"];
        let url = format!("{}{path}", self.wake(function).await);
        let mut request = self.client.request(method.parse().unwrap(), url).header("x-gateway-token", token);
        if let Some(user) = user {
            request = request
                .header("x-consumer-custom-id", user)
                .header("x-credential-identifier", "a-credential");
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text} {}", self.log(function));
        serde_json::from_str(&text).unwrap_or_default()
    }
}

fn container(template: &Value, objects: &[Value], places: &Places) -> Container {
    let [container] = &template["spec"]["containers"].as_array().unwrap()[..] else {
        panic!("one container")
    };
    let list = |name: &str| container[name].as_array().cloned().unwrap_or_default();
    let mut variables = BTreeMap::new();
    for variable in list("env") {
        let name = variable["name"].as_str().unwrap().to_owned();
        let value = match &variable["valueFrom"] {
            Value::Null => Some(variable["value"].as_str().unwrap().to_owned()),
            from => kept(from, objects),
        };
        if let Some(value) = value {
            let value = value.replace("http://kong-admin.pongpong.svc.cluster.local:8001", &places.kong);
            let value = value.replace("smtp://mail.pongpong.svc.cluster.local:1025", &places.smtp);
            let at = "@postgres.pongpong.svc.cluster.local:5432/pongpong";
            let value = value.replace(at, &format!("@{}", places.postgres));
            variables.insert(name, value);
        }
    }
    let arguments = list("args").iter().map(|argument| argument.as_str().unwrap().to_owned()).collect();
    Container { arguments, variables }
}

/// The value of a key in a ConfigMap or a Secret.
fn kept(from: &Value, objects: &[Value]) -> Option<String> {
    let (kind, reference) = match (&from["configMapKeyRef"], &from["secretKeyRef"]) {
        (Value::Null, secret) => ("Secret", secret),
        (config, _) => ("ConfigMap", config),
    };
    let object = objects.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == reference["name"]);
    let value = object.and_then(|object| object["data"].get(reference["key"].as_str()?)?.as_str());
    if value.is_none() {
        assert_eq!(reference["optional"], true, "there is no {from}");
    }
    if kind == "ConfigMap" {
        return value.map(str::to_owned);
    }
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    // A long value is several lines of YAML.
    let decoded = |text: &str| STANDARD.decode(text.replace('\n', "")).unwrap();
    value.map(|text| String::from_utf8(decoded(text)).unwrap())
}

#[tokio::test]
async fn an_outage_is_told_by_functions_that_have_just_what_their_manifests_give() {
    let (kong, kong_url) = Kong::start().await;
    let smtp = SmtpServer::start().await;
    let database = new_postgres_database().await;
    let (server, name) = database.rsplit_once('/').unwrap();
    let postgres = format!("{}/{name}", server.rsplit_once('@').unwrap().1);
    prepare_owner(&database).await;
    let places = Places { postgres, kong: kong_url, smtp: smtp.url.clone() };
    let cluster = Cluster::start(&places).await;
    // Twice at the same time: Kubernetes may start a Job more than once.
    futures::future::join(cluster.run(&cluster.migration), cluster.run(&cluster.migration)).await;

    let signup = json!({"email": "me@example.com", "password": "a good password"});
    let me =
        cluster.call("user-signup", None, "POST", "/public/v1/signup", signup).await["id"].as_i64().unwrap();
    assert_eq!(kong.keys_of(me), Some(1));
    let channel = json!({"name": "mail", "kind": "email", "config": {"to": ["me@example.com"]}});
    cluster.call("notification-create", Some(me), "POST", "/public/v1/notifications", channel).await;
    let link = json!({"token": crate::smtp::link_token(&smtp.messages()[0], "/mail/confirm?token=")});
    cluster.call("address-confirm", None, "POST", "/public/v1/addresses/confirm", link).await;
    let shop = Listener::start(503, "").await;
    let endpoint =
        json!({"name": "Shop", "url": shop.url, "failure_threshold": 1, "interval_seconds": 86400});
    let endpoint = cluster.call("endpoint-create", Some(me), "POST", "/public/v1/endpoints", endpoint).await;
    cluster.settled(|| smtp.messages().len() == 2).await;
    let incidents = cluster.call("incident-list", Some(me), "GET", "/public/v1/incidents", Value::Null).await;
    assert_eq!(incidents["items"][0]["cause"]["code"], "STATUS_MISMATCH", "{incidents}");
    assert!(incidents["items"][0]["ended_at"].is_null());

    // With another interval it is scheduled again, from now on.
    shop.answers(200, "");
    // In another second: there is one result for each scheduled time.
    let scheduled_at = chrono::Utc::now().timestamp();
    while chrono::Utc::now().timestamp() == scheduled_at {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let path = format!("/public/v1/endpoints/{}", endpoint["id"]);
    cluster.call("endpoint-update", Some(me), "PATCH", &path, json!({"interval_seconds": 80_000})).await;
    cluster.settled(|| smtp.messages().len() == 3).await;
    let shown = cluster.call("endpoint-get", Some(me), "GET", &path, Value::Null).await;
    assert_eq!(shown["status"], "up");
    let deliveries =
        cluster.call("delivery-list", Some(me), "GET", "/public/v1/deliveries", Value::Null).await;
    let outcomes: Vec<_> = deliveries["items"].as_array().unwrap().iter().map(|d| &d["status"]).collect();
    assert_eq!(outcomes, ["delivered", "delivered"]);

    // Only needed functions were started so far; now all are.
    assert!(!cluster.running.lock().await.contains_key("report-purge"));
    for job in cluster.jobs.values() {
        cluster.run(job).await;
    }
    cluster.settled(|| true).await;
    assert!(cluster.running.lock().await.contains_key("report-purge"));
    for function in functions::ALL {
        cluster.wake(function.name).await;
    }
    cluster.call("user-delete", Some(me), "DELETE", "/public/v1/user", Value::Null).await;
    cluster.settled(|| true).await;
    assert_eq!(kong.keys_of(me), None);
}

/// The steps of the database's administrator: docs/database.md.
async fn prepare_owner(database: &str) {
    use sqlx::Connection;
    let name = database.rsplit_once('/').unwrap().1;
    let mut admin = sqlx::PgConnection::connect(database).await.unwrap();
    let statements = sqlx::AssertSqlSafe(format!(
        "CREATE ROLE pongpong LOGIN CREATEROLE; ALTER DATABASE {name} OWNER TO pongpong"
    ));
    sqlx::raw_sql(statements).execute(&mut admin).await.unwrap();
}
