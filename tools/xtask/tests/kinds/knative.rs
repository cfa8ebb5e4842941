//! Knative Serving and Eventing: what their webhooks accept (their fieldmask.go and k8s_validation.go) with
//! the features that infra/knative enables, as far as our manifests need it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_norway::Value;

use super::read;

type Map = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Object<S> {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Metadata,
    spec: S,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: Option<String>,
    #[serde(rename = "namespace")]
    _namespace: Option<String>,
    #[serde(default)]
    labels: Map,
    #[serde(default)]
    annotations: Map,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceSpec {
    template: Template,
    #[serde(default, rename = "traffic")]
    _traffic: Vec<Traffic>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Traffic {
    #[serde(rename = "revisionName")]
    _revision_name: Option<String>,
    #[serde(rename = "latestRevision")]
    _latest_revision: Option<bool>,
    #[serde(rename = "percent")]
    _percent: Option<u8>,
    #[serde(rename = "tag")]
    _tag: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    metadata: Metadata,
    spec: RevisionSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RevisionSpec {
    container_concurrency: u32,
    timeout_seconds: u32,
    enable_service_links: bool,
    automount_service_account_token: bool,
    /// Requires the feature `kubernetes.podspec-priorityclassname`.
    priority_class_name: Option<String>,
    containers: Vec<Container>,
    #[serde(default)]
    volumes: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Container {
    name: String,
    image: String,
    #[serde(rename = "imagePullPolicy")]
    _image_pull_policy: PullPolicy,
    args: Vec<String>,
    ports: Vec<Port>,
    env: Vec<Variable>,
    startup_probe: Probe,
    readiness_probe: Probe,
    liveness_probe: Probe,
    resources: Resources,
    security_context: SecurityContext,
}

#[derive(Deserialize)]
enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Port {
    name: PortName,
    container_port: u16,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PortName {
    Http1,
    H2c,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Variable {
    name: String,
    value: Option<String>,
    value_from: Option<ValueFrom>,
}

/// Without `fieldRef`, which requires a feature.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ValueFrom {
    config_map_key_ref: Option<KeyRef>,
    secret_key_ref: Option<KeyRef>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRef {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "key")]
    _key: String,
    #[serde(default, rename = "optional")]
    _optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Probe {
    http_get: HttpGet,
    #[serde(default)]
    period_seconds: u32,
    timeout_seconds: Option<u32>,
    failure_threshold: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpGet {
    path: String,
    port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resources {
    requests: Map,
    limits: Map,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SecurityContext {
    run_as_non_root: bool,
    run_as_user: u32,
    #[serde(rename = "runAsGroup")]
    _run_as_group: u32,
    allow_privilege_escalation: bool,
    read_only_root_filesystem: bool,
    capabilities: Capabilities,
    seccomp_profile: Seccomp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Capabilities {
    drop: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seccomp {
    r#type: String,
}

const SERVICE_LABELS: &[&str] = &["visibility"];
const QUEUE_PROXY: &[&str] = &["cpu-resource-request", "memory-resource-request"];
const AUTOSCALING: &[&str] = &[
    "class",
    "initial-scale",
    "max-scale",
    "metric",
    "min-scale",
    "scale-down-delay",
    "scale-to-zero-pod-retention-period",
    "target",
    "target-utilization-percentage",
    "window",
];

pub fn service(document: &Value) -> Result<(), String> {
    let service: Object<ServiceSpec> = read(document)?;
    let Template { metadata, spec } = service.spec.template;
    let known = |map: &Map, prefix: &str, names: &[&str]| {
        let unknown =
            map.keys().filter_map(|key| key.strip_prefix(prefix)).find(|name| !names.contains(name));
        unknown.map_or(Ok(()), |name| Err(format!("{prefix}{name} is not known")))
    };
    known(&service.metadata.labels, "networking.knative.dev/", SERVICE_LABELS)?;
    known(&metadata.annotations, "autoscaling.knative.dev/", AUTOSCALING)?;
    known(&metadata.annotations, "queue.sidecar.serving.knative.dev/", QUEUE_PROXY)?;
    // Knative generates revision names; a fixed name would have to be changed by hand each time.
    ensure(metadata.name.is_none(), "template.metadata.name is set")?;
    let number = |name: &str| -> Result<u32, String> {
        let key = format!("autoscaling.knative.dev/{name}");
        metadata
            .annotations
            .get(&key)
            .and_then(|value| value.parse().ok())
            .ok_or(format!("{key} is no number"))
    };
    let (min, max) = (number("min-scale")?, number("max-scale")?);
    ensure(min <= max, "min-scale is over max-scale")?;
    ensure(
        number("target")? >= 1 && number("target")? <= spec.container_concurrency,
        "target out of bounds",
    )?;
    ensure(number("initial-scale")? <= min.max(1), "initial-scale starts more than stay")?;
    ensure((1..=600).contains(&spec.timeout_seconds), "timeoutSeconds is over max-revision-timeout-seconds")?;
    ensure(!spec.enable_service_links, "enableServiceLinks slows every start")?;
    ensure(!spec.automount_service_account_token, "a token that nobody needs")?;
    ensure(spec.volumes.is_empty(), "volumes")?;
    ensure(
        spec.priority_class_name.is_none_or(|name| name == "pongpong-alarm"),
        "an unknown priority class",
    )?;
    let [container] = &spec.containers[..] else { return Err("there is one container".to_owned()) };
    let Container { name, image, args, ports, env, resources, .. } = container;
    ensure(!["queue-proxy", "istio-proxy"].contains(&name.as_str()), "a reserved name")?;
    ensure(image.contains('/') && image.contains(':'), "the image has no place or no tag")?;
    ensure(args.len() == 1, "args is the function")?;
    ensure(ports.len() == 1 && ports[0].name == PortName::Http1, "one port, of HTTP/1.1")?;
    ensure(ports[0].container_port == 8080, "PORT is 8080")?;
    for variable in env {
        let reserved =
            ["PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"].contains(&variable.name.as_str());
        ensure(!reserved, "a variable that Knative sets")?;
        let from = variable.value_from.as_ref();
        ensure(variable.value.is_some() != from.is_some(), "a value, or where it is from")?;
        let one = from.is_none_or(|f| f.config_map_key_ref.is_some() != f.secret_key_ref.is_some());
        ensure(one, "valueFrom is one of two")?;
    }
    // Without a period, Knative's readiness probe ran only every 10 s in the worst case.
    ensure(container.startup_probe.period_seconds == 1, "a start is noticed late")?;
    // Seen with Knative Serving of August 2026: it sets the container's port in readiness and liveness
    // probes, but not in the startup probe, and the API server refuses every Deployment
    // (`startupProbe.httpGet.port: Invalid value: 0`).
    ensure(container.startup_probe.http_get.port == Some(8080), "a startup probe names its port")?;
    let others = [&container.readiness_probe, &container.liveness_probe];
    ensure(others.iter().all(|probe| probe.http_get.port.is_none_or(|port| port == 8080)), "another port")?;
    ensure((1..=2).contains(&container.readiness_probe.period_seconds), "readiness is noticed late")?;
    for (probe, path) in [
        (&container.startup_probe, "/health"),
        (&container.readiness_probe, "/ready"),
        (&container.liveness_probe, "/health"),
    ] {
        ensure(probe.http_get.path == path, "the path of a probe")?;
        let own = probe.timeout_seconds.is_none() && probe.failure_threshold.is_none();
        ensure(
            probe.period_seconds > 0 || own,
            "a probe with Knative's own rhythm has no limits of its own",
        )?;
    }
    for what in ["cpu", "memory"] {
        ensure(resources.requests.contains_key(what) && resources.limits.contains_key(what), "resources")?;
    }
    let fence = &container.security_context;
    ensure(fence.run_as_non_root && fence.run_as_user > 0, "runs as root")?;
    ensure(!fence.allow_privilege_escalation && fence.read_only_root_filesystem, "not fenced in")?;
    ensure(
        fence.capabilities.drop == ["ALL"] && fence.seccomp_profile.r#type == "RuntimeDefault",
        "capabilities",
    )
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokerSpec {
    /// Settings of the Broker's class.
    config: Option<Reference>,
    delivery: Delivery,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Reference {
    api_version: String,
    kind: String,
    name: String,
    #[serde(rename = "namespace")]
    _namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Delivery {
    retry: u32,
    #[serde(rename = "backoffPolicy")]
    _backoff_policy: BackoffPolicy,
    backoff_delay: String,
    timeout: Option<String>,
    dead_letter_sink: Destination,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum BackoffPolicy {
    Linear,
    Exponential,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Destination {
    r#ref: Reference,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TriggerSpec {
    broker: String,
    filter: Filter,
    delivery: Delivery,
    subscriber: Destination,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    attributes: Map,
}

fn delivery(delivery: &Delivery) -> Result<(), String> {
    let is_duration = |text: &str| text.starts_with("PT") && text.ends_with(|c: char| "HMS".contains(c));
    ensure((1..=20).contains(&delivery.retry), "retry")?;
    ensure(is_duration(&delivery.backoff_delay), "backoffDelay")?;
    ensure(delivery.timeout.as_deref().is_none_or(is_duration), "timeout")?;
    function(&delivery.dead_letter_sink)
}

fn function(destination: &Destination) -> Result<(), String> {
    let Reference { api_version, kind, .. } = &destination.r#ref;
    ensure(api_version == "serving.knative.dev/v1" && kind == "Service", "ref is no Knative Service")
}

pub fn broker(document: &Value) -> Result<(), String> {
    let broker: Object<BrokerSpec> = read(document)?;
    let class = broker.metadata.annotations.get("eventing.knative.dev/broker.class").map(String::as_str);
    let config = broker.spec.config.as_ref();
    match class {
        None | Some("MTChannelBasedBroker") => {
            let asynchronous = broker.metadata.annotations.get("messaging.knative.dev/async-handler");
            ensure(asynchronous.is_some_and(|is| is == "true"), "its publishers wait for all subscribers")?;
        }
        Some("Kafka") => {
            let config = config.ok_or("a Kafka Broker without its config")?;
            ensure(config.api_version == "v1" && config.kind == "ConfigMap", "config is no ConfigMap")?;
            ensure(!config.name.is_empty(), "config has no name")?;
        }
        Some(other) => return Err(format!("broker.class {other}")),
    }
    delivery(&broker.spec.delivery)
}

pub fn trigger(document: &Value) -> Result<(), String> {
    let trigger: Object<TriggerSpec> = read(document)?;
    ensure(trigger.spec.broker == "default", "broker")?;
    let attribute =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    ensure(trigger.spec.filter.attributes.keys().all(|name| attribute(name)), "an attribute's name")?;
    function(&trigger.spec.subscriber)?;
    delivery(&trigger.spec.delivery)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SinkBindingSpec {
    subject: Subject,
    sink: Destination,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Subject {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    selector: Selector,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Selector {
    match_labels: Map,
}

pub fn sink_binding(document: &Value) -> Result<(), String> {
    let binding: Object<SinkBindingSpec> = read(document)?;
    let Reference { api_version, kind, .. } = &binding.spec.sink.r#ref;
    ensure(api_version == "eventing.knative.dev/v1" && kind == "Broker", "sink")?;
    ensure(!binding.spec.subject.selector.match_labels.is_empty(), "subject")
}
