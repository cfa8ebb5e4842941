//! Knative's Broker, and a Trigger for each subscription.

use anyhow::Result;
use runtime::Function;
use serde_json::{Value, json};

use crate::yaml;

/// Ten retries, after 1, 2, 4, ... 512 seconds: a mail server may be unavailable for a quarter of an hour.
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

/// Without the annotation, Knative's in-memory channel keeps a publisher waiting until every subscriber of
/// its event, and of the events that those publish, is done. It reads the annotation when the channel is
/// created: an existing Broker must be created again.
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

/// Sets `K_SINK` to the Broker's URL, whatever its class, in functions that publish.
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
            // A queue for each source: events of one function do not wait behind those of another.
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
