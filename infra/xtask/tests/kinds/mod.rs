//! Models of the kinds that a cluster gets from elsewhere than Kubernetes, as strict as their owners are:
//! an unknown field is refused, and so is what an admission webhook refuses.

pub mod knative;

use serde::de::DeserializeOwned;
use serde_norway::Value;

type Check = fn(&Value) -> Result<(), String>;

/// The check of a kind; none, if it is one of Kubernetes' own.
pub fn check_of(api_version: &str, kind: &str) -> Option<Check> {
    let found: Check = match (api_version, kind) {
        ("serving.knative.dev/v1", "Service") => knative::service,
        ("eventing.knative.dev/v1", "Broker") => knative::broker,
        ("eventing.knative.dev/v1", "Trigger") => knative::trigger,
        ("sources.knative.dev/v1", "SinkBinding") => knative::sink_binding,
        _ => return None,
    };
    Some(found)
}

/// Reads it into its model.
pub fn read<T: DeserializeOwned>(document: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(document).map_err(|e| format!("{}: {}", e.path(), e.inner()))
}
