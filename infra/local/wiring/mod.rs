//! What is wired to what, read from the files that a cluster is fed: Kong's declarative
//! configuration, Knative's Broker and Triggers, Kubernetes' CronJobs.
//!
//! What the engine does not understand it refuses, and says where: a file that means one thing
//! here and another on a cluster would make every test on one machine worthless.

pub mod cron;
pub mod eventing;
pub mod kong;

use std::borrow::Cow;

use anyhow::{Context as _, Result, bail};
use runtime::Function;
use serde::{Deserialize, de::DeserializeOwned};

/// A file, by the name that a complaint calls it.
#[derive(Clone, Debug)]
pub struct File {
    pub name: &'static str,
    pub text: Cow<'static, str>,
}

/// The three sets of files.
#[derive(Clone, Debug)]
pub struct Files {
    pub kong: File,
    pub eventing: Vec<File>,
    pub cron: Vec<File>,
}

macro_rules! embedded {
    ($path:literal) => {
        File { name: $path, text: Cow::Borrowed(include_str!(concat!("../../../", $path))) }
    };
}

impl Default for Files {
    /// Those of this repository, as they were when it was built.
    fn default() -> Self {
        Self {
            kong: embedded!("infra/kong/kong.yml"),
            eventing: vec![
                embedded!("knative/base/eventing/broker.yaml"),
                embedded!("knative/base/eventing/triggers.yaml"),
            ],
            cron: vec![embedded!("knative/base/cron/cronjobs.yaml")],
        }
    }
}

/// All that the engine runs by.
pub struct Wiring {
    pub routes: Vec<kong::Route>,
    pub triggers: Vec<eventing::Trigger>,
    pub jobs: Vec<cron::Job>,
}

impl Wiring {
    pub fn read(files: &Files, functions: &'static [Function], gateway_token: &str) -> Result<Self> {
        Ok(Self {
            routes: kong::read(&files.kong, functions, gateway_token)?,
            triggers: eventing::read(&files.eventing, functions)?,
            jobs: cron::read(&files.cron, functions)?,
        })
    }
}

/// The documents of a YAML file, with their place for complaints.
fn documents<T: DeserializeOwned>(file: &File) -> Result<Vec<(String, T)>> {
    let mut found = Vec::new();
    for (n, document) in serde_norway::Deserializer::from_str(&file.text).enumerate() {
        let place = format!("{}, document {}", file.name, n + 1);
        // A file of comments alone holds one document: null.
        let read = Option::<T>::deserialize(document)
            .with_context(|| format!("{place} holds something that this engine does not understand"))?;
        found.extend(read.map(|read| (place, read)));
    }
    Ok(found)
}

/// The function that a name of the cluster stands for: `http://NAME.pongpong.svc.cluster.local`.
fn function(functions: &'static [Function], name: &str) -> Result<&'static Function> {
    let Some(function) = functions.iter().find(|f| f.name == name) else {
        bail!("there is no function {name:?}");
    };
    Ok(function)
}

fn triggered(functions: &'static [Function], name: &str) -> Result<&'static Function> {
    let function = function(functions, name)?;
    if function.trigger.is_none() {
        bail!("the function {name:?} does not answer POST /");
    }
    Ok(function)
}

/// `metadata` of a Kubernetes object. Labels and annotations mean nothing to the engine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    #[serde(default, rename = "labels")]
    _labels: std::collections::BTreeMap<String, String>,
    #[serde(default, rename = "annotations")]
    _annotations: std::collections::BTreeMap<String, String>,
}
