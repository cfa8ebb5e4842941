//! What is wired to what, read from the files that a cluster is fed: Kong's declarative
//! configuration, Knative's Broker and Triggers, Kubernetes' CronJobs.
//!
//! What the engine does not understand it refuses, and says where: a file that means one thing
//! here and another on a cluster would make every test on one machine worthless.

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
