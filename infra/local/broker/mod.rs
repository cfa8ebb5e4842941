//! The broker: accepts events, stores them until every subscriber has received them, and delivers them as the
//! Triggers say. It replaces Knative's broker and keeps its state in one file.

mod event;
mod journal;
mod queue;
mod synchronous;

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response, StatusCode};
use runtime::{Clock, outbound::Carry};
use tokio::sync::watch;

pub use self::event::Event;
use self::{
    event::Refused,
    journal::{Journal, Step, Stored, Writer},
    queue::Queue,
};
use crate::{
    apps::Apps,
    life::Life,
    readiness::{Part, Readiness},
    store::Store,
    wiring::eventing::Trigger,
};

/// When a publisher gets its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// When the event is stored.
    #[default]
    Durable,
    /// When all subscribers are done: for tests of publishers.
    Synchronous,
}

#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    mode: Mode,
    queues: Vec<Arc<Queue>>,
    journal: Journal,
    clock: Clock,
    readiness: Readiness,
    /// Counts commits: waiters for idleness look again after each one.
    commits: watch::Sender<u64>,
}

impl Broker {
    /// Accepts events from now on; delivers them after [`Broker::run`]. The writer is a separate task and
    /// ends last.
    pub async fn open(
        mode: Mode,
        triggers: Vec<Trigger>,
        store: &Store,
        clock: Clock,
        readiness: Readiness,
        back: &Life,
    ) -> Result<Self> {
        let sinks: BTreeSet<_> = triggers.iter().filter_map(|t| t.delivery.dead_letter_sink).collect();
        let queues = triggers.into_iter().map(Queue::of).chain(sinks.into_iter().map(Queue::of_dead_letters));
        let queues: Vec<_> = queues.map(Arc::new).collect();
        let (journal, writer) = Journal::new(store);
        for (name, count) in journal.queued().await? {
            if !queues.iter().any(|queue| queue.name == name) {
                tracing::warn!(queue = name, count, "events for a subscription that is gone are dropped");
                journal::forget(store, &name).await?;
            }
        }
        let broker =
            Self(Arc::new(Inner { mode, queues, journal, clock, readiness, commits: watch::Sender::new(0) }));
        back.spawn(broker.clone().write(writer, back.clone()));
        Ok(broker)
    }

    async fn write(self, writer: Writer, life: Life) {
        let committed = |steps: Option<&[Step]>| {
            let Some(steps) = steps else {
                self.0.readiness.failed(Part::Broker, self.0.clock.now());
                return;
            };
            self.0.readiness.works(&Part::Broker);
            for step in steps {
                match step {
                    Step::Accept(stored) | Step::Acknowledge { reply: Some(stored), .. } => {
                        stored.queues.iter().for_each(|name| self.wake(name));
                    }
                    Step::Bury { queue, .. } => self.wake(queue),
                    // The queue took this step itself, and looks again after it.
                    Step::Acknowledge { reply: None, .. } | Step::Postpone { .. } => {}
                }
            }
            self.0.commits.send_modify(|count| *count += 1);
        };
        writer.run(life.stopping(), committed).await;
    }

    fn wake(&self, name: &str) {
        if let Some(queue) = self.0.queues.iter().find(|queue| queue.name == name) {
            queue.wake.notify_one();
        }
    }

    /// Starts the deliveries.
    pub fn run(&self, apps: &Arc<Apps>, life: &Life) {
        for queue in &self.0.queues {
            life.spawn(queue::run(Arc::clone(queue), self.clone(), Arc::clone(apps), life.clone()));
        }
    }

    /// Answers a producer's `POST`: 202 once the event is stored.
    pub async fn receive(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.take(request, async |event| self.accept(event).await).await
    }

    /// The same for functions of this process, in the broker's mode.
    pub(crate) fn carry(&self, apps: &Arc<Apps>) -> Carry {
        let (broker, apps) = (self.clone(), Arc::downgrade(apps));
        Arc::new(move |_, request| {
            let (broker, apps) = (broker.clone(), apps.clone());
            async move {
                let apps = apps.upgrade().context("the engine is gone")?;
                Ok(broker.receive_from(&apps, request).await)
            }
            .boxed()
        })
    }

    async fn receive_from(&self, apps: &Apps, request: Request<Bytes>) -> Response<Bytes> {
        let deliver = async |event| {
            synchronous::deliver(self, apps, event).await;
            true
        };
        match self.0.mode {
            Mode::Durable => self.receive(request).await,
            Mode::Synchronous => self.take(request, deliver).await,
        }
    }

    async fn take(
        &self,
        request: Request<Bytes>,
        accept: impl AsyncFnOnce(Event) -> bool,
    ) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let (status, why) = match Event::read(&parts.headers, body) {
            Ok(Some(event)) => match accept(event).await {
                true => (StatusCode::ACCEPTED, String::new()),
                false => (StatusCode::SERVICE_UNAVAILABLE, "the event could not be kept".to_owned()),
            },
            Ok(None) => (StatusCode::BAD_REQUEST, "there is no event".to_owned()),
            Err(Refused::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "the event is too large".to_owned()),
            Err(Refused::NotAnEvent(why)) => (StatusCode::BAD_REQUEST, why),
        };
        let mut response = Response::new(Bytes::from(why));
        *response.status_mut() = status;
        response
    }

    /// Stores an event for all its subscribers. False: it could not be stored.
    pub async fn accept(&self, event: Event) -> bool {
        let stored = self.addressed(event);
        // An event without subscribers is accepted and dropped.
        stored.queues.is_empty() || self.0.journal.take(Step::Accept(stored)).await
    }

    fn addressed(&self, event: Event) -> Stored {
        let queues = self.0.queues.iter().filter(|queue| queue.wants(&event));
        let queues = queues.map(|queue| queue.name.clone()).collect();
        Stored { event, queues, due: self.0.clock.now() }
    }

    /// Waits until nothing is under way and nothing is due. Deliveries that wait for a retry or for a later
    /// time do not count.
    pub async fn idle(&self) -> Result<()> {
        let mut commits = self.0.commits.subscribe();
        loop {
            commits.borrow_and_update();
            // Deliveries under way are still in the table, and due.
            if !self.0.journal.any_due(self.0.clock.now()).await? {
                return Ok(());
            }
            commits.changed().await?;
        }
    }

    /// Number of waiting deliveries by queue.
    pub async fn queued(&self) -> Result<Vec<(String, i64)>> {
        Ok(self.0.journal.queued().await?)
    }

    fn journal(&self) -> &Journal {
        &self.0.journal
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }
}
