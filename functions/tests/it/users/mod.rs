//! Tests of functions/users.

use std::time::Duration;

use contract::{UserChanged, kind};
use serde_json::{Value, json};

use crate::{
    kong::Kong,
    smtp::link_token,
    world::{Answer, Database, World},
};

const PASSWORD: &str = "correct horse battery";

struct Users {
    world: World,
    kong: Kong,
}

impl Users {
    async fn new(database: Database) -> Self {
        let (kong, url) = Kong::start().await;
        Self { world: World::with(database, [("KONG_ADMIN_URL", &url)]).await, kong }
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.world.call(None, "POST", path, Some(body)).await
    }

    async fn signup(&self, email: &str) -> i64 {
        let answer = self.post("/public/v1/signup", json!({"email": email, "password": PASSWORD})).await;
        answer.json(201)["id"].as_i64().unwrap()
    }

    async fn login(&self, email: &str, password: &str) -> Answer {
        self.post("/public/v1/login", json!({"email": email, "password": password})).await
    }

    fn mails(&self) -> Vec<String> {
        self.world.mails()
    }

    /// Like [`World::call`], from this client address.
    async fn from(&self, address: &str, user: Option<i64>, method: &str, path: &str, body: Value) -> Answer {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("x-real-ip", address);
        if let Some(user) = user {
            request = request
                .header("x-gateway-token", crate::world::GATEWAY_TOKEN)
                .header("x-consumer-custom-id", user)
                .header("x-credential-identifier", "a-credential");
        }
        let request = request.body(axum::body::Body::from(body.to_string())).unwrap();
        self.world.send(self.world.function_for(method, path), request).await
    }

    async fn login_from(&self, address: &str, password: &str) -> Answer {
        let body = json!({"email": "me@example.com", "password": password});
        self.from(address, None, "POST", "/public/v1/login", body).await
    }

    async fn forgot(&self, email: &str) {
        self.post("/public/v1/password/forgot", json!({"email": email})).await.json(200);
        self.world.context.finish().await;
    }

    async fn reset(&self, token: &str, password: &str) -> Answer {
        self.post("/public/v1/password/reset", json!({"token": token, "password": password})).await
    }

    async fn change_address(&self, user: i64, email: &str) -> Answer {
        let body = json!({"email": email, "current_password": PASSWORD});
        let answer = self.as_user(user, "PATCH", "/public/v1/user", Some(body)).await;
        self.world.context.finish().await;
        answer
    }

    /// The tokens in emails to an address, in any order.
    fn tokens_to(&self, email: &str) -> Vec<String> {
        let to = format!("To: {email}");
        self.mails().iter().filter(|mail| mail.contains(&to)).map(|mail| token(mail)).collect()
    }

    /// Like [`World::call`], with a credential as the gateway names it.
    async fn as_user(&self, user: i64, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.world.call(Some(user), method, path, body).await
    }
}

/// The token of the link in a password email.
pub fn token(mail: &str) -> String {
    link_token(mail, "/password/reset?token=")
}

/// Makes two tests of one: on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($(async fn $name:ident($users:ident: Users) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn story($users: Users) $body

            #[tokio::test]
            async fn on_sqlite() {
                story(Users::new(Database::Sqlite).await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                story(Users::new(Database::Postgres).await).await;
            }
        }
    )+};
}

on_both! {
    async fn a_user_signs_up_and_logs_in(users: Users) {
        let answer = users.post("/public/v1/signup", json!({"email": " Me@Example.com ", "password": PASSWORD})).await.json(201);
        assert_eq!((&answer["email"], &answer["created_at"]), (&json!("me@example.com"), &json!("2026-03-01T12:00:00Z")));
        let key = answer["key"].as_str().unwrap();
        assert!(key.starts_with("pp_") && key.len() == 46, "{key}");
        let id = answer["id"].as_i64().unwrap();
        assert_eq!(users.kong.keys_of(id), Some(1));

        let login = users.login("ME@example.com", PASSWORD).await.json(200);
        assert_ne!(login["key"], answer["key"]);
        {
            let consumers = users.kong.0.lock().unwrap();
            let keys: Vec<_> = consumers.keys[&format!("user-{id}")].values().collect();
            assert!(keys.iter().all(|key| key["ttl"] == 30 * 24 * 3600), "{keys:?}");
            assert!(keys.iter().any(|key| key["key"] == login["key"]));
        }
        assert_eq!(users.as_user(id, "GET", "/public/v1/user", None).await.json(200)["email"], "me@example.com");
        let path = format!("/public/v1/users/{id}");
        assert_eq!(users.as_user(id, "GET", &path, None).await.json(200)["id"], id);
        assert_eq!(users.as_user(id + 1, "GET", &path, None).await.code(403), "FORBIDDEN");
    }

    async fn a_login_that_fits_nobody_is_refused_alike(users: Users) {
        users.signup("me@example.com").await;
        let wrong = users.login("me@example.com", "wrong password").await;
        let unknown = users.login("you@example.com", "wrong password").await;
        assert_eq!(wrong.code(401), "INVALID_LOGIN");
        assert_eq!(wrong.body, unknown.body);
        assert_eq!(users.login("me@example.com", &"x".repeat(100_000)).await.code(401), "INVALID_LOGIN");
        for body in [json!({}), json!({"email": 1, "password": "x"}), json!({"email": "a", "password": "b", "c": 1}), json!([1])] {
            users.post("/public/v1/login", body).await.code(400);
        }
    }

    async fn an_address_is_taken_once(users: Users) {
        users.signup("me@example.com").await;
        for spelling in ["ME@example.com", "me@ｅxample.com", "me@exam\u{ad}ple.com"] {
            let again = json!({"email": spelling, "password": PASSWORD});
            assert_eq!(users.post("/public/v1/signup", again).await.code(409), "EMAIL_TAKEN", "{spelling}");
            users.login(spelling, PASSWORD).await.json(200);
        }
        let id = users.signup("me@bücher.de").await;
        let again = json!({"email": "me@xn--bcher-kva.de", "password": PASSWORD});
        assert_eq!(users.post("/public/v1/signup", again).await.code(409), "EMAIL_TAKEN");
        let change = json!({"email": "Me@Ｅxample.com", "current_password": PASSWORD});
        assert_eq!(users.as_user(id, "PATCH", "/public/v1/user", Some(change)).await.code(409), "EMAIL_TAKEN");
        // From its own address, and within half of its share of the hashing queue: the same test runs on the
        // other database.
        let body = || json!({"email": "crowd@example.com", "password": PASSWORD});
        let crowd = (0..4).map(|_| users.post("/public/v1/signup", body()));
        let answers = futures::future::join_all(crowd).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        assert!(answers.iter().filter(|answer| answer.status != 201).all(|answer| answer.code(409) == "EMAIL_TAKEN"));
    }

    async fn who_signed_up_with_another_spelling_before_can_log_in(users: Users) {
        users.signup("me@bücher.de").await;
        let context = &users.world.context;
        let db = context.db().unwrap();
        runtime::on!(db.write(), db =>
            sqlx::query("UPDATE users SET email = 'me@bücher.de'").execute(db).await.map(drop)).unwrap();
        functions::migrate(db, context.env()).await.unwrap();
        users.login("me@bücher.de", PASSWORD).await.json(200);
    }

    async fn a_sign_up_names_what_is_wrong(users: Users) {
        for (field, body) in [
            ("email", json!({"email": "not an address", "password": PASSWORD})),
            ("email", json!({"email": format!("{}@example.com", "x".repeat(300)), "password": PASSWORD})),
            ("email", json!({"email": "a@b.c\r\nBcc: x@y.z", "password": PASSWORD})),
            ("email", json!({"email": "a\u{200B}@b.com", "password": PASSWORD})),
            ("password", json!({"email": "a@b.com", "password": "short"})),
            ("password", json!({"email": "a@b.com", "password": "x".repeat(2000)})),
            ("password", json!({"email": "a@b.com"})),
            ("admin", json!({"email": "a@b.com", "password": PASSWORD, "admin": true})),
        ] {
            let answer = users.post("/public/v1/signup", body.clone()).await.json(400);
            assert!(answer["fields"][field].is_string(), "{body}: {answer}");
        }
        let nul = users.post("/public/v1/signup", json!({"email": "a\u{0}@b.com", "password": PASSWORD})).await;
        assert_eq!(nul.code(400), "MALFORMED_JSON");
    }

    async fn a_failed_sign_up_leaves_nothing_half_made(users: Users) {
        let body = json!({"email": "me@example.com", "password": PASSWORD});
        for failing in [("POST", "consumers"), ("POST", "key-auth")] {
            users.kong.fail(Some(failing));
            assert_eq!(users.post("/public/v1/signup", body.clone()).await.code(503), "UNAVAILABLE");
            assert!(users.kong.0.lock().unwrap().keys.is_empty(), "{failing:?}");
            users.kong.fail(None);
            assert_eq!(users.login("me@example.com", PASSWORD).await.code(401), "INVALID_LOGIN");
        }
        let id = users.signup("me@example.com").await;
        assert_eq!(users.kong.keys_of(id), Some(1));
    }

    async fn a_sign_up_that_was_killed_frees_its_address(users: Users) {
        // The state after the process died between the database and the gateway.
        let sql = "INSERT INTO users (email, password_hash, created_at, updated_at) VALUES ('me@example.com', 'x', $1, $1)";
        let now = users.world.clock().now();
        runtime::on!(users.world.context.db().unwrap().write(), db => sqlx::query(sql).bind(now).execute(db).await.map(drop)).unwrap();
        let body = json!({"email": "me@example.com", "password": PASSWORD});
        assert_eq!(users.post("/public/v1/signup", body).await.code(409), "EMAIL_TAKEN");
        users.world.clock().advance(Duration::from_secs(61));
        users.signup("me@example.com").await;
        users.login("me@example.com", PASSWORD).await.json(200);
    }

    async fn a_new_password_ends_the_other_keys(users: Users) {
        let id = users.signup("me@example.com").await;
        for _ in 0..4 {
            users.login("me@example.com", PASSWORD).await.json(200);
        }
        // The world's calls use a credential that Kong does not know: all five keys are revoked.
        let change = |body| users.as_user(id, "PATCH", "/public/v1/user", Some(body));
        assert_eq!(change(json!({"password": "another horse", "current_password": "wrong"})).await.code(400), "VALIDATION_FAILED");
        assert_eq!(users.kong.keys_of(id), Some(5));
        users.kong.fail(Some(("DELETE", "key-auth")));
        assert_eq!(change(json!({"password": "another horse", "current_password": PASSWORD})).await.code(503), "KEYS_LEFT");
        users.kong.fail(None);
        change(json!({"password": "another horse", "current_password": "another horse"})).await.json(200);
        assert_eq!(users.kong.keys_of(id), Some(0));
        assert_eq!(users.login("me@example.com", PASSWORD).await.code(401), "INVALID_LOGIN");
        users.login("me@example.com", "another horse").await.json(200);
    }

    async fn an_address_can_be_changed_but_not_to_one_that_is_taken(users: Users) {
        let id = users.signup("me@example.com").await;
        users.signup("you@example.com").await;
        let change = |email: &str| {
            users.as_user(id, "PATCH", "/public/v1/user", Some(json!({"email": email, "current_password": PASSWORD})))
        };
        assert_eq!(change("you@example.com").await.code(409), "EMAIL_TAKEN");
        assert_eq!(change("nonsense").await.code(400), "VALIDATION_FAILED");
        assert_eq!(change("New@example.com").await.json(200)["email"], "new@example.com");
        users.login("new@example.com", PASSWORD).await.json(200);
        let nothing = users.as_user(id, "PATCH", "/public/v1/user", Some(json!({"current_password": PASSWORD}))).await;
        assert_eq!(nothing.code(400), "VALIDATION_FAILED");
    }

    async fn who_the_gateway_has_forgotten_can_log_in_again(users: Users) {
        let id = users.signup("me@example.com").await;
        users.kong.0.lock().unwrap().keys.clear();
        users.login("me@example.com", PASSWORD).await.json(200);
        assert_eq!(users.kong.keys_of(id), Some(1));
        // If Kong has lost a consumer, listing its keys gives 404.
        users.kong.0.lock().unwrap().keys.clear();
        users.forgot("me@example.com").await;
        let new = json!({"token": token(&users.mails()[0]), "password": "another horse"});
        users.post("/public/v1/password/reset", new).await.json(200);
        users.login("me@example.com", "another horse").await.json(200);
    }

    async fn named_keys_are_made_listed_and_ended(users: Users) {
        let id = users.signup("me@example.com").await;
        let made = users.as_user(id, "POST", "/public/v1/keys", Some(json!({"name": "노트북", "ttl_seconds": 60}))).await.json(201);
        assert_eq!(made["expires_at"], "2026-03-01T12:01:00Z");
        assert!(made["key"].as_str().unwrap().starts_with("pp_"));
        let list = users.as_user(id, "GET", "/public/v1/keys", None).await.json(200);
        assert_eq!((&list["items"][0]["name"], &list["page"]["total_count"]), (&json!("노트북"), &json!(1)));
        assert!(list["items"][0].get("key").is_none(), "the secret is shown once");
        let path = format!("/public/v1/keys/{}", made["id"]);
        assert_eq!(users.as_user(id + 1, "DELETE", &path, None).await.code(404), "NOT_FOUND");
        users.kong.fail(Some(("DELETE", "key-auth")));
        users.as_user(id, "DELETE", &path, None).await.code(503);
        users.kong.fail(None);
        assert_eq!(users.kong.keys_of(id), Some(2));
        users.as_user(id, "DELETE", &path, None).await.json(204);
        assert_eq!(users.kong.keys_of(id), Some(1));
        assert_eq!(users.as_user(id, "DELETE", &path, None).await.code(404), "NOT_FOUND");
        for body in [json!({}), json!({"name": ""}), json!({"name": "\u{200B}"}), json!({"name": "x".repeat(101)}), json!({"name": "x", "ttl_seconds": 0}), json!({"name": "x", "ttl_seconds": -5})] {
            users.as_user(id, "POST", "/public/v1/keys", Some(body)).await.code(400);
        }
    }

    async fn logging_out_ends_the_key_that_was_used(users: Users) {
        let id = users.signup("me@example.com").await;
        let made = users.as_user(id, "POST", "/public/v1/keys", Some(json!({"name": "a"}))).await.json(201);
        let mut logout = http::Request::post("/public/v1/logout").body(axum::body::Body::empty()).unwrap();
        let headers = logout.headers_mut();
        headers.insert("x-gateway-token", crate::world::GATEWAY_TOKEN.parse().unwrap());
        headers.insert("x-consumer-custom-id", id.to_string().parse().unwrap());
        headers.insert("x-credential-identifier", "credential-2".parse().unwrap());
        let function = functions::find("user-logout").unwrap();
        let answer = tower::ServiceExt::oneshot(runtime::serve::router(function, users.world.context_of(function.name)), logout).await.unwrap();
        assert_eq!(answer.status(), 200, "{made}");
        assert_eq!(users.kong.keys_of(id), Some(1));
        let list = users.as_user(id, "GET", "/public/v1/keys", None).await.json(200);
        assert_eq!(list["page"]["total_count"], 0);
    }

    async fn a_deleted_user_is_gone_and_the_others_are_told(users: Users) {
        let id = users.signup("me@example.com").await;
        users.as_user(id, "POST", "/public/v1/keys", Some(json!({"name": "a"}))).await.json(201);
        // The gateway fails last: the key still works, so that one can try again.
        users.kong.fail(Some(("DELETE", "consumers")));
        users.as_user(id, "DELETE", "/public/v1/user", None).await.code(503);
        users.kong.fail(None);
        users.as_user(id, "DELETE", "/public/v1/user", None).await.json(204);
        assert_eq!(users.kong.keys_of(id), None);
        let told: Vec<_> = users.world.events.lock().unwrap().drain(..).collect();
        let told: Vec<_> = told.iter().filter(|event| event.kind() != kind::USER_CHANGED).collect();
        assert!(!told.is_empty());
        assert!(told.iter().all(|event| event.kind() == kind::USER_DELETED && event.data::<Value>()["user_id"] == id));
        assert_eq!(users.login("me@example.com", PASSWORD).await.code(401), "INVALID_LOGIN");
        users.as_user(id, "GET", "/public/v1/user", None).await.code(404);
        assert_ne!(users.signup("me@example.com").await, id, "an id is never used again");
    }

    async fn a_forgotten_password_is_reset_by_mail(users: Users) {
        let id = users.signup("me@example.com").await;
        let forgot = async |email: &str| {
            let answer = users.post("/public/v1/password/forgot", json!({"email": email})).await;
            users.world.context.finish().await;
            answer
        };
        let reset = async |token: &str, password: &str| {
            users.post("/public/v1/password/reset", json!({"token": token, "password": password})).await
        };
        let known = forgot("ME@example.com").await;
        assert_eq!(known.json(200)["status"], "ok");
        assert_eq!(forgot("you@example.com").await.body, known.body, "it tells nobody who is known");
        let mails = users.mails();
        assert_eq!(mails.len(), 1);
        assert!(mails[0].contains("To: me@example.com"), "{}", mails[0]);

        // A stranger who requests more links invalidates none, and does not fill the mailbox.
        for _ in 0..10 {
            forgot("me@example.com").await;
        }
        assert_eq!(users.mails().len(), 2);
        let (new, other) = (token(&mails[0]), users.mails().iter().map(|mail| token(mail)).find(|t| *t != token(&mails[0])).unwrap());
        assert!(reset(&new, "short").await.json(400)["fields"]["password"].is_string());
        users.kong.fail(Some(("DELETE", "key-auth")));
        assert_eq!(reset(&new, "another horse").await.code(503), "UNAVAILABLE");
        users.kong.fail(None);
        reset(&new, "another horse").await.json(200);
        assert_eq!(users.kong.keys_of(id), Some(0), "every key has ended");
        users.login("me@example.com", PASSWORD).await.code(401);
        users.login("me@example.com", "another horse").await.json(200);
        assert!(reset(&new, "a third horse").await.json(400)["fields"]["token"].is_string(), "once");
        assert!(reset(&other, "a third horse").await.json(400)["fields"]["token"].is_string(), "the others have ended");
    }

    async fn user_has_a_language_and_a_time_zone_of_messages(users: Users) {
        let body = json!({"email": "me@example.com", "password": PASSWORD, "language": "ko", "time_zone": "Asia/Seoul"});
        let id = users.post("/public/v1/signup", body).await.json(201)["id"].as_i64().unwrap();
        let me = async || {
            let me = users.as_user(id, "GET", "/public/v1/user", None).await.json(200);
            (me["language"].as_str().unwrap().to_owned(), me["time_zone"].as_str().unwrap().to_owned())
        };
        assert_eq!(me().await, ("ko".to_owned(), "Asia/Seoul".to_owned()));
        users.forgot("me@example.com").await;
        // "Password reset" in Korean, encoded as in emails.
        assert!(users.mails()[0].contains("Subject: pongpong =?utf-8?b?67mE67CA67KI7Zi4IOyerOyEpOyglQ==?="));
        let change = async |body: Value| users.as_user(id, "PATCH", "/public/v1/user", Some(body)).await;
        for (field, body) in [
            ("language", json!({"language": "fr"})),
            ("time_zone", json!({"time_zone": "Mars/Olympus"})),
            ("current_password", json!({"language": "en", "email": "you@example.com"})),
        ] {
            assert!(change(body).await.json(400)["fields"][field].is_string(), "{field}");
        }
        assert_eq!(me().await.0, "ko", "nothing of a change that was refused");
        // The broker does not accept the event of this change: the next purge publishes it.
        users.world.context.finish().await;
        *users.world.broker_takes.lock().unwrap() = Some(0);
        assert_eq!(change(json!({"language": "en"})).await.json(200)["language"], "en");
        users.world.context.finish().await;
        *users.world.broker_takes.lock().unwrap() = None;
        users.world.purge("user-purge").await;
        users.world.purge("user-purge").await;
        let events = std::mem::take(&mut *users.world.events.lock().unwrap());
        let told = events.iter().filter(|event| event.kind() == kind::USER_CHANGED);
        let told: Vec<UserChanged> = told.flat_map(|event| event.data::<Vec<UserChanged>>()).collect();
        let told: Vec<_> = told.iter().map(|c| (c.user_id, c.revision, c.reader.language.code())).collect();
        assert_eq!(told, [(id, 1, "ko"), (id, 2, "en")]);
    }

    async fn mails_to_one_mailbox_are_limited_by_the_day(users: Users) {
        // Requested perhaps by a stranger.
        for n in 0..26 {
            let address = format!("me+{n}@example.com");
            users.signup(&address).await;
            for _ in 0..3 {
                users.forgot(&address).await;
            }
        }
        assert_eq!(users.mails().len(), 50);
        users.world.clock().advance(Duration::from_secs(86_400));
        users.forgot("me+1@example.com").await;
        assert_eq!(users.mails().len(), 51);
    }

    async fn a_stranger_who_asks_for_links_keeps_no_owner_from_one(users: Users) {
        users.signup("me@example.com").await;
        for hour in 1..=60 {
            for _ in 0..5 {
                users.forgot("me@example.com").await;
            }
            assert_eq!(users.tokens_to("me@example.com").len(), 2 * hour);
            users.world.clock().advance(Duration::from_secs(3601));
        }
    }

    async fn a_reset_token_is_good_for_an_hour(users: Users) {
        users.signup("me@example.com").await;
        users.post("/public/v1/password/forgot", json!({"email": "me@example.com"})).await.json(200);
        users.world.context.finish().await;
        users.world.clock().advance(Duration::from_secs(3601));
        let late = json!({"token": token(&users.mails()[0]), "password": "another horse"});
        assert!(users.post("/public/v1/password/reset", late).await.json(400)["fields"]["token"].is_string());
        for body in [json!({}), json!({"token": 1, "password": "another horse"}), json!({"token": "", "password": "another horse"})] {
            users.post("/public/v1/password/reset", body).await.code(400);
        }
    }

    async fn reset_link_ends_with_a_change_of_address_or_password(users: Users) {
        let id = users.signup("me@example.com").await;
        users.forgot("me@example.com").await;
        let link = users.tokens_to("me@example.com").remove(0);
        users.change_address(id, "new@example.com").await.json(200);
        assert!(users.reset(&link, "another horse").await.json(400)["fields"]["token"].is_string());
        users.forgot("new@example.com").await;
        let link = users.tokens_to("new@example.com").remove(0);
        let change = json!({"password": "a better horse", "current_password": PASSWORD});
        users.as_user(id, "PATCH", "/public/v1/user", Some(change)).await.json(200);
        assert!(users.reset(&link, "another horse").await.json(400)["fields"]["token"].is_string());
        users.login("new@example.com", "a better horse").await.json(200);
    }

    async fn old_address_gets_a_way_back(users: Users) {
        let id = users.signup("me@example.com").await;
        // An attacker who took over the account changes its address twice, and requests links.
        users.change_address(id, "thief@example.com").await.json(200);
        let way_back = users.tokens_to("me@example.com").remove(0);
        users.change_address(id, "thief2@example.com").await.json(200);
        users.forgot("thief2@example.com").await;
        let thiefs_link = users.tokens_to("thief2@example.com").remove(0);
        users.reset(&thiefs_link, "the thief's horse").await.json(200);
        // The old address cannot be taken meanwhile.
        let body = json!({"email": "me@example.com", "password": PASSWORD});
        assert_eq!(users.post("/public/v1/signup", body).await.code(409), "EMAIL_TAKEN");
        let other = users.signup("other@example.com").await;
        assert_eq!(users.change_address(other, "me@example.com").await.code(409), "EMAIL_TAKEN");
        users.world.clock().advance(Duration::from_secs(47 * 3600));
        users.login("thief2@example.com", "the thief's horse").await.json(200);
        users.world.purge("user-purge").await;
        users.reset(&way_back, "the owner's horse").await.json(200);
        assert_eq!(users.kong.keys_of(id), Some(0), "every key has ended");
        users.login("me@example.com", "the owner's horse").await.json(200);
        users.login("thief2@example.com", "the thief's horse").await.code(401);
        // Links that were mailed to the attacker's addresses are invalid.
        for thiefs in users.tokens_to("thief@example.com").into_iter().chain(users.tokens_to("thief2@example.com")) {
            assert!(users.reset(&thiefs, "the thief's horse").await.json(400)["fields"]["token"].is_string());
        }
    }

    async fn nobody_keeps_a_way_back_from_its_owner(users: Users) {
        let id = users.signup("me@example.com").await;
        // A stranger requests links with other spellings of the mailbox.
        for n in 0..10 {
            let alias = format!("me+{n}@example.com");
            users.signup(&alias).await;
            for _ in 0..5 {
                users.forgot(&alias).await;
            }
        }
        users.change_address(id, "thief@example.com").await.json(200);
        let way_back = users.tokens_to("me@example.com").remove(0);
        users.reset(&way_back, "another horse").await.json(200);
        users.login("me@example.com", "another horse").await.json(200);

        // Changes of a stranger's accounts: then the owner's change is refused, not made without an email.
        for n in 0..10 {
            let stranger = users.signup(&format!("me+s{n}@example.com")).await;
            for m in 0..5 {
                users.change_address(stranger, &format!("me+s{n}-{m}@example.com")).await;
            }
        }
        users.world.clock().advance(Duration::from_secs(60));
        let body = json!({"email": "thief@example.com", "current_password": "another horse"});
        let refused = users.as_user(id, "PATCH", "/public/v1/user", Some(body)).await;
        assert_eq!(refused.code(429), "TOO_MANY_CHANGES");
    }

    async fn way_back_ends_after_two_days(users: Users) {
        let id = users.signup("me@example.com").await;
        users.change_address(id, "new@example.com").await.json(200);
        users.world.clock().advance(Duration::from_secs(48 * 3600 + 1));
        users.world.purge("user-purge").await;
        let way_back = users.tokens_to("me@example.com").remove(0);
        assert!(users.reset(&way_back, "another horse").await.json(400)["fields"]["token"].is_string());
        users.signup("me@example.com").await;
    }

    async fn address_changes_are_limited(users: Users) {
        let id = users.signup("me@example.com").await;
        for n in 0..5 {
            users.change_address(id, &format!("{n}@example.com")).await.json(200);
        }
        assert_eq!(users.change_address(id, "6@example.com").await.code(429), "TOO_MANY_CHANGES");
        users.login("4@example.com", PASSWORD).await.json(200);
        let way_back = users.tokens_to("me@example.com").remove(0);
        users.reset(&way_back, "another horse").await.json(200);
        users.login("me@example.com", "another horse").await.json(200);
    }

    async fn guesses_are_limited_by_account_over_all_addresses(users: Users) {
        let id = users.signup("me@example.com").await;
        // From here on the owner's network is known.
        users.login_from("192.0.2.1", PASSWORD).await.json(200);
        let mut denied = 0;
        for n in 0..30 {
            let answer = users.login_from(&format!("2001:db8:{n}::1"), "a guess").await;
            denied += u32::from(answer.status == 429);
        }
        assert_eq!(denied, 20);
        // An address without an account has the same limit, so that it reveals nothing.
        let unknown = async |n: u32| {
            let body = json!({"email": "nobody@example.com", "password": "a guess"});
            users.from(&format!("2001:db8:{n}::1"), None, "POST", "/public/v1/login", body).await
        };
        for n in 0..10 {
            assert_eq!(unknown(n).await.code(401), "INVALID_LOGIN");
        }
        let refused = unknown(11).await;
        assert_eq!(refused.code(429), "TOO_MANY_TRIES");
        assert!(refused.headers.contains_key("retry-after"));
        // From elsewhere, the correct password cannot be distinguished from a wrong one; the owner's network
        // is not blocked.
        assert_eq!(users.login_from("198.51.100.1", PASSWORD).await.code(429), "TOO_MANY_TRIES");
        users.login_from("192.0.2.1", PASSWORD).await.json(200);
        // A leaked key does not bypass the limit.
        let change = json!({"password": "another horse", "current_password": "a guess"});
        let with_key = users.from("203.0.113.9", Some(id), "PATCH", "/public/v1/user", change).await;
        assert_eq!(with_key.code(429), "TOO_MANY_TRIES");
        // A mailed link makes the owner's new network known.
        users.forgot("me@example.com").await;
        let link = json!({"token": users.tokens_to("me@example.com")[0], "password": "another horse"});
        users.from("198.51.100.1", None, "POST", "/public/v1/password/reset", link).await.json(200);
        users.login_from("198.51.100.1", "another horse").await.json(200);
        // The networks of the old password are no longer known.
        assert_eq!(users.login_from("192.0.2.1", "another horse").await.code(429), "TOO_MANY_TRIES");
        users.world.clock().advance(Duration::from_secs(15 * 60));
        users.login_from("192.0.2.1", "another horse").await.json(200);
        users.world.clock().advance(Duration::from_secs(86_400));
        users.world.purge("user-purge").await;
        assert_eq!(users.world.number("SELECT COUNT(*) FROM user_tries").await, 0);
    }

    async fn guesses_with_a_leaked_key_are_limited(users: Users) {
        let id = users.signup("me@example.com").await;
        let guess = json!({"password": "another horse", "current_password": "a guess"});
        for n in 0..10 {
            let answer = users.from(&format!("203.0.113.{n}"), Some(id), "PATCH", "/public/v1/user", guess.clone()).await;
            assert_eq!(answer.code(400), "VALIDATION_FAILED");
        }
        let refused = users.from("203.0.113.77", Some(id), "PATCH", "/public/v1/user", guess).await;
        assert_eq!(refused.code(429), "TOO_MANY_TRIES");
    }

    async fn guesses_at_once_are_counted_each(users: Users) {
        // A separate email address: all tests of this process, on either database, share the hashing queue.
        let thread = format!("{:?}", std::thread::current().id()).replace(|c: char| !c.is_ascii_digit(), "");
        let email = format!("guessed{thread}@example.com");
        users.signup(&email).await;
        let login = async |from: &str, password: &str| {
            let body = json!({"email": email, "password": password});
            users.from(from, None, "POST", "/public/v1/login", body).await
        };
        let guesses = (0..24).map(async |n| login(&format!("2001:db8:{}::1", n % 12), "a guess").await);
        let answers = futures::future::join_all(guesses).await;
        assert!(answers.iter().filter(|answer| answer.status == 401).count() <= 10);
        let right = login("198.51.100.1", PASSWORD).await;
        // The same test runs on the other database, with the same hashing queue.
        assert!(right.status == 200 || ["TOO_MANY_TRIES", "TOO_MANY_AT_ONCE"].contains(&&*right.code(429)));
    }

    async fn a_deletion_of_oneself_that_was_cut_off_is_finished(users: Users) {
        let id = users.signup("me@example.com").await;
        let gone = contract::UserDeleted { user_id: id };
        for _ in 0..2 {
            users.world.event("user-forget", kind::USER_DELETED, "u", &gone).await.json(202);
        }
        assert_eq!(users.kong.keys_of(id), None);
        users.login("me@example.com", PASSWORD).await.code(401);
    }

    async fn other_functions_see_users(users: Users) {
        let id = users.signup("me@example.com").await;
        let list = users.world.call(None, "GET", "/private/v1/users", None).await.json(200);
        assert_eq!((&list["page"]["total_count"], &list["items"][0]["id"]), (&json!(1), &json!(id)));
        assert!(!list.to_string().contains("argon2"));
        users.world.call(None, "GET", &format!("/private/v1/users/{id}"), None).await.json(200);
        users.world.call(None, "GET", "/private/v1/users/999", None).await.code(404);
    }
}

#[tokio::test]
async fn errors_are_korean_for_who_reads_korean() {
    let users = Users::new(Database::Sqlite).await;
    let function = functions::find("user-login").unwrap();
    let request = http::Request::post("/public/v1/login")
        .header("content-type", "application/json")
        .header("accept-language", "ko-KR,ko;q=0.9,en;q=0.8")
        .body(axum::body::Body::from(r#"{"email":"a@b.com","password":"wrong"}"#))
        .unwrap();
    let answer = tower::ServiceExt::oneshot(
        runtime::serve::router(function, users.world.context_of(function.name)),
        request,
    )
    .await
    .unwrap();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&body["code"], &body["message"]),
        (&json!("INVALID_LOGIN"), &json!("이메일 또는 비밀번호가 올바르지 않습니다."))
    );
}
