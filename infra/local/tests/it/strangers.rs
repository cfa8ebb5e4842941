//! Requests that a proxy in front would interpret differently, and clients behind a proxy.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::world::{HANGING, WAITING, World, send};

/// The server's answer to these bytes, until it closes the connection.
async fn raw(world: &World, bytes: &str) -> String {
    let mut stream = TcpStream::connect(world.engine.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
        .await
        .expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn ambiguous_request_is_400_and_closes() {
    let world = World::new().await;
    let smuggled = "GET /test/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = |headers: &str| format!("POST /test/v1/open HTTP/1.1\r\n{headers}\r\n\r\n0\r\n\r\n{smuggled}");
    for request in [
        post("Host: x\r\nContent-Length: 5\r\nContent-Length: 5"),
        post("Host: x\r\nContent-Length: 5\r\nContent-Length: 6"),
        post("Host: x\r\nContent-Length: 5, 5"),
        post("Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"),
        post("Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5"),
        post("Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        post("Host: x\r\nTransfer-Encoding: identity"),
        post("Content-Length: 5"),
        post("Host: x\r\nHost: x\r\nContent-Length: 5"),
        "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n".to_owned(),
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
    ] {
        let answer = raw(&world, &request).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 400"),
            "{request:?}: {answer:?}"
        );
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{request:?}: {answer:?}");
    }
    assert!(raw(&world, "GET /test/v1/anything HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
    // After clear requests the connection stays open, with bodies too.
    let body = "GET / HTTP/1.1\r\nContent-Length: 7\r\n\r\n";
    let clear = format!(
        "POST /test/v1/anything HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}\
         GET /test/v1/anything HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        body.len()
    );
    assert_eq!(raw(&world, &clear).await.matches("HTTP/1.1 200").count(), 2);
    let chunked =
        "POST /test/v1/anything HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    assert!(raw(&world, chunked).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn http_2_request_has_one_host() {
    let world = World::new().await;
    let mut client = crate::gateway::http_2(world.engine.address).await;
    let uri = format!("http://{}/test/v1/anything", world.engine.address);
    let own = world.engine.address.to_string();
    for (hosts, status) in [
        (vec![], 200),
        (vec![own.as_str()], 200),
        (vec!["other"], 400),
        (vec![own.as_str(), own.as_str()], 400),
    ] {
        let mut request = http::Request::builder().uri(&uri).body(String::new()).unwrap();
        for host in &hosts {
            request.headers_mut().append("host", host.parse().unwrap());
        }
        assert_eq!(client.send_request(request).await.unwrap().status(), status, "{hosts:?}");
    }
    let mut request = http::Request::builder().uri(&uri).body(String::new()).unwrap();
    for n in 0..101 {
        request
            .headers_mut()
            .append(http::HeaderName::try_from(format!("x-{n}")).unwrap(), "1".parse().unwrap());
    }
    assert_eq!(client.send_request(request).await.unwrap().status(), 431);
}

#[tokio::test]
async fn trusted_proxy_speaks_for_its_clients() {
    let world = World::new().await;
    let open = async |world: &World, list: &str| {
        send(world.engine.address, &format!("GET /test/v1/open\nX-Forwarded-For: {list}"), b"").await
    };
    // No proxy is trusted by default: all requests count as one client's.
    for n in 0..6 {
        assert_eq!(open(&world, &format!("9.9.9.{n}")).await.status, if n < 5 { 200 } else { 429 });
    }
    let data = tempfile::tempdir().unwrap();
    let mut settings = crate::world::settings(&data, crate::world::files(), world.clock.clone());
    settings.limits.trusted_proxies = ["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()].into();
    let engine = pongpong::start(settings).await.unwrap();
    let open = async |list: &str| {
        send(
            engine.address,
            &format!("GET /test/v1/open\nX-Forwarded-For: {list}\nX-Forwarded-Proto: https"),
            b"",
        )
        .await
    };
    for n in 0..7 {
        // The client's own value stands before its address, and is ignored.
        let answer = open(&format!("1.1.1.{n}, 8.8.8.8, 10.0.0.1")).await;
        if n == 0 {
            let headers = answer.json(200)["headers"].clone();
            assert_eq!(headers["x-forwarded-for"], "1.1.1.0, 8.8.8.8");
            assert_eq!(headers["x-real-ip"], "8.8.8.8");
            assert_eq!(headers["x-forwarded-proto"], "https");
        }
        assert_eq!(answer.status, if n < 5 { 200 } else { 429 });
    }
    assert_eq!(open("8.8.4.4:1234").await.status, 200);
}

#[tokio::test]
async fn call_over_its_limit_is_refused_before_its_body_is_read() {
    let world = World::new().await;
    for _ in 0..5 {
        world.ask("POST /test/v1/open").await;
    }
    let mut stream = TcpStream::connect(world.engine.address).await.unwrap();
    let head = "POST /test/v1/open HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    let answered = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut start)).await;
    answered.expect("without the body").unwrap();
    assert_eq!(&start, b"HTTP/1.1 429");
}

#[tokio::test]
async fn bodies_of_one_address_have_a_bound() {
    let world = World::new().await;
    let mut held = Vec::new();
    let body = vec![b'x'; (1 << 20) - 1];
    for _ in 0..16 {
        let mut stream = TcpStream::connect(world.engine.address).await.unwrap();
        // One byte of the body is missing.
        let head = "POST /test/v1/anything HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        held.push(stream);
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let small = async || send(world.engine.address, "POST /test/v1/anything", &[b'x'; 100]).await.status;
    while small().await != 503 {
        assert!(tokio::time::Instant::now() < deadline, "bodies have no bound");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A request without a body needs no room.
    assert_eq!(world.ask("GET /test/v1/anything").await.status, 200);
    held.clear();
    while small().await != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the room is not given back");
    }
}

#[tokio::test]
async fn one_client_has_its_share_of_the_answers_and_no_more() {
    let world = World::new().await;
    let ask = async |last_byte: u8, path: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, last_byte], 0))).unwrap();
        let mut stream = socket.connect(world.engine.address).await.unwrap();
        stream
            .write_all(format!("GET /test/v1/{path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        stream
    };
    let is_answered = async |stream: &mut TcpStream, within: Duration| {
        let mut start = [0; 12];
        let answer = tokio::time::timeout(within, stream.read_exact(&mut start)).await;
        answer.is_ok_and(|read| read.is_ok() && &start == b"HTTP/1.1 200")
    };
    let mut hanging = Vec::new();
    for _ in 0..64 {
        hanging.push(ask(2, "hang").await);
    }
    while HANGING.load(Ordering::SeqCst) < 64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut one_more = ask(2, "anything").await;
    assert!(!is_answered(&mut one_more, Duration::from_millis(200)).await);
    assert!(is_answered(&mut ask(3, "anything").await, Duration::from_secs(5)).await);
    hanging.pop();
    assert!(is_answered(&mut one_more, Duration::from_secs(5)).await);
}

#[tokio::test]
async fn calls_that_wait_for_strangers_keep_nobody_from_being_answered() {
    let world = World::new().await;
    let ask = async |last_byte: u8, path: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, last_byte], 0))).unwrap();
        let mut stream = socket.connect(world.engine.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let mut hanging = Vec::new();
    for client in 2..14 {
        for _ in 0..20 {
            hanging.push(ask(client, "/strangers/v1/wait").await);
        }
    }
    while WAITING.load(Ordering::SeqCst) < 12 * 16 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut start = [0; 12];
    let mut newcomer = ask(99, "/test/v1/anything").await;
    tokio::time::timeout(Duration::from_secs(5), newcomer.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    assert_eq!(WAITING.load(Ordering::SeqCst), 12 * 16, "sixteen of a client");
}
