//! Answers that are meant to harm the reader: a check or a webhook takes bounded time and memory for each.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::{Database, World};

/// Concurrent requests of each kind: a single one may use little memory.
const EACH: usize = 4;
/// A check's own limit is a second here, a webhook's eight; the rest allows for busy machines.
const MAX_SECONDS: Duration = Duration::from_secs(30);
/// Allowed growth of the process, including the servers of this test and concurrent tests: one kind of answer
/// alone, unpacked or kept, would need more.
const MAX_MIB: i64 = 800;

type Play = Arc<dyn Fn(TcpStream) -> futures::future::BoxFuture<'static, std::io::Result<()>> + Send + Sync>;

async fn stage(play: Play) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let play = Arc::clone(&play);
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = play(stream).await;
            });
        }
    });
    address
}

/// Sends the first bytes, then repeats others without end, with a pause in between.
fn endless(first: impl Into<Vec<u8>>, more: impl Into<Vec<u8>>, pause: Duration) -> Play {
    let (first, more) = (Arc::new(first.into()), Arc::new(more.into()));
    Arc::new(move |mut stream| {
        let (first, more) = (Arc::clone(&first), Arc::clone(&more));
        Box::pin(async move {
            stream.write_all(&first).await?;
            loop {
                stream.write_all(&more).await?;
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
        })
    })
}

fn gzip_bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..256 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
    [head.into_bytes(), bomb].concat()
}

fn bombs() -> Vec<(&'static str, Play)> {
    const AT_ONCE: Duration = Duration::ZERO;
    let drip = Duration::from_millis(20);
    let big = vec![b'x'; 1 << 16];
    let ok = "HTTP/1.1 200 OK\r\n";
    let ten_gib = format!("{ok}Content-Length: {}\r\n\r\n", 10_u64 << 30);
    let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n");
    vec![
        ("a gzip bomb", endless(gzip_bomb(), "", Duration::from_secs(60))),
        (
            "gzip within gzip, named twice",
            endless(format!("{ok}Content-Encoding: gzip, gzip\r\n\r\n"), gzip_bomb(), AT_ONCE),
        ),
        ("endless headers", endless(ok, "X: 0123456789012345678901234567890123456789\r\n", AT_ONCE)),
        ("one huge header", endless(format!("{ok}X: "), big.clone(), AT_ONCE)),
        ("a huge status line", endless("HTTP/1.1 200 ", big.clone(), AT_ONCE)),
        ("a drip of headers", endless(ok, "X: y\r\n", drip)),
        ("a drip within a header", endless(format!("{ok}X: "), "y", drip)),
        ("a drip of a body", endless(format!("{ok}\r\n"), "y", drip)),
        ("a drip of chunks", endless(chunked.clone(), "1\r\ny\r\n", drip)),
        ("10 GiB, as announced", endless(ten_gib, big.clone(), AT_ONCE)),
        ("a flood without an end", endless(format!("{ok}\r\n"), big.clone(), AT_ONCE)),
        ("a chunk extension without an end", endless(format!("{chunked}1;a="), big.clone(), AT_ONCE)),
        ("chunk extensions without an end", endless(chunked.clone(), "1;a=b;c=d\r\ny\r\n", AT_ONCE)),
        ("a chunk of 16 EiB", endless(format!("{chunked}ffffffffffffffff\r\n"), big.clone(), AT_ONCE)),
        ("trailers without an end", endless(format!("{chunked}0\r\n"), "X: y\r\n", AT_ONCE)),
        (
            "interim answers without an end",
            endless("", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", AT_ONCE),
        ),
        (
            "redirects without an end",
            endless(
                "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
                "",
                Duration::from_secs(60),
            ),
        ),
        ("silence", endless("", "", Duration::from_secs(60))),
    ]
}

/// The resident memory of this process, in MiB.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() / 1024
}

/// Requests all of them at once, several times each; returns the answers.
async fn all(ask: impl AsyncFn(String, usize) -> Value) -> Vec<(&'static str, Value)> {
    let before = resident();
    let asked =
        bombs().into_iter().flat_map(|(name, play)| (0..EACH).map(move |n| (name, Arc::clone(&play), n)));
    let ask = &ask;
    let asked = asked.map(async |(name, play, n)| {
        let started = Instant::now();
        let answer = ask(format!("http://{}/", stage(play).await), n).await;
        assert!(started.elapsed() < MAX_SECONDS, "{name}: {:?}", started.elapsed());
        (name, answer)
    });
    let all = futures::future::join_all(asked);
    tokio::pin!(all);
    loop {
        tokio::select! {
            answers = &mut all => return answers,
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                let grown = resident() - before;
                assert!(grown < MAX_MIB, "{grown} MiB");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_outlives_every_bomb() {
    let world = World::new(Database::Sqlite).await;
    let assertions = json!([
        {"fact": "body", "comparison": "contains", "value": "needle"},
        {"fact": "body", "comparison": "matches", "value": "(0+)+needle"},
        {"fact": "json", "path": "$..needle", "comparison": "equals", "value": 1},
    ]);
    let answers = all(async |url, _| {
        let settings = json!({"url": url, "timeout_ms": 1000, "retries": 0, "assertions": assertions});
        world.call(Some(1), "POST", "/public/v1/checks", Some(settings)).await.json(200)
    });
    for (name, answer) in answers.await {
        // Large responses of one owner wait for each other: if they wait too long, that says nothing about
        // the target.
        let is_judged = answer["status"] == "down";
        assert!(is_judged || answer["error"]["code"] == "NOT_STARTED", "{name}: {answer}");
        // It stops at 10 MiB, plus one read.
        assert!(answer["response_bytes"].as_u64().unwrap() <= 11 << 20, "{name}: {answer}");
        assert!(answer.to_string().len() < 2000, "{name}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_outlives_every_bomb() {
    let world = World::new(Database::Sqlite).await;
    let answers = all(async |url, n| {
        let (path, body) = match n % 2 {
            0 => ("/private/v1/webhooks", json!({"url": url, "content": "x"})),
            _ => ("/private/v1/slack_messages", json!({"webhook_url": url, "content": "x"})),
        };
        world.call(None, "POST", path, Some(body)).await.json(200)
    });
    for (name, answer) in answers.await {
        assert!(answer.to_string().len() < 2000, "{name}: {answer}");
    }
}
