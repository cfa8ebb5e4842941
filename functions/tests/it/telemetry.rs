//! The telemetry that a collector receives: one trace of a check from the tick of the schedule to the
//! message, and the matching metrics. A stand-in receives it over OTLP/HTTP, from an engine in a separate
//! process.

use std::{collections::HashMap, sync::atomic::Ordering};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::{
    collector::{Collector, Span},
    story::Story,
    world::Database,
};

/// The spans that led to one, from the first.
fn way_to<'a>(end: &'a Span, by_id: &HashMap<&str, &'a Span>) -> Vec<&'a Span> {
    let mut way = vec![end];
    while let Some(before) = by_id.get(way[way.len() - 1].parent.as_str()) {
        way.push(before);
    }
    way.reverse();
    way
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_the_tick_to_the_message() {
    let collector = Collector::start().await;
    let mut story = Story::new(Database::Sqlite).await;
    story.home.settings.push(("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.clone()));
    let mut engine = story.home.start();
    let person = story.begin(&mut engine).await;
    story.site.status.store(503, Ordering::SeqCst);
    person.wait_for_status(&mut story.home, &mut engine, "down").await;
    person.wait_for_delivered(&mut story.home, &mut engine, 2).await;
    engine.stop();

    let spans = collector.spans();
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    for span in &spans {
        assert_eq!(span.service, "pongpong");
        if !span.parent.is_empty() {
            let parent =
                by_id.get(span.parent.as_str()).unwrap_or_else(|| panic!("whose child is {span:?}?"));
            assert_eq!(span.trace, parent.trace);
        }
    }
    // The email, up to its entry in the delivery log.
    let of = |span: &Span, function| span.attributes.get("faas.name").is_some_and(|name| name == function);
    let recorded = spans.iter().find(|span| {
        span.name == "process io.pongpong.notification.delivered.v1"
            && way_to(span, &by_id).iter().any(|before| of(before, "email-send"))
    });
    let mut way = way_to(recorded.expect("the mail's entry"), &by_id);
    // Results are the reply to a batch, or are sent at once if the rest of the batch is due later.
    way.retain(|span| span.name != "send io.pongpong.check.completed.v1");
    let told: Vec<_> = way
        .iter()
        .map(|span| {
            (span.attributes.get("faas.name").map_or("", String::as_str), span.name.as_str(), span.kind)
        })
        .collect();
    // A check is requested by the tick, or, until the first tick, by the function that added the endpoint.
    let (asked, told) = told.split_at(told.len() - 7);
    assert!(
        asked
            == [
                ("", "trigger check-schedule", SpanKind::Internal),
                ("check-schedule", "POST /", SpanKind::Server)
            ]
            || asked == [("endpoint-create", "POST /public/v1/endpoints", SpanKind::Server)],
        "{asked:?} {told:?}"
    );
    assert_eq!(
        told,
        [
            ("", "send io.pongpong.check.requested.v1", SpanKind::Producer),
            ("check-run", "process io.pongpong.check.requested.v1", SpanKind::Consumer),
            ("notification-evaluate", "process io.pongpong.check.completed.v1", SpanKind::Consumer),
            ("notification-dispatch", "process io.pongpong.status.changed.v1", SpanKind::Consumer),
            ("", "send io.pongpong.notification.requested.v1", SpanKind::Producer),
            ("email-send", "process io.pongpong.notification.requested.v1", SpanKind::Consumer),
            ("delivery-record", "process io.pongpong.notification.delivered.v1", SpanKind::Consumer),
        ]
    );
    // Stopping the engine cut off the batch, whose other checks were due later.
    let is_right = |span: &&Span| !span.failed || of(span, "check-run");
    assert!(way.iter().all(|span| span.trace == way[0].trace && is_right(span)));
    assert!(way[asked.len() + 1].attributes["cloudevents.event_id"].starts_with("1-"), "{way:?}");
    // A call to another function: the caller's span, and below it the called function's.
    let claimed = spans.iter().find(|span| span.name == "POST /private/v1/endpoints/claim").expect("a claim");
    let call = by_id[claimed.parent.as_str()];
    assert_eq!((call.name.as_str(), call.kind), ("POST endpoint-private-claim", SpanKind::Client));
    assert_eq!(claimed.attributes["http.response.status_code"], "200");

    let down = [("status", "down"), ("error", "STATUS_MISMATCH"), ("region", "local")];
    assert!(collector.counted("pongpong.checks", &down) >= 2.0);
    let up = collector.counted("pongpong.checks", &[("status", "up"), ("error", "none")]);
    let all = collector.counted("pongpong.checks", &[]);
    assert!(up >= 1.0 && up < all);
    assert_eq!(collector.counted("pongpong.check.duration", &[]), all);
    assert_eq!(collector.counted("pongpong.schedule.lag", &[("region", "local")]), all);
    assert_eq!(collector.counted("pongpong.checks.in_flight", &[]), 0.0);
    // A recorded check was made and requested; the last ones may still be with the broker.
    let recorded = collector.counted("pongpong.checks.recorded", &[("outcome", "new")]);
    assert!(recorded >= 3.0 && recorded <= all, "{recorded} of {all}");
    assert!(collector.counted("pongpong.checks.requested", &[("by", "endpoint-create")]) >= 1.0);
    assert!(collector.counted("pongpong.checks.requested", &[]) >= all);
    assert_eq!(collector.counted("pongpong.status_changes", &[("status", "down")]), 1.0);
    for channel in ["email", "slack"] {
        let delivered = [("kind", channel), ("outcome", "delivered")];
        assert_eq!(collector.counted("pongpong.notifications", &delivered), 1.0, "{channel}");
        assert_eq!(collector.counted("pongpong.notification.delay", &[("kind", channel)]), 1.0);
    }
    let ran = [("faas.name", "check-run"), ("cloudevents.event_type", "io.pongpong.check.requested.v1")];
    assert!(collector.counted("messaging.process.duration", &ran) >= 1.0);
    let added = [("http.route", "/public/v1/endpoints"), ("http.response.status_code", "201")];
    assert_eq!(collector.counted("http.server.request.duration", &added), 1.0);
}
