//! Kubernetes' CronJobs: which function is triggered when.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use runtime::Function;
use serde::{Deserialize, de::IgnoredAny};

use super::file::{File, Metadata, documents, triggered};

#[derive(Clone, Debug)]
pub struct Job {
    pub name: String,
    pub function: &'static str,
    pub schedule: Cron,
    /// How late a tick may start; `None`: no limit.
    pub starting_deadline: Option<Duration>,
    /// Maximum duration of one run.
    pub deadline: Duration,
    /// How often a failed run is tried again.
    pub retries: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CronJob {
    #[serde(rename = "apiVersion")]
    _api_version: BatchVersion,
    #[serde(rename = "kind")]
    _kind: CronJobKind,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
enum BatchVersion {
    #[serde(rename = "batch/v1")]
    V1,
}

#[derive(Deserialize)]
enum CronJobKind {
    CronJob,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    schedule: String,
    #[serde(rename = "timeZone")]
    _time_zone: Utc,
    #[serde(rename = "concurrencyPolicy")]
    _concurrency_policy: Forbid,
    starting_deadline_seconds: Option<u64>,
    // How many finished Jobs Kubernetes keeps; the engine has none.
    #[serde(default, rename = "successfulJobsHistoryLimit")]
    _successful: IgnoredAny,
    #[serde(default, rename = "failedJobsHistoryLimit")]
    _failed: IgnoredAny,
    job_template: Template<JobSpec>,
}

#[derive(Deserialize)]
enum Utc {
    #[serde(rename = "Etc/UTC")]
    Utc,
}

#[derive(Deserialize)]
enum Forbid {
    Forbid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template<T> {
    #[serde(default, rename = "metadata")]
    _metadata: IgnoredAny,
    spec: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct JobSpec {
    /// Kubernetes' default.
    #[serde(default = "six")]
    backoff_limit: u32,
    active_deadline_seconds: u64,
    template: Template<PodSpec>,
}

fn six() -> u32 {
    6
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PodSpec {
    #[serde(rename = "restartPolicy")]
    _restart_policy: Never,
    containers: Vec<Container>,
    // Security settings of the pod; the engine has no pods.
    #[serde(default, rename = "automountServiceAccountToken")]
    _token: IgnoredAny,
    #[serde(default, rename = "enableServiceLinks")]
    _links: IgnoredAny,
    #[serde(default, rename = "priorityClassName")]
    _priority: IgnoredAny,
    #[serde(default, rename = "securityContext")]
    _security: IgnoredAny,
}

#[derive(Deserialize)]
enum Never {
    Never,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Container {
    args: Vec<String>,
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "image")]
    _image: String,
    // Settings of a pod.
    #[serde(default, rename = "imagePullPolicy")]
    _pull: IgnoredAny,
    #[serde(default, rename = "env")]
    _env: IgnoredAny,
    #[serde(default, rename = "securityContext")]
    _security: IgnoredAny,
    #[serde(default, rename = "resources")]
    _resources: BTreeMap<String, IgnoredAny>,
}

pub fn read(files: &[File], functions: &'static [Function]) -> Result<Vec<Job>> {
    let mut jobs = Vec::<Job>::new();
    for file in files {
        for (place, job) in documents::<CronJob>(file)? {
            let place = format!("{place}, CronJob {:?}", job.metadata.name);
            if jobs.iter().any(|other| other.name == job.metadata.name) {
                bail!("{place}: a second CronJob of this name");
            }
            jobs.push(complete(job, functions).context(place)?);
        }
    }
    Ok(jobs)
}

fn complete(job: CronJob, functions: &'static [Function]) -> Result<Job> {
    let run = job.spec.job_template.spec;
    let function = match &run.template.spec.containers[..] {
        [Container { args, .. }] => match &args[..] {
            [trigger, name] if trigger == "trigger" => triggered(functions, name)?,
            other => bail!("containers[0].args must be [trigger, FUNCTION], not {other:?}"),
        },
        other => bail!("there must be one container, not {}", other.len()),
    };
    let schedule = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let schedule = schedule
        .parse(&job.spec.schedule)
        .with_context(|| format!("spec.schedule: {:?} is not a schedule", job.spec.schedule))?;
    Ok(Job {
        name: job.metadata.name,
        function: function.name,
        schedule,
        starting_deadline: job.spec.starting_deadline_seconds.map(Duration::from_secs),
        deadline: Duration::from_secs(run.active_deadline_seconds),
        retries: run.backoff_limit,
    })
}
