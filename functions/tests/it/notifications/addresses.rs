//! Email addresses: confirmation before anything is sent, daily limits, and unsubscribing.

use std::time::Duration;

use contract::{Status, StatusChange, kind};
use serde_json::{Value, json};

use super::change;
use crate::{
    smtp::link_token,
    world::{Database, World, on_both},
};

const PATH: &str = "/public/v1/notifications";
const CONFIRM: &str = "/public/v1/addresses/confirm";
const UNSUBSCRIBE: &str = "/public/v1/addresses/unsubscribe";
const DAY: Duration = Duration::from_secs(86_400);

fn email(to: &[&str]) -> Value {
    json!({"name": "mail", "kind": "email", "config": {"to": to}})
}

fn down(minute: i64) -> StatusChange {
    change(1, 1, minute, Status::Up, Status::Down)
}

impl World {
    /// The tokens of the confirmation links that were mailed to an address.
    fn links_to(&self, address: &str) -> Vec<String> {
        let to = format!("To: {address}\r\n");
        let mails = self
            .mails()
            .into_iter()
            .filter(|mail| mail.contains(&to) && mail.contains("Confirm your address"));
        mails.map(|mail| link_token(&mail, "/mail/confirm?token=")).collect()
    }

    async fn confirm(&self, address: &str) {
        let token = self.links_to(address).pop().expect("a link");
        let answer = self.call(None, "POST", CONFIRM, Some(json!({"token": token}))).await.json(200);
        assert_eq!(answer, json!({"address": address, "state": "confirmed"}));
    }

    /// Reports an outage; returns the log's entry.
    async fn tell(&self, minute: i64) -> (Value, Value) {
        let id = format!("c{minute}");
        self.event("notification-dispatch", kind::STATUS_CHANGED, &id, &[down(minute)]).await.json(202);
        self.settle().await;
        let log = self.deliveries(1).await;
        (log[0]["status"].clone(), log[0]["error"].clone())
    }

    /// The emails of a delivery.
    fn messages(&self) -> Vec<String> {
        self.mails().into_iter().filter(|mail| mail.contains("Subject: [down]")).collect()
    }

    async fn test_of(&self, id: i64) -> (String, String) {
        let done = self.call(Some(1), "POST", &format!("{PATH}/{id}/test"), None).await.json(200);
        let text = |name: &str| done[name].as_str().unwrap_or_default().to_owned();
        (text("status"), text("message"))
    }

    async fn states(&self, id: i64) -> Value {
        self.call(Some(1), "GET", &format!("{PATH}/{id}"), None).await.json(200)["addresses"].clone()
    }
}

on_both! {
    async fn address_gets_nothing_but_a_link_before_it_is_confirmed(world: World) {
        world.with_endpoints();
        let made = world.call(Some(1), "POST", PATH, Some(email(&["a@example.com", "B@example.com"]))).await.json(201);
        let id = made["id"].as_i64().unwrap();
        assert_eq!(made["addresses"], json!({"B@example.com": "unconfirmed", "a@example.com": "unconfirmed"}));
        assert!(made["warning"].as_str().unwrap().contains("SMTP_URL is not set"), "{made}");
        assert_eq!((world.links_to("a@example.com").len(), world.links_to("B@example.com").len()), (1, 1));
        let none = "Not sent to a…@example.com (not confirmed), B…@example.com (not confirmed).";
        assert_eq!(world.tell(1).await, (json!("failed"), json!(none)));
        let (status, message) = world.test_of(id).await;
        assert_eq!((status.as_str(), message.starts_with(none)), ("fail", true), "{message}");
        assert_eq!(world.links_to("a@example.com").len(), 2, "a test mails the link once more");
        let call = format!("/private/v1/notifications/{id}/call");
        assert_eq!(world.call(None, "POST", &call, Some(json!({"text": "x"}))).await.json(200)["status"], "fail");
        assert_eq!(world.messages().len(), 0);

        world.confirm("a@example.com").await;
        assert_eq!(world.states(id).await, json!({"B@example.com": "unconfirmed", "a@example.com": "confirmed"}));
        let list = world.call(Some(1), "GET", PATH, None).await.json(200);
        assert_eq!(list["items"][0]["addresses"]["a@example.com"], "confirmed");
        // A failed delivery is sent again to the addresses that are confirmed now.
        let retry = format!("/public/v1/deliveries/{}/retry", world.deliveries(1).await[0]["id"]);
        world.call(Some(1), "POST", &retry, None).await.json(200);
        world.settle().await;
        let log = &world.deliveries(1).await[0];
        assert_eq!(log["status"], "delivered");
        let error = log["error"].as_str().unwrap();
        assert!(error.contains("written to a file") && error.ends_with("Not sent to B…@example.com (not confirmed)."), "{error}");
        let sent = world.messages();
        assert_eq!((sent.len(), sent[0].contains("To: a@example.com\r\n")), (1, true));
        let (status, message) = world.test_of(id).await;
        assert_eq!((status.as_str(), message.contains("SMTP_URL is not set")), ("ok", true), "{message}");
        // An address confirmed for one user is not confirmed for another.
        let other = world.call(Some(2), "POST", PATH, Some(email(&["A@example.com"]))).await.json(201);
        assert_eq!(other["addresses"], json!({"A@example.com": "unconfirmed"}));
    }

    async fn only_new_addresses_are_mailed_a_link(world: World) {
        let id = world.notification(1, email(&["a@example.com"])).await;
        let path = format!("{PATH}/{id}");
        let patch = async |body: Value| world.call(Some(1), "PATCH", &path, Some(body)).await.json(200);
        assert!(patch(json!({"name": "other"})).await.get("warning").is_none());
        patch(json!({"config": {"to": ["a@example.com", "b@example.com"]}})).await;
        patch(json!({"config": {"to": ["b@example.com", "A@example.com"]}})).await;
        world.clock().advance(2 * DAY);
        patch(json!({"config": {"to": ["b@example.com", "A@example.com"]}})).await;
        assert_eq!((world.links_to("a@example.com").len(), world.links_to("b@example.com").len()), (1, 1));
        assert_eq!(world.links_to("A@example.com").len(), 0);
        // Another notification to the same address mails no second link on that day.
        world.notification(1, email(&["c@example.com"])).await;
        world.notification(1, email(&["c@example.com"])).await;
        assert_eq!(world.links_to("c@example.com").len(), 1);
    }

    async fn unsubscribed_address_gets_nothing_more(world: World) {
        world.with_endpoints();
        let id = world.notification(1, email(&["a@example.com"])).await;
        world.confirm("a@example.com").await;
        world.tell(1).await;
        let mail = &world.messages()[0];
        let unfolded = mail.replace("\r\n ", " ");
        assert!(unfolded.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{mail}");
        assert!(unfolded.contains("List-Unsubscribe: <https://pongpong.test/mail/unsubscribe?token=v1."), "{mail}");
        let token = link_token(mail, "/mail/unsubscribe?token=");
        let unsubscribe = async |from: &str| {
            let body = json!({"token": token, "from": from});
            world.call(None, "POST", UNSUBSCRIBE, Some(body)).await.json(200)["state"].as_str().unwrap().to_owned()
        };
        assert_eq!(unsubscribe("sender").await, "unsubscribed");
        assert_eq!(world.states(id).await, json!({"a@example.com": "unsubscribed"}));
        assert_eq!(world.tell(2).await, (json!("failed"), json!("Not sent to a…@example.com (unsubscribed).")));
        let (status, message) = world.test_of(id).await;
        assert_eq!((status.as_str(), message.as_str()), ("fail", "Not sent to a…@example.com (unsubscribed)."));
        // Another user may ask for confirmation, until the address unsubscribes from everyone's messages.
        world.call(Some(2), "POST", PATH, Some(email(&["a@example.com"]))).await.json(201);
        assert_eq!(world.links_to("a@example.com").len(), 2);
        assert_eq!(unsubscribe("everybody").await, "unsubscribed");
        let third = world.call(Some(3), "POST", PATH, Some(email(&["A@example.com"]))).await.json(201);
        assert_eq!(third["addresses"], json!({"A@example.com": "unsubscribed"}));
        assert_eq!(world.links_to("A@example.com").len(), 0);
        let other = world.call(Some(4), "POST", PATH, Some(email(&["a+shop@ｅxample.com"]))).await.json(201);
        assert_eq!(other["addresses"], json!({"a+shop@ｅxample.com": "unsubscribed"}), "it is the same mailbox");
        assert_eq!(world.links_to("a@example.com").len(), 2, "no other was mailed");
        let link = world.links_to("a@example.com").pop();
        let confirmed = world.call(None, "POST", CONFIRM, Some(json!({"token": link}))).await.json(200);
        assert_eq!(confirmed["state"], "unsubscribed", "nothing goes there all the same");
        assert_eq!(unsubscribe("nobody").await, "confirmed");
        assert_eq!(world.tell(3).await.0, "delivered");
    }

    async fn links_are_few(world: World) {
        for user in 1..=3 {
            world.notification(user, email(&["a@example.com"])).await;
        }
        // Not with another spelling of the address either.
        let made = world.call(Some(4), "POST", PATH, Some(email(&["a+4@example.com"]))).await.json(201);
        assert!(made["warning"].as_str().unwrap().contains("too many were mailed today"), "{made}");
        assert_eq!(world.mails().len(), 3);
        world.clock().advance(DAY);
        let test = format!("{PATH}/{}/test", made["id"]);
        world.call(Some(4), "POST", &test, None).await.json(200);
        assert_eq!(world.links_to("a+4@example.com").len(), 1);

        let before = world.mails().len();
        for n in 0..5 {
            let to: Vec<String> = (0..10).map(|at| format!("{n}.{at}@example.com")).collect();
            world.notification(5, json!({"name": "n", "kind": "email", "config": {"to": to}})).await;
        }
        assert_eq!(world.mails().len() - before, 30, "of one user");
        world.call(Some(6), "POST", PATH, Some(email(&["4.9@example.com"]))).await.json(201);
        assert_eq!(world.links_to("4.9@example.com").len(), 1, "another user is not held back by that");
    }

    async fn messages_to_one_address_are_limited(world: World) {
        let id = world.notification(1, email(&["a@example.com"])).await;
        world.confirm("a@example.com").await;
        assert_eq!(world.test_of(id).await.0, "ok");
        const FILL: &str = "UPDATE notification_mail_counts SET mails = 200 WHERE subject LIKE 'message %'";
        runtime::on!(world.context.db().unwrap().write(), db => sqlx::query(FILL).execute(db).await.map(drop)).unwrap();
        let too_many = "Not sent to a…@example.com (too many mails today).";
        assert_eq!(world.test_of(id).await, ("fail".to_owned(), too_many.to_owned()));
        world.clock().advance(DAY);
        assert_eq!(world.test_of(id).await.0, "ok");
    }

    async fn token_is_good_for_what_it_was_mailed_for_alone(world: World) {
        let id = world.notification(1, email(&["a@example.com"])).await;
        let mail = world.mails().pop().unwrap();
        let (confirm, stop) =
            (link_token(&mail, "/mail/confirm?token="), link_token(&mail, "/mail/unsubscribe?token="));
        let mut touched = confirm.clone().into_bytes();
        touched[40] = if touched[40] == b'A' { b'B' } else { b'A' };
        let touched = String::from_utf8(touched).unwrap();
        for (path, token) in [(CONFIRM, &stop), (CONFIRM, &touched), (UNSUBSCRIBE, &confirm), (UNSUBSCRIBE, &touched), (CONFIRM, &String::new())] {
            let answer = world.call(None, "POST", path, Some(json!({"token": token}))).await.json(400);
            assert!(answer["fields"]["token"].is_string(), "{answer}");
        }
        assert_eq!(world.states(id).await, json!({"a@example.com": "unconfirmed"}));
        world.clock().advance(7 * DAY);
        world.call(None, "POST", CONFIRM, Some(json!({"token": confirm}))).await.code(400);

        // A link expires, and is invalid after its user is deleted.
        world.call(Some(1), "POST", &format!("{PATH}/{id}/test"), None).await.json(200);
        let links = world.links_to("a@example.com");
        let fresh = links.into_iter().find(|link| *link != confirm).unwrap();
        world.event("notification-forget", kind::USER_DELETED, "gone", &json!({"user_id": 1})).await.json(202);
        world.call(None, "POST", CONFIRM, Some(json!({"token": fresh}))).await.code(400);
    }

    async fn purge_deletes_what_is_past_its_time(world: World) {
        let kept = world.notification(1, email(&["a@example.com"])).await;
        world.confirm("a@example.com").await;
        world.notification(1, email(&["b@example.com"])).await;
        world.clock().advance(8 * DAY);
        world.purge("notification-purge").await;
        let count = async |table: &'static str| -> i64 {
            runtime::on!(world.context.db().unwrap().read(), db => sqlx::query_scalar(table).fetch_one(db).await).unwrap()
        };
        assert_eq!(count("SELECT COUNT(*) FROM notification_mail_counts").await, 0);
        assert_eq!(count("SELECT COUNT(*) FROM notification_addresses").await, 1);
        assert_eq!(world.states(kept).await, json!({"a@example.com": "confirmed"}));
    }
}
