//! Everything that parses what strangers send. Nothing that is sent may make it panic, or answer 5xx; what it
//! takes, it takes as it was meant.
//!
//! Each function is a target of cargo-fuzz: `infra/security/fuzz/run` lets libFuzzer look for what breaks it;
//! what it finds is put into `corpus/`, which `cargo test` tries.
#![expect(clippy::unwrap_used, reason = "what fails here is a finding, or the stage itself")]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{IpAddr, TcpListener},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use axum::body::Body;
use bytes::Bytes;
use functions::{
    checks::probe::{self, ProbeConfig, Prober, StatusRanges},
    contract::{Assertion, CheckResult, Comparison, Target},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pongpong::wiring::{File, Files, Wiring};
use runtime::{
    Clock, Context, Env, Event, Function, Outgoing,
    address::PrivateNetworks,
    outbound::{Outbound, To},
    resolve::Resolver,
    secret::Random,
};
use tokio::runtime::Runtime;
use tower::ServiceExt;
use url::{Host, Url};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
});

/// What libFuzzer calls. A panic ends the process, whoever would catch it: each is a finding. (This is what
/// libfuzzer-sys does; but it brings a build of libFuzzer of its own, and has all C of this workspace built anew.)
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

/// Headers, an empty line, and a body.
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

/// An event, in either mode.
pub fn cloudevent(data: &[u8]) {
    let (headers, body) = head_and_body(data);
    let _ = Event::<Vec<CheckResult>>::read(&headers, &body);
    let read = Event::<serde_json::Value>::read(&headers, &body);
    // What can be read can be sent once more, and is the same then.
    if let (Ok(read), Ok(again)) = (read, Outgoing::again(&headers, body.to_vec()))
        && let Ok(request) = again.into_request()
    {
        let (parts, body) = request.into_parts();
        let twice = Event::<serde_json::Value>::read(&parts.headers, &body).unwrap();
        assert_eq!((twice.id, twice.kind, twice.data), (read.id, read.kind, read.data));
    }
}

/// A database of its own, and nobody to ask.
static CONTEXT: LazyLock<(Context, tempfile::TempDir)> = LazyLock::new(|| {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let env: Env = [
        ("DATABASE_URL", format!("sqlite:{}/fuzz.db", data.path().display())),
        ("GATEWAY_TOKEN", "token".to_owned()),
        ("ENCRYPTION_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc".to_owned()),
        ("MAX_ENDPOINTS_PER_USER", "10".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let outbound = Outbound::new(Arc::new(|to, _| {
        let status = if to == To::Sink { 202 } else { 404 };
        Box::pin(async move { Ok(Response::builder().status(status).body(Bytes::new())?) })
    }));
    let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let context = Context::new(env, clock, Random::System, outbound);
    RUNTIME.block_on(async { functions::migrate(context.db().unwrap(), context.env()).await.unwrap() });
    (context, data)
});

/// A body, as somebody with a key sends it.
fn posted(function: &'static Function, path: &str, data: &[u8]) {
    let request = Request::post(path)
        .header("x-gateway-token", "token")
        .header("x-consumer-custom-id", "1")
        .header("x-credential-identifier", "fuzz")
        .header("content-type", "application/json");
    let request = request.body(Body::from(data.to_vec())).unwrap();
    let answer = RUNTIME.block_on(runtime::serve::router(function, &CONTEXT.0).oneshot(request)).unwrap();
    assert!(answer.status().as_u16() < 500, "{}", answer.status());
}

/// The settings of an endpoint: its URL, headers, status ranges and assertions among them.
pub fn endpoint_create(data: &[u8]) {
    posted(&functions::endpoints::create::FUNCTION, "/public/v1/endpoints", data);
}

/// A channel.
pub fn notification_create(data: &[u8]) {
    posted(&functions::notifications::create::FUNCTION, "/public/v1/notifications", data);
}

/// `200-299,301`
pub fn status_ranges(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(ranges) = text.parse::<StatusRanges>() {
        let again: StatusRanges = ranges.to_string().parse().unwrap();
        assert!((0..1100).all(|status| ranges.contains(status) == again.contains(status)), "{text}");
        assert!((100..600).any(|status| ranges.contains(status)), "{text} expects nothing");
    }
}

/// Answers every connection with what is to be tried.
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
    Target {
        url: url.to_owned(),
        method: "GET".to_owned(),
        headers: BTreeMap::new(),
        body: None,
        timeout_ms: 2000,
        expected_status: "100-599".to_owned(),
        assertions: Vec::new(),
        // It would lead out of this machine.
        follow_redirects: false,
        verify_tls: true,
        retries: 0,
    }
}

/// The answer to a check: status line, headers, chunks, encodings, and what assertions make of it.
pub fn response(data: &[u8]) {
    let (url, answer) = &*SERVER;
    data.clone_into(&mut answer.lock().unwrap_or_else(PoisonError::into_inner));
    let text = || "ok".to_owned();
    let comparison = Comparison::Contains;
    let assertions = vec![
        Assertion::BodyNotContains { value: "fuzz".to_owned() },
        Assertion::BodyMatches { regex: "(?i)^\\s*(<|\\{|ok).*".to_owned() },
        Assertion::JsonPath { path: "$..a[?@.b > 1]".to_owned(), comparison, value: 1.into() },
        Assertion::Header { name: "content-type".to_owned(), comparison, value: text() },
    ];
    // One by one: the first that fails would hide the others.
    for assertion in assertions {
        let outcome = RUNTIME.block_on(PROBER.probe(&Target { assertions: vec![assertion], ..target(url) }));
        if let Some(error) = outcome.error {
            assert!(!error.message.contains("defect"), "{}", error.message);
            assert!(error.message.chars().count() < 1000, "{}", error.message);
        }
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
    // Of other schemes hosts are just text; nothing connects to those.
    if !probe::validate(&target(text)).is_empty() {
        return;
    }
    let url = Url::parse(text).unwrap();
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => ip.to_canonical(),
        Some(Host::Domain(name)) => {
            // What looks like an address to somebody else is one to us.
            assert!(name.parse::<IpAddr>().is_err(), "{text:?} leads to {name}");
            return;
        }
        None => return,
    };
    if PrivateNetworks::Deny.check_url(&url).is_ok() {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds, and what was found once.
    #[test]
    fn nothing_in_the_corpus_breaks_anything() {
        type Target = fn(&[u8]);
        let targets: [(&str, Target); 7] = [
            ("cloudevent", cloudevent),
            ("endpoint_create", endpoint_create),
            ("kong", kong),
            ("notification_create", notification_create),
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
}
