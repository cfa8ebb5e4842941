//! The trace of a request and everything it causes (W3C Trace Context).
//!
//! If telemetry is on (`telemetry.rs`), each function adds a span. If it is off, the incoming trace is
//! passed on, so that the logs of all functions share the trace ID.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use opentelemetry::{
    Context, KeyValue,
    context::FutureExt,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{
        SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    },
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use crate::{secret::Random, telemetry};

/// A position in a trace: a span of this process, or the caller's span.
#[derive(Clone, Debug)]
pub struct Trace(Context);

impl Trace {
    /// Starts a trace for a scheduled call.
    pub fn of_tick(function: &str) -> Self {
        Self(Context::new()).child(|| SpanBuilder::from_name(format!("trigger {function}")))
    }

    /// The trace of a request. If it has none and telemetry is off, generates one for the logs, which is
    /// not recorded.
    pub fn of(headers: &HeaderMap, random: &Random) -> Self {
        let sent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Incoming(headers));
        if sent.has_active_span() || telemetry::pushes() {
            return Self(sent);
        }
        let (trace, span) = (TraceId::from_bytes(random.bytes()), SpanId::from_bytes(random.bytes()));
        let made_up = SpanContext::new(trace, span, TraceFlags::default(), true, TraceState::default());
        Self(sent.with_remote_span_context(made_up))
    }

    pub fn current() -> Self {
        Self(Context::current())
    }

    pub fn id(&self) -> TraceId {
        self.0.span().span_context().trace_id()
    }

    /// A child span; if telemetry is off, the same position.
    pub fn child(&self, span: impl FnOnce() -> SpanBuilder) -> Self {
        match telemetry::tracer() {
            Some(tracer) => Self(self.0.with_span(tracer.build_with_context(span(), &self.0))),
            None => self.clone(),
        }
    }

    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        future.with_context(self.0).await
    }

    /// Ends the span with a response.
    pub fn answered(&self, status: StatusCode) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            span.set_status(Status::error(status.to_string()));
        }
        span.end();
    }

    /// Ends the span with an error.
    pub fn failed(&self, why: &impl ToString) {
        let span = self.0.span();
        if span.is_recording() {
            span.set_status(Status::error(why.to_string()));
        }
        span.end();
    }

    /// Passes the trace on: the receiver continues under this span. An event also carries it as an
    /// extension, because a transport may change the headers.
    pub fn inject(&self, headers: &mut HeaderMap) {
        let is_event = headers.contains_key("ce-specversion");
        TraceContextPropagator::new().inject_context(&self.0, &mut Outgoing { headers, is_event });
    }
}

struct Incoming<'a>(&'a HeaderMap);

impl Extractor for Incoming<'_> {
    /// An event's extension names our span that sent it. The header belongs to the transport, whose spans
    /// may not be recorded.
    fn get(&self, name: &str) -> Option<&str> {
        let extension = self.0.get("ce-traceparent").is_some_and(|sent| !sent.is_empty());
        let extension = extension.then(|| format!("ce-{name}"));
        self.0.get(extension.as_deref().unwrap_or(name))?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Outgoing<'a> {
    headers: &'a mut HeaderMap,
    is_event: bool,
}

impl Injector for Outgoing<'_> {
    fn set(&mut self, name: &str, value: String) {
        let names = [name.to_owned(), format!("ce-{name}")];
        for name in names.iter().take(if self.is_event { 2 } else { 1 }) {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(&value)) else {
                continue;
            };
            if value.is_empty() {
                self.headers.remove(name);
            } else {
                self.headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse().expect("name"), HeaderValue::from_static(v))).collect()
    }

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";

    #[test]
    fn a_good_traceparent_is_kept_and_a_bad_one_replaced() {
        let id = |value| Trace::of(&headers(&[("traceparent", value)]), &Random::System).id().to_string();
        assert_eq!(id(SENT), "0af7651916cd43dd8448eb211c80319c");
        for bad in ["", "00-xyz-1-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
            assert_ne!(id(bad), id(bad));
            assert_eq!(id(bad).len(), 32);
        }
    }

    #[test]
    fn what_came_in_is_handed_on_unchanged_where_nothing_is_recorded() {
        let sent = headers(&[("traceparent", SENT), ("tracestate", "vendor=1")]);
        let trace = Trace::of(&sent, &Random::System).child(|| SpanBuilder::from_name("no span"));
        let mut request = HeaderMap::new();
        trace.inject(&mut request);
        assert_eq!(request, sent);
        let mut made_up = HeaderMap::new();
        Trace::of(&HeaderMap::new(), &Random::System).inject(&mut made_up);
        assert!(made_up["traceparent"].to_str().expect("text").ends_with("-00"), "nobody has recorded it");
    }

    #[test]
    fn an_event_carries_its_trace_itself() {
        let delivered = headers(&[("ce-traceparent", SENT), ("traceparent", OTHER), ("tracestate", "hop=1")]);
        let trace = Trace::of(&delivered, &Random::System);
        // A replayed dead letter carries two traces: the current one counts.
        let mut event =
            headers(&[("ce-specversion", "1.0"), ("ce-traceparent", OTHER), ("ce-tracestate", "old=1")]);
        trace.inject(&mut event);
        let now = headers(&[("ce-specversion", "1.0"), ("ce-traceparent", SENT), ("traceparent", SENT)]);
        assert_eq!(event, now);
    }
}
