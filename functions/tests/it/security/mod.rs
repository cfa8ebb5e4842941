//! Attacks, tried on everything in the tables of this project: a new function, form or field is included
//! automatically.

mod addresses;
mod bombs;
mod forms;
mod guesses;
mod operations;
mod scripts;
mod secrets;

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use pongpong::{Engine, Settings};
use reqwest::{Client, redirect};
use runtime::{Clock, Env};
use serde_json::{Value, json};

use crate::world::{Database, new_postgres_database};

/// Makes two tests of one: on an engine with SQLite, and with PostgreSQL.
macro_rules! on_both {
    ($(async fn $name:ident($house:ident: House) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn story($house: House) $body

            #[tokio::test]
            async fn on_sqlite() {
                story(House::new(crate::world::Database::Sqlite, []).await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                story(House::new(crate::world::Database::Postgres, []).await).await;
            }
        }
    )+};
}
use on_both;

/// An engine, whose functions are called from outside.
pub struct House {
    pub engine: Engine,
    pub clock: Clock,
    pub client: Client,
    _data: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

pub struct Person {
    pub id: i64,
    pub key: String,
}

impl House {
    pub async fn new<const N: usize>(database: Database, settings: [(&str, &str); N]) -> Self {
        runtime::install_crypto();
        let data = tempfile::tempdir().unwrap();
        let env: Env = settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let clock = Clock::manual("2026-03-01T12:00:30Z".parse().unwrap());
        let mut settings = Settings { env, clock: clock.clone(), ..Settings::at(data.path()) };
        if database == Database::Postgres {
            settings.database_url = Some(new_postgres_database().await);
        }
        let engine = pongpong::start(settings).await.unwrap();
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
        Self { engine, clock, client, _data: data }
    }

    /// Advances to a new minute, in which rate limits start again.
    pub fn next_minute(&self) {
        self.clock.advance(Duration::from_secs(60));
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let url = format!("http://{}{path}", self.engine.address);
        let mut request = self.client.request(method.parse::<Method>().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.unwrap() }
    }

    pub async fn call(&self, who: &Person, method: &str, path: &str, body: Value) -> Answer {
        self.ask(method, path, &[("apikey", &who.key)], (!body.is_null()).then_some(&body)).await
    }

    /// Creates an object and returns it.
    pub async fn make(&self, who: &Person, path: &str, body: Value) -> Value {
        let made = self.call(who, "POST", path, body).await;
        assert!(made.status.is_success(), "{path}: {}", made.text);
        serde_json::from_str(&made.text).unwrap()
    }

    pub async fn sign_up(&self, email: &str) -> Person {
        let body = json!({"email": email, "password": "a good password"});
        let made = self.ask("POST", "/user-service/v1/signup", &[], Some(&body)).await.json(201);
        Person { id: made["id"].as_i64().unwrap(), key: made["key"].as_str().unwrap().to_owned() }
    }
}
