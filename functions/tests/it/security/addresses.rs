//! No URL of a user may lead to an internal address: in no spelling of an address, by no redirect, and by no
//! name server that changes its answers; for checks, demo checks, webhooks and Slack.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use checks::{ProbeConfig, Prober};
use contract::{FailureCode, Target};
use hickory_resolver::proto::{
    op::{Message, MessageType},
    rr::{
        RData, Record, RecordType,
        rdata::{A, AAAA},
    },
};
use net::{
    address::PrivateNetworks,
    guarded::{Client, Post, SendError},
    resolve::Resolver,
    trust::ExtraRoots,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use crate::world::{Database, World};

/// Counts connections, on all addresses of this machine.
struct Inside {
    port: u16,
    connected: Arc<AtomicUsize>,
}

impl Inside {
    async fn start() -> Self {
        let connected = Arc::new(AtomicUsize::new(0));
        // IPv4 and IPv6, if available.
        let listener = match TcpListener::bind("[::]:0").await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("0.0.0.0:0").await.unwrap(),
        };
        let port = listener.local_addr().unwrap().port();
        let counted = Arc::clone(&connected);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ninside").await;
            }
        });
        Self { port, connected }
    }

    fn assert_untouched(&self, by: &str) {
        assert_eq!(self.connected.load(Ordering::SeqCst), 0, "{by} got inside");
    }
}

/// All known spellings of an IPv4 address in a URL.
fn spellings(ip: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = ip.octets();
    let number = u32::from(ip);
    let (high, low) = (number >> 16, number & 0xffff);
    let wide = |text: &str| -> String {
        let wider = |c: char| if c.is_ascii_digit() { char::from_u32(c as u32 + 0xfee0).unwrap() } else { c };
        text.chars().map(wider).collect()
    };
    let dotted = ip.to_string();
    let dots = |dot: &str| dotted.replace('.', dot);
    let encoded: String = dotted.bytes().map(|byte| format!("%{byte:02x}")).collect();
    vec![
        dotted.clone(),
        // Decimal, octal, hexadecimal, mixed; with fewer parts; with leading zeros.
        number.to_string(),
        format!("0{number:o}"),
        format!("0x{number:x}"),
        format!("0X{number:X}"),
        format!("0x{number:08x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0x{a:x}.{b}.0{c:o}.{d}"),
        format!("{a}.{}", number & 0x00ff_ffff),
        format!("{a}.{b}.{low}"),
        format!("0x{a:x}.{:#x}", number & 0x00ff_ffff),
        format!("00{a:o}.00{b:o}.00{c:o}.00{d:o}"),
        // Trailing dots, characters similar to dots or digits, percent-encoding.
        format!("{dotted}."),
        dots("。"),
        dots("．"),
        dots("｡"),
        dots("%2e"),
        wide(&dotted),
        wide(&number.to_string()),
        encoded,
        "①②⑦.⓪.⓪.①".replace("①②⑦.⓪.⓪.①", &wide(&dotted)),
        format!("{}\u{ad}.{b}.{c}.{d}", a),
        format!("{}\u{200b}.{b}.{c}.{d}", a),
        // IPv6 addresses that contain it: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP.
        format!("[::ffff:{dotted}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:ffff:{dotted}]"),
        format!("[::{dotted}]"),
        format!("[::ffff:0:{dotted}]"),
        format!("[64:ff9b::{dotted}]"),
        format!("[64:ff9b:1::{dotted}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001:0:{high:x}:{low:x}::1]"),
        format!("[2001:0:808:808::{:x}:{:x}]", !high & 0xffff, !low & 0xffff),
        format!("[fe80::5efe:{dotted}]"),
        // With user information in front.
        format!("example.com@{dotted}"),
        format!("example.com:80@{dotted}"),
        format!("example.com%00@{dotted}"),
        format!("8.8.8.8%2f@{dotted}"),
        format!("user:pass@{dotted}"),
    ]
}

/// Internal hosts in full.
const INSIDE: &[&str] = &[
    "localhost",
    "LOCALHOST",
    "localhost.",
    "sub.localhost",
    "ｌｏｃａｌｈｏｓｔ",
    "loc%61lhost",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::1%25lo]",
    "[fe80::1%25eth0]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "[fd20:ce::254]",
    "[fe80::a9fe:a9fe]",
    "0",
    "0.0.0.0",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "169.254.0.23",
    "169.254.170.2",
];

/// Names that lead to internal addresses where a name server knows them.
const NAMES: &[&str] = &[
    "metadata.google.internal",
    "metadata.google.internal.",
    "metadata",
    "instance-data",
    "kubernetes.default.svc",
];

const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

fn corpus(port: u16) -> Vec<String> {
    let mut hosts: Vec<String> = INSIDE.iter().chain(NAMES).map(|host| (*host).to_owned()).collect();
    for ip in [Ipv4Addr::LOCALHOST, METADATA, Ipv4Addr::new(10, 0, 0, 1)] {
        hosts.extend(spellings(ip));
    }
    let mut urls: Vec<String> = hosts.iter().map(|host| format!("http://{host}:{port}/")).collect();
    for odd in
        ["http:\\\\{}\\", "http:/{}/", "http:{}/", "hTTp://{}/?@example.com", "http://{}#@example.com/"]
    {
        urls.push(odd.replace("{}", &format!("127.0.0.1:{port}")));
    }
    urls.push(format!(" http://127.0.0.1:{port}/ "));
    urls.push(format!("http://127.0.0.1:{port}\t/"));
    urls.push(format!("http://127.\n0.0.1:{port}/"));
    for scheme in ["file", "gopher", "ftp", "ws", "unix", "data", "jar", "javascript"] {
        urls.push(format!("{scheme}://127.0.0.1:{port}/etc/passwd"));
    }
    urls
}

#[tokio::test]
async fn no_spelling_of_an_address_leads_inside() {
    let inside = Inside::start().await;
    let world = World::with(Database::Sqlite, [("CHECK_PRIVATE_NETWORKS", "deny")]).await;
    for url in corpus(inside.port) {
        // A name that does not resolve here leads nowhere: a name server below resolves all of them.
        let is_name = url::Url::parse(&url).is_ok_and(|url| url.domain().is_some());
        let codes: &[&str] = if is_name { &["BLOCKED_ADDRESS", "DNS_FAILURE"] } else { &["BLOCKED_ADDRESS"] };
        let settings = json!({"url": url, "timeout_ms": 1000, "retries": 0});
        let check = world.call(Some(1), "POST", "/public/v1/checks", Some(settings)).await;
        let demo = world.call(None, "POST", "/public/v1/demo_checks", Some(json!({"url": url}))).await;
        // An anonymous caller must not learn which names exist.
        for (answer, codes) in [(check, codes), (demo, &[][..])] {
            let refused = |answer: Value| {
                let code = answer["error"]["code"].as_str().unwrap_or_default();
                answer["status"] == "down" && codes.contains(&code)
            };
            let fine = match answer.status.as_u16() {
                400 => true,
                200 => refused(answer.json(200)),
                _ => false,
            };
            assert!(fine, "{url}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        inside.assert_untouched(&url);
        for (path, body) in [
            ("/private/v1/webhooks", json!({"url": url, "content": "x"})),
            ("/private/v1/slack_messages", json!({"webhook_url": url, "content": "x"})),
        ] {
            let sent = world.call(None, "POST", path, Some(body)).await;
            let fine = match sent.status.as_u16() {
                400 => true,
                200 => sent.json(200)["status"] == "fail",
                _ => false,
            };
            assert!(fine, "{path} {url}: {} {}", sent.status, String::from_utf8_lossy(&sent.body));
        }
        inside.assert_untouched(&url);
    }
}

fn target(url: &str) -> Target {
    Target { timeout_ms: 3000, ..Target::of("http", url) }
}

/// A prober for which 127.0.0.1 counts as public, and the rest of this machine does not.
fn prober(resolver: Resolver) -> Prober {
    let mut config = ProbeConfig::new("127.0.0.1".parse().unwrap()).unwrap();
    config.resolver = resolver;
    Prober::new(config).unwrap()
}

/// Answers each connection with a redirect to the URL encoded behind `/to/`, or otherwise with 200.
async fn redirector() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 8192];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or("/");
            let to = path.split_once("?to=").map(|(_, to)| percent_decoded(to));
            let answer = match to {
                Some(to) => format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"),
                None => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn percent_decoded(text: &str) -> String {
    let bytes: Vec<u8> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
    String::from_utf8(bytes).unwrap()
}

fn leading_to(redirector: SocketAddr, to: &str) -> String {
    let hex: String = to.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("http://{redirector}/?to={hex}")
}

#[tokio::test]
async fn no_redirect_leads_inside() {
    let inside = Inside::start().await;
    let (redirector, names) = (redirector().await, Fickle::start().await);
    names.says(&[&["169.254.169.254"]]);
    let prober = prober(Resolver::asking(names.address).unwrap());
    let up = prober.probe(0, &target(&leading_to(redirector, "/")), None).await;
    assert!(up.error.is_none(), "a redirect that may be followed is: {up:?}");
    let mut to: Vec<String> = Vec::new();
    for ip in [Ipv4Addr::new(127, 0, 0, 2), METADATA, Ipv4Addr::new(10, 0, 0, 1)] {
        to.extend(spellings(ip).iter().map(|host| format!("http://{host}:{}/", inside.port)));
    }
    let hosts = INSIDE.iter().filter(|host| {
        !host.to_lowercase().contains("localhost")
            && !host.contains("127.")
            && !host.contains("ｌ")
            && !host.contains("%61")
    });
    to.extend(hosts.chain(NAMES).map(|host| format!("http://{host}:{}/", inside.port)));
    to.extend([format!("//127.0.0.2:{}/", inside.port), format!("\\\\127.0.0.2:{}/", inside.port)]);
    to.extend([
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.2/".to_owned(),
        "javascript:alert(1)".to_owned(),
    ]);
    for to in to {
        // Two redirects, so that not only the first hop is checked.
        let url = leading_to(redirector, &leading_to(redirector, &to));
        let outcome = prober.probe(0, &target(&url), None).await;
        let code = outcome.error.as_ref().map(|error| error.code);
        let refused = matches!(code, Some(FailureCode::BlockedAddress | FailureCode::InvalidRedirect));
        assert!(refused, "{to}: {outcome:?}");
        inside.assert_untouched(&to);
    }
}

/// A name server that gives these answers for every name, one after another, and then repeats the last.
struct Fickle {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    answers: Arc<Mutex<Vec<Vec<IpAddr>>>>,
}

impl Fickle {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, answers) = (Arc::new(AtomicUsize::new(0)), Arc::<Mutex<Vec<Vec<IpAddr>>>>::default());
        let fickle = Self { address, asked: Arc::clone(&asked), answers: Arc::clone(&answers) };
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
                let mut message = Message::from_vec(&buffer[..size]).unwrap();
                message.metadata.message_type = MessageType::Response;
                let query = message.queries[0].clone();
                let ips = {
                    let mut answers = answers.lock().unwrap();
                    let is_next = query.query_type() == RecordType::A;
                    asked.fetch_add(usize::from(is_next), Ordering::SeqCst);
                    if is_next && answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
                };
                for ip in ips {
                    let data = match (ip, query.query_type()) {
                        (IpAddr::V4(ip), RecordType::A) => RData::A(A(ip)),
                        (IpAddr::V6(ip), RecordType::AAAA) => RData::AAAA(AAAA(ip)),
                        _ => continue,
                    };
                    message.answers.push(Record::from_rdata(query.name().clone(), 0, data));
                }
                socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
            }
        });
        fickle
    }

    fn says(&self, answers: &[&[&str]]) {
        let parsed = answers.iter().map(|ips| ips.iter().map(|ip| ip.parse().unwrap()).collect());
        *self.answers.lock().unwrap() = parsed.collect();
        self.asked.store(0, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

const OUTSIDE: &str = "127.0.0.1";

/// Posts an empty body; returns the status, or the blocked address.
async fn post(client: &Client, url: &str) -> Result<u16, IpAddr> {
    let post = Post { url: url.parse().unwrap(), headers: Default::default(), body: Default::default() };
    match client.post(&post, 0).await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(SendError::Blocked(blocked)) => Err(blocked.ip),
        Err(error) => panic!("{url}: {error:?}"),
    }
}

#[tokio::test]
async fn no_name_leads_inside() {
    let (inside, names) = (Inside::start().await, Fickle::start().await);
    let resolver = || Resolver::asking(names.address).unwrap();
    let prober = prober(resolver());
    let policy: PrivateNetworks = OUTSIDE.parse().unwrap();
    let client = Client::new(Arc::new(policy), resolver(), &ExtraRoots::default()).unwrap();
    for name in NAMES {
        for ip in
            ["169.254.169.254", "10.96.0.1", "127.0.0.2", "fd20:ce::254", "::1", "::ffff:169.254.169.254"]
        {
            names.says(&[&[ip]]);
            let url = format!("http://{name}:{}/", inside.port);
            let outcome = prober.probe(0, &target(&url), None).await;
            let code = outcome.error.as_ref().map(|error| error.code);
            assert_eq!(code, Some(FailureCode::BlockedAddress), "{name} as {ip}: {outcome:?}");
            assert_eq!(post(&client, &url).await, Err(ip.parse().unwrap()), "{name} as {ip}");
        }
    }
    inside.assert_untouched("a name");
}

#[tokio::test]
async fn a_name_server_that_changes_its_answer_gains_nothing() {
    let (inside, redirector, names) = (Inside::start().await, redirector().await, Fickle::start().await);
    let resolver = || Resolver::asking(names.address).unwrap();
    let prober = prober(resolver());
    let outside = format!("http://rebinding.test:{}/", redirector.port());

    // Between validation and connecting: one query, whose answer is the address that is connected to.
    names.says(&[&[OUTSIDE], &["127.0.0.2"]]);
    assert!(prober.probe(0, &target(&outside), None).await.error.is_none());
    assert_eq!(names.asked(), 1);
    let changed = prober.probe(0, &target(&outside), None).await;
    assert_eq!(changed.error.unwrap().code, FailureCode::BlockedAddress, "nothing is kept from before");

    // Between redirects, with the same name.
    names.says(&[&[OUTSIDE], &["169.254.169.254"]]);
    let again = format!("http://rebinding.test:{}/", inside.port);
    let hex: String = again.bytes().map(|byte| format!("{byte:02x}")).collect();
    let moved = prober.probe(0, &target(&format!("{outside}?to={hex}")), None).await;
    assert_eq!(moved.error.unwrap().code, FailureCode::BlockedAddress);
    assert_eq!(names.asked(), 2);

    // Of several addresses only allowed ones are connected to.
    names.says(&[&["127.0.0.2", "10.0.0.1", OUTSIDE]]);
    assert!(prober.probe(0, &target(&outside), None).await.error.is_none());
    names.says(&[&["127.0.0.2", "169.254.169.254", "10.0.0.1"]]);
    let none = prober.probe(0, &target(&format!("http://rebinding.test:{}/", inside.port)), None).await;
    assert_eq!(none.error.unwrap().code, FailureCode::BlockedAddress);

    // A retry resolves again, and the result is checked again.
    names.says(&[&[OUTSIDE], &["127.0.0.2"]]);
    let mut retried = target(&format!("http://rebinding.test:{}/", nobody().await));
    retried.retries = 1;
    assert_eq!(prober.probe(0, &retried, None).await.error.unwrap().code, FailureCode::BlockedAddress);

    // The same for the client of webhooks and Slack.
    let policy: PrivateNetworks = OUTSIDE.parse().unwrap();
    let client = Client::new(Arc::new(policy), resolver(), &ExtraRoots::default()).unwrap();
    names.says(&[&[OUTSIDE], &["127.0.0.2"]]);
    assert_eq!(post(&client, &outside).await, Ok(200));
    // Redirects are returned to the caller: none is followed.
    names.says(&[&[OUTSIDE], &["127.0.0.2"]]);
    assert_eq!(post(&client, &format!("{outside}?to={hex}")).await, Ok(302));
    let blocked = post(&client, &format!("http://rebinding.test:{}/", inside.port)).await;
    assert_eq!(blocked, Err(IpAddr::from([127, 0, 0, 2])));
    inside.assert_untouched("a name");
}

async fn nobody() -> u16 {
    crate::listener::nobody().await.rsplit(':').next().unwrap().parse().unwrap()
}
