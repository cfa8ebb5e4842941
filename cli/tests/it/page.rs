//! Public objects: status pages, announcements and badges; and planned maintenance.

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_what_is_said_on_them() {
    let world = World::new().await;
    world.does("endpoint add https://example.com/ --name Web --paused").await;
    let add = world.pong([
        "status-page",
        "add",
        "My shop",
        "--slug",
        "shop",
        "--description",
        "All of it",
        "--group",
        "Front=Web",
    ]);
    assert_eq!(world.run(add, "").await.does(), format!("Made shop (1): {}/status/shop\n", world.url));
    let page = world.json("status-page show shop").await;
    assert_eq!(
        (&page["title"], &page["groups"]),
        (&"My shop".into(), &serde_json::json!([{"name": "Front", "endpoint_ids": [1]}]))
    );
    world.says("status-page add Other --slug shop").await.fails(1, &["error: "]);
    world.does("status-page edit shop --title Store --published false").await;
    let list = world.json("status-page list").await;
    assert_eq!((&list[0]["title"], &list[0]["published"]), (&"Store".into(), &false.into()));
    world.says("status-page edit shop").await.fails(2, &["nothing to change was given"]);

    let add = world.pong([
        "announcement",
        "add",
        "shop",
        "Slow today",
        "--text",
        "We know",
        "--severity",
        "warning",
        "--until",
        "in 2h",
    ]);
    assert_eq!(world.run(add, "").await.does(), "Announced Slow today (1)\n");
    world.does("announcement edit 1 --severity critical").await;
    assert_eq!(world.json("announcement list --page shop").await[0]["severity"], "critical");
    world.does("announcement rm 1 --yes").await;
    world.says("announcement list").await.does();
    world.does("status-page rm shop --yes").await;
    assert_eq!(world.json("status-page list").await, serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn badges_are_made_and_taken_back() {
    let world = World::new().await;
    world.does("endpoint add https://example.com/ --name Web --paused").await;
    let urls = world.does("badge add Web").await;
    let token = world.json("badge list").await[0]["token"].as_str().unwrap().to_owned();
    assert_eq!(urls.lines().next().unwrap(), format!("{}/badges/{token}/status.svg", world.url));
    assert!(world.does("badge add Web --as markdown").await.starts_with("![status of Web](http://"));
    assert!(world.does("badge add Web --as html").await.contains("alt=\"uptime of Web\""));
    world.does("badge rm Web").await;
    world.says("badge rm Web").await.fails(6, &["Web has no badge"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_planned_ended_and_forgotten() {
    let world = World::new().await;
    world.does("endpoint add https://example.com/ --name Web --paused").await;
    let add = world.pong([
        "maintenance",
        "add",
        "Database",
        "--from",
        "in 1h",
        "--for",
        "30m",
        "--endpoints",
        "Web",
    ]);
    assert!(world.run(add, "").await.does().starts_with("Planned Database (1), until "));
    let list = world.json("maintenance list --status scheduled").await;
    assert_eq!(
        (&list[0]["status"], &list[0]["endpoint_ids"]),
        (&"scheduled".into(), &serde_json::json!([1]))
    );
    world.says("maintenance end Database").await.fails(1, &["does not run now", "pong maintenance rm"]);
    world.does("maintenance rm Database --yes").await;
    world.says("maintenance add Database").await.fails(2, &["--until"]);
    world.says("maintenance add Database --for long").await.fails(2, &["no span of time"]);
}
