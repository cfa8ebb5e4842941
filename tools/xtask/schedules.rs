//! A Kubernetes CronJob for each function that the schedule triggers.

use std::fmt::Write as _;

use runtime::Function;

use crate::{
    HEADER,
    services::{self, COMMON, FENCE},
};

pub fn cron_jobs(table: &[Function]) -> String {
    let mut text = HEADER.to_owned();
    for function in table {
        let (name, Some(cron)) = (function.name, function.cron) else { continue };
        let variables: String = COMMON
            .iter()
            .map(|name| services::from(name, "configMapKeyRef", "pongpong", name, true))
            .collect();
        let priority = services::priority(function).replace('\n', "\n    ");
        // Deeper by the Job around it.
        let inner = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let (variables, fence) = (inner(&variables), inner(FENCE));
        // A tick of a minute that is late is left to the next; what runs once a day runs late rather than never.
        let deadline = if cron.starts_with("* ") { 60 } else { 18 * 3600 };
        // The shared image is the client, too.
        write!(
            text,
            r#"---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
  labels:
    app: trigger
    app.kubernetes.io/part-of: pongpong
spec:
  schedule: "{cron}"
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: {deadline}
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 2
      activeDeadlineSeconds: 300
      template:
        metadata:
          labels:
            app: trigger
            app.kubernetes.io/part-of: pongpong
        spec:{priority}
          restartPolicy: Never
          automountServiceAccountToken: false
          enableServiceLinks: false
          containers:
            - name: trigger
              image: pongpong
              imagePullPolicy: IfNotPresent
              args: [trigger, {name}]
              env:
{variables}              resources:
                requests:
                  cpu: 5m
                  memory: 16Mi
                limits:
                  memory: 64Mi
{fence}"#
        )
        .ok();
    }
    text
}
