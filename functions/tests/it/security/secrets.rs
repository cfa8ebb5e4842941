//! A whole story with secrets that are easy to recognise, and then a search for them: in the log at its most
//! talkative, in what is answered, in the databases and the broker's journal, in dead letters, in telemetry,
//! among the arguments of the process, and in the modes of files.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::listener::Listener;

const PASSWORD: &str = "Recognise-password-1";
const WRONG_PASSWORD: &str = "Recognise-wrong-2";
const SLACK_TOKEN: &str = "xoxb-recognise-slack-3";
const WEBHOOK_SECRET: &str = "whsec_UmVjb2duaXNlLXdlYmhvb2stc2VjcmV0LTQ=";
const SMTP_PASSWORD: &str = "recognise-smtp-5";
const ENCRYPTION_KEY: &str = "UmVjb2duaXNlLWVuY3J5cHRpb24ta2V5LTYtLS0tLS0";
const GATEWAY_TOKEN: &str = "recognise-gateway-token-7";
/// In the path of a Slack webhook, and in the header of an endpoint.
const SLACK_PATH: &str = "recognise-slack-path-8";
const GUESSED_KEY: &str = "pp_recognise-guessed-key-9";

/// Keeps every byte that it is sent.
async fn kept() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let all = Arc::<Mutex<Vec<u8>>>::default();
    let keep = Arc::clone(&all);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let keep = Arc::clone(&keep);
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    keep.lock().unwrap().extend_from_slice(&buffer[..read]);
                    // A client that sends more in the meantime is answered more often: it does not mind.
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                }
            });
        }
    });
    (url, all)
}

struct Process {
    child: Child,
    /// Line by line: a process that says much must not wait until somebody listens.
    lines: Receiver<String>,
    /// All that it said on standard output.
    said: String,
    url: String,
    admin: String,
}

impl Process {
    fn start(data: &Path, errors: File, settings: &[(&str, &str)]) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program = tests.ancestors().nth(2).unwrap().join("examples/engine_with_clock");
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("DATA_DIR", data)
            .env("NOW", "2026-03-01T12:00:30Z")
            .env("LOG_LEVEL", "trace");
        command.envs(settings.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (told, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        let mut process =
            Self { child, lines, said: String::new(), url: String::new(), admin: String::new() };
        process.admin = format!("http://{}", process.hear("admin "));
        process.url = format!("http://{}", process.hear("listening "));
        process
    }

    fn hear(&mut self, start: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(30)).expect("it says something");
            self.said.push_str(&line);
            self.said.push('\n');
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    fn advance(&mut self, seconds: u64) {
        writeln!(self.child.stdin.as_mut().unwrap(), "advance {seconds}").unwrap();
        self.hear("advanced");
    }

    fn stop(mut self) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "stop").unwrap();
        assert!(self.child.wait().unwrap().success());
        let rest: String = self.lines.iter().collect();
        std::mem::take(&mut self.said) + &rest
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whoever asks, and all that was answered.
struct Story {
    client: Client,
    answers: Vec<(String, String)>,
}

impl Story {
    async fn ask(
        &mut self,
        method: &str,
        url: String,
        headers: &[(&str, &str)],
        body: Value,
    ) -> (u16, Value) {
        let mut request = self.client.request(method.parse().unwrap(), &url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = format!("{:?} {}", answer.headers().clone(), answer.text().await.unwrap());
        let json = text.find("} {").and_then(|at| serde_json::from_str(&text[at + 2..]).ok());
        self.answers.push((format!("{method} {url}"), text));
        (status, json.unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_where_it_should_not_be() {
    runtime::install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let errors = File::create(folder.path().join("errors")).unwrap();
    let (telemetry, told) = kept().await;
    let slack = Listener::start(500, "it broke").await;
    let nobody = crate::listener::nobody().await;
    let smtp = format!("smtp://user:{SMTP_PASSWORD}@{}", nobody.trim_start_matches("http://"));
    let mut process = Process::start(
        &data,
        errors,
        &[
            ("ENCRYPTION_KEY", ENCRYPTION_KEY),
            ("GATEWAY_TOKEN", GATEWAY_TOKEN),
            ("SMTP_URL", &smtp),
            ("SLACK_API_URL", &slack.url),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &telemetry),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ],
    );
    let arguments = std::fs::read(format!("/proc/{}/cmdline", process.child.id())).unwrap();
    let mut story = Story { client: Client::new(), answers: Vec::new() };
    let to = |path: &str| format!("{}{path}", process.url);

    let me = json!({"email": "me@example.com", "password": PASSWORD});
    let (status, signed_up) = story.ask("POST", to("/user-service/v1/signup"), &[], me.clone()).await;
    assert_eq!(status, 201);
    let key = signed_up["key"].as_str().unwrap().to_owned();
    let mine = [("apikey", key.as_str())];
    // Said once, to whom it belongs.
    story.answers.clear();
    story.ask("POST", to("/user-service/v1/signup"), &[], me).await;
    story
        .ask(
            "POST",
            to("/user-service/v1/login"),
            &[],
            json!({"email": "me@example.com", "password": WRONG_PASSWORD}),
        )
        .await;
    story
        .ask(
            "POST",
            to("/user-service/v1/login"),
            &[],
            json!({"email": "me@example.com", "password": WRONG_PASSWORD, "x": 1}),
        )
        .await;
    story
        .ask(
            "PATCH",
            to("/user-service/v1/user"),
            &mine,
            json!({"current_password": WRONG_PASSWORD, "password": "short"}),
        )
        .await;
    story.ask("POST", to("/user-service/v1/password/forgot"), &[], json!({"email": "me@example.com"})).await;
    story
        .ask(
            "POST",
            to("/user-service/v1/password/reset"),
            &[],
            json!({"token": GUESSED_KEY, "password": WRONG_PASSWORD}),
        )
        .await;
    story.ask("GET", to("/user-service/v1/user"), &[("apikey", GUESSED_KEY)], Value::Null).await;
    story.ask("GET", to("/user-service/v1/user"), &[("x-gateway-token", "guess")], Value::Null).await;
    story
        .ask(
            "POST",
            to("/endpoint-service/v1/endpoints"),
            &mine,
            json!({"url": 1, "headers": {"Authorization": SLACK_PATH}}),
        )
        .await;
    let channels = "/notification-service/v1/notifications";
    for (name, channel, config) in [
        ("slack", "slack", json!({"domain": "x", "channel": "#ops", "token": SLACK_TOKEN})),
        ("hook", "webhook", json!({"url": format!("{}/hook", slack.url), "secret": WEBHOOK_SECRET})),
        ("slack's hook", "slack", json!({"webhook_url": format!("{}/services/T/B/{SLACK_PATH}", slack.url)})),
        ("mail", "email", json!({"to": ["a@example.com"]})),
    ] {
        let body = json!({"name": name, "channel": channel, "config": config});
        let (status, made) = story.ask("POST", to(channels), &mine, body).await;
        assert_eq!(status, 201, "{made}");
        story.ask("GET", to(&format!("{channels}/{}", made["id"])), &mine, Value::Null).await;
        let (_, tested) =
            story.ask("POST", to(&format!("{channels}/{}/test", made["id"])), &mine, Value::Null).await;
        assert_eq!(tested["status"], "fail", "{tested}");
        story
            .ask(
                "PATCH",
                to(&format!("{channels}/{}", made["id"])),
                &mine,
                json!({"config": {"token": SLACK_TOKEN}}),
            )
            .await;
    }
    // A secret that is made, not given, is shown once: nothing of this list makes one.
    let endpoint = json!({"name": "shop", "url": nobody, "retries": 0, "failure_threshold": 1});
    assert_eq!(story.ask("POST", to("/endpoint-service/v1/endpoints"), &mine, endpoint).await.0, 201);

    // It is down, nobody can be told, and the broker gives up at last.
    let secrets: Value = serde_json::from_slice(&std::fs::read(data.join("secrets.json")).unwrap()).unwrap();
    let admin_token = secrets["admin_token"].as_str().unwrap().to_owned();
    let letters = format!("{}/private/v1/dead_letters", process.admin);
    let deadline = Instant::now() + Duration::from_secs(60);
    let dead = loop {
        let (_, dead) =
            story.ask("GET", letters.clone(), &[("kong-admin-token", &admin_token)], Value::Null).await;
        if dead["page"]["total_count"].as_i64().unwrap_or_default() >= 3 {
            break dead;
        }
        assert!(Instant::now() < deadline, "the broker has not given up: {dead}");
        process.advance(600);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let to = |path: &str| format!("{}{path}", process.url);
    for path in [
        channels,
        "/notification-service/v1/deliveries",
        "/user-service/v1/keys",
        "/report-service/v1/incidents",
    ] {
        story.ask("GET", to(path), &mine, Value::Null).await;
    }
    for path in ["users", "notifications", "endpoints"] {
        let url = format!("{}/private/v1/{path}", process.admin);
        story.ask("GET", url, &[("kong-admin-token", &admin_token)], Value::Null).await;
        let url = format!("{}/private/v1/{path}", process.admin);
        story.ask("GET", url, &[("kong-admin-token", GUESSED_KEY)], Value::Null).await;
    }
    let said = process.stop();
    let errors = std::fs::read_to_string(folder.path().join("errors")).unwrap();

    let mut places: Vec<(String, Vec<u8>)> = vec![
        ("the log".into(), said.into_bytes()),
        ("standard error".into(), errors.into_bytes()),
        ("the arguments".into(), arguments),
        ("telemetry".into(), told.lock().unwrap().clone()),
        ("dead letters".into(), dead.to_string().into_bytes()),
    ];
    assert!(places[0].1.len() > 10_000 && places[3].1.len() > 1000, "nothing to search in");
    places.extend(story.answers.into_iter().map(|(asked, answer)| (asked, answer.into_bytes())));
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_file() && name != "secrets.json" {
            places.push((name, std::fs::read(&path).unwrap()));
        }
    }
    assert!(
        places.iter().any(|(name, _)| name == "engine.db")
            && places.iter().any(|(name, _)| name == "pongpong.db")
    );
    let secrets = [
        PASSWORD,
        WRONG_PASSWORD,
        SLACK_TOKEN,
        WEBHOOK_SECRET,
        SMTP_PASSWORD,
        ENCRYPTION_KEY,
        GATEWAY_TOKEN,
        SLACK_PATH,
        GUESSED_KEY,
        &key,
        &admin_token,
    ];
    let mut found = Vec::new();
    for (place, bytes) in &places {
        for secret in secrets {
            if memchr::memmem::find(bytes, secret.as_bytes()).is_some() {
                found.push(format!("{secret} in {place}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");

    // Nobody else on this machine reads what is kept.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join("secrets.json"))), (0o700, 0o600));
}
