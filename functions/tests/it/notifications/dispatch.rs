//! Dispatch, the delivery log, retries, and test messages.

use contract::{
    AlertKind, DeliveryOutcome, Language, NotificationDelivered, NotificationRequested, Reader, Status,
    StatusChange, UserChanged, UserDeleted, kind,
};
use serde_json::{Value, json};

use super::{SECRET, at, brief, change, result};
use crate::{
    listener::{Listener, nobody},
    world::{Answer, Database, World, on_both},
};

async fn dispatch(world: &World, changes: &[StatusChange]) -> Answer {
    world.event("notification-dispatch", kind::STATUS_CHANGED, "c", changes).await
}

fn requested(world: &World) -> Vec<(String, NotificationRequested)> {
    let events = std::mem::take(&mut *world.events.lock().unwrap());
    let read = |event: &crate::world::Sent| {
        assert_eq!(event.kind(), kind::NOTIFICATION_REQUESTED);
        let data: NotificationRequested = event.data();
        assert_eq!(event.headers["ce-channel"], data.kind.as_str());
        (event.headers["ce-id"].to_str().unwrap().to_owned(), data)
    };
    events.iter().map(read).collect()
}

fn down(endpoint: i64, user: i64) -> StatusChange {
    change(endpoint, user, 2, Status::Up, Status::Down)
}

on_both! {
    async fn what_cannot_be_read_keeps_nobody_else_from_being_told(world: World) {
        world.with_briefs(|id| Some(if id == 2 { json!({"id": 2}) } else { brief(id, 1) }));
        let first = world.webhook(1, "https://x.test/first").await;
        let poisoned = world.webhook(1, "https://x.test/poisoned").await;
        let last = world.webhook(1, "https://x.test/last").await;
        let poison = "UPDATE notifications SET kind = 'of the future' WHERE id = $1";
        runtime::on!(world.context.db().unwrap().write(), db =>
            sqlx::query(poison).bind(poisoned).execute(db).await.map(drop)).unwrap();

        let answer = dispatch(&world, &[down(1, 1), down(2, 1), down(3, 1)]).await;
        assert!(answer.status.is_server_error(), "brought again, for endpoint 2: {answer:?}");
        let mut told: Vec<_> =
            requested(&world).iter().map(|(_, r)| (r.alert.endpoint_name.clone(), r.notification_id)).collect();
        told.sort();
        let wanted = ["Shop 1", "Shop 3"].map(|name| [(name.to_owned(), first), (name.to_owned(), last)]).concat();
        assert_eq!(told, wanted);
        dispatch(&world, &[down(1, 1), down(2, 1), down(3, 1)]).await;
        assert_eq!(requested(&world).len(), 0, "nobody is told twice");

        let poison = "UPDATE deliveries SET alert = '{' WHERE notification_id = $1";
        runtime::on!(world.context.db().unwrap().write(), db =>
            sqlx::query(poison).bind(first).execute(db).await.map(drop)).unwrap();
        for (caller, path) in [
            (Some(1), "/public/v1/notifications"),
            (None, "/private/v1/notifications"),
            (Some(1), "/public/v1/deliveries"),
        ] {
            let list = world.call(caller, "GET", path, None).await.json(200);
            assert_eq!(list["items"].as_array().unwrap().len(), 2, "{path}: {list}");
        }
    }

    async fn degraded_is_told_to_those_who_want_to_hear_of_it(world: World) {
        world.with_endpoints();
        let all = world.webhook(1, "https://x.test/all").await;
        let config = json!({"url": "https://x.test/quiet", "secret": SECRET});
        let body = json!({"name": "quiet", "kind": "webhook", "config": config, "send_degraded": false});
        let quiet = world.notification(1, body).await;
        let told = async |minute, from, to| {
            // Each change of another endpoint: a delivery under way delays later ones of the same endpoint.
            dispatch(&world, &[change(minute, 1, minute, from, to)]).await.json(202);
            let told = requested(&world).into_iter().map(|(_, r)| (r.notification_id, r.alert.what));
            told.collect::<std::collections::BTreeMap<_, _>>()
        };
        let to_both = |what| [(all, what), (quiet, what)].into();
        assert_eq!(told(1, Status::Up, Status::Degraded).await, [(all, AlertKind::Degraded)].into());
        assert_eq!(told(2, Status::Degraded, Status::Up).await, [(all, AlertKind::NotDegraded)].into());
        assert_eq!(told(3, Status::Pending, Status::Up).await, [].into());
        assert_eq!(told(4, Status::Degraded, Status::Down).await, to_both(AlertKind::Down));
        assert_eq!(told(5, Status::Down, Status::Degraded).await, to_both(AlertKind::Up));
        let path = format!("/public/v1/notifications/{quiet}");
        let shown = world.call(Some(1), "PATCH", &path, Some(json!({"send_degraded": true}))).await.json(200);
        assert_eq!(shown["send_degraded"], true);
        assert_eq!(told(6, Status::Up, Status::Degraded).await, to_both(AlertKind::Degraded));
    }

    async fn a_change_that_nobody_was_told_of_is_told_when_it_can_be(world: World) {
        world.with_endpoints();
        world.webhook(1, "https://x.test/").await;
        let events = || std::mem::take(&mut *world.events.lock().unwrap());
        let resume = async |minutes: u64| {
            world.clock().advance(std::time::Duration::from_secs(minutes * 60));
            world.request("delivery-resume", None, "POST", "/", None).await.json(204);
        };
        for minute in [0, 1] {
            // The reply is lost, as with a broker that fails.
            world.event("notification-evaluate", kind::CHECK_COMPLETED, &format!("e{minute}"), &[result(1, 1, minute, false)]).await;
        }
        assert_eq!(events().len(), 1);
        resume(19).await;
        assert_eq!(events().len(), 0, "the broker may have it still");
        *world.broker_takes.lock().unwrap() = Some(0);
        world.clock().advance(std::time::Duration::from_secs(60));
        assert!(world.request("delivery-resume", None, "POST", "/", None).await.status.is_server_error());
        *world.broker_takes.lock().unwrap() = None;
        resume(1).await;
        let again = events();
        assert_eq!(again.iter().map(crate::world::Sent::kind).collect::<Vec<_>>(), [kind::STATUS_CHANGED]);
        assert_eq!(again[0].headers["ce-owners"], "1");

        // Its endpoint cannot be read now, so it cannot be dispatched.
        world.stand_in("endpoint-private-list", |_| (500, json!({"code": "INTERNAL"})));
        assert!(world.deliver("notification-dispatch", &again[0]).await.status.is_server_error());
        resume(20).await;
        let again = events();
        assert_eq!(again.len(), 1);
        world.with_endpoints();
        world.deliver("notification-dispatch", &again[0]).await.json(202);
        assert_eq!(requested(&world).len(), 1);
        resume(25).await;
        assert!(events().iter().all(|event| event.kind() != kind::STATUS_CHANGED), "it was told");
    }

    async fn an_outage_that_is_over_wakes_nobody_when_it_is_told_late(world: World) {
        world.with_endpoints();
        world.webhook(1, "https://x.test/").await;
        for (minute, up) in [(0, false), (1, false), (2, true), (3, true)] {
            world.event("notification-evaluate", kind::CHECK_COMPLETED, &format!("e{minute}"), &[result(1, 1, minute, up)]).await;
        }
        world.events.lock().unwrap().clear();
        world.clock().advance(std::time::Duration::from_secs(21 * 60));
        world.request("delivery-resume", None, "POST", "/", None).await.json(204);
        let again = world.events.lock().unwrap().pop_front().unwrap();
        assert_eq!(again.data::<Vec<Value>>().len(), 2);
        for _ in 0..2 {
            world.deliver("notification-dispatch", &again).await.json(202);
        }
        let told: Vec<_> = requested(&world).into_iter().map(|(_, request)| request.alert.what.as_str()).collect();
        assert_eq!(told, ["up"]);
        world.clock().advance(std::time::Duration::from_secs(21 * 60));
        world.request("delivery-resume", None, "POST", "/", None).await.json(204);
        assert_eq!(world.events.lock().unwrap().iter().filter(|e| e.kind() == kind::STATUS_CHANGED).count(), 0);
    }

    async fn one_that_cannot_be_read_keeps_no_other_due(world: World) {
        world.with_briefs(|id| Some(if id == 2 { json!({"id": 2}) } else { brief(id, 1) }));
        world.webhook(1, "https://x.test/").await;
        let mut changed = None;
        for minute in [0, 1] {
            let results = [result(1, 1, minute, false), result(2, 1, minute, false)];
            let answer =
                world.event("notification-evaluate", kind::CHECK_COMPLETED, &format!("e{minute}"), &results).await;
            changed = answer.reply();
        }
        assert!(world.deliver("notification-dispatch", &changed.unwrap()).await.status.is_server_error());
        world.events.lock().unwrap().clear();
        world.clock().advance(std::time::Duration::from_secs(21 * 60));
        world.request("delivery-resume", None, "POST", "/", None).await.json(204);
        let again: Vec<Vec<StatusChange>> = world.events.lock().unwrap().iter()
            .filter(|event| event.kind() == kind::STATUS_CHANGED).map(crate::world::Sent::data).collect();
        assert_eq!(again.concat().iter().map(|change| change.endpoint_id).collect::<Vec<_>>(), [2]);
        // A change dispatched while it is published again is not due once more.
        let now = world.clock().now();
        let rearmed = "SELECT COUNT(*) FROM notification_changes WHERE due_at > $1";
        let due: i64 = runtime::on!(world.context.db().unwrap().read(), db =>
            sqlx::query_scalar(rearmed).bind(now).fetch_one(db).await).unwrap();
        assert_eq!(due, 1);
    }

    async fn message_is_in_its_readers_language_and_time_zone(world: World) {
        world.with_endpoints_of(|_| Some(7));
        let hook = Listener::start(200, "").await;
        world.webhook(7, &hook.url).await;
        let changed = |revision, language, time_zone: &str| UserChanged {
            user_id: 7, revision, reader: Reader { language, time_zone: time_zone.to_owned() },
        };
        let change = async |id: &str, change: UserChanged| {
            let answer = world.event("notification-observe", kind::USER_CHANGED, id, &[change]).await;
            assert!(answer.status.is_success(), "{answer:?}");
        };
        change("b", changed(2, Language::Korean, "Asia/Seoul")).await;
        change("a", changed(1, Language::English, "UTC")).await;
        let down = dispatch(&world, &[down(1, 7)]).await;
        assert!(down.status.is_success(), "{down:?}");
        world.settle().await;
        let text = hook.asked()[0].json()["data"]["text"].as_str().unwrap().to_owned();
        assert!(text.contains("장애가 발생했습니다.") && text.contains("UTC+09:00"), "{text}");
        // A deleted user leaves no data, and a late event creates none.
        world.event("notification-forget", kind::USER_DELETED, "gone", &UserDeleted { user_id: 7 }).await;
        change("c", changed(3, Language::Korean, "Asia/Seoul")).await;
        let db = world.context.db().unwrap();
        let left: i64 = runtime::on!(db.read(), db =>
            sqlx::query_scalar("SELECT COUNT(*) FROM notification_readers").fetch_one(db).await).unwrap();
        assert_eq!(left, 0);
    }

    async fn each_channel_that_covers_it_is_told_once(world: World) {
        world.with_endpoints();
        let all = world.webhook(1, "https://x.test/all").await;
        let some = world.notification(1, json!({"name": "some", "kind": "email",
            "config": {"to": ["mary@example.com"]}, "endpoint_ids": [1, 2]})).await;
        for (ids, enabled) in [(json!([3]), true), (json!([]), true), (Value::Null, false)] {
            world.notification(1, json!({"name": "not this", "kind": "email", "enabled": enabled,
                "config": {"to": ["a@example.com"]}, "endpoint_ids": ids})).await;
        }
        world.webhook(2, "https://x.test/another-users").await;

        for _ in 0..3 {
            dispatch(&world, &[down(1, 1)]).await.json(202);
        }
        let sent = requested(&world);
        let to: Vec<_> = sent.iter().map(|(_, r)| r.notification_id).collect();
        assert_eq!(sent.len(), 2, "{sent:?}");
        assert!(to.contains(&all) && to.contains(&some));
        let (id, request) = &sent[0];
        assert_eq!(*id, format!("delivery-{}-1-0", request.delivery_id));
        assert_eq!((request.alert.endpoint_name.as_str(), request.alert.changed_at), ("Shop 1", at(2)));
        assert_eq!(request.alert.link, "https://pongpong.test/endpoints/1");
        assert_eq!(request.alert.url, "https://shop.test/", "without what may be a token");
        assert!(!format!("{sent:?}").contains(SECRET));

        // Recovery is a separate message after the first; becoming down for the first time is sent as well,
        // becoming up is not.
        dispatch(&world, &[change(1, 1, 3, Status::Down, Status::Up)]).await.json(202);
        assert_eq!(requested(&world).len(), 0);
        for (_, request) in &sent {
            let told = NotificationDelivered {
                delivery_id: request.delivery_id,
                attempt: 1,
                tries: 0,
                outcome: DeliveryOutcome::Delivered,
                error: None,
                retry_after_seconds: None,
            reached: Vec::new(),
                at: at(3),
            };
            world.event("delivery-record", kind::NOTIFICATION_DELIVERED, "d", &told).await.json(202);
        }
        assert_eq!(requested(&world).len(), 2);
        dispatch(&world, &[change(3, 1, 0, Status::Pending, Status::Up)]).await.json(202);
        assert_eq!(requested(&world).len(), 0);
        dispatch(&world, &[change(4, 1, 0, Status::Pending, Status::Down)]).await.json(202);
        assert_eq!(requested(&world).len(), 1);

        let log = world.deliveries(1).await;
        assert_eq!(log.len(), 5);
        let email = log.iter().find(|d| d["kind"] == "email").unwrap();
        assert_eq!((&email["recipient"], &email["status"]), (&json!("m…@example.com"), &json!("pending")), "newest first");
        assert!(!serde_json::to_string(&log).unwrap().contains(SECRET));
        assert_eq!(world.deliveries(2).await.len(), 0);
    }

    async fn who_was_told_of_an_outage_when_it_was_made_is_not_told_again(world: World) {
        world.with_endpoints();
        for minute in 0..2 {
            let results = [result(1, 1, minute, false)];
            let answer = world.event("notification-evaluate", kind::CHECK_COMPLETED, &format!("r{minute}"), &results).await;
            assert!(answer.status.is_success(), "{answer:?}");
        }
        world.events.lock().unwrap().clear();
        world.notification(1, json!({"name": "hook", "kind": "webhook", "send_open_incidents": true,
            "config": {"url": "https://x.test/", "secret": SECRET}})).await;
        let told = requested(&world);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].1.alert.changed_at, at(0));
        // The event of the change itself arrives late, and twice.
        for _ in 0..2 {
            dispatch(&world, &[change(1, 1, 1, Status::Up, Status::Down)]).await.json(202);
        }
        assert_eq!(requested(&world).len(), 0);
        assert_eq!(world.deliveries(1).await.len(), 1);
        dispatch(&world, &[change(1, 1, 3, Status::Down, Status::Up)]).await.json(202);
        assert_eq!(world.deliveries(1).await.len(), 2, "the recovery is another message");
    }

    async fn what_the_broker_did_not_take_is_published_by_the_redelivery(world: World) {
        world.with_endpoints();
        for at in 0..5 {
            world.webhook(1, &format!("https://x.test/{at}")).await;
        }
        *world.broker_takes.lock().unwrap() = Some(2);
        assert_eq!(dispatch(&world, &[down(1, 1)]).await.code(503), "UNAVAILABLE");
        *world.broker_takes.lock().unwrap() = None;
        let first: Vec<_> = requested(&world).into_iter().map(|(id, _)| id).collect();
        assert_eq!(first.len(), 2);
        dispatch(&world, &[down(1, 1)]).await.json(202);
        let second: Vec<_> = requested(&world).into_iter().map(|(id, _)| id).collect();
        assert_eq!(second.len(), 3);
        assert!(second.iter().all(|id| !first.contains(id)));
        dispatch(&world, &[down(1, 1)]).await.json(202);
        assert_eq!(requested(&world).len(), 0);
    }

    async fn a_deleted_endpoint_is_not_told_of_and_a_silent_one_is_asked_again(world: World) {
        world.with_endpoints();
        world.webhook(1, "https://x.test/").await;
        world.webhook(2, "https://x.test/").await;
        // 10 does not exist; 11 belongs to user 2, not to the event's user.
        dispatch(&world, &[change(10, 2, 0, Status::Up, Status::Down), down(11, 1)]).await.json(202);
        assert_eq!(requested(&world).len(), 0);
        world.stand_in("endpoint-private-list", |_| (500, json!({})));
        assert_eq!(dispatch(&world, &[down(1, 1)]).await.code(503), "UNAVAILABLE");
        assert_eq!(world.deliveries(1).await.len(), 0);
    }

    async fn a_late_failure_never_overwrites_a_success(world: World) {
        world.with_endpoints();
        world.webhook(1, "https://x.test/").await;
        dispatch(&world, &[down(1, 1)]).await.json(202);
        let delivery_id = requested(&world)[0].1.delivery_id;
        let outcome = |attempt, delivered: bool| NotificationDelivered {
            delivery_id,
            attempt,
            tries: 0,
            outcome: if delivered { DeliveryOutcome::Delivered } else { DeliveryOutcome::Failed },
            error: (!delivered).then(|| "no line".to_owned()),
            retry_after_seconds: None,
            reached: Vec::new(),
            at: at(5),
        };
        let record = async |told: NotificationDelivered| {
            world.event("delivery-record", kind::NOTIFICATION_DELIVERED, "d", &told).await.json(202);
            let log = world.deliveries(1).await;
            (log[0]["status"].as_str().unwrap().to_owned(), log[0]["error"].clone())
        };
        assert_eq!(record(outcome(2, true)).await.0, "pending", "another attempt is not this one");
        assert_eq!(record(outcome(1, false)).await, ("failed".to_owned(), json!("no line")));
        assert_eq!(record(outcome(1, true)).await, ("delivered".to_owned(), Value::Null));
        assert_eq!(record(outcome(1, false)).await, ("delivered".to_owned(), Value::Null));
        assert_eq!(world.deliveries(1).await[0]["finished_at"], json!(at(5)));
    }

    async fn the_log_says_whom_of_several_a_message_did_not_reach(world: World) {
        world.with_endpoints();
        let to = json!(["mary@example.com", "bob@example.com"]);
        world.notification(1, json!({"name": "n", "kind": "email", "config": {"to": to}})).await;
        dispatch(&world, &[down(1, 1)]).await.json(202);
        let told = NotificationDelivered {
            delivery_id: requested(&world)[0].1.delivery_id,
            attempt: 1,
            tries: 0,
            outcome: DeliveryOutcome::Delivered,
            retry_after_seconds: None,
            reached: Vec::new(),
            error: Some("The mail server refused the message to b…@example.com (temporarily).".to_owned()),
            at: at(5),
        };
        world.event("delivery-record", kind::NOTIFICATION_DELIVERED, "d", &told).await.json(202);
        let log = world.deliveries(1).await;
        assert_eq!((&log[0]["status"], &log[0]["error"]), (&json!("delivered"), &json!(told.error)));
    }

    async fn from_a_check_to_a_message_and_the_log(world: World) {
        world.with_endpoints();
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        for (id, minute, up) in [("a", 0, true), ("b", 1, false), ("c", 2, false), ("b", 1, false), ("c", 2, false), ("d", 3, true)] {
            let answer = world.event("notification-evaluate", kind::CHECK_COMPLETED, id, &[result(1, 1, minute, up)]).await;
            world.events.lock().unwrap().extend(answer.reply());
            world.settle().await;
        }
        let asked = hook.asked();
        let what: Vec<_> = asked.iter().map(|a| a.json()["data"]["what"].clone()).collect();
        assert_eq!(what, ["down", "up"], "one message each, whatever is redelivered");
        assert!(asked[1].json()["data"]["text"].as_str().unwrap().contains("Was down for: 2 minutes\n"));
        let log = world.deliveries(1).await;
        assert!(log.iter().all(|d| d["status"] == "delivered" && d["attempts"] == 1), "{log:?}");
        assert_eq!(log[0]["alert"]["what"], "up", "newest first");
    }

    async fn a_failed_delivery_is_sent_again_when_asked(world: World) {
        world.with_endpoints();
        let hook = Listener::start(404, "").await;
        let id = world.webhook(1, &hook.url).await;
        dispatch(&world, &[down(1, 1)]).await.json(202);
        world.settle().await;
        let log = world.deliveries(1).await;
        assert_eq!((&log[0]["status"], &log[0]["error"]), (&json!("failed"), &json!("The webhook answered 404 Not Found.")));
        let path = format!("/public/v1/deliveries/{}/retry", log[0]["id"]);
        assert_eq!(world.call(Some(2), "POST", &path, None).await.code(404), "NOT_FOUND");
        assert_eq!(world.call(None, "POST", &path, None).await.code(401), "NOT_LOGGED_IN");

        *world.broker_takes.lock().unwrap() = Some(0);
        assert_eq!(world.call(Some(1), "POST", &path, None).await.code(503), "UNAVAILABLE");
        *world.broker_takes.lock().unwrap() = None;
        assert!(world.deliveries(1).await[0]["next_try_at"].is_string(), "it waits for the broker");

        // With the current settings.
        let other = Listener::start(204, "").await;
        let config = json!({"config": {"url": other.url}});
        world.call(Some(1), "PATCH", &format!("/public/v1/notifications/{id}"), Some(config)).await.json(200);
        assert_eq!(world.call(Some(1), "POST", &path, None).await.json(200), json!({"status": "ok"}));
        assert_eq!(world.call(Some(1), "POST", &path, None).await.code(409), "DELIVERY_PENDING");
        world.settle().await;
        let log = world.deliveries(1).await;
        assert_eq!((&log[0]["status"], &log[0]["attempts"], &log[0]["error"]), (&json!("delivered"), &json!(3), &Value::Null));
        assert_eq!((hook.asked().len(), other.asked().len()), (1, 1));
        assert_eq!(world.call(Some(1), "POST", &path, None).await.code(409), "DELIVERY_NOT_FAILED");
    }

    async fn the_log_is_filtered_and_paged(world: World) {
        world.with_endpoints();
        let (one, two) = (world.webhook(1, "https://x.test/1").await, world.webhook(1, "https://x.test/2").await);
        dispatch(&world, &[down(1, 1), down(2, 1)]).await.json(202);
        let sent = requested(&world);
        let failed = NotificationDelivered {
            delivery_id: sent[0].1.delivery_id,
            attempt: 1,
            tries: 0,
            outcome: DeliveryOutcome::Failed,
            error: Some("x".into()),
            retry_after_seconds: None,
            reached: Vec::new(),
            at: at(3),
        };
        world.event("delivery-record", kind::NOTIFICATION_DELIVERED, "d", &failed).await.json(202);
        let count = async |query: &str| {
            let answer = world.call(Some(1), "GET", &format!("/public/v1/deliveries?{query}"), None).await.json(200);
            answer["page"]["total_count"].as_i64().unwrap()
        };
        assert_eq!(count("").await, 4);
        assert_eq!(count(&format!("notification_id={one}")).await, 2);
        assert_eq!(count(&format!("notification_id={two}&endpoint_id=1")).await, 1);
        assert_eq!(count("status=failed").await, 1);
        assert_eq!(count("status=pending").await, 3);
        assert_eq!(count("status=delivered").await, 0);
        let page = world.call(Some(1), "GET", "/public/v1/deliveries?page=2&per_page=3", None).await.json(200);
        assert_eq!(page["items"].as_array().unwrap().len(), 1);
        for (query, field) in [("status=lost", "status"), ("endpoint_id=x", "endpoint_id"), ("page=-1", "page"), ("per_page=1000", "per_page")] {
            let answer = world.call(Some(1), "GET", &format!("/public/v1/deliveries?{query}"), None).await.json(400);
            assert!(answer["fields"][field].is_string(), "{answer}");
        }
        assert_eq!(world.call(None, "GET", "/public/v1/deliveries", None).await.code(401), "NOT_LOGGED_IN");
    }

    async fn a_channel_is_tested(world: World) {
        let hook = Listener::start(200, "").await;
        let id = world.webhook(1, &hook.url).await;
        let test = format!("/public/v1/notifications/{id}/test");
        assert_eq!(world.call(Some(1), "POST", &test, None).await.json(200), json!({"status": "ok"}));
        let asked = hook.asked();
        assert_eq!(asked[0].json()["data"]["what"], "test");
        hook.answers(500, "oops");
        let broken = world.call(Some(1), "POST", &test, None).await.json(200);
        assert_eq!(broken, json!({"status": "fail", "message": "The webhook answered 500 Internal Server Error."}));
        let call = format!("/private/v1/notifications/{id}/call");
        hook.answers(200, "");
        hook.asked();
        assert_eq!(world.call(None, "POST", &call, Some(json!({"text": "Tonight."}))).await.json(200)["status"], "ok");
        assert_eq!(hook.asked()[0].json()["data"], json!({"text": "Tonight."}));
        assert_eq!(world.call(None, "POST", &call, Some(json!({"text": ""}))).await.code(400), "VALIDATION_FAILED");
        assert_eq!(world.call(None, "POST", "/private/v1/notifications/999/call", Some(json!({"text": "x"}))).await.code(404), "NOT_FOUND");

        let gone = world.webhook(1, &nobody().await).await;
        let broken = world.call(Some(1), "POST", &format!("/public/v1/notifications/{gone}/test"), None).await.json(200);
        assert_eq!(broken, json!({"status": "fail", "message": "The webhook could not be reached."}));
        world.stand_in("webhook-send", |_| (500, json!({})));
        let broken = world.call(Some(1), "POST", &test, None).await.json(200);
        assert_eq!(broken["status"], "fail");
    }
}
