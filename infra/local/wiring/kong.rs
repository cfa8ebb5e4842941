//! Kong's declarative configuration: the part that this engine understands.
//!
//! Each plugin runs once per request, with its most specific configuration: the route's, else the service's,
//! else the global one.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http::{HeaderName, HeaderValue};
use runtime::Function;
use serde::Deserialize;

use super::file::{File, documents, function};
use crate::gateway::router::{Criteria, PathPattern};

/// A route with all its plugins.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    pub function: &'static str,
    pub asks_strangers: fn(&str) -> bool,
    /// The `Host` of requests to the function, as on a cluster.
    pub host: HeaderValue,
    /// How long the function may take to answer.
    pub read_timeout: Duration,
    pub criteria: Criteria,
    pub correlation_id: Option<CorrelationId>,
    pub cors: Option<Cors>,
    pub key_auth: bool,
    /// In bytes.
    pub size_limit: Option<u64>,
    pub rate_limit: Option<RateLimit>,
    pub transform: Transform,
}

#[derive(Clone, Debug)]
pub struct CorrelationId {
    pub header: HeaderName,
    pub echo: bool,
}

#[derive(Clone, Debug)]
pub struct Cors {
    /// `None`: the headers that the preflight asks for.
    pub headers: Option<HeaderValue>,
    pub methods: HeaderValue,
    pub exposed: Option<HeaderValue>,
    pub max_age: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    pub minute: u32,
    pub by: LimitBy,
}

#[derive(Clone, Debug, Default)]
pub struct Transform {
    pub remove: Vec<HeaderName>,
    pub add: Vec<(HeaderName, HeaderValue)>,
    pub uri: Option<Template>,
}

impl Transform {
    /// The path of the request to the function.
    pub fn path(&self, pattern: Option<&PathPattern>, path: &str) -> String {
        let Some(uri) = &self.uri else { return path.to_owned() };
        match pattern {
            Some(PathPattern::Regex(regex)) => {
                regex.captures(path).map_or_else(|| path.to_owned(), |captures| uri.render(&captures))
            }
            _ => uri.text(),
        }
    }
}

/// For example `/public/v1/users/$(uri_captures.id)`.
#[derive(Clone, Debug)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Capture(String),
}

impl Template {
    fn parse(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("$(") {
            let (inside, after) = after.split_once(')').context("a $( without its )")?;
            let name = inside.strip_prefix("uri_captures.");
            let name = name.with_context(|| format!("$({inside}) is not understood"))?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Capture(name.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    fn captures(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Capture(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    pub fn render(&self, captures: &regex::Captures<'_>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Capture(name) => captures.name(name).map_or("", |m| m.as_str()).to_owned(),
        };
        self.0.iter().map(piece).collect()
    }

    /// For a route whose path captures nothing.
    pub fn text(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Capture(_) => String::new(),
        };
        self.0.iter().map(text).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "_format_version")]
    _format_version: FormatVersion,
    #[serde(default)]
    services: Vec<ServiceSpec>,
    #[serde(default)]
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
enum FormatVersion {
    #[serde(rename = "3.0")]
    V3,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceSpec {
    name: String,
    url: String,
    /// Connection settings: the engine makes no connection.
    #[serde(rename = "connect_timeout")]
    _connect_timeout: Option<u32>,
    #[serde(rename = "retries")]
    _retries: Option<u16>,
    /// In milliseconds.
    #[serde(default = "a_minute")]
    read_timeout: u32,
    #[serde(default)]
    routes: Vec<RouteSpec>,
    #[serde(default)]
    plugins: Vec<Plugin>,
}

/// Kong's default.
fn a_minute() -> u32 {
    60_000
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteSpec {
    name: String,
    paths: Vec<String>,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    regex_priority: i32,
    strip_path: bool,
    preserve_host: bool,
    #[serde(default)]
    plugins: Vec<Plugin>,
}

#[derive(Clone, Deserialize)]
#[serde(tag = "name", content = "config", rename_all = "kebab-case", deny_unknown_fields)]
enum Plugin {
    CorrelationId(CorrelationIdSpec),
    Cors(CorsSpec),
    KeyAuth(KeyAuthSpec),
    RequestSizeLimiting(SizeSpec),
    RateLimiting(RateSpec),
    RequestTransformer(TransformSpec),
    Prometheus(PrometheusSpec),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CorrelationIdSpec {
    header_name: String,
    #[serde(rename = "generator")]
    _generator: Generator,
    #[serde(default)]
    echo_downstream: bool,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Generator {
    Uuid,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CorsSpec {
    origins: Vec<String>,
    methods: Option<Vec<String>>,
    headers: Option<Vec<String>>,
    exposed_headers: Option<Vec<String>>,
    max_age: Option<u32>,
    #[serde(default)]
    credentials: bool,
    #[serde(default)]
    preflight_continue: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyAuthSpec {
    key_names: Vec<String>,
    key_in_query: bool,
    key_in_body: bool,
    hide_credentials: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SizeSpec {
    /// In megabytes.
    allowed_payload_size: u64,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateSpec {
    minute: u32,
    #[serde(rename = "policy")]
    _policy: Policy,
    limit_by: LimitBy,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Policy {
    Local,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitBy {
    Ip,
    Consumer,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TransformSpec {
    #[serde(default)]
    remove: RemoveSpec,
    #[serde(default)]
    replace: ReplaceSpec,
    #[serde(default)]
    add: AddSpec,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveSpec {
    #[serde(default)]
    headers: Vec<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplaceSpec {
    uri: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddSpec {
    #[serde(default)]
    headers: Vec<String>,
}

/// Kong's metrics. They affect no answer, and nothing reads Kong's metrics here.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrometheusSpec {
    #[serde(default, rename = "status_code_metrics")]
    _status_code: bool,
    #[serde(default, rename = "latency_metrics")]
    _latency: bool,
}

/// Placeholder for the token that the gateway and the functions share. Kong's files have no variables: the
/// token is inserted as text when the file is loaded.
const PLACEHOLDER: &str = "${GATEWAY_TOKEN}";

pub fn read(file: &File, functions: &'static [Function], gateway_token: &str) -> Result<Vec<Route>> {
    let file = File { name: file.name, text: file.text.replace(PLACEHOLDER, gateway_token).into() };
    let mut routes = Vec::<Route>::new();
    for (place, document) in documents::<Document>(&file)? {
        for service in document.services {
            let place = format!("{place}, service {:?}", service.name);
            let (host, function) = upstream(&service.url, functions).with_context(|| place.clone())?;
            for route in service.routes {
                let place = format!("{place}, route {:?}", route.name);
                ensure!(routes.iter().all(|r| r.name != route.name), "{place}: a second one of this name");
                let plugins = [&document.plugins, &service.plugins, &route.plugins].map(|p| p.as_slice());
                let read_timeout = Duration::from_millis(service.read_timeout.into());
                let read = complete(&route, plugins, host.clone(), function, read_timeout);
                routes.push(read.context(place)?);
            }
        }
    }
    Ok(routes)
}

/// `http://NAME.pongpong.svc.cluster.local`: the first label names the function.
fn upstream(url: &str, functions: &'static [Function]) -> Result<(HeaderValue, &'static Function)> {
    let host = url.strip_prefix("http://").filter(|host| !host.contains(['/', ':', '?', '@', '#']));
    let host = host.with_context(|| format!("url: {url:?} is not understood"))?;
    let name = host.split('.').next().unwrap_or_default();
    Ok((HeaderValue::from_str(host)?, function(functions, name).context("url")?))
}

fn complete(
    spec: &RouteSpec,
    plugins: [&[Plugin]; 3],
    host: HeaderValue,
    function: &'static Function,
    read_timeout: Duration,
) -> Result<Route> {
    ensure!(!spec.strip_path, "strip_path: only false is understood");
    ensure!(!spec.preserve_host, "preserve_host: only false is understood");
    ensure!(!spec.paths.is_empty(), "paths: there must be one");
    let paths: Vec<_> = spec.paths.iter().map(|p| p.parse()).collect::<Result<_>>().context("paths")?;
    let methods = spec.methods.iter().map(|m| m.parse()).collect::<Result<_, _>>().context("methods")?;
    let mut route = Route {
        name: spec.name.clone(),
        function: function.name,
        asks_strangers: function.asks_strangers,
        host,
        read_timeout,
        criteria: Criteria { hosts: Vec::new(), methods, paths, regex_priority: spec.regex_priority },
        correlation_id: None,
        cors: None,
        key_auth: false,
        size_limit: None,
        rate_limit: None,
        transform: Transform::default(),
    };
    // From general to specific: later ones replace earlier ones.
    for level in plugins {
        let mut seen = Vec::new();
        for plugin in level {
            let kind = std::mem::discriminant(plugin);
            ensure!(!seen.contains(&kind), "plugins: one of them is there twice");
            seen.push(kind);
            route.apply(plugin).context("plugins")?;
        }
    }
    let captures = route.transform.uri.iter().flat_map(Template::captures);
    for capture in captures {
        let known = route.criteria.paths.iter().all(|path| match path {
            PathPattern::Regex(regex) => regex.capture_names().flatten().any(|name| name == capture),
            PathPattern::Prefix(_) => false,
        });
        ensure!(known, "replace.uri: no group {capture:?} in every path");
    }
    Ok(route)
}

impl Route {
    fn apply(&mut self, plugin: &Plugin) -> Result<()> {
        match plugin.clone() {
            Plugin::CorrelationId(spec) => {
                let header = spec.header_name.parse().context("correlation-id: header_name")?;
                self.correlation_id = Some(CorrelationId { header, echo: spec.echo_downstream });
            }
            Plugin::Cors(spec) => self.cors = Some(cors(spec).context("cors")?),
            Plugin::KeyAuth(spec) => {
                ensure!(spec.key_names == ["apikey"], "key-auth: key_names: only [apikey] is understood");
                ensure!(!spec.key_in_query, "key-auth: key_in_query: only false is understood");
                ensure!(!spec.key_in_body, "key-auth: key_in_body: only false is understood");
                ensure!(spec.hide_credentials, "key-auth: hide_credentials: only true is understood");
                self.key_auth = true;
            }
            Plugin::RequestSizeLimiting(spec) => self.size_limit = Some(spec.allowed_payload_size << 20),
            Plugin::RateLimiting(spec) => {
                self.rate_limit = Some(RateLimit { minute: spec.minute, by: spec.limit_by });
            }
            Plugin::RequestTransformer(spec) => {
                self.transform = transform(spec).context("request-transformer")?;
            }
            Plugin::Prometheus(PrometheusSpec { .. }) => {}
        }
        Ok(())
    }
}

fn cors(spec: CorsSpec) -> Result<Cors> {
    ensure!(spec.origins == ["*"], "origins: only [\"*\"] is understood");
    ensure!(!spec.credentials, "credentials: only false is understood");
    ensure!(!spec.preflight_continue, "preflight_continue: only false is understood");
    let joined = |list: Vec<String>| HeaderValue::from_str(&list.join(","));
    let methods = spec.methods.map(joined).transpose().context("methods")?;
    Ok(Cors {
        headers: spec.headers.map(joined).transpose().context("headers")?,
        methods: methods
            .unwrap_or(HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT")),
        exposed: spec.exposed_headers.map(joined).transpose().context("exposed_headers")?,
        max_age: spec.max_age,
    })
}

fn transform(spec: TransformSpec) -> Result<Transform> {
    let mut transform = Transform::default();
    for name in spec.remove.headers {
        transform.remove.push(name.parse().with_context(|| format!("remove.headers: {name:?}"))?);
    }
    for header in spec.add.headers {
        // The error message leaves the value out: it may be the gateway's token.
        let (name, value) = header.split_once(':').context("add.headers: not NAME:VALUE")?;
        if value.contains("$(") || value.contains("${") {
            bail!("add.headers: {name}: holds a variable that this engine does not know");
        }
        let mut value = HeaderValue::from_str(value).with_context(|| format!("add.headers: {name}"))?;
        value.set_sensitive(true);
        transform.add.push((name.parse().with_context(|| format!("add.headers: {name:?}"))?, value));
    }
    transform.uri = spec.replace.uri.as_deref().map(Template::parse).transpose().context("replace.uri")?;
    Ok(transform)
}
