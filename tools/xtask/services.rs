//! A Knative Service for each function, and the Job that migrates the database before they start.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::Result;
use functions::{
    checks::schedule,
    endpoints::{claim, private_list},
    roles::{ROLES, Role},
};
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Capabilities, ConfigMapKeySelector, Container, ContainerPort, EnvVar, EnvVarSource,
            HTTPGetAction, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
            SecretKeySelector, SecurityContext,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use runtime::Function;
use serde::Serialize;
use serde_json::json;

use crate::yaml;

/// The type of a function, as far as it affects how it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Api,
    Private,
    Event,
    Cron,
    Prober,
    Sender,
    Web,
}

/// Whether alerts are delayed while this function cannot run.
pub fn is_on_alarm_path(function: &Function) -> bool {
    matches!(Type::of(function), Type::Event | Type::Prober | Type::Sender)
        || [schedule::NAME, claim::NAME, private_list::NAME].contains(&function.name)
}

/// The priority class: Kubernetes makes room for these pods first.
pub fn priority(function: &Function) -> Option<String> {
    is_on_alarm_path(function).then(|| "pongpong-alarm".to_owned())
}

impl Type {
    pub fn of(function: &Function) -> Self {
        let public = || function.operations().iter().any(|o| o.path.starts_with("/public/"));
        if function.name == "web" {
            Self::Web
        } else if function.name == functions::checks::run::FUNCTION.name {
            Self::Prober
        } else if function.subscriptions.iter().any(|s| s.only.is_some_and(|(name, _)| name == "channel")) {
            Self::Sender
        } else if function.cron.is_some() {
            Self::Cron
        } else if public() {
            Self::Api
        } else if function.trigger.is_some() {
            Self::Event
        } else {
            Self::Private
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Private => "private",
            Self::Event => "event",
            Self::Cron => "cron",
            Self::Prober => "prober",
            Self::Sender => "sender",
            Self::Web => "web",
        }
    }

    fn scale(self) -> Scale {
        // User requests are short: many share a pod, and they wait for a database connection.
        let short = Scale { at_once: 100, target: 70, max: 10, timeout: 60, milli_cpu: 5, memory: "256Mi" };
        match self {
            // check-now waits for the target: 60 s, plus its retries.
            Self::Api => Scale { timeout: 300, ..short },
            Self::Private | Self::Web => short,
            // A batch is parsed and stored: work for the CPU, with four connections to share.
            Self::Event => Scale { at_once: 16, target: 8, timeout: 120, milli_cpu: 10, ..short },
            // One tick at a time.
            Self::Cron => Scale { at_once: 1, target: 1, max: 1, timeout: 300, ..short },
            // A request is a batch of up to 500 checks, which mostly waits for their scheduled times and for
            // the targets. Ten of them are 5,000 checks a minute: a few per cent of a core. Memory: 170 MB
            // with 10,000 hanging checks, 280 MiB of responses, and two responses that are evaluated.
            Self::Prober => {
                Scale { at_once: 20, target: 10, max: 100, timeout: 300, milli_cpu: 50, memory: "768Mi" }
            }
            // At most twenty messages at once, to spare mail servers.
            Self::Sender => Scale { at_once: 10, target: 10, max: 2, timeout: 60, ..short },
        }
    }
}

/// How a revision scales, and the resources of its pods.
struct Scale {
    /// Concurrent requests in a pod: the hard limit, and the autoscaler's target.
    at_once: u32,
    target: u32,
    /// Maximum number of pods.
    max: u32,
    /// In seconds.
    timeout: u32,
    /// CPU request: an idle function was measured at 1 mCPU on a cluster. Busy functions use CPU that others
    /// leave free.
    milli_cpu: u32,
    /// Memory limit; peaks of password hashing were measured at 122 MB.
    memory: &'static str,
}

const FUNCTION_MIB: u32 = 16;
/// An idle queue-proxy was measured at 6 MiB.
const QUEUE_PROXY_MILLI_CPU: u32 = 5;
const QUEUE_PROXY_MIB: u32 = 16;

/// The resource requests of a cluster with one pod of each function, as a table.
pub fn requests(table: &[Function]) -> String {
    let mut text =
        "| one pod of each, with its queue-proxy | pods | CPU | memory |\n|---|---|---|---|\n".to_owned();
    let mut row = |name: &str, functions: Vec<&Function>| {
        let pods = functions.len() as u32;
        let cpu: u32 = functions.iter().map(|f| Type::of(f).scale().milli_cpu + QUEUE_PROXY_MILLI_CPU).sum();
        let mib = pods * (FUNCTION_MIB + QUEUE_PROXY_MIB);
        writeln!(text, "| {name} | {pods} | {cpu}m | {mib} MiB |").ok();
    };
    row("what an alarm needs", table.iter().filter(|f| is_on_alarm_path(f)).collect());
    row("all functions", table.iter().collect());
    text
}

/// Settings of every process. All of them are optional.
const COMMON: &[&str] = &[
    "FUNCTION_URL",
    "LOG_LEVEL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];
/// Required settings of the functions that read them; the others have defaults.
const REQUIRED: &[&str] = &["PUBLIC_URL", "KONG_ADMIN_URL"];
/// Only for the one-machine engine.
const NOT_HERE: &[&str] = &["KONG_ADMIN_TOKEN", "OUTBOX_DIR"];

/// One variable of a container.
fn variable(function: &Function, name: &str) -> EnvVar {
    match name {
        "GATEWAY_TOKEN" => secret(name, "gateway", name),
        "ENCRYPTION_KEY" => secret(name, "encryption", name),
        "SMTP_URL" => secret(name, "smtp", name),
        "DATABASE_URL" => secret(name, "database", Role::of(function).map_or("owner", |role| role.name)),
        _ => setting(name, !REQUIRED.contains(&name)),
    }
}

/// A setting from the ConfigMap.
fn setting(name: &str, optional: bool) -> EnvVar {
    let selector = ConfigMapKeySelector {
        name: "pongpong".to_owned(),
        key: name.to_owned(),
        optional: optional.then_some(true),
    };
    let source = EnvVarSource { config_map_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
}

fn secret(name: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: None };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
}

/// The common settings of every process.
pub fn common() -> Vec<EnvVar> {
    COMMON.iter().map(|name| setting(name, true)).collect()
}

/// A container of the image, with restricted privileges.
pub fn container(name: &str, args: &[&str], env: Vec<EnvVar>) -> Container {
    Container {
        name: name.to_owned(),
        image: Some("pongpong".to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(args.iter().copied().map(str::to_owned).collect()),
        env: Some(env),
        security_context: Some(SecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(65532),
            run_as_group: Some(65532),
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// A pod without service links and service account token.
pub fn pod(container: Container) -> PodSpec {
    PodSpec {
        containers: vec![container],
        enable_service_links: Some(false),
        automount_service_account_token: Some(false),
        ..PodSpec::default()
    }
}

pub fn resources(requests: [(&str, String); 2], limits: &[(&str, &str)]) -> ResourceRequirements {
    let requests = requests.into_iter().map(|(name, amount)| (name.to_owned(), Quantity(amount)));
    let limits = limits.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())));
    ResourceRequirements {
        requests: Some(requests.collect()),
        limits: Some(limits.collect()),
        ..ResourceRequirements::default()
    }
}

pub fn named(name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..labeled(labels) }
}

pub fn labeled(labels: &[(&str, &str)]) -> ObjectMeta {
    ObjectMeta { labels: Some(texts(labels)), ..ObjectMeta::default() }
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A Knative Service.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: ServiceSpec,
}

#[derive(Serialize)]
struct ServiceSpec {
    template: RevisionTemplate,
}

#[derive(Serialize)]
struct RevisionTemplate {
    metadata: ObjectMeta,
    spec: RevisionSpec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevisionSpec {
    container_concurrency: u32,
    timeout_seconds: u32,
    #[serde(flatten)]
    pod: PodSpec,
}

pub fn service(function: &Function) -> Result<String> {
    let kind = Type::of(function);
    let Scale { at_once, target, max, timeout, milli_cpu, memory } = kind.scale();
    let (name, version) = (function.name, format!("v{}", runtime::log::VERSION));
    let settings = function.settings();
    let identity = [
        ("app", name),
        ("version", version.as_str()),
        ("type", kind.label()),
        ("app.kubernetes.io/part-of", "pongpong"),
    ];
    let mut labels = identity.to_vec();
    // User requests come through Kong, which is in the cluster, as are all other callers. Only functions that
    // authenticate their callers can be called from outside by their own URL.
    if !matches!(kind, Type::Api | Type::Web) {
        labels.push(("networking.knative.dev/visibility", "cluster-local"));
    }
    if function.publishes {
        labels.push(("pongpong/publishes", "true"));
    }
    let mut pod_labels = identity.to_vec();
    // Kong's Admin API accepts connections from pods with this label.
    if settings.contains(&"KONG_ADMIN_URL") {
        pod_labels.push(("pongpong/kong-admin", "true"));
    }
    let (max, target) = (max.to_string(), target.to_string());
    let (proxy_cpu, proxy_memory) = (format!("{QUEUE_PROXY_MILLI_CPU}m"), format!("{QUEUE_PROXY_MIB}Mi"));
    let annotations = [
        ("autoscaling.knative.dev/initial-scale", "0"),
        ("autoscaling.knative.dev/min-scale", "0"),
        ("autoscaling.knative.dev/max-scale", &max),
        ("autoscaling.knative.dev/metric", "concurrency"),
        ("autoscaling.knative.dev/target", &target),
        ("queue.sidecar.serving.knative.dev/cpu-resource-request", &proxy_cpu),
        ("queue.sidecar.serving.knative.dev/memory-resource-request", &proxy_memory),
    ];
    let own = settings.iter().filter(|name| !NOT_HERE.contains(name)).map(|name| variable(function, name));
    let requests = [("cpu", format!("{milli_cpu}m")), ("memory", format!("{FUNCTION_MIB}Mi"))];
    let container = Container {
        ports: Some(vec![ContainerPort {
            name: Some("http1".to_owned()),
            container_port: PORT,
            ..ContainerPort::default()
        }]),
        // Knative gives a startup probe no port.
        startup_probe: Some(Probe {
            period_seconds: Some(1),
            failure_threshold: Some(60),
            ..probe("/health")
        }),
        readiness_probe: Some(Probe { period_seconds: Some(2), ..probe("/ready") }),
        liveness_probe: Some(probe("/health")),
        resources: Some(resources(requests, &[("cpu", "1"), ("memory", memory)])),
        ..container("function", &[name], common().into_iter().chain(own).collect())
    };
    let pod = PodSpec { priority_class_name: priority(function), ..pod(container) };
    let metadata = ObjectMeta { annotations: Some(texts(&annotations)), ..labeled(&pod_labels) };
    let spec = RevisionSpec { container_concurrency: at_once, timeout_seconds: timeout, pod };
    yaml(&[Service {
        api_version: "serving.knative.dev/v1",
        kind: "Service",
        metadata: named(name, &labels),
        spec: ServiceSpec { template: RevisionTemplate { metadata, spec } },
    }])
}

const PORT: i32 = 8080;

fn probe(path: &str) -> Probe {
    let port = IntOrString::Int(PORT);
    let get = HTTPGetAction { path: Some(path.to_owned()), port, ..HTTPGetAction::default() };
    Probe { http_get: Some(get), ..Probe::default() }
}

/// Lists the files for `kubectl kustomize`.
pub fn list(table: &[Function]) -> Result<String> {
    let files: Vec<_> = table.iter().map(|function| format!("{}.yaml", function.name)).collect();
    yaml(&[json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": files,
    })])
}

/// Runs before the functions. It may run twice, even concurrently.
pub fn migration() -> Result<String> {
    let mut variables = common();
    variables.push(secret("DATABASE_URL", "database", "owner"));
    variables.extend(ROLES.iter().map(|role| secret(&role.setting(), "database", role.name)));
    let container = Container {
        resources: Some(resources(
            [("cpu", "10m".to_owned()), ("memory", "32Mi".to_owned())],
            &[("memory", "128Mi")],
        )),
        ..container("migrate", &["migrate"], variables)
    };
    let labels = [("app", "migrate"), ("app.kubernetes.io/part-of", "pongpong")];
    let pod = PodSpec { restart_policy: Some("Never".to_owned()), ..pod(container) };
    yaml(&[Job {
        metadata: named("migrate", &[&labels[..], &[("pongpong/step", "before")]].concat()),
        spec: Some(JobSpec {
            // The database may be starting too.
            backoff_limit: Some(10),
            // A Job cannot be changed: it is deleted before the next release, which creates it again.
            ttl_seconds_after_finished: Some(600),
            template: PodTemplateSpec { metadata: Some(labeled(&labels)), spec: Some(pod) },
            ..JobSpec::default()
        }),
        ..Job::default()
    }])
}
