//! `pong check`: from this machine, and from pongpong.

use std::sync::Arc;

use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::world::{World, pong, run};

fn refusing() -> String {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_account_it_checks_from_here() {
    let world = World::empty().await;
    let url = format!("{}/health", world.url);
    let said = world.does(&format!("check {url}")).await;
    assert!(said.starts_with("up  200  ") && said.contains("first_byte") && said.contains("█"), "{said}");
    assert!(said.contains("from here, address 127.0.0.1, 2 bytes"), "{said}");
    let port = world.url.rsplit(':').next().unwrap();
    let by_name = world.json(&format!("check localhost:{port}/health")).await;
    assert!(by_name["timings_ms"]["dns"].is_number() && by_name["timings_ms"]["tls"].is_null(), "{by_name}");

    let down = world.says(&format!("check {}", refusing())).await;
    assert_eq!(down.code, 3);
    assert!(down.out.starts_with("down") && down.out.contains("CONNECT_REFUSED"), "{}", down.out);
    let nowhere = world.says("check http://nowhere.invalid/ --output json").await;
    let result: Value = serde_json::from_str(&nowhere.out).unwrap();
    assert_eq!((nowhere.code, &result["error"]["code"]), (3, &"DNS_FAILURE".into()));
    let unexpected = world.says(&format!("check {url} --expected-status 201")).await;
    assert!(unexpected.code == 3 && unexpected.out.contains("STATUS_MISMATCH"), "{}", unexpected.out);
    world
        .says("check ftp://example.com/")
        .await
        .fails(2, &["url: must begin with https://, http:// or tcp://"]);
    assert!(world.does(&format!("check {url} --contains ok")).await.starts_with("up"));
    let unheld = world.says(&format!("check {url} --contains nothing")).await;
    assert!(unheld.code == 3 && unheld.out.contains("ASSERTION_FAILED"), "{}", unheld.out);
    world.says("check 7").await.fails(4, &["`7` is an endpoint of an account"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_checked_from_here() {
    let home = tempfile::tempdir().unwrap();
    let check = |line: String| {
        let mut command = pong(home.path());
        command.arg("check").args(line.split_whitespace());
        run(command, "")
    };
    // The kernel accepts the connection.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let said = check(url.clone()).await.does();
    assert!(said.starts_with("up  ") && said.contains(&url) && said.contains("connect"), "{said}");
    assert!(said.ends_with("from here, address 127.0.0.1\n"), "neither a status code nor bytes: {said}");
    let result: Value = serde_json::from_str(&check(format!("{url} --output json")).await.does()).unwrap();
    assert_eq!((&result["status"], &result["url"]), (&"up".into(), &url.as_str().into()));
    assert!(result["status_code"].is_null() && result["timings_ms"]["connect"].is_number(), "{result}");
    check(format!("{url} --method GET"))
        .await
        .fails(2, &["--method is no field of tcp", "no fields of its own"]);
    check(format!("{url} --contains ok")).await.fails(2, &["assertions[0].fact: must be one of total_ms"]);
    check(format!("{url} --kind http"))
        .await
        .fails(2, &["url: must begin with https:// or http:// for the kind http"]);
    check(format!("{url} --kind fax")).await.fails(2, &["kind: must be one of http, tcp"]);
    check("tcp://127.0.0.1".to_owned()).await.fails(2, &["url: must have a port"]);

    drop(listener);
    let down = check(url.clone()).await;
    assert_eq!(down.code, 3);
    assert!(down.out.starts_with("down") && down.out.contains("CONNECT_REFUSED"), "{}", down.out);
    assert!(down.out.ends_with("from here\n"), "{}", down.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_account_pongpong_checks() {
    let world = World::new().await;
    let url = format!("{}/health", world.url);
    let said = world.does(&format!("check {url}")).await;
    assert!(said.starts_with("up  200") && said.contains("by pongpong"), "{said}");
    let said = world.does(&format!("check {url} --contains ok --expected-status 200")).await;
    assert!(said.starts_with("up"), "{said}");
    let said = world.says(&format!("check {url} --contains nothing")).await;
    assert!(said.code == 3 && said.out.contains("ASSERTION_FAILED"), "{}", said.out);
    assert!(world.does(&format!("check --local {url}")).await.contains("from here"));

    world.does(&format!("endpoint add {} --name Shop --paused", refusing())).await;
    for line in ["check 1", "check --endpoint Shop"] {
        let said = world.says(line).await;
        assert!(
            said.code == 3 && said.out.contains("CONNECT_REFUSED") && said.out.contains("by pongpong"),
            "{}",
            said.out
        );
    }
    world.says("check --endpoint Nothing").await.fails(6, &["there is no endpoint `Nothing`"]);

    // Trying other settings in a check does not change the endpoint.
    let said = world.says(&format!("endpoint add {url} --name Health --paused --method head")).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let said = world.says("check Health --expected-status 201").await;
    assert!(said.code == 3 && said.out.contains("STATUS_MISMATCH"), "{}", said.out);
    assert!(world.does("check Health").await.starts_with("up"));
    assert_eq!(world.json("endpoint show Health").await["config"]["method"], "HEAD");
    let port = world.url.replace("http://", "tcp://");
    let said = world.does(&format!("check {port}")).await;
    assert!(said.starts_with("up  ") && said.ends_with("by pongpong, address 127.0.0.1\n"), "{said}");
    world.says(&format!("check {port} --body x")).await.fails(2, &["--body is no field of tcp"]);
}

/// Gives this answer to every request.
async fn serve(acceptor: Option<TlsAcceptor>, answer: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let Some(acceptor) = acceptor else {
                    let _ = stream.read(&mut request).await;
                    return stream.write_all(answer.as_bytes()).await;
                };
                let mut stream = acceptor.accept(stream).await?;
                let _ = stream.read(&mut request).await;
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_counts_and_its_end_is_shown() {
    runtime::install_crypto();
    let home = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let authority = home.path().join("ca.pem");
    std::fs::write(&authority, made.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfine";
    let port = serve(Some(TlsAcceptor::from(Arc::new(config))), answer.to_owned()).await;
    let check = |more: &[&str]| {
        let mut command = pong(home.path());
        command.args(["check", &format!("https://localhost:{port}/"), "--output", "json"]).args(more);
        run(command, "")
    };
    let refused = check(&[]).await;
    let result: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!((refused.code, &result["error"]["code"]), (3, &"TLS_INVALID".into()));
    for trusted in [["--ca-cert", authority.to_str().unwrap()], ["--verify-tls", "false"]] {
        let result: Value = serde_json::from_str(&check(&trusted).await.does()).unwrap();
        assert_eq!((&result["status"], &result["response_bytes"]), (&"up".into(), &4.into()));
        assert!(
            result["timings_ms"]["tls"].is_number() && result["certificate_expires_at"].is_string(),
            "{result}"
        );
    }
    check(&["--ca-cert", "/nowhere"]).await.fails(2, &["/nowhere"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_and_bounded() {
    let home = tempfile::tempdir().unwrap();
    let moved = |to: String| {
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    };
    let end =
        serve(None, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_owned()).await;
    let first = serve(None, moved(format!("http://127.0.0.1:{end}/"))).await;
    let circle = serve(None, moved("/again".to_owned())).await;
    for (port, more, code, part) in
        [(first, "true", 0, "200"), (first, "false", 0, "302"), (circle, "true", 3, "TOO_MANY_REDIRECTS")]
    {
        let mut command = pong(home.path());
        command.args(["check", &format!("127.0.0.1:{port}"), "--follow-redirects", more]);
        let ran = run(command, "").await;
        assert!(ran.code == code && ran.out.contains(part), "{}{}", ran.out, ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_read_as_pongpong_reads_them() {
    let home = tempfile::tempdir().unwrap();
    // Redirects to itself until its cookie comes back.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let asks = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or_default();
            let has_cookie = String::from_utf8_lossy(&request[..read]).contains("cookie: seen=1\r\n");
            let answer = if has_cookie {
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            } else {
                "HTTP/1.1 302 Found\r\nlocation: /\r\nset-cookie: seen=1\r\ncontent-length: 0\r\n\r\n"
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let many = "X-Many: 1\r\n".repeat(150);
    let odd =
        format!("HTTP/1.1 999 Denied\r\n{many}X-Long: a\r\n b\r\nno header\r\ncontent-length: 0\r\n\r\n");
    for (port, expected) in [(asks, "200"), (serve(None, odd).await, "999")] {
        let mut command = pong(home.path());
        command.args(["check", &format!("127.0.0.1:{port}"), "--expected-status", expected]);
        let ran = run(command, "").await;
        assert!(ran.code == 0 && ran.out.contains(expected), "{}{}", ran.out, ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_answers_is_down_in_time_and_an_interrupt_ends_it() {
    let home = tempfile::tempdir().unwrap();
    // The kernel accepts the connection; nothing reads from it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut command = pong(home.path());
    command.args(["check", &url, "--timeout", "100"]);
    let ran = run(command, "").await;
    assert!(ran.code == 3 && ran.out.contains("TIMEOUT") && ran.out.contains("connect"), "{}", ran.out);

    let mut command = pong(home.path());
    let mut child = command.args(["check", &url, "--timeout", "60000"]).spawn().unwrap();
    // The program has connected, so it listens for signals.
    let (_stream, _) = tokio::task::spawn_blocking(move || {
        let first = listener.accept().unwrap();
        drop(first);
        listener.accept().unwrap()
    })
    .await
    .unwrap();
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
