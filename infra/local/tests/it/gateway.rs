//! Which requests pass the gateway, and in what form.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{World, send};

/// The URI that the function received.
async fn reaches(world: &World, method: &str, path: &str) -> String {
    let answer = world.ask(&format!("{method} {path}\napikey: good")).await;
    match answer.status {
        200 => answer.json(200)["uri"].as_str().unwrap().to_owned(),
        status => status.to_string(),
    }
}

#[tokio::test]
async fn every_spelling_of_a_path_takes_its_one_route() {
    let world = World::new().await;
    for (method, path, uri) in [
        ("GET", "/test/v1/open", "/public/v1/open"),
        ("GET", "/test/v1/open?a=1&b=%2F", "/public/v1/open?a=1&b=%2F"),
        ("GET", "//test///v1/./open", "/public/v1/open"),
        ("GET", "/x/../test/v1/%6Fpen", "/public/v1/open"),
        ("GET", "/test/v1/things/7/parts/%2e%2e%2f8", "/public/v1/things/7/parts/..%2F8"),
        ("GET", "/test/v1/things/7/parts/a%252e", "/public/v1/things/7/parts/a%252e"),
        ("GET", "/test/v1/things/all", "/test/v1/things/all"),
        // Not a route's exact path: these fall to the general route.
        ("DELETE", "/test/v1/open", "/test/v1/open"),
        ("GET", "/test/v1/openz", "/test/v1/openz"),
        ("GET", "/test/v1/open/", "/test/v1/open/"),
        ("GET", "/test/v1/things/7%2F8/parts", "/test/v1/things/7%2F8/parts"),
        ("GET", "/private/v1/../v1/users", "/private/v1/users"),
        ("GET", "/%00", "400"),
        ("GET", "/%zz", "400"),
    ] {
        assert_eq!(reaches(&world, method, path).await, uri, "{method} {path}");
    }
    for method in ["TRACE", "QUERY", "X"] {
        let refused = world.ask(&format!("{method} /test/v1/open")).await;
        assert_eq!((refused.status, refused.header("allow")), (405, "GET, POST"), "{method}");
    }
    let absolute = world.ask("GET http://evil.example/test/v1/open").await.json(200);
    assert_eq!(absolute["headers"]["host"], "echo.pongpong.svc.cluster.local");
    assert_eq!(absolute["headers"]["x-forwarded-host"], "evil.example");
    // A prefix may end anywhere, as in Kong. (The function has no such path.)
    assert_eq!(world.ask("POST /hookshot").await.json(404)["code"], "NOT_FOUND");
}

#[tokio::test]
async fn without_a_route_it_is_404() {
    let mut files = crate::world::files();
    let kong = files.kong.text.replace(
        "      - name: everything-else\n        paths: [/]",
        "      - name: else\n        paths: [/else]",
    );
    files.kong.text = kong.into();
    let world = World::with(files).await;
    let answer = world.ask("GET /nowhere").await;
    assert_eq!(answer.message(404), "no Route matched with those values");
    assert_eq!(answer.json(404)["request_id"].as_str().unwrap().len(), 32);
    // A preflight to an unknown path is refused too.
    let preflight = "OPTIONS /nowhere\nOrigin: https://x\nAccess-Control-Request-Method: GET";
    assert_eq!(world.ask(preflight).await.status, 404);
    assert_eq!(world.ask("DELETE /test/v1/open").await.status, 404);
}

#[tokio::test]
async fn nobody_speaks_for_the_gateway() {
    let world = World::new().await;
    world.key("user-7", "good", None).await;
    let spoofed = "X-Gateway-Token: mine\nX-Consumer-ID: 1\nX-Consumer-Custom-ID: 1\nX-Consumer-Username: root\n\
        X-Credential-Identifier: 1\nX-Anonymous-Consumer: true\nx_consumer_custom_id: 1\n\
        X-Forwarded-For: 9.9.9.9\nX-Real-IP: 9.9.9.9\nX-Forwarded-Proto: https\nX-Forwarded-Prefix: /p";
    let open = world.ask(&format!("GET /test/v1/open\n{spoofed}")).await.json(200);
    let headers = &open["headers"];
    for name in [
        "x-consumer-id",
        "x-consumer-custom-id",
        "x-consumer-username",
        "x-credential-identifier",
        "x-anonymous-consumer",
        "x-forwarded-prefix",
    ] {
        assert_eq!(headers[name], Value::Null, "{name}");
    }
    let secrets = std::fs::read_to_string(world.data().path().join("secrets.json")).unwrap();
    let secrets: Value = serde_json::from_str(&secrets).unwrap();
    assert_eq!(headers["x-gateway-token"], secrets["gateway_token"]);
    assert_eq!(headers["x-forwarded-for"], "9.9.9.9, 127.0.0.1");
    assert_eq!((&headers["x-real-ip"], &headers["x-forwarded-proto"]), (&json!("127.0.0.1"), &json!("http")));

    let keyed = world.ask(&format!("GET /test/v1/things/7\napikey: good\n{spoofed}")).await.json(200);
    let headers = &keyed["headers"];
    assert_eq!(
        (&headers["x-consumer-custom-id"], &headers["x-consumer-username"]),
        (&json!("7"), &json!("user-7"))
    );
    assert_eq!(headers["x-gateway-token"], secrets["gateway_token"]);
    assert_eq!(headers["x-anonymous-consumer"], Value::Null);
    assert_eq!(headers["x-credential-identifier"].as_str().unwrap().len(), 36);
    assert_eq!(headers["apikey"], Value::Null);
}

#[tokio::test]
async fn naming_a_header_in_connection_drops_none_of_ours() {
    let world = World::new().await;
    world.key("user-7", "good", None).await;
    let head = "GET /test/v1/things/7\napikey: good\nX-Mine: 1\nTE: trailers\nKeep-Alive: 1\n\
        Connection: close, X-Consumer-Custom-ID, X-Gateway-Token, X-Credential-Identifier, X-Mine";
    let headers = world.ask(head).await.json(200)["headers"].clone();
    for name in ["x-consumer-custom-id", "x-gateway-token", "x-credential-identifier"] {
        assert!(headers[name].is_string(), "{name}");
    }
    for name in ["x-mine", "connection", "te", "keep-alive"] {
        assert_eq!(headers[name], Value::Null, "{name}");
    }
}

#[tokio::test]
async fn only_a_good_key_comes_in() {
    let world = World::new().await;
    let id = world.key("user-7", "good", Some(60)).await;
    let with = async |headers: &str| world.ask(&format!("GET /test/v1/things/7\n{headers}")).await;
    for (headers, message) in [
        ("x: y", "No API key found in request"),
        ("apikey:", "No API key found in request"),
        ("apikey: bad", "Unauthorized"),
        ("apikey: good\napikey: good", "Duplicate API key found"),
        (&format!("apikey: {}", "x".repeat(20_000)), "Unauthorized"),
        ("apikey: caf\u{e9}", "Unauthorized"),
        ("Connection: close, apikey\napikey: good", "No API key found in request"),
    ] {
        let answer = with(headers).await;
        assert_eq!(answer.message(401), message, "{headers:.40}");
        assert_eq!(answer.header("www-authenticate"), "Key");
    }
    let query = world.ask("GET /test/v1/things/7?apikey=good").await;
    assert_eq!(query.message(401), "No API key found in request");

    assert_eq!(with("apikey: good").await.status, 200);
    world.pass(60.0).await;
    assert_eq!(with("apikey: good").await.status, 401, "expired");

    let id = (id, world.key("user-7", "another", None).await).1;
    assert_eq!(with("apikey: another").await.status, 200);
    world.admin("DELETE", &format!("/consumers/user-7/key-auth/{id}"), None).await.json(204);
    assert_eq!(with("apikey: another").await.status, 401, "revoked");

    world.key("user-7", "a third", None).await;
    assert_eq!(with("apikey: a third").await.status, 200);
    world.admin("DELETE", "/consumers/user-7", None).await.json(204);
    assert_eq!(with("apikey: a third").await.status, 401, "its consumer is gone");
}

#[tokio::test]
async fn a_preflight_needs_no_key() {
    let world = World::new().await;
    let preflight = "OPTIONS /test/v1/things/7\nOrigin: https://x\nAccess-Control-Request-Method: GET";
    let answer = world.ask(preflight).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET,POST,OPTIONS"),
        ("access-control-allow-headers", "apikey,Content-Type"),
        ("access-control-max-age", "3600"),
    ] {
        assert_eq!(answer.header(name), value);
    }
    // Without a preflight's headers it is a normal request.
    assert_eq!(world.ask("OPTIONS /test/v1/things/7").await.status, 401);
    // Any page may read an answer that is not a preflight's, even a refusal.
    let refused = world.ask("GET /test/v1/things/7\nOrigin: https://x").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "*"));
    assert_eq!(refused.header("access-control-expose-headers"), "X-Request-ID");
}

#[tokio::test]
async fn a_request_has_an_id_that_comes_back() {
    let world = World::new().await;
    let own = world.ask("GET /test/v1/open\nX-Request-ID: mine").await;
    assert_eq!(
        (own.header("x-request-id"), &own.json(200)["headers"]["x-request-id"]),
        ("mine", &json!("mine"))
    );
    let made = world.ask("GET /test/v1/open").await;
    assert_eq!(made.header("x-request-id").len(), 36);
    assert_eq!(made.json(200)["headers"]["x-request-id"], made.header("x-request-id"));
}

#[tokio::test]
async fn calls_are_limited_by_the_minute() {
    let world = World::new().await;
    for left in (0..5).rev() {
        let answer = world.ask("GET /test/v1/open").await;
        assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, left.to_string().as_str()));
        assert_eq!(answer.header("x-ratelimit-limit-minute"), "5");
    }
    let answer = world.ask("GET /test/v1/open").await;
    assert_eq!(answer.message(429), "API rate limit exceeded");
    for (name, value) in [
        ("retry-after", "30"),
        ("ratelimit-reset", "30"),
        ("ratelimit-limit", "5"),
        ("x-ratelimit-remaining-minute", "0"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    world.pass(30.0).await;
    assert_eq!(world.ask("GET /test/v1/open").await.status, 200);

    // By consumer, whatever the key is.
    world.key("user-7", "one", None).await;
    world.key("user-7", "two", None).await;
    for (key, status) in [("one", 200), ("two", 200), ("one", 200), ("two", 429)] {
        let answer = world.ask(&format!("GET /test/v1/things/7\napikey: {key}")).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn a_body_has_its_limit() {
    let world = World::new().await;
    let address = world.engine.address;
    let max = vec![b'x'; 1 << 20];
    let more = vec![b'x'; (1 << 20) + 1];
    assert_eq!(send(address, "POST /test/v1/open", &max).await.json(200)["length"], 1 << 20);
    let refused = send(address, "POST /test/v1/open", &more).await;
    assert_eq!(refused.message(413), "Request size limit exceeded");
    let expecting = "POST /test/v1/open\nExpect: 100-continue";
    assert_eq!(send(address, expecting, &more).await.message(417), "Request size limit exceeded");
    let chunked = "POST /test/v1/open\nTransfer-Encoding: chunked";
    let chunks = |body: &[u8]| [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
    assert_eq!(send(address, chunked, &chunks(&max)).await.json(200)["length"], 1 << 20);
    assert_eq!(send(address, chunked, &chunks(&more)).await.message(413), "Request size limit exceeded");
}

pub async fn http_2(address: std::net::SocketAddr) -> hyper::client::conn::http2::SendRequest<String> {
    let io = hyper_util::rt::TokioIo::new(TcpStream::connect(address).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn http_2_without_tls_is_understood() {
    let world = World::new().await;
    let mut client = http_2(world.engine.address).await;
    let uri = format!("http://{}/test/v1/open", world.engine.address);
    let request = http::Request::builder().uri(uri).body(String::new()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn http_2_connection_has_32_requests_at_once_and_little_room_for_bodies() {
    let world = World::new().await;
    let mut stream = TcpStream::connect(world.engine.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "SETTINGS come first");
    let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut settings).await.unwrap();
    let setting = |id: u16| {
        let of = settings.chunks(6).find(|setting| setting[..2] == id.to_be_bytes());
        of.map(|setting| u32::from_be_bytes(setting[2..].try_into().unwrap()))
    };
    let (max_concurrent_streams, initial_window_size) = (setting(3), setting(4));
    assert_eq!((max_concurrent_streams, initial_window_size), (Some(32), Some(64 * 1024)));
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let world = World::new().await;
    let mut stream = TcpStream::connect(world.engine.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    let _ = stream.write_all(&vec![b'x'; 1 << 20]).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn the_gateway_vouches_with_the_token_that_it_is_given() {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let mut settings = crate::world::settings(&data, crate::world::files(), Default::default());
    settings.env = [("GATEWAY_TOKEN".to_owned(), "given".to_owned())].into_iter().collect();
    let engine = pongpong::start(settings).await.unwrap();
    let reached = send(engine.address, "GET /test/v1/open", b"").await.json(200);
    assert_eq!(reached["headers"]["x-gateway-token"], "given");
    assert_eq!(engine.context().env().get("GATEWAY_TOKEN"), Some("given"));
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_a_slow_reader_none() {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let mut settings = crate::world::settings(&data, crate::world::files(), Default::default());
    settings.limits =
        pongpong::Limits { per_address: 3, write_timeout: Duration::from_millis(200), ..Default::default() };
    let engine = pongpong::start(settings).await.unwrap();
    let connect = async || {
        let mut stream = TcpStream::connect(engine.address).await.unwrap();
        let _ = stream.write_all(b"GET /test/v1/open HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut start = [0; 12];
        let answered = stream.read_exact(&mut start).await.is_ok();
        (stream, answered)
    };
    let mut open = Vec::new();
    for n in 0..5 {
        let (stream, answered) = connect().await;
        assert_eq!(answered, n < 3, "connection {n}");
        if answered {
            open.push(stream);
        }
    }
    // A connection that ends makes room, as soon as the server notices.
    open.pop();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !connect().await.1 {
        assert!(tokio::time::Instant::now() < deadline, "no room is made");
    }

    // Sends many requests and reads no answer.
    open.clear();
    let large = "x".repeat(30_000);
    let request = format!("GET /test/v1/anything HTTP/1.1\r\nHost: x\r\nX-Large: {large}\r\n\r\n");
    let mut stream = loop {
        let mut stream = TcpStream::connect(engine.address).await.unwrap();
        if stream.write_all(request.as_bytes()).await.is_ok() && stream.readable().await.is_ok() {
            let mut start = [0; 12];
            if stream.peek(&mut start).await.is_ok_and(|read| read > 0) {
                break stream;
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "no room is made");
    };
    let asking = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("the server has cut it off");
}

/// An engine with these limits, and a client that has room for one byte of each answer.
async fn beside_a_slow_client(limits: pongpong::Limits) -> (pongpong::Engine, tempfile::TempDir, SlowClient) {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let mut settings = crate::world::settings(&data, crate::world::files(), Default::default());
    settings.limits = limits;
    let engine = pongpong::start(settings).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(TcpStream::connect(engine.address).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let mut builder = hyper::client::conn::http2::Builder::new(executor);
    let (client, connection) = builder.initial_stream_window_size(1).handshake(io).await.unwrap();
    let uri = format!("http://{}/test/v1/anything", engine.address);
    (engine, data, SlowClient { client, uri, connection: tokio::spawn(connection) })
}

struct SlowClient {
    client: hyper::client::conn::http2::SendRequest<String>,
    uri: String,
    connection: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl SlowClient {
    /// The answer, whose body is not read.
    async fn ask(&mut self) -> http::Response<hyper::body::Incoming> {
        let request = http::Request::builder().uri(&self.uri).body(String::new()).unwrap();
        self.client.send_request(request).await.unwrap()
    }
}

const TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn answer_that_nobody_takes_ends_its_http_2_connection() {
    let limits =
        pongpong::Limits { per_address: 1, write_timeout: Duration::from_millis(200), ..Default::default() };
    let (engine, _data, mut client) = beside_a_slow_client(limits).await;
    let _held = client.ask().await;
    // The client answers pings all the time.
    let ended = tokio::time::timeout(TIMEOUT, client.connection).await;
    let _ = ended.expect("the server ends the connection");
    // Its places are free again.
    let served = async {
        let request = b"GET /test/v1/anything HTTP/1.1\r\nHost: x\r\n\r\n";
        loop {
            let mut start = [0; 12];
            let mut stream = TcpStream::connect(engine.address).await.unwrap();
            let _ = stream.write_all(request).await;
            if stream.read_exact(&mut start).await.is_ok() && &start == b"HTTP/1.1 200" {
                break;
            }
        }
    };
    tokio::time::timeout(TIMEOUT, served).await.expect("others have room");
}

#[tokio::test]
async fn address_has_as_many_answers_under_way_as_connections() {
    let limits = pongpong::Limits { per_address: 3, ..Default::default() };
    let (_engine, _data, mut client) = beside_a_slow_client(limits).await;
    let mut held = Vec::new();
    for status in [200, 200, 200, 503, 503] {
        let answer = client.ask().await;
        assert_eq!(answer.status(), status);
        held.extend((status == 200).then_some(answer));
    }
    held.pop();
    let served = async { while client.ask().await.status() != 200 {} };
    tokio::time::timeout(TIMEOUT, served).await.expect("one that ends makes room");
}
