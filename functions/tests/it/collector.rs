//! A stand-in for the OpenTelemetry collector: keeps the spans and metrics that it receives.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, routing::post};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{AggregationTemporality, metric, number_data_point},
    trace::v1::{ResourceSpans, span::SpanKind, status::StatusCode},
};
use prost::Message;

type Attributes = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub kind: SpanKind,
    pub trace: String,
    pub id: String,
    /// Empty for the first span of a trace.
    pub parent: String,
    pub failed: bool,
    pub attributes: Attributes,
}

#[derive(Default)]
struct Sent {
    spans: Vec<Span>,
    /// The latest values, by process, metric and labels; of a histogram, the number of values.
    metrics: BTreeMap<(String, String, Attributes), f64>,
}

pub struct Collector {
    pub url: String,
    sent: Arc<Mutex<Sent>>,
}

impl Collector {
    pub async fn start() -> Self {
        let sent = Arc::<Mutex<Sent>>::default();
        let (traces, metrics) = (Arc::clone(&sent), Arc::clone(&sent));
        let app = Router::new()
            .route(
                "/v1/traces",
                post(async move |body: Bytes| {
                    let request = ExportTraceServiceRequest::decode(body).unwrap();
                    traces.lock().unwrap().spans.extend(request.resource_spans.into_iter().flat_map(spans));
                }),
            )
            .route(
                "/v1/metrics",
                post(async move |body: Bytes| {
                    let request = ExportMetricsServiceRequest::decode(body).unwrap();
                    metrics.lock().unwrap().metrics.extend(values(request));
                }),
            );
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(socket, app).await });
        Self { url, sent }
    }

    pub fn spans(&self) -> Vec<Span> {
        self.sent.lock().unwrap().spans.clone()
    }

    /// The sum over all processes and all series that have these labels.
    pub fn counted(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let sent = self.sent.lock().unwrap();
        let series = sent.metrics.iter().filter(|((_, name, attributes), _)| {
            name == metric && labels.iter().all(|(k, v)| attributes.get(*k).is_some_and(|value| value == v))
        });
        series.map(|(_, value)| value).sum()
    }
}

fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    let text = |value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs
        .into_iter()
        .map(|pair| (pair.key, pair.value.and_then(|v| v.value).map_or_else(String::new, text)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn spans(from: ResourceSpans) -> Vec<Span> {
    let resource = attributes(from.resource.unwrap().attributes);
    let spans = from.scope_spans.into_iter().flat_map(|scope| scope.spans);
    let read = |span: opentelemetry_proto::tonic::trace::v1::Span| Span {
        service: resource["service.name"].clone(),
        kind: span.kind(),
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        attributes: attributes(span.attributes),
    };
    spans.map(read).collect()
}

fn values(request: ExportMetricsServiceRequest) -> Vec<((String, String, Attributes), f64)> {
    let mut values = Vec::new();
    for resource in request.resource_metrics {
        let process = attributes(resource.resource.unwrap().attributes)["service.instance.id"].clone();
        for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let mut add = |labels, value| {
                values.push(((process.clone(), metric.name.clone(), attributes(labels)), value));
            };
            match metric.data.unwrap() {
                metric::Data::Sum(sum) => {
                    assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
                    for point in sum.data_points {
                        let value = match point.value.unwrap() {
                            number_data_point::Value::AsInt(value) => value as f64,
                            number_data_point::Value::AsDouble(value) => value,
                        };
                        add(point.attributes, value);
                    }
                }
                metric::Data::Histogram(histogram) => {
                    assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
                    for point in histogram.data_points {
                        add(point.attributes, point.count as f64);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
    values
}
