//! A Kubernetes CronJob for each function that the schedule triggers.

use std::fmt::Write as _;

use runtime::Function;

pub fn cron_jobs(table: &[Function]) -> String {
    let mut text = "# Generated from functions/lib.rs by `make manifests`: do not edit.\n".to_owned();
    for function in table {
        let (name, Some(cron)) = (function.name, function.cron) else { continue };
        // The shared image is the client, too. A tick that is late by a minute is left to the next.
        write!(
            text,
            r#"---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
spec:
  schedule: "{cron}"
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 60
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 2
      activeDeadlineSeconds: 300
      template:
        spec:
          restartPolicy: Never
          automountServiceAccountToken: false
          enableServiceLinks: false
          securityContext:
            runAsNonRoot: true
            runAsUser: 65532
            seccompProfile:
              type: RuntimeDefault
          containers:
            - name: trigger
              image: pongpong
              args: [trigger, {name}]
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities:
                  drop: [ALL]
              resources:
                requests:
                  cpu: 10m
                  memory: 16Mi
                limits:
                  memory: 64Mi
"#
        )
        .ok();
    }
    text
}
