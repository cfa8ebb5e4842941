//! Tombstones of deleted users are deleted themselves.

use std::time::Duration;

use contract::{UserDeleted, kind};

use crate::world::{Database, World, on_both};

const DAY: Duration = Duration::from_secs(86_400);
const OF_ENDPOINTS: &str = "SELECT user_id FROM endpoint_user_tombstones ORDER BY user_id";
const OF_STATUS_PAGES: &str = "SELECT user_id FROM status_user_tombstones ORDER BY user_id";

impl World {
    /// Deletes a user, and returns the users that have tombstones.
    async fn remembers_after(&self, user_id: i64) -> Vec<i64> {
        for function in ["endpoint-forget", "status-forget"] {
            let id = format!("user-{user_id}");
            self.event(function, kind::USER_DELETED, &id, &UserDeleted { user_id }).await.json(202);
        }
        let db = self.context.db().unwrap();
        let remembered = async |select: &'static str| -> Vec<i64> {
            runtime::on!(db.read(), db => sqlx::query_scalar(select).fetch_all(db).await).unwrap()
        };
        let found = remembered(OF_ENDPOINTS).await;
        assert_eq!(found, remembered(OF_STATUS_PAGES).await);
        found
    }
}

on_both! {
    async fn deleted_users_are_remembered_for_90_days(world: World) {
        assert_eq!(world.remembers_after(1).await, [1]);
        world.clock().advance(DAY * 60);
        assert_eq!(world.remembers_after(2).await, [1, 2]);
        world.clock().advance(DAY * 29);
        assert_eq!(world.remembers_after(3).await, [1, 2, 3]);
        world.clock().advance(DAY * 2);
        assert_eq!(world.remembers_after(4).await, [1, 2, 3, 4], "the first of a new day");
        assert_eq!(world.remembers_after(5).await, [2, 3, 4, 5]);
    }

    async fn a_clock_that_jumps_ahead_forgets_nobody(world: World) {
        let now = world.clock().now();
        assert_eq!(world.remembers_after(1).await, [1]);
        world.clock().advance(DAY * 1000);
        assert_eq!(world.remembers_after(2).await, [1, 2]);
        world.clock().set(now + DAY);
        assert_eq!(world.remembers_after(3).await, [1, 2, 3]);
    }
}
