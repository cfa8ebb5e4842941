//! The files of `infra/kong`, loaded into a stand-in for Kong's Admin API that is as strict as Kong 3.9: it
//! refuses unknown fields and invalid values.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Json,
    extract::{Path as UrlPath, Query, Request, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse as _, Response},
    routing::{get, put},
};
use functions::{gateway::load, users::kong::Kong as Client};
use pongpong::router::{Criteria, Flavor, Router};
use runtime::{Env, FromEnv as _};
use serde_json::{Value, json};

use self::Kind::{Bool, Int, List, Map, OneOf, Record, Text};

/// The type of a field of Kong's.
enum Kind {
    Text,
    Bool,
    Int(i64, i64),
    OneOf(&'static [&'static str]),
    List(&'static Kind),
    Map,
    Record(&'static [(&'static str, Kind)]),
}

const MILLISECONDS: Kind = Int(0, (1 << 31) - 2);
const TEXTS: Kind = List(&Text);
const REFERENCE: Kind = Record(&[("id", Text)]);
const TRACE_FORMATS: Kind =
    List(&OneOf(&["preserve", "w3c", "b3", "b3-single", "jaeger", "ot", "datadog", "aws", "gcp"]));

const SERVICE: Kind = Record(&[
    ("url", Text),
    ("connect_timeout", MILLISECONDS),
    ("read_timeout", MILLISECONDS),
    ("write_timeout", MILLISECONDS),
    ("retries", Int(0, 32767)),
    ("enabled", Bool),
    ("tags", TEXTS),
]);

const ROUTE: Kind = Record(&[
    ("service", REFERENCE),
    ("hosts", TEXTS),
    ("paths", TEXTS),
    ("methods", List(&OneOf(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]))),
    ("protocols", List(&OneOf(&["http", "https"]))),
    ("https_redirect_status_code", Int(301, 426)),
    ("regex_priority", Int(0, 1 << 31)),
    ("strip_path", Bool),
    ("preserve_host", Bool),
    ("tags", TEXTS),
]);

const CONSUMER: Kind = Record(&[("username", Text), ("custom_id", Text), ("tags", TEXTS)]);
const BASIC_AUTH: Kind = Record(&[("password", Text), ("tags", TEXTS)]);

/// The configuration of each plugin that the files use, as Kong 3.9 accepts it.
const PLUGINS: &[(&str, Kind)] = &[
    ("basic-auth", Record(&[("anonymous", Text), ("hide_credentials", Bool), ("realm", Text)])),
    (
        "correlation-id",
        Record(&[
            ("header_name", Text),
            ("generator", OneOf(&["uuid", "uuid#counter", "tracker"])),
            ("echo_downstream", Bool),
        ]),
    ),
    (
        "cors",
        Record(&[
            ("origins", TEXTS),
            ("headers", TEXTS),
            ("exposed_headers", TEXTS),
            (
                "methods",
                List(&OneOf(&[
                    "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT",
                ])),
            ),
            ("max_age", Int(0, i64::MAX)),
            ("credentials", Bool),
            ("private_network", Bool),
            ("preflight_continue", Bool),
        ]),
    ),
    (
        "key-auth",
        Record(&[
            ("key_names", TEXTS),
            ("hide_credentials", Bool),
            ("anonymous", Text),
            ("key_in_header", Bool),
            ("key_in_query", Bool),
            ("key_in_body", Bool),
            ("run_on_preflight", Bool),
            ("realm", Text),
        ]),
    ),
    (
        "opentelemetry",
        Record(&[
            ("traces_endpoint", Text),
            ("logs_endpoint", Text),
            ("headers", Map),
            ("resource_attributes", Map),
            ("queue", Map),
            ("connect_timeout", MILLISECONDS),
            ("send_timeout", MILLISECONDS),
            ("read_timeout", MILLISECONDS),
            ("http_response_header_for_traceid", Text),
            (
                "propagation",
                Record(&[
                    ("extract", TRACE_FORMATS),
                    ("clear", TEXTS),
                    ("inject", TRACE_FORMATS),
                    ("default_format", OneOf(&["w3c", "b3", "jaeger", "ot", "datadog", "aws", "gcp"])),
                ]),
            ),
        ]),
    ),
    (
        "prometheus",
        Record(&[
            ("per_consumer", Bool),
            ("status_code_metrics", Bool),
            ("latency_metrics", Bool),
            ("bandwidth_metrics", Bool),
            ("upstream_health_metrics", Bool),
        ]),
    ),
    (
        "rate-limiting",
        Record(&[
            ("minute", Int(1, i64::MAX)),
            ("limit_by", OneOf(&["consumer", "credential", "ip", "service", "header", "path"])),
            ("policy", OneOf(&["local", "cluster", "redis"])),
            ("fault_tolerant", Bool),
            ("hide_client_headers", Bool),
        ]),
    ),
    (
        "request-size-limiting",
        Record(&[
            ("allowed_payload_size", Int(1, i64::MAX)),
            ("size_unit", OneOf(&["megabytes", "kilobytes", "bytes"])),
            ("require_content_length", Bool),
        ]),
    ),
    (
        "request-termination",
        Record(&[("status_code", Int(100, 599)), ("message", Text), ("trigger", Text), ("echo", Bool)]),
    ),
    (
        "request-transformer",
        Record(&[
            ("remove", Record(&[("headers", TEXTS), ("querystring", TEXTS), ("body", TEXTS)])),
            (
                "replace",
                Record(&[("uri", Text), ("headers", TEXTS), ("querystring", TEXTS), ("body", TEXTS)]),
            ),
            ("add", Record(&[("headers", TEXTS), ("querystring", TEXTS), ("body", TEXTS)])),
        ]),
    ),
];

impl Kind {
    fn fits(&self, value: &Value) -> Result<(), String> {
        let fits = match (self, value) {
            (_, Value::Null) | (Bool, Value::Bool(_)) => true,
            (Text, Value::String(text)) => !text.is_empty() && !text.contains("${"),
            (Int(min, max), Value::Number(n)) => n.as_i64().is_some_and(|n| (*min..=*max).contains(&n)),
            (OneOf(names), Value::String(text)) => names.contains(&text.as_str()),
            (List(kind), Value::Array(values)) => return values.iter().try_for_each(|v| kind.fits(v)),
            (Map, Value::Object(_)) => true,
            (Record(fields), Value::Object(values)) => {
                return values.iter().try_for_each(|(name, value)| {
                    let field = fields.iter().find(|(known, _)| known == name);
                    let (_, kind) = field.ok_or_else(|| format!("{name}: unknown field"))?;
                    kind.fits(value).map_err(|e| format!("{name}: {e}"))
                });
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("{value} does not fit")) }
    }
}

/// Checks a plugin's fields besides its name and configuration.
fn check_plugin(body: &Value) -> Result<(), String> {
    let name = body["name"].as_str().unwrap_or_default();
    let (_, config) = PLUGINS.iter().find(|(known, _)| *known == name).ok_or("plugin not enabled")?;
    config.fits(&body["config"]).map_err(|e| format!("{name}: config: {e}"))?;
    let mut rest = body.clone();
    let rest_fields = rest.as_object_mut().unwrap();
    rest_fields.remove("name");
    rest_fields.remove("config");
    Record(&[("route", REFERENCE), ("service", REFERENCE), ("tags", TEXTS)]).fits(&rest)
}

fn check_route(body: &Value) -> Result<(), String> {
    ROUTE.fits(body)?;
    if ["hosts", "paths", "methods"].iter().all(|field| body[field].as_array().is_none_or(Vec::is_empty)) {
        return Err("must set one of methods, hosts, paths".into());
    }
    for path in body["paths"].as_array().into_iter().flatten() {
        let path = path.as_str().unwrap();
        match path.strip_prefix('~') {
            // Kong's router uses the same crate.
            Some(pattern) => drop(regex::Regex::new(pattern).map_err(|e| e.to_string())?),
            None if path.starts_with('/') => {}
            None => return Err(format!("{path}: must start with /")),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Kong {
    /// By kind and id.
    entities: BTreeMap<(&'static str, String), Value>,
    /// The calls in order.
    calls: Vec<String>,
    made: u32,
}

type Shared = Arc<Mutex<Kong>>;
type Answer = (StatusCode, Json<Value>);

fn answer(status: u16, body: Value) -> Answer {
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

fn refused(status: u16, message: impl Into<String>) -> Answer {
    answer(status, json!({ "message": message.into() }))
}

impl Kong {
    fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.entities.iter().filter(move |((k, _), _)| *k == kind).map(|(_, value)| value)
    }

    fn named(&self, kind: &str, key: &str) -> Option<&Value> {
        self.of(kind).find(|e| [&e["id"], &e["name"], &e["username"]].contains(&&json!(key)))
    }

    fn has(&self, kind: &str, reference: &Value) -> bool {
        reference.is_null() || self.of(kind).any(|e| e["id"] == reference["id"])
    }

    fn put(&mut self, kind: &'static str, key: &str, mut body: Value) -> Answer {
        self.calls.push(format!("PUT /{kind}/{key}"));
        let checked = match kind {
            "services" => SERVICE.fits(&body),
            "routes" => check_route(&body),
            "plugins" => check_plugin(&body),
            "consumers" => CONSUMER.fits(&body),
            _ => Record(&[("consumer", REFERENCE), ("password", Text), ("tags", TEXTS)]).fits(&body),
        };
        if let Err(message) = checked {
            return refused(400, format!("schema violation ({message})"));
        }
        if !self.has("services", &body["service"]) || !self.has("routes", &body["route"]) {
            return refused(400, "the foreign key does not exist");
        }
        if kind == "plugins" {
            let same = |e: &&Value| ["name", "route", "service"].iter().all(|f| e[f] == body[f]);
            if self.of(kind).find(same).is_some_and(|e| e["id"] != key) {
                return refused(409, "UNIQUE violation detected");
            }
            body["id"] = json!(key);
        } else {
            let known = self.named(kind, key).map(|e| e["id"].clone());
            self.made += 1;
            body["id"] = known.unwrap_or_else(|| json!(format!("{:032x}", self.made)));
            let name = if matches!(kind, "consumers" | "basic-auths") { "username" } else { "name" };
            body[name] = json!(key);
        }
        let id = body["id"].as_str().unwrap().to_owned();
        self.entities.insert((kind, id), body.clone());
        answer(200, body)
    }

    fn delete(&mut self, kind: &'static str, key: &str) -> StatusCode {
        self.calls.push(format!("DELETE /{kind}/{key}"));
        let Some(id) = self.named(kind, key).map(|e| e["id"].clone()) else { return StatusCode::NO_CONTENT };
        if kind == "services" && self.of("routes").any(|r| r["service"]["id"] == id) {
            return StatusCode::BAD_REQUEST;
        }
        self.entities.retain(|_, e| {
            e["id"] != id && ["route", "service", "consumer"].iter().all(|foreign| e[foreign]["id"] != id)
        });
        StatusCode::NO_CONTENT
    }
}

const KINDS: [&str; 5] = ["services", "routes", "plugins", "consumers", "basic-auths"];

fn kind(name: &str) -> &'static str {
    KINDS.into_iter().find(|kind| *kind == name).unwrap()
}

async fn start() -> (Shared, String) {
    async fn put_one(
        State(kong): State<Shared>,
        UrlPath((name, key)): UrlPath<(String, String)>,
        Json(body): Json<Value>,
    ) -> Answer {
        kong.lock().unwrap().put(kind(&name), &key, body)
    }
    async fn put_credential(
        State(kong): State<Shared>,
        UrlPath((consumer, key)): UrlPath<(String, String)>,
        Json(mut body): Json<Value>,
    ) -> Answer {
        let mut kong = kong.lock().unwrap();
        if let Err(message) = BASIC_AUTH.fits(&body) {
            return refused(400, format!("schema violation ({message})"));
        }
        let Some(owner) = kong.named("consumers", &consumer) else { return refused(404, "Not found") };
        body["consumer"] = json!({ "id": owner["id"] });
        kong.put("basic-auths", &key, body)
    }
    /// Returns seven at a time, whatever size is requested, so that paging is needed.
    async fn list(
        State(kong): State<Shared>,
        UrlPath(name): UrlPath<String>,
        Query(query): Query<BTreeMap<String, String>>,
    ) -> Answer {
        let from: usize = query.get("offset").map_or(0, |offset| offset.parse().unwrap());
        let kong = kong.lock().unwrap();
        let tagged =
            |e: &&Value| e["tags"].as_array().is_some_and(|tags| tags.contains(&json!(query["tags"])));
        let all: Vec<_> = kong.of(kind(&name)).filter(tagged).collect();
        let next = format!("/{name}?offset={}&size=7&tags={}", from + 7, query["tags"]);
        let page: Vec<_> = all.iter().skip(from).take(7).collect();
        answer(200, json!({ "data": page, "next": (all.len() > from + 7).then_some(next) }))
    }
    /// As nginx does, on which Kong is based.
    async fn refuse_bad_encoding(request: Request, next: middleware::Next) -> Response {
        let mut after = request.uri().path().split('%').skip(1);
        if after.any(|text| !text.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))) {
            return StatusCode::BAD_REQUEST.into_response();
        }
        next.run(request).await
    }
    let kong = Shared::default();
    let app = axum::Router::new()
        .route("/status", get(async || "{}"))
        .route("/{kind}", get(list))
        .route(
            "/{kind}/{key}",
            put(put_one).delete(
                async |State(kong): State<Shared>, UrlPath((name, key)): UrlPath<(String, String)>| {
                    kong.lock().unwrap().delete(kind(&name), &key)
                },
            ),
        )
        .route(
            "/consumers/{consumer}/basic-auth/{key}",
            put(put_credential).delete(
                async |State(kong): State<Shared>, UrlPath((_, key)): UrlPath<(String, String)>| {
                    kong.lock().unwrap().delete("basic-auths", &key)
                },
            ),
        )
        .layer(middleware::from_fn(refuse_bad_encoding))
        .with_state(Arc::clone(&kong));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (kong, url)
}

fn infra_kong() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/kong"))
}

struct World {
    kong: Shared,
    url: String,
    folder: tempfile::TempDir,
}

const ENV: [(&str, &str); 4] = [
    ("GATEWAY_TOKEN", "the-token"),
    ("DOMAIN", "example.com"),
    ("ADMIN_USERNAME", "operator"),
    // This would have another meaning in YAML.
    ("ADMIN_PASSWORD", "'p: #{[*&\""),
];

impl World {
    /// With the files of a cluster.
    async fn new() -> Self {
        runtime::install_crypto();
        let (kong, url) = start().await;
        let folder = tempfile::tempdir().unwrap();
        let from = infra_kong();
        for (name, path) in
            [("kong.yml", "kong.yml"), ("admin.yml", "admin.yml"), ("tracing.yml", "tracing/tracing.yml")]
        {
            std::fs::copy(from.join(path), folder.path().join(name)).unwrap();
        }
        // As in a mounted ConfigMap.
        std::fs::create_dir(folder.path().join("..data")).unwrap();
        Self { kong, url, folder }
    }

    async fn load_with(&self, more: &[(&str, &str)]) -> anyhow::Result<()> {
        let admin = [("KONG_ADMIN_URL", self.url.as_str())];
        let pairs = ENV.iter().chain(more).chain(&admin);
        let env: Env = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&Client::from_env(&env)?, self.folder.path(), &env).await
    }

    async fn load(&self) {
        self.load_with(&[]).await.unwrap();
    }

    async fn refusal(&self) -> String {
        format!("{:#}", self.load_with(&[]).await.unwrap_err())
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn kong(&self) -> std::sync::MutexGuard<'_, Kong> {
        self.kong.lock().unwrap()
    }
}

#[tokio::test]
async fn kong_takes_all_that_the_files_hold() {
    let world = World::new().await;
    world.load().await;
    let kong = world.kong();
    let public: usize = functions::ALL
        .iter()
        .map(|f| f.operations().iter().filter(|o| o.path.starts_with("/public/")).count())
        .sum();
    // Plus web, grafana, kibana, and the catch-all routes of two hosts.
    assert_eq!(kong.of("routes").count(), public + 5);
    let admin = |name: &str| kong.named("routes", name).unwrap()["hosts"].clone();
    assert_eq!(admin("grafana"), json!(["admin.example.com"]));
    assert_eq!(admin("api-nothing-else"), json!(["api.example.com"]));
    for service in kong.of("services") {
        let url = service["url"].as_str().unwrap();
        let (name, host) = url.strip_prefix("http://").unwrap().split_once('.').unwrap();
        match host {
            "pongpong.svc.cluster.local" => assert!(functions::find(name).is_some(), "{url}"),
            _ => assert!(["grafana", "kibana"].contains(&name), "{url}"),
        }
    }
    let plugins = |route: &str| {
        let id = kong.named("routes", route).unwrap()["id"].clone();
        kong.of("plugins").filter(|p| p["route"]["id"] == id).collect::<Vec<_>>()
    };
    let added = |route: &str| {
        let plugins = plugins(route);
        let transform = plugins.iter().find(|p| p["name"] == "request-transformer").unwrap();
        transform["config"]["add"]["headers"].clone()
    };
    assert_eq!(added("user-me"), json!(["X-Gateway-Token:the-token"]));
    assert_ne!(added("user-login"), added("user-me"), "no token where no key says who asks");
    assert_eq!(plugins("user-login").len(), 2);
    let credential = kong.of("basic-auths").next().unwrap();
    assert_eq!(credential["password"], ENV[3].1);
    assert_eq!(credential["consumer"]["id"], kong.named("consumers", "admin").unwrap()["id"]);
}

/// The settings in `infra/kong` and its component for traces.
fn kong_settings() -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for file in ["kustomization.yaml", "tracing/kustomization.yaml"] {
        let text = std::fs::read_to_string(infra_kong().join(file)).unwrap();
        let file: Value = serde_norway::from_str(&text).unwrap();
        let generators = file["configMapGenerator"].as_array().unwrap();
        let literals = generators.iter().find(|map| map["name"] == "kong").unwrap()["literals"].clone();
        for literal in literals.as_array().unwrap() {
            let (name, value) = literal.as_str().unwrap().split_once('=').unwrap();
            settings.insert(name.to_owned(), value.to_owned());
        }
    }
    settings
}

/// Compares every setting of Kong with the requirements of the files.
#[tokio::test]
async fn kong_settings_fit_the_files() {
    let world = World::new().await;
    world.load().await;
    let kong = world.kong();
    let configs =
        |name: &'static str| kong.of("plugins").filter(move |p| p["name"] == name).map(|p| &p["config"]);
    let deployment = std::fs::read_to_string(infra_kong().join("deployment.yaml")).unwrap();
    let listens = |value: &str, port: &str| {
        value.starts_with("0.0.0.0:")
            && value.contains(&format!("0.0.0.0:{port}"))
            && deployment.contains(&format!("containerPort: {port}\n"))
    };
    let settings = kong_settings();
    let mut wrong = Vec::new();
    for (name, value) in &settings {
        let value = value.as_str();
        let fits = match name.as_str() {
            // The Admin API can only change a configuration in a database.
            "KONG_DATABASE" => value == "postgres",
            "KONG_PG_HOST" => value == "postgres.pongpong.svc.cluster.local",
            "KONG_PG_PORT" => value == "5432",
            "KONG_PG_DATABASE" | "KONG_PG_USER" => value == "kong",
            "KONG_PG_SSL" | "KONG_ADMIN_GUI_LISTEN" | "KONG_ANONYMOUS_REPORTS" => value == "off",
            "KONG_STATUS_ACCESS_LOG" => value == "off",
            // The root of the container is read-only.
            "KONG_PREFIX" => deployment.contains(&format!("mountPath: {value}\n")),
            "KONG_PROXY_LISTEN" => listens(value, "8000") && listens(value, "8443"),
            "KONG_ADMIN_LISTEN" => listens(value, "8001"),
            "KONG_STATUS_LISTEN" => listens(value, "8100"),
            "KONG_NGINX_WORKER_PROCESSES" => value.parse::<u8>().is_ok_and(|n| n > 0),
            "KONG_DNS_ORDER" => value.split(',').all(|kind| ["LAST", "A", "CNAME"].contains(&kind)),
            // More than any route accepts: otherwise nginx refuses bodies that the plugin would accept.
            "KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE" => {
                let max = value.strip_suffix('m').and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
                configs("request-size-limiting").all(|c| c["allowed_payload_size"].as_i64().unwrap() < max)
            }
            // Pages call from inside the cluster, on behalf of their visitors.
            "KONG_TRUSTED_IPS" => value.contains("10.0.0.0/8") && !value.contains("0.0.0.0/0,"),
            "KONG_REAL_IP_HEADER" => value == "X-Forwarded-For",
            "KONG_REAL_IP_RECURSIVE" => value == "on",
            // The only header of Kong's that the API promises.
            "KONG_HEADERS" => value == "X-Kong-Request-Id",
            // `$(uri_captures.x)` is Lua: with `off` each of these routes answers 500.
            "KONG_UNTRUSTED_LUA" => {
                let templates =
                    configs("request-transformer").filter(|c| c.to_string().contains("$(uri_captures."));
                assert!(templates.count() > 20);
                value == "sandbox"
            }
            // See `kong_takes_the_route_that_is_meant`.
            "KONG_ROUTER_FLAVOR" => value == "traditional",
            // Forged headers are removed only among this many; it is Kong's maximum.
            "KONG_LUA_MAX_REQ_HEADERS" => {
                assert!(configs("request-transformer").all(|c| c["remove"]["headers"].is_array()));
                value == "1000"
            }
            // Without instrumentation, the plugin that sends spans gets none.
            "KONG_TRACING_INSTRUMENTATIONS" => {
                configs("opentelemetry").count() == 1 && value.contains("request")
            }
            "KONG_TRACING_SAMPLING_RATE" => {
                value.parse::<f32>().is_ok_and(|rate| (0.0..=1.0).contains(&rate) && rate > 0.0)
            }
            "KONG_PROXY_ACCESS_LOG" | "KONG_ADMIN_ACCESS_LOG" => value == "/dev/stdout",
            "KONG_PROXY_ERROR_LOG" | "KONG_ADMIN_ERROR_LOG" | "KONG_STATUS_ERROR_LOG" => {
                value == "/dev/stderr"
            }
            // A new setting needs its requirement here.
            _ => false,
        };
        if !fits {
            wrong.push(format!("{name}={value}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
    // Settings whose default does not fit.
    for name in ["KONG_DATABASE", "KONG_ROUTER_FLAVOR", "KONG_LUA_MAX_REQ_HEADERS", "KONG_TRUSTED_IPS"] {
        assert!(settings.contains_key(name), "{name} must be set");
    }
}

/// The loaded routes by name, in the order in which a Kong of this flavor tries them.
fn router(kong: &Kong, flavor: Flavor) -> Router<String> {
    let routes = kong.of("routes").map(|route| {
        let texts = |field: &str| {
            let list = route[field].as_array().into_iter().flatten();
            list.map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let criteria = Criteria {
            hosts: texts("hosts"),
            methods: texts("methods").iter().map(|method| method.parse().unwrap()).collect(),
            paths: texts("paths").iter().map(|path| path.parse().unwrap()).collect(),
            regex_priority: 0,
        };
        (criteria, route["name"].as_str().unwrap().to_owned())
    });
    Router::new(routes, flavor)
}

/// Requests by host, and the route that takes them.
const ROUTED: &[(&str, &str, &str, &str)] = &[
    ("api.example.com", "GET", "/user-service/v1/user", "user-me"),
    ("api.example.com", "POST", "/user-service/v1/login", "user-login"),
    ("api.example.com", "GET", "/endpoint-service/v1/endpoints/7", "endpoint-get"),
    ("api.example.com", "GET", "/dashboard", "api-nothing-else"),
    ("api.example.com", "PUT", "/user-service/v1/user", "api-nothing-else"),
    ("admin.example.com", "GET", "/grafana/login", "grafana"),
    ("admin.example.com", "POST", "/kibana", "kibana"),
    ("admin.example.com", "GET", "/user-service/v1/user", "admin-nothing-else"),
    ("admin.example.com", "GET", "/", "admin-nothing-else"),
    ("example.com", "GET", "/", "web"),
    ("example.com", "GET", "/grafana", "web"),
    ("example.com", "GET", "/user-service/v1/user", "user-me"),
    ("pongpong.other.test", "PATCH", "/user-service/v1/user", "user-update"),
];

#[tokio::test]
async fn kong_takes_the_route_that_is_meant() {
    let world = World::new().await;
    world.load().await;
    assert_eq!(kong_settings()["KONG_ROUTER_FLAVOR"], "traditional");
    let misrouted = |flavor| {
        let router = router(&world.kong(), flavor);
        let taken = |host, method: &str, path| {
            router.find(host, &method.parse().unwrap(), path).map(|(name, _)| name.clone())
        };
        ROUTED
            .iter()
            .filter(|(host, method, path, route)| taken(host, method, path).as_deref() != Some(*route))
            .map(|(host, _, path, _)| format!("{host}{path}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(misrouted(Flavor::Traditional), [""; 0]);
    // In the default flavor the API would answer only 404 on its own host.
    let api: Vec<_> = ROUTED
        .iter()
        .filter(|(host, .., route)| *host == "api.example.com" && *route != "api-nothing-else")
        .map(|(host, _, path, _)| format!("{host}{path}"))
        .collect();
    assert_eq!(misrouted(Flavor::TraditionalCompatible), api);
}

/// Kong would take the older of two such routes, and on a cluster their age is unknown.
#[test]
fn no_path_fits_two_routes_of_the_api() {
    let mut seen = Vec::<(&str, Vec<String>)>::new();
    let operations = functions::ALL.iter().flat_map(|f| f.operations().into_iter().map(|o| (f.service, o)));
    for (service, operation) in operations.filter(|(_, operation)| operation.path.starts_with("/public/")) {
        let path: Vec<_> = format!("{service}{}", operation.path).split('/').map(str::to_owned).collect();
        let fits = |a: &String, b: &String| a == b || a.starts_with('{') || b.starts_with('{');
        for (method, other) in &seen {
            let same = *method == operation.method
                && path.len() == other.len()
                && path.iter().zip(other).all(|(a, b)| fits(a, b));
            assert!(!same, "{method} {path:?} and {other:?}");
        }
        seen.push((operation.method, path));
    }
}

#[tokio::test]
async fn names_are_encoded_in_the_paths_of_the_admin_api() {
    for name in ["a?b", "50%25", "50%", "a/b#c d", "운영자"] {
        let world = World::new().await;
        for _ in 0..2 {
            world.load_with(&[("ADMIN_USERNAME", name)]).await.unwrap_or_else(|e| panic!("{name}: {e:#}"));
        }
        let kong = world.kong();
        let operators: Vec<_> = kong.of("basic-auths").map(|c| c["username"].clone()).collect();
        assert_eq!(operators, [name]);
        assert!(kong.calls.iter().all(|call| call.starts_with("PUT")), "{name}");
    }
    for name in ["a:b", ".."] {
        let refused = World::new().await.load_with(&[("ADMIN_USERNAME", name)]).await.unwrap_err();
        assert!(refused.to_string().contains("must not contain a colon"), "{refused:#}");
    }
}

/// Kong evaluates it in a template: `$(ngx.exit(500))`.
#[tokio::test]
async fn a_token_that_kong_would_evaluate_is_refused() {
    let world = World::new().await;
    let refused = world.load_with(&[("GATEWAY_TOKEN", "a$(b)")]).await.unwrap_err();
    assert!(format!("{refused:#}").contains("GATEWAY_TOKEN must not contain $("), "{refused:#}");
    assert!(world.kong().calls.is_empty());
    // A password is not a template.
    world.load_with(&[("ADMIN_PASSWORD", "a$(b)")]).await.unwrap();
}

#[tokio::test]
async fn what_is_for_operators_is_closed_before_it_is_there() {
    let world = World::new().await;
    world.load().await;
    let kong = world.kong();
    let at = |call: &str| kong.calls.iter().position(|c| c == call).unwrap();
    for name in ["grafana", "kibana"] {
        let service = kong.named("services", name).unwrap()["id"].clone();
        let auth = kong.of("plugins").find(|p| p["name"] == "basic-auth" && p["service"]["id"] == service);
        let plugin = format!("PUT /plugins/{}", auth.unwrap()["id"].as_str().unwrap());
        assert!(at(&plugin) < at(&format!("PUT /routes/{name}")));
    }
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let world = World::new().await;
    world.load().await;
    let before = world.kong().entities.clone();
    world.load().await;
    let kong = world.kong();
    assert_eq!(kong.entities, before);
    assert!(kong.calls.iter().all(|call| call.starts_with("PUT")));
}

#[tokio::test]
async fn what_no_file_holds_any_more_is_gone_and_what_users_have_stays() {
    let world = World::new().await;
    drop(world.kong().put("consumers", "user-1", json!({ "custom_id": "1" })));
    world.load().await;
    let before = world.kong().entities.len();
    world.edit(
        "kong.yml",
        "- name: user-signup\n  url: http://user-signup.",
        "- name: renamed\n  url: http://user-signup.",
    );
    world.edit("admin.yml", "username: ${ADMIN_USERNAME}", "username: another");
    std::fs::remove_file(world.folder.path().join("tracing.yml")).unwrap();
    world.load().await;
    {
        let kong = world.kong();
        let deleted: Vec<_> = kong.calls.iter().filter(|call| call.starts_with("DELETE")).collect();
        assert_eq!(deleted.len(), 3, "{deleted:?}");
        assert!(deleted[0].starts_with("DELETE /plugins/"));
        assert_eq!(deleted[1..], ["DELETE /services/user-signup", "DELETE /basic-auths/operator"]);
        assert_eq!(kong.entities.len(), before - 1);
        assert!(kong.of("plugins").all(|p| p["name"] != "opentelemetry"));
    }
    std::fs::remove_file(world.folder.path().join("admin.yml")).unwrap();
    world.load().await;
    let kong = world.kong();
    assert_eq!(kong.of("basic-auths").count(), 0);
    let consumers: Vec<_> = kong.of("consumers").map(|c| &c["username"]).collect();
    assert_eq!(consumers, ["user-1"]);
    assert!(kong.of("routes").all(|route| route["hosts"].is_null()));
}

#[tokio::test]
async fn plain_http_is_sent_to_https_if_asked_for() {
    let world = World::new().await;
    world.load_with(&[("HTTPS_ONLY", "true")]).await.unwrap();
    for route in world.kong().of("routes") {
        assert_eq!(
            (&route["protocols"], &route["https_redirect_status_code"]),
            (&json!(["https"]), &json!(308))
        );
    }
    world.load().await;
    assert!(world.kong().of("routes").all(|route| route["protocols"].is_null()));
}

#[tokio::test]
async fn what_cannot_be_loaded_is_said_and_changes_nothing() {
    let world = World::new().await;
    world.load().await;
    let before = world.kong().entities.clone();
    for (file, from, to, says) in [
        ("admin.yml", "${DOMAIN}", "${NOBODY}", "NOBODY is not set"),
        ("admin.yml", "${DOMAIN}", "${DOMAIN", "a ${ without its }"),
        ("kong.yml", "services:", "upstreams: []\nservices:", "unknown field `upstreams`"),
        ("kong.yml", "_format_version", "\t_format_version", "kong.yml"),
    ] {
        let world = World {
            folder: World::new().await.folder,
            kong: Arc::clone(&world.kong),
            url: world.url.clone(),
        };
        world.edit(file, from, to);
        let said = world.refusal().await;
        assert!(said.contains(says), "{to}: {said}");
    }
    // Without the generated file nothing would be left.
    std::fs::remove_file(world.folder.path().join("kong.yml")).unwrap();
    std::fs::remove_file(world.folder.path().join("admin.yml")).unwrap();
    assert!(world.refusal().await.contains("no service in it"));
    assert_eq!(world.kong().entities, before);
}

#[tokio::test]
async fn what_kong_refuses_is_said_without_what_was_sent() {
    for (from, to, says) in [
        ("status_code: 404", "status: 404", "request-termination: config: status: unknown field"),
        ("hosts: [\"api.${DOMAIN}\"]", "strip_path: true", "must set one of methods, hosts, paths"),
        ("basic-auth\n", "basic_auth\n", "plugin not enabled"),
        ("name: kibana\n        hosts", "name: grafana\n        hosts", "/routes/grafana is there twice"),
    ] {
        let world = World::new().await;
        world.edit("admin.yml", from, to);
        let said = world.refusal().await;
        assert!(said.contains(says), "{to}: {said}");
        assert!(!said.contains("the-token") && !said.contains(ENV[3].1));
        let kong = world.kong();
        assert!(
            kong.calls.iter().all(|call| !call.starts_with("DELETE")),
            "nothing is deleted on half a load"
        );
    }
}
