//! Summaries of an endpoint.

use super::*;

/// Two and a half days with a check a minute, some of them failed.
fn history(world: &World) -> Vec<CheckResult> {
    let minutes = 60 * 60_i64;
    (1..=minutes)
        .map(|n| {
            let at = world.ago(n * 60);
            let total = 40 + (n * 7919 % 997) as u32 + if n % 50 == 0 { 4000 } else { 0 };
            match n {
                n if n % 97 == 0 => down(ANNS, at),
                n if n % 31 == 0 => degraded(ANNS, at, total),
                _ => up(ANNS, at, total),
            }
        })
        .collect()
}

fn close(a: &Value, b: &Value, within: f64) -> bool {
    let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
    (a - b).abs() <= b.abs() * within
}

on_both! {
    async fn a_day_in_numbers(world: World) {
        let mut batch: Vec<_> = (1..=99).map(|n| up(ANNS, world.ago(n * 600), n as u32 * 10)).collect();
        batch.push(down(ANNS, world.ago(100 * 600)));
        world.record(&batch).await;
        let summary = world.get(ANN, &format!("/public/v1/summaries/{ANNS}")).await;
        assert_eq!((&summary["from"], &summary["to"]), (&json!("2026-02-28T12:00:00Z"), &json!("2026-03-01T12:00:00Z")));
        assert_eq!((&summary["checks"], &summary["up"], &summary["uptime_percent"]), (&json!(100), &json!(99), &json!(99.0)));
        let latency = &summary["latency_ms"];
        assert_eq!((&latency["avg"], &latency["min"], &latency["max"]), (&json!(500.0), &json!(10), &json!(990)));
        for (name, exact) in [("p50", 500), ("p90", 900), ("p95", 950), ("p99", 990)] {
            assert!(close(&latency[name], &json!(exact), 0.02), "{name}: {latency}");
        }
        // 50 satisfied, 49 tolerated, one down.
        assert!(close(&summary["apdex"], &json!(0.745), 0.02), "{}", summary["apdex"]);
        let strict = world.get(ANN, &format!("/public/v1/summaries/{ANNS}?apdex_ms=60000")).await;
        assert_eq!(strict["apdex"], 0.99);
        let series = summary["series"].as_array().unwrap();
        assert_eq!((summary["step_seconds"].as_i64(), series.len()), (Some(600), 100));
        assert_eq!(series[99], json!({
            "at": "2026-03-01T11:50:00Z", "checks": 1, "up": 1, "degraded": 0, "avg_ms": 10.0, "min_ms": 10, "max_ms": 10,
            "p50_ms": 10, "p95_ms": 10, "p99_ms": 10,
            "phases_ms": {"dns": 1.0, "connect": 2.0, "tls": null, "first_byte": 3.0, "transfer": 0.0},
        }));
        assert_eq!(series[0]["avg_ms"], Value::Null);
    }

    async fn rollups_tell_what_raw_results_tell(world: World) {
        for batch in history(&world).chunks(1000) {
            world.record(batch).await;
        }
        let path = format!("/public/v1/summaries/{ANNS}?from=2026-02-27&apdex_ms=300");
        let before = world.get(ANN, &path).await;
        assert!(before["degraded"].as_i64() > Some(50), "{before}");
        world.tick("report-rollup").await;
        assert!(world.number("SELECT COUNT(*) FROM report_rollups").await > 50);
        let after = world.get(ANN, &path).await;
        assert_eq!(before, after, "the same sketch of the same checks");
        // A year is read from days, hours and the remaining results; it contains the same checks.
        let year = world.get(ANN, &format!("/public/v1/summaries/{ANNS}?from=2025-03-01&apdex_ms=300")).await;
        assert_eq!((&year["checks"], &year["latency_ms"]["min"]), (&json!(3600), &before["latency_ms"]["min"]));
        assert_eq!((&year["latency_ms"]["p95"], &year["apdex"]), (&after["latency_ms"]["p95"], &after["apdex"]));
        // And close to the exact numbers.
        let mut exact: Vec<_> = history(&world).iter().filter(|r| r.outcome.status == CheckStatus::Up).map(|r| r.outcome.timings_ms.total).collect();
        exact.sort_unstable();
        for (name, part) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
            let rank = (exact.len() as f64 * part).ceil() as usize - 1;
            assert!(close(&after["latency_ms"][name], &json!(exact[rank]), 0.02), "{name} {after}");
        }
        assert!(after["series"].as_array().unwrap().len() <= 200);
    }

    async fn phases_are_the_same_before_and_after_rollups(world: World) {
        let batch: Vec<_> = (0..3 * 24).map(|n| {
            let mut result = up(ANNS, world.ago(n * 3600 + 1800), 100);
            let timings = &mut result.outcome.timings_ms;
            // Every third check is plain HTTP to an IP address.
            let tls = n % 3 > 0;
            *timings = Timings { dns: tls.then_some(6), tls: tls.then_some(30), first_byte: Some(40 + n as u32), ..*timings };
            if n % 8 == 7 { down(ANNS, world.ago(n * 3600 + 1800)) } else { result }
        }).collect();
        world.record(&batch).await;
        let path = format!("/public/v1/summaries/{ANNS}?from=2026-02-26T12:00:00Z");
        let before = world.get(ANN, &path).await;
        assert_eq!(before["series"][71]["phases_ms"]["first_byte"], 40.0);
        let day = format!("/public/v1/summaries/{ANNS}?from=2025-12-01&to=2026-02-28");
        let days_before = world.get(ANN, &day).await;
        assert_eq!(days_before["step_seconds"], 43_200);
        world.tick("report-rollup").await;
        assert_eq!((world.get(ANN, &path).await, world.get(ANN, &day).await), (before, days_before.clone()));
        let point = days_before["series"][1].clone();
        // From noon to midnight: 11 successful checks, 4 of them without DNS and TLS.
        assert_eq!((&point["at"], &point["checks"], &point["up"]), (&json!("2026-02-27T00:00:00Z"), &json!(12), &json!(11)));
        let phases = &point["phases_ms"];
        assert_eq!((&phases["connect"], &phases["transfer"]), (&json!(2.0), &json!(0.0)));
        assert_eq!((&phases["dns"], &phases["tls"]), (&json!(3.8), &json!(19.1)));
        let year = world.get(ANN, &format!("/public/v1/summaries/{ANNS}?from=2025-03-10")).await;
        assert_eq!(year["step_seconds"], 2 * 86_400);
        assert!(year["series"].as_array().unwrap().iter().all(|point| point["phases_ms"]["connect"] == 2.0), "{year}");
    }

    async fn regions_are_summed_together(world: World) {
        let mut tokyo = up(ANNS, world.ago(60), 30);
        tokyo.region = "tokyo".into();
        world.record(&[up(ANNS, world.ago(60), 10), tokyo]).await;
        let summary = world.get(ANN, &format!("/public/v1/summaries/{ANNS}")).await;
        assert_eq!((&summary["checks"], &summary["latency_ms"]["avg"]), (&json!(2), &json!(20.0)));
    }

    async fn bad_ranges_are_refused_and_far_ones_are_fine(world: World) {
        world.record(&[up(ANNS, world.ago(60), 10), up(BOBS, world.ago(60), 10)]).await;
        let path = format!("/public/v1/summaries/{ANNS}");
        for (query, field) in [
            ("from=x", "from"),
            ("to=32", "to"),
            ("from=2026-03-02&to=2026-03-01", "from"),
            ("apdex_ms=0", "apdex_ms"),
            ("apdex_ms=-1", "apdex_ms"),
            ("apdex_ms=99999999999", "apdex_ms"),
        ] {
            let answer = world.refused(ANN, &format!("{path}?{query}")).await.json(400);
            assert!(answer["fields"][field].is_string(), "{query}: {answer}");
        }
        for (query, checks) in [
            ("from=0001-01-01&to=9999-12-31", 1),
            ("from=9999-01-01", 0),
            ("to=0001-01-01", 0),
            ("from=2020-01-01&to=2020-01-02", 0),
        ] {
            assert_eq!(world.get(ANN, &format!("{path}?{query}")).await["checks"], checks, "{query}");
        }
        assert_eq!(world.refused(BOB, &path).await.code(404), "NOT_FOUND");
        assert_eq!(world.refused(ANN, "/public/v1/summaries/0").await.status, 400);
    }

    async fn before_the_first_result_the_endpoint_is_asked_for(world: World) {
        let other = world.another_process_with(|path| match path {
            "/private/v1/endpoint_briefs?ids=13" => Some(json!({"items": [], "found": []})),
            "/private/v1/endpoint_briefs?ids=12" => {
                let brief = json!({"id": 12, "user_id": ANN, "name": "n", "url": "u", "status": "pending",
                    "enabled": true, "revision": 1});
                Some(json!({"items": [brief], "found": [12]}))
            }
            _ => None,
        });
        let ask = async |user: i64, endpoint: i64| {
            let request = http::Request::get(format!("/public/v1/summaries/{endpoint}"))
                .header("x-gateway-token", crate::world::GATEWAY_TOKEN)
                .header("x-consumer-custom-id", user)
                .header("x-credential-identifier", "a-credential")
                .body(axum::body::Body::empty())
                .unwrap();
            let router = runtime::serve::router(functions::find("report-summary").unwrap(), &other);
            let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
            let status = response.status().as_u16();
            let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
            (status, serde_json::from_slice::<Value>(&body).unwrap())
        };
        let (status, summary) = ask(ANN, 12).await;
        assert_eq!((status, &summary["checks"], &summary["series"]), (200, &json!(0), &json!([])));
        assert_eq!((&summary["uptime_percent"], &summary["apdex"]), (&Value::Null, &Value::Null));
        assert_eq!(ask(BOB, 12).await.0, 404);
        assert_eq!(ask(ANN, 13).await.0, 404);
    }
}
