//! Overviews of many endpoints.

use super::*;

async fn overview(world: &World, user: i64, query: &str) -> Value {
    world.get(user, &format!("/public/v1/overviews?{query}")).await
}

/// An endpoint's checks, successful checks, and the sum of checks over its buckets.
fn counts(item: &Value) -> (i64, i64, i64) {
    let buckets = item["buckets"].as_array().unwrap();
    let sum = buckets.iter().map(|bucket| bucket["checks"].as_i64().unwrap()).sum();
    (item["checks"].as_i64().unwrap(), item["up"].as_i64().unwrap(), sum)
}

on_both! {
    async fn a_day_of_several_endpoints(world: World) {
        // It is 12:00: the last bucket began then.
        let mut batch: Vec<_> = (0..1440).map(|n| up(ANNS, world.ago(n * 60), 100)).collect();
        batch.push(down(ANNS, world.ago(30)));
        batch.extend([up(11, world.ago(120), 10), up(11, world.ago(60), 31), up(BOBS, world.ago(60), 10)]);
        world.record(&batch).await;
        let seen = overview(&world, ANN, &format!("endpoint_ids=11,{BOBS},99,{ANNS},11&range=24h")).await;
        assert_eq!((&seen["range"], &seen["step_seconds"]), (&json!("24h"), &json!(960)));
        assert_eq!((&seen["from"], &seen["to"]), (&json!("2026-02-28T12:16:00Z"), &json!("2026-03-01T12:16:00Z")));
        let items = seen["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{items:?}");
        assert_eq!(items[0], json!({
            "endpoint_id": 11, "checks": 2, "up": 2, "uptime_percent": 100.0, "avg_ms": 20.5,
            "last": {"checked_at": "2026-03-01T11:59:00.250Z", "status": "up", "total_ms": 31, "error": null},
            "buckets": [{"at": "2026-03-01T11:44:00Z", "checks": 2, "up": 2, "avg_ms": 20.5}],
            "incidents": [],
        }));
        // The 16 minutes before the first bucket are left out.
        assert_eq!((&items[1]["endpoint_id"], counts(&items[1])), (&json!(ANNS), (1426, 1425, 1426)));
        assert_eq!((&items[1]["uptime_percent"], &items[1]["avg_ms"]), (&json!(99.929), &json!(100.0)));
        let buckets = items[1]["buckets"].as_array().unwrap();
        assert_eq!((buckets.len(), &buckets[0]["at"], &buckets[0]["checks"]), (90, &seen["from"], &json!(16)));
        assert_eq!(buckets[88], json!({"at": "2026-03-01T11:44:00Z", "checks": 17, "up": 16, "avg_ms": 100.0}));
        assert_eq!(items[1]["last"]["status"], "up");
        let private = format!("/private/v1/overviews?user_id={ANN}&endpoint_ids=11,{BOBS},99,{ANNS}");
        assert_eq!(world.call(None, "GET", &private, None).await.json(200), seen, "24h is the default");
    }

    async fn long_ranges_are_the_same_before_and_after_rollups(world: World) {
        // Every 20 minutes for 29 days, with some failures.
        let batch: Vec<_> = (0..29 * 72).map(|n| {
            let at = world.ago(n * 1200 + 60);
            if n % 50 == 0 { down(ANNS, at) } else { up(ANNS, at, 40 + (n * 7919 % 997) as u32) }
        }).collect();
        world.record(&batch).await;
        let all = async || {
            let mut seen = vec![];
            for range in ["24h", "7d", "30d", "90d"] {
                seen.push(overview(&world, ANN, &format!("endpoint_ids={ANNS}&range={range}")).await);
            }
            seen
        };
        let before = all().await;
        let checks: Vec<_> = before.iter().map(|seen| counts(&seen["items"][0])).collect();
        assert_eq!(checks[3], (2088, 2046, 2088));
        assert!(checks.iter().all(|(checks, _, sum)| checks == sum), "{checks:?}");
        let steps: Vec<_> = before.iter().map(|seen| seen["step_seconds"].as_i64().unwrap()).collect();
        assert_eq!(steps, [960, 7200, 28_800, 86_400]);
        world.tick("report-rollup").await;
        assert_eq!(all().await, before);
        let from: Vec<_> = before.iter().map(|seen| seen["from"].as_str().unwrap()).collect();
        assert_eq!(from[1..], ["2026-02-22T14:00:00Z", "2026-01-30T16:00:00Z", "2025-12-02T00:00:00Z"]);
    }

    async fn buckets_are_made_anew_when_a_result_comes_late(world: World) {
        let batch: Vec<_> = (0..1440).map(|n| up(ANNS, world.ago(n * 60), 100)).collect();
        world.record(&batch).await;
        let seen = async || overview(&world, ANN, &format!("endpoint_ids={ANNS}")).await;
        let before = seen().await;
        for _ in 0..2 {
            world.tick("report-rollup").await;
            assert_eq!(seen().await, before);
        }
        // It is 12:00, and the hour from 11:00 may still get results: buckets to 10:56, of one day.
        assert_eq!(world.number("SELECT COUNT(*) FROM report_buckets").await, 86);
        world.record(&[down(ANNS, world.ago(5 * 3600 + 1))]).await;
        assert_eq!(seen().await, before, "not yet");
        world.tick("report-rollup").await;
        let after = seen().await;
        assert_eq!(counts(&after["items"][0]), (1426, 1425, 1426));
        world.hours_pass(3 * 24);
        world.tick("report-rollup").await;
        world.purge("report-purge").await;
        assert_eq!(world.number("SELECT COUNT(*) FROM report_buckets").await, 0);
        let later = seen().await["items"][0].clone();
        assert_eq!((counts(&later), &later["last"]["status"]), ((0, 0, 0), &json!("up")));
    }

    async fn outages_that_overlap_the_range(world: World) {
        world.record(&[down(ANNS, world.ago(60)), up(11, world.ago(60), 5)]).await;
        let outage = |endpoint_id, started: i64, ended: Option<i64>| {
            let (from, to) = if ended.is_some() { (Status::Down, Status::Up) } else { (Status::Up, Status::Down) };
            let cause = Failure { code: FailureCode::Timeout, message: "No answer".into() };
            StatusChange {
                endpoint_id, user_id: ANN, from, to, revision: 0, changed_at: world.ago(ended.unwrap_or(started)),
                outage_started_at: Some(world.ago(started)), cause: Some(cause),
            }
        };
        let mut changes: Vec<_> = (1..=25).map(|n| outage(11, n * 600 + 60, Some(n * 600))).collect();
        changes.extend([outage(ANNS, 200_000, Some(100_000)), outage(ANNS, 90_000, Some(80_000)), outage(ANNS, 120, None)]);
        world.event("incident-record", kind::STATUS_CHANGED, "c", &changes).await;
        let seen = overview(&world, ANN, &format!("endpoint_ids={ANNS},11")).await;
        let of = |at: usize| seen["items"][at]["incidents"].as_array().unwrap().clone();
        let (first, many) = (of(0), of(1));
        assert_eq!(first.len(), 2, "{first:?}");
        assert_eq!((&first[0]["started_at"], &first[0]["ended_at"]), (&json!("2026-03-01T11:58:00Z"), &Value::Null));
        assert_eq!(first[1]["cause"]["code"], "TIMEOUT");
        assert_eq!(many.len(), 20);
        assert_eq!(many[0]["ended_at"], "2026-03-01T11:50:00Z");
        assert_eq!(seen["items"][0]["last"]["error"]["code"], "TIMEOUT");
    }

    async fn regions_are_one(world: World) {
        let mut tokyo = up(ANNS, world.ago(50), 30);
        tokyo.region = "tokyo".into();
        world.record(&[up(ANNS, world.ago(60), 10), tokyo]).await;
        let item = &overview(&world, ANN, &format!("endpoint_ids={ANNS}")).await["items"][0];
        assert_eq!((counts(item), &item["avg_ms"], &item["last"]["total_ms"]), ((2, 2, 2), &json!(20.0), &json!(30)));
    }

    async fn what_is_asked_wrongly_is_refused(world: World) {
        for (query, field) in [
            ("", "endpoint_ids"),
            ("endpoint_ids=", "endpoint_ids"),
            ("endpoint_ids=1,x", "endpoint_ids"),
            ("endpoint_ids=0", "endpoint_ids"),
            ("endpoint_ids=1&range=1y", "range"),
        ] {
            let answer = world.refused(ANN, &format!("/public/v1/overviews?{query}")).await.json(400);
            assert!(answer["fields"][field].is_string(), "{query}: {answer}");
        }
        assert_eq!(overview(&world, ANN, "endpoint_ids=1,2").await["items"], json!([]));
        assert_eq!(world.call(None, "GET", "/public/v1/overviews?endpoint_ids=1", None).await.code(401), "NOT_LOGGED_IN");
    }
}
