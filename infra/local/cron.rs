//! The schedule: triggers functions as the CronJobs say, at most one run of each job at a time.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, header};
use runtime::{Clock, trace::Trace};
use tokio::sync::watch;

use crate::{
    apps::Apps,
    life::Life,
    readiness::{Part, Readiness},
    store::Store,
    wiring::cron::Job,
};

#[derive(Clone, Debug)]
pub struct Schedule {
    clock: Clock,
    store: Store,
    readiness: Readiness,
    /// The state of each job.
    states: watch::Sender<Vec<State>>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// The next tick; `None`: never.
    next: Option<DateTime<Utc>>,
    run: Run,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    None,
    Active,
    /// Failed; the next attempt is at this time.
    Again(DateTime<Utc>),
}

impl State {
    fn is_idle(&self, now: DateTime<Utc>) -> bool {
        let waits = |until: Option<DateTime<Utc>>| until.is_none_or(|until| until > now);
        match self.run {
            Run::None => waits(self.next),
            Run::Active => false,
            Run::Again(at) => at > now && waits(self.next),
        }
    }
}

impl Schedule {
    pub async fn start(
        jobs: Vec<Job>,
        apps: &Arc<Apps>,
        store: Store,
        clock: Clock,
        readiness: Readiness,
        life: &Life,
    ) -> Result<Self> {
        let now = clock.now();
        let mut planned = Vec::new();
        for job in jobs {
            // Counts from a minute ago at the first start, so that a new engine need not wait for the next
            // minute.
            let since = last_tick(&store, &job.name).await?.unwrap_or(now - TimeDelta::minutes(1)).min(now);
            planned.push((next(&job, since), job));
        }
        let states = planned.iter().map(|(next, _)| State { next: *next, run: Run::None }).collect();
        let schedule = Self { clock, store, readiness, states: watch::Sender::new(states) };
        for (n, (_, job)) in planned.into_iter().enumerate() {
            life.spawn(schedule.clone().follow(n, job, Arc::clone(apps), life.clone()));
        }
        Ok(schedule)
    }

    /// Runs one job until the engine stops; a run under way may then finish.
    async fn follow(self, n: usize, job: Job, apps: Arc<Apps>, life: Life) {
        let job = Arc::new(job);
        while let Some(due) = self.state(n).next {
            tokio::select! {
                biased;
                () = life.stopping() => return,
                () = self.clock.sleep_until(due) => {}
            }
            let now = self.clock.now();
            if now < due {
                // The clock was set back: compute the next tick again.
                self.states.send_modify(|states| states[n].next = next(&job, now).map(|next| next.min(due)));
                continue;
            }
            // After a pause only the latest of the missed ticks counts.
            let tick = job.schedule.find_previous_occurrence(&now, true).unwrap_or(due).max(due);
            let busy = self.state(n).run != Run::None;
            let late = now - tick;
            let too_late =
                job.starting_deadline.is_some_and(|deadline| late.to_std().is_ok_and(|l| l > deadline));
            let starts = !busy && !too_late;
            self.states.send_modify(|states| {
                states[n].next = next(&job, tick);
                if starts {
                    states[n].run = Run::Active;
                }
            });
            if starts {
                let (schedule, job, apps) = (self.clone(), Arc::clone(&job), Arc::clone(&apps));
                let stopping = life.clone();
                life.spawn(async move { schedule.run(n, &job, tick, &apps, &stopping).await });
            } else if busy {
                self.readiness.failed(Part::Job(job.name.clone()), now);
                tracing::warn!(job = job.name, %tick, "skipped: the run before it is not over");
            } else {
                tracing::warn!(job = job.name, %tick, late_seconds = late.num_seconds(), "skipped: too late");
            }
        }
    }

    fn state(&self, n: usize) -> State {
        self.states.borrow()[n]
    }

    async fn run(&self, n: usize, job: &Job, tick: DateTime<Utc>, apps: &Apps, life: &Life) {
        if self.attempts(n, job, apps, life).await {
            // The tick is stored after the run: if the run was cut off, the next start repeats it.
            self.keep(job, tick).await;
        }
        self.set(n, Run::None);
    }

    /// False: the engine stopped before the run ended.
    async fn attempts(&self, n: usize, job: &Job, apps: &Apps, life: &Life) -> bool {
        for attempt in 0..=job.retries {
            match tokio::time::timeout(job.deadline, trigger(job, apps)).await {
                Ok(Ok(())) => {
                    self.readiness.works(&Part::Job(job.name.clone()));
                    return true;
                }
                Ok(Err(error)) => {
                    let error = format!("{error:#}");
                    self.readiness.failed(Part::Job(job.name.clone()), self.clock.now());
                    tracing::error!(job = job.name, attempt, error, "the run failed");
                }
                // As `activeDeadlineSeconds` ends a Job.
                Err(_) => {
                    self.readiness.failed(Part::Job(job.name.clone()), self.clock.now());
                    tracing::error!(job = job.name, attempt, "the run took too long");
                    return true;
                }
            }
            if attempt < job.retries {
                // As Kubernetes restarts a Job's pods: after 10, 20, 40 seconds.
                let pause = Duration::from_secs(10 << attempt.min(5));
                let at = self.clock.now() + TimeDelta::from_std(pause).unwrap_or_default();
                self.set(n, Run::Again(at));
                tokio::select! {
                    biased;
                    () = life.stopping() => return false,
                    () = self.clock.sleep_until(at) => {}
                }
                self.set(n, Run::Active);
            }
        }
        true
    }

    fn set(&self, n: usize, run: Run) {
        self.states.send_modify(|states| states[n].run = run);
    }

    async fn keep(&self, job: &Job, tick: DateTime<Utc>) {
        if let Err(error) = keep_tick(&self.store, &job.name, tick).await {
            self.readiness.failed(Part::Job(job.name.clone()), self.clock.now());
            tracing::error!(%error, job = job.name, "the tick cannot be kept");
        }
    }

    /// Waits until no tick is due and no run is under way.
    pub async fn idle(&self) {
        let mut states = self.states.subscribe();
        // Cannot fail: `self` holds the sender.
        let _ = states.wait_for(|states| self.all_idle(states)).await;
    }

    pub fn is_idle(&self) -> bool {
        self.all_idle(&self.states.borrow())
    }

    fn all_idle(&self, states: &[State]) -> bool {
        let now = self.clock.now();
        states.iter().all(|state| state.is_idle(now))
    }
}

fn next(job: &Job, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    job.schedule.find_next_occurrence(&after, false).ok()
}

async fn trigger(job: &Job, apps: &Apps) -> Result<()> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, 0.into());
    headers.insert(
        header::HOST,
        HeaderValue::from_str(&format!("{}.pongpong.svc.cluster.local", job.function))?,
    );
    let trace = Trace::of_tick(job.function);
    trace.inject(&mut headers);
    let response = apps.trigger(job.function, headers, Bytes::new()).await?;
    trace.answered(response.status());
    anyhow::ensure!(response.status().is_success(), "it answered {}", response.status());
    Ok(())
}

async fn last_tick(store: &Store, job: &str) -> Result<Option<DateTime<Utc>>> {
    static SELECT: &str = "SELECT at FROM tick WHERE job = $1";
    let at: Option<i64> = sqlx::query_scalar(SELECT).bind(job).fetch_optional(&store.read).await?;
    Ok(at.and_then(DateTime::from_timestamp_micros))
}

async fn keep_tick(store: &Store, job: &str, at: DateTime<Utc>) -> Result<()> {
    static UPSERT: &str =
        "INSERT INTO tick (job, at) VALUES ($1, $2) ON CONFLICT (job) DO UPDATE SET at = excluded.at";
    sqlx::query(UPSERT).bind(job).bind(at.timestamp_micros()).execute(&store.write).await?;
    Ok(())
}
