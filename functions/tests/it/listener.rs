//! An HTTP server that stands in for Slack or for a user's webhook.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Request, http::StatusCode, response::AppendHeaders};
use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::Value;

/// A received request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
    /// The status of the answer.
    pub answered: u16,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }
}

pub struct Listener {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Mutex<(u16, String)>>,
    retry_after: Arc<Mutex<Option<String>>>,
    before: Arc<Mutex<Option<Before>>>,
}

/// Runs before the next answer.
type Before = Box<dyn FnOnce() + Send>;

impl Listener {
    pub async fn start(status: u16, body: &str) -> Self {
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let answer = Arc::new(Mutex::new((status, body.to_owned())));
        let retry_after = Arc::<Mutex<Option<String>>>::default();
        let before = Arc::<Mutex<Option<Before>>>::default();
        let handle = {
            let (asked, answer, retry_after) =
                (Arc::clone(&asked), Arc::clone(&answer), Arc::clone(&retry_after));
            let before = Arc::clone(&before);
            async move |request: Request| {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (answered, said) = answer.lock().unwrap().clone();
                if let Some(before) = before.lock().unwrap().take() {
                    before();
                }
                asked.lock().unwrap().push(Asked {
                    path: parts.uri.path().to_owned(),
                    headers: parts.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                    answered,
                });
                let retry_after = retry_after.lock().unwrap().clone().map(|wait| [("retry-after", wait)]);
                let status = StatusCode::from_u16(answered).unwrap();
                (status, [("location", "/elsewhere")], retry_after.map(AppendHeaders), said)
            }
        };
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(socket, Router::new().fallback(handle)).await });
        Self { url, asked, answer, retry_after, before }
    }

    pub fn answers(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }

    /// Answers with this status once, then as before.
    pub fn answers_once(&self, status: u16) {
        let before = std::mem::replace(&mut *self.answer.lock().unwrap(), (status, String::new()));
        let answer = Arc::clone(&self.answer);
        self.does_before_answer(move || *answer.lock().unwrap() = before);
    }

    pub fn does_before_answer(&self, act: impl FnOnce() + Send + 'static) {
        *self.before.lock().unwrap() = Some(Box::new(act));
    }

    pub fn wants(&self, retry_after: &str) {
        *self.retry_after.lock().unwrap() = Some(retry_after.to_owned());
    }

    /// The requests since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Waits for a request from another process.
    pub async fn until_asked(&self) -> Vec<Asked> {
        let asked = async {
            loop {
                match self.asked() {
                    none if none.is_empty() => tokio::time::sleep(Duration::from_millis(10)).await,
                    some => return some,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asked).await.expect("nothing was asked")
    }
}

/// A URL on which nothing listens.
pub async fn nobody() -> String {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", socket.local_addr().unwrap())
}
