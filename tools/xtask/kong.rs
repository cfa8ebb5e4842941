//! Kong's declarative configuration: a service for each function that people may call, and a route
//! for each of its operations. The page about the gateway has the same routes, for people.

use std::fmt::Write as _;

use runtime::{Function, function::Operation};

const HEADER: &str = r#"# Generated from functions/lib.rs by `make manifests`: do not edit.
#
# The placeholder GATEWAY_TOKEN (with its dollar and braces) is replaced by whoever loads this file
# (`function gateway`): Kong takes no variable in add.headers.
#
# A function that was at zero accepts the connection at once, and answers when it has started: that
# is what Kong's own 60 seconds of read_timeout are for. Kong asks again only what could not be sent,
# or may be asked twice (no POST, no PATCH): once is enough.
_format_version: "3.0"
plugins:
  - name: correlation-id
    config:
      header_name: X-Request-ID
      generator: uuid
      echo_downstream: true
  - name: cors
    config:
      origins: ["*"]
      methods: [GET, POST, PATCH, DELETE, OPTIONS]
      headers: [apikey, Content-Type, Accept-Language, Idempotency-Key]
      exposed_headers: [X-Request-ID, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset]
      max_age: 3600
      credentials: false
      preflight_continue: false
  - name: request-size-limiting
    config:
      allowed_payload_size: 1
  - name: prometheus
    config:
      status_code_metrics: true
      latency_metrics: true
services:
"#;

/// What only the gateway may say of who asks.
const IDENTITY: &str =
    "X-Consumer-ID, X-Consumer-Custom-ID, X-Consumer-Username, X-Credential-Identifier, X-Anonymous-Consumer";

/// A prefix comes after every regular expression: everything that is no API.
const WEB: &str = "      - name: web
        paths: [/]
        strip_path: false
        preserve_host: false
        plugins:
          - name: request-transformer
            config:
              remove:
";

pub fn file(table: &[Function]) -> String {
    let mut text = HEADER.to_owned();
    for function in table {
        let public: Vec<_> =
            function.operations().into_iter().filter(|o| o.path.starts_with("/public/")).collect();
        let name = function.name;
        if public.is_empty() && name != "web" {
            continue;
        }
        // A check may take two minutes, its retries included; Kong itself would wait for one.
        let patience =
            if name == functions::checks::now::FUNCTION.name { "\n    read_timeout: 150000" } else { "" };
        write!(
            text,
            "  - name: {name}
    url: http://{name}.pongpong.svc.cluster.local
    connect_timeout: 5000{patience}
    retries: 1
    routes:
"
        )
        .ok();
        if name == "web" {
            writeln!(text, "{WEB}                headers: [X-Gateway-Token, {IDENTITY}]").ok();
        }
        for (n, operation) in public.iter().enumerate() {
            // One operation is the rule; a second gets a name of its own.
            let name = if n == 0 { name.to_owned() } else { format!("{name}-{n}") };
            text.push_str(&route(function, &name, operation));
        }
    }
    text
}

/// The public routes, for people.
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

fn route(function: &Function, name: &str, operation: &Operation) -> String {
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
    let method = operation.method;
    // OPTIONS: a preflight is answered only where a route has it.
    let mut text = format!(
        r#"      - name: {name}
        paths: ["{pattern}$"]
        methods: [{method}, OPTIONS]
        strip_path: false
        preserve_host: false
        plugins:
"#
    );
    let (removed, limit_by) = if operation.needs_key {
        text.push_str(
            "          - name: key-auth
            config:
              key_names: [apikey]
              key_in_query: false
              key_in_body: false
              hide_credentials: true
",
        );
        // Not the identity: key-auth has set it over whatever the client sent, before this runs.
        ("X-Gateway-Token".to_owned(), "consumer")
    } else {
        (format!("X-Gateway-Token, {IDENTITY}"), "ip")
    };
    if let Some(minute) = function.limit(operation.needs_key) {
        write!(
            text,
            "          - name: rate-limiting
            config:
              minute: {minute}
              policy: local
              limit_by: {limit_by}
"
        )
        .ok();
    }
    write!(
        text,
        r#"          - name: request-transformer
            config:
              remove:
                headers: [{removed}]
              replace:
                uri: {uri}
"#
    )
    .ok();
    // Only beside a key: Kong removes forged headers among the first 100 alone, and without a key it sets no
    // identity over them.
    if operation.needs_key {
        text.push_str(
            r#"              add:
                headers: ["X-Gateway-Token:${GATEWAY_TOKEN}"]
"#,
        );
    }
    text
}
