//! Every notification kind whose messages are posted to a user's URL, and rules for all kinds.

use channels::{CHANNELS, Kind};
use fields::Input;
use serde_json::{Value, json};

use super::{later, outcome, reported, request, send};
use crate::{
    listener::{Listener, nobody},
    world::{Database, World, on_both},
};

const SECRET_PATH: &str = "/services/verysecret";

/// A config whose first URL is at this server.
fn config(kind: &Kind, server: &str) -> Option<Value> {
    let field = kind.fields.iter().find(|field| field.input == Input::Url)?;
    Some(json!({field.name: format!("{server}{SECRET_PATH}")}))
}

fn posting() -> impl Iterator<Item = (&'static Kind, impl Fn(&str) -> Value)> {
    CHANNELS.iter().filter(|kind| config(kind, "").is_some()).map(|kind| {
        let of = move |server: &str| config(kind, server).unwrap();
        (kind, of)
    })
}

#[tokio::test]
async fn every_kind_posts_and_understands_failures() {
    assert!(posting().count() >= 3);
    for (kind, config) in posting() {
        let server = Listener::start(200, "ok").await;
        let world = World::new(Database::Sqlite).await;
        let message = request(&world, kind.name, config(&server.url));
        assert_eq!(reported(&send(&world, &message).await), Ok(()), "{}", kind.name);
        let asked = server.asked();
        assert_eq!((asked.len(), asked[0].path.as_str()), (1, SECRET_PATH), "{}", kind.name);
        let body = asked[0].json().to_string();
        assert!(body.contains("https://pongpong.test/endpoints/1") && body.contains("503"), "{body}");

        let mut errors = Vec::new();
        server.wants("120");
        server.answers(429, "");
        let busy = send(&world, &message).await;
        assert_eq!(outcome(&busy).retry_after_seconds, Some(120), "{}", kind.name);
        errors.push(later(&busy));
        for status in [500, 502] {
            let server = Listener::start(status, "<html>").await;
            let message = request(&world, kind.name, config(&server.url));
            errors.push(later(&send(&world, &message).await));
        }
        for status in [302, 404] {
            let server = Listener::start(status, "<html>verysecret</html>").await;
            let message = request(&world, kind.name, config(&server.url));
            errors.push(reported(&send(&world, &message).await).unwrap_err());
            assert_eq!(server.asked().len(), 1, "{}: no redirect is followed", kind.name);
        }
        let away = request(&world, kind.name, config(&nobody().await));
        errors.push(later(&send(&world, &away).await));

        let careful = World::with(Database::Sqlite, [("CHECK_PRIVATE_NETWORKS", "deny")]).await;
        let message = request(&careful, kind.name, config(&server.url));
        let error = reported(&send(&careful, &message).await).unwrap_err();
        assert!(error.contains("is not a public address"), "{error}");
        errors.push(error);
        assert!(!errors.iter().any(|error| error.contains("verysecret") || error.is_empty()), "{errors:?}");
    }
}

#[tokio::test]
async fn discord_gets_an_embed_that_mentions_nobody() {
    let discord = Listener::start(204, "").await;
    let world = World::new(Database::Sqlite).await;
    let mut message = request(&world, "discord", json!({"webhook_url": discord.url}));
    message.alert.endpoint_name = "@everyone [x](https://evil.test)".into();
    assert_eq!(reported(&send(&world, &message).await), Ok(()));
    let body = discord.asked()[0].json();
    assert_eq!(body["allowed_mentions"], json!({"parse": []}));
    let embed = &body["embeds"][0];
    assert_eq!(
        embed["title"],
        r"\[down\] @everyone \[x\]\(https://evil.test\): Expected status 200-399, got 503"
    );
    assert_eq!(
        (&embed["url"], &embed["color"]),
        (&json!("https://pongpong.test/endpoints/1"), &json!(0xd9_30_25))
    );
    discord.answers(404, r#"{"message": "Unknown Webhook", "code": 10015}"#);
    assert_eq!(
        reported(&send(&world, &message).await).unwrap_err(),
        "Discord refused the message: unknown webhook (code 10015)."
    );
}

on_both! {
    async fn every_kind_is_added_listed_and_tested(world: World) {
        let server = Listener::start(200, "ok").await;
        for (kind, config) in posting() {
            let body = json!({"name": kind.name, "kind": kind.name, "config": config(&server.url)});
            let made = world.call(Some(1), "POST", "/public/v1/notifications", Some(body)).await.json(201);
            assert_eq!(made["kind"], kind.name);
            let test = format!("/public/v1/notifications/{}/test", made["id"]);
            assert_eq!(world.call(Some(1), "POST", &test, None).await.json(200), json!({"status": "ok"}));
            assert_eq!(server.asked().len(), 1, "{}", kind.name);
        }
        let kinds = world.call(Some(1), "GET", "/public/v1/notification_kinds?per_page=100", None).await.json(200);
        let names: Vec<_> = kinds["items"].as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
        assert_eq!(names, CHANNELS.iter().map(|kind| kind.name).collect::<Vec<_>>());
        let discord = &kinds["items"][3];
        let field = &discord["fields"][0];
        assert_eq!((&field["name"], discord["fields"].as_array().unwrap().len()), (&json!("webhook_url"), 1));
        assert_eq!((&field["input"], &field["is_secret"], &field["is_required"]), (&json!("url"), &json!(true), &json!(true)));
        assert_eq!(world.call(None, "GET", "/public/v1/notification_kinds", None).await.code(401), "NOT_LOGGED_IN");

        let pigeon = json!({"name": "x", "kind": "pigeon", "config": {}});
        let refused = world.call(Some(1), "POST", "/public/v1/notifications", Some(pigeon)).await.json(400);
        assert_eq!(refused["fields"]["kind"], "must be one of email, slack, webhook, discord");
        let of_another = json!({"name": "x", "kind": "discord", "config": {"url": "https://x.test/"}});
        let refused = world.call(Some(1), "POST", "/public/v1/notifications", Some(of_another)).await.json(400);
        assert_eq!(refused["fields"]["config.url"], "unknown field: there is webhook_url");
    }

    async fn other_functions_send_any_kind(world: World) {
        let server = Listener::start(200, "ok").await;
        for (kind, config) in posting() {
            let body = json!({"kind": kind.name, "config": config(&server.url), "subject": "Hello", "text": "Tonight."});
            let sent = world.call(None, "POST", "/private/v1/channel_messages", Some(body)).await.json(200);
            assert_eq!(sent, json!({"status": "ok"}), "{}", kind.name);
            assert!(server.asked()[0].json().to_string().contains("Tonight."), "{}", kind.name);
        }
        for (body, field) in [
            (json!({"kind": "pigeon", "config": {}, "subject": "", "text": ""}), "kind"),
            (json!({"kind": "discord", "config": {}, "subject": "", "text": ""}), "config.webhook_url"),
        ] {
            let refused = world.call(None, "POST", "/private/v1/channel_messages", Some(body)).await.json(400);
            assert!(refused["fields"][field].is_string(), "{refused}");
        }
    }
}
