//! Kong's declarative configuration: a service for each function with public operations, and a route for each
//! of those operations. The documentation of the gateway lists the same routes.

use std::fmt::Write as _;

use anyhow::Result;
use runtime::{Function, function::Operation};
use serde::Serialize;
use serde_json::{Value, json};

/// At the top of the file.
const ABOUT: &str = "# Generated from functions/lib.rs by `make manifests`: do not edit.
#
# The placeholder GATEWAY_TOKEN (with its dollar and braces) is replaced by whoever loads this file
# (`function gateway`): Kong takes no variable in add.headers.
";

#[derive(Serialize)]
struct Configuration {
    _format_version: &'static str,
    plugins: Vec<Plugin>,
    services: Vec<Service>,
}

#[derive(Serialize)]
struct Service {
    name: &'static str,
    url: String,
    connect_timeout: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_timeout: Option<u32>,
    retries: u32,
    routes: Vec<Route>,
}

#[derive(Serialize)]
struct Route {
    name: String,
    paths: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    methods: Vec<String>,
    strip_path: bool,
    preserve_host: bool,
    plugins: Vec<Plugin>,
}

#[derive(Serialize)]
struct Plugin {
    name: &'static str,
    config: Value,
}

fn plugin(name: &'static str, config: Value) -> Plugin {
    Plugin { name, config }
}

/// The plugins of every route.
fn plugins() -> Vec<Plugin> {
    vec![
        plugin(
            "correlation-id",
            json!({"header_name": "X-Request-ID", "generator": "uuid", "echo_downstream": true}),
        ),
        plugin(
            "cors",
            json!({
                "origins": ["*"],
                "methods": ["GET", "POST", "PATCH", "DELETE", "OPTIONS"],
                "headers": ["apikey", "Content-Type", "Accept-Language", "Idempotency-Key"],
                "exposed_headers":
                    ["X-Request-ID", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"],
                "max_age": 3600,
                "credentials": false,
                "preflight_continue": false,
            }),
        ),
        plugin("request-size-limiting", json!({"allowed_payload_size": 1})),
        plugin("prometheus", json!({"status_code_metrics": true, "latency_metrics": true})),
    ]
}

const GATEWAY_TOKEN: &str = "X-Gateway-Token";
/// Headers in which the gateway identifies the caller.
const IDENTITY: [&str; 5] = [
    "X-Consumer-ID",
    "X-Consumer-Custom-ID",
    "X-Consumer-Username",
    "X-Credential-Identifier",
    "X-Anonymous-Consumer",
];

/// Headers that only the gateway may set.
fn forged() -> Vec<&'static str> {
    [&[GATEWAY_TOKEN][..], &IDENTITY].concat()
}

pub fn file(table: &[Function]) -> Result<String> {
    let services = table.iter().map(service).filter(|service| !service.routes.is_empty()).collect();
    let configuration = Configuration { _format_version: "3.0", plugins: plugins(), services };
    Ok(format!("{ABOUT}{}", serde_norway::to_string(&configuration)?))
}

/// A function that was scaled to zero accepts the connection at once, and answers when it has started: Kong's
/// default `read_timeout` of 60 seconds allows for that. Kong retries only requests that could not be sent or
/// that may be sent twice (no POST, no PATCH): one retry is enough.
fn service(function: &Function) -> Service {
    let name = function.name;
    let operations = function.operations();
    let public = operations.iter().filter(|operation| operation.path.starts_with("/public/"));
    // Functions usually have one operation; the name of a further one gets a suffix.
    let name_of = |n| if n == 0 { name.to_owned() } else { format!("{name}-{n}") };
    let mut routes: Vec<_> = public.enumerate().map(|(n, of)| route(function, name_of(n), of)).collect();
    if name == functions::web::FUNCTION.name {
        // Kong tries prefixes after all regular expressions, so this is every path outside the API.
        routes.push(Route {
            name: name.to_owned(),
            paths: vec!["/".to_owned()],
            methods: Vec::new(),
            strip_path: false,
            preserve_host: false,
            plugins: vec![plugin("request-transformer", json!({"remove": {"headers": forged()}}))],
        });
    }
    Service {
        name,
        url: format!("http://{name}.pongpong.svc.cluster.local"),
        connect_timeout: 5000,
        // A check may take two minutes, including its retries.
        read_timeout: (name == functions::checks::now::FUNCTION.name).then_some(150_000),
        retries: 1,
        routes,
    }
}

/// The public routes as a table.
pub fn table(table: &[Function]) -> String {
    let mut text = "| route | function | who | calls a minute |\n|---|---|---|---|\n".to_owned();
    for function in table {
        for operation in function.operations().iter().filter(|o| o.path.starts_with("/public/")) {
            let (who, by) = if operation.needs_key { ("a key", "user") } else { ("anybody", "address") };
            let limit =
                function.limit(operation.needs_key).map_or("no limit".to_owned(), |n| format!("{n} by {by}"));
            let (method, path) = (&operation.method, gateway_path(function, &operation.path));
            writeln!(text, "| `{method} {path}` | {} | {who} | {limit} |", function.name).ok();
        }
    }
    text.push_str("| everything else | web | anybody | no limit |\n");
    text
}

/// `/public/v1/users/{id}` as `/user-service/v1/users/{id}`
pub fn gateway_path(function: &Function, path: &str) -> String {
    format!("/{}{}", function.service, path.trim_start_matches("/public"))
}

fn route(function: &Function, name: String, operation: &Operation) -> Route {
    let (mut pattern, mut uri) = (String::from("~"), String::new());
    for part in gateway_path(function, &operation.path).split('/').skip(1) {
        match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            Some(group) => write!(pattern, "/(?<{group}>[^/]+)").ok(),
            None => write!(pattern, "/{part}").ok(),
        };
    }
    for part in operation.path.split('/').skip(1) {
        match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            Some(group) => write!(uri, "/$(uri_captures.{group})").ok(),
            None => write!(uri, "/{part}").ok(),
        };
    }
    let mut plugins = Vec::new();
    let mut transformed = json!({"replace": {"uri": uri}});
    if operation.needs_key {
        let keys = ["apikey"];
        plugins.push(plugin(
            "key-auth",
            json!({"key_names": keys, "key_in_query": false, "key_in_body": false, "hide_credentials": true}),
        ));
        // Not the identity headers: key-auth has replaced the client's values before this runs.
        transformed["remove"] = json!({"headers": [GATEWAY_TOKEN]});
        // Only on routes with a key: Kong removes forged headers only among the first 100, and without a key
        // it does not overwrite the identity headers.
        transformed["add"] = json!({"headers": [format!("{GATEWAY_TOKEN}:${{GATEWAY_TOKEN}}")]});
    } else {
        transformed["remove"] = json!({"headers": forged()});
    }
    if let Some(minute) = function.limit(operation.needs_key) {
        let by = if operation.needs_key { "consumer" } else { "ip" };
        let limit = json!({"minute": minute, "policy": "local", "limit_by": by});
        plugins.push(plugin("rate-limiting", limit));
    }
    plugins.push(plugin("request-transformer", transformed));
    Route {
        name,
        paths: vec![format!("{pattern}$")],
        // A preflight is answered only if the route has its method.
        methods: vec![operation.method.to_string(), "OPTIONS".to_owned()],
        strip_path: false,
        preserve_host: false,
        plugins,
    }
}
