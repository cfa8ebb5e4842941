//! Pages of an engine in this process, requested like by a browser.

mod badges;
mod endpoints;
mod frame;
mod pages;
mod status;

use std::sync::Mutex;

use http::{Method, StatusCode, header};
use pongpong::{Engine, Settings};
use reqwest::{Client, redirect};
use runtime::{Clock, Env};
use serde_json::{Value, json};

/// An engine, and a browser's state.
pub struct Site {
    pub engine: Engine,
    pub client: Client,
    cookies: Mutex<Vec<(String, String)>>,
    pub data: tempfile::TempDir,
}

/// An answer.
pub struct Shown {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub html: String,
}

impl Shown {
    /// The target of a redirect.
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }

    #[track_caller]
    pub fn says(&self, what: &str) -> &Self {
        assert!(self.html.contains(what), "{what:?} is not in:\n{}", self.html);
        self
    }

    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> String {
        let before = format!("name=\"{name}\" value=\"");
        let (_, rest) =
            self.html.split_once(&before).unwrap_or_else(|| panic!("no {name} in:\n{}", self.html));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Site {
    pub async fn start() -> Self {
        Self::with([]).await
    }

    pub async fn with<const N: usize>(settings: [(&str, &str); N]) -> Self {
        runtime::install_crypto();
        let data = tempfile::tempdir().unwrap();
        let env: Env = settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        // The clock stands still: everything counts within one minute.
        let clock = Clock::manual("2026-03-01T12:00:30Z".parse().unwrap());
        let engine = pongpong::start(Settings { env, clock, ..Settings::at(data.path()) }).await.unwrap();
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { engine, client, cookies: Mutex::default(), data }
    }

    /// With a logged-in user.
    pub async fn signed_up() -> Self {
        let site = Self::start().await;
        site.sign_up("me@example.com").await;
        site
    }

    pub async fn sign_up(&self, email: &str) {
        self.get("/signup").await;
        let to = self.post("/signup", "/signup", &[("email", email), ("password", "a good password")]).await;
        assert_eq!((to.status, to.location()), (StatusCode::SEE_OTHER, "/dashboard"), "{}", to.html);
    }

    /// Continues as another browser.
    pub fn forget_cookies(&self) {
        self.cookies.lock().unwrap().clear();
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies.lock().unwrap();
        let found = cookies.iter().find(|(n, _)| n.strip_prefix("__Host-").unwrap_or(n) == name);
        found.map(|(_, value)| value.clone())
    }

    /// The sent emails, as files, in no particular order.
    pub fn mails(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.data.path().join("outbox")).into_iter().flatten();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    /// Calls the API with the key of the logged-in user.
    pub async fn api(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("http://{}{path}", self.engine.address);
        let key = self.cookie("pongpong_key").unwrap();
        let answer = self.client.request(method, url).header("apikey", key).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap_or_default()
    }

    pub async fn make(&self, path: &str, body: Value) -> Value {
        self.api(Method::POST, path, body).await
    }

    pub async fn endpoint(&self, name: &str, url: &str) -> i64 {
        let body = json!({"name": name, "url": url, "retries": 0, "failure_threshold": 1, "interval_seconds": 86_400});
        self.make("/endpoint-service/v1/endpoints", body).await["id"].as_i64().unwrap()
    }

    pub async fn get(&self, path: &str) -> Shown {
        self.ask(Method::GET, path, &[], String::new()).await
    }

    /// Submits the form of a page with that page's CSRF token.
    pub async fn post(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Shown {
        let csrf = self.get(page).await.hidden("csrf");
        let mut form = vec![("csrf", csrf.as_str())];
        form.extend(fields);
        self.send(action, &[], &form).await
    }

    pub async fn send(&self, path: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Shown {
        let body = serde_html_form::to_string(form).unwrap();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.ask(Method::POST, path, &[&kind, headers].concat(), body).await
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Shown {
        let url = format!("http://{}{path}", self.engine.address);
        let mut request = self.client.request(method, url).header(header::ACCEPT, "text/html").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        for cookie in headers.get_all(header::SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        Shown { status, headers, html: answer.text().await.unwrap() }
    }

    pub fn keep(&self, cookie: &str) {
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        let mut cookies = self.cookies.lock().unwrap();
        cookies.retain(|(kept, _)| kept != name);
        if !cookie.contains("Max-Age=0") {
            cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}
