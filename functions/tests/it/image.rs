//! The binary of the image, as the image's user, in a root file system with only the image's files: it
//! serves, checks by TLS, and resolves names like in a pod.
//!
//! `make test` creates that root (`infra/image/root dev`) and sets `IMAGE_ROOT`; without it, these tests are
//! skipped with a message. A static glibc must resolve names without loading anything.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, routing::post};
use contract::{CheckRequest, CheckResult, CheckStatus, Target, kind};
use hickory_resolver::proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{RData, Record, RecordType, rdata::A},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use crate::{smtp::SmtpServer, world::new_postgres_database};

const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 53);
const DOMAIN: &str = "pongpong.svc.cluster.local";
/// The name server's names under `DOMAIN`, which all resolve to this machine.
const NAMES: [&str; 4] = ["postgres", "mail", "report-purge", "shop"];

/// The image's files, and those that the kubelet adds.
struct Image(tempfile::TempDir);

impl Image {
    /// `None`, after a message, if there is no image to test.
    async fn open() -> Option<Self> {
        runtime::install_crypto();
        let Some(root) = std::env::var_os("IMAGE_ROOT") else {
            eprintln!("skipped: IMAGE_ROOT is not set (make test sets it)");
            return None;
        };
        // The tests' working directory is the crate's.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(root);
        let image = Self(tempfile::tempdir().unwrap());
        run(Command::new("cp").arg("-a").arg(root.join(".")).arg(image.path()));
        run(Command::new("chmod").arg("755").arg(image.path()));
        std::fs::create_dir(image.path().join("dev")).unwrap();
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        if let Err(error) = name_server().await {
            eprintln!("name server skipped, /etc/hosts stands in: cannot bind {NAME_SERVER}:53: {error}");
            for name in NAMES {
                hosts += &format!("127.0.0.1 {name}.{DOMAIN} {name}.pongpong {name}\n");
            }
        }
        let search = format!(
            "nameserver {NAME_SERVER}\nsearch {DOMAIN} svc.cluster.local cluster.local\noptions ndots:5\n"
        );
        std::fs::write(image.path().join("etc/hosts"), hosts).unwrap();
        std::fs::write(image.path().join("etc/resolv.conf"), search).unwrap();
        Some(image)
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn function(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
        // A user other than root becomes root of a namespace, which has no other user.
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let (outer, user) = if is_root { ("-m", "-S 65532 -G 65532") } else { ("-rm", "") };
        // The container runtime mounts /dev, of which /dev/urandom is needed.
        let inner =
            format!("mount --rbind /dev \"$0/dev\" && exec unshare {user} -R \"$0\" -w / /function \"$@\"");
        let mut command = Command::new("/usr/bin/unshare");
        command
            .args([outer, "/bin/sh", "-c", &inner])
            .arg(self.path())
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn call(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        self.function(arguments, settings).output().unwrap()
    }

    async fn serve(&self, name: &str, settings: &[(&str, &str)]) -> Running {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = self.function(&[name], settings);
        // An unread log must not fill its pipe.
        let child = command.env("PORT", port.to_string()).stdout(Stdio::null()).spawn().unwrap();
        let running = Running { child, url: format!("http://127.0.0.1:{port}") };
        let deadline = Instant::now() + Duration::from_secs(20);
        let health = loop {
            match reqwest::get(format!("{}/health", running.url)).await {
                Ok(answer) => break answer,
                Err(_) => assert!(Instant::now() < deadline, "{name} does not serve"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(health.status(), 200);
        running
    }
}

/// Killed when dropped.
struct Running {
    child: Child,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// A server for `NAMES`; one for all tests of the process.
async fn name_server() -> std::io::Result<()> {
    static STARTED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let start = async || {
        let socket = std::net::UdpSocket::bind((NAME_SERVER, 53))?;
        socket.set_nonblocking(true)?;
        // Outlives the runtime of the test that starts it.
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(answer_names(socket));
        });
        Ok(())
    };
    STARTED.get_or_try_init(start).await.map(|_| ())
}

async fn answer_names(socket: std::net::UdpSocket) {
    let socket = UdpSocket::from_std(socket).unwrap();
    let mut buffer = [0; 2048];
    loop {
        let (size, from) = socket.recv_from(&mut buffer).await.unwrap();
        let mut message = Message::from_vec(&buffer[..size]).unwrap();
        let query = message.queries[0].clone();
        let name = query.name().to_utf8().to_lowercase();
        let known = NAMES.iter().any(|known| name == format!("{known}.{DOMAIN}."));
        message.metadata.message_type = MessageType::Response;
        message.metadata.response_code = if known { ResponseCode::NoError } else { ResponseCode::NXDomain };
        message.additionals.clear();
        if known && query.query_type() == RecordType::A {
            let here = RData::A(A(Ipv4Addr::LOCALHOST));
            message.add_answer(Record::from_rdata(query.name().clone(), 5, here));
        }
        socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
    }
}

/// A shop with a certificate of a private authority; returns its address, and the authority as PEM.
async fn shop() -> (SocketAddr, String) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = root.self_signed(&root_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let names = vec!["shop".to_owned(), format!("shop.{DOMAIN}")];
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the authority disconnects.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                if stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            });
        }
    });
    (address, authority)
}

fn check(endpoint_id: i64, url: String) -> CheckRequest {
    CheckRequest {
        endpoint_id,
        user_id: 1,
        scheduled_at: chrono::Utc::now(),
        failure_threshold: 1,
        success_threshold: 1,
        interval_seconds: 60,
        revision: 0,
        maintenance: false,
        target: Target { timeout_ms: 5_000, ..Target::of("http", url) }.with("expected_status", "200"),
    }
}

async fn checked(running: &Running, batch: &[CheckRequest]) -> Vec<CheckResult> {
    let answer = reqwest::Client::new()
        .post(&running.url)
        .header("ce-specversion", "1.0")
        .header("ce-id", "batch-1")
        .header("ce-source", "/test")
        .header("ce-type", kind::CHECK_REQUESTED)
        .json(batch)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["ce-type"], kind::CHECK_COMPLETED);
    let mut results: Vec<CheckResult> = answer.json().await.unwrap();
    results.sort_by_key(|result| result.endpoint_id);
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn it_checks_by_tls_and_by_name() {
    let Some(image) = Image::open().await else { return };
    let (address, authority) = shop().await;
    let port = address.port();
    let batch = [
        check(1, format!("https://shop.{DOMAIN}:{port}/")),
        check(2, format!("https://shop:{port}/")),
        check(3, format!("https://nowhere.{DOMAIN}:{port}/")),
    ];
    let allow = ("CHECK_PRIVATE_NETWORKS", "allow");
    let trusting = image.serve("check-run", &[allow, ("EXTRA_CA_CERTS", &authority)]).await;
    let results = checked(&trusting, &batch).await;
    for result in &results[..2] {
        let outcome = &result.outcome;
        assert_eq!((outcome.status, &outcome.error), (CheckStatus::Up, &None));
        assert_eq!((outcome.status_code, outcome.ip), (Some(200), Some(address.ip())));
        assert!(outcome.certificate_expires_at.is_some_and(|at| at > chrono::Utc::now()));
    }
    assert_eq!(results[2].outcome.status, CheckStatus::Down);

    let distrusting = image.serve("check-run", &[allow]).await;
    let refused = checked(&distrusting, &batch[..1]).await.remove(0).outcome.error.unwrap();
    assert!(refused.message.contains("trusted authority"), "{}", refused.message);

    // With the authority in a file.
    std::fs::write(image.path().join("ca.pem"), &authority).unwrap();
    let trusting = image.serve("check-run", &[allow, ("EXTRA_CA_CERTS", "/ca.pem")]).await;
    assert_eq!(checked(&trusting, &batch[..1]).await[0].outcome.status, CheckStatus::Up);
}

/// Unlike checks, these use the C library: functions and Kong (by name and search domain), mail, PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn it_finds_functions_mail_and_database_by_name() {
    let Some(image) = Image::open().await else { return };
    let app = Router::new().route("/", post(async || "null"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let trigger = async |host: &str| {
        let url = format!("http://{host}:{port}");
        tokio::task::block_in_place(|| image.call(&["trigger", "report-purge"], &[("FUNCTION_URL", &url)]))
    };
    for host in ["{name}", "{name}.pongpong", "{name}.pongpong.svc.cluster.local"] {
        let output = trigger(host).await;
        assert!(output.status.success(), "{host}: {output:?}");
    }
    assert!(!trigger("nowhere.pongpong.svc.cluster.local").await.status.success());

    let database = new_postgres_database().await.replace("127.0.0.1", &format!("postgres.{DOMAIN}"));
    let output =
        tokio::task::block_in_place(|| image.call(&["migrate"], &[("DATABASE_URL", database.as_str())]));
    assert!(output.status.success(), "{output:?}");
    let list = image.serve("endpoint-list", &[("DATABASE_URL", &database)]).await;
    let ready = reqwest::get(format!("{}/ready", list.url)).await.unwrap();
    assert_eq!(ready.status(), 200);

    let mail = SmtpServer::start().await;
    let smtp = mail.url.replace("127.0.0.1", &format!("mail.{DOMAIN}"));
    let sender = image.serve("email-send", &[("SMTP_URL", &smtp)]).await;
    let answer = reqwest::Client::new()
        .post(format!("{}/private/v1/emails", sender.url))
        .json(&json!({"to": "me@example.com", "subject": "Hello", "content": "From an empty root."}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"status": "ok"}));
    assert_eq!(mail.messages().len(), 1);
}
