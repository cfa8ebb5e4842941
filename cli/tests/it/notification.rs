//! `pong notification`.

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_verb() {
    let world = World::new().await;
    world.does("endpoint add https://example.com/ --name Shop --paused").await;
    assert!(world.says("notification list").await.err.contains("pong notification add"));
    let mail = world.says("notification add email mail --to me@example.com,you@example.com").await;
    assert_eq!(mail.out, "Added notification mail (1)\n");
    for part in [
        "SMTP_URL is not set",
        "mail (1): me@example.com is not confirmed",
        "you@example.com is not confirmed",
    ] {
        assert!(mail.err.contains(part), "{part} is missing: {}", mail.err);
    }
    world.does("notification add slack chat --webhook-url https://hooks.slack.com/services/T/B/x --endpoints Shop").await;
    world.does("notification add slack bot --channel #ops --token xoxb-1234567890-abcd").await;
    let hook = world.says("notification add webhook hook --url https://example.com/hook").await;
    assert!(
        hook.err.contains("is not shown again") && hook.out.lines().nth(1).unwrap().starts_with("whsec_"),
        "{}",
        hook.out
    );

    let list = world.json("notification list").await;
    assert_eq!(list.as_array().unwrap().len(), 4);
    assert_eq!(
        (&list[1]["endpoint_ids"], &list[0]["endpoint_ids"]),
        (&serde_json::json!([1]), &serde_json::Value::Null)
    );
    assert_eq!(list[0]["addresses"]["you@example.com"], "unconfirmed");
    let table = world.says("notification list").await;
    assert!(table.err.contains("you@example.com is not confirmed"), "{}", table.err);
    let table = table.does();
    assert!(table.contains("all") && !table.contains("1234567890"), "{table}");
    world.says("notification add slack wrong --channel #ops").await.fails(2, &["config.token"]);
    world.says("notification add email wrong --to nobody").await.fails(2, &["config.to[0]"]);
    world
        .says("notification add email wrong --url https://x.test")
        .await
        .fails(2, &["--url is no field of email", "--to"]);
    world
        .says("notification add fax wrong --set to=1")
        .await
        .fails(2, &["there is no kind `fax`", "discord"]);
    let kinds = world.does("notification kinds").await;
    assert!(kinds.contains("discord") && kinds.contains("webhook_url"), "{kinds}");

    world.does("notification edit bot --channel #alerts --endpoints Shop").await;
    let bot = world.json("notification show bot").await;
    assert_eq!(
        (&bot["config"]["channel"], &bot["config"]["token"]),
        (&"#alerts".into(), &"xoxb-…abcd".into())
    );
    world.does("notification edit bot --all-endpoints --enabled false --name robot").await;
    let robot = world.json("notification show robot").await;
    assert_eq!((&robot["endpoint_ids"], &robot["enabled"]), (&serde_json::Value::Null, &false.into()));
    world.does("notification edit robot --webhook-url https://hooks.slack.com/services/T/B/y --channel= --token=").await;
    assert!(world.json("notification show robot").await["config"].get("token").is_none());
    world.says("notification edit robot").await.fails(2, &["nothing to change was given"]);

    world
        .says("notification test mail")
        .await
        .fails(1, &["the test failed: Not sent to m…@example.com (not confirmed)"]);
    world.says("notification test 99").await.fails(6, &["there is no notification `99`"]);
    assert!(world.says("notification deliveries").await.err.contains("Nothing was sent yet"));
    assert_eq!(
        world.json("notification deliveries --status failed --endpoint Shop --notification mail").await,
        serde_json::json!([])
    );
    world.says("notification retry 1").await.fails(6, &["error: "]);
    assert_eq!(
        world.does("notification rm hook chat --yes").await,
        "Deleted notification hook (4)\nDeleted notification chat (2)\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_seen_and_tried_again() {
    let world = World::new().await;
    let refusing = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.does(&format!("notification add webhook hook --url http://{refusing}/")).await;
    world.says("notification test hook").await.fails(1, &["the test failed: "]);
}
