//! Strimzi.

use kcr_kafka_strimzi_io::v1::{
    kafkaconnectors::KafkaConnector,
    kafkaconnects::{KafkaConnect, KafkaConnectBuildPluginsArtifactsType},
    kafkanodepools::KafkaNodePool,
    kafkas::Kafka,
};
use serde_norway::Value;

use super::read_all_of;

pub const API: &str = "kafka.strimzi.io/v1";

pub fn kafka(document: &Value) -> Result<(), String> {
    let spec = read_all_of::<Kafka>(document)?.spec.kafka;
    refuse_prefixes(
        spec.config.iter().flat_map(|config| config.keys()),
        // Strimzi sets these itself and ignores given values.
        &["listeners", "advertised.", "broker.", "node.id", "process.roles", "log.dir", "sasl.", "security."],
    )
}

pub fn node_pool(document: &Value) -> Result<(), String> {
    let pool = read_all_of::<KafkaNodePool>(document)?;
    of_a_cluster(pool.metadata.labels.as_ref())?;
    match pool.spec.roles.iter().find(|role| !["controller", "broker"].contains(&role.as_str())) {
        Some(role) => Err(format!("{role} is no role")),
        None => Ok(()),
    }
}

pub fn connect(document: &Value) -> Result<(), String> {
    let spec = read_all_of::<KafkaConnect>(document)?.spec;
    for artifact in spec.build.iter().flat_map(|build| &build.plugins).flat_map(|plugin| &plugin.artifacts) {
        let complete = match artifact.r#type {
            KafkaConnectBuildPluginsArtifactsType::Maven => {
                artifact.group.is_some() && artifact.version.is_some()
            }
            _ => artifact.url.is_some(),
        };
        if !complete {
            return Err("an artifact that nobody can find".into());
        }
    }
    refuse_prefixes(
        spec.config.iter().flat_map(|config| config.keys()),
        &[
            "group.id",
            "config.storage.topic",
            "offset.storage.topic",
            "status.storage.topic",
            "ssl.",
            "sasl.",
        ],
    )
}

pub fn connector(document: &Value) -> Result<(), String> {
    let connector = read_all_of::<KafkaConnector>(document)?;
    of_a_cluster(connector.metadata.labels.as_ref())?;
    connector.spec.class.ok_or("it has no class").map(drop)?;
    refuse_prefixes(
        connector.spec.config.iter().flat_map(|config| config.keys()),
        &["connector.class", "tasks.max", "name"],
    )
}

fn of_a_cluster(labels: Option<&std::collections::BTreeMap<String, String>>) -> Result<(), String> {
    match labels.and_then(|labels| labels.get("strimzi.io/cluster")) {
        Some(_) => Ok(()),
        None => Err("without the label strimzi.io/cluster nobody looks at it".into()),
    }
}

fn refuse_prefixes<'a>(mut keys: impl Iterator<Item = &'a String>, refused: &[&str]) -> Result<(), String> {
    match keys.find(|key| refused.iter().any(|prefix| key.starts_with(prefix))) {
        Some(key) => Err(format!("{key} is not to be set in config")),
        None => Ok(()),
    }
}
