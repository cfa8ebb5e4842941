//! The wiring, read from the files that are applied to a cluster: Kong's declarative configuration, Knative's
//! Broker and Triggers, Kubernetes' CronJobs.
//!
//! The engine refuses anything that it does not understand, and names the place: a file that had another
//! meaning here than on a cluster would make every test on one machine worthless.

pub mod cron;
pub mod eventing;
mod file;
pub mod kong;

use std::borrow::Cow;

use anyhow::Result;
use runtime::Function;

pub use file::File;

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
    /// The files of this repository, as of the build.
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

/// The engine's whole configuration.
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
