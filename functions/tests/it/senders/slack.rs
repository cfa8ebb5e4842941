use serde_json::json;

use super::{later, reported, request, send};
use crate::{
    listener::{Listener, nobody},
    world::{Database, World},
};

const TOKEN: &str = "xoxb-1-2-verysecret";

#[tokio::test]
async fn a_bot_posts_to_the_channel() {
    let slack = Listener::start(200, r#"{"ok":true}"#).await;
    let world = World::with(
        Database::Sqlite,
        [("SLACK_API_URL", slack.url.as_str()), ("CHECK_PRIVATE_NETWORKS", "deny")],
    )
    .await;
    let config = json!({"domain": "acme", "channel": "#ops", "token": TOKEN});
    let request = request(&world, "slack", config);
    assert_eq!(reported(&send(&world, &request).await), Ok(()));
    let asked = slack.asked();
    assert_eq!(
        (asked[0].path.as_str(), asked[0].header("authorization")),
        ("/chat.postMessage", "Bearer xoxb-1-2-verysecret")
    );
    let body = asked[0].json();
    assert_eq!(body["channel"], "#ops");
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("[down] Shop &lt;1&gt;: Expected status 200-399, got 503\n"), "{text}");

    slack.answers(200, r#"{"ok":false,"error":"invalid_auth"}"#);
    let error = reported(&send(&world, &request).await).unwrap_err();
    assert_eq!(error, "Slack refused the message: invalid_auth.");
    for (status, body) in [(429, ""), (500, ""), (200, r#"{"ok":false,"error":"ratelimited"}"#)] {
        slack.answers(status, body);
        let why = later(&send(&world, &request).await);
        assert!(!why.contains("verysecret"), "{why}");
    }
}

#[tokio::test]
async fn an_incoming_webhook_is_used_and_guarded() {
    let slack = Listener::start(200, "ok").await;
    let world = World::new(Database::Sqlite).await;
    let hook = |url: &str| json!({"webhook_url": format!("{url}/services/verysecret")});
    let request = request(&world, "slack", hook(&slack.url));
    assert_eq!(reported(&send(&world, &request).await), Ok(()));
    let asked = slack.asked();
    assert_eq!(
        (asked[0].path.as_str(), asked[0].headers.contains_key("authorization")),
        ("/services/verysecret", false)
    );
    slack.answers(404, "no_service");
    assert_eq!(
        reported(&send(&world, &request).await).unwrap_err(),
        "Slack refused the message: no_service."
    );
    slack.answers(302, "");
    assert!(reported(&send(&world, &request).await).is_err(), "no redirect is followed");
    assert_eq!(slack.asked().len(), 2);
    slack.answers(200, "ok");
    slack.answers_once(503);
    assert_eq!(reported(&send(&world, &request).await), Ok(()));
    assert_eq!(slack.asked().len(), 2, "it is tried again at once");
    let away = super::request(&world, "slack", hook(&nobody().await));
    assert_eq!(later(&send(&world, &away).await), "Slack could not be reached.");

    let careful = World::with(Database::Sqlite, [("CHECK_PRIVATE_NETWORKS", "deny")]).await;
    let request = super::request(&careful, "slack", hook(&slack.url));
    let error = reported(&send(&careful, &request).await).unwrap_err();
    assert!(error.contains("is not a public address") && !error.contains("verysecret"), "{error}");
    assert_eq!(slack.asked().len(), 0);
}

#[tokio::test]
async fn other_functions_send_with_it() {
    let slack = Listener::start(200, r#"{"ok":true}"#).await;
    let world = World::with(Database::Sqlite, [("SLACK_API_URL", slack.url.as_str())]).await;
    let path = "/private/v1/slack_messages";
    let body = json!({"domain": "acme", "channel": "#ops", "content": "a <\u{202E} b\n& c", "token": TOKEN});
    assert_eq!(world.call(None, "POST", path, Some(body.clone())).await.json(200), json!({"status": "ok"}));
    assert_eq!(slack.asked()[0].json()["text"], "a &lt; b\n&amp; c");
    slack.answers(200, r#"{"ok":false,"error":"channel_not_found"}"#);
    let done = world.call(None, "POST", path, Some(body)).await.json(200);
    assert_eq!(done, json!({"status": "fail", "message": "Slack refused the message: channel_not_found."}));
    for (body, field) in [
        (json!({"content": "x"}), "token"),
        (json!({"channel": "#a", "content": "x"}), "token"),
        (json!({"webhook_url": "file:///x", "content": "x"}), "webhook_url"),
        (json!({"channel": "#a", "token": "t"}), "content"),
    ] {
        let answer = world.call(None, "POST", path, Some(body)).await.json(400);
        assert!(answer["fields"][field].is_string(), "{answer}");
    }
}
