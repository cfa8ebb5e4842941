//! Knative's Broker, and a Trigger for each subscription.

use anyhow::Result;
use runtime::Function;
use serde_json::{Value, json};

use crate::yaml;

/// Ten tries more, after 1, 2, 4, ... 512 seconds: a mail server may be away for a quarter of an hour.
fn delivery() -> Value {
    json!({
        "retry": 10,
        "backoffPolicy": "exponential",
        "backoffDelay": "PT1S",
        "deadLetterSink": {"ref": service("dead-letter")},
    })
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": name})
}

/// Knative's in-memory channel else keeps a publisher waiting until every subscriber of its event, and theirs, are
/// done. It reads the annotation when the channel is made: a Broker that is there already has to be made anew.
pub fn broker() -> Result<String> {
    yaml(&[json!({
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Broker",
        "metadata": {
            "name": "default",
            "annotations": {"messaging.knative.dev/async-handler": "true"},
        },
        "spec": {"delivery": delivery()},
    })])
}

/// Tells who publishes where the Broker is, whatever class it is of: `K_SINK`.
pub fn publishers() -> Result<String> {
    yaml(&[json!({
        "apiVersion": "sources.knative.dev/v1",
        "kind": "SinkBinding",
        "metadata": {"name": "publishers"},
        "spec": {
            "subject": {
                "apiVersion": "serving.knative.dev/v1",
                "kind": "Service",
                "selector": {"matchLabels": {"pongpong/publishes": "true"}},
            },
            "sink": {"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "default"}},
        },
    })])
}

pub fn triggers(table: &[Function]) -> Result<String> {
    let mut triggers = Vec::new();
    for function in table {
        for subscription in function.subscriptions {
            let what = subscription
                .kind
                .trim_start_matches("io.pongpong.")
                .trim_end_matches(".v1")
                .replace('.', "-");
            let mut attributes = json!({"type": subscription.kind});
            // A queue for each: what comes from one function does not wait behind what comes from another.
            let mut of = String::new();
            if let Some((name, value)) = subscription.only {
                attributes[name] = value.into();
                of = format!("-{}", value.trim_start_matches("/pongpong/"));
            }
            triggers.push(json!({
                "apiVersion": "eventing.knative.dev/v1",
                "kind": "Trigger",
                "metadata": {"name": format!("{}-{what}{of}", function.name)},
                "spec": {
                    "broker": "default",
                    "filter": {"attributes": attributes},
                    "delivery": delivery(),
                    "subscriber": {"ref": service(function.name)},
                },
            }));
        }
    }
    yaml(&triggers)
}
