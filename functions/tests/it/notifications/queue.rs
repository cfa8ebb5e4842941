//! Pending deliveries: shares of owners and hosts, pauses, combined messages, lost messages.

use std::{collections::BTreeMap, time::Duration};

use contract::{NotificationRequested, Status, StatusChange, kind};
use serde_json::{Value, json};

use super::{at, change};
use crate::{
    listener::Listener,
    world::{Database, Sent, World, on_both},
};

async fn dispatch(world: &World, changes: &[StatusChange]) {
    world.event("notification-dispatch", kind::STATUS_CHANGED, "c", changes).await.json(202);
}

/// All endpoints that a change names belong to its user.
fn with_any_endpoints(world: &World) {
    world.with_endpoints_of(|id| Some(id / 1000));
}

/// This many endpoints of a user go down.
async fn outage(world: &World, user: i64, endpoints: i64) {
    let down = |id| change(user * 1000 + id, user, 2, Status::Up, Status::Down);
    dispatch(world, &(0..endpoints).map(down).collect::<Vec<_>>()).await;
}

/// The requests to the senders.
fn asked(world: &World) -> Vec<Sent> {
    std::mem::take(&mut *world.events.lock().unwrap()).into()
}

fn by<K: Ord>(asked: &[Sent], key: impl Fn(&NotificationRequested) -> K) -> BTreeMap<K, usize> {
    asked.iter().fold(BTreeMap::new(), |mut counts, sent| {
        *counts.entry(key(&sent.data())).or_default() += 1;
        counts
    })
}

/// Reports the outcome of a request, as its sender would.
async fn told(world: &World, request: &Sent, outcome: &str) {
    let request: NotificationRequested = request.data();
    let outcome = json!({
        "delivery_id": request.delivery_id, "attempt": request.attempt, "tries": request.tries,
        "outcome": outcome, "at": world.clock().now(),
    });
    world.event("delivery-record", kind::NOTIFICATION_DELIVERED, "d", &outcome).await.json(202);
}

async fn resume(world: &World) {
    world.request("delivery-resume", None, "POST", "/", None).await.json(204);
}

async fn after(world: &World, seconds: u64) {
    world.clock().advance(Duration::from_secs(seconds));
    resume(world).await;
}

async fn channel(world: &World) -> Value {
    world.call(Some(1), "GET", "/public/v1/notifications", None).await.json(200)["items"][0].clone()
}

on_both! {
    async fn an_owner_has_sixteen_at_once_and_a_channel_half_of_them(world: World) {
        with_any_endpoints(&world);
        world.webhook(1, "https://slow.test/").await;
        outage(&world, 1, 40).await;
        let under_way = asked(&world);
        assert_eq!(under_way.len(), 8);
        let (b, c) = (world.webhook(1, "https://b.test/").await, world.webhook(1, "https://c.test/").await);
        let changes: Vec<_> = (100..140).map(|id| change(1000 + id, 1, 3, Status::Up, Status::Down)).collect();
        dispatch(&world, &changes).await;
        let more = asked(&world);
        assert_eq!(by(&more, |r| r.notification_id), BTreeMap::from([(b, 4), (c, 4)]), "in turns");
        // Another owner's messages are sent at once.
        world.webhook(2, "https://d.test/").await;
        outage(&world, 2, 1).await;
        assert_eq!(asked(&world).len(), 1);
        // Each finished delivery lets one more begin, of the notification with the fewest under way.
        told(&world, &under_way[0], "delivered").await;
        told(&world, &more[0], "delivered").await;
        assert_eq!(asked(&world).len(), 2);
        told(&world, &under_way[0], "delivered").await;
        assert_eq!(asked(&world).len(), 0, "said twice, it ends once");
    }

    async fn who_has_many_at_a_host_leaves_room_for_others(world: World) {
        with_any_endpoints(&world);
        for user in 1..=4 {
            world.webhook(user, &format!("https://Hooks.test:{}/{user}", 8000 + user)).await;
            world.webhook(user, &format!("https://Hooks.test:{}/{user}", 9000 + user)).await;
            outage(&world, user, 20).await;
        }
        let owners = by(&asked(&world), |r| r.alert.endpoint_id / 1000);
        assert_eq!(owners, BTreeMap::from([(1, 8), (2, 4), (3, 2), (4, 1)]), "as many as are free");
    }

    async fn a_host_has_sixteen_at_once_and_its_owners_take_turns(world: World) {
        with_any_endpoints(&world);
        for user in 1..=18 {
            world.webhook(user, &format!("https://hooks.test/{user}")).await;
            outage(&world, user, 2).await;
        }
        let mut under_way = asked(&world);
        let owners = by(&under_way, |r| r.alert.endpoint_id / 1000);
        let full = (1..=7).map(|user| (user, 2)).chain([(8, 1), (9, 1)]);
        assert_eq!(owners, full.collect::<BTreeMap<_, _>>());
        let mut order = Vec::new();
        for _ in 0..4 {
            // Of the delivery that began last, whichever it is.
            let ended = under_way.pop().unwrap();
            told(&world, &ended, "delivered").await;
            let next = asked(&world);
            assert_eq!(next.len(), 1);
            order.push(next[0].data::<NotificationRequested>().alert.endpoint_id / 1000);
            under_way.extend(next);
        }
        assert_eq!(order, [10, 11, 12, 13]);
    }

    async fn what_is_not_taken_is_tried_for_a_day_with_growing_pauses(world: World) {
        world.with_endpoints();
        let hook = Listener::start(503, "").await;
        let id = world.webhook(1, &hook.url).await;
        dispatch(&world, &[change(1, 1, 2, Status::Up, Status::Down)]).await;
        world.settle().await;
        let began = world.clock().now();
        let mut tries = vec![(0, hook.asked())];
        for minute in 1..=25 * 60 {
            after(&world, 60).await;
            world.settle().await;
            match hook.asked() {
                asked if asked.is_empty() => {}
                asked => tries.push((minute, asked)),
            }
        }
        let minutes: Vec<_> = tries.iter().map(|(minute, _)| *minute).collect();
        assert_eq!(minutes[..8], [0, 1, 2, 3, 5, 9, 17, 33], "{minutes:?}");
        assert!(minutes.windows(2).skip(8).all(|two| two[1] - two[0] <= 31), "{minutes:?}");
        assert!((23 * 60 + 25..=24 * 60).contains(minutes.last().unwrap()), "{minutes:?}");
        let ids: Vec<_> = tries.iter().map(|(_, asked)| asked[0].header("webhook-id").to_owned()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "the receiver can tell that they are one: {ids:?}");
        let log = world.deliveries(1).await;
        assert_eq!((&log[0]["status"], &log[0]["error"]), (&json!("failed"), &json!("The webhook answered 503 Service Unavailable.")));
        assert!(world.clock().now() > began);

        // It can be retried, and the first success resets the failures.
        hook.answers(200, "");
        let retry = format!("/public/v1/deliveries/{}/retry", log[0]["id"]);
        world.call(Some(1), "POST", &retry, None).await.json(200);
        world.settle().await;
        assert_eq!(world.deliveries(1).await[0]["status"], "delivered");
        assert_eq!((channel(&world).await["id"].as_i64(), &channel(&world).await["failures"]), (Some(id), &json!(0)));
    }

    async fn a_channel_that_fails_is_asked_by_one_message_at_a_time_and_then_paused(world: World) {
        with_any_endpoints(&world);
        world.webhook(1, "https://hanging.test/").await;
        outage(&world, 1, 40).await;
        let first = asked(&world);
        assert_eq!(first.len(), 8);
        world.clock().advance(Duration::from_secs(8));
        for request in &first {
            told(&world, request, "postponed").await;
        }
        assert_eq!(channel(&world).await["failures"], 1, "sent at once, they count once");
        // One failure does not cause a pause.
        let second = asked(&world);
        assert_eq!(second.len(), 1);
        world.clock().advance(Duration::from_secs(8));
        told(&world, &second[0], "postponed").await;
        let paused = channel(&world).await;
        assert_eq!((&paused["failures"], &paused["paused_until"]), (&json!(2), &json!(world.clock().now() + chrono::TimeDelta::seconds(15))));
        assert_eq!(asked(&world).len(), 0);
        after(&world, 10).await;
        assert_eq!(asked(&world).len(), 0, "the pause is not over");
        after(&world, 5).await;
        let probe = asked(&world);
        assert_eq!(probe.len(), 1);
        // After a success, all pending messages are sent.
        told(&world, &probe[0], "delivered").await;
        assert_eq!(asked(&world).len(), 8);
    }

    async fn one_message_that_is_never_taken_stops_no_other(world: World) {
        with_any_endpoints(&world);
        world.webhook(1, "https://picky.test/").await;
        outage(&world, 1, 1).await;
        let poison: NotificationRequested = asked(&world).remove(0).data();
        let mut left = 12;
        outage(&world, 1, 1 + left).await;
        for _ in 0..60 {
            let mut due = asked(&world);
            while let Some(request) = due.pop() {
                let is_poison = request.data::<NotificationRequested>().delivery_id == poison.delivery_id;
                told(&world, &request, if is_poison { "postponed" } else { "delivered" }).await;
                left -= i64::from(!is_poison);
                due.extend(asked(&world));
            }
            after(&world, 60).await;
        }
        assert_eq!(left, 0);
        let failing = channel(&world).await;
        assert!(failing["failures"].as_i64().unwrap() > 1, "{failing}");
        // A new message is not subject to the long pause of the other one.
        dispatch(&world, &[change(1500, 1, 70, Status::Up, Status::Down)]).await;
        for _ in 0..2 {
            for request in asked(&world) {
                if request.data::<NotificationRequested>().alert.endpoint_id == 1500 {
                    return;
                }
                told(&world, &request, "postponed").await;
            }
            after(&world, 60).await;
        }
        panic!("it waits");
    }

    async fn what_was_missed_is_told_in_one_message_with_true_times(world: World) {
        world.with_endpoints();
        let hook = Listener::start(503, "").await;
        world.webhook(1, &hook.url).await;
        let changes = [
            (2, Status::Up, Status::Down),
            (10, Status::Down, Status::Up),
            (20, Status::Up, Status::Down),
            (30, Status::Down, Status::Up),
        ];
        for (minute, from, to) in changes {
            world.clock().set(at(minute).max(world.clock().now()));
            dispatch(&world, &[change(1, 1, minute, from, to)]).await;
            world.settle().await;
        }
        hook.asked();
        hook.answers(200, "");
        for _ in 0..10 {
            after(&world, 60).await;
            world.settle().await;
        }
        let asked = hook.asked();
        assert_eq!(asked.len(), 1);
        let data = &asked[0].json()["data"];
        assert_eq!((&data["what"], &data["changed_at"]), (&json!("up"), &json!(at(30))));
        let missed: Vec<_> = data["missed"].as_array().unwrap().iter().map(|m| (m["what"].clone(), m["changed_at"].clone())).collect();
        assert_eq!(missed, [("down", 2), ("up", 10), ("down", 20)].map(|(what, minute)| (json!(what), json!(at(minute)))));
        let text = data["text"].as_str().unwrap();
        assert!(text.contains("Not told in time: down at 2026-03-01 12:02:00 UTC: Expected status 200-399, got 503\n"), "{text}");
        let log = world.deliveries(1).await;
        let statuses: Vec<_> = log.iter().map(|d| d["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["delivered", "superseded", "superseded", "superseded"]);
    }

    async fn however_often_an_endpoint_changes_one_message_of_it_waits(world: World) {
        with_any_endpoints(&world);
        world.webhook(1, "https://slow.test/").await;
        // All eight places are taken.
        outage(&world, 1, 8).await;
        let under_way = asked(&world);
        let changes = [(Status::Up, Status::Down), (Status::Down, Status::Up)];
        for minute in 10..60 {
            let (from, to) = changes[usize::try_from(minute % 2).unwrap()];
            dispatch(&world, &[change(1500, 1, minute, from, to)]).await;
        }
        // The broker delivers some changes again, and one that is older than the pending one.
        for minute in [12, 30, 59] {
            let (from, to) = changes[usize::try_from(minute % 2).unwrap()];
            dispatch(&world, &[change(1500, 1, minute, from, to)]).await;
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM deliveries WHERE endpoint_id = 1500").await, 1);
        told(&world, &under_way[0], "delivered").await;
        let last = asked(&world).remove(0);
        let alert = last.data::<NotificationRequested>().alert;
        assert_eq!((alert.endpoint_id, alert.what.as_str(), alert.changed_at), (1500, "up", at(59)));
        let missed: Vec<_> = alert.missed.iter().map(|missed| missed.changed_at).collect();
        assert_eq!(missed, (39..59).map(at).collect::<Vec<_>>(), "the last twenty, each once");
        // A message under way stays unchanged, and later changes are sent after it.
        dispatch(&world, &[change(1500, 1, 60, Status::Up, Status::Down)]).await;
        assert_eq!(asked(&world).len(), 0);
        told(&world, &last, "delivered").await;
        let next: NotificationRequested = asked(&world).remove(0).data();
        assert_eq!((next.alert.changed_at, next.alert.missed.len()), (at(60), 0));
        assert_ne!(next.delivery_id, last.data::<NotificationRequested>().delivery_id);
    }

    async fn what_was_overtaken_before_it_came_is_not_sent(world: World) {
        with_any_endpoints(&world);
        world.webhook(1, "https://x.test/").await;
        world.clock().set(at(10));
        dispatch(&world, &[change(1001, 1, 9, Status::Down, Status::Up)]).await;
        told(&world, &asked(&world)[0], "delivered").await;
        // A broker that had lost a change delivers it after all.
        for _ in 0..2 {
            dispatch(&world, &[change(1001, 1, 5, Status::Up, Status::Down)]).await;
        }
        assert_eq!(asked(&world).len(), 0);
        let log = world.deliveries(1).await;
        let statuses: Vec<_> = log.iter().map(|d| d["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["superseded", "delivered"]);
    }

    async fn a_thousand_messages_wait_for_a_channel_and_the_rest_is_counted(world: World) {
        world.with_endpoints_of(|_| Some(1));
        let full = world.webhook(1, "https://slow.test/").await;
        let config = json!({"url": "https://other.test/"});
        let one = json!({"name": "one", "kind": "webhook", "endpoint_ids": [5000], "config": config});
        let one = world.notification(1, one).await;
        for some in (1..=1600).collect::<Vec<i64>>().chunks(400) {
            let down = |id: &i64| change(*id, 1, 2, Status::Up, Status::Down);
            dispatch(&world, &some.iter().map(down).collect::<Vec<_>>()).await;
        }
        let mut under_way = asked(&world);
        assert_eq!(under_way.len(), 8);
        let of_it = format!("/public/v1/deliveries?notification_id={full}&per_page=1");
        let log = world.call(Some(1), "GET", &of_it, None).await.json(200);
        assert_eq!((&log["page"]["total_count"], &log["items"][0]["alert"]["untold"]), (&json!(1001), &json!(600)));
        // Only one notification is full: another gets its message at once.
        dispatch(&world, &[change(5000, 1, 3, Status::Up, Status::Down)]).await;
        assert_eq!(by(&asked(&world), |r| r.notification_id), BTreeMap::from([(one, 1)]));
        let mut told_of = 0;
        let mut counted = Vec::new();
        while let Some(request) = under_way.pop() {
            let alert = request.data::<NotificationRequested>().alert;
            match alert.what.as_str() {
                "untold" => counted.push(alert.untold),
                _ => told_of += 1,
            }
            told(&world, &request, "delivered").await;
            under_way.extend(asked(&world));
        }
        // Including the change of endpoint 5000, which every notification reports.
        assert_eq!((told_of, counted), (1000, vec![601]));
    }

    async fn switched_on_and_off_a_channel_fills_no_log(world: World) {
        with_any_endpoints(&world);
        let id = world.webhook(1, "https://slow.test/").await;
        let path = format!("/public/v1/notifications/{id}");
        for round in 0..5 {
            let down = |id: i64| change(1000 + id, 1, round, Status::Up, Status::Down);
            dispatch(&world, &(0..40).map(down).collect::<Vec<_>>()).await;
            for enabled in [false, true] {
                world.call(Some(1), "PATCH", &path, Some(json!({"enabled": enabled}))).await.json(200);
            }
        }
        // Eight that were under way, and the last twenty of each round.
        assert_eq!(world.number("SELECT COUNT(*) FROM deliveries").await, 108);
    }

    async fn a_day_that_nothing_was_tried_in_is_no_day_of_tries(world: World) {
        world.with_endpoints();
        let hook = Listener::start(503, "").await;
        world.webhook(1, &hook.url).await;
        resume(&world).await;
        dispatch(&world, &[change(1, 1, 2, Status::Up, Status::Down)]).await;
        world.settle().await;
        // The clock jumps, or the machine sleeps.
        after(&world, 3 * 86_400).await;
        world.settle().await;
        assert_eq!(world.deliveries(1).await[0]["status"], "pending");
        hook.answers(200, "");
        for _ in 0..3 {
            after(&world, 60).await;
            world.settle().await;
        }
        assert_eq!(world.deliveries(1).await[0]["status"], "delivered");
    }

    async fn a_receiver_is_not_asked_before_it_wants(world: World) {
        world.with_endpoints();
        let hook = Listener::start(429, "").await;
        hook.wants("600");
        world.webhook(1, &hook.url).await;
        dispatch(&world, &[change(1, 1, 2, Status::Up, Status::Down)]).await;
        world.settle().await;
        assert_eq!(hook.asked().len(), 1);
        hook.answers(200, "");
        for minute in 1..10 {
            after(&world, 60).await;
            dispatch(&world, &[change(2, 1, minute, Status::Up, Status::Down)]).await;
            world.settle().await;
        }
        assert_eq!(hook.asked().len(), 0);
        // After the ten minutes of `Retry-After`, both messages are sent.
        after(&world, 60).await;
        world.settle().await;
        assert_eq!(hook.asked().len(), 2);
    }

    async fn what_is_lost_on_its_way_is_sent_again_under_the_same_id(world: World) {
        world.with_endpoints();
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        dispatch(&world, &[change(1, 1, 2, Status::Up, Status::Down)]).await;
        let lost = asked(&world);
        assert_eq!(lost.len(), 1);
        after(&world, 4 * 60).await;
        assert_eq!(asked(&world).len(), 0, "a sender may still have it");
        after(&world, 60).await;
        world.settle().await;
        let id = format!("delivery-{}-1", lost[0].data::<NotificationRequested>().delivery_id);
        assert_eq!(hook.asked().iter().map(|a| a.header("webhook-id").to_owned()).collect::<Vec<_>>(), [id]);
        // The first request arrives after all.
        world.deliver("webhook-send", &lost[0]).await.json(202);
        assert_eq!(hook.asked().len(), 0);
    }

    async fn what_waits_outlives_a_clock_that_was_set_back(world: World) {
        world.with_endpoints();
        let hook = Listener::start(503, "").await;
        world.webhook(1, &hook.url).await;
        let now = world.clock().now();
        world.clock().advance(Duration::from_secs(30 * 86_400));
        dispatch(&world, &[change(1, 1, 2, Status::Up, Status::Down)]).await;
        world.settle().await;
        dispatch(&world, &[change(2, 1, 2, Status::Up, Status::Down)]).await;
        asked(&world);
        hook.asked();
        hook.answers(200, "");
        world.clock().set(now);
        for _ in 0..10 {
            after(&world, 60).await;
            world.settle().await;
        }
        assert_eq!(hook.asked().len(), 2);
    }

    async fn what_cannot_be_read_is_set_aside(world: World) {
        with_any_endpoints(&world);
        world.webhook(1, "https://x.test/").await;
        outage(&world, 1, 12).await;
        let under_way = asked(&world);
        let poison = "UPDATE deliveries SET alert = '{' WHERE status = 'pending' AND leased_at IS NULL AND id < 12";
        runtime::on!(world.context.db().unwrap().write(), db =>
            sqlx::query(poison).execute(db).await.map(drop)).unwrap();
        for request in &under_way {
            told(&world, request, "delivered").await;
        }
        assert_eq!(by(&asked(&world), |r| r.alert.endpoint_id), BTreeMap::from([(1011, 1)]));
    }

    async fn places_that_get_free_together_are_all_given_on(world: World) {
        with_any_endpoints(&world);
        for user in 1..=24 {
            world.webhook(user, &format!("https://hooks.test/{user}")).await;
            outage(&world, user, 1).await;
        }
        let under_way = asked(&world);
        assert_eq!(under_way.len(), 16);
        futures::future::join_all(under_way[..8].iter().map(|request| told(&world, request, "delivered"))).await;
        assert_eq!(asked(&world).len(), 8, "nobody waits for the next minute");
    }

    async fn place_at_a_host_passes_over_owners_whose_channels_are_paused(world: World) {
        const PAUSE: &str = "UPDATE notifications SET failures = 5, failed_at = $1 WHERE user_id BETWEEN 3 AND 20";
        with_any_endpoints(&world);
        for user in 1..=21 {
            world.webhook(user, &format!("https://hooks.test/{user}")).await;
        }
        for user in 1..=21 {
            outage(&world, user, if user < 3 { 8 } else { 1 }).await;
        }
        let under_way = asked(&world);
        assert_eq!(under_way.len(), 16);
        let now = world.clock().now();
        runtime::on!(world.context.db().unwrap().write(), db =>
            sqlx::query(PAUSE).bind(now).execute(db).await.map(drop)).unwrap();
        told(&world, &under_way[0], "delivered").await;
        assert_eq!(by(&asked(&world), |r| r.alert.endpoint_id / 1000), BTreeMap::from([(21, 1)]));
    }

    async fn clock_set_back_by_hours_holds_nothing_up(world: World) {
        with_any_endpoints(&world);
        world.webhook(1, "https://x.test/").await;
        let now = world.clock().now();
        world.clock().advance(Duration::from_secs(2 * 3600));
        // One that was tried, and others that wait for its notification.
        outage(&world, 1, 4).await;
        let requests = asked(&world);
        for _ in 0..2 {
            for request in &requests {
                told(&world, request, "postponed").await;
            }
            after(&world, 60).await;
        }
        asked(&world);
        outage(&world, 1, 12).await;
        asked(&world);
        world.clock().set(now);
        let mut left: std::collections::BTreeSet<i64> = (1000..1012).collect();
        for _ in 0..3 {
            after(&world, 60).await;
            let mut due = asked(&world);
            while let Some(request) = due.pop() {
                left.remove(&request.data::<NotificationRequested>().alert.endpoint_id);
                told(&world, &request, "delivered").await;
                due.extend(asked(&world));
            }
        }
        assert!(left.is_empty(), "{left:?}");
    }

    async fn what_a_clock_that_was_ahead_has_dated_is_no_news(world: World) {
        world.with_endpoints();
        world.webhook(1, "https://x.test/").await;
        let broker_takes = |takes| *world.broker_takes.lock().unwrap() = takes;
        broker_takes(Some(0));
        let now = world.clock().now();
        world.clock().advance(Duration::from_secs(86_400));
        for (minute, from, to) in [(24 * 60, Status::Up, Status::Down), (2, Status::Down, Status::Up)] {
            let changes = [change(1, 1, minute, from, to)];
            world.event("notification-dispatch", kind::STATUS_CHANGED, "c", &changes).await.code(503);
            world.clock().set(now);
        }
        broker_takes(None);
        resume(&world).await;
        let sent = asked(&world);
        assert_eq!(by(&sent, |r| r.alert.what.as_str()), BTreeMap::from([("up", 1)]));
        told(&world, &sent[0], "delivered").await;
        after(&world, 60).await;
        assert_eq!(asked(&world).len(), 0);
        let log = world.deliveries(1).await;
        assert_eq!((&log[0]["status"], &log[1]["status"]), (&json!("delivered"), &json!("superseded")));
        const PLACES: &str = "SELECT COUNT(*) FROM deliveries WHERE leased_at IS NOT NULL";
        let places: i64 = runtime::on!(world.context.db().unwrap().read(), db =>
            sqlx::query_scalar(PLACES).fetch_one(db).await).unwrap();
        assert_eq!(places, 0);
    }

    async fn message_that_the_broker_refuses_counts_once_as_mail(world: World) {
        const CONFIRM: &str = "UPDATE notification_addresses SET confirmed_at = 1";
        const MAILS: &str = "SELECT CAST(SUM(mails) AS BIGINT) FROM notification_mail_counts WHERE subject LIKE 'message %'";
        world.with_endpoints();
        let config = json!({"to": ["mary@example.com"]});
        world.notification(1, json!({"name": "mail", "kind": "email", "config": config})).await;
        let db = world.context.db().unwrap();
        runtime::on!(db.write(), db => sqlx::query(CONFIRM).execute(db).await.map(drop)).unwrap();
        *world.broker_takes.lock().unwrap() = Some(0);
        let down = [change(1, 1, 2, Status::Up, Status::Down)];
        world.event("notification-dispatch", kind::STATUS_CHANGED, "c", &down).await.code(503);
        // Not more often: the circuit breaker to the broker would open.
        world.clock().advance(Duration::from_secs(60));
        world.request("delivery-resume", None, "POST", "/", None).await.code(503);
        *world.broker_takes.lock().unwrap() = None;
        after(&world, 60).await;
        assert_eq!(asked(&world).len(), 1);
        let mails: i64 = runtime::on!(db.read(), db => sqlx::query_scalar(MAILS).fetch_one(db).await).unwrap();
        assert_eq!(mails, 1);
    }
}

/// A deadlock would be answered with an error.
#[tokio::test(flavor = "multi_thread")]
async fn channels_are_deleted_and_used_at_once_without_waiting_in_a_circle() {
    let world = World::new(Database::Postgres).await;
    with_any_endpoints(&world);
    for user in 1..=40 {
        let id = world.webhook(user, "https://x.test/").await;
        let down = |id| change(user * 1000 + id, user, 2, Status::Up, Status::Down);
        let changes: Vec<_> = (0..6).map(down).collect();
        dispatch(&world, &changes).await;
        let requests = asked(&world);
        told(&world, &requests[0], "failed").await;
        let again = requests[0].data::<NotificationRequested>().delivery_id;
        let path = format!("/public/v1/notifications/{id}");
        let retry = format!("/public/v1/deliveries/{again}/retry");
        let (retried, deleted) = tokio::join!(
            world.call(Some(user), "POST", &retry, None),
            world.call(Some(user), "DELETE", &path, None),
        );
        for answer in [retried, deleted] {
            assert!(!answer.status.is_server_error(), "{answer:?}");
        }
    }
}
