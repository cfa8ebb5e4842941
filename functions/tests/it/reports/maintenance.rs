//! Results during a maintenance are kept and shown, but do not count.

use super::*;

fn marked(result: CheckResult) -> CheckResult {
    CheckResult { maintenance: true, ..result }
}

on_both! {
    async fn marked_results_are_shown_and_left_out_of_every_sum(world: World) {
        // An hour without failures, an hour of maintenance, and an hour with both.
        let mut batch: Vec<_> = (0..60).map(|n| up(ANNS, world.ago(4 * 3600 - n * 60), 100)).collect();
        batch.extend((0..60).map(|n| marked(down(ANNS, world.ago(3 * 3600 - n * 60)))));
        batch.extend((0..30).map(|n| marked(up(ANNS, world.ago(2 * 3600 - n * 60), 9000))));
        batch.extend((30..60).map(|n| up(ANNS, world.ago(2 * 3600 - n * 60), 300)));
        world.record(&batch).await;
        world.record(&batch).await;
        let all = async || {
            let summary = world.get(ANN, &format!("/public/v1/summaries/{ANNS}?from=2026-02-20")).await;
            let day = world.get(ANN, &format!("/public/v1/overviews?endpoint_ids={ANNS}")).await;
            let week = world.get(ANN, &format!("/public/v1/overviews?endpoint_ids={ANNS}&range=7d")).await;
            [summary, day, week]
        };
        let before = all().await;
        let [summary, day, week] = &before;
        assert_eq!((&summary["checks"], &summary["up"], &summary["uptime_percent"]), (&json!(90), &json!(90), &json!(100.0)));
        assert_eq!((&summary["latency_ms"]["avg"], &summary["latency_ms"]["max"]), (&json!(166.7), &json!(300)));
        assert!(summary["apdex"].as_f64().unwrap() > 0.99, "{summary}");
        assert_eq!(summary["series"].as_array().unwrap().len(), 2, "an hour of maintenance alone is left out");
        for overview in [day, week] {
            let item = &overview["items"][0];
            assert_eq!((&item["checks"], &item["up"], &item["avg_ms"]), (&json!(90), &json!(90), &json!(166.7)));
            assert!(item["buckets"].as_array().unwrap().iter().all(|bucket| bucket["checks"] != 0));
        }
        let count = async |query: &str| {
            world.get(ANN, &format!("/public/v1/reports?per_page=1&{query}")).await["page"]["total_count"].clone()
        };
        for turn in ["raw", "rolled up"] {
            assert_eq!((count("").await, count("status=up").await, count("status=down").await), (json!(180), json!(120), json!(60)), "{turn}");
            world.tick("report-rollup").await;
        }
        assert_eq!(all().await, before);
        assert_eq!(world.number("SELECT COUNT(*) FROM report_results WHERE maintenance").await, 90);
        assert_eq!(world.number("SELECT COUNT(*) FROM report_results WHERE NOT maintenance").await, 0, "NULL is smaller");
        let list = world.get(ANN, "/public/v1/reports?per_page=60").await;
        let marks: Vec<_> = list["items"].as_array().unwrap().iter().map(|r| r["maintenance"].as_bool().unwrap()).collect();
        assert_eq!(marks.iter().filter(|mark| **mark).count(), 30);
        let one = world.get(ANN, &format!("/public/v1/reports/{}", list["items"][59]["id"])).await;
        assert_eq!((&one["maintenance"], &one["status"]), (&json!(true), &json!("up")));
    }

    async fn an_endpoint_that_was_only_in_maintenance(world: World) {
        world.record(&[marked(down(ANNS, world.ago(60)))]).await;
        let item = world.get(ANN, &format!("/public/v1/overviews?endpoint_ids={ANNS}")).await["items"][0].clone();
        assert_eq!((&item["checks"], &item["uptime_percent"], &item["buckets"]), (&json!(0), &Value::Null, &json!([])));
        assert_eq!(item["last"]["status"], "down");
        let summary = world.get(ANN, &format!("/public/v1/summaries/{ANNS}")).await;
        assert_eq!((&summary["checks"], &summary["apdex"], &summary["series"]), (&json!(0), &Value::Null, &json!([])));
    }

    async fn an_event_from_before_there_were_maintenances_is_read(world: World) {
        let mut old = json!([up(ANNS, world.ago(60), 5)]);
        assert!(old[0].get("maintenance").is_none(), "it is not even said");
        old[0]["new"] = json!("what a later version adds");
        world.event("report-record", kind::CHECK_COMPLETED, "r", &old).await.json(202);
        assert_eq!(world.results().await, 1);
    }
}
