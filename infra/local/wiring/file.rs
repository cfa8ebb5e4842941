//! Files of Kubernetes objects, and the names in them.

use std::borrow::Cow;

use anyhow::{Context as _, Result, bail};
use runtime::Function;
use serde::{Deserialize, de::DeserializeOwned};

/// A file, with the name that error messages use.
#[derive(Clone, Debug)]
pub struct File {
    pub name: &'static str,
    pub text: Cow<'static, str>,
}

/// The documents of a YAML file, with their place for error messages.
pub fn documents<T: DeserializeOwned>(file: &File) -> Result<Vec<(String, T)>> {
    let mut found = Vec::new();
    for (n, document) in serde_norway::Deserializer::from_str(&file.text).enumerate() {
        let place = format!("{}, document {}", file.name, n + 1);
        // A file that has only comments holds one document: null.
        let read = Option::<T>::deserialize(document)
            .with_context(|| format!("{place} holds something that this engine does not understand"))?;
        found.extend(read.map(|read| (place, read)));
    }
    Ok(found)
}

/// The function that a cluster-internal name stands for: `http://NAME.pongpong.svc.cluster.local`.
pub fn function(functions: &'static [Function], name: &str) -> Result<&'static Function> {
    let Some(function) = functions.iter().find(|f| f.name == name) else {
        bail!("there is no function {name:?}");
    };
    Ok(function)
}

pub fn triggered(functions: &'static [Function], name: &str) -> Result<&'static Function> {
    let function = function(functions, name)?;
    if function.trigger.is_none() {
        bail!("the function {name:?} does not answer POST /");
    }
    Ok(function)
}

/// `metadata` of a Kubernetes object. The engine ignores labels and annotations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    pub name: String,
    #[serde(default, rename = "labels")]
    _labels: std::collections::BTreeMap<String, String>,
    #[serde(default, rename = "annotations")]
    _annotations: std::collections::BTreeMap<String, String>,
}
