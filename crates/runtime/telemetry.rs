//! Telemetry of a process: spans (`trace.rs`) and metrics; see docs/metrics.md.
//!
//! Functions push to the OpenTelemetry collector, because they scale to zero before Prometheus could
//! scrape them. This requires `OTEL_EXPORTER_OTLP_ENDPOINT`: without it, telemetry uses no thread and no
//! memory, and counting does nothing. The SDK reads the other variables (`OTEL_TRACES_SAMPLER`,
//! `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_RESOURCE_ATTRIBUTES`, ...).
//!
//! The one-machine engine keeps running: Prometheus scrapes it ([`exposition`]), with or without a
//! collector.

use std::{
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode};
pub use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, UpDownCounter},
};
use opentelemetry::{
    global,
    metrics::{Meter, MeterProvider},
    trace::{SpanBuilder, SpanKind, TracerProvider},
};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::SdkMeterProvider,
    trace::{SdkTracer, SdkTracerProvider},
};
pub use prometheus::TEXT_FORMAT;
use prometheus::{Registry, TextEncoder};

use crate::{Env, Function, log::VERSION, secret::Random};

const SCOPE: &str = "pongpong";
/// Time limit for the last export, when the process ends.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

struct Providers {
    traces: Option<(SdkTracerProvider, SdkTracer)>,
    metrics: SdkMeterProvider,
    registry: Option<Registry>,
}

static PROVIDERS: OnceLock<Providers> = OnceLock::new();

/// Call it first in `main`, after the logs: earlier counts are lost. `service` is the service name if
/// `OTEL_SERVICE_NAME` is not set.
pub fn init(env: &Env, service: &str) -> anyhow::Result<()> {
    start(env, service, None)
}

/// The same for a process that Prometheus scrapes.
pub fn init_exposed(env: &Env, service: &str) -> anyhow::Result<()> {
    start(env, service, Some(Registry::new()))
}

fn start(env: &Env, service: &str, registry: Option<Registry>) -> anyhow::Result<()> {
    let pushes = env.get("OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
    if !pushes && registry.is_none() {
        return Ok(());
    }
    let instance = u128::from_ne_bytes(Random::System.bytes());
    let mut resource = Resource::builder().with_attributes([
        KeyValue::new("service.namespace", "pongpong"),
        KeyValue::new("service.version", VERSION),
        // Two processes must not overwrite each other's counts.
        KeyValue::new("service.instance.id", format!("{instance:032x}")),
    ]);
    if env.get("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service.to_owned());
    }
    let resource = resource.build();
    let mut metrics = SdkMeterProvider::builder().with_resource(resource.clone());
    if let Some(registry) = &registry {
        // Without the labels that are the same for every series, like the collector's exporter.
        let exporter = opentelemetry_prometheus::exporter().scope_info_enabled(false);
        metrics = metrics.with_reader(exporter.with_registry(registry.clone()).build()?);
    }
    let mut traces = None;
    if pushes {
        metrics = metrics.with_periodic_exporter(MetricExporter::builder().with_http().build()?);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(SpanExporter::builder().with_http().build()?)
            .build();
        let tracer = provider.tracer(SCOPE);
        traces = Some((provider, tracer));
    }
    let providers = Providers { traces, metrics: metrics.build(), registry };
    PROVIDERS.set(providers).map_err(|_| anyhow::anyhow!("telemetry was set up before"))
}

/// Whether metrics are recorded.
pub(crate) fn counts() -> bool {
    PROVIDERS.get().is_some()
}

/// Whether there is a collector.
pub fn pushes() -> bool {
    tracer().is_some()
}

pub(crate) fn tracer() -> Option<&'static SdkTracer> {
    Some(&PROVIDERS.get()?.traces.as_ref()?.1)
}

/// All metrics of this process in Prometheus format ([`TEXT_FORMAT`]); empty if it is not exposed
/// ([`init_exposed`]).
pub fn exposition() -> anyhow::Result<String> {
    let Some(registry) = PROVIDERS.get().and_then(|providers| providers.registry.as_ref()) else {
        return Ok(String::new());
    };
    Ok(TextEncoder::new().encode_to_string(&registry.gather())?)
}

/// Sends collected telemetry: for a process that may not continue, such as on Lambda.
pub async fn flush() {
    send(SdkTracerProvider::force_flush, SdkMeterProvider::force_flush).await;
}

/// Sends the remaining telemetry when the process ends.
pub async fn shutdown() {
    send(SdkTracerProvider::shutdown, SdkMeterProvider::shutdown).await;
}

async fn send(
    traces: fn(&SdkTracerProvider) -> OTelSdkResult,
    metrics: fn(&SdkMeterProvider) -> OTelSdkResult,
) {
    let Some(providers) = PROVIDERS.get() else { return };
    // The exports block. They run in their own threads, because the runtime waits for its own threads
    // when it ends, and the collector may be unavailable.
    let Some((traced, _)) = &providers.traces else { return };
    let sent = [in_a_thread(move || traces(traced)), in_a_thread(move || metrics(&providers.metrics))];
    match tokio::time::timeout(EXPORT_TIMEOUT, futures::future::try_join_all(sent)).await {
        Ok(Ok(results)) => {
            for error in results.into_iter().filter_map(Result::err) {
                tracing::warn!(%error, "telemetry was not sent");
            }
        }
        Ok(Err(_)) | Err(_) => tracing::warn!("telemetry was not sent in time"),
    }
}

fn in_a_thread(
    work: impl FnOnce() -> OTelSdkResult + Send + 'static,
) -> tokio::sync::oneshot::Receiver<OTelSdkResult> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || done.send(work()));
    result
}

/// If telemetry is off, the global meter, which is never set: its instruments do nothing.
static METER: LazyLock<Meter> = LazyLock::new(|| match PROVIDERS.get() {
    Some(providers) => providers.metrics.meter(SCOPE),
    None => global::meter(SCOPE),
});

/// `static CHECKS: LazyLock<Counter<u64>> = LazyLock::new(|| counter(...))`, defined where it is used.
pub fn counter(name: &'static str, unit: &'static str, description: &'static str) -> Counter<u64> {
    METER.u64_counter(name).with_unit(unit).with_description(description).build()
}

/// A value that goes up and down.
pub fn level(name: &'static str, unit: &'static str, description: &'static str) -> UpDownCounter<i64> {
    METER.i64_up_down_counter(name).with_unit(unit).with_description(description).build()
}

/// Durations; the boundaries suit milliseconds up to `longest` seconds.
pub fn seconds(name: &'static str, description: &'static str, longest: f64) -> Histogram<f64> {
    const BOUNDARIES: [f64; 16] =
        [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0, 300.0];
    let boundaries = BOUNDARIES.into_iter().filter(|boundary| *boundary <= longest).collect();
    let histogram = METER.f64_histogram(name).with_unit("s").with_description(description);
    histogram.with_boundaries(boundaries).build()
}

static REQUESTS: LazyLock<Histogram<f64>> =
    LazyLock::new(|| seconds("http.server.request.duration", "Requests that were answered", 10.0));
static EVENTS: LazyLock<Histogram<f64>> =
    LazyLock::new(|| seconds("messaging.process.duration", "Deliveries of events that were handled", 300.0));

/// An incoming request or event, for spans and metrics.
pub(crate) struct Incoming {
    duration: &'static Histogram<f64>,
    labels: Vec<KeyValue>,
}

impl Incoming {
    pub(crate) fn new(function: &Function, request: &Request) -> Self {
        let mut labels = Vec::with_capacity(4);
        labels.push(KeyValue::new("faas.name", function.name));
        if let Some(kind) = event_type(function, request) {
            labels.push(KeyValue::new("cloudevents.event_type", kind.to_owned()));
            return Self { duration: &EVENTS, labels };
        }
        labels.push(KeyValue::new("http.request.method", method_name(request.method())));
        labels.push(KeyValue::new("http.route", route(request).to_owned()));
        Self { duration: &REQUESTS, labels }
    }

    pub(crate) fn span(&self, function: &Function, request: &Request) -> SpanBuilder {
        let mut attributes = self.labels.clone();
        let Some(kind) = event_type(function, request) else {
            let name = format!("{} {}", method_name(request.method()), route(request));
            return SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes);
        };
        attributes.push(KeyValue::new("messaging.operation.type", "process"));
        for (name, value) in [("cloudevents.event_id", "ce-id"), ("cloudevents.event_source", "ce-source")] {
            attributes.extend(header(request, value).map(|value| KeyValue::new(name, value.to_owned())));
        }
        let span = SpanBuilder::from_name(format!("process {kind}")).with_kind(SpanKind::Consumer);
        span.with_attributes(attributes)
    }

    pub(crate) fn answered(mut self, status: StatusCode, took: Duration) {
        self.labels.push(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        self.duration.record(took.as_secs_f64(), &self.labels);
    }
}

fn route(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Only on the route that only the broker can reach: other clients can send any header, even a new event
/// type with each request.
fn event_type<'a>(function: &Function, request: &'a Request) -> Option<&'a str> {
    header(request, "ce-type").filter(|_| function.trigger.is_some() && route(request) == "/")
}

/// One of a few values, because a client may send any word as a method.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}
