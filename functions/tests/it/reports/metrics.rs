//! The newest results, as Prometheus reads them.

use futures::StreamExt;

use super::*;
use crate::world::GATEWAY_TOKEN;

async fn add(world: &World, user: i64, name: &str, tags: Value) -> i64 {
    let new = json!({"name": name, "url": "http://shop.test/", "tags": tags});
    world.call(Some(user), "POST", "/public/v1/endpoints", Some(new)).await.json(201)["id"].as_i64().unwrap()
}

async fn metrics(world: &World, user: Option<i64>) -> String {
    let path = if user.is_some() { "/public/v1/metrics" } else { "/private/v1/metrics" };
    let answer = world.call(user, "GET", path, None).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["content-type"]),
        (200, &"text/plain; version=0.0.4".parse().unwrap())
    );
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// The value of the only series that begins with this.
#[track_caller]
fn value(text: &str, series: &str) -> String {
    let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(series)).collect();
    assert_eq!(found.len(), 1, "{series}: {text}");
    found[0].rsplit(' ').next().unwrap().to_owned()
}

fn of(result: CheckResult, user_id: i64) -> CheckResult {
    CheckResult { user_id, ..result }
}

on_both! {
    async fn each_is_told_of_what_is_ones_own(world: World) {
        assert_eq!(metrics(&world, Some(ANN)).await, "");
        let shop = add(&world, ANN, r#"The "shop" \ 상점"#, json!(["web", "eu"])).await;
        let bare = add(&world, BOB, "Bare", json!([])).await;
        let mut secure = up(shop, world.ago(30), 123);
        secure.outcome.timings_ms.tls = Some(4);
        world.record(&[
            of(down(shop, world.ago(90)), ANN), of(secure, ANN),
            of(down(bare, world.ago(60)), BOB),
        ]).await;
        let seen = metrics(&world, Some(ANN)).await;
        let id = format!(r#"id="{shop}",name="The \"shop\" \\ 상점",region="seoul",tags="eu,web",user="{ANN}""#);
        assert_eq!(seen, format!(r#"# HELP probe_success Whether the check succeeded
# TYPE probe_success gauge
probe_success{{{id}}} 1
# HELP probe_duration_seconds How long the check took
# TYPE probe_duration_seconds gauge
probe_duration_seconds{{{id}}} 0.123
# HELP probe_dns_lookup_time_seconds How long it took to resolve names
# TYPE probe_dns_lookup_time_seconds gauge
probe_dns_lookup_time_seconds{{{id}}} 0.001
# HELP probe_http_duration_seconds How long each phase took, summed over redirects
# TYPE probe_http_duration_seconds gauge
probe_http_duration_seconds{{{id},phase="resolve"}} 0.001
probe_http_duration_seconds{{{id},phase="connect"}} 0.002
probe_http_duration_seconds{{{id},phase="tls"}} 0.004
probe_http_duration_seconds{{{id},phase="processing"}} 0.003
probe_http_duration_seconds{{{id},phase="transfer"}} 0
# HELP probe_http_status_code Status of the response, 0 if there was none
# TYPE probe_http_status_code gauge
probe_http_status_code{{{id}}} 200
# HELP probe_http_ssl Whether the response came by TLS
# TYPE probe_http_ssl gauge
probe_http_ssl{{{id}}} 1
# HELP probe_ssl_earliest_cert_expiry When the first certificate of the server's chain expires, in Unix time
# TYPE probe_ssl_earliest_cert_expiry gauge
probe_ssl_earliest_cert_expiry{{{id}}} 1800000000
# HELP probe_ip_protocol 4 or 6: which kind of address answered; 0 if none did
# TYPE probe_ip_protocol gauge
probe_ip_protocol{{{id}}} 4
"#));

        let bobs = metrics(&world, Some(BOB)).await;
        let series = |name: &str| format!(r#"{name}{{id="{bare}",name="Bare",region="seoul",tags="",user="{BOB}""#);
        for name in ["probe_success", "probe_http_status_code", "probe_http_ssl", "probe_ip_protocol"] {
            assert_eq!(value(&bobs, &series(name)), "0", "{name}");
        }
        assert_eq!(value(&bobs, &series("probe_duration_seconds")), "10");
        assert!(!bobs.contains("cert_expiry") && !bobs.contains("상점"), "{bobs}");
        let all = metrics(&world, None).await;
        assert_eq!(value(&all, "probe_success{id=\"1\""), "1");
        assert_eq!(value(&all, "probe_success{id=\"2\""), "0");
        assert_eq!(world.call(None, "GET", "/public/v1/metrics", None).await.status, 401);
    }

    async fn what_is_not_watched_now_is_not_told(world: World) {
        let (kept, paused, gone) = (
            add(&world, ANN, "Kept", json!([])).await,
            add(&world, ANN, "Paused", json!([])).await,
            add(&world, ANN, "Gone", json!([])).await,
        );
        // They are not checked.
        world.events.lock().unwrap().clear();
        let results = [kept, paused, gone].map(|id| of(up(id, world.ago(0), 10), ANN));
        world.record(&results).await;
        // The same endpoint from another region, and a result that names another user.
        let elsewhere = CheckResult { region: "tokyo".into(), ..results[0].clone() };
        let foreign = CheckResult { region: "mars".into(), ..of(results[0].clone(), BOB) };
        world.record(&[elsewhere, foreign]).await;
        let path = |id: i64| format!("/public/v1/endpoints/{id}");
        world.call(Some(ANN), "PATCH", &path(paused), Some(json!({"enabled": false}))).await.json(200);
        world.call(Some(ANN), "DELETE", &path(gone), None).await.json(204);
        world.settle().await;
        let told = async || {
            let text = metrics(&world, Some(ANN)).await;
            let names = ["Kept", "Paused", "Gone", "tokyo", "mars"].map(|name| text.contains(name));
            (names, text.lines().filter(|line| line.starts_with("probe_success")).count())
        };
        assert_eq!(told().await, ([true, false, false, true, false], 2));
        // Three intervals of a minute, and ten minutes of grace.
        world.clock().advance(Duration::from_secs(780));
        assert_eq!(told().await.1, 2);
        world.clock().advance(Duration::from_secs(1));
        assert_eq!(told().await, ([false; 5], 0));
    }

    async fn there_may_be_more_than_one_page(world: World) {
        let insert = "INSERT INTO endpoints (user_id, name, url, kind, config, interval_seconds, timeout_ms,
                assertions, retries, failure_threshold,
                success_threshold, enabled, tags, status, next_check_at, created_at, updated_at)
            SELECT user_id, name, url, kind, config, interval_seconds, timeout_ms, assertions, retries, failure_threshold, success_threshold, enabled, tags, status,
                next_check_at, created_at, updated_at FROM endpoints";
        add(&world, ANN, "One", json!([])).await;
        for _ in 0..11 {
            let db = world.context.db().unwrap();
            runtime::on!(db.write(), db => sqlx::query(insert).execute(db).await.map(drop)).unwrap();
        }
        let results: Vec<_> = (1..=2048).map(|id| of(up(id, world.ago(0), 10), ANN)).collect();
        world.record(&results).await;
        let text = metrics(&world, Some(ANN)).await;
        let mut ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("probe_success{id=\"")).collect();
        ids.dedup();
        assert_eq!(ids.len(), 2048);
    }

    async fn what_cannot_be_asked_is_an_error(world: World) {
        add(&world, ANN, "One", json!([])).await;
        world.stand_in("endpoint-private-list", |_| (500, Value::Null));
        assert!(world.call(Some(ANN), "GET", "/public/v1/metrics", None).await.status.is_server_error());
    }
}

/// Reads the metrics as Prometheus does, part by part.
#[tokio::test]
async fn all_endpoints_metrics_come_in_parts() {
    use std::sync::atomic::{AtomicI64, Ordering};
    static ASKED: AtomicI64 = AtomicI64::new(0);
    static PAGES: AtomicI64 = AtomicI64::new(3);
    const PAGE_LEN: i64 = 1000;
    let world = World::new(Database::Sqlite).await;
    world.stand_in("endpoint-private-list", |path| {
        let after: i64 = path.rsplit('=').next().unwrap().parse().unwrap();
        ASKED.fetch_add(1, Ordering::SeqCst);
        if after >= PAGE_LEN * PAGES.load(Ordering::SeqCst) {
            return if PAGES.load(Ordering::SeqCst) == 3 {
                (200, json!({"items": []}))
            } else {
                (503, json!({}))
            };
        }
        let endpoint =
            |id| json!({"id": id, "user_id": ANN, "name": "n", "tags": [], "interval_seconds": 60});
        (200, json!({"items": (after + 1..=after + PAGE_LEN).map(endpoint).collect::<Vec<_>>()}))
    });
    let results: Vec<_> = (1..=3 * PAGE_LEN).map(|id| of(up(id, world.ago(0), 10), ANN)).collect();
    world.record(&results).await;
    let ask = async || {
        let function = functions::find("report-metrics").unwrap();
        let router = runtime::serve::router(function, world.context_of("report-metrics"));
        let request = http::Request::get("/private/v1/metrics").body(axum::body::Body::empty()).unwrap();
        tower::ServiceExt::oneshot(router, request).await.unwrap().into_body().into_data_stream()
    };
    let mut body = ask().await;
    let mut parts = vec![body.next().await.unwrap().unwrap()];
    assert_eq!(ASKED.load(Ordering::SeqCst), 1, "the first part is there before the second page");
    while let Some(part) = body.next().await {
        parts.push(part.unwrap());
    }
    assert!(parts.len() > 40 && parts.iter().all(|part| part.len() < 300_000), "{}", parts.len());
    let text = String::from_utf8(parts.concat()).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("probe_success{")).count(), 3000);
    assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE ")).count(), 8);
    // A later failure aborts the answer: it must not look complete.
    PAGES.store(2, Ordering::SeqCst);
    let parts: Vec<_> = ask().await.collect().await;
    assert!(parts.iter().rev().skip(1).all(Result::is_ok) && parts.last().unwrap().is_err());
}

#[tokio::test]
async fn one_user_has_a_few_answers_under_way() {
    let world = World::new(Database::Sqlite).await;
    let ask = async |user: i64| {
        let function = functions::find("report-metrics").unwrap();
        let router = runtime::serve::router(function, world.context_of("report-metrics"));
        let request = http::Request::get("/public/v1/metrics")
            .header("x-gateway-token", GATEWAY_TOKEN)
            .header("x-consumer-custom-id", user)
            .header("x-credential-identifier", "a-credential");
        let request = request.body(axum::body::Body::empty()).unwrap();
        tower::ServiceExt::oneshot(router, request).await.unwrap()
    };
    let mut held = Vec::new();
    for status in [200, 200, 200, 200, 429] {
        held.push(ask(ANN).await);
        assert_eq!(held.last().unwrap().status(), status);
    }
    assert_eq!(ask(BOB).await.status(), 200);
    // A finished answer makes room.
    held.remove(0).into_body().into_data_stream().collect::<Vec<_>>().await;
    assert_eq!(ask(ANN).await.status(), 200);
}
