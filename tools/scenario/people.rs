//! The users that the scenario creates, and their deletion.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::api::{Api, Failure};

#[derive(Clone, Debug)]
pub struct Person {
    pub id: i64,
    pub email: String,
    pub password: String,
    /// From sign-up.
    pub key: String,
}

/// All users that may exist, recorded before sign-up: an interrupted sign-up leaves no user behind either.
#[derive(Default)]
pub struct People(RefCell<Vec<Person>>);

impl People {
    pub async fn sign_up(&self, api: &Api) -> Result<Person, Failure> {
        let name: u64 = rand::random();
        let mut person = Person {
            id: 0,
            email: format!("scenario-{name:016x}@example.com"),
            password: format!("scenario {:032x}", rand::random::<u128>()),
            key: String::new(),
        };
        self.0.borrow_mut().push(person.clone());
        let answer = api.post("/user-service/v1/signup", person.credentials()).expect(201).await?;
        let made = answer.json();
        answer.check(made["email"] == person.email.as_str(), format!("\"email\":\"{}\"", person.email))?;
        person.id = made["id"].as_i64().ok_or_else(|| answer.wrong("an id"))?;
        person.key = made["key"].as_str().ok_or_else(|| answer.wrong("a key"))?.to_owned();
        if let Some(last) = self.0.borrow_mut().last_mut() {
            last.clone_from(&person);
        }
        Ok(person)
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Deletes the remaining users and everything that they own.
    pub async fn delete(&self, api: &Api) -> Result<(), Failure> {
        loop {
            let Some(person) = self.0.borrow().last().cloned() else { return Ok(()) };
            person.delete(api).await.map_err(|failure| Failure {
                came: format!("{} (left behind: the user {})", failure.came, person.email),
                ..failure
            })?;
            self.0.borrow_mut().pop();
        }
    }
}

impl Person {
    pub fn credentials(&self) -> Value {
        json!({"email": self.email, "password": self.password})
    }

    /// Uses a new key: the one from sign-up may be revoked, or may never have arrived.
    async fn delete(&self, api: &Api) -> Result<(), Failure> {
        let login = api.post("/user-service/v1/login", self.credentials()).send().await?;
        if login.status == 401 {
            return Ok(());
        }
        let key = login.json()["key"].as_str().map(str::to_owned);
        let key = key.ok_or_else(|| login.wrong("200 with a key, or 401 when nobody is there"))?;
        api.delete("/user-service/v1/user").key(&key).expect(204).await.map(drop)
    }
}
