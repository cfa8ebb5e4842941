//! Messages whose reason disappears between the change and the sending.

use contract::{EndpointDeleted, Status, UserDeleted, kind};
use serde_json::json;

use super::change;
use crate::{
    listener::Listener,
    world::{Answer, Database, Sent, World, on_both},
};

/// Records a change of endpoint 1, and returns the request to send it.
async fn requested(world: &World, minute: i64, from: Status, to: Status) -> Sent {
    let changes = [change(1, 1, minute, from, to)];
    world.clock().set(changes[0].changed_at.max(world.clock().now()));
    world.event("notification-dispatch", kind::STATUS_CHANGED, "c", &changes).await.json(202);
    world.events.lock().unwrap().pop_front().expect("a request")
}

/// Delivers a request to the sender, and its reply to the log.
async fn send(world: &World, request: &Sent) -> Answer {
    let answer = world.deliver("webhook-send", request).await;
    world.events.lock().unwrap().extend(answer.reply());
    world.settle().await;
    answer
}

on_both! {
    async fn nothing_is_sent_of_what_is_deleted(world: World) {
        world.with_endpoints();
        let hook = Listener::start(200, "").await;
        let id = world.webhook(1, &hook.url).await;
        let request = requested(&world, 0, Status::Up, Status::Down).await;
        let gone = EndpointDeleted { endpoint_id: 1, user_id: 1 };
        world.event("notification-forget", kind::ENDPOINT_DELETED, "x", &gone).await.json(202);
        assert!(send(&world, &request).await.reply().is_none());

        let changes = [change(2, 1, 0, Status::Up, Status::Down)];
        world.event("notification-dispatch", kind::STATUS_CHANGED, "d", &changes).await.json(202);
        let request = world.events.lock().unwrap().pop_front().unwrap();
        world.call(Some(1), "DELETE", &format!("/public/v1/notifications/{id}"), None).await;
        assert!(send(&world, &request).await.reply().is_none());

        world.webhook(2, &hook.url).await;
        let changes = [change(11, 2, 0, Status::Up, Status::Down)];
        world.event("notification-dispatch", kind::STATUS_CHANGED, "e", &changes).await.json(202);
        let request = world.events.lock().unwrap().pop_front().unwrap();
        world.event("notification-forget", kind::USER_DELETED, "y", &UserDeleted { user_id: 2 }).await.json(202);
        assert!(send(&world, &request).await.reply().is_none());
        assert_eq!(hook.asked().len(), 0);
    }

    async fn degraded_is_not_sent_to_who_wants_no_such_messages_any_more(world: World) {
        world.with_endpoints();
        let hook = Listener::start(200, "").await;
        let path = format!("/public/v1/notifications/{}", world.webhook(1, &hook.url).await);
        let request = requested(&world, 0, Status::Up, Status::Degraded).await;
        world.call(Some(1), "PATCH", &path, Some(json!({"send_degraded": false}))).await.json(200);
        send(&world, &request).await;
        assert_eq!(hook.asked().len(), 0);
        world.call(Some(1), "PATCH", &path, Some(json!({"send_degraded": true}))).await.json(200);
        let changes = [change(2, 1, 1, Status::Up, Status::Degraded)];
        world.event("notification-dispatch", kind::STATUS_CHANGED, "d", &changes).await.json(202);
        let request = world.events.lock().unwrap().pop_front().expect("a request");
        send(&world, &request).await;
        assert!(hook.asked()[0].body.contains("\"what\":\"degraded\""));
    }

    async fn a_channel_that_is_switched_off_is_silent_and_the_log_says_why(world: World) {
        world.with_endpoints();
        let hook = Listener::start(200, "").await;
        let path = format!("/public/v1/notifications/{}", world.webhook(1, &hook.url).await);
        let request = requested(&world, 0, Status::Up, Status::Down).await;
        world.call(Some(1), "PATCH", &path, Some(json!({"enabled": false}))).await.json(200);
        send(&world, &request).await;
        let log = world.deliveries(1).await;
        assert_eq!((&log[0]["status"], &log[0]["error"]), (&json!("failed"), &json!("Not sent: the notification was disabled.")));
        assert_eq!(hook.asked().len(), 0);

        // A retry after it is enabled again: sent once only, even if another request is still under way.
        world.call(Some(1), "PATCH", &path, Some(json!({"enabled": true}))).await.json(200);
        let retry = format!("/public/v1/deliveries/{}/retry", log[0]["id"]);
        world.call(Some(1), "POST", &retry, None).await.json(200);
        let second = world.events.lock().unwrap().pop_front().unwrap();
        for event in [&request, &second, &second] {
            send(&world, event).await;
        }
        assert_eq!(hook.asked().len(), 1);
        assert_eq!(world.deliveries(1).await[0]["status"], "delivered");
    }

    async fn down_is_never_the_last_word_when_it_is_up(world: World) {
        world.with_endpoints();
        let hook = Listener::start(503, "").await;
        world.webhook(1, &hook.url).await;
        let down = requested(&world, 0, Status::Up, Status::Down).await;
        send(&world, &down).await;
        assert_eq!(hook.asked().iter().map(|asked| asked.answered).collect::<Vec<_>>(), [503, 503]);
        let up = requested(&world, 3, Status::Down, Status::Up).await;
        hook.answers(200, "");
        send(&world, &up).await;
        send(&world, &down).await;
        let asked = hook.asked();
        assert_eq!((asked.len(), &asked[0].json()["data"]["what"]), (1, &json!("up")));
        let log = world.deliveries(1).await;
        assert_eq!((&log[0]["status"], &log[1]["status"]), (&json!("delivered"), &json!("superseded")));
    }

    async fn what_cannot_be_asked_about_is_sent(world: World) {
        world.with_endpoints();
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        let request = requested(&world, 0, Status::Up, Status::Down).await;
        for (status, answer) in [(503, json!({})), (404, json!({})), (200, json!({"state": "upside down"}))] {
            world.stand_in("delivery-record", move |_| (status, answer.clone()));
            assert!(world.deliver("webhook-send", &request).await.reply().is_some());
        }
        assert_eq!(hook.asked().len(), 3);
    }
}
