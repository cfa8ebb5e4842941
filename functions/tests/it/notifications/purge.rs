//! Scheduled deletion of expired data.

use std::time::Duration;

use contract::{EndpointDeleted, Status, UserDeleted, kind};

use super::{change, result};
use crate::world::{Database, World, on_both};

const DAY: Duration = Duration::from_secs(86_400);

/// Numbers of deliveries, changes, states of deleted endpoints, and deleted users.
async fn rows(world: &World) -> (i64, i64, i64, i64) {
    (
        world.number("SELECT COUNT(*) FROM deliveries").await,
        world.number("SELECT COUNT(*) FROM notification_changes").await,
        world.number("SELECT COUNT(*) FROM notification_states WHERE deleted_at IS NOT NULL").await,
        world.number("SELECT COUNT(*) FROM notification_user_tombstones").await,
    )
}

async fn fill(world: &World) {
    world.with_endpoints();
    world.webhook(1, "https://x.test/").await;
    let down = [change(1, 1, 0, Status::Up, Status::Down)];
    world.event("notification-dispatch", kind::STATUS_CHANGED, "c", &down).await.json(202);
    let results = [result(1, 1, 0, true)];
    let answer = world.event("notification-evaluate", kind::CHECK_COMPLETED, "r", &results).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let gone = EndpointDeleted { endpoint_id: 2, user_id: 1 };
    world.event("notification-forget", kind::ENDPOINT_DELETED, "x", &gone).await.json(202);
    world.event("notification-forget", kind::USER_DELETED, "y", &UserDeleted { user_id: 2 }).await.json(202);
    assert_eq!(rows(world).await, (1, 1, 1, 1));
}

on_both! {
    async fn each_kind_is_deleted_after_its_time(world: World) {
        fill(&world).await;
        for (days, left) in [(6, (1, 1, 1, 1)), (2, (1, 0, 1, 1)), (81, (1, 0, 1, 1)), (2, (0, 0, 0, 0))] {
            world.clock().advance(DAY * days);
            world.purge("notification-purge").await;
            assert_eq!(rows(&world).await, left, "{days} days later");
        }
    }

    async fn nothing_is_deleted_by_what_handles_events(world: World) {
        fill(&world).await;
        world.clock().advance(DAY * 100);
        let down = [change(3, 1, 0, Status::Up, Status::Down)];
        world.event("notification-dispatch", kind::STATUS_CHANGED, "d", &down).await.json(202);
        let results = [result(3, 1, 144_000, true)];
        let answer = world.event("notification-evaluate", kind::CHECK_COMPLETED, "s", &results).await;
        assert!(answer.status.is_success(), "{answer:?}");
        let gone = EndpointDeleted { endpoint_id: 4, user_id: 1 };
        world.event("notification-forget", kind::ENDPOINT_DELETED, "z", &gone).await.json(202);
        assert_eq!(rows(&world).await, (2, 2, 2, 1));
    }

    async fn an_owner_keeps_the_newest_hundred_thousand_and_what_waits(world: World) {
        // The oldest delivery is pending.
        const FILL: &str = "WITH RECURSIVE numbers AS (SELECT 2 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 100012)
            INSERT INTO deliveries (user_id, notification_id, endpoint_id, changed_at, what, kind, recipient, alert,
                status, attempt, created_at, asked_at, due_at)
            SELECT user_id, notification_id, n, changed_at, what, kind, recipient, '{}', 'delivered', 1, created_at,
                asked_at, due_at FROM numbers, deliveries";
        fill(&world).await;
        runtime::on!(world.context.db().unwrap().write(), db => sqlx::query(FILL).execute(db).await.map(drop)).unwrap();
        world.purge("notification-purge").await;
        assert_eq!(world.number("SELECT COUNT(*) FROM deliveries").await, 100_001);
        assert_eq!(world.number("SELECT COUNT(*) FROM deliveries WHERE status = 'pending'").await, 1);
        assert_eq!(world.number("SELECT MIN(endpoint_id) FROM deliveries WHERE status <> 'pending'").await, 13);
    }

    async fn a_clock_that_jumps_ahead_deletes_nothing(world: World) {
        fill(&world).await;
        world.deliver("dead-letter", &letter()).await.json(202);
        let purge = async || {
            for function in ["notification-purge", "dead-letter-purge", "user-purge", "report-purge"] {
                world.tick(function).await;
            }
            rows(&world).await.0 + world.number("SELECT COUNT(*) FROM dead_letters").await
        };
        // The first purge trusts its clock only after a day.
        assert_eq!(purge().await, 2);
        world.clock().advance(DAY);
        assert_eq!(purge().await, 2);
        let right = world.clock().now();
        world.clock().advance(DAY * 100);
        assert_eq!(purge().await, 2);
        world.clock().advance(DAY / 24);
        assert_eq!(purge().await, 2);
        world.clock().set(right + DAY / 24);
        assert_eq!(purge().await, 2);
        // The same with a machine that was off.
        world.clock().advance(DAY * 100);
        assert_eq!(purge().await, 2);
        world.clock().advance(DAY);
        assert_eq!(purge().await, 0);
    }
}

fn letter() -> crate::world::Sent {
    crate::world::Sent { headers: http::HeaderMap::new(), body: bytes::Bytes::from_static(b"a letter") }
}
