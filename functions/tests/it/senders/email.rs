use std::time::Duration;

use contract::{Status, kind};
use serde_json::json;

use super::{later, missed, reported, request, send};
use crate::{
    notifications::change,
    smtp::SmtpServer,
    world::{Database, World},
};

const PATH: &str = "/private/v1/emails";

async fn world(smtp: &SmtpServer) -> World {
    World::with(
        Database::Sqlite,
        [("SMTP_URL", smtp.url.as_str()), ("SMTP_FROM", "pongpong <alerts@pongpong.test>")],
    )
    .await
}

#[tokio::test]
async fn a_real_server_gets_it_whole() {
    let smtp = SmtpServer::start().await;
    let world = world(&smtp).await;
    let config = json!({"to": ["mary@example.com", "bob@example.com"]});
    assert_eq!(reported(&send(&world, &request(&world, "email", config)).await), Ok(()));
    let messages = smtp.messages();
    assert_eq!(messages.len(), 2, "one for each");
    let of = |address: &str| messages.iter().find(|mail| mail.contains(&format!("To: {address}"))).unwrap();
    assert!(of("mary@example.com").contains("Message-ID: <delivery-12-1@pongpong.test>"));
    assert!(of("bob@example.com").contains("Message-ID: <delivery-12-1-2@pongpong.test>"));
    assert!(!of("mary@example.com").contains("bob"), "nobody sees another's address");
    for expected in [
        "From: pongpong <alerts@pongpong.test>",
        "Subject: [down] Shop <1>: Expected status 200-399, got 503",
        "Content-Type: multipart/alternative",
        "Why: Expected status 200-399, got 503 (STATUS_MISMATCH)",
        "Since: 2026-03-01 12:01:00 UTC",
        "Details: https://pongpong.test/endpoints/1",
        "Shop &lt;1&gt; is down.",
    ] {
        assert!(messages[0].contains(expected), "{expected} is not in {}", messages[0]);
    }
}

#[tokio::test]
async fn name_that_looks_like_an_encoded_word_is_not_decoded() {
    let smtp = SmtpServer::start().await;
    let world = world(&smtp).await;
    // A right-to-left override, as RFC 2047 encodes it.
    let mail =
        json!({"to": "mary@example.com", "subject": "[down] =?utf-8?b?4oCu?= x: 장애", "content": "x"});
    world.call(None, "POST", PATH, Some(mail)).await.json(200);
    let subject = smtp.messages()[0].lines().find(|line| line.starts_with("Subject:")).unwrap().to_owned();
    assert!(subject.starts_with("Subject: [down] = ?utf-8?b?4oCu?= x: =?utf-8?b?"), "{subject}");
}

#[tokio::test]
async fn one_address_that_is_gone_does_not_keep_the_others_from_being_told() {
    let smtp = SmtpServer::start().await;
    let world = world(&smtp).await;
    let to = json!(["gone@example.com", "bob@example.com", "busy@else.test"]);
    let why = later(&send(&world, &request(&world, "email", json!({"to": to}))).await);
    let expected =
        "The mail server refused the message to g…@example.com (permanently), b…@else.test (temporarily).";
    assert_eq!(why, expected);
    assert_eq!(smtp.messages().len(), 1);
    let mail = json!({"to": to, "subject": "Hi", "content": "x"});
    let done = world.call(None, "POST", PATH, Some(mail)).await.json(200);
    assert_eq!(done, json!({"status": "ok", "message": expected}));
    assert_eq!(smtp.messages().len(), 2);
    let all_gone = json!({"to": ["gone@example.com", "gone2@example.com"]});
    let error = reported(&send(&world, &request(&world, "email", all_gone)).await).unwrap_err();
    assert!(error.starts_with("The mail server refused the message: 550"), "{error}");
    let busy = json!({"to": ["busy@example.com"]});
    let why = later(&send(&world, &request(&world, "email", busy)).await);
    assert!(why.starts_with("The mail server does not take the message now: 450"), "{why}");
    // No recipient has it, and one may still get it.
    let some_busy = json!({"to": ["gone@example.com", "busy@example.com"]});
    let why = later(&send(&world, &request(&world, "email", some_busy)).await);
    assert!(why.starts_with("The mail server does not take the message now: 450"), "{why}");
    assert_eq!(smtp.messages().len(), 2);
}

#[tokio::test]
async fn a_server_that_takes_nothing_now_is_tried_again_later() {
    let smtp = SmtpServer::start().await;
    let world = world(&smtp).await;
    let request = request(&world, "email", json!({"to": ["a@example.com", "b@example.com"]}));
    for status in [421, 451, 452] {
        smtp.answers(Some(status));
        let why = later(&send(&world, &request).await);
        let expected = format!("The mail server does not take the message now: {status}");
        assert!(why.starts_with(&expected), "{why}");
    }
    smtp.answers(None);
    assert_eq!(reported(&send(&world, &request).await), Ok(()));
    assert_eq!(smtp.messages().len(), 2);
}

#[tokio::test]
async fn server_that_closes_for_a_moment_is_tried_again_a_second_later() {
    let smtp = SmtpServer::start().await;
    let world = world(&smtp).await;
    let request = request(&world, "email", json!({"to": ["a@example.com"]}));
    smtp.answers_once(421);
    assert_eq!(reported(&send(&world, &request).await), Ok(()));
    assert_eq!(smtp.messages().len(), 1);
    smtp.answers_once(451);
    later(&send(&world, &request).await);
    assert_eq!(smtp.messages().len(), 1);
}

#[tokio::test]
async fn who_is_left_out_is_told_beside_what_came_of_the_others() {
    let smtp = SmtpServer::start().await;
    let world = world(&smtp).await;
    let left_out = "Not sent to x…@example.com (not confirmed).";
    let to = |to: &[&str]| request(&world, "email", json!({"to": to, "left_out": left_out}));
    assert_eq!(reported(&send(&world, &to(&[])).await), Err(left_out.to_owned()));
    assert_eq!(missed(&send(&world, &to(&["bob@example.com"])).await), left_out);
    let some = missed(&send(&world, &to(&["bob@example.com", "gone@example.com"])).await);
    assert!(some.starts_with("The mail server refused") && some.ends_with(left_out), "{some}");
    let error = reported(&send(&world, &to(&["gone@example.com"])).await).unwrap_err();
    assert!(error.starts_with("The mail server refused"), "{error}");
    later(&send(&world, &to(&["busy@example.com"])).await);
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again_later() {
    let smtp = SmtpServer::start().await;
    let world = world(&smtp).await;
    let address = smtp.url.strip_prefix("smtp://").unwrap().to_owned();
    drop(smtp);
    // The process may take a moment to end.
    while tokio::net::TcpStream::connect(&address).await.is_ok() {}
    let request = request(&world, "email", json!({"to": ["a@example.com"]}));
    let began = world.clock().now();
    let answer = send(&world, &request).await;
    assert_eq!(world.clock().now() - began, chrono::TimeDelta::seconds(1), "it is tried twice");
    assert_eq!(later(&answer), "The mail server could not be reached.");
    let mail = json!({"to": "a@example.com", "subject": "Hi", "content": "x"});
    let done = world.call(None, "POST", PATH, Some(mail)).await.json(200);
    assert_eq!(done, json!({"status": "fail", "message": "The mail server could not be reached."}));
}

#[tokio::test]
async fn others_functions_send_with_it() {
    let smtp = SmtpServer::start().await;
    let world = world(&smtp).await;
    let mail = json!({"to": "a@example.com", "subject": "비밀번호\r\nBcc: x@example.com", "content": "<b>Hello</b>"});
    assert_eq!(world.call(None, "POST", PATH, Some(mail)).await.json(200), json!({"status": "ok"}));
    let message = &smtp.messages()[0];
    assert!(!message.lines().any(|line| line.starts_with("Bcc")), "{message}");
    assert!(message.contains("<b>Hello</b>") && message.contains("&lt;b&gt;Hello&lt;/b&gt;"), "{message}");
    for (mail, field) in [
        (json!({"to": "a", "subject": "", "content": ""}), "to"),
        (json!({"to": [], "subject": "", "content": ""}), "to"),
        (json!({"to": ["a@example.com\nRCPT TO: <b@example.com>"], "subject": "", "content": ""}), "to"),
        (json!({"subject": "", "content": ""}), "to"),
        (json!({"to": "a@example.com", "subject": "", "content": "", "bcc": "x"}), "bcc"),
    ] {
        let answer = world.call(None, "POST", PATH, Some(mail)).await.json(400);
        assert!(answer["fields"][field].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn without_a_server_it_is_put_into_a_file_once() {
    let world = World::new(Database::Sqlite).await;
    let request = request(&world, "email", json!({"to": ["a@example.com"]}));
    for _ in 0..2 {
        assert_eq!(
            missed(&send(&world, &request).await),
            functions::notifications::senders::email::WRITTEN_TO_FILE
        );
    }
    let mail = json!({"to": "a@example.com", "subject": "Hi", "content": "x"});
    let done = world.call(None, "POST", PATH, Some(mail)).await.json(200);
    assert_eq!(
        done,
        json!({"status": "ok", "message": functions::notifications::senders::email::WRITTEN_TO_FILE})
    );
    let outbox = world.context.env().get("OUTBOX_DIR").unwrap();
    let files: Vec<_> = std::fs::read_dir(outbox).unwrap().map(|f| f.unwrap().file_name()).collect();
    let of_delivery = files.iter().filter(|name| *name == "delivery-12-1.eml").count();
    assert_eq!((of_delivery, files.len()), (1, 2), "{files:?}");
    let mail = std::fs::read_to_string(format!("{outbox}/delivery-12-1.eml")).unwrap();
    assert!(mail.contains("Message-ID: <delivery-12-1@localhost>"), "{mail}");
}

#[tokio::test]
async fn settings_that_cannot_be_read_fail_for_good() {
    let world = World::new(Database::Sqlite).await;
    let mut request = request(&world, "email", json!({"to": ["a@example.com"]}));
    request.sealed_config = "v1.AAAA".into();
    let error = reported(&send(&world, &request).await).unwrap_err();
    assert!(error.starts_with("The channel's settings cannot be read"), "{error}");
    let wrong = super::request(&world, "email", json!({"url": "https://x.test/"}));
    assert!(reported(&send(&world, &wrong).await).is_err());
}

#[tokio::test]
async fn who_has_a_message_is_not_sent_it_again_when_others_are() {
    let smtp = SmtpServer::start().await;
    let world = world(&smtp).await;
    world.with_endpoints();
    let config = |to: serde_json::Value| json!({"config": {"to": to}});
    let mut body = config(json!(["mary@example.com", "busy@example.com"]));
    body["name"] = json!("mail");
    body["kind"] = json!("email");
    let id = world.notification(1, body).await;
    let confirm = "UPDATE notification_addresses SET confirmed_at = 1";
    runtime::on!(world.context.db().unwrap().write(), db => sqlx::query(confirm).execute(db).await.map(drop))
        .unwrap();
    let told = || smtp.messages().iter().filter(|mail| mail.contains("Subject: [down]")).count();
    let down = [change(1, 1, 2, Status::Up, Status::Down)];
    world.event("notification-dispatch", kind::STATUS_CHANGED, "c", &down).await.json(202);
    for _ in 0..5 {
        world.settle().await;
        let log = &world.deliveries(1).await[0];
        assert_eq!((&log["status"], told()), (&json!("pending"), 1), "{log}");
        assert!(log["error"].as_str().unwrap().starts_with("The mail server"), "{log}");
        world.clock().advance(Duration::from_secs(600));
        world.request("delivery-resume", None, "POST", "/", None).await.json(204);
    }
    world.settle().await;
    let path = format!("/public/v1/notifications/{id}");
    let shown =
        world.call(Some(1), "PATCH", &path, Some(config(json!(["mary@example.com"])))).await.json(200);
    assert_eq!(shown["failures"], 0, "the mail server works");
    world.request("delivery-resume", None, "POST", "/", None).await.json(204);
    world.settle().await;
    assert_eq!((&world.deliveries(1).await[0]["status"], told()), (&json!("delivered"), 1));
}
