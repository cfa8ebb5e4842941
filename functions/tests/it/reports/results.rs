//! Results are recorded, by event and by HTTP, and listed.

use super::*;

on_both! {
    async fn a_result_is_shown_as_it_came(world: World) {
        let at = world.ago(60);
        world.record(&[up(ANNS, at, 6), down(ANNS, at + TimeDelta::seconds(30))]).await;

        let list = world.get(ANN, "/public/v1/reports").await;
        assert_eq!(list["page"], json!({"current_page": 1, "total_count": 2, "per_page": 20}));
        let id = list["items"][1]["id"].as_i64().unwrap();
        assert!(id < 1 << 53, "JavaScript reads it");
        let expected = json!({
            "id": id,
            "endpoint_id": ANNS,
            "checked_at": "2026-03-01T11:59:00.250Z",
            "region": "seoul",
            "status": "up",
            "status_code": 200,
            "error": null,
            "timings_ms": {"dns": 1, "connect": 2, "first_byte": 3, "transfer": 0, "total": 6},
            "ip": "203.0.113.7",
            "certificate_expires_at": "2027-01-15T08:00:00Z",
            "response_bytes": 5120,
            "maintenance": false,
        });
        assert_eq!(list["items"][1], expected);
        assert_eq!(world.get(ANN, &format!("/public/v1/reports/{id}")).await, expected);
        let failed = &list["items"][0];
        assert_eq!(failed["status"], "down");
        assert_eq!(failed["error"], json!({"code": "TIMEOUT", "message": "No answer within 10 seconds."}));
        assert_eq!((&failed["ip"], &failed["timings_ms"]), (&Value::Null, &json!({"total": 10_000})));
    }

    async fn a_redelivered_result_is_stored_once(world: World) {
        let batch = [up(ANNS, world.ago(60), 5), up(BOBS, world.ago(60), 5), up(ANNS, world.ago(0), 5)];
        world.record(&batch).await;
        world.record(&batch).await;
        // In another order, with one more result, and one twice in the same batch.
        let again = [batch[2].clone(), batch[0].clone(), up(ANNS, world.ago(30), 5), batch[0].clone()];
        world.record(&again).await;
        assert_eq!(world.results().await, 4);
        // The result that was stored first stays.
        world.record(&[down(ANNS, world.ago(60))]).await;
        assert_eq!(world.get(ANN, "/public/v1/reports?status=down").await["items"], json!([]));
        // The same check from another region is another result.
        let mut tokyo = batch[0].clone();
        tokyo.region = "tokyo".into();
        world.record(&[tokyo]).await;
        assert_eq!(world.results().await, 5);
        let regions = world.get(ANN, "/public/v1/reports?to=2026-03-01T11:59:01Z").await;
        assert_eq!(regions["page"]["total_count"], 2);
    }

    async fn recorders_at_once_do_not_disturb_each_other(world: World) {
        let at = world.ago(600);
        let batches: Vec<Vec<_>> = (0..8)
            .map(|turn| {
                let mut batch: Vec<_> = (0..50).map(|n| up(10 + n % 20, at + TimeDelta::seconds(n), 5)).collect();
                batch.rotate_left(turn * 6);
                batch
            })
            .collect();
        futures::future::join_all(batches.iter().map(|batch| world.record(batch))).await;
        assert_eq!(world.results().await, 50);
        assert_eq!(world.number("SELECT COUNT(*) FROM report_series").await, 20);
    }

    async fn results_come_by_http_too(world: World) {
        let items = json!({"items": [up(ANNS, world.ago(60), 5)]});
        for _ in 0..2 {
            let answer = world.call(None, "POST", "/private/v1/reports", Some(items.clone())).await;
            assert_eq!(answer.json(201), json!({"status": "ok"}));
        }
        assert_eq!(world.results().await, 1);
        assert_eq!(world.call(None, "POST", "/private/v1/reports", Some(json!({"items": []}))).await.status, 201);
        let mut wrong = items.clone();
        wrong["items"][0]["outcome"]["timings_ms"]["total"] = json!(-1);
        let answer = world.call(None, "POST", "/private/v1/reports", Some(wrong)).await.json(400);
        assert!(answer["fields"]["items[0].outcome.timings_ms.total"].is_string(), "{answer}");
        let answer = world.call(None, "POST", "/private/v1/reports", Some(json!({"item": []}))).await;
        assert!(answer.json(400)["fields"]["item"].is_string());
    }

    async fn poison_is_refused(world: World) {
        let good = up(ANNS, world.ago(0), 5);
        let with = |change: &dyn Fn(&mut CheckResult)| {
            let mut result = good.clone();
            change(&mut result);
            result
        };
        let year_9999 = DateTime::parse_from_rfc3339("9999-12-31T23:59:59Z").unwrap().to_utc();
        let mut poison = Vec::new();
        for (field, result) in [
            ("endpoint_id", with(&|r| r.endpoint_id = -1)),
            ("user_id", with(&|r| r.user_id = 0)),
            ("scheduled_at", with(&|r| r.scheduled_at = year_9999)),
            ("checked_at", with(&|r| r.checked_at = year_9999)),
            ("checked_at", with(&|r| r.checked_at = DateTime::<Utc>::MIN_UTC)),
            ("region", with(&|r| r.region = String::new())),
            ("region", with(&|r| r.region = "x".repeat(65))),
        ] {
            let items = json!({"items": [good, result]});
            let answer = world.call(None, "POST", "/private/v1/reports", Some(items)).await;
            assert!(answer.json(400)["fields"][format!("items[1].{field}")].is_string(), "{field}: {answer:?}");
            assert_eq!(world.results().await, 0);
            poison.push(result);
        }
        for data in [json!(null), json!({}), json!([{"endpoint_id": "a\u{0}"}])] {
            world.event("report-record", kind::CHECK_COMPLETED, "r/1", &data).await.code(400);
        }
        assert_eq!(world.results().await, 0);
        // In an event, it does not prevent the others from being stored.
        poison.push(good);
        let answer = world.event("report-record", kind::CHECK_COMPLETED, "r/1", &poison).await;
        assert!(answer.status.is_success(), "{answer:?}");
        assert_eq!(world.results().await, 1);
    }

    async fn what_a_clock_that_was_set_back_has_not_come_to_is_tried_again(world: World) {
        let ahead = up(ANNS, world.ago(-3 * 3600), 5);
        let answer = world.event("report-record", kind::CHECK_COMPLETED, "r/1", &[&ahead]).await;
        assert_eq!(answer.status, 503);
        world.clock().advance(std::time::Duration::from_secs(2 * 3600));
        world.record(&[ahead]).await;
        assert_eq!(world.results().await, 1);
    }

    async fn extremes_are_stored(world: World) {
        let mut result = down(ANNS, world.ago(0));
        let timings = &mut result.outcome.timings_ms;
        *timings = Timings { dns: Some(u32::MAX), total: u32::MAX, ..*timings };
        result.outcome.response_bytes = u64::MAX;
        result.outcome.ip = Some("2001:db8::1".parse().unwrap());
        result.outcome.certificate_expires_at = Some(DateTime::<Utc>::MIN_UTC);
        result.outcome.error.as_mut().unwrap().message = "꺼짐 ".repeat(1000);
        result.region = "서울".into();
        result.endpoint_id = i64::MAX;
        world.record(&[result]).await;
        let report = &world.get(ANN, "/public/v1/reports").await["items"][0];
        assert_eq!(report["timings_ms"]["total"], i32::MAX);
        assert_eq!(report["response_bytes"], i64::MAX);
        assert_eq!((&report["ip"], &report["region"]), (&json!("2001:db8::1"), &json!("서울")));
        assert!(report["error"]["message"].as_str().unwrap().len() <= 500);
    }

    async fn lists_are_filtered_and_paged(world: World) {
        let start = world.ago(50 * 3600);
        let batch: Vec<_> = (0..300)
            .map(|n| {
                let at = start + TimeDelta::seconds(n * 600);
                let endpoint = ANNS + n % 3;
                if n % 10 == 0 { down(endpoint, at) } else { up(endpoint, at, 5) }
            })
            .collect();
        world.record(&batch).await;
        for rolled in [false, true] {
            if rolled {
                world.tick("report-rollup").await;
            }
            let count = async |query: &str| {
                let list = world.get(ANN, &format!("/public/v1/reports?per_page=1&{query}")).await;
                list["page"]["total_count"].as_i64().unwrap()
            };
            assert_eq!(count("").await, 300);
            assert_eq!(count("endpoint_id=11").await, 100);
            assert_eq!(count("status=down").await, 30);
            assert_eq!(count("status=up&endpoint_id=10").await, 90);
            // Since noon two days ago, or the whole of the day before yesterday.
            assert_eq!(count("from=2026-02-27T12:00:00Z").await, 288);
            assert_eq!(count("from=2026-02-27T12:00:01Z").await, 287);
            assert_eq!(count("from=2026-02-28T02:34:00Z&to=2026-02-28T23:16:00Z").await, 124);
            assert_eq!(count("from=2026-02-28&to=2026-02-28").await, 144);
            assert_eq!(count("from=2026-02-28T09:00:00+09:00&to=2026-03-01T09:00:00%2B09:00").await, 144);
            assert_eq!(count("from=0001-01-01&to=9999-12-31").await, 300);
            assert_eq!(count("from=9998-01-01").await, 0);
            assert_eq!(count("endpoint_id=9223372036854775807").await, 0);

            let mut seen = Vec::new();
            for page in 1..=16 {
                let list = world.get(ANN, &format!("/public/v1/reports?page={page}&per_page=20")).await;
                seen.extend(list["items"].as_array().unwrap().iter().map(|r| r["checked_at"].as_str().unwrap().to_owned()));
            }
            assert_eq!(seen.len(), 300);
            assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "newest first, each once");
        }
    }

    async fn bad_filters_are_refused(world: World) {
        for (query, field) in [
            ("endpoint_id=x", "endpoint_id"),
            ("endpoint_id=-1", "endpoint_id"),
            ("endpoint_id=99999999999999999999", "endpoint_id"),
            ("from=yesterday", "from"),
            ("to=2026-02-30", "to"),
            ("from=2026-03-02&to=2026-03-01", "from"),
            ("status=broken", "status"),
            ("page=0", "page"),
            ("per_page=101", "per_page"),
        ] {
            let answer = world.refused(ANN, &format!("/public/v1/reports?{query}")).await.json(400);
            assert!(answer["fields"][field].is_string(), "{query}: {answer}");
        }
        assert_eq!(world.refused(ANN, "/public/v1/reports?from=%00").await.code(400), "MALFORMED_QUERY");
        assert_eq!(world.get(ANN, "/public/v1/reports?page=100000&per_page=100").await["items"], json!([]));
        for id in ["0", "-1", "x", "99999999999999999999", "%00"] {
            assert_eq!(world.refused(ANN, &format!("/public/v1/reports/{id}")).await.status, 400, "{id}");
        }
        for id in ["1", "9223372036854775807"] {
            assert_eq!(world.refused(ANN, &format!("/public/v1/reports/{id}")).await.code(404), "NOT_FOUND");
        }
    }

    async fn nobody_sees_anothers_results(world: World) {
        world.record(&[up(ANNS, world.ago(60), 5), up(BOBS, world.ago(60), 5)]).await;
        let bobs = world.get(BOB, "/public/v1/reports").await;
        assert_eq!(bobs["page"]["total_count"], 1);
        assert_eq!(bobs["items"][0]["endpoint_id"], BOBS);
        let id = &bobs["items"][0]["id"];
        assert_eq!(world.refused(ANN, &format!("/public/v1/reports/{id}")).await.code(404), "NOT_FOUND");
        let asked = world.get(ANN, &format!("/public/v1/reports?endpoint_id={BOBS}")).await;
        assert_eq!(asked["page"]["total_count"], 0);
        for path in [
            "/public/v1/reports".to_owned(),
            format!("/public/v1/reports/{id}"),
            "/public/v1/incidents".to_owned(),
            format!("/public/v1/summaries/{BOBS}"),
        ] {
            assert_eq!(world.call(None, "GET", &path, None).await.code(401), "NOT_LOGGED_IN");
        }
    }
}
