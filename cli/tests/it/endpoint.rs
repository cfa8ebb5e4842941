//! `pong endpoint`.

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_verb() {
    let world = World::new().await;
    let said = world.says("endpoint list").await;
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert!(said.err.contains("pong endpoint add"), "{}", said.err);

    let url = format!("{}/health", world.url);
    let add = world.pong([
        "endpoint",
        "add",
        &url,
        "--name",
        "Shop front",
        "--interval",
        "30",
        "--method",
        "post",
        "--body",
        "{}",
        "--header",
        "Accept: text/plain",
        "--timeout",
        "5000",
        "--expected-status",
        "200-299",
        "--retries",
        "0",
        "--failure-threshold",
        "3",
        "--success-threshold",
        "2",
        "--tags",
        "shop,web",
        "--follow-redirects",
        "false",
        "--verify-tls",
        "false",
        "--legacy-tls",
        "true",
        "--contains",
        "ok",
        "--lacks",
        "no",
        "--matches",
        "^o",
        "--assert",
        "json $.a.b >= 3",
        "--assert",
        "header content-type contains text",
        "--assert",
        "total_ms < 900",
        "--paused",
        "--output",
        "json",
    ]);
    let made: serde_json::Value = serde_json::from_str(&world.run(add, "").await.does()).unwrap();
    for (field, value) in [
        ("name", "\"Shop front\""),
        ("method", "\"POST\""),
        ("body", "\"{}\""),
        ("headers", r#"{"Accept":"text/plain"}"#),
        ("interval_seconds", "30"),
        ("timeout_ms", "5000"),
        ("expected_status", "\"200-299\""),
        ("follow_redirects", "false"),
        ("verify_tls", "false"),
        ("legacy_tls", "true"),
        ("retries", "0"),
        ("failure_threshold", "3"),
        ("success_threshold", "2"),
        ("enabled", "false"),
        ("status", "\"paused\""),
        ("tags", r#"["shop","web"]"#),
    ] {
        assert_eq!(made[field].to_string(), value, "{field}");
    }
    assert_eq!(made["assertions"].as_array().unwrap().len(), 6);
    assert_eq!(made["assertions"][3]["comparison"], "greater_or_equal");

    world.does("endpoint add https://example.com/ --name Blog --paused").await;
    assert_eq!(world.json("endpoint show Blog").await["id"], 2);
    assert_eq!(world.json("endpoint show 2").await["name"], "Blog");
    let edit = world.pong([
        "endpoint",
        "edit",
        "Blog",
        "--name",
        "News",
        "--interval",
        "120",
        "--url",
        "https://example.com/news",
    ]);
    assert_eq!(world.run(edit, "").await.does(), "Changed endpoint News (2)\n");
    let news = world.json("endpoint show News").await;
    assert_eq!((&news["interval_seconds"], &news["url"]), (&120.into(), &"https://example.com/news".into()));
    world.does("endpoint edit News --reset interval_seconds,tags").await;
    assert_eq!(world.json("endpoint show News").await["interval_seconds"], 60);
    world.says("endpoint edit News").await.fails(2, &["nothing to change was given"]);

    assert_eq!(world.does("endpoint resume News").await, "Resumed endpoint News (2)\n");
    assert_eq!(world.json("endpoint show News").await["enabled"], true);
    world.does("endpoint pause News").await;
    assert_eq!(world.json("endpoint list --status paused").await.as_array().unwrap().len(), 2);
    assert_eq!(world.json("endpoint list --tag shop").await[0]["name"], "Shop front");
    assert_eq!(world.json("endpoint list news").await[0]["name"], "News");
    assert_eq!(world.json("endpoint list --sort -name").await[0]["name"], "Shop front");
    assert_eq!(world.json("endpoint list --limit 1").await.as_array().unwrap().len(), 1);

    world.says("endpoint rm News").await.fails(2, &["Delete endpoint News (2)?", "--yes"]);
    world.says("endpoint rm News Nobody --yes").await.fails(6, &["there is no endpoint `Nobody`"]);
    assert_eq!(world.does("endpoint rm News --yes").await, "Deleted endpoint News (2)\n");
    world.says("endpoint show News").await.fails(6, &["there is no endpoint `News`", "pong endpoint list"]);
    world.says("endpoint show 999").await.fails(6, &["there is no endpoint `999`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acceptable_is_told_by_field() {
    let world = World::new().await;
    let refused = world.says("endpoint add ftp://example.com --interval 5 --timeout 1").await;
    refused
        .fails(2, &["error: ", "  interval_seconds: must be from 10 to 86400", "  timeout_ms: ", "  url: "]);
    world
        .says("endpoint add https://example.com --assert nonsense")
        .await
        .fails(2, &["a condition is written with blanks"]);
    world.says("endpoint add").await.fails(2, &["Usage: pong endpoint add"]);
    world.says("endpoint add https://example.com --body @/nowhere").await.fails(2, &["/nowhere"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_one_name_are_told_apart_by_id() {
    let world = World::new().await;
    for _ in 0..2 {
        world.does("endpoint add https://example.com/ --name Twin --paused").await;
    }
    world.says("endpoint rm Twin --yes").await.fails(2, &["there are 2 of endpoint `Twin`", "1, 2"]);
    world.does("endpoint rm 1 --yes").await;
    world.does("endpoint rm Twin --yes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_fetched() {
    let world = World::new().await;
    let list: String = (0..230)
        .map(|n| format!("- {{name: e{n:03}, url: 'https://example.com/{n}', enabled: false}}\n"))
        .collect();
    let file = world.write("many.yaml", &format!("endpoints:\n{list}"));
    world.does(&format!("apply -f {}", file.display())).await;
    assert_eq!(world.json("endpoint list").await.as_array().unwrap().len(), 230);
    assert_eq!(world.json("endpoint list --limit 150").await.as_array().unwrap().len(), 150);
}
