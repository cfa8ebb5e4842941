//! Models of the kinds that are not Kubernetes' own, as strict as their projects: unknown fields are refused,
//! and so is everything that an admission webhook refuses.

pub mod argo;
pub mod istio;
pub mod knative;
pub mod strimzi;

use serde::de::DeserializeOwned;
use serde_norway::Value;

type Check = fn(&Value) -> Result<(), String>;

/// The check of a kind; `None` for Kubernetes' own kinds.
pub fn check_of(api_version: &str, kind: &str) -> Option<Check> {
    let found: Check = match (api_version, kind) {
        ("serving.knative.dev/v1", "Service") => knative::service,
        ("eventing.knative.dev/v1", "Broker") => knative::broker,
        ("eventing.knative.dev/v1", "Trigger") => knative::trigger,
        ("sources.knative.dev/v1", "SinkBinding") => knative::sink_binding,
        (argo::API, "Application") => argo::application,
        (istio::NETWORKING, "DestinationRule") => istio::destination_rule,
        (istio::NETWORKING, "VirtualService") => istio::virtual_service,
        (istio::SECURITY, "AuthorizationPolicy") => istio::authorization_policy,
        (istio::SECURITY, "PeerAuthentication") => istio::peer_authentication,
        (strimzi::API, "Kafka") => strimzi::kafka,
        (strimzi::API, "KafkaConnect") => strimzi::connect,
        (strimzi::API, "KafkaConnector") => strimzi::connector,
        (strimzi::API, "KafkaNodePool") => strimzi::node_pool,
        _ => return None,
    };
    Some(found)
}

/// Reads a document into a model that ignores unknown fields, and refuses those fields here.
pub fn read_all_of<T: DeserializeOwned>(document: &Value) -> Result<T, String> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(document, &mut track);
    let read = serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
    let model = read.map_err(|e: serde_norway::Error| format!("{}: {e}", track.path()))?;
    // The models are for one version and kind, and do not check them.
    unknown.retain(|path| path != "apiVersion" && path != "kind");
    if unknown.is_empty() { Ok(model) } else { Err(format!("unknown: {}", unknown.join(", "))) }
}

/// Reads a document into its model.
pub fn read<T: DeserializeOwned>(document: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(document).map_err(|e| format!("{}: {}", e.path(), e.inner()))
}
