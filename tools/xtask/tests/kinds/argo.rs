//! Argo CD.

use kcr_argoproj_io::v1alpha1::applications::Application;
use serde_norway::Value;

use super::read_all_of;

pub const API: &str = "argoproj.io/v1alpha1";

pub fn application(document: &Value) -> Result<(), String> {
    let application: Application = read_all_of(document)?;
    let source = application.spec.source.ok_or("it has no source")?;
    let path = source.path.ok_or("it has no path")?;
    let folder = xtask::root().join(&path);
    if !folder.join("kustomization.yaml").exists() {
        return Err(format!("there is no {path}"));
    }
    for component in source.kustomize.and_then(|k| k.components).unwrap_or_default() {
        if !folder.join(&component).join("kustomization.yaml").exists() {
            return Err(format!("there is no {component} of {path}"));
        }
    }
    Ok(())
}
