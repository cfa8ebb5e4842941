//! Deliveries: their recipients, retries, and what survives a kill.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::sync::Semaphore;

use crate::world::{Call, World, breaks, gated, replies, says, status};

fn ids(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.header("ce-id")).collect()
}

#[tokio::test]
async fn an_event_reaches_who_subscribes_and_nobody_else() {
    let world = World::new().await;
    world.publish_to("a", "1", Some("email")).await;
    world.publish_to("a", "2", Some("slack")).await;
    world.publish("b", "3").await;
    world.publish("nobody wants this", "4").await;
    world.idle().await;
    let mut first = world.calls("first");
    first.sort_by_key(|call| call.header("ce-id").to_owned());
    assert_eq!(ids(&first), ["1", "2"]);
    assert_eq!(&first[0].body[..], br#"{"id":"1"}"#);
    assert_eq!(first[0].header("content-type"), "application/json");
    assert_eq!(first[0].header("host"), "first.pongpong.svc.cluster.local");
    let mut second = world.calls("second");
    second.sort_by_key(|call| call.header("ce-id").to_owned());
    assert_eq!(ids(&second), ["1", "3"]);
    assert_eq!(world.queued().await, []);
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_after_1_2_4_seconds() {
    let world = World::new().await;
    world.script("first", [status(500), says(200, "this is no event"), status(404)]);
    world.publish("a", "1").await;
    world.idle().await;
    for (seconds, calls) in [(0.999, 1), (0.001, 2), (1.999, 2), (0.001, 3), (3.999, 3), (0.001, 4)] {
        world.pass(seconds).await;
        assert_eq!(world.calls("first").len(), calls, "after {seconds}");
    }
    assert_eq!(world.queued().await, []);
    assert!(world.calls("dead-letter").is_empty());
}

#[tokio::test]
async fn when_retries_are_used_up_it_is_a_dead_letter() {
    let world = World::new().await;
    world.script("first", [status(503), status(408), status(409), says(429, "slow down")]);
    world.publish("a", "1").await;
    for seconds in [0.0, 1.0, 2.0, 4.0] {
        world.pass(seconds).await;
    }
    assert_eq!(world.calls("first").len(), 4);
    let [letter] = &world.calls("dead-letter")[..] else { panic!("one dead letter") };
    assert_eq!((letter.header("ce-id"), &letter.body[..]), ("1", &br#"{"id":"1"}"#[..]));
    assert_eq!(letter.header("ce-knativeerrorcode"), "429");
    assert_eq!(letter.header("ce-knativeerrordest"), "http://first.pongpong.svc.cluster.local");
    assert_eq!(letter.header("ce-knativeerrordata"), STANDARD.encode("slow down"));
    assert_eq!(world.queued().await, []);
}

#[tokio::test]
async fn poison_is_not_tried_again_and_a_dead_letter_is_never_given_up() {
    let world = World::new().await;
    world.script("first", [says(400, "poison")]);
    world.script("dead-letter", [status(500), status(400), status(503)]);
    world.publish("a", "1").await;
    world.idle().await;
    assert_eq!((world.calls("first").len(), world.calls("dead-letter").len()), (1, 1));
    for calls in 2..=4 {
        world.pass(600.0).await;
        assert_eq!(world.calls("dead-letter").len(), calls);
    }
    assert_eq!(world.queued().await, []);
}

#[tokio::test]
async fn a_reply_is_kept_with_the_acknowledgement() {
    let world = World::new().await;
    world.script("first", [replies("b", "the reply")]);
    world.publish("a", "1").await;
    world.idle().await;
    assert_eq!(ids(&world.calls("second")), ["the reply"]);
    assert_eq!(world.queued().await, []);
}

#[tokio::test]
async fn what_was_accepted_survives_a_kill() {
    let world = World::new().await;
    world.script("first", [gated(&Arc::new(Semaphore::new(0)))]);
    world.publish("a", "1").await;
    world.called("first", 1).await;
    let world = world.killed_and_restarted().await;
    world.idle().await;
    assert_eq!(ids(&world.calls("first")), ["1"]);
    let world = world.killed_and_restarted().await;
    world.idle().await;
    assert!(world.calls("first").is_empty(), "what was acknowledged is not delivered again");
}

#[tokio::test]
async fn attempts_are_counted_across_restarts() {
    let world = World::new().await;
    world.script("first", [status(500), status(500)]);
    world.publish("a", "1").await;
    world.idle().await;
    world.pass(1.0).await;
    let world = world.killed_and_restarted().await;
    world.script("first", [status(500), status(500)]);
    world.pass(1.999).await;
    assert!(world.calls("first").is_empty(), "two seconds to wait after two failures");
    world.pass(0.001).await;
    world.pass(4.0).await;
    assert_eq!((world.calls("first").len(), world.calls("dead-letter").len()), (2, 1));
}

#[tokio::test]
async fn a_stop_lets_deliveries_finish() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    world.script("first", [gated(&gate)]);
    world.publish("a", "1").await;
    world.called("first", 1).await;
    let data = world.data().path().join("engine.db");
    let stopped = tokio::spawn(world.engine.stop());
    gate.add_permits(1);
    stopped.await.unwrap().unwrap();
    let url = format!("sqlite:{}", data.display());
    let left: i64 = {
        use sqlx::{Connection, SqliteConnection};
        let mut db = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query_scalar("SELECT COUNT(*) FROM event").fetch_one(&mut db).await.unwrap()
    };
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_slow_subscriber_delays_no_other() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    world.script("first", (0..100).map(|_| gated(&gate)));
    for n in 0..100 {
        world.publish("a", &n.to_string()).await;
    }
    world.publish("b", "quick").await;
    world.called("second", 1).await;
    assert!(world.calls("first").len() <= 16, "no more at once than one queue may");
    gate.add_permits(100);
    world.idle().await;
    assert_eq!(world.calls("first").len(), 100);
}

#[tokio::test]
async fn owners_with_slow_events_delay_no_other_owner() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    world.script("first", (0..1000).map(|_| gated(&gate)));
    let publish = async |id: &str, owners: &str| {
        world.publish_with("a", id, Some(("owners", owners))).await;
    };
    let started = async |id: &str| {
        while !ids(&world.calls("first")).contains(&id) {
            world.called("first", world.calls("first").len() + 1).await;
        }
    };
    for n in 0..40 {
        for owner in ["1", "2", "3"] {
            publish(&format!("{owner}/{n}"), owner).await;
        }
    }
    started("3/0").await;
    assert!(world.calls("first").len() <= 12, "some places are free for who comes");
    publish("of another", "4").await;
    started("of another").await;
    // An event of several owners waits for none of them, before and after a restart.
    publish("of several", "1,2,3,5").await;
    started("of several").await;
    let world = world.killed_and_restarted().await;
    world.script("first", (0..1000).map(|_| gated(&gate)));
    let owners = |calls: &[Call]| calls.iter().map(|c| c.header("ce-owners").to_owned()).collect::<Vec<_>>();
    while ["1", "2", "3", "4", "1,2,3,5"]
        .iter()
        .any(|o| !owners(&world.calls("first")).contains(&(*o).into()))
    {
        world.called("first", world.calls("first").len() + 1).await;
    }
    assert!(world.calls("first").len() <= 16);
    gate.add_permits(1000);
    world.idle().await;
    assert_eq!((world.calls("first").len(), world.queued().await), (122, vec![]));
}

#[tokio::test]
async fn many_events_at_once_are_all_delivered_once() {
    let world = World::new().await;
    let publish = (0..500).map(|n| world.publish_owned(n));
    futures::future::join_all(publish).await;
    world.idle().await;
    let calls = world.calls("first");
    let mut ids: Vec<_> = ids(&calls);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((calls.len(), ids.len()), (500, 500));
}

impl World {
    async fn publish_owned(&self, n: usize) {
        self.publish("a", &n.to_string()).await;
    }
}

#[tokio::test]
async fn what_is_no_event_is_refused() {
    let world = World::new().await;
    let receive = async |headers: &[(&'static str, &'static str)], body: Vec<u8>| {
        let mut request = http::Request::new(bytes::Bytes::from(body));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        world.engine.broker().receive(request).await.status().as_u16()
    };
    let event = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/x"), ("ce-type", "a")];
    assert_eq!(receive(&[], b"x".to_vec()).await, 400);
    assert_eq!(receive(&[], Vec::new()).await, 400);
    assert_eq!(receive(&event[..3], Vec::new()).await, 400);
    assert_eq!(receive(&event, vec![0; 16 * 1024 * 1024 + 1]).await, 413);
    assert_eq!(receive(&event, vec![0; 16 * 1024 * 1024]).await, 202);
    world.idle().await;
    assert_eq!(world.calls("first").len(), 1);
}

#[tokio::test]
async fn deliveries_that_panic_are_tried_again_and_stop_nothing() {
    let world = World::new().await;
    // More events than a queue delivers at a time.
    world.script("first", std::iter::repeat_with(breaks).take(20));
    for n in 0..20 {
        world.publish_to("a", &n.to_string(), Some("email")).await;
    }
    world.idle().await;
    assert_eq!(world.calls("first").len(), 20);
    assert_eq!(world.queued().await.iter().map(|(_, count)| count).sum::<i64>(), 20);
    world.pass(1.0).await;
    assert_eq!(world.calls("first").len(), 40);
    assert_eq!(world.queued().await, []);
}
