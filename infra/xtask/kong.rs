//! Kong's declarative configuration: a service for each function that people may call, and a route
//! for each of its operations.

use std::fmt::Write as _;

use runtime::{Function, function::Operation};

const HEADER: &str = r#"# Generated from functions/lib.rs by `make manifests`: do not edit.
#
# The placeholder GATEWAY_TOKEN (with its dollar and braces) is replaced as text by whoever loads
# this file: Kong takes no variable in add.headers.
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
      headers: [apikey, Content-Type, Accept-Language]
      exposed_headers: [X-Request-ID, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset]
      max_age: 3600
      credentials: false
      preflight_continue: false
  - name: request-size-limiting
    config:
      allowed_payload_size: 1
services:
"#;

/// What only the gateway may say of who asks.
const IDENTITY: &str =
    "X-Consumer-ID, X-Consumer-Custom-ID, X-Consumer-Username, X-Credential-Identifier, X-Anonymous-Consumer";

/// A prefix comes after every regular expression: everything that is no API.
const WEB: &str = "  - name: web
    url: http://web.pongpong.svc.cluster.local
    routes:
      - name: web
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
        if function.name == "web" {
            writeln!(text, "{WEB}                headers: [X-Gateway-Token, {IDENTITY}]").ok();
        }
        if public.is_empty() {
            continue;
        }
        let name = function.name;
        writeln!(text, "  - name: {name}\n    url: http://{name}.pongpong.svc.cluster.local\n    routes:")
            .ok();
        for (n, operation) in public.iter().enumerate() {
            // One operation is the rule; a second gets a name of its own.
            let name = if n == 0 { name.to_owned() } else { format!("{name}-{n}") };
            text.push_str(&route(function, &name, operation));
        }
    }
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
    if let Some(minute) = function.per_minute {
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
              add:
                headers: ["X-Gateway-Token:${{GATEWAY_TOKEN}}"]
"#
    )
    .ok();
    text
}
