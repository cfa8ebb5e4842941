//! A Knative Service for each function, and the Job that migrates the database before them.

use std::fmt::Write as _;

use functions::roles::{ROLES, Role};
use runtime::Function;

use crate::HEADER;

/// What a function is, as far as it matters to how it is run.
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

/// Whether an alarm comes later where this function has no place to run.
pub fn is_on_alarm_path(function: &Function) -> bool {
    matches!(Type::of(function), Type::Event | Type::Prober | Type::Sender)
        || [functions::checks::schedule::NAME, "endpoint-private-claim"].contains(&function.name)
}

/// What Kubernetes makes room for first, at the depth of a pod's fields.
pub fn priority(function: &Function) -> &'static str {
    if is_on_alarm_path(function) { "\n      priorityClassName: pongpong-alarm" } else { "" }
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
        // Requests of people are short: many share a pod, and a database connection is waited for.
        let short = Scale { at_once: 100, target: 70, most: 10, timeout: 60, milli_cpu: 5, memory: "256Mi" };
        match self {
            // check-now waits for the target: 60 s, and its retries.
            Self::Api => Scale { timeout: 300, ..short },
            Self::Private | Self::Web => short,
            // A batch is parsed and stored: work for the CPU, with four connections to share.
            Self::Event => Scale { at_once: 16, target: 8, timeout: 120, milli_cpu: 10, ..short },
            // One tick at a time.
            Self::Cron => Scale { at_once: 1, target: 1, most: 1, timeout: 300, ..short },
            // A request is a batch in flight, of up to 500 checks, and mostly waits for its slots and for
            // the targets. Ten of them are 5,000 checks a minute: a few per cent of a core. Memory: 170 MB with 10,000
            // that hang, 280 MiB of responses, and two that are judged.
            Self::Prober => {
                Scale { at_once: 20, target: 10, most: 100, timeout: 300, milli_cpu: 50, memory: "768Mi" }
            }
            // Never more than twenty messages at once: a mail server is not flooded.
            Self::Sender => Scale { at_once: 10, target: 10, most: 2, timeout: 60, ..short },
        }
    }
}

/// How a revision scales, and what a pod of it may take.
struct Scale {
    /// Requests at once in a pod: the hard limit, and what the autoscaler aims at.
    at_once: u32,
    target: u32,
    /// Most pods.
    most: u32,
    /// Seconds.
    timeout: u32,
    /// Requested: an idle function was measured at 1 mCPU on a cluster. What is under way gets what nobody else uses.
    milli_cpu: u32,
    /// At most; peaks of password hashing were measured at 122 MB.
    memory: &'static str,
}

const FUNCTION_MIB: u32 = 16;
/// An idle queue-proxy was measured at 6 MiB.
const QUEUE_PROXY_MILLI_CPU: u32 = 5;
const QUEUE_PROXY_MIB: u32 = 16;

/// What functions ask of a cluster with a pod of each, for people.
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

/// What every process is given. All of it may be absent.
pub const COMMON: &[&str] = &[
    "FUNCTION_URL",
    "LOG_LEVEL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];
/// Without these a function that reads them does not work; of the others there are defaults.
const REQUIRED: &[&str] = &["PUBLIC_URL", "KONG_ADMIN_URL"];
/// Only for the engine on one machine.
const NOT_HERE: &[&str] = &["KONG_ADMIN_TOKEN", "OUTBOX_DIR"];

/// One variable of a container, as YAML at the depth of a container's fields.
fn variable(function: &Function, name: &str) -> String {
    let (kind, source, key) = match name {
        "GATEWAY_TOKEN" => ("secretKeyRef", "gateway", name),
        "ENCRYPTION_KEY" => ("secretKeyRef", "encryption", name),
        "SMTP_URL" => ("secretKeyRef", "smtp", name),
        "DATABASE_URL" => ("secretKeyRef", "database", Role::of(function).map_or("owner", |role| role.name)),
        _ => ("configMapKeyRef", "pongpong", name),
    };
    let optional = kind == "configMapKeyRef" && !REQUIRED.contains(&name);
    from(name, kind, source, key, optional)
}

pub fn from(name: &str, kind: &str, source: &str, key: &str, optional: bool) -> String {
    let optional = if optional { "\n                  optional: true" } else { "" };
    format!(
        "            - name: {name}
              valueFrom:
                {kind}:
                  name: {source}
                  key: {key}{optional}
"
    )
}

/// What keeps a container in, at the depth of a container's fields.
pub const FENCE: &str = "          securityContext:
            runAsNonRoot: true
            runAsUser: 65532
            runAsGroup: 65532
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
            seccompProfile:
              type: RuntimeDefault
";

pub fn service(function: &Function) -> String {
    let kind = Type::of(function);
    let Scale { at_once, target, most, timeout, milli_cpu, memory } = kind.scale();
    let (name, kind, version) = (function.name, kind.label(), runtime::log::VERSION);
    let settings = function.settings();
    // People come through Kong, which is in the cluster; all others are there, too. What developers call by
    // its own URL is what asks who calls.
    let visibility = match Type::of(function) {
        Type::Api | Type::Web => "",
        _ => "\n    networking.knative.dev/visibility: cluster-local",
    };
    let priority = priority(function);
    let publishes = if function.publishes { "\n    pongpong/publishes: \"true\"" } else { "" };
    // Kong's Admin API lets in who has this.
    let keys =
        if settings.contains(&"KONG_ADMIN_URL") { "\n        pongpong/kong-admin: \"true\"" } else { "" };
    let variables: String = COMMON
        .iter()
        .chain(settings.iter().filter(|name| !NOT_HERE.contains(name)))
        .map(|name| variable(function, name))
        .collect();
    format!(
        r#"{HEADER}apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: {name}
  labels:
    app: {name}
    version: v{version}
    type: {kind}
    app.kubernetes.io/part-of: pongpong{visibility}{publishes}
spec:
  template:
    metadata:
      labels:
        app: {name}
        version: v{version}
        type: {kind}
        app.kubernetes.io/part-of: pongpong{keys}
      annotations:
        autoscaling.knative.dev/initial-scale: "0"
        autoscaling.knative.dev/min-scale: "0"
        autoscaling.knative.dev/max-scale: "{most}"
        autoscaling.knative.dev/metric: concurrency
        autoscaling.knative.dev/target: "{target}"
        queue.sidecar.serving.knative.dev/cpu-resource-request: {QUEUE_PROXY_MILLI_CPU}m
        queue.sidecar.serving.knative.dev/memory-resource-request: {QUEUE_PROXY_MIB}Mi
    spec:{priority}
      containerConcurrency: {at_once}
      timeoutSeconds: {timeout}
      enableServiceLinks: false
      automountServiceAccountToken: false
      containers:
        - name: function
          image: pongpong
          imagePullPolicy: IfNotPresent
          args: [{name}]
          ports:
            - name: http1
              containerPort: 8080
          env:
{variables}          startupProbe:
            httpGet:
              path: /health
              port: 8080
            periodSeconds: 1
            failureThreshold: 60
          readinessProbe:
            httpGet:
              path: /ready
            periodSeconds: 2
          livenessProbe:
            httpGet:
              path: /health
          resources:
            requests:
              cpu: {milli_cpu}m
              memory: {FUNCTION_MIB}Mi
            limits:
              cpu: "1"
              memory: {memory}
{FENCE}"#
    )
}

/// Lists them for `kubectl kustomize`.
pub fn list(table: &[Function]) -> String {
    let mut text =
        format!("{HEADER}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n");
    for function in table {
        writeln!(text, "  - {}.yaml", function.name).ok();
    }
    text
}

/// Runs before the functions do. Done twice, or twice at once, it does no harm.
pub fn migration() -> String {
    let roles: String = ROLES
        .iter()
        .map(|role| from(&role.setting(), "secretKeyRef", "database", role.name, false))
        .collect();
    let common: String =
        COMMON.iter().map(|name| from(name, "configMapKeyRef", "pongpong", name, true)).collect();
    let variables =
        format!("{common}{}{roles}", from("DATABASE_URL", "secretKeyRef", "database", "owner", false));
    format!(
        r#"{HEADER}apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  labels:
    app: migrate
    app.kubernetes.io/part-of: pongpong
    pongpong/step: before
spec:
  # The database may be starting, too.
  backoffLimit: 10
  # A Job cannot be changed: gone by the next release, it is simply made again.
  ttlSecondsAfterFinished: 600
  template:
    metadata:
      labels:
        app: migrate
        app.kubernetes.io/part-of: pongpong
    spec:
      restartPolicy: Never
      enableServiceLinks: false
      automountServiceAccountToken: false
      containers:
        - name: migrate
          image: pongpong
          imagePullPolicy: IfNotPresent
          args: [migrate]
          env:
{variables}          resources:
            requests:
              cpu: 10m
              memory: 32Mi
            limits:
              memory: 128Mi
{FENCE}"#
    )
}
