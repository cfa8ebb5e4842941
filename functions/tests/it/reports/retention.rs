//! Rollups, retention and partitions.

use super::*;

const DAYS: i64 = 86_400;

async fn partitions(world: &World) -> i64 {
    world.number("SELECT COUNT(*) FROM pg_inherits WHERE inhparent = 'report_results'::REGCLASS").await
}

on_both! {
    async fn a_rollup_is_replaced_never_added_to(world: World) {
        let hour = world.ago(7200);
        world.record(&[up(ANNS, hour, 100), up(ANNS, hour + TimeDelta::seconds(60), 300), down(ANNS, hour + TimeDelta::seconds(120))]).await;
        for _ in 0..3 {
            world.tick("report-rollup").await;
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM report_rollups").await, 1);
        assert_eq!(world.number("SELECT checks FROM report_rollups").await, 3);
        assert_eq!(world.number("SELECT sum_ms FROM report_rollups").await, 400);
        // A late result is included after the next run, even if it is delivered twice.
        world.record(&[up(ANNS, hour + TimeDelta::seconds(180), 50)]).await;
        world.record(&[up(ANNS, hour + TimeDelta::seconds(180), 50)]).await;
        assert_eq!(world.number("SELECT checks FROM report_rollups").await, 3);
        world.tick("report-rollup").await;
        assert_eq!(world.number("SELECT checks FROM report_rollups").await, 4);
        assert_eq!(world.number("SELECT min_ms FROM report_rollups").await, 50);
        assert_eq!(world.number("SELECT COUNT(*) FROM report_late_hours").await, 0);
    }

    async fn an_hour_that_cannot_be_read_keeps_no_other_from_its_day(world: World) {
        world.record(&[up(ANNS, world.ago(3601), 5), up(BOBS, world.ago(3601), 7)]).await;
        world.hours_pass(2);
        world.tick("report-rollup").await;
        let poison = "UPDATE report_rollups SET latency = 'x' WHERE series_id = (SELECT id FROM report_series WHERE endpoint_id = $1)";
        runtime::on!(world.context.db().unwrap().write(), db =>
            sqlx::query(poison).bind(BOBS).execute(db).await.map(drop)).unwrap();
        world.hours_pass(14);
        world.tick("report-rollup").await;
        assert_eq!(world.number("SELECT sum_ms FROM report_rollups WHERE span = 86400").await, 5);
    }

    async fn only_completed_hours_are_rolled_up(world: World) {
        // It is 12:00: the hour from 11:00 may still get results.
        world.record(&[up(ANNS, world.ago(1), 5), up(ANNS, world.ago(3601), 5)]).await;
        world.tick("report-rollup").await;
        assert_eq!(world.number("SELECT COUNT(*) FROM report_rollups").await, 1);
        world.clock().advance(Duration::from_secs(300));
        world.tick("report-rollup").await;
        assert_eq!(world.number("SELECT COUNT(*) FROM report_rollups").await, 2);
        // Shortly after midnight the day is complete.
        world.hours_pass(12);
        world.tick("report-rollup").await;
        assert_eq!(world.number("SELECT COUNT(*) FROM report_rollups WHERE span = 86400").await, 1);
        assert_eq!(world.number("SELECT checks FROM report_rollups WHERE span = 86400").await, 2);
        // A late result is added to the day too.
        world.record(&[up(ANNS, world.ago(20 * 3600), 5)]).await;
        world.tick("report-rollup").await;
        assert_eq!(world.number("SELECT checks FROM report_rollups WHERE span = 86400").await, 3);
    }

    async fn raw_results_go_after_their_rollup_only(world: World) {
        world.record(&[up(ANNS, world.ago(29 * DAYS), 5), up(ANNS, world.ago(0), 7)]).await;
        world.hours_pass(3 * 24);
        world.purge("report-purge").await;
        assert_eq!(world.results().await, 2, "not rolled up yet");
        world.tick("report-rollup").await;
        world.purge("report-purge").await;
        assert_eq!(world.results().await, 1);
        assert_eq!(world.get(ANN, "/public/v1/reports").await["page"]["total_count"], 1);
        // A result older than its retention is not stored again.
        world.record(&[up(ANNS, world.ago(32 * DAYS), 5)]).await;
        assert_eq!(world.results().await, 1);
        // The summary still includes it.
        let summary = world.get(ANN, &format!("/public/v1/summaries/{ANNS}?from=2026-01-01")).await;
        assert_eq!(summary["checks"], 2);

        world.hours_pass(400 * 24);
        world.tick("report-rollup").await;
        world.purge("report-purge").await;
        assert_eq!(world.results().await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM report_rollups WHERE span = 3600").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM report_rollups WHERE span = 86400").await, 2);
        let summary = world.get(ANN, &format!("/public/v1/summaries/{ANNS}?from=2026-01-01&to=2026-02-10")).await;
        assert_eq!((&summary["checks"], &summary["latency_ms"]["max"]), (&json!(1), &json!(5)));
        world.hours_pass(1900 * 24);
        world.purge("report-purge").await;
        assert_eq!(world.number("SELECT COUNT(*) FROM report_rollups").await, 0);
    }

    async fn a_clock_that_jumps_ahead_and_back_loses_nothing(world: World) {
        let hours = "SELECT CAST(COALESCE(SUM(checks), 0) AS BIGINT) FROM report_rollups WHERE span = 3600";
        let work = async || {
            world.tick("report-rollup").await;
            world.tick("report-purge").await;
        };
        work().await;
        world.hours_pass(25);
        world.record(&[up(ANNS, world.ago(20 * DAYS), 5), up(ANNS, world.ago(60), 5)]).await;
        work().await;
        let right = world.clock().now();
        world.hours_pass(100 * 24);
        work().await;
        // A result from before that was still under way, and checks made meanwhile.
        world.record(&[up(11, right, 5), up(11, world.ago(60), 5)]).await;
        world.hours_pass(1);
        work().await;
        world.clock().set(right + TimeDelta::minutes(61));
        world.record(&[up(ANNS, world.ago(120), 5)]).await;
        work().await;
        world.hours_pass(1);
        world.record(&[up(ANNS, world.ago(120), 5)]).await;
        world.hours_pass(2);
        work().await;
        assert_eq!((world.results().await, world.number(hours).await), (6, 6));
        // A month later the single results are deleted, but stay in the sums.
        for _ in 0..40 {
            world.hours_pass(24);
            work().await;
        }
        assert_eq!((world.results().await, world.number(hours).await), (1, 6));
        let summary = world.get(ANN, &format!("/public/v1/summaries/{ANNS}?from=2026-01-01")).await;
        assert_eq!(summary["checks"], 4);
    }

    async fn a_machine_that_was_off_purges_within_a_day(world: World) {
        world.record(&[up(ANNS, world.ago(0), 5)]).await;
        world.purge("report-purge").await;
        world.hours_pass(100 * 24);
        world.tick("report-rollup").await;
        for (hours, left) in [(0, 1), (23, 1), (1, 0)] {
            world.hours_pass(hours);
            world.tick("report-purge").await;
            assert_eq!(world.results().await, left);
        }
    }

    async fn what_is_remembered_of_deletions_is_forgotten_after_ninety_days(world: World) {
        let deleted = EndpointDeleted { endpoint_id: ANNS, user_id: ANN };
        world.event("report-forget", kind::ENDPOINT_DELETED, "d/1", &deleted).await.json(202);
        for (days, left) in [(89, 1), (2, 0)] {
            world.hours_pass(days * 24);
            world.purge("report-purge").await;
            assert_eq!(world.number("SELECT COUNT(*) FROM report_tombstones").await, left);
        }
    }

    async fn results_on_both_sides_of_midnight(world: World) {
        // From 23:59:58 on, one a second.
        let start = world.ago(12 * 3600 + 2);
        let batch: Vec<_> = (0..4).map(|n| up(ANNS, start + TimeDelta::seconds(n), 5)).collect();
        world.record(&batch).await;
        world.record(&batch).await;
        assert_eq!(world.results().await, 4);
        let list = world.get(ANN, "/public/v1/reports?to=2026-02-28").await;
        assert_eq!(list["page"]["total_count"], 2);
        assert_eq!(world.get(ANN, "/public/v1/reports?from=2026-03-01").await["page"]["total_count"], 2);
        for report in world.get(ANN, "/public/v1/reports").await["items"].as_array().unwrap() {
            world.get(ANN, &format!("/public/v1/reports/{}", report["id"])).await;
        }
    }
}

#[tokio::test]
async fn a_partition_a_day_and_dropped_whole() {
    let world = World::with(Database::Postgres, [("RETENTION_RAW_DAYS", "2")]).await;
    assert_eq!(partitions(&world).await, 0);
    let batch: Vec<_> = (0..3).map(|day| up(ANNS, world.ago(day * DAYS), 5)).collect();
    // Recorders in other processes, at the same time.
    let others: Vec<_> = (0..4).map(|_| world.another_process()).collect();
    let deliveries = others.iter().map(|other| async {
        let event = runtime::Outgoing::new("test", kind::CHECK_COMPLETED, "r/1", world.clock().now(), &batch);
        let request = event.unwrap().into_request().unwrap().map(axum::body::Body::from);
        let function = functions::find("report-record").unwrap();
        tower::ServiceExt::oneshot(runtime::serve::router(function, other), request).await.unwrap().status()
    });
    assert!(futures::future::join_all(deliveries).await.iter().all(|status| status.is_success()));
    assert_eq!((partitions(&world).await, world.results().await), (3, 3));
    world.clock().advance(Duration::from_secs(300));
    world.tick("report-rollup").await;
    assert_eq!(partitions(&world).await, 6, "those of the next days are there before they begin");
    world.hours_pass(24);
    world.purge("report-purge").await;
    assert_eq!((partitions(&world).await, world.results().await), (5, 2));
}

/// `pg_dump`, which reads until its output is consumed, and holds its locks until then.
async fn begin_dump(world: &World) -> tokio::process::Child {
    // More than a pipe's buffer.
    const LARGE: &str = "INSERT INTO dead_letters (source, event_id, kind, destination, headers, body, received_at)
        SELECT '', n::TEXT, '', '', '[]', convert_to(repeat('x', 100000), 'UTF8'), now() FROM generate_series(1, 20) AS n";
    const LOCKS: &str = "SELECT COUNT(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'pg_dump' AND datname = current_database()
            AND relation = 'report_results'::REGCLASS AND granted";
    let pool = world.pool();
    sqlx::query(LARGE).execute(pool).await.unwrap();
    let url = world.context.env().get("DATABASE_URL").unwrap();
    let mut command = tokio::process::Command::new(crate::world::postgres_program("pg_dump"));
    command.args(["--dbname", url]).stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let dump = command.spawn().unwrap();
    while sqlx::query_scalar::<_, i64>(LOCKS).fetch_one(pool).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    dump
}

#[tokio::test]
async fn a_backup_keeps_nothing_from_being_recorded() {
    let world = World::with(Database::Postgres, [("RETENTION_RAW_DAYS", "2")]).await;
    world.record(&[up(ANNS, world.ago(0), 5), up(ANNS, world.ago(2 * DAYS), 5)]).await;
    world.hours_pass(24);
    let dump = begin_dump(&world).await;
    let began = std::time::Instant::now();
    // A day without a partition.
    world.record(&[up(ANNS, world.ago(0), 5)]).await;
    world.tick("report-rollup").await;
    assert_eq!((partitions(&world).await, world.results().await), (6, 3));
    let recording = async {
        for second in 1..20 {
            world.record(&[up(ANNS, world.ago(second), 5)]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(world.purge("report-purge"), recording);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!((partitions(&world).await, world.results().await), (6, 22), "not dropped");
    let written = dump.wait_with_output().await.unwrap();
    assert!(written.status.success() && written.stdout.len() > 2_000_000);
    world.purge("report-purge").await;
    assert_eq!((partitions(&world).await, world.results().await), (5, 21));
}

#[tokio::test]
async fn sqlites_file_shrinks_after_a_purge() {
    const LARGE: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 400)
        INSERT INTO dead_letters (source, event_id, kind, destination, headers, body, received_at)
        SELECT '', n, '', '', '[]', ZEROBLOB(100000), '' FROM n";
    let world = World::new(Database::Sqlite).await;
    let path = world.context.env().get("DATABASE_URL").unwrap().strip_prefix("sqlite:").unwrap().to_owned();
    let megabytes = || std::fs::metadata(&path).unwrap().len() / 1_000_000;
    world.set(LARGE).await;
    world.record(&[up(ANNS, world.ago(0), 5)]).await;
    world.purge("report-purge").await;
    assert!(megabytes() >= 40, "{}", megabytes());
    world.set("DELETE FROM dead_letters WHERE id % 4 <> 0").await;
    let recording = async {
        for second in 1..50 {
            let began = std::time::Instant::now();
            world.record(&[up(ANNS, world.ago(second), 5)]).await;
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        }
    };
    tokio::join!(world.purge("report-purge"), recording);
    world.purge("report-purge").await;
    assert!((10..15).contains(&megabytes()), "{}", megabytes());
    assert_eq!(world.results().await, 50);
}
