use contract::{EndpointDeleted, Status, UserDeleted, kind};
use serde_json::json;

use super::{change, result};
use crate::world::{Database, World, on_both};

on_both! {
    async fn a_deleted_endpoint_is_taken_out_of_the_lists(world: World) {
        world.with_endpoints();
        let list = async |ids: serde_json::Value| {
            let body = json!({"name": "n", "kind": "email", "config": {"to": ["a@example.com"]}, "endpoint_ids": ids});
            world.notification(1, body).await
        };
        let (two, one, all) = (list(json!([1, 2])).await, list(json!([1])).await, list(json!(null)).await);
        world.event("notification-dispatch", kind::STATUS_CHANGED, "c", &[change(1, 1, 0, Status::Up, Status::Down)]).await.json(202);
        assert_eq!(world.deliveries(1).await.len(), 3);
        let gone = EndpointDeleted { endpoint_id: 1, user_id: 1 };
        for _ in 0..2 {
            world.event("notification-forget", kind::ENDPOINT_DELETED, "x", &gone).await.json(202);
        }
        let ids = async |id: i64| {
            let path = format!("/public/v1/notifications/{id}");
            world.call(Some(1), "GET", &path, None).await.json(200)["endpoint_ids"].clone()
        };
        assert_eq!((ids(two).await, ids(one).await, ids(all).await), (json!([2]), json!([]), json!(null)));
        assert_eq!(world.deliveries(1).await.len(), 0);
        // A late change creates no delivery, although the endpoint can still be read.
        world.events.lock().unwrap().clear();
        world.event("notification-dispatch", kind::STATUS_CHANGED, "d", &[change(1, 1, 1, Status::Up, Status::Down)]).await.json(202);
        assert_eq!((world.deliveries(1).await.len(), world.events.lock().unwrap().len()), (0, 0));
    }

    async fn a_deleted_user_leaves_nothing(world: World) {
        world.with_endpoints();
        world.webhook(1, "https://x.test/").await;
        let others = world.webhook(2, "https://x.test/").await;
        let changes = [change(1, 1, 0, Status::Up, Status::Down), change(11, 2, 0, Status::Up, Status::Down)];
        world.event("notification-dispatch", kind::STATUS_CHANGED, "c", &changes).await.json(202);
        for _ in 0..2 {
            world.event("notification-forget", kind::USER_DELETED, "x", &UserDeleted { user_id: 1 }).await.json(202);
        }
        let all = world.call(None, "GET", "/private/v1/notifications", None).await.json(200);
        assert_eq!((&all["page"]["total_count"], &all["items"][0]["id"]), (&json!(1), &json!(others)));
        assert_eq!((world.deliveries(1).await.len(), world.deliveries(2).await.len()), (0, 1));
    }

    async fn a_deleted_user_makes_no_channel(world: World) {
        world.event("notification-forget", kind::USER_DELETED, "x", &UserDeleted { user_id: 1 }).await.json(202);
        let body = json!({"name": "n", "kind": "email", "config": {"to": ["a@example.com"]}});
        let late = world.call(Some(1), "POST", "/public/v1/notifications", Some(body.clone())).await;
        assert_eq!(late.code(401), "NOT_LOGGED_IN");
        world.notification(2, body).await;
        let all = world.call(None, "GET", "/private/v1/notifications", None).await.json(200);
        assert_eq!(all["page"]["total_count"], 1);
    }

    async fn an_event_that_is_not_whole_deletes_nothing(world: World) {
        let id = world.webhook(1, "https://x.test/").await;
        for (kind, data) in [
            (kind::ENDPOINT_DELETED, json!({"user_id": 1})),
            (kind::USER_DELETED, json!({"endpoint_id": 1})),
            (kind::USER_DELETED, json!([])),
            (kind::STATUS_CHANGED, json!({"user_id": 1})),
        ] {
            assert_eq!(world.event("notification-forget", kind, "x", &data).await.status, 400);
        }
        world.call(Some(1), "GET", &format!("/public/v1/notifications/{id}"), None).await.json(200);
    }
}

/// A deadlock would be answered with an error.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_and_evaluated_at_once_never_waits_in_a_circle() {
    let world = World::new(Database::Postgres).await;
    world.with_endpoints();
    for round in 0..30 {
        let user = 1 + round * 3;
        let endpoints: Vec<i64> = (1..10).map(|n| (user - 1) * 10 + n).collect();
        // The physical order of the rows differs from the order of their ids.
        for endpoint in endpoints.iter().rev() {
            let first = [result(*endpoint, user, 0, true)];
            world.event("notification-evaluate", kind::CHECK_COMPLETED, "first", &first).await.json(200);
        }
        for _ in 0..3 {
            world.webhook(user, "https://x.test/").await;
        }
        let batch = |minute| endpoints.iter().map(|id| result(*id, user, minute, false)).collect::<Vec<_>>();
        let (one, two) = (batch(1), batch(2));
        let downs: Vec<_> =
            endpoints.iter().map(|id| change(*id, user, 2, Status::Up, Status::Down)).collect();
        let evaluate = async |id: &str, batch: &[contract::CheckResult]| {
            let answer = world.event("notification-evaluate", kind::CHECK_COMPLETED, id, batch).await;
            assert!(answer.status.is_success(), "{answer:?}");
        };
        let forget_endpoint = async |endpoint_id: i64| {
            let gone = EndpointDeleted { endpoint_id, user_id: user };
            world.event("notification-forget", kind::ENDPOINT_DELETED, "e", &gone).await.json(202);
        };
        let gone = UserDeleted { user_id: user };
        tokio::join!(
            evaluate("one", &one),
            async { world.event("notification-forget", kind::USER_DELETED, "u", &gone).await.json(202) },
            evaluate("two", &two),
            forget_endpoint(endpoints[7]),
            async { world.event("notification-dispatch", kind::STATUS_CHANGED, "d", &downs).await.json(202) },
            forget_endpoint(endpoints[2]),
        );
    }
}
