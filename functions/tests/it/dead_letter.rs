//! Tests of functions/dead_letter.rs.

use bytes::Bytes;
use contract::{Status, kind};
use http::HeaderMap;
use serde_json::json;

use crate::{
    listener::Listener,
    notifications::change,
    world::{Database, Sent, World, on_both},
};

const PATH: &str = "/private/v1/dead_letters";

/// A dead letter as a broker delivers it.
fn given_up(event: &Sent, by: &str, answer: &str) -> Sent {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut event = event.clone();
    for (name, value) in [
        ("ce-knativeerrordest", by),
        ("ce-knativeerrorcode", "503"),
        ("ce-knativeerrordata", &STANDARD.encode(answer)),
    ] {
        event.headers.insert(name, value.parse().unwrap());
    }
    event
}

on_both! {
    async fn what_was_given_up_is_tried_again_and_can_be_replayed(world: World) {
        world.with_endpoints();
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        world.event("notification-dispatch", kind::STATUS_CHANGED, "c", &[change(1, 1, 0, Status::Up, Status::Down)]).await.json(202);
        let event = world.events.lock().unwrap().pop_front().unwrap();
        let letter = given_up(&event, "http://webhook-send/", &json!({"message": "no sender"}).to_string());
        for _ in 0..2 {
            world.deliver("dead-letter", &letter).await.json(202);
        }
        world.settle().await;
        let log = world.deliveries(1).await;
        assert_eq!((&log[0]["status"], &log[0]["error"], &log[0]["tries"]), (&json!("pending"), &json!("no sender"), &json!(1)));

        let list = world.call(None, "GET", PATH, None).await.json(200);
        assert_eq!(list["page"]["total_count"], 1, "a redelivery is the same letter");
        let shown = &list["items"][0];
        assert_eq!((&shown["kind"], &shown["destination"]), (&json!(kind::NOTIFICATION_REQUESTED), &json!("http://webhook-send/")));
        assert_eq!((&shown["error_code"], &shown["replayed_at"]), (&json!("503"), &json!(null)));

        let replay = format!("{PATH}/{}/replay", shown["id"]);
        assert_eq!(world.call(None, "POST", &replay, None).await.json(200), json!({"status": "ok"}));
        let again = world.events.lock().unwrap()[0].clone();
        assert_eq!((again.headers.get("ce-id"), &again.body), (event.headers.get("ce-id"), &event.body));
        assert_eq!(again.headers["ce-source"], "/pongpong/notification-dispatch");
        assert!(!again.headers.contains_key("ce-knativeerrordest"));
        world.settle().await;
        assert_eq!(hook.asked().len(), 0, "another try has taken its place");
        world.clock().advance(std::time::Duration::from_secs(60));
        world.request("delivery-resume", None, "POST", "/", None).await.json(204);
        world.settle().await;
        assert_eq!(world.deliveries(1).await[0]["status"], "delivered");
        assert!(world.call(None, "GET", PATH, None).await.json(200)["items"][0]["replayed_at"].is_string());
    }

    async fn what_fails_again_after_a_replay_is_not_taken_for_replayed(world: World) {
        let body = json!({"specversion": "1.0", "id": "s", "source": "/x", "type": "t", "data": 1});
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/cloudevents+json".parse().unwrap());
        let mut letter = Sent { headers, body: Bytes::new() };
        for (answer, minutes) in [("first", 0), ("second", 20)] {
            world.clock().advance(std::time::Duration::from_secs(minutes * 60));
            let mut body = body.clone();
            body["knativeerrordest"] = json!("http://somewhere/");
            body["knativeerrordata"] = json!(answer);
            letter.body = Bytes::from(body.to_string());
            world.deliver("dead-letter", &letter).await.json(202);
            let list = world.call(None, "GET", PATH, None).await.json(200);
            assert_eq!(list["page"]["total_count"], 1);
            let shown = &list["items"][0];
            assert_eq!((&shown["error"], &shown["replayed_at"]), (&json!(answer), &json!(null)));
            let received: chrono::DateTime<chrono::Utc> = shown["received_at"].as_str().unwrap().parse().unwrap();
            assert_eq!(received, world.clock().now());
            world.call(None, "POST", &format!("{PATH}/{}/replay", shown["id"]), None).await.json(200);
            let list = world.call(None, "GET", PATH, None).await.json(200);
            assert!(list["items"][0]["replayed_at"].is_string());
        }
    }

    async fn whose_receiver_was_away_is_published_again_by_itself(world: World) {
        let letter = |id: &str, kind: &str, code: u16| {
            let body = json!({"specversion": "1.0", "id": id, "source": "/x", "type": kind, "data": [],
                "knativeerrordest": "http://somewhere/", "knativeerrorcode": code});
            let mut headers = HeaderMap::new();
            headers.insert("content-type", "application/cloudevents+json".parse().unwrap());
            Sent { headers, body: Bytes::from(body.to_string()) }
        };
        let away = letter("away", kind::STATUS_CHANGED, 503);
        for letter in [
            &away,
            &letter("not there", kind::USER_DELETED, 404),
            &letter("refused", kind::STATUS_CHANGED, 400),
            &letter("too late", kind::CHECK_REQUESTED, 503),
            &letter("in the log of deliveries", kind::NOTIFICATION_REQUESTED, 503),
            &letter("a stranger's", "com.example", 503),
            // This id does not fit into a header.
            &letter("가", kind::STATUS_CHANGED, 503),
        ] {
            world.deliver("dead-letter", letter).await.json(202);
        }
        let due = async || world.number("SELECT COUNT(*) FROM dead_letters WHERE due_at IS NOT NULL").await;
        assert_eq!(due().await, 3);
        let resume = async |minutes: u64| {
            world.clock().advance(std::time::Duration::from_secs(minutes * 60));
            world.request("dead-letter-resume", None, "POST", "/", None).await
        };
        let published = || -> Vec<String> {
            let events = std::mem::take(&mut *world.events.lock().unwrap());
            events.iter().map(|event| event.headers["ce-id"].to_str().unwrap().to_owned()).collect()
        };
        resume(5).await.json(204);
        assert_eq!(published(), [""; 0], "it is too early");
        resume(5).await.json(204);
        assert_eq!(published(), ["away", "not there"]);
        assert_eq!(due().await, 0, "what cannot be published is left to people");
        resume(60).await.json(204);
        assert_eq!(published(), [""; 0], "neither came back");

        // While the broker accepts nothing they wait, and no attempt is counted.
        world.deliver("dead-letter", &away).await.json(202);
        *world.broker_takes.lock().unwrap() = Some(0);
        assert!(resume(10).await.status.is_server_error());
        *world.broker_takes.lock().unwrap() = None;
        let mut tries = 0;
        for _ in 0..40 {
            resume(10).await.json(204);
            tries += published().len();
            world.deliver("dead-letter", &away).await.json(202);
        }
        assert_eq!(tries, 23, "of 24, with the first");
    }

    async fn anything_is_kept(world: World) {
        let mut structured = HeaderMap::new();
        structured.insert("content-type", "application/cloudevents+json".parse().unwrap());
        let body = json!({"specversion": "1.0", "id": "s", "source": "/x", "type": "t", "data": {"a": "가"},
            "knativeerrordest": "http://somewhere/", "knativeerrorcode": 500});
        let nonsense = b"\xff\x00not an event";
        for (headers, body) in [
            (structured.clone(), Bytes::from(body.to_string())),
            (structured.clone(), Bytes::from_static(b"{")),
            (HeaderMap::new(), Bytes::from_static(nonsense)),
            (HeaderMap::new(), Bytes::from_static(nonsense)),
            (HeaderMap::new(), Bytes::new()),
            (structured.clone(), Bytes::from(body.to_string().replace("\"s\"", "\"가\""))),
        ] {
            world.deliver("dead-letter", &Sent { headers, body }).await.json(202);
        }
        let list = world.call(None, "GET", &format!("{PATH}?per_page=10"), None).await.json(200);
        assert_eq!(list["page"]["total_count"], 5);
        let of = |id: &str| list["items"].as_array().unwrap().iter().find(|l| l["event_id"] == id).unwrap();
        let (first, korean) = (of("s"), of("가"));
        assert_eq!((&first["source"], &first["error_code"]), (&json!("/x"), &json!("500")));
        world.call(None, "POST", &format!("{PATH}/{}/replay", first["id"]), None).await.json(200);
        let sent = world.events.lock().unwrap().pop_front().unwrap();
        assert_eq!((sent.kind(), sent.data::<serde_json::Value>()), ("t", json!({"a": "가"})));
        let refused = world.call(None, "POST", &format!("{PATH}/{}/replay", korean["id"]), None).await.json(400);
        assert!(refused["message"].as_str().unwrap().contains("\"id\""), "{refused}");
        let broken = list["items"].as_array().unwrap().iter().find(|l| l["body_bytes"] == 0).unwrap();
        let replay = world.call(None, "POST", &format!("{PATH}/{}/replay", broken["id"]), None).await;
        assert_eq!(replay.code(400), "NOT_A_CLOUDEVENT");
        assert_eq!(world.call(None, "POST", &format!("{PATH}/999/replay"), None).await.code(404), "NOT_FOUND");
        *world.broker_takes.lock().unwrap() = Some(0);
        let unlucky = world.call(None, "POST", &format!("{PATH}/{}/replay", first["id"]), None).await;
        assert_eq!(unlucky.code(503), "UNAVAILABLE");
    }

    async fn they_are_kept_for_thirty_days(world: World) {
        let letter = |id: &str| Sent { headers: HeaderMap::new(), body: Bytes::from(id.to_owned()) };
        world.deliver("dead-letter", &letter("old")).await.json(202);
        world.clock().advance(std::time::Duration::from_secs(31 * 86_400));
        world.deliver("dead-letter", &letter("new")).await.json(202);
        world.purge("dead-letter-purge").await;
        let list = world.call(None, "GET", PATH, None).await.json(200);
        assert_eq!((&list["page"]["total_count"], &list["items"][0]["body"]), (&json!(1), &json!("new")));
    }
}
