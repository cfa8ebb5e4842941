//! Tests of the prober against real servers on this machine, correct and faulty ones.
#![cfg(test)]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    convert::Infallible,
    future::Future,
    io::Write,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{Datelike, Utc};
use futures::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use net::{address::PrivateNetworks, resolve::Resolver, trust::ExtraRoots};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{plan::Plan, runner::MAX_JUDGED_IN_PLACE};
use contract::{Assertion, CheckStatus, Comparison, Outcome, Severity, Target};

mod ordinary_servers;
mod tls_servers;

// ---- the stage -------------------------------------------------------------------------------

fn target(url: impl Into<String>) -> Target {
    Target { timeout_ms: 5_000, ..Target::of("http", url) }.with("certificate_warning_days", 0)
}

fn set_header(target: &mut Target, name: &str, value: impl Into<String>) {
    target.config["headers"][name] = value.into().into();
}

fn names(host: &str) -> Vec<IpAddr> {
    match host {
        "blocked.test" => vec!["127.0.0.9".parse().unwrap(), "10.0.0.1".parse().unwrap()],
        "half-blocked.test" => vec!["10.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap()],
        "second-works.test" => vec!["127.0.0.2".parse().unwrap(), "127.0.0.1".parse().unwrap()],
        "nowhere.test" => Vec::new(),
        "defect.test" => panic!("a defect"),
        _ => vec!["127.0.0.1".parse().unwrap()],
    }
}

fn prober_with(roots: Vec<CertificateDer<'static>>, resolver: Resolver) -> Arc<Prober> {
    let mut config = ProbeConfig::new("127.0.0.1,127.0.0.2".parse().unwrap()).unwrap();
    config.concurrency = 100;
    config.retry_pause = Duration::from_millis(1);
    config.extra_roots = ExtraRoots(roots);
    config.resolver = resolver;
    Arc::new(Prober::new(config).unwrap())
}

fn prober() -> Arc<Prober> {
    prober_with(Vec::new(), Resolver::fixed(names))
}

async fn probe(target: Target) -> Outcome {
    prober().probe(0, &target, None).await
}

#[track_caller]
fn failed(outcome: &Outcome, code: FailureCode, message: &str) {
    let error = outcome.error.as_ref().unwrap();
    assert_eq!(error.code, code, "{}", error.message);
    assert!(error.message.contains(message), "`{}` in `{}`", message, error.message);
    assert_eq!(outcome.status, CheckStatus::Down);
}

#[track_caller]
fn up(outcome: &Outcome) {
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.status, CheckStatus::Up);
}

/// Accepts connections until the test ends.
async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Answers every request with the same bytes, and closes.
async fn canned(bytes: impl Into<Vec<u8>>) -> String {
    let bytes: Arc<[u8]> = bytes.into().into();
    let address = listen(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            // Until the client closes: a reset would discard the response.
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    format!("http://{address}/")
}

/// Sends a beginning, and then the same bytes endlessly.
async fn endless(start: &'static str, more: &'static [u8], pause: Duration) -> String {
    let address = listen(move |mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(start.as_bytes()).await;
        while stream.write_all(more).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
    })
    .await;
    format!("http://{address}/")
}

type Handled = Result<Response<Full<Bytes>>, Infallible>;

async fn serve<F>(handle: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static) -> String
where
    F: Future<Output = Handled> + Send + 'static,
{
    let address = listen(move |stream| {
        let handle = handle.clone();
        async move {
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(handle))
                .await;
        }
    })
    .await;
    format!("http://{address}")
}

fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Handled {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response.body(Full::new(body.into())).unwrap())
}

fn page(body: impl AsRef<[u8]>) -> Vec<u8> {
    with_headers("", body)
}

fn with_headers(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

// ---- the plain case --------------------------------------------------------------------------

#[tokio::test]
async fn a_page_is_up_with_its_timings() {
    let outcome = probe(target(canned(page("hello")).await)).await;
    up(&outcome);
    assert_eq!(outcome.status_code, Some(200));
    assert_eq!(outcome.response_bytes, 5);
    assert_eq!(outcome.ip, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(outcome.certificate_expires_at, None);
    let timings = outcome.timings_ms;
    assert_eq!((timings.dns, timings.tls), (None, None), "a literal needs no DNS, http no TLS");
    let phases = [timings.connect, timings.first_byte, timings.transfer].map(Option::unwrap);
    assert!(phases.iter().sum::<u32>() <= timings.total);
}

#[tokio::test]
async fn a_name_is_resolved() {
    let url = canned(page("hello")).await;
    for host in ["localhost", "localhost.", "name.test", "under_score.test"] {
        let outcome = probe(target(url.replace("127.0.0.1", host))).await;
        up(&outcome);
        assert!(outcome.timings_ms.dns.is_some(), "{host}");
    }
    // Also with the machine's own resolver.
    let prober = prober_with(Vec::new(), Resolver::system().unwrap());
    up(&prober.probe(0, &target(url.replace("127.0.0.1", "localhost")), None).await);
}

#[tokio::test]
async fn the_request_is_what_was_asked_for() {
    let seen = Arc::new(Mutex::new(String::new()));
    let seen_by_server = seen.clone();
    let address = listen(move |mut stream| {
        let seen = seen_by_server.clone();
        async move {
            let mut head = read_head(&mut stream).await;
            let mut body = [0; 4];
            if head.starts_with("PUT") {
                stream.read_exact(&mut body).await.unwrap();
                head.push_str(std::str::from_utf8(&body).unwrap());
            }
            *seen.lock().unwrap() = head;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let head = || seen.lock().unwrap().to_lowercase();

    let mut put = target(format!("http://me:p%40ss@{address}/a%20b?c=d#fragment"));
    put.config["method"] = "PUT".into();
    put.config["body"] = "body".into();
    put.config["headers"] = json!({"X-Foo": "bar", "X-Korean": "한글", "User-Agent": "custom/1"});
    up(&probe(put).await);
    let seen_head = head();
    assert!(seen_head.starts_with("put /a%20b?c=d http/1.1\r\n"), "{seen_head}");
    for line in [
        format!("host: {address}\r\n").as_str(),
        "x-foo: bar\r\n",
        "x-korean: 한글\r\n",
        "user-agent: custom/1\r\n",
        "accept: */*\r\n",
        "content-length: 4\r\n",
        "connection: close\r\n",
        "authorization: basic bwu6cebzcw==\r\n", // me:p@ss
        "\r\n\r\nbody",
    ] {
        assert!(seen_head.contains(line), "{line} in {seen_head}");
    }

    let mut get = target(format!("http://{address}"));
    set_header(&mut get, "Host", "other.example");
    up(&probe(get).await);
    assert!(head().starts_with("get / http/1.1\r\nhost: other.example\r\n"), "{}", head());
    assert!(head().contains("user-agent: pongpong/"));
}

/// pongpong writes a short request, hyper a long one.
#[tokio::test]
async fn short_and_long_requests_are_the_same_over_the_wire() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    let address = listen(move |mut stream| {
        let seen = seen.clone();
        async move {
            let head = read_head(&mut stream).await;
            let (rest, length) = head.trim_end().rsplit_once("content-length: ").unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            assert!(body.iter().all(|byte| *byte == b'x'));
            seen.lock().unwrap().push((rest.to_owned(), body.len()));
            let _ = stream.write_all(&page("fine")).await;
        }
    })
    .await;
    for length in [1, 1000, 50_000] {
        let mut target = target(format!("http://{address}/a?b=c"));
        (target.config["method"], target.config["body"]) = ("POST".into(), "x".repeat(length).into());
        target.config["headers"] = json!({"X-One": "1", "Content-Type": "text/plain"});
        up(&probe(target).await);
    }
    let heads = heads.lock().unwrap();
    assert_eq!(heads.iter().map(|(_, length)| *length).collect::<Vec<_>>(), [1, 1000, 50_000]);
    assert!(heads.iter().all(|(head, _)| *head == heads[2].0), "{heads:?}");
}

/// Each byte of the response arrives alone, and hyper gets all of them.
#[tokio::test]
async fn an_answer_may_begin_before_it_was_asked_for_and_come_in_pieces() {
    let address = listen(|mut stream| async move {
        for byte in page("fine") {
            let _ = stream.write_all(&[byte]).await;
            tokio::task::yield_now().await;
        }
        read_head(&mut stream).await;
    })
    .await;
    let outcome = probe(target(format!("http://{address}/"))).await;
    up(&outcome);
    assert_eq!(outcome.response_bytes, 4);
}

#[tokio::test]
async fn the_status_decides() {
    let url = canned("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy").await;
    let outcome = probe(target(&url)).await;
    failed(&outcome, FailureCode::StatusMismatch, "Expected status 200-399, got 503 Service Unavailable");
    assert_eq!((outcome.status_code, outcome.response_bytes), (Some(503), 4));
    let mut expected = target(&url);
    expected.config["expected_status"] = "200, 500-503".into();
    up(&probe(expected).await);
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let url = canned("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await;
    let mut head = target(url);
    head.config["method"] = "HEAD".into();
    up(&probe(head).await);
}

#[tokio::test]
async fn old_and_odd_answers_are_understood() {
    let url = canned("HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
    let outcome = probe(target(url)).await;
    up(&outcome);
    assert_eq!(outcome.response_bytes, 13);
    let url = canned("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(probe(target(url)).await.status_code, Some(204));
    let url = canned("HTTP/1.1 999 Nonsense\r\nContent-Length: 0\r\n\r\n").await;
    failed(&probe(target(url)).await, FailureCode::StatusMismatch, "got 999");
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    failed(&probe(target(canned(switching).await)).await, FailureCode::StatusMismatch, "got 101");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n";
    let outcome = probe(target(canned(chunked).await)).await;
    up(&outcome);
    assert_eq!(outcome.response_bytes, 3);
}

// ---- no connection ---------------------------------------------------------------------------

#[tokio::test]
async fn no_listener_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outcome = probe(target(format!("http://{address}/"))).await;
    let message = format!("Connection to {address} was refused");
    failed(&outcome, FailureCode::ConnectRefused, &message);
    assert_eq!(outcome.timings_ms.first_byte, None);
}

#[tokio::test]
async fn an_unknown_name_is_a_dns_failure() {
    let outcome = probe(target("http://nowhere.test/")).await;
    failed(&outcome, FailureCode::DnsFailure, "nowhere.test has no address");
    assert_eq!(outcome.timings_ms.connect, None);
    let prober = prober_with(Vec::new(), Resolver::system().unwrap());
    let outcome = prober.probe(0, &target("http://name.invalid/"), None).await;
    failed(&outcome, FailureCode::DnsFailure, "name.invalid does not exist (NXDOMAIN)");
}

#[tokio::test]
async fn a_full_backlog_is_a_connect_timeout() {
    // A listener that never accepts, with a full queue.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await
    {
        queue.push(stream);
        assert!(queue.len() < 1_000);
    }
    let mut slow = target(format!("http://{address}/"));
    slow.timeout_ms = 150;
    let outcome = probe(slow).await;
    failed(&outcome, FailureCode::ConnectTimeout, "not established within 150 ms");
    assert!(outcome.timings_ms.connect.unwrap() >= 140);
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let url = canned(page("hello")).await;
    let outcome = probe(target(url.replace("127.0.0.1", "second-works.test"))).await;
    up(&outcome);
    assert_eq!(outcome.ip, Some("127.0.0.1".parse().unwrap()));
}

// ---- the address guard -----------------------------------------------------------------------

#[tokio::test]
async fn refused_addresses_are_not_connected_to() {
    let url = canned(page("hello")).await;
    let blocked = |url: String| async move {
        failed(&probe(target(url)).await, FailureCode::BlockedAddress, "not a public address");
    };
    blocked(url.replace("127.0.0.1", "127.0.0.3")).await;
    blocked(url.replace("127.0.0.1", "[::1]")).await;
    blocked(url.replace("127.0.0.1", "[::ffff:127.0.0.3]")).await;
    blocked(url.replace("127.0.0.1", "blocked.test")).await;
    blocked("http://169.254.169.254/".to_owned()).await;
    // If only one address of a name is permitted, only that one is used.
    let outcome = probe(target(url.replace("127.0.0.1", "half-blocked.test"))).await;
    up(&outcome);
}

#[tokio::test]
async fn a_redirect_does_not_pass_the_guard() {
    for location in ["http://127.0.0.3/", "http://blocked.test/", "//[::1]/", "http://2130706435/"] {
        let url = canned(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n")).await;
        let outcome = probe(target(url)).await;
        failed(&outcome, FailureCode::BlockedAddress, "not a public address");
        assert_eq!((outcome.status_code, outcome.ip), (None, None));
    }
}

#[tokio::test]
async fn a_rebinding_name_gains_nothing() {
    let url = canned(page("hello")).await.replace("127.0.0.1", "rebinding.test");
    let lookups = Arc::new(AtomicUsize::new(0));
    let counted = lookups.clone();
    // The first answer of the resolver passes the guard, every later one is blocked.
    let resolver = Resolver::fixed(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => vec!["127.0.0.1".parse().unwrap()],
        _ => vec!["127.0.0.3".parse().unwrap()],
    });
    let prober = prober_with(Vec::new(), resolver);
    up(&prober.probe(0, &target(&url), None).await);
    assert_eq!(lookups.load(Ordering::SeqCst), 1, "one lookup, whose answer was used");
    failed(&prober.probe(0, &target(&url), None).await, FailureCode::BlockedAddress, "127.0.0.3");
}

// ---- redirects -------------------------------------------------------------------------------

#[tokio::test]
async fn redirects_are_followed_or_not() {
    let url = serve(|request: Request<Incoming>| async move {
        match request.uri().path() {
            "/0" => answer(200, &[], "arrived"),
            "/relative/a" => answer(302, &[("location", "../0?x")], ""),
            path => {
                let left: u32 = path[1..].parse().unwrap();
                answer(307, &[("location", &format!("/{}", left - 1))], "body of a redirect")
            }
        }
    })
    .await;
    let outcome = probe(target(format!("{url}/10"))).await;
    up(&outcome);
    assert_eq!((outcome.status_code, outcome.response_bytes), (Some(200), 7));
    up(&probe(target(format!("{url}/relative/a"))).await);

    let outcome = probe(target(format!("{url}/11"))).await;
    failed(&outcome, FailureCode::TooManyRedirects, "More than 10 redirects");

    let mut stay = target(format!("{url}/3"));
    stay.config["follow_redirects"] = false.into();
    let outcome = probe(stay).await;
    up(&outcome);
    assert_eq!((outcome.status_code, outcome.response_bytes), (Some(307), 18));
}

#[tokio::test]
async fn a_bad_location_is_named() {
    for location in ["http://", "ftp://example.test/", "http://x:99999/", "file:///etc/passwd", "http://x:0"]
    {
        let url = canned(format!("HTTP/1.1 301 Moved\r\nLocation: {location}\r\n\r\n")).await;
        failed(&probe(target(url)).await, FailureCode::InvalidRedirect, location);
    }
    let url = canned(b"HTTP/1.1 301 Moved\r\nLocation: /\xff\xfe\r\n\r\n".to_vec()).await;
    failed(&probe(target(url)).await, FailureCode::InvalidRedirect, "is not a URL");
    // Contains no secrets of either side, because the message is sent in notifications.
    let url = canned("HTTP/1.1 301 Moved\r\nLocation: ftp://me:secret@x/a?token=secret\r\n\r\n").await;
    let outcome = probe(target(format!("{url}/?token=secret"))).await;
    failed(&outcome, FailureCode::InvalidRedirect, "redirects to \"ftp://x/a\"");
    assert!(!outcome.error.unwrap().message.contains("secret"));
    // Without a location, the redirect leads nowhere: it is the final response.
    let url = canned("HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(probe(target(url)).await.status_code, Some(301));
}

#[tokio::test]
async fn methods_and_secrets_over_redirects() {
    // Responds with what it received, unless it redirects.
    let echo = serve(|request: Request<Incoming>| async move {
        let mut text = format!("{} ", request.method());
        for name in ["authorization", "cookie", "x-api-key", "accept-language", "content-type"] {
            if request.headers().contains_key(name) {
                text.push_str(name);
                text.push(' ');
            }
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        text.push_str(std::str::from_utf8(&body).unwrap());
        answer(200, &[], text)
    })
    .await;
    let target_of = echo.clone();
    let start = serve(move |request: Request<Incoming>| {
        let echo = target_of.clone();
        async move {
            let path = request.uri().path().to_owned();
            let Some(status) = path.strip_prefix("/same/") else {
                let status = path[1..].parse().unwrap();
                return answer(status, &[("location", &echo)], "");
            };
            if status == "here" {
                let kept = request.headers().contains_key("authorization");
                return answer(200, &[], format!("{} auth={kept}", request.method()));
            }
            answer(status.parse().unwrap(), &[("location", "/same/here")], "")
        }
    })
    .await;
    let case = |method: &str, path: &str, wanted: &str| {
        let mut target = target(format!("{start}{path}"));
        target.config["method"] = method.into();
        target.config["body"] = "payload".into();
        for (name, value) in [
            ("Authorization", "Bearer x"),
            ("Cookie", "a=b"),
            ("X-Api-Key", "secret"),
            ("Accept-Language", "ko"),
            ("Content-Type", "text/plain"),
        ] {
            set_header(&mut target, name, value);
        }
        target.assertions =
            vec![Assertion::of("body", Comparison::Matches, format!("^{}$", regex::escape(wanted)))];
        async move { up(&probe(target).await) }
    };
    case("POST", "/301", "GET accept-language ").await;
    case("POST", "/302", "GET accept-language ").await;
    case("PUT", "/303", "GET accept-language ").await;
    case("PUT", "/302", "PUT accept-language content-type payload").await;
    case("POST", "/307", "POST accept-language content-type payload").await;
    case("POST", "/308", "POST accept-language content-type payload").await;
    case("POST", "/same/302", "GET auth=true").await;
    case("POST", "/same/308", "POST auth=true").await;
}

// ---- time ------------------------------------------------------------------------------------

#[tokio::test]
async fn silence_is_a_timeout() {
    let url = endless("", b"", Duration::from_secs(60)).await;
    let mut slow = target(url);
    slow.timeout_ms = 150;
    let started = Instant::now();
    let outcome = probe(slow).await;
    failed(&outcome, FailureCode::Timeout, "No response came within 150 ms");
    assert!(outcome.timings_ms.first_byte.unwrap() >= 100);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_endless_drip_is_a_timeout() {
    let start = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let url = endless(start, b"1\r\nx\r\n", Duration::from_millis(10)).await;
    let mut slow = target(url);
    slow.timeout_ms = 150;
    let outcome = probe(slow).await;
    failed(&outcome, FailureCode::Timeout, "The response did not end within 150 ms");
    assert_eq!(outcome.status_code, Some(200));
    assert!(outcome.response_bytes > 0);
}

#[tokio::test]
async fn an_endless_head_is_refused() {
    let url = endless(
        "HTTP/1.1 200 OK\r\n",
        format!("X: {}\r\n", "x".repeat(2000)).leak().as_bytes(),
        Duration::ZERO,
    )
    .await;
    failed(&probe(target(url)).await, FailureCode::ProtocolError, "too large");
}

#[tokio::test]
async fn an_endless_flood_ends_at_the_limit() {
    const CHUNK: &[u8] = &[b'x'; 65_536];
    let url = endless("HTTP/1.1 200 OK\r\n\r\n", CHUNK, Duration::ZERO).await;
    let outcome = probe(target(url)).await;
    up(&outcome);
    let mib = outcome.response_bytes / 1024 / 1024;
    assert_eq!(mib, 10);
}

#[tokio::test]
async fn a_flood_ends_the_check_long_before_its_timeout() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks: &[u8] = b"1\r\na\r\n".repeat(1000).leak();
    for (start, more) in [("", &b"HTTP/1.1 102 Processing\r\n\r\n"[..]), (chunked, chunks)] {
        let mut flooded = target(endless(start, more, Duration::ZERO).await);
        flooded.timeout_ms = 60_000;
        let outcome = probe(flooded).await;
        failed(&outcome, FailureCode::ProtocolError, "far more than its response");
        assert!(outcome.timings_ms.total < 30_000);
    }
}

#[tokio::test]
async fn a_slow_flow_of_interim_answers_is_a_timeout() {
    let url = endless("", b"HTTP/1.1 102 Processing\r\n\r\n", Duration::from_millis(10)).await;
    let mut slow = target(url);
    slow.timeout_ms = 150;
    failed(&probe(slow).await, FailureCode::Timeout, "No response came");
}

#[tokio::test]
async fn nothing_stays_open_after_a_timeout() {
    let authority = Authority::new();
    let prober = prober_with(vec![authority.root.clone()], Resolver::fixed(names));
    for protocol in ["h2", "http/1.1"] {
        let acceptor = authority.acceptor("secure.test", 2099, &[protocol]);
        let (closed, mut is_closed) = tokio::sync::mpsc::channel(1);
        let address = listen(move |stream| {
            let (acceptor, closed) = (acceptor.clone(), closed.clone());
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
                let _ = closed.send(()).await;
            }
        })
        .await;
        let mut silent = target(format!("https://secure.test:{}/", address.port()));
        silent.timeout_ms = 150;
        failed(&prober.probe(0, &silent, None).await, FailureCode::Timeout, "No response came");
        let closed = tokio::time::timeout(Duration::from_secs(2), is_closed.recv()).await;
        assert_eq!(closed, Ok(Some(())), "{protocol}");
    }
}

// ---- what is not HTTP ------------------------------------------------------------------------

#[tokio::test]
async fn malformed_answers_are_protocol_errors() {
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(201));
    for (bytes, message) in [
        ("garbage\r\n\r\n", "not HTTP"),
        ("\x00\x01\x02\x03\r\n\r\n", "not HTTP"),
        ("SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        ("", "closed before the response came"),
        ("HTTP/1.1 20", "closed before the response came"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "closed before the response came"),
        ("HTTP/1.1 xyz OK\r\n\r\n", "not HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "not HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello", "not HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello", "broke off after 5 bytes"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "broke off after 3 bytes"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk"),
        (many_headers.as_str(), "too large"),
    ] {
        let outcome = probe(target(canned(bytes).await)).await;
        failed(&outcome, FailureCode::ProtocolError, message);
    }
}

#[tokio::test]
async fn a_reset_is_a_protocol_error() {
    let address = listen(|mut stream| async move {
        read_head(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let outcome = probe(target(format!("http://{address}/"))).await;
    failed(&outcome, FailureCode::ProtocolError, "before the response");
}

// ---- TLS -------------------------------------------------------------------------------------

struct Authority {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        Self::named("Test authority")
    }

    fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { root, issuer: Issuer::new(params, key) }
    }

    fn acceptor(&self, name: &str, until: i32, protocols: &[&str]) -> TlsAcceptor {
        self.acceptor_until(name, (until, 1, 1), protocols)
    }

    fn acceptor_until(
        &self,
        name: &str,
        (year, month, day): (i32, u8, u8),
        protocols: &[&str],
    ) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, month, day);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        acceptor(leaf.der().clone(), &key, protocols)
    }
}

fn acceptor(leaf: CertificateDer<'static>, key: &KeyPair, protocols: &[&str]) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Responds with the HTTP version of the request.
async fn serve_tls(acceptor: TlsAcceptor, host: &str) -> String {
    let address = listen(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(|request: Request<Incoming>| async move {
                let host = request.headers().get("host").map(|host| host.to_str().unwrap());
                let authority = request.uri().authority().map(|authority| authority.as_str());
                let host = host.or(authority).unwrap_or_default();
                answer(200, &[], format!("{:?} to {host}", request.version()))
            });
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await;
    format!("https://{host}:{}/", address.port())
}

fn contains(value: &str) -> Vec<Assertion> {
    vec![Assertion::of("body", Comparison::Contains, value)]
}

#[tokio::test]
async fn https_in_both_versions() {
    let authority = Authority::new();
    let prober = prober_with(vec![authority.root.clone()], Resolver::fixed(names));
    for (protocols, version) in [
        (["h2", "http/1.1"].as_slice(), "HTTP/2.0 to secure.test"),
        (&["http/1.1"], "HTTP/1.1 to secure.test"),
        (&[], "HTTP/1.1 to secure.test"),
    ] {
        let url = serve_tls(authority.acceptor("secure.test", 2099, protocols), "secure.test").await;
        let mut secure = target(url);
        secure.assertions = contains(version);
        set_header(&mut secure, "X-Foo", "bar");
        let outcome = prober.probe(0, &secure, None).await;
        up(&outcome);
        assert!(outcome.timings_ms.tls.is_some());
        let expires = outcome.certificate_expires_at.unwrap();
        assert_eq!(expires.to_rfc3339(), "2099-01-01T00:00:00+00:00");
        set_header(&mut secure, "Host", "virtual.example");
        secure.assertions = contains("to virtual.example");
        up(&prober.probe(0, &secure, None).await);
    }
    // A name with the trailing dot of the root, and an address in the certificate.
    let url = serve_tls(authority.acceptor("secure.test", 2099, &[]), "secure.test.").await;
    up(&prober.probe(0, &target(url), None).await);
    let url = serve_tls(authority.acceptor("127.0.0.1", 2099, &[]), "127.0.0.1").await;
    up(&prober.probe(0, &target(url), None).await);
}

#[tokio::test]
async fn a_bad_certificate_is_refused_and_its_expiry_shown() {
    let authority = Authority::new();
    let prober = prober_with(vec![authority.root.clone()], Resolver::fixed(names));
    let check = |url: String, verify: bool| {
        let mut target = target(url);
        target.config["verify_tls"] = verify.into();
        let prober = prober.clone();
        async move { prober.probe(0, &target, None).await }
    };
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["secure.test".to_owned()]).unwrap();
    let self_signed = acceptor(own.self_signed(&key).unwrap().der().clone(), &key, &["h2"]);
    for (acceptor, message) in [
        (authority.acceptor("secure.test", 2024, &["h2"]), "The certificate expired on 2024-01-01"),
        (
            authority.acceptor("other.test", 2099, &["h2"]),
            "The certificate is not valid for secure.test, only for other.test",
        ),
        (
            Authority::named("A stranger").acceptor("secure.test", 2099, &["h2"]),
            "The certificate was not issued by a trusted authority",
        ),
        (self_signed, "The certificate was not issued by a trusted authority"),
    ] {
        let url = serve_tls(acceptor, "secure.test").await;
        let outcome = check(url.clone(), true).await;
        failed(&outcome, FailureCode::TlsInvalid, message);
        assert!(outcome.certificate_expires_at.is_some());
        assert!(outcome.timings_ms.tls.is_some());
        assert_eq!(outcome.timings_ms.first_byte, None, "nothing was asked");
        let outcome = check(url, false).await;
        up(&outcome);
        assert!(outcome.certificate_expires_at.is_some());
    }
}

#[tokio::test]
async fn certificate_that_expires_soon_is_degraded() {
    let authority = Authority::new();
    let prober = prober_with(vec![authority.root.clone()], Resolver::fixed(names));
    // Midnight after ten whole days.
    let day = (Utc::now() + chrono::TimeDelta::days(11)).date_naive();
    let until = (day.year(), day.month() as u8, day.day() as u8);
    let url = serve_tls(authority.acceptor_until("secure.test", until, &[]), "secure.test").await;
    let check = async |change: &dyn Fn(&mut Target)| {
        let mut target = target(url.clone());
        target.config["certificate_warning_days"] = 14.into();
        change(&mut target);
        prober.probe(0, &target, None).await
    };
    let soon = check(&|_| {}).await;
    assert_eq!(soon.status, CheckStatus::Degraded);
    let error = soon.error.unwrap();
    assert_eq!(error.code, FailureCode::CertificateExpiring);
    assert_eq!(error.message, format!("A certificate expires in 10 days ({day})"));
    assert_eq!(
        check(&|target| target.config["certificate_warning_days"] = 10.into()).await.status,
        CheckStatus::Degraded
    );
    up(&check(&|target| target.config["certificate_warning_days"] = 9.into()).await);
    up(&check(&|target| target.config["certificate_warning_days"] = 0.into()).await);
    up(&check(&|target| target.config["verify_tls"] = false.into()).await);
    let days = |comparison, days: i64| vec![Assertion::of("certificate_days_left", comparison, days)];
    up(&check(&|target| {
        target.config["certificate_warning_days"] = 0.into();
        target.assertions = days(Comparison::Equals, 10);
    })
    .await);
    let down = check(&|target| target.assertions = days(Comparison::GreaterOrEqual, 11)).await;
    failed(&down, FailureCode::AssertionFailed, "(certificate_days_left is at least 11): it is 10");
}

#[tokio::test]
async fn what_is_not_tls_says_so() {
    let plain = listen(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let outcome = probe(target(format!("https://{plain}/"))).await;
    failed(&outcome, FailureCode::TlsInvalid, "does not speak TLS");
    let url = canned("").await.replace("http:", "https:");
    let mut silent = target(url);
    silent.timeout_ms = 150;
    failed(&probe(silent).await, FailureCode::Timeout, "TLS handshake was not finished");
    let closes = listen(|stream| async move { drop(stream) }).await;
    let outcome = probe(target(format!("https://{closes}/"))).await;
    failed(&outcome, FailureCode::TlsInvalid, "closed the connection during the TLS handshake");
    // The other way round.
    let authority = Authority::new();
    let url = serve_tls(authority.acceptor("secure.test", 2099, &[]), "secure.test").await;
    let outcome = probe(target(url.replace("https:", "http:"))).await;
    assert_eq!(outcome.error.unwrap().code, FailureCode::ProtocolError);
}

#[tokio::test]
async fn http2_that_goes_wrong() {
    let authority = Authority::new();
    let prober = prober_with(vec![authority.root.clone()], Resolver::fixed(names));
    let acceptor = authority.acceptor("secure.test", 2099, &["h2"]);
    let misbehave = |bytes: &'static [u8]| {
        let acceptor = acceptor.clone();
        async move {
            let address = listen(move |stream| {
                let acceptor = acceptor.clone();
                async move {
                    let mut stream = acceptor.accept(stream).await.unwrap();
                    let _ = stream.write_all(bytes).await;
                    let _ = stream.read(&mut [0; 1024]).await;
                    if bytes.len() < 10 {
                        // Sends nothing more, and closes nothing.
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                }
            })
            .await;
            format!("https://secure.test:{}/", address.port())
        }
    };
    let outcome = prober.probe(0, &target(misbehave(b"this is not HTTP/2 at all").await), None).await;
    failed(&outcome, FailureCode::ProtocolError, "");
    let mut silent = target(misbehave(b"").await);
    silent.timeout_ms = 150;
    failed(&prober.probe(0, &silent, None).await, FailureCode::Timeout, "No response came");
}

#[tokio::test]
async fn a_flood_of_http2_frames_ends_the_check_long_before_its_timeout() {
    // Their headers: length (3 bytes), type, flags, stream (4 bytes).
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const PONG: &[u8] = &[0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const WINDOW_UPDATE: &[u8] = &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const PRIORITY: &[u8] = &[0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    const UNKNOWN: &[u8] = &[0, 0, 0, 0xbb, 0, 0, 0, 0, 0];
    // A head with `:status: 200`, and then pieces of a body: one of a byte, and an empty one.
    const HEAD: &[u8] = &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
    const DATA: &[u8] = &[0, 0, 1, 0, 0, 0, 0, 0, 1, b'x'];
    const NO_DATA: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 1];
    let authority = Authority::new();
    let prober = prober_with(vec![authority.root.clone()], Resolver::fixed(names));
    let acceptor = authority.acceptor("secure.test", 2099, &["h2"]);
    for (start, more) in [
        (&[][..], PING),
        (&[], PONG),
        (&[], SETTINGS),
        (&[], WINDOW_UPDATE),
        (&[], PRIORITY),
        (&[], UNKNOWN),
        (HEAD, DATA),
        (HEAD, NO_DATA),
    ] {
        let acceptor = acceptor.clone();
        let address = listen(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let (mut from, mut to) = tokio::io::split(acceptor.accept(stream).await.unwrap());
                // Reads the request, so that there is a stream to respond on.
                let mut rest = [0; 4096];
                let pause = Duration::from_millis(200);
                while tokio::time::timeout(pause, from.read(&mut rest))
                    .await
                    .is_ok_and(|read| read.is_ok_and(|n| n > 0))
                {}
                // Unread data would make the flood wait.
                tokio::spawn(
                    async move { while from.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} },
                );
                let _ = to.write_all(&[SETTINGS, start].concat()).await;
                let flood = more.repeat(1000);
                while to.write_all(&flood).await.is_ok() {}
            }
        })
        .await;
        let mut flooded = target(format!("https://secure.test:{}/", address.port()));
        flooded.timeout_ms = 60_000;
        let outcome = prober.probe(0, &flooded, None).await;
        failed(&outcome, FailureCode::ProtocolError, "");
        assert!(outcome.timings_ms.total < 30_000, "{more:?}: {outcome:?}");
    }
}

// ---- assertions ------------------------------------------------------------------------------

async fn assert_on(url: &str, assertion: Assertion) -> Outcome {
    with_assertions(url, vec![assertion]).await
}

async fn with_assertions(url: &str, assertions: Vec<Assertion>) -> Outcome {
    probe(Target { assertions, ..target(url) }).await
}

fn json_path(path: &str, comparison: Comparison, value: serde_json::Value) -> Assertion {
    Assertion::of_json(path, comparison, value)
}

#[tokio::test]
async fn assertions_on_the_body() {
    let url = canned(page("<h1>All systems go</h1>")).await;
    let body = |text: &str| Assertion::of("body", Comparison::Contains, text);
    let not = |text: &str| Assertion::of("body", Comparison::NotContains, text);
    let regex = |text: &str| Assertion::of("body", Comparison::Matches, text);
    for holds in [
        body("systems"),
        not("error"),
        regex(r"(?i)ALL \w+ go"),
        Assertion::of("body", Comparison::NotMatches, "^All"),
        Assertion::of("body", Comparison::Equals, "<h1>All systems go</h1>"),
        Assertion::of("body", Comparison::NotEquals, "go"),
    ] {
        up(&assert_on(&url, holds).await);
    }
    for (fails, message) in [
        (body("down"), "Assertion 1 failed (body contains \"down\"): the body begins with \"<h1>All systems"),
        (not("go"), "(body does not contain \"go\"): the body contains it"),
        (regex("^All"), "(body matches ^All): the body begins with"),
        (
            Assertion::of("body", Comparison::NotMatches, "g."),
            "(body does not match g.): the body matches it",
        ),
        (Assertion::of("body", Comparison::Equals, "go"), "(body equals \"go\"): the body begins with"),
        (Assertion::of("body", Comparison::NotEquals, "<h1>All systems go</h1>"), "the body is that"),
    ] {
        let outcome = assert_on(&url, fails).await;
        failed(&outcome, FailureCode::AssertionFailed, message);
        assert_eq!(outcome.status_code, Some(200));
    }
    let outcome = assert_on(&canned(page("x".repeat(5_000))).await, body("y")).await;
    let message = outcome.error.unwrap().message;
    assert!(message.ends_with("xxx…\"") && message.len() < 300, "{message}");
}

#[tokio::test]
async fn assertions_on_json() {
    use Comparison::*;
    let body = r#"{"status":"ok","count":3,"rate":0.5,"tags":["a","b"],"items":[{"up":true},{"up":true}],"big":9007199254740993,"text":"12"}"#;
    let url = canned(page(body)).await;
    for (path, comparison, value) in [
        ("$.status", Equals, json!("ok")),
        ("$.status", NotEquals, json!("bad")),
        ("$.status", Contains, json!("o")),
        ("$.tags", Contains, json!("b")),
        ("$.tags", Equals, json!(["a", "b"])),
        ("$.count", Equals, json!(3.0)),
        ("$.count", LessThan, json!(4)),
        ("$.count", LessOrEqual, json!(3)),
        ("$.count", GreaterThan, json!(2.5)),
        ("$.count", GreaterOrEqual, json!(3)),
        ("$.rate", LessThan, json!(1)),
        ("$.items[*].up", Equals, json!(true)),
        ("$..up", Equals, json!(true)),
        ("$.items[?@.up == true].up", Equals, json!(true)),
        ("$.big", NotEquals, json!(9_007_199_254_740_992_i64)),
        // A text is compared as text, a number as number.
        ("$.count", Equals, json!("3")),
        ("$.items[0].up", Equals, json!("true")),
        ("$.text", Equals, json!(12)),
        ("$.text", GreaterThan, json!(11.5)),
        ("$.text", LessThan, json!("13")),
        ("$.status", NotContains, json!("x")),
        ("$.tags", NotContains, json!("c")),
        ("$.status", Matches, json!("^o.$")),
        ("$.count", Matches, json!("^3$")),
        ("$.tags", NotMatches, json!("a")),
        ("$.items[1].up", Exists, json!(null)),
        ("$.nothing", NotExists, json!(null)),
    ] {
        let outcome = assert_on(&url, json_path(path, comparison, value)).await;
        assert_eq!(outcome.error, None, "{path}");
    }
    for (path, comparison, value, message) in [
        ("$.status", Equals, json!("bad"), "($.status equals \"bad\"): it is \"ok\""),
        ("$.nothing", NotEquals, json!(1), "the path selects nothing"),
        ("$.nothing", Exists, json!(null), "($.nothing exists): the path selects nothing"),
        ("$.status", NotExists, json!(null), "($.status does not exist): it is \"ok\""),
        ("$.status", NotMatches, json!("ok"), "($.status does not match ok): it is \"ok\""),
        ("$.tags[*]", NotContains, json!("b"), "it is \"b\""),
        ("$.count", LessThan, json!(3), "($.count is less than 3): it is 3"),
        ("$.status", LessThan, json!(3), "it is \"ok\""),
        ("$.tags[*]", Equals, json!("a"), "it is \"b\""),
    ] {
        let outcome = assert_on(&url, json_path(path, comparison, value)).await;
        failed(&outcome, FailureCode::AssertionFailed, message);
    }
    let html = canned(page("<html>")).await;
    let outcome = assert_on(&html, json_path("$.a", Equals, json!(1))).await;
    failed(&outcome, FailureCode::AssertionFailed, "the body is not JSON");
    let empty = canned(page("")).await;
    let outcome = assert_on(&empty, json_path("$.a", Equals, json!(1))).await;
    failed(&outcome, FailureCode::AssertionFailed, "the body is not JSON");
}

#[tokio::test]
async fn the_json_paths_of_a_check_share_what_they_may_take() {
    let body = json!({"a": vec![json!({"b": [1, 2]}); 50_000]}).to_string();
    let url = canned(page(body)).await;
    let paths = |count| vec![json_path("$.a[?@.b[0] == 1].b[0]", Comparison::Equals, json!(1)); count];
    up(&with_assertions(&url, paths(5)).await);
    let outcome = with_assertions(&url, paths(20)).await;
    failed(&outcome, FailureCode::AssertionFailed, "the JSONPaths take too long on this body");
    // Each path visits only a few values.
    up(&with_assertions(&url, vec![json_path("$.a[49999].b[1]", Comparison::Equals, json!(2)); 20]).await);
}

#[tokio::test]
async fn pattern_over_many_values_is_bounded() {
    // Each value is short, and the pattern has thousands of states, which it visits anew for each value.
    let body = json!(vec!["aaaaaaaaaa"; 300_000]).to_string();
    let url = canned(page(body)).await;
    let assertions = vec![json_path("$[*]", Comparison::NotMatches, json!("[ab]*a[ab]{1000}c")); 5];
    let began = Instant::now();
    let outcome = with_assertions(&url, assertions).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    up(&outcome);
}

#[tokio::test]
async fn assertions_on_headers_and_time() {
    use Comparison::*;
    let url = canned(with_headers("X-Left: 12\r\nVia: a\r\nVia: b\r\n", "")).await;
    let header = |name: &str, comparison, value: &str| Assertion::of_header(name, comparison, value);
    for holds in [
        header("x-left", Equals, "12"),
        header("X-Left", GreaterThan, "9"),
        header("Via", Equals, "a, b"),
        header("Via", Contains, "b"),
        header("Via", NotEquals, "c"),
        header("Via", NotContains, "c"),
        header("Via", Matches, "^a, .$"),
        header("Via", NotMatches, "^b"),
        Assertion::of_header("via", Exists, ()),
        Assertion::of_header("x-none", NotExists, ()),
        Assertion::of("total_ms", LessThan, 5_000),
        Assertion::of("total_ms", LessThan, "5000"),
        Assertion::of("status", Equals, 200),
        Assertion::of("status", Equals, "200"),
        Assertion::of("status", NotEquals, 404),
        Assertion::of("connect_ms", Exists, ()),
        Assertion::of("tls_ms", NotExists, ()),
        Assertion::of("certificate_days_left", NotExists, ()),
        Assertion::of("ip", Equals, "127.0.0.1"),
        Assertion::of("ip", Matches, r"^127\."),
        Assertion::of("http_version", Equals, 1.1),
        Assertion::of("redirects", Equals, 0),
        Assertion::of("body_bytes", Equals, 0),
    ] {
        up(&assert_on(&url, holds).await);
    }
    for (fails, message) in [
        (header("x-left", LessThan, "9"), "(header x-left is less than 9): it is \"12\""),
        (Assertion::of("status", GreaterOrEqual, 500), "(status is at least 500): it is 200"),
        (Assertion::of("ip", NotMatches, "^127"), "(ip does not match ^127): it is \"127.0.0.1\""),
        (Assertion::of("dns_ms", LessThan, 5), "(dns_ms is less than 5): there is none"),
        (Assertion::of("certificate_days_left", GreaterThan, 14), "there is none"),
        (Assertion::of_header("via", NotExists, ()), "(header via does not exist): it is \"a, b\""),
        (header("x-none", NotEquals, "9"), "(header x-none does not equal \"9\"): there is none"),
    ] {
        failed(&assert_on(&url, fails).await, FailureCode::AssertionFailed, message);
    }
    let address = listen(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = stream.write_all(&page("")).await;
    })
    .await;
    let slow = Assertion::of("total_ms", Comparison::LessThan, 10);
    let outcome = assert_on(&format!("http://{address}/"), slow).await;
    failed(&outcome, FailureCode::AssertionFailed, "(total_ms is less than 10): it is ");
}

#[tokio::test]
async fn assertion_that_says_degraded_leaves_the_check_up() {
    let url = canned(page("All systems go")).await;
    let of =
        |value: &str, severity| Assertion { severity, ..Assertion::of("body", Comparison::Contains, value) };
    let outcome = with_assertions(&url, vec![of("x", Severity::Degraded), of("z", Severity::Degraded)]).await;
    assert_eq!(outcome.status, CheckStatus::Degraded);
    let error = outcome.error.unwrap();
    assert_eq!(error.code, FailureCode::AssertionFailed);
    assert!(error.message.starts_with("Assertion 1 failed (body contains \"x\")"), "{}", error.message);
    // A check that is down is not degraded, whatever comes first.
    let outcome = with_assertions(&url, vec![of("x", Severity::Degraded), of("z", Severity::Down)]).await;
    failed(&outcome, FailureCode::AssertionFailed, "Assertion 2 failed");
    up(&with_assertions(&url, vec![of("go", Severity::Degraded), of("All", Severity::Down)]).await);
}

#[tokio::test]
async fn compressed_bodies_are_read_for_assertions() {
    let text = b"All systems go".as_slice();
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let raw = zlib[2..zlib.len() - 4].to_vec();
    let brotli = {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
        encoder.write_all(text).unwrap();
        encoder.into_inner()
    };
    for (encoding, body) in [
        ("gzip", &gzip),
        ("GZIP", &gzip),
        ("deflate", &zlib),
        ("deflate", &raw),
        ("br", &brotli),
        ("identity", &text.to_vec()),
    ] {
        let url = canned(with_headers(&format!("Content-Encoding: {encoding}\r\n"), body)).await;
        let mut target = target(url);
        target.assertions = contains("systems go");
        let outcome = probe(target).await;
        assert_eq!(outcome.error, None, "{encoding}");
        assert_eq!(outcome.response_bytes, body.len() as u64);
    }
}

#[tokio::test]
async fn a_bomb_is_not_unpacked() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1024 * 1024];
    for _ in 0..64 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.write_all(b"needle").unwrap();
    let bomb = encoder.finish().unwrap();
    let url = canned(with_headers("Content-Encoding: gzip\r\n", bomb)).await;
    let assertion = Assertion::of("body", Comparison::Contains, "needle");
    failed(&assert_on(&url, assertion).await, FailureCode::AssertionFailed, "longer than 10 MiB");
    let assertion = Assertion::of("body", Comparison::NotContains, "needle");
    failed(&assert_on(&url, assertion).await, FailureCode::AssertionFailed, "longer than 10 MiB");
}

// ---- retries and batches ---------------------------------------------------------------------

#[tokio::test]
async fn a_failed_check_is_tried_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let url = serve(move |_| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move { answer(if call % 3 == 2 { 200 } else { 500 }, &[], "") }
    })
    .await;
    let mut retried = target(&url);
    retried.retries = 2;
    up(&probe(retried.clone()).await);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    retried.retries = 1;
    failed(&probe(retried).await, FailureCode::StatusMismatch, "got 500");
    assert_eq!(calls.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_slow_target_delays_no_other() {
    let slow = endless("", b"", Duration::from_secs(60)).await;
    let fast = canned(page("hello")).await;
    let requests = (0..300).map(|key| {
        let mut target = target(if key % 10 == 0 { slow.clone() } else { fast.clone() });
        target.timeout_ms = 3_000;
        (key, target)
    });
    let started = Instant::now();
    let prober = prober();
    let mut running = JoinSet::new();
    for (key, target) in requests {
        let prober = prober.clone();
        running.spawn(async move { (key, prober.probe(0, &target, None).await.status, started.elapsed()) });
    }
    let mut order = Vec::new();
    while let Some(done) = running.join_next().await {
        order.push(done.unwrap());
    }
    assert_eq!(order.len(), 300);
    assert!(order[..270].iter().all(|(key, status, _)| key % 10 != 0 && *status == CheckStatus::Up));
    assert!(order[270..].iter().all(|(key, status, _)| key % 10 == 0 && *status == CheckStatus::Down));
    assert!(order[269].2 < Duration::from_secs(3), "the fast ones did not wait");
}

#[tokio::test]
async fn owner_with_many_slow_checks_delays_no_other_owner() {
    let hanging = endless("", b"", Duration::from_secs(60)).await;
    let mut slow = target(&hanging);
    slow.timeout_ms = 100;
    let mut config = ProbeConfig::new(PrivateNetworks::Allow).unwrap();
    config.concurrency = 2;
    let prober = Arc::new(Prober::new(config).unwrap());
    let mut running = JoinSet::new();
    for owner in [1; 20].into_iter().chain([2]) {
        let (prober, slow) = (prober.clone(), slow.clone());
        running.spawn(async move {
            prober.probe(owner, &slow, None).await;
            owner
        });
    }
    // Two checks of the first owner were already running.
    let place = running.join_all().await.iter().position(|owner| *owner == 2);
    assert!(place.is_some_and(|place| place < 5), "{place:?} of 21");
}

#[tokio::test]
async fn pattern_is_compiled_outside_the_async_workers() {
    let mut target = target("http://x.test/");
    target.assertions = vec![Assertion::of("body", Comparison::Matches, "compiled (elsewhere){3}")];
    assert!(Plan::prepare(1, &target, None).now_or_never().is_none(), "it is compiled by another thread");
    Plan::prepare(1, &target, None).await.unwrap().unwrap();
    assert!(Plan::prepare(1, &target, None).now_or_never().is_some(), "it is compiled already");
}

#[tokio::test]
async fn no_more_checks_run_at_once_than_asked() {
    let running = Arc::new(AtomicUsize::new(0));
    let max = Arc::new(AtomicUsize::new(0));
    let (counted, highest) = (running.clone(), max.clone());
    let url = serve(move |_| {
        let (counted, highest) = (counted.clone(), highest.clone());
        async move {
            highest.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            counted.fetch_sub(1, Ordering::SeqCst);
            answer(200, &[], "")
        }
    })
    .await;
    let mut config = ProbeConfig::new(PrivateNetworks::Allow).unwrap();
    config.concurrency = 3;
    let prober = Arc::new(Prober::new(config).unwrap());
    let checks = (0..40).map(|_| async { up(&prober.probe(0, &target(&url), None).await) });
    futures::future::join_all(checks).await;
    assert!((2..=3).contains(&max.load(Ordering::SeqCst)));
}

// ---- what cannot be probed -------------------------------------------------------------------

#[tokio::test]
async fn a_panic_is_no_outage_of_the_target() {
    let outcome = probe(Target { retries: 2, ..target("http://defect.test/?token=secret") }).await;
    let error = outcome.error.unwrap();
    assert_eq!((outcome.status, error.code), (CheckStatus::Unknown, FailureCode::ProberDefect));
    assert!(!error.message.contains("secret"), "{}", error.message);
}

#[tokio::test]
async fn a_wait_for_a_free_processor_is_no_timeout_of_the_target() {
    // Other owners take all places for judging: on one processor, one of them waits in vain.
    let mut held = Vec::new();
    for owner in [100, 101] {
        held.extend(tokio::time::timeout(Duration::from_millis(100), plan::JUDGING.take(owner)).await);
    }
    let url = canned(page("x".repeat(MAX_JUDGED_IN_PLACE + 1))).await;
    let mut judged = target(url);
    judged.timeout_ms = 200;
    judged.assertions = contains("x");
    // A check that is not judged before the next one is due is missed: it says nothing about the target, and reports
    // that.
    let due = Instant::now() + Duration::from_millis(100);
    let missed = prober().probe(1, &judged, Some(due.into())).await;
    let error = missed.error.unwrap();
    assert_eq!((missed.status, error.code), (CheckStatus::Unknown, FailureCode::NotStarted));
    assert!(error.message.contains("judged"), "{}", error.message);

    let check = tokio::spawn(async move { prober().probe(1, &judged, None).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!check.is_finished(), "it waits for its turn");
    drop(held);
    let outcome = check.await.unwrap();
    up(&outcome);
    assert!(outcome.timings_ms.total < 200, "{:?}", outcome.timings_ms);
}

#[tokio::test]
async fn a_target_that_cannot_be_read_is_no_outage() {
    let mut bad = target("file:///etc/passwd");
    bad.retries = 9;
    let outcome = probe(bad).await;
    let error = outcome.error.unwrap();
    assert_eq!((outcome.status, error.code), (CheckStatus::Unknown, FailureCode::InvalidRequest));
    for what in ["url: must begin with https:// or http://", "retries: must be at most 5"] {
        assert!(error.message.contains(what), "{}", error.message);
    }
}

#[test]
fn every_field_is_validated() {
    type Change = Box<dyn Fn(&mut Target)>;
    fn with(change: impl Fn(&mut Target) + 'static) -> Change {
        Box::new(change)
    }
    fn url(text: impl Into<String>) -> Change {
        let text = text.into();
        with(move |target| target.url = text.clone())
    }
    fn header(name: impl Into<String>, value: impl Into<String>) -> Change {
        let (name, value) = (name.into(), value.into());
        with(move |target| {
            set_header(target, &name, value.clone());
        })
    }
    fn assertion(assertion: Assertion) -> Change {
        with(move |target| {
            target.assertions.push(Assertion::of("total_ms", Comparison::LessThan, 1));
            target.assertions.push(assertion.clone());
        })
    }
    let regex = |text: &str| assertion(Assertion::of("body", Comparison::Matches, text));
    let path = |text: &str| assertion(json_path(text, Comparison::Equals, json!(1)));

    for ok in [
        url("https://example.com"),
        url("http://예시.한국/경로?질문=답"),
        url("HTTP://user:pass@[::1]:8080/#f"),
        url(format!("http://x/{}", "a".repeat(2_039))),
        header("Host", "example.com:8080"),
        header("X-Empty", ""),
        regex(r"(?i)\w+@\w+\.\w{2,10}"),
        regex(&"x".repeat(1_024)),
        path("$"),
        path("$.a[0]['b']..c"),
        path("$.a[?@.b > 1 && @.c == '$..']"),
        path("$.a[?length(@.b) > 1]"),
        path("$..[?@.a.b == 'x' && @.c.d[0] == 'y.z[]'].e[*].f"),
        path(&format!("${}", ".a".repeat(60))),
        path(&format!("$..[?@{}]", "[*]".repeat(60))),
        path("$[?'a' == @.b || @['b']!=-1.5e1 || !@.c || (@.d[1] == true)]"),
    ] {
        let mut target = target("http://x/");
        ok(&mut target);
        assert_eq!(validate(&target), Vec::new(), "{target:?}");
    }

    for (field, bad) in [
        ("url", url("")),
        ("url", url("example.com")),
        ("url", url("//example.com")),
        ("url", url("file:///etc/passwd")),
        ("url", url("gopher://x")),
        ("url", url("http://")),
        ("url", url("http://x:0/")),
        ("url", url("http://x:65536/")),
        ("url", url("http://x:-1/")),
        ("url", url("http://a b/")),
        ("url", url("http://x/\0")),
        ("url", url("http://x/\r\nHost: y")),
        ("url", url("ht\ntp://x/")),
        ("url", url("http://[::1/")),
        ("url", url(format!("http://x/{}", "a".repeat(2_040)))),
        ("url", url("http://999.999.999.999/")),
        ("config.method", with(|target| target.config["method"] = "get".into())),
        ("config.method", with(|target| target.config["method"] = "CONNECT".into())),
        ("config.method", with(|target| target.config["method"] = "GET / HTTP/1.1\r\n".into())),
        ("config.headers.bad name", header("bad name", "x")),
        ("config.headers.", header("", "x")),
        ("config.headers.X-Foo", header("X-Foo", "a\r\nB: c")),
        ("config.headers.X-Foo", header("X-Foo", "a\0")),
        ("config.headers.X-Foo", header("X-Foo", "x".repeat(8_200))),
        ("config.headers.Connection", header("Connection", "X-Secret")),
        ("config.headers.content-length", header("content-length", "1")),
        ("config.headers.Transfer-Encoding", header("Transfer-Encoding", "chunked")),
        ("config.headers.Host", header("Host", "a b")),
        (
            "config.headers",
            with(|target| {
                for n in 0..51 {
                    set_header(target, &format!("x-{n}"), "");
                }
            }),
        ),
        ("config.body", with(|target| target.config["body"] = "x".repeat(65_537).into())),
        ("timeout_ms", with(|target| target.timeout_ms = 99)),
        ("timeout_ms", with(|target| target.timeout_ms = 60_001)),
        ("retries", with(|target| target.retries = 6)),
        ("config.expected_status", with(|target| target.config["expected_status"] = "2xx".into())),
        (
            "assertions",
            with(|target| target.assertions = vec![Assertion::of("total_ms", Comparison::LessThan, 1); 21]),
        ),
        ("assertions[1].value", regex("(")),
        ("assertions[1].value", regex("")),
        ("assertions[1].value", regex(&"x".repeat(1_025))),
        ("assertions[1].value", regex(r"((\w{100}){100}){100}")),
        ("assertions[1].path", path("")),
        ("assertions[1].path", path("a.b")),
        ("assertions[1].path", path("$[")),
        ("assertions[1].path", path("$..a..b")),
        ("assertions[1].path", path("$[*,*][*,*][*,*][*,*]")),
        ("assertions[1].path", path("$[?@..a]")),
        // Two values are compared, with everything inside them.
        ("assertions[1].path", path("$[?@.a == @.b]")),
        ("assertions[1].path", path(&format!("$..[?@==@{}]", "&&@==@".repeat(160)))),
        ("assertions[1].path", path("$[?value(@.a) != value(@.b)]")),
        ("assertions[1].path", path("$[?@.étrue<@['1']]")),
        // Each level doubles the parser's time.
        ("assertions[1].path", path(&format!("${}{}", "[?@".repeat(60), "]".repeat(60)))),
        ("assertions[1].path", path(&format!("$[?{}@.a", "value(@[?".repeat(60)))),
        // Each level uses some of the parser's stack.
        ("assertions[1].path", path(&format!("$[?{}@.a", "(".repeat(1000)))),
        (
            "assertions[5].value",
            with(|target| {
                target.assertions = (0..20)
                    .map(|n| Assertion::of("body", Comparison::Matches, format!(r"\w{{{}}}", 8 + n)))
                    .collect();
            }),
        ),
        ("assertions[1].path", path("$[?$.a]")),
        ("assertions[1].path", path("$[?match(@.a, 'x')]")),
        ("assertions[1].value", assertion(json_path("$.a", Comparison::LessThan, json!("one")))),
        ("assertions[1].value", assertion(json_path("$.a", Comparison::Contains, json!([1])))),
        ("assertions[1].value", assertion(Assertion::of("body", Comparison::Contains, String::new()))),
        ("assertions[1].value", assertion(Assertion::of("body", Comparison::NotContains, "x".repeat(9_000)))),
        ("assertions[1].name", assertion(Assertion::of_header("a b", Comparison::Equals, String::new()))),
        ("assertions[1].value", assertion(Assertion::of_header("x", Comparison::GreaterThan, "NaN"))),
        ("assertions[1].value", assertion(Assertion::of("total_ms", Comparison::LessThan, "soon"))),
        ("assertions[1].value", assertion(Assertion::of("status", Comparison::Equals, json!([200])))),
        ("assertions[1].value", assertion(Assertion::of("ip", Comparison::Exists, 1))),
        (
            "assertions[1].value",
            assertion(Assertion { value: None, ..json_path("$", Comparison::Equals, json!(1)) }),
        ),
        ("assertions[1].value", assertion(json_path("$", Comparison::Contains, json!("")))),
        ("assertions[1].value", assertion(Assertion::of("body", Comparison::Matches, 1))),
        ("assertions[1].fact", assertion(Assertion::of("banner", Comparison::Equals, 1))),
        ("assertions[1].comparison", assertion(Assertion::of("total_ms", Comparison::Contains, 1))),
        ("assertions[1].comparison", assertion(Assertion::of("body", Comparison::LessThan, 1))),
        ("assertions[1].path", assertion(Assertion::of("json", Comparison::Exists, ()))),
        ("assertions[1].name", assertion(Assertion::of("header", Comparison::Exists, ()))),
        (
            "assertions[1].path",
            assertion(Assertion {
                fact: "body".to_owned(),
                ..json_path("$", Comparison::Equals, json!("x"))
            }),
        ),
        (
            "assertions[1].name",
            assertion(Assertion {
                fact: "ip".to_owned(),
                ..Assertion::of_header("x", Comparison::Equals, "x")
            }),
        ),
    ] {
        let mut target = target("http://x/");
        bad(&mut target);
        let problems = validate(&target);
        assert_eq!(problems.len(), 1, "{field}: {problems:?}");
        let (named, contract::Text { en: english, ko: korean }) = &problems[0];
        assert_eq!(named, field);
        assert!(!english.is_empty() && !english.contains('\n'), "{english}");
        assert!(korean.chars().any(|char| ('가'..='힣').contains(&char)), "{korean}");
    }
}

proptest::proptest! {
    #[test]
    fn no_target_panics(
        url in ".{0,60}", method in ".{0,10}", name in ".{0,20}", value in ".{0,20}",
        status in ".{0,20}", pattern in ".{0,40}",
    ) {
        let mut target = target(url);
        target.config["method"] = method.into();
        set_header(&mut target, &name, value);
        target.config["expected_status"] = status.into();
        target.assertions = vec![
            Assertion::of("body", Comparison::Matches, pattern.clone()),
            json_path(&pattern, Comparison::Contains, json!("x")),
        ];
        let _ = validate(&target);
    }
}

#[test]
fn every_kind_is_complete_and_apart_from_the_others() {
    let mut schemes: Vec<&str> = Vec::new();
    for kind in CHECKS {
        assert!(kind.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", kind.name);
        let fields = kind.fields.iter().flat_map(|field| [field.label, field.help]);
        for (en, ko) in fields.chain([kind.label, kind.about]).chain(kind.facts().map(|fact| fact.label)) {
            assert!(!en.is_empty() && !ko.is_empty(), "{}: {en:?} {ko:?}", kind.name);
        }
        let example = Target::of(kind.name, kind.example);
        assert_eq!(validate(&example), Vec::new(), "{}", kind.name);
        assert_eq!(Kind::of_url(kind.example).map(|kind| kind.name), Some(kind.name));
        schemes.extend(kind.schemes);
        // Default values may be omitted, and may be given.
        let whole = fields::with_defaults(kind.fields, &example.config);
        assert_eq!(
            validate(&Target { config: whole.clone(), ..example.clone() }),
            Vec::new(),
            "{}",
            kind.name
        );
        assert_eq!(fields::read(kind.fields, &whole, None), Ok(json!({})), "{}", kind.name);
        for field in kind.fields {
            let wrong = example.clone().with(field.name, json!([[7]]));
            let refused = validate(&wrong);
            assert!(refused[0].0.starts_with(&format!("config.{}", field.name)), "{refused:?}");
        }
        assert_eq!(validate(&example.clone().with("strange", 1))[0].0, "config.strange");
        let names: std::collections::BTreeSet<_> = kind.facts().map(|fact| fact.name).collect();
        assert_eq!(names.len(), kind.facts().count(), "{}", kind.name);
        let other = Target { kind: kind.name.to_owned(), ..Target::of("", "gopher://a.test/") };
        assert_eq!(validate(&other)[0].0, "url", "{}", kind.name);
    }
    let all = schemes.len();
    schemes.sort_unstable();
    schemes.dedup();
    assert_eq!(schemes.len(), all, "a scheme names one kind");
    assert_eq!(validate(&Target::of("strange", "http://a.test/"))[0].0, "kind");
}

#[tokio::test]
async fn a_kind_that_is_not_known_says_nothing_about_its_target() {
    let outcome = probe(Target::of("strange", "strange://a.test/")).await;
    assert_eq!(outcome.status, CheckStatus::Unknown);
}

#[tokio::test]
async fn tcp_is_up_while_its_port_accepts_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target =
        |host: &str| Target { timeout_ms: 2_000, ..Target::of("tcp", format!("tcp://{host}:{port}")) };
    for host in ["127.0.0.1", "public.test", "PUBLIC.test"] {
        let outcome = probe(target(host)).await;
        up(&outcome);
        assert_eq!((outcome.status_code, outcome.response_bytes, outcome.timings_ms.tls), (None, 0, None));
        assert!(outcome.timings_ms.connect.is_some() && outcome.ip.is_some(), "{outcome:?}");
    }
    let quick = |value: i64| Target {
        assertions: vec![Assertion::of("connect_ms", Comparison::LessThan, value)],
        ..target("127.0.0.1")
    };
    up(&probe(quick(1_000)).await);
    failed(&probe(quick(0)).await, FailureCode::AssertionFailed, "");
    drop(listener);
    failed(&probe(target("127.0.0.1")).await, FailureCode::ConnectRefused, "");
    failed(&probe(target("blocked.test")).await, FailureCode::BlockedAddress, "");
    for url in [
        "tcp://a.test",
        "tcp://a.test:0",
        "tcp://a.test:1/x",
        "tcp://me@a.test:1",
        "tcp://a.test:1?b",
        "tcp://:1",
        "tcp://a.test%2F:1",
        "tcp://a.test%3A22%2F:1",
        "tcp://a%40b.test:1",
    ] {
        assert_eq!(validate(&Target::of("tcp", url))[0].0, "url", "{url}");
    }
}

#[tokio::test]
async fn a_secret_header_follows_to_no_other_server_and_is_in_no_message() {
    let seen = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&seen);
    let other = listen(move |mut stream| {
        let keep = Arc::clone(&keep);
        async move {
            *keep.lock().unwrap() = read_head(&mut stream).await;
            let _ = stream.write_all(&page("fine")).await;
        }
    })
    .await;
    let first = listen(move |mut stream| async move {
        read_head(&mut stream).await;
        let moved = format!("HTTP/1.1 302 Found\r\nLocation: http://{other}/\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(moved.as_bytes()).await;
    })
    .await;
    let secrets = json!({"User-Agent": "secret-agent", "Accept": "secret-type"});
    let target = |url: String| target(url).with("secret_headers", secrets.clone());
    up(&probe(target(format!("http://{first}/"))).await);
    let head = seen.lock().unwrap().clone();
    assert!(!head.is_empty() && !head.contains("secret"), "{head}");

    let echo = canned("HTTP/1.1 200 OK\r\nX-Echo: is secret-agent\r\nContent-Length: 0\r\n\r\n").await;
    let assertions = vec![Assertion::of_header("X-Echo", Comparison::Equals, "x")];
    let outcome = probe(Target { assertions, ..target(echo) }).await;
    failed(&outcome, FailureCode::AssertionFailed, "it is \"is …\"");
}
