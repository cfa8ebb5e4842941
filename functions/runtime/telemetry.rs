//! What a process tells the OpenTelemetry collector: spans (`trace.rs`), and what it counts.
//!
//! Only with `OTEL_EXPORTER_OTLP_ENDPOINT`: without it there is no thread and no memory for this, and to
//! count is a call that does nothing. The other variables (`OTEL_TRACES_SAMPLER`,
//! `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_RESOURCE_ATTRIBUTES`, ...) are read by the SDK.
//!
//! Metrics are pushed, for a function that scales to zero is gone before anybody scrapes it; see
//! docs/metrics.md.

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

use crate::{Env, log::VERSION, secret::Random};

const SCOPE: &str = "pongpong";
/// For the last of it to be sent when the process ends.
const PATIENCE: Duration = Duration::from_secs(2);

struct Providers {
    traces: SdkTracerProvider,
    tracer: SdkTracer,
    metrics: SdkMeterProvider,
}

static PROVIDERS: OnceLock<Providers> = OnceLock::new();

/// First thing in `main`, after the logs: what is counted before this is not counted. `service` is what
/// this process is called where `OTEL_SERVICE_NAME` does not say.
pub fn init(env: &Env, service: &str) -> anyhow::Result<()> {
    if env.get("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
        return Ok(());
    }
    let instance = u128::from_ne_bytes(Random::System.bytes());
    let mut resource = Resource::builder().with_attributes([
        KeyValue::new("service.namespace", "pongpong"),
        KeyValue::new("service.version", VERSION),
        // Two processes must not overwrite what the other counted.
        KeyValue::new("service.instance.id", format!("{instance:032x}")),
    ]);
    if env.get("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service.to_owned());
    }
    let resource = resource.build();
    let traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_batch_exporter(SpanExporter::builder().with_http().build()?)
        .build();
    let metrics = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_periodic_exporter(MetricExporter::builder().with_http().build()?)
        .build();
    let providers = Providers { tracer: traces.tracer(SCOPE), traces, metrics };
    PROVIDERS.set(providers).map_err(|_| anyhow::anyhow!("telemetry was set up before"))
}

pub fn is_on() -> bool {
    PROVIDERS.get().is_some()
}

pub(crate) fn tracer() -> Option<&'static SdkTracer> {
    PROVIDERS.get().map(|providers| &providers.tracer)
}

/// Sends what has gathered: for a process that is not sure to run on, such as one on Lambda.
pub async fn flush() {
    send(SdkTracerProvider::force_flush, SdkMeterProvider::force_flush).await;
}

/// Sends the rest, when the process ends.
pub async fn shutdown() {
    send(SdkTracerProvider::shutdown, SdkMeterProvider::shutdown).await;
}

async fn send(
    traces: fn(&SdkTracerProvider) -> OTelSdkResult,
    metrics: fn(&SdkMeterProvider) -> OTelSdkResult,
) {
    let Some(providers) = PROVIDERS.get() else { return };
    // They block. Threads of their own, for the runtime would wait for its own when it ends, and the
    // collector may be away.
    let sent =
        [in_a_thread(move || traces(&providers.traces)), in_a_thread(move || metrics(&providers.metrics))];
    match tokio::time::timeout(PATIENCE, futures::future::try_join_all(sent)).await {
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

/// Where telemetry is off, the global one, which nobody has set: its instruments do nothing.
static METER: LazyLock<Meter> = LazyLock::new(|| match PROVIDERS.get() {
    Some(providers) => providers.metrics.meter(SCOPE),
    None => global::meter(SCOPE),
});

/// `static CHECKS: LazyLock<Counter<u64>> = LazyLock::new(|| counter(...))`, beside where it counts.
pub fn counter(name: &'static str, unit: &'static str, description: &'static str) -> Counter<u64> {
    METER.u64_counter(name).with_unit(unit).with_description(description).build()
}

/// What goes up and down again.
pub fn level(name: &'static str, unit: &'static str, description: &'static str) -> UpDownCounter<i64> {
    METER.i64_up_down_counter(name).with_unit(unit).with_description(description).build()
}

/// Durations; the boundaries are for what takes milliseconds, up to `longest` seconds.
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

/// A request that came in, or an event, as spans and metrics tell of it.
pub(crate) struct Incoming {
    duration: &'static Histogram<f64>,
    labels: Vec<KeyValue>,
}

impl Incoming {
    pub(crate) fn new(function: &'static str, request: &Request) -> (Self, SpanBuilder) {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let mut labels = vec![KeyValue::new("faas.name", function)];
        // Whoever calls the API may claim anything in a header, also a new event type with each request.
        let Some(kind) = header("ce-type").filter(|_| route == "/") else {
            let method = method_name(request.method());
            labels.push(KeyValue::new("http.request.method", method));
            labels.push(KeyValue::new("http.route", route.to_owned()));
            let span = SpanBuilder::from_name(format!("{method} {route}")).with_kind(SpanKind::Server);
            return (Self { duration: &REQUESTS, labels: labels.clone() }, span.with_attributes(labels));
        };
        labels.push(KeyValue::new("cloudevents.event_type", kind.to_owned()));
        let mut attributes = labels.clone();
        attributes.push(KeyValue::new("messaging.operation.type", "process"));
        for (name, value) in [("cloudevents.event_id", "ce-id"), ("cloudevents.event_source", "ce-source")] {
            attributes.extend(header(value).map(|value| KeyValue::new(name, value.to_owned())));
        }
        let span = SpanBuilder::from_name(format!("process {kind}")).with_kind(SpanKind::Consumer);
        (Self { duration: &EVENTS, labels }, span.with_attributes(attributes))
    }

    pub(crate) fn answered(mut self, status: StatusCode, took: Duration) {
        self.labels.push(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        self.duration.record(took.as_secs_f64(), &self.labels);
    }
}

/// One of few: a client may send any word as a method.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}
