//! A whole story with recognisable secrets, and then a search for them: in the most verbose log, in answers,
//! in the databases and the broker's journal, in dead letters, in telemetry, in the specs, in the process
//! arguments, and in the modes of files. Each secret is searched as it is, and in base64, percent-encoding
//! and JSON.

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

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{listener::Listener, users::token};

/// With characters that JSON, URLs and the two kinds of base64 encode differently.
const PASSWORD: &str = "Recognise \"password\" \\ 1%+&/?>>";
const WRONG_PASSWORD: &str = "Recognise \"wrong\" \\ 2%+&/?>>";
const SLACK_TOKEN: &str = "xoxb-recognise-slack-3";
const WEBHOOK_SECRET: &str = "whsec_UmVjb2duaXNlLXdlYmhvb2stc2VjcmV0LTQ=";
/// The secret's bytes.
const WEBHOOK_KEY: &str = "Recognise-webhook-secret-4";
const SMTP_PASSWORD: &str = "recognise \"smtp\" 5%+&/?>>";
const ENCRYPTION_KEY: &str = "UmVjb2duaXNlLWVuY3J5cHRpb24ta2V5LTYtLS0tLS0";
const GATEWAY_TOKEN: &str = "recognise-gateway-token-7";
/// In the path of a Slack webhook, and in the header of an endpoint.
const SLACK_PATH: &str = "recognise-slack-path-8";
const CHECK_HEADER: &str = "Bearer recognise-header-10";
const GUESSED_KEY: &str = "pp_recognise-guessed-key-9";

/// Keeps every byte that it receives.
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
                    // A client that sends more in the meantime gets several answers, and ignores them.
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                }
            });
        }
    });
    (url, all)
}

/// A mail server that accepts the password, but only mail for me@example.com; and the bytes that it received.
async fn mail_server() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let all = Arc::<Mutex<Vec<u8>>>::default();
    let keep = Arc::clone(&all);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let keep = Arc::clone(&keep);
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = tokio::io::BufReader::new(read).lines();
                let mut answer = "220 here\r\n";
                // Ends when the client has disconnected.
                while write.write_all(answer.as_bytes()).await.is_ok()
                    && let Ok(Some(line)) = lines.next_line().await
                {
                    keep.lock().unwrap().extend_from_slice(format!("{line}\r\n").as_bytes());
                    answer = match line.split(' ').next().unwrap_or_default() {
                        "EHLO" => "250-here\r\n250 AUTH PLAIN LOGIN\r\n",
                        "AUTH" => "235 it is you\r\n",
                        "RCPT" if !line.contains("<me@example.com>") => "451 come back later\r\n",
                        "DATA" => "354 say it\r\n",
                        _ if answer.starts_with("354") || answer.is_empty() => match line.as_str() {
                            "." => "250 so be it\r\n",
                            _ => "",
                        },
                        _ => "250 so be it\r\n",
                    };
                }
            });
        }
    });
    (address, all)
}

/// The texts to search for: a secret as it is, in JSON, in JSON within JSON, and in base64 at any offset.
fn written(secret: &str) -> Vec<String> {
    let in_json = |text: &str| json!(text).to_string().trim_matches('"').to_owned();
    let json = in_json(secret);
    let mut all = vec![in_json(&json), json, secret.to_owned()];
    for before in 0..3 {
        let bytes = [vec![0; before].as_slice(), secret.as_bytes()].concat();
        // Leave out characters that share bits with the bytes before or after.
        let known = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        all.push(STANDARD_NO_PAD.encode(&bytes)[known.clone()].to_owned());
        all.push(URL_SAFE_NO_PAD.encode(&bytes)[known].to_owned());
    }
    all
}

/// The texts to search in: the data as it is, and with `%` and `+` decoded.
fn read(place: &[u8]) -> [Vec<u8>; 3] {
    let spaces: Vec<u8> = place.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    [percent_decode(place).collect(), percent_decode(&spaces).collect(), place.to_vec()]
}

fn holds(place: &[Vec<u8>], secret: &str) -> bool {
    let forms = written(secret);
    place.iter().any(|bytes| forms.iter().any(|form| memchr::memmem::find(bytes, form.as_bytes()).is_some()))
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    let json = json!(PASSWORD).to_string();
    let mut texts = vec![
        format!("{PASSWORD:?}"),
        json!(json).to_string(),
        json,
        utf8_percent_encode(PASSWORD, NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect(),
        PASSWORD.to_owned(),
    ];
    for user in ["me:", "you:", "\0me\0", "them:"] {
        let text = format!("{user}{PASSWORD}");
        texts.extend([STANDARD.encode(&text), URL_SAFE.encode(&text), STANDARD.encode(format!("{text}\n"))]);
        texts.push(utf8_percent_encode(&STANDARD.encode(&text), NON_ALPHANUMERIC).to_string());
    }
    for text in texts {
        assert!(holds(&read(text.as_bytes()), PASSWORD), "{text}");
        assert!(!holds(&read(text.as_bytes()), WRONG_PASSWORD), "{text}");
    }
}

const SPECS: [(&str, &str); 2] = [
    ("public-spec.yaml", include_str!("../../../../docs/public-spec.yaml")),
    ("private-spec.yaml", include_str!("../../../../docs/private-spec.yaml")),
];

/// Examples in the specs must not look like real secrets.
#[test]
fn no_spec_has_what_looks_like_a_secret() {
    let real =
        r"pp_[\w-]{43}|whsec_[\w+/]{32}|xox[a-z]-\d{6}|/services/T\w{8}|PRIVATE KEY|://[^\s/:@]+:[^\s/:@]+@";
    let real = regex::Regex::new(real).unwrap();
    for (name, spec) in SPECS {
        assert!(spec.contains("openapi: 3"), "{name}");
        assert_eq!(real.find(spec).map(|found| found.as_str()), None, "{name}");
    }
}

struct Process {
    child: Child,
    /// Line by line: a verbose process must not block on a full pipe.
    lines: Receiver<String>,
    /// All output on standard output so far.
    said: String,
    url: String,
    admin: String,
}

impl Process {
    fn start(data: &Path, errors: File, settings: &[(&str, &str)]) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program = tests.ancestors().nth(2).unwrap().join("examples/engine_with_clock");
        assert!(program.exists(), "{}: cargo build -p functions --examples", program.display());
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

/// A client, and all answers that it received.
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
    let (mail_server, mailed) = mail_server().await;
    let smtp = utf8_percent_encode(SMTP_PASSWORD, NON_ALPHANUMERIC);
    let smtp = format!("smtp://user:{smtp}@{mail_server}");
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
    // The key is returned once, to its owner.
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
    let deadline = Instant::now() + Duration::from_secs(30);
    let reset_token = loop {
        let mail = String::from_utf8_lossy(&mailed.lock().unwrap()).into_owned();
        if mail.contains("\r\n.\r\n") {
            break token(&mail);
        }
        assert!(Instant::now() < deadline, "no mail came: {mail}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for token in [GUESSED_KEY, &reset_token] {
        let reset = json!({"token": token, "password": "short"});
        story.ask("POST", to("/user-service/v1/password/reset"), &[], reset).await;
    }
    let (status, made) =
        story.ask("POST", to("/user-service/v1/keys"), &mine, json!({"name": "another"})).await;
    assert_eq!(status, 201, "{made}");
    // Returned once too.
    story.answers.pop();
    let second_key = made["key"].as_str().unwrap().to_owned();
    story.ask("GET", to("/user-service/v1/user"), &[("apikey", GUESSED_KEY)], Value::Null).await;
    story.ask("GET", to("/user-service/v1/user"), &[("x-gateway-token", "guess")], Value::Null).await;
    story
        .ask(
            "POST",
            to("/endpoint-service/v1/endpoints"),
            &mine,
            json!({"url": 1, "config": {"headers": {"Authorization": SLACK_PATH}}}),
        )
        .await;
    let channels = "/notification-service/v1/notifications";
    for (name, channel, config) in [
        ("slack", "slack", json!({"domain": "x", "channel": "#ops", "token": SLACK_TOKEN})),
        ("hook", "webhook", json!({"url": format!("{}/hook", slack.url), "secret": WEBHOOK_SECRET})),
        ("slack's hook", "slack", json!({"webhook_url": format!("{}/services/T/B/{SLACK_PATH}", slack.url)})),
        ("mail", "email", json!({"to": ["a@example.com"]})),
    ] {
        let body = json!({"name": name, "kind": channel, "config": config});
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
    // A generated secret is shown once: the objects in this list have none.
    let config = json!({"secret_headers": {"Authorization": CHECK_HEADER}});
    let endpoint =
        json!({"name": "shop", "url": nobody, "retries": 0, "failure_threshold": 1, "config": config});
    assert_eq!(story.ask("POST", to("/endpoint-service/v1/endpoints"), &mine, endpoint).await.0, 201);
    let broken = json!({"url": nobody, "config": {"secret_headers": {"Authorization": CHECK_HEADER, "X": CHECK_HEADER.repeat(1000)}}});
    assert_eq!(story.ask("POST", to("/endpoint-service/v1/endpoints"), &mine, broken).await.0, 400);
    for (method, path, body) in [
        ("GET", "/endpoint-service/v1/endpoints/1", Value::Null),
        ("GET", "/endpoint-service/v1/endpoints", Value::Null),
        ("PATCH", "/endpoint-service/v1/endpoints/1", json!({"name": "Shop"})),
        ("POST", "/endpoint-check/v1/checks", json!({"endpoint_id": 1})),
    ] {
        assert_eq!(story.ask(method, to(path), &mine, body).await.0, 200, "{method} {path}");
    }

    // It is down, and no message can be delivered, however often it is tried.
    let secrets: Value = serde_json::from_slice(&std::fs::read(data.join("secrets.json")).unwrap()).unwrap();
    let admin_token = secrets["admin_token"].as_str().unwrap().to_owned();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let log = format!("{}/notification-service/v1/deliveries", process.url);
        let (_, log) = story.ask("GET", log, &mine, Value::Null).await;
        let tries = log["items"].as_array().into_iter().flatten().filter_map(|item| item["tries"].as_i64());
        if tries.filter(|tries| *tries >= 3).count() >= 3 {
            break;
        }
        assert!(Instant::now() < deadline, "it is not tried again: {log}");
        process.advance(600);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let letters = format!("{}/private/v1/dead_letters", process.admin);
    let (_, dead) = story.ask("GET", letters, &[("kong-admin-token", &admin_token)], Value::Null).await;
    let to = |path: &str| format!("{}{path}", process.url);
    for path in [
        channels,
        "/notification-service/v1/deliveries",
        "/user-service/v1/keys",
        "/report-service/v1/incidents",
    ] {
        story.ask("GET", to(path), &mine, Value::Null).await;
    }
    story.ask("GET", to("/openapi.yaml"), &[], Value::Null).await;
    assert!(story.answers.iter().any(|(_, answer)| answer.contains("openapi: 3")), "the spec is served");
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
    places.extend(SPECS.map(|(name, spec)| (name.to_owned(), spec.into())));
    assert!(
        holds(&read(&mailed.lock().unwrap()), SMTP_PASSWORD),
        "the mail server was not told the password"
    );
    let secrets = [
        PASSWORD,
        WRONG_PASSWORD,
        SLACK_TOKEN,
        WEBHOOK_SECRET,
        WEBHOOK_KEY,
        SMTP_PASSWORD,
        ENCRYPTION_KEY,
        GATEWAY_TOKEN,
        SLACK_PATH,
        CHECK_HEADER,
        GUESSED_KEY,
        &key,
        &second_key,
        &reset_token,
        &admin_token,
    ];
    let mut found = Vec::new();
    for (place, bytes) in &places {
        let bytes = read(bytes);
        for secret in secrets {
            if holds(&bytes, secret) {
                found.push(format!("{secret} in {place}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");

    // Other users of this machine cannot read the data.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join("secrets.json"))), (0o700, 0o600));
}
