//! Tests of functions/users.

use std::time::Duration;

use functions::contract::kind;
use serde_json::{Value, json};

use crate::{
    kong::Kong,
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

    /// What was mailed, as files.
    fn mails(&self) -> Vec<String> {
        let outbox = self.world.context.env().get("OUTBOX_DIR").unwrap();
        let Ok(files) = std::fs::read_dir(outbox) else { return Vec::new() };
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    /// As [`World::call`], with a credential that the gateway would name.
    async fn as_user(&self, user: i64, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.world.call(Some(user), method, path, body).await
    }
}

/// The token of the link in a mail.
pub fn token(mail: &str) -> String {
    // Quoted-printable breaks long lines, and spells out the equals sign.
    let mail = mail.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=");
    let (_, token) = mail.split_once("/password/reset?token=").expect("a link");
    token.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
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
        let again = json!({"email": "ME@example.com", "password": PASSWORD});
        assert_eq!(users.post("/public/v1/signup", again).await.code(409), "EMAIL_TAKEN");
        let body = || json!({"email": "you@example.com", "password": PASSWORD});
        let crowd = (0..6).map(|_| users.post("/public/v1/signup", body()));
        let answers = futures::future::join_all(crowd).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        assert!(answers.iter().filter(|answer| answer.status != 201).all(|answer| answer.code(409) == "EMAIL_TAKEN"));
    }

    async fn a_sign_up_names_what_is_wrong(users: Users) {
        for (field, body) in [
            ("email", json!({"email": "not an address", "password": PASSWORD})),
            ("email", json!({"email": format!("{}@example.com", "x".repeat(300)), "password": PASSWORD})),
            ("email", json!({"email": "a@b.c\r\nBcc: x@y.z", "password": PASSWORD})),
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
        // What is left when the process dies between the database and the gateway.
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
        // The world's calls come with a credential that Kong does not know: all five end.
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
        for body in [json!({}), json!({"name": ""}), json!({"name": "x".repeat(101)}), json!({"name": "x", "ttl_seconds": 0}), json!({"name": "x", "ttl_seconds": -5})] {
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
        // The gateway fails last: the key still works, and one tries again.
        users.kong.fail(Some(("DELETE", "consumers")));
        users.as_user(id, "DELETE", "/public/v1/user", None).await.code(503);
        users.kong.fail(None);
        users.as_user(id, "DELETE", "/public/v1/user", None).await.json(204);
        assert_eq!(users.kong.keys_of(id), None);
        let told: Vec<_> = users.world.events.lock().unwrap().drain(..).collect();
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

        // A second mail replaces the first one's token.
        forgot("me@example.com").await;
        let (old, new) = (token(&mails[0]), users.mails().iter().map(|mail| token(mail)).find(|t| *t != token(&mails[0])).unwrap());
        assert!(reset(&old, "another horse").await.json(400)["fields"]["token"].is_string());
        assert!(reset(&new, "short").await.json(400)["fields"]["password"].is_string());
        users.kong.fail(Some(("DELETE", "key-auth")));
        assert_eq!(reset(&new, "another horse").await.code(503), "UNAVAILABLE");
        users.kong.fail(None);
        reset(&new, "another horse").await.json(200);
        assert_eq!(users.kong.keys_of(id), Some(0), "every key has ended");
        users.login("me@example.com", PASSWORD).await.code(401);
        users.login("me@example.com", "another horse").await.json(200);
        assert!(reset(&new, "a third horse").await.json(400)["fields"]["token"].is_string(), "once");
    }

    async fn a_reset_token_is_good_for_half_an_hour(users: Users) {
        users.signup("me@example.com").await;
        users.post("/public/v1/password/forgot", json!({"email": "me@example.com"})).await.json(200);
        users.world.context.finish().await;
        users.world.clock().advance(Duration::from_secs(30 * 60 + 1));
        let late = json!({"token": token(&users.mails()[0]), "password": "another horse"});
        assert!(users.post("/public/v1/password/reset", late).await.json(400)["fields"]["token"].is_string());
        for body in [json!({}), json!({"token": 1, "password": "another horse"}), json!({"token": "", "password": "another horse"})] {
            users.post("/public/v1/password/reset", body).await.code(400);
        }
    }

    async fn a_deletion_of_oneself_that_was_cut_off_is_finished(users: Users) {
        let id = users.signup("me@example.com").await;
        let gone = functions::contract::UserDeleted { user_id: id };
        for _ in 0..2 {
            users.world.event("user-delete", kind::USER_DELETED, "u", &gone).await.json(202);
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
