//! Knative's Broker, and a Trigger for each subscription.

use std::fmt::Write as _;

use runtime::Function;

use crate::HEADER;

/// Ten tries more, after 1, 2, 4, ... 512 seconds: a mail server may be away for a quarter of an hour.
const DELIVERY: &str = "  delivery:
    retry: 10
    backoffPolicy: exponential
    backoffDelay: PT1S
    deadLetterSink:
      ref:
        apiVersion: serving.knative.dev/v1
        kind: Service
        name: dead-letter
";

/// Knative's in-memory channel else keeps a publisher waiting until every subscriber of its event, and theirs, are
/// done. It reads the annotation when the channel is made: a Broker that is there already has to be made anew.
pub fn broker() -> String {
    format!(
        "{HEADER}apiVersion: eventing.knative.dev/v1
kind: Broker
metadata:
  name: default
  annotations:
    messaging.knative.dev/async-handler: \"true\"
spec:
{DELIVERY}"
    )
}

/// Tells who publishes where the Broker is, whatever class it is of: `K_SINK`.
pub fn publishers() -> String {
    format!(
        r#"{HEADER}apiVersion: sources.knative.dev/v1
kind: SinkBinding
metadata:
  name: publishers
spec:
  subject:
    apiVersion: serving.knative.dev/v1
    kind: Service
    selector:
      matchLabels:
        pongpong/publishes: "true"
  sink:
    ref:
      apiVersion: eventing.knative.dev/v1
      kind: Broker
      name: default
"#
    )
}

pub fn triggers(table: &[Function]) -> String {
    let mut text = HEADER.to_owned();
    for function in table {
        for subscription in function.subscriptions {
            let what = subscription
                .kind
                .trim_start_matches("io.pongpong.")
                .trim_end_matches(".v1")
                .replace('.', "-");
            let only =
                subscription.only.map(|(name, value)| format!("      {name}: {value}\n")).unwrap_or_default();
            // A queue for each: what comes from one function does not wait behind what comes from another.
            let of = subscription
                .only
                .map_or(String::new(), |(_, value)| format!("-{}", value.trim_start_matches("/pongpong/")));
            write!(
                text,
                "---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: {name}-{what}{of}
spec:
  broker: default
  filter:
    attributes:
      type: {kind}
{only}{DELIVERY}  subscriber:
    ref:
      apiVersion: serving.knative.dev/v1
      kind: Service
      name: {name}
",
                name = function.name,
                kind = subscription.kind,
            )
            .ok();
        }
    }
    text
}
