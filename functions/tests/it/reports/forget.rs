//! Deleted data is deleted permanently.

use super::*;

on_both! {
    async fn an_endpoint_is_forgotten(world: World) {
        let batch = [up(ANNS, world.ago(7200), 5), up(11, world.ago(7200), 5), up(BOBS, world.ago(7200), 5)];
        world.record(&batch).await;
        world.tick("report-rollup").await;
        outage(&world, ANNS, ANN).await;
        outage(&world, BOBS, BOB).await;

        let deleted = EndpointDeleted { endpoint_id: ANNS, user_id: ANN };
        for _ in 0..2 {
            let answer = world.event("report-forget", kind::ENDPOINT_DELETED, "d/1", &deleted).await;
            assert!(answer.status.is_success(), "{answer:?}");
        }
        // A late result, a late rollup, a late incident.
        world.record(&batch).await;
        world.record(&[up(ANNS, world.ago(60), 5), up(BOBS, world.ago(60), 5)]).await;
        world.tick("report-rollup").await;
        outage(&world, ANNS, ANN).await;

        assert_eq!(world.results().await, 3);
        assert_eq!(world.number("SELECT COUNT(*) FROM report_series").await, 2);
        assert_eq!(world.number("SELECT COUNT(*) FROM report_rollups").await, 2);
        assert_eq!(world.get(ANN, "/public/v1/reports").await["page"]["total_count"], 1);
        assert_eq!(world.get(ANN, "/public/v1/incidents").await["page"]["total_count"], 0);
        assert_eq!(world.get(BOB, "/public/v1/reports").await["page"]["total_count"], 2);
        assert_eq!(world.get(BOB, "/public/v1/incidents").await["page"]["total_count"], 1);
    }

    async fn a_user_is_forgotten(world: World) {
        let week_apart: Vec<_> = (0..4).map(|week| up(ANNS, world.ago(week * 7 * 86_400), 5)).collect();
        world.record(&week_apart).await;
        world.record(&[up(11, world.ago(60), 5), up(BOBS, world.ago(60), 5)]).await;
        outage(&world, 11, ANN).await;
        let answer = world.event("report-forget", kind::USER_DELETED, "d/1", &UserDeleted { user_id: ANN }).await;
        assert!(answer.status.is_success(), "{answer:?}");
        // An endpoint without results so far.
        world.record(&week_apart).await;
        world.record(&[up(12, world.ago(30), 5)]).await;
        outage(&world, 12, ANN).await;
        assert_eq!(world.results().await, 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM report_incidents").await, 0);
        assert_eq!(world.get(ANN, "/public/v1/reports").await["page"]["total_count"], 0);
        assert_eq!(world.get(BOB, "/public/v1/reports").await["page"]["total_count"], 1);
    }

    async fn ids_of_deleted_series_are_given_again(world: World) {
        let batch = |ids: std::ops::Range<i64>| ids.map(|id| up(id, world.ago(60), 5)).collect::<Vec<_>>();
        world.record(&batch(ANNS..ANNS + 3)).await;
        world.record(&batch(BOBS..BOBS + 1)).await;
        let deleted = EndpointDeleted { endpoint_id: ANNS + 1, user_id: ANN };
        world.event("report-forget", kind::ENDPOINT_DELETED, "d/1", &deleted).await.json(202);
        // As after eight million series.
        world.set("UPDATE report_state SET value = 8388606 WHERE name = 'series_given'").await;
        world.record(&batch(BOBS + 1..BOBS + 4)).await;
        let ids = "SELECT id FROM report_series ORDER BY id";
        let db = world.context.db().unwrap();
        let ids: Vec<i64> = runtime::on!(db.read(), db => sqlx::query_scalar(ids).fetch_all(db).await).unwrap();
        assert_eq!(ids, [1, 2, 3, 4, 5, 8_388_607]);
        assert_eq!(world.number("SELECT endpoint_id FROM report_series WHERE id = 2").await, BOBS + 2);
        assert_eq!(world.get(ANN, "/public/v1/reports").await["page"]["total_count"], 2);
        assert_eq!(world.get(BOB, "/public/v1/reports").await["page"]["total_count"], 4);
        // The event is delivered again: the new series with this id stays.
        world.event("report-forget", kind::ENDPOINT_DELETED, "d/1", &deleted).await.json(202);
        assert_eq!(world.results().await, 6);
    }

    async fn a_deletion_arrives_through_the_broker(world: World) {
        world.record(&[up(ANNS, world.ago(60), 5)]).await;
        let deleted = EndpointDeleted { endpoint_id: ANNS, user_id: ANN };
        let event = runtime::Outgoing::new("test", kind::ENDPOINT_DELETED, "d/1", world.clock().now(), &deleted);
        world.context.outbound().publish(event.unwrap()).await.unwrap();
        assert_eq!(world.settle().await[0].data::<EndpointDeleted>(), deleted);
        assert_eq!(world.results().await, 0);
    }

    async fn what_is_no_such_event_is_refused(world: World) {
        world.record(&[up(ANNS, world.ago(60), 5)]).await;
        let user = json!({"user_id": ANN});
        // It must not be treated as the deletion of the whole user.
        let answer = world.event("report-forget", kind::ENDPOINT_DELETED, "d/1", &user).await;
        assert!(answer.json(400)["fields"]["endpoint_id"].is_string());
        assert_eq!(world.event("report-forget", kind::STATUS_CHANGED, "d/1", &user).await.code(400), "UNKNOWN_EVENT");
        world.event("report-forget", kind::USER_DELETED, "d/1", &json!({"user_id": "all"})).await.code(400);
        assert_eq!(world.results().await, 1);
    }
}

async fn outage(world: &World, endpoint_id: i64, user_id: i64) {
    let at = world.ago(30);
    let change = StatusChange {
        endpoint_id,
        user_id,
        from: Status::Up,
        to: Status::Down,
        changed_at: at,
        revision: 0,
        outage_started_at: Some(at),
        cause: None,
    };
    let answer = world.event("incident-record", kind::STATUS_CHANGED, "c/1", &[change]).await;
    assert!(answer.status.is_success(), "{answer:?}");
}
