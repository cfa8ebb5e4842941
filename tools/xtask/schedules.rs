//! A Kubernetes CronJob for each scheduled function.

use anyhow::Result;
use k8s_openapi::api::{
    batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec},
    core::v1::{Container, PodSpec, PodTemplateSpec},
};
use runtime::Function;

use crate::{
    services::{common, container, labeled, named, pod, priority, resources},
    yaml,
};

pub fn cron_jobs(table: &[Function]) -> Result<String> {
    let jobs = table.iter().filter_map(|function| Some(cron_job(function, function.cron?)));
    yaml(&jobs.collect::<Vec<_>>())
}

fn cron_job(function: &Function, cron: &str) -> CronJob {
    let labels = [("app", "trigger"), ("app.kubernetes.io/part-of", "pongpong")];
    // A late tick of a job that runs each minute is skipped; a daily job runs late rather than not at all.
    let deadline = if cron.starts_with("* ") { 60 } else { 18 * 3600 };
    let container = Container {
        resources: Some(resources(
            [("cpu", "5m".to_owned()), ("memory", "16Mi".to_owned())],
            &[("memory", "64Mi")],
        )),
        // The shared image contains the client too.
        ..container("trigger", &["trigger", function.name], common())
    };
    let pod = PodSpec {
        restart_policy: Some("Never".to_owned()),
        priority_class_name: priority(function),
        ..pod(container)
    };
    let job = JobSpec {
        backoff_limit: Some(2),
        active_deadline_seconds: Some(300),
        template: PodTemplateSpec { metadata: Some(labeled(&labels)), spec: Some(pod) },
        ..JobSpec::default()
    };
    CronJob {
        metadata: named(function.name, &labels),
        spec: Some(CronJobSpec {
            schedule: cron.to_owned(),
            time_zone: Some("Etc/UTC".to_owned()),
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(deadline),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(3),
            job_template: JobTemplateSpec { metadata: None, spec: Some(job) },
            ..CronJobSpec::default()
        }),
        ..CronJob::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_that_missed_its_time_runs_late_and_a_minute_is_left_to_the_next() {
        for function in functions::ALL {
            let Some(cron) = function.cron else { continue };
            let deadline = cron_job(function, cron).spec.and_then(|spec| spec.starting_deadline_seconds);
            let allowed = if cron.starts_with("* ") { 1..=60 } else { 12 * 3600..=23 * 3600 };
            let is_allowed = deadline.is_some_and(|deadline| allowed.contains(&deadline));
            assert!(is_allowed, "{}: {deadline:?}", function.name);
        }
    }
}
