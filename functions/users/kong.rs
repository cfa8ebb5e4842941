//! Client for Kong's Admin API, the one interface for consumers and keys. On a cluster it is a real Kong;
//! on one machine, the one-machine engine answers the same calls.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use runtime::{Context, Env, Error, FromEnv, Result};
use serde::Deserialize;
use serde_json::{Value, json};

pub struct Kong {
    admin_url: String,
    client: reqwest::Client,
}

impl FromEnv for Kong {
    const NAMES: &[&str] = &["KONG_ADMIN_URL", "KONG_ADMIN_TOKEN"];

    /// `KONG_ADMIN_URL`, such as `http://kong-admin:8001`; `KONG_ADMIN_TOKEN`, if the Admin API requires
    /// one.
    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let admin_url = env.required("KONG_ADMIN_URL")?.trim_end_matches('/').to_owned();
        let mut headers = HeaderMap::new();
        if let Some(token) = env.get("KONG_ADMIN_TOKEN") {
            // The error does not contain the value.
            let mut token = HeaderValue::from_str(token).context("KONG_ADMIN_TOKEN is invalid")?;
            token.set_sensitive(true);
            headers.insert("kong-admin-token", token);
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            // Kong's Admin API never redirects, and the token must not go to another server.
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(headers)
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self { admin_url, client })
    }
}

/// A key as stored by the gateway.
#[derive(Debug, Deserialize)]
pub struct Credential {
    pub id: String,
}

#[derive(Deserialize)]
struct Credentials {
    data: Vec<Credential>,
    next: Option<String>,
}

impl Kong {
    pub fn of(context: &Context) -> Result<std::sync::Arc<Self>> {
        context.config()
    }

    /// Creates a user's consumer. Replaces one that an aborted sign-up left behind.
    pub async fn create_consumer(&self, user_id: i64) -> Result<()> {
        let consumer = json!({ "username": username(user_id), "custom_id": user_id.to_string() });
        let (status, answer) = self.ask(Method::POST, "/consumers", Some(&consumer)).await?;
        if status == StatusCode::CONFLICT {
            self.delete_consumer(user_id).await?;
            let (status, answer) = self.ask(Method::POST, "/consumers", Some(&consumer)).await?;
            return expect(status, StatusCode::CREATED, &answer);
        }
        expect(status, StatusCode::CREATED, &answer)
    }

    pub async fn delete_consumer(&self, user_id: i64) -> Result<()> {
        let (status, answer) =
            self.ask(Method::DELETE, &format!("/consumers/{}", username(user_id)), None).await?;
        if status == StatusCode::NOT_FOUND { Ok(()) } else { expect(status, StatusCode::NO_CONTENT, &answer) }
    }

    /// Registers a key; returns the gateway's ID of the key.
    pub async fn create_key(&self, user_id: i64, key: &str, ttl_seconds: Option<u32>) -> Result<String> {
        let mut credential = json!({ "key": key });
        if let Some(ttl) = ttl_seconds {
            credential["ttl"] = ttl.into();
        }
        let path = format!("/consumers/{}/key-auth", username(user_id));
        let (mut status, mut answer) = self.ask(Method::POST, &path, Some(&credential)).await?;
        if status == StatusCode::NOT_FOUND {
            // The gateway has lost its consumers. The caller has authenticated the user, so create the
            // consumer again.
            self.create_consumer(user_id).await?;
            (status, answer) = self.ask(Method::POST, &path, Some(&credential)).await?;
        }
        expect(status, StatusCode::CREATED, &answer)?;
        let id = answer["id"].as_str().context("Kong gave the key no id")?;
        Ok(id.to_owned())
    }

    /// Deletes one key; succeeds if it does not exist.
    pub async fn delete_key(&self, user_id: i64, credential_id: &str) -> Result<()> {
        let path = format!("/consumers/{}/key-auth/{credential_id}", username(user_id));
        let (status, answer) = self.ask(Method::DELETE, &path, None).await?;
        if status == StatusCode::NOT_FOUND { Ok(()) } else { expect(status, StatusCode::NO_CONTENT, &answer) }
    }

    /// Deletes all keys of a user, except one if `kept` is given.
    pub async fn delete_keys_but(&self, user_id: i64, kept: Option<&str>) -> Result<()> {
        let mut next = Some(format!("/consumers/{}/key-auth", username(user_id)));
        let mut found = Vec::new();
        while let Some(path) = next {
            let (status, answer) = self.ask(Method::GET, &path, None).await?;
            // No consumer means no keys: Kong has lost its consumers.
            if status == StatusCode::NOT_FOUND {
                break;
            }
            expect(status, StatusCode::OK, &answer)?;
            let page: Credentials = serde_json::from_value(answer).context("Kong's list of keys")?;
            found.extend(page.data);
            next = page.next;
        }
        for credential in found.iter().filter(|c| Some(c.id.as_str()) != kept) {
            self.delete_key(user_id, &credential.id).await?;
        }
        Ok(())
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = self.client.request(method, format!("{}{path}", self.admin_url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let gone =
            |e: reqwest::Error| Error::unavailable(anyhow!(e).context("Kong's Admin API does not answer"));
        let response = request.send().await.map_err(gone)?;
        let status = response.status();
        let body = response.bytes().await.map_err(gone)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

fn username(user_id: i64) -> String {
    format!("user-{user_id}")
}

fn expect(status: StatusCode, wanted: StatusCode, answer: &Value) -> Result<()> {
    if status == wanted {
        return Ok(());
    }
    // Only the message: the rest may contain the key.
    Err(Error::unavailable(anyhow!("Kong's Admin API answered {status}: {}", answer["message"])))
}
