//! Fuzz targets for everything that parses untrusted input. No input may cause a panic or a 5xx answer;
//! accepted input must be interpreted as it was meant.
//!
//! Each function is a target of cargo-fuzz. With `tools/fuzz/run`, libFuzzer searches for input that breaks
//! it. Findings are added to `corpus/`, which `cargo test` runs.
#![expect(clippy::unwrap_used, reason = "what fails here is a finding, or the stage itself")]

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use bytes::Bytes;
use checks::{ProbeConfig, Prober, StatusRanges};
use contract::{Assertion, CheckResult, Comparison, Target};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use net::{address::PrivateNetworks, resolve::Resolver};
use pongpong::{
    framing::{Heads, Recording},
    wiring::{File, Files, Wiring},
};
use runtime::{
    Clock, Context, Env, Event, Function, Outgoing,
    function::Operation,
    outbound::{Outbound, To},
    secret::Random,
};
use tokio::{io::AsyncWriteExt, runtime::Runtime};
use tower::ServiceExt;
use url::{Host, Url};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
});

/// The function that libFuzzer calls. Every panic ends the process, even one that would be caught: each is a
/// finding. (libfuzzer-sys does the same, but it builds its own libFuzzer and causes all C code of this
/// workspace to be rebuilt.)
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        /// # Safety
        /// `data` and `size` are a slice, as libFuzzer promises.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
            static ONCE: std::sync::Once = std::sync::Once::new();
            ONCE.call_once(|| {
                let told = std::panic::take_hook();
                std::panic::set_hook(Box::new(move |panic| {
                    told(panic);
                    std::process::abort();
                }));
            });
            let data = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } };
            $crate::$name(data);
            0
        }
    };
}

/// Parses headers, an empty line, and a body.
fn head_and_body(data: &[u8]) -> (HeaderMap, Bytes) {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((data, &[][..]), |end| (&data[..end], &data[end + 2..]));
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    };
    let headers = head.split(|byte| *byte == b'\n').filter_map(header).take(50);
    (headers.collect(), Bytes::copy_from_slice(body))
}

/// Reads an event, in either mode.
pub fn cloudevent(data: &[u8]) {
    let (headers, body) = head_and_body(data);
    let _ = Event::<Vec<CheckResult>>::read(&headers, &body);
    let read = Event::<serde_json::Value>::read(&headers, &body);
    // An event that can be read can be sent again, and stays the same.
    if let (Ok(read), Ok(again)) = (read, Outgoing::again(&headers, body.to_vec())) {
        let (parts, body) = again.into_request().unwrap().into_parts();
        let twice = Event::<serde_json::Value>::read(&parts.headers, &body).unwrap();
        assert_eq!((twice.id, twice.kind, twice.data), (read.id, read.kind, read.data));
    }
}

/// A context with a database of its own. Functions call each other, pages call the API; events go nowhere.
static CONTEXT: LazyLock<(Context, tempfile::TempDir)> = LazyLock::new(|| {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let kong = RUNTIME.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let env: Env = [
        ("DATABASE_URL", format!("sqlite:{}/fuzz.db", data.path().display())),
        ("GATEWAY_TOKEN", "token".to_owned()),
        ("ENCRYPTION_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc".to_owned()),
        ("KONG_ADMIN_URL", format!("http://{}", kong.local_addr().unwrap())),
        ("MAX_ENDPOINTS_PER_USER", "10".to_owned()),
        ("OUTBOX_DIR", data.path().join("outbox").display().to_string()),
        ("PUBLIC_URL", "http://pongpong.test".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    RUNTIME.spawn(async { axum::serve(kong, Router::new().fallback(agrees)).await });
    let outbound = Outbound::new(Arc::new(|to, request| {
        let request = request.map(Body::from);
        Box::pin(async move {
            let answer = match to {
                To::Sink => Response::builder().status(202).body(Body::empty())?,
                To::Function(name) => ask(functions::find(name).unwrap(), request).await,
                To::Gateway => gateway(request).await,
            };
            let (parts, body) = answer.into_parts();
            Ok(Response::from_parts(parts, axum::body::to_bytes(body, usize::MAX).await?))
        })
    }));
    let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let context = Context::new(env, clock, Random::System, outbound);
    RUNTIME.block_on(async { functions::migrate(context.db().unwrap(), context.env()).await.unwrap() });
    (context, data)
});

/// A stand-in for Kong's Admin API; each key has a separate id.
async fn agrees(method: Method) -> (StatusCode, String) {
    static KEYS: AtomicU64 = AtomicU64::new(0);
    let status = match method {
        Method::DELETE => StatusCode::NO_CONTENT,
        Method::GET => StatusCode::OK,
        _ => StatusCode::CREATED,
    };
    let id = KEYS.fetch_add(1, Ordering::Relaxed).to_string();
    (status, serde_json::json!({"id": id, "data": [], "next": null}).to_string())
}

async fn ask(function: &'static Function, request: Request<Body>) -> Response<Body> {
    runtime::serve::router(function, &CONTEXT.0).oneshot(request).await.unwrap()
}

static PUBLIC: LazyLock<Vec<(&'static Function, Operation)>> = LazyLock::new(|| {
    let of = |f: &'static Function| f.operations().into_iter().map(move |operation| (f, operation));
    functions::ALL.iter().flat_map(of).filter(|(_, o)| o.path.starts_with("/public/")).collect()
});

fn operation(method: &Method, path: &str) -> Option<&'static (&'static Function, Operation)> {
    let fits = |(function, operation): &&(&Function, Operation)| {
        let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(function.service));
        let pattern = operation.path.strip_prefix("/public").unwrap_or_default();
        let same = |(part, of): (&str, &str)| part == of || of.starts_with('{');
        operation.method == method.as_str()
            && rest.is_some_and(|rest| {
                rest.split('/').count() == pattern.split('/').count()
                    && rest.split('/').zip(pattern.split('/')).all(same)
            })
    };
    PUBLIC.iter().find(fits)
}

/// A stand-in for the gateway that accepts any key as user 1's.
async fn gateway(request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let refused = |status| Response::builder().status(status).body(Body::empty()).unwrap();
    let Some((function, operation)) = operation(&parts.method, parts.uri.path()) else { return refused(404) };
    if operation.needs_key {
        if parts.headers.remove("apikey").is_none() {
            return refused(401);
        }
        for (name, value) in
            [("x-gateway-token", "token"), ("x-consumer-custom-id", "1"), ("x-credential-identifier", "fuzz")]
        {
            parts.headers.insert(name, HeaderValue::from_static(value));
        }
    }
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    parts.uri = path.replacen(&format!("/{}", function.service), "/public", 1).parse().unwrap();
    ask(function, Request::from_parts(parts, body)).await
}

/// User 1, and one object of each kind that a user can have.
static BELONGINGS: LazyLock<()> = LazyLock::new(|| {
    for (path, body) in [
        ("/user-service/v1/signup", r#"{"email":"me@example.com","password":"a good password"}"#),
        ("/endpoint-service/v1/endpoints", r#"{"name":"Shop","url":"https://example.com/"}"#),
        (
            "/endpoint-service/v1/maintenances",
            r#"{"title":"Later","starts_at":"2026-04-01T00:00:00Z","ends_at":"2026-04-01T01:00:00Z"}"#,
        ),
        (
            "/notification-service/v1/notifications",
            r#"{"name":"mail","kind":"email","config":{"to":["a@example.com"]}}"#,
        ),
        (
            "/status-service/v1/status_pages",
            r#"{"title":"Shop","groups":[{"name":"all","endpoint_ids":[1]}]}"#,
        ),
        ("/status-service/v1/announcements", r#"{"status_page_id":1,"title":"Slow"}"#),
    ] {
        let request = Request::post(path).header("apikey", "key").header("content-type", "application/json");
        let answer = RUNTIME.block_on(gateway(request.body(Body::from(body)).unwrap()));
        assert_eq!(answer.status(), 201, "{path}");
    }
});

/// Sends a request and returns the answer; `None` if the data is not a request.
fn answered<F>(data: &[u8], to: impl FnOnce(Request<Body>) -> F) -> Option<Response<Body>>
where
    F: Future<Output = Response<Body>>,
{
    LazyLock::force(&CONTEXT);
    LazyLock::force(&BELONGINGS);
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let (method, path) = std::str::from_utf8(&data[..end]).ok()?.split_once(' ')?;
    let (headers, body) = head_and_body(&data[end..]);
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = Uri::try_from(path).ok().filter(|uri| uri.path().starts_with('/'))?;
    *request.headers_mut() = headers;
    let answer = RUNTIME.block_on(to(request));
    assert!(answer.status().as_u16() < 500, "{}", answer.status());
    Some(answer)
}

/// A call of the public API, with a key.
pub fn call(data: &[u8]) {
    answered(data, |mut request| {
        request.headers_mut().insert("apikey", HeaderValue::from_static("key"));
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().entry(header::CONTENT_TYPE).or_insert(json);
        gateway(request)
    });
}

/// A POST of a body, with a key.
fn posted(path: &str, data: &[u8]) {
    call(&[b"POST ", path.as_bytes(), b"\n\n", data].concat());
}

/// The settings of an endpoint, including its URL, headers, status ranges and assertions.
pub fn endpoint_create(data: &[u8]) {
    posted("/endpoint-service/v1/endpoints", data);
}

/// A notification.
pub fn notification_create(data: &[u8]) {
    posted("/notification-service/v1/notifications", data);
}

/// A page or a submitted form: path and query, cookies, fields.
pub fn page(data: &[u8]) {
    let web = functions::find("web").unwrap();
    let answer = answered(data, |request| async move {
        let (parts, body) = request.into_parts();
        let mut proof = Request::get("/password/forgot").body(Body::empty()).unwrap();
        *proof.headers_mut() = parts.headers.clone();
        let shown = axum::body::to_bytes(ask(web, proof).await.into_body(), usize::MAX).await.unwrap();
        let shown = String::from_utf8_lossy(&shown);
        let csrf = shown.split_once(r#"name="csrf" value=""#).and_then(|(_, rest)| rest.split('"').next());
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let form = [b"csrf=", csrf.unwrap_or_default().as_bytes(), b"&", &body].concat();
        ask(web, Request::from_parts(parts, Body::from(form))).await
    });
    let Some(answer) = answer else { return };
    if let Some(to) = answer.headers().get(header::LOCATION) {
        let to = to.to_str().unwrap();
        assert!(to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'), "{to} leads elsewhere");
    }
    for cookie in answer.headers().get_all(header::SET_COOKIE) {
        let cookie = cookie.to_str().unwrap();
        let (_, attributes) = cookie.split_once("; ").unwrap();
        let ours = ["HttpOnly", "SameSite=Lax", "Path=/"];
        let known = |a: &str| ours.contains(&a) || a.starts_with("Max-Age=") || a.starts_with("Expires=");
        assert!(attributes.split("; ").all(known), "{cookie}");
        assert!(ours.iter().all(|a| attributes.contains(a)), "{cookie}");
    }
}

/// Status ranges such as `200-299,301`.
pub fn status_ranges(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(ranges) = text.parse::<StatusRanges>() {
        let again: StatusRanges = ranges.to_string().parse().unwrap();
        assert!((0..1100).all(|status| ranges.contains(status) == again.contains(status)), "{text}");
        assert!((100..1000).any(|status| ranges.contains(status)), "{text} expects nothing");
    }
}

/// A server that answers every connection with the data under test.
static SERVER: LazyLock<(String, Arc<Mutex<Vec<u8>>>)> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = Arc::<Mutex<Vec<u8>>>::default();
    let says = Arc::clone(&answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let bytes = says.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let _ = stream.write_all(&bytes);
        }
    });
    (url, answer)
});

static PROBER: LazyLock<Prober> = LazyLock::new(|| {
    runtime::install_crypto();
    let config = ProbeConfig::new(PrivateNetworks::Allow).unwrap();
    Prober::new(ProbeConfig { resolver: Resolver::fixed(|_| Vec::new()), ..config }).unwrap()
});

fn target(url: &str) -> Target {
    // A redirect could lead to another machine.
    let target = Target::of("http", url).with("follow_redirects", false);
    Target { timeout_ms: 2000, ..target }
        .with("expected_status", "100-599")
        .with("certificate_warning_days", 0)
}

/// The answer to a check: status line, headers, chunks, encodings, and the assertions on them.
pub fn response(data: &[u8]) {
    let (url, answer) = &*SERVER;
    data.clone_into(&mut answer.lock().unwrap_or_else(PoisonError::into_inner));
    let text = || "ok".to_owned();
    let comparison = Comparison::Contains;
    let assertions = vec![
        Assertion::of("body", Comparison::NotContains, "fuzz"),
        Assertion::of("body", Comparison::Matches, "(?i)^\\s*(<|\\{|ok).*"),
        Assertion::of_json("$..a[?@.b > 1]", comparison, 1),
        Assertion::of_header("content-type", comparison, text()),
    ];
    // One by one: the first failed assertion would hide the others.
    for assertion in assertions {
        let outcome =
            RUNTIME.block_on(PROBER.probe(0, &Target { assertions: vec![assertion], ..target(url) }, None));
        if let Some(error) = outcome.error {
            assert!(!error.message.contains("defect"), "{}", error.message);
            assert!(error.message.chars().count() < 1000, "{}", error.message);
        }
    }
}

/// The bytes of an HTTP/1 connection to the one-machine gateway. If its framing counts as clear, the next
/// request that hyper reads is the one in these bytes: all readers find the same requests.
pub fn framing(data: &[u8]) {
    let heads = Heads::default();
    let rest = Arc::new(Mutex::new(data.to_vec()));
    let service = service_fn({
        let heads = heads.clone();
        move |request: Request<Incoming>| {
            let (framing, rest) = (heads.next(request.version()), Arc::clone(&rest));
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map(http_body_util::Collected::to_bytes);
                if framing.is_clear && !framing.is_last {
                    let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut headers = [httparse::EMPTY_HEADER; 100];
                    let mut head = httparse::Request::new(&mut headers);
                    let httparse::Status::Complete(length) = head.parse(&rest).unwrap() else {
                        panic!("{parts:?} is taken for a whole head");
                    };
                    assert_eq!(head.method, Some(parts.method.as_str()), "{parts:?}");
                    let path = head.path.unwrap_or_default();
                    assert!(
                        path.ends_with(parts.uri.path_and_query().map_or("", |path| path.as_str()))
                            || path.contains('#')
                            || !path.starts_with('/'),
                        "{path}: {parts:?}"
                    );
                    // A body that breaks off is the last.
                    if let Ok(body) = body {
                        assert_eq!(rest[length..length + body.len()], body[..], "{parts:?}");
                        rest.drain(..length + body.len());
                    }
                }
                let connection = if framing.is_last { "close" } else { "keep-alive" };
                Response::builder().header(header::CONNECTION, connection).body(String::new())
            }
        }
    });
    let connection = async {
        let (mut client, server) = tokio::io::duplex(data.len() + 1);
        client.write_all(data).await.unwrap();
        client.shutdown().await.unwrap();
        let server = TokioIo::new(Recording::new(server, heads));
        let (mut reader, _writer) = tokio::io::split(client);
        let answers = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
        // Bytes that are not HTTP end with an error.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(server, service).await;
        answers.await.unwrap().unwrap();
    };
    RUNTIME.block_on(connection);
}

/// Maximum time for a path and a pattern of an assertion in a debug build: a user and other checks wait for
/// it.
const MAX_ASSERTION_TIME: Duration = Duration::from_secs(5);

/// Untrusted JSONPath or regular expression: parsed and applied to a response in bounded time.
pub fn assertion(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let nested = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let many = "{\"a\":[{\"b\":1},{\"b\":[2,\"three\"]}],\"c\":{\"a\":null}},".repeat(500);
    let document = format!("[{many}{nested}]");
    let path = Assertion::of_json(text, Comparison::Contains, 1);
    for assertion in [path, Assertion::of("body", Comparison::Matches, text)] {
        let began = Instant::now();
        let target = Target { assertions: vec![assertion], ..target("http://example.com/") };
        if let Some(judge) = checks::judge_of(&target) {
            let _ = judge(&HeaderMap::new(), document.as_bytes());
        }
        assert!(began.elapsed() < MAX_ASSERTION_TIME, "{text:?} takes {:?}", began.elapsed());
    }
}

/// The gateway's file.
pub fn kong(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let kong = File { name: "kong.yml", text: text.to_owned().into() };
    let _ = Wiring::read(&Files { kong, eventing: Vec::new(), cron: Vec::new() }, functions::ALL, "token");
}

/// A URL, and whether it may be connected to.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // In other schemes hosts are only text, and nothing connects to them.
    if checks::validate(&target(text)).is_empty() {
        leads_outside(&Url::parse(text).unwrap(), text);
    }
}

/// A URL that the guard accepts must not lead to a private address.
fn leads_outside(url: &Url, text: &str) {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => ip.to_canonical(),
        Some(Host::Domain(name)) => {
            // Text that other parsers read as an address must be read as an address here too.
            assert!(name.parse::<IpAddr>().is_err(), "{text:?} leads to {name}");
            return;
        }
        None => return,
    };
    if PrivateNetworks::Deny.check_url(url).is_ok() {
        let inside = match ip {
            IpAddr::V4(ip) => {
                ip.is_private()
                    || ip.is_loopback()
                    || ip.is_link_local()
                    || ip.is_unspecified()
                    || ip.is_multicast()
            }
            IpAddr::V6(ip) => {
                ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_multicast()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local()
            }
        };
        assert!(!inside, "{text:?} leads to {ip}");
    }
}

/// A line with a URL, and the `Location` of its redirect.
pub fn redirect(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(from) = std::str::from_utf8(&data[..end]) else { return };
    let Ok(location) = HeaderValue::from_bytes(&data[end + 1..]) else { return };
    let target =
        target(from).with("headers", serde_json::json!({"x-api-key": "secret"})).with("method", "POST");
    let Some((to, headers)) = checks::kinds::http::redirected(&target, StatusCode::FOUND, &location) else {
        return;
    };
    let text = String::from_utf8_lossy(location.as_bytes());
    assert!(matches!(to.scheme(), "http" | "https"), "{text:?} leads to {to}");
    assert!(to.username().is_empty() && to.password().is_none(), "{text:?} leads to {to}");
    leads_outside(&to, &text);
    let from = Url::parse(from).unwrap();
    assert!(
        !headers.contains_key("x-api-key") || to.host() == from.host(),
        "{text:?} of {from} takes a secret to {to}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the seeds and earlier findings.
    #[test]
    fn nothing_in_the_corpus_breaks_anything() {
        type Target = fn(&[u8]);
        let targets: [(&str, Target); 12] = [
            ("assertion", assertion),
            ("call", call),
            ("cloudevent", cloudevent),
            ("endpoint_create", endpoint_create),
            ("framing", framing),
            ("kong", kong),
            ("notification_create", notification_create),
            ("page", page),
            ("redirect", redirect),
            ("response", response),
            ("status_ranges", status_ranges),
            ("url", url),
        ];
        for (name, target) in targets {
            let folder = format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let seeds: Vec<_> =
                std::fs::read_dir(&folder).unwrap().map(|seed| seed.unwrap().path()).collect();
            assert!(!seeds.is_empty(), "{folder}");
            for seed in seeds {
                target(&std::fs::read(seed).unwrap());
            }
        }
    }

    /// The first lines of the seeds: one for each path that a client may request.
    fn first_lines(target: &str) -> Vec<String> {
        let folder = format!("{}/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let seeds = std::fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path());
        seeds.map(|seed| std::fs::read_to_string(seed).unwrap().lines().next().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_body_that_the_public_api_takes_has_a_seed() {
        let seeds = first_lines("call");
        let seeded: Vec<_> = seeds
            .iter()
            .filter_map(|line| {
                let (method, path) = line.split_once(' ')?;
                operation(&method.parse().unwrap(), path.split('?').next()?)
            })
            .map(|(function, operation)| (function.name, operation.method))
            .collect();
        for (function, item) in functions::ALL.iter().map(|f| (f, f.openapi())) {
            for (path, item) in item.paths.paths.iter().filter(|(path, _)| path.starts_with("/public/")) {
                for (method, operation) in [("POST", &item.post), ("PUT", &item.put), ("PATCH", &item.patch)]
                {
                    let takes = operation.as_ref().is_some_and(|o| o.request_body.is_some());
                    assert!(
                        !takes || seeded.contains(&(function.name, method)),
                        "corpus/call: {method} {path}"
                    );
                }
            }
        }
    }
}
