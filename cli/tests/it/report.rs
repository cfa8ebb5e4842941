//! `pong report` and `pong incident`.

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn results_are_listed_shown_and_summed_up() {
    let world = World::new().await;
    world.does(&format!("endpoint add {}/health --name Self", world.url)).await;
    let list = world.until("report list", |list| list[0].is_object()).await;
    assert_eq!((&list[0]["endpoint_name"], &list[0]["status"]), (&"Self".into(), &"up".into()));
    let table = world.does("report list --endpoint Self --status up --limit 1").await;
    assert!(table.starts_with("WHEN") && table.contains("Self") && table.contains("200"), "{table}");
    let csv = world.does("report list --output csv").await;
    assert!(csv.starts_with("id,checked_at,endpoint_name,endpoint_id,status,"), "{csv}");
    assert!(csv.contains("timings_ms.first_byte"), "{csv}");
    let id = &list[0]["id"];
    assert_eq!(world.json(&format!("report show {id}")).await["status_code"], 200);
    world.says("report list --range soon").await.fails(2, &["no span of time"]);
    world.says("report list --from nonsense").await.fails(2, &["from"]);
    assert_eq!(world.json("report list --from 2020-01-01 --to 2020-01-02").await, serde_json::json!([]));

    let summary = world.does("report summary Self").await;
    for part in [
        "Self  http://",
        "uptime   100 % (",
        "latency  avg ",
        "apdex    1.000",
        "course   ",
        "checks   ",
        "┃",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    // The height depends on the response time: a quick answer may take less than a millisecond.
    assert!(summary.contains(['▁', '█']), "{summary}");
    assert_eq!(world.json("report summary Self --range 7d").await["uptime_percent"], 100.0);
    let points = world.does("report summary Self --output csv").await;
    assert!(points.starts_with("at,checks,up,degraded,avg_ms") && points.lines().count() == 2, "{points}");
    let said = world.says("incident list --open").await;
    assert_eq!((said.code, said.err.as_str()), (0, "There was no outage\n"));
    assert_eq!(world.json("incident list --endpoint Self").await, serde_json::json!([]));
}
