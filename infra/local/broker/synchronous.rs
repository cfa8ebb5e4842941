//! The broker in the mode of Knative's in-memory channel without `messaging.knative.dev/async-handler` (seen
//! with Knative Eventing of 2026): a publisher gets its answer when every subscriber of its event, and of the
//! events that those publish, is done. If the publisher disconnects earlier, its subscribers are cancelled.
//! For tests: nothing is stored.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};

use super::{
    Broker, Event,
    queue::{self, Outcome, Queue},
};
use crate::apps::Apps;

pub fn deliver<'a>(broker: &'a Broker, apps: &'a Apps, event: Event) -> BoxFuture<'a, ()> {
    async move {
        let queues = broker.0.queues.iter().filter(|queue| queue.wants(&event));
        futures::future::join_all(queues.map(|queue| to_one(broker, apps, queue, event.clone()))).await;
    }
    .boxed()
}

async fn to_one(broker: &Broker, apps: &Apps, queue: &Arc<Queue>, event: Event) {
    let Some(delivery) = queue.delivery() else { return };
    for attempts in 1.. {
        match queue::send(queue, apps, event.clone(), None).await {
            Outcome::Delivered { reply } => {
                if let Some(reply) = reply {
                    deliver(broker, apps, reply).await;
                }
                return;
            }
            Outcome::Failed { code, data, final_ } if final_ || attempts > delivery.retry => {
                tracing::error!(queue = queue.name, code, error = data, "given up, and lost");
                return;
            }
            Outcome::Failed { .. } => {
                let clock = broker.clock();
                clock.sleep_until(clock.now() + delivery.pause(attempts)).await;
            }
        }
    }
}
