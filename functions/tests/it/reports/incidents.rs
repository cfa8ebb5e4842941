//! Incidents open and close, in whatever order the changes arrive.

use super::*;

fn change(world: &World, from: Status, to: Status, started: i64, changed: i64) -> StatusChange {
    let cause = Failure { code: FailureCode::ConnectRefused, message: "Nobody listens.".into() };
    StatusChange {
        endpoint_id: ANNS,
        user_id: ANN,
        from,
        to,
        changed_at: world.ago(changed),
        revision: 0,
        outage_started_at: Some(world.ago(started)),
        cause: Some(cause),
    }
}

async fn tell(world: &World, changes: &[StatusChange]) {
    let answer = world.event("incident-record", kind::STATUS_CHANGED, "c/1", changes).await;
    assert!(answer.status.is_success() && answer.body.is_empty(), "{answer:?}");
}

on_both! {
    async fn an_outage_opens_and_closes(world: World) {
        tell(&world, &[change(&world, Status::Up, Status::Down, 300, 240)]).await;
        let open = world.get(ANN, "/public/v1/incidents?open=true").await;
        assert_eq!(open["page"]["total_count"], 1);
        let incident = &open["items"][0];
        assert_eq!(incident["endpoint_id"], ANNS);
        assert_eq!((&incident["started_at"], &incident["ended_at"]), (&json!("2026-03-01T11:55:00Z"), &Value::Null));
        assert_eq!(incident["cause"], json!({"code": "CONNECT_REFUSED", "message": "Nobody listens."}));

        tell(&world, &[change(&world, Status::Down, Status::Up, 300, 60)]).await;
        assert_eq!(world.get(ANN, "/public/v1/incidents?open=true").await["items"], json!([]));
        let closed = world.get(ANN, "/public/v1/incidents?open=false").await;
        assert_eq!(closed["items"][0]["id"], incident["id"]);
        assert_eq!(closed["items"][0]["ended_at"], "2026-03-01T11:59:00Z");
        // Pausing ends an incident too.
        tell(&world, &[change(&world, Status::Pending, Status::Down, 30, 20)]).await;
        tell(&world, &[change(&world, Status::Down, Status::Paused, 30, 10)]).await;
        let closed = world.get(ANN, "/public/v1/incidents?open=false").await;
        let reasons: Vec<_> = closed["items"].as_array().unwrap().iter().map(|i| &i["end_reason"]).collect();
        assert_eq!(reasons, ["paused", "recovered"]);
    }

    async fn outages_are_found_by_date(world: World) {
        // 11:40 to 11:50, and from 11:58 on.
        tell(&world, &[change(&world, Status::Up, Status::Down, 1200, 1100)]).await;
        tell(&world, &[change(&world, Status::Down, Status::Up, 1200, 600)]).await;
        tell(&world, &[change(&world, Status::Up, Status::Down, 120, 60)]).await;
        for (query, count) in [
            ("from=2026-03-01&to=2026-03-01", 2),
            ("from=2026-03-02", 1),
            ("to=2026-02-28", 0),
            ("from=2026-03-01T11:49:59Z&to=2026-03-01T11:58:00Z", 1),
            ("from=2026-03-01T11:50:00Z&to=2026-03-01T11:58:00Z", 0),
            ("from=2026-03-01T11:50:00Z&to=2026-03-01T11:58:01Z", 1),
        ] {
            let found = world.get(ANN, &format!("/public/v1/incidents?{query}")).await;
            assert_eq!((&found["page"]["total_count"], found["items"].as_array().unwrap().len()), (&json!(count), count), "{query}");
        }
        let backward = world.refused(ANN, "/public/v1/incidents?from=2026-03-02&to=2026-03-01").await;
        assert_eq!(backward.code(400), "VALIDATION_FAILED");
    }

    async fn any_order_and_any_number_of_deliveries_end_the_same(world: World) {
        let first = [change(&world, Status::Up, Status::Down, 900, 800), change(&world, Status::Down, Status::Up, 900, 700)];
        let second = [change(&world, Status::Up, Status::Down, 500, 400), change(&world, Status::Down, Status::Up, 500, 300)];
        let still = change(&world, Status::Up, Status::Down, 100, 50);
        let noise = StatusChange { outage_started_at: None, cause: None, ..change(&world, Status::Pending, Status::Up, 1, 1) };
        let changes = [&second[1], &first[1], &still, &second[0], &first[1], &noise, &first[0], &still, &second[1]];
        for turn in 0..3 {
            for change in changes {
                tell(&world, std::slice::from_ref(change)).await;
            }
            tell(&world, &changes.map(Clone::clone)).await;
            let all = world.get(ANN, "/public/v1/incidents").await;
            let ends: Vec<_> = all["items"].as_array().unwrap().iter().map(|i| i["ended_at"].clone()).collect();
            assert_eq!(ends, [json!(null), json!("2026-03-01T11:55:00Z"), json!("2026-03-01T11:48:20Z")], "turn {turn}");
            assert!(all["items"].as_array().unwrap().iter().all(|i| i["cause"]["code"] == "CONNECT_REFUSED"));
        }
    }

    async fn outages_are_filtered_paged_and_private(world: World) {
        let mut changes: Vec<_> = (1..=5).map(|n| change(&world, Status::Up, Status::Down, n * 100, n * 100 - 1)).collect();
        changes[0].endpoint_id = 11;
        (changes[1].endpoint_id, changes[1].user_id) = (BOBS, BOB);
        tell(&world, &changes).await;
        assert_eq!(world.get(ANN, "/public/v1/incidents").await["page"]["total_count"], 4);
        assert_eq!(world.get(ANN, "/public/v1/incidents?endpoint_id=11").await["page"]["total_count"], 1);
        assert_eq!(world.get(ANN, &format!("/public/v1/incidents?endpoint_id={BOBS}")).await["items"], json!([]));
        let page = world.get(ANN, "/public/v1/incidents?page=2&per_page=3").await;
        assert_eq!((page["items"].as_array().unwrap().len(), &page["page"]["total_count"]), (1, &json!(4)));
        for (query, field) in [("open=maybe", "open"), ("endpoint_id=0", "endpoint_id"), ("endpoint_id=a", "endpoint_id")] {
            let answer = world.refused(ANN, &format!("/public/v1/incidents?{query}")).await.json(400);
            assert!(answer["fields"][field].is_string(), "{answer}");
        }
    }

    async fn poison_is_set_aside(world: World) {
        let good = change(&world, Status::Up, Status::Down, 300, 240);
        let beginning = StatusChange { outage_started_at: None, ..good.clone() };
        let ancient = StatusChange { outage_started_at: Some(DateTime::<Utc>::MIN_UTC), ..good.clone() };
        let future = StatusChange { changed_at: DateTime::<Utc>::MAX_UTC, ..good.clone() };
        let nobody = StatusChange { endpoint_id: 0, ..good.clone() };
        for poison in [beginning, ancient, future, nobody] {
            let answer = world.event("incident-record", kind::STATUS_CHANGED, "c", &[&poison, &good]).await;
            assert!(answer.status.is_success(), "{answer:?}");
        }
        assert_eq!(world.get(ANN, "/public/v1/incidents").await["page"]["total_count"], 1, "the good one");
    }

    async fn what_a_clock_that_was_set_back_has_not_come_to_is_tried_again(world: World) {
        let ahead = change(&world, Status::Up, Status::Down, -3 * 3600, -3 * 3600);
        let answer = world.event("incident-record", kind::STATUS_CHANGED, "c/1", &[&ahead]).await;
        assert_eq!(answer.status, 503);
        world.clock().advance(std::time::Duration::from_secs(2 * 3600));
        tell(&world, &[ahead]).await;
        assert_eq!(world.get(ANN, "/public/v1/incidents").await["page"]["total_count"], 1);
    }
}
