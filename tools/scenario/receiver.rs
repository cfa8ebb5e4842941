//! Receives webhooks, and verifies their signatures as any customer would.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use axum::{Router, body::Bytes, extract::State, routing::post};
use http::HeaderMap;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

use crate::api::Failure;

pub struct Receiver {
    /// The URL at which the deployment reaches it.
    pub url: String,
    calls: Calls,
}

type Calls = Arc<Mutex<Vec<Call>>>;

#[derive(Clone)]
struct Call {
    headers: HeaderMap,
    body: Bytes,
}

impl Receiver {
    pub async fn open(listen: SocketAddr, url: Option<String>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("webhooks cannot be received on {listen}"))?;
        let url = match url {
            Some(url) => url,
            None => format!("http://{}/", listener.local_addr()?),
        };
        let calls = Calls::default();
        let app = Router::new().fallback(post(receive)).with_state(Arc::clone(&calls));
        tokio::spawn(async { axum::serve(listener, app).await });
        Ok(Self { url, calls })
    }

    /// The newest call that reports this change, if it is signed with this secret.
    pub fn told(&self, what: &str, secret: &str) -> Result<Value, Failure> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wrong = |expected: &str, came: String, may_change| Failure {
            asked: format!("webhook at {}", self.url),
            expected: expected.into(),
            came,
            may_change,
            ..Failure::default()
        };
        for call in calls.iter().rev() {
            let event: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            if event["data"]["what"] != what {
                continue;
            }
            let body = String::from_utf8_lossy(&call.body);
            let verified = Webhook::new(secret).and_then(|webhook| webhook.verify(&call.body, &call.headers));
            return match verified {
                Ok(()) => Ok(event),
                Err(error) => Err(wrong("a valid signature", format!("{error}: {body}"), false)),
            };
        }
        Err(wrong(&format!("a call that says `{what}`"), format!("{} others", calls.len()), true))
    }
}

async fn receive(State(calls): State<Calls>, headers: HeaderMap, body: Bytes) {
    calls.lock().unwrap_or_else(PoisonError::into_inner).push(Call { headers, body });
}
