//! The whole story, through the gateway of an engine in a separate process: sign up, add an endpoint, it goes
//! down, the messages arrive, it recovers, the history is right. Then the same with `kill -9` in the middle.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    checks::Site,
    listener::Listener,
    smtp::SmtpServer,
    world::{Database, new_postgres_database},
};

/// The data that outlives a killed engine.
pub struct Home {
    data: tempfile::TempDir,
    database_url: Option<String>,
    pub settings: Vec<(&'static str, String)>,
    now: DateTime<Utc>,
}

impl Home {
    async fn new(database: Database, settings: Vec<(&'static str, String)>) -> Self {
        let database_url = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(new_postgres_database().await),
        };
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:30Z").unwrap().to_utc();
        Self { data: tempfile::tempdir().unwrap(), database_url, settings, now }
    }

    pub fn start(&self) -> Engine {
        let mut command = Command::new(program());
        command.env_clear().env("DATA_DIR", self.data.path()).env("NOW", self.now.to_rfc3339());
        command.env("LOG_LEVEL", "warn").envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.envs(self.database_url.iter().map(|url| ("DATABASE_URL", url)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let mut engine = Engine {
            output: BufReader::new(child.stdout.take().unwrap()),
            input,
            child,
            url: String::new(),
            admin: String::new(),
        };
        engine.admin = format!("http://{}", engine.hear("admin "));
        engine.url = format!("http://{}", engine.hear("listening "));
        engine
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    pub fn advance(&mut self, engine: &mut Engine, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
        writeln!(engine.input, "advance {seconds}").unwrap();
        engine.hear("advanced");
    }
}

/// Cargo builds examples beside the test binaries.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/engine_with_clock");
    assert!(Path::exists(&program), "{} is not built: cargo build --workspace --examples", program.display());
    program
}

/// A running engine; killed (as by `kill -9`) when dropped.
pub struct Engine {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub url: String,
    /// The URL of the admin API.
    pub admin: String,
}

impl Engine {
    /// Waits for a line that begins with this; the lines before it are the log.
    fn hear(&mut self, start: &str) -> String {
        self.hears_what(|line| line.strip_prefix(start))
    }

    /// Waits for a line that contains this.
    pub fn hears(&mut self, what: &str) -> String {
        self.hears_what(|line| line.contains(what).then_some(line))
    }

    fn hears_what(&mut self, part: impl Fn(&str) -> Option<&str>) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the engine ended");
            if let Some(part) = part(line.trim_end()) {
                return part.to_owned();
            }
        }
    }

    pub fn stop(mut self) {
        writeln!(self.input, "stop").unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user with a key.
pub struct Person {
    client: reqwest::Client,
    key: String,
}

impl Person {
    async fn sign_up(engine: &Engine) -> Self {
        let client = reqwest::Client::new();
        let body = json!({"email": "me@example.com", "password": "a good password"});
        let answer =
            client.post(format!("{}/user-service/v1/signup", engine.url)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let key = answer.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned();
        Self { client, key }
    }

    pub async fn post(&self, engine: &Engine, path: &str, body: Value) -> Value {
        let request =
            self.client.post(format!("{}{path}", engine.url)).header("apikey", &self.key).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    pub async fn get(&self, engine: &Engine, path: &str) -> Value {
        serde_json::from_str(&self.text(engine, path).await).unwrap()
    }

    pub async fn text(&self, engine: &Engine, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", engine.url)).header("apikey", &self.key);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.text().await.unwrap()
    }

    /// Lets time pass until the condition holds.
    pub async fn wait(
        &self,
        home: &mut Home,
        engine: &mut Engine,
        path: &str,
        what: &str,
        there: impl Fn(&Value) -> bool,
    ) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let seen = self.get(engine, path).await;
            if there(&seen) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {seen}");
            home.advance(engine, 2);
            // The engine is another process: its work takes real time.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn wait_for_status(&self, home: &mut Home, engine: &mut Engine, status: &str) {
        self.wait(home, engine, "/endpoint-service/v1/endpoints/1", status, |e| e["status"] == status).await;
    }

    pub async fn wait_for_delivered(&self, home: &mut Home, engine: &mut Engine, count: u64) {
        let path = "/notification-service/v1/deliveries?status=delivered";
        self.wait(home, engine, path, "delivered", |list| list["page"]["total_count"] == count).await;
    }
}

pub struct Story {
    pub site: Site,
    smtp: SmtpServer,
    pub slack: Listener,
    pub home: Home,
}

impl Story {
    pub async fn new(database: Database) -> Self {
        runtime::install_crypto();
        let (site, smtp) = (Site::start().await, SmtpServer::start().await);
        let slack = Listener::start(200, r#"{"ok":true}"#).await;
        let settings = vec![("SMTP_URL", smtp.url.clone()), ("SLACK_API_URL", slack.url.clone())];
        Self { site, smtp, slack, home: Home::new(database, settings).await }
    }

    /// Up to the point where the endpoint is checked and up.
    pub async fn begin(&mut self, engine: &mut Engine) -> Person {
        let person = Person::sign_up(engine).await;
        let email = json!({"name": "mail", "kind": "email", "config": {"to": ["me@example.com"]}});
        person.post(engine, "/notification-service/v1/notifications", email).await;
        let link = self.smtp.messages().pop().expect("a link that confirms the address");
        let token = json!({"token": crate::smtp::link_token(&link, "/mail/confirm?token=")});
        person.post(engine, "/notification-service/v1/addresses/confirm", token).await;
        let slack = json!({"name": "slack", "kind": "slack", "config": {"domain": "team", "channel": "#ops", "token": "xoxb-secret"}});
        person.post(engine, "/notification-service/v1/notifications", slack).await;
        let endpoint = json!({"url": self.site.url, "name": "Shop", "interval_seconds": 10, "failure_threshold": 2, "retries": 0});
        person.post(engine, "/endpoint-service/v1/endpoints", endpoint).await;
        person.wait_for_status(&mut self.home, engine, "up").await;
        person
    }

    fn mails(&self, subject: &str) -> usize {
        self.smtp
            .messages()
            .iter()
            .filter(|mail| mail.contains(&format!("Subject: [{subject}] Shop")))
            .count()
    }

    async fn check_history(&self, engine: &Engine, person: &Person) {
        let incidents = person.get(engine, "/report-service/v1/incidents").await;
        assert_eq!(incidents["page"]["total_count"], 1, "{incidents}");
        let incident = &incidents["items"][0];
        assert_eq!(
            (&incident["endpoint_id"], &incident["cause"]["code"]),
            (&json!(1), &json!("STATUS_MISMATCH"))
        );
        assert!(incident["ended_at"].as_str() > incident["started_at"].as_str(), "{incident}");
        let count = async |status: &str| {
            let list = person.get(engine, &format!("/report-service/v1/reports?status={status}")).await;
            list["page"]["total_count"].as_u64().unwrap()
        };
        let (up, down) = (count("up").await, count("down").await);
        assert!(up >= 2 && down >= 2, "{up} up, {down} down");
        // A scheduled time in the current second counts as well.
        let to = (self.home.now() + TimeDelta::seconds(1)).format("%Y-%m-%dT%H:%M:%SZ");
        let summary = person.get(engine, &format!("/report-service/v1/summaries/1?to={to}")).await;
        assert_eq!((&summary["checks"], &summary["up"]), (&json!(up + down), &json!(up)));
    }
}

async fn from_sign_up_to_recovery(database: Database) {
    let mut story = Story::new(database).await;
    let mut engine = story.home.start();
    let person = story.begin(&mut engine).await;
    assert!(story.smtp.messages().len() == 1 && story.slack.asked().is_empty(), "nothing to tell yet");

    story.site.status.store(503, Ordering::SeqCst);
    person.wait_for_status(&mut story.home, &mut engine, "down").await;
    person.wait_for_delivered(&mut story.home, &mut engine, 2).await;
    assert_eq!((story.mails("down"), story.mails("up")), (1, 0));
    let asked = story.slack.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].path.as_str(), asked[0].header("authorization")),
        ("/chat.postMessage", "Bearer xoxb-secret")
    );
    assert!(asked[0].body.contains("Expected status 200-399, got 503"), "{}", asked[0].body);

    story.site.status.store(200, Ordering::SeqCst);
    person.wait_for_status(&mut story.home, &mut engine, "up").await;
    person.wait_for_delivered(&mut story.home, &mut engine, 4).await;
    assert_eq!((story.mails("down"), story.mails("up"), story.slack.asked().len()), (1, 1, 1));
    story.check_history(&engine, &person).await;
    engine.stop();
}

async fn killed_in_the_middle(database: Database) {
    let mut story = Story::new(database).await;
    let mut engine = story.home.start();
    let person = story.begin(&mut engine).await;

    // Killed while checks are under way, and between the first failure and the second.
    story.site.status.store(503, Ordering::SeqCst);
    person
        .wait(&mut story.home, &mut engine, "/report-service/v1/reports?status=down", "a failure", |list| {
            list["page"]["total_count"] == 1
        })
        .await;
    drop(engine);
    let mut engine = story.home.start();

    // Killed after the email was sent, while Slack is unavailable.
    story.slack.answers(503, "");
    person.wait_for_status(&mut story.home, &mut engine, "down").await;
    person.wait_for_delivered(&mut story.home, &mut engine, 1).await;
    assert_eq!(story.mails("down"), 1);
    drop(engine);
    let mut engine = story.home.start();
    assert!(!story.slack.asked().is_empty(), "it was tried");
    story.slack.answers(200, r#"{"ok":true}"#);
    person.wait_for_delivered(&mut story.home, &mut engine, 2).await;
    assert_eq!((story.mails("down"), story.slack.asked().len()), (1, 1), "once each, and nothing lost");

    // Killed after recovery, before any message was sent.
    story.slack.answers(503, "");
    story.site.status.store(200, Ordering::SeqCst);
    person.wait_for_status(&mut story.home, &mut engine, "up").await;
    drop(engine);
    story.slack.asked();
    story.slack.answers(200, r#"{"ok":true}"#);
    let mut engine = story.home.start();
    person.wait_for_delivered(&mut story.home, &mut engine, 4).await;
    assert_eq!(story.slack.asked().len(), 1);
    // The server may have accepted the email just before the kill, without our knowing: then it is sent
    // again, as the same message.
    let up: Vec<_> = story.smtp.messages().into_iter().filter(|mail| mail.contains("[up] Shop")).collect();
    let ids: std::collections::BTreeSet<_> =
        up.iter().flat_map(|mail| mail.lines().find(|line| line.starts_with("Message-ID:"))).collect();
    assert_eq!(ids.len(), 1, "{up:?}");
    story.check_history(&engine, &person).await;
    engine.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_sign_up_to_recovery_on_sqlite() {
    from_sign_up_to_recovery(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_sign_up_to_recovery_on_postgres() {
    from_sign_up_to_recovery(Database::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_on_sqlite() {
    killed_in_the_middle(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_on_postgres() {
    killed_in_the_middle(Database::Postgres).await;
}
