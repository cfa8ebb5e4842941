//! Servers as they are: what browsers cope with, a check does, too.

use super::*;

fn lacks(value: &str) -> Vec<Assertion> {
    vec![Assertion::of("body", Comparison::NotContains, value)]
}

fn header_is(name: &str, value: &str) -> Vec<Assertion> {
    vec![Assertion::of_header(name, Comparison::Equals, value)]
}

// ---- cookies ---------------------------------------------------------------------------------

#[tokio::test]
async fn cookie_of_a_redirect_comes_back_with_the_next_request() {
    let url = serve(|request: Request<Incoming>| async move {
        let cookie = request.headers().get("cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
        match cookie.as_deref() {
            Some("session=1; seen=yes") => answer(200, &[], "welcome"),
            Some("session=1") => answer(302, &[("location", "/"), ("set-cookie", "seen=yes; Path=/")], ""),
            None => answer(302, &[("location", "/"), ("set-cookie", "session=1; HttpOnly")], ""),
            Some(other) => answer(500, &[], other.to_owned()),
        }
    })
    .await;
    let outcome = with_assertions(&url, contains("welcome")).await;
    up(&outcome);
    // It ends with the check: the next one begins without.
    up(&probe(target(&url)).await);
    let mut stay = target(&url);
    (stay.config["follow_redirects"], stay.config["expected_status"]) = (false.into(), "302".into());
    up(&probe(stay).await);
}

/// Answers with the cookies that it got; `/set` sets some, and leads to the URL behind `?`.
async fn cookie_echo() -> String {
    serve(|request: Request<Incoming>| async move {
        if request.uri().path().starts_with("/set") {
            let to = request.uri().query().unwrap();
            let mut response = answer(302, &[("location", to)], "")?;
            for line in ["here=1", "root=2; Path=/", "secure=3; Secure; Path=/", "other=4; Domain=a.test"] {
                response.headers_mut().append("set-cookie", line.parse().unwrap());
            }
            return Ok(response);
        }
        let cookie = request.headers().get("cookie").map(|cookie| cookie.as_bytes().to_vec());
        answer(200, &[], format!("got {}.", String::from_utf8(cookie.unwrap_or_default()).unwrap()))
    })
    .await
}

#[tokio::test]
async fn cookie_goes_to_no_other_site_and_no_other_path() {
    let url = cookie_echo().await.replace("127.0.0.1", "a.b.test");
    let elsewhere = url.replace("a.b.test", "c.b.test");
    for (start, to, got) in [
        ("/set/x", "/y".to_owned(), "root=2"),
        ("/set", "/y".to_owned(), "here=1; root=2"),
        ("/set/x", format!("{elsewhere}/y"), ""),
        ("/set/x", format!("{}/y", url.replace("a.b.test", "b.test")), ""),
    ] {
        let outcome = with_assertions(&format!("{url}{start}?{to}"), contains(&format!("got {got}."))).await;
        assert_eq!(outcome.error, None, "{to}");
    }
    // The settings' own header goes along where cookies do.
    let mut own = target(format!("{url}/set/x?/y"));
    set_header(&mut own, "Cookie", "mine=5; root=6");
    own.assertions = contains("got mine=5; root=2.");
    up(&probe(own.clone()).await);
    own.url = format!("{url}/set/x?{elsewhere}/y");
    own.assertions = contains("got .");
    up(&probe(own).await);
}

#[tokio::test]
async fn cookie_of_https_is_not_sent_by_http() {
    let plain = cookie_echo().await.replace("127.0.0.1", "secure.test");
    let authority = Authority::new();
    let prober = prober_with(vec![authority.root.clone()], Resolver::fixed(names));
    let acceptor = authority.acceptor("secure.test", 2099, &["http/1.1"]);
    let location = plain.clone();
    let address = listen(move |stream| {
        let (acceptor, location) = (acceptor.clone(), location.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {location}/\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    let mut target = target(format!("https://secure.test:{}/", address.port()));
    target.assertions = contains("got .");
    up(&prober.probe(0, &target, None).await);
}

// ---- heads -----------------------------------------------------------------------------------

#[tokio::test]
async fn folded_header_is_one_value() {
    for (folded, value) in [
        ("X-Long: one,\r\n two\r\n", "one, two"),
        ("X-Long: one,\r\n\t \ttwo\r\nX-More: x\r\n", "one, two"),
        ("X-Long:\r\n one\r\n", "one"),
    ] {
        let url = canned(with_headers(folded, "ok")).await;
        let outcome = with_assertions(&url, header_is("x-long", value)).await;
        assert_eq!(outcome.error, None, "{folded:?}");
    }
}

#[tokio::test]
async fn odd_header_lines_are_read_as_by_browsers() {
    for (head, name, value) in [
        ("HTTP/1.1 200 OK\r\nX-Space : yes\r\nContent-Length: 0\r\n\r\n", "x-space", "yes"),
        ("HTTP/1.1 200 OK\r\nno colon here\r\nX-Next: yes\r\nContent-Length: 0\r\n\r\n", "x-next", "yes"),
        ("HTTP/1.1 200 OK\r\nbad name: 1\r\nX-Next: yes\r\nContent-Length: 0\r\n\r\n", "x-next", "yes"),
        ("HTTP/1.1 200 OK\nX-Bare: yes\nContent-Length: 0\n\n", "x-bare", "yes"),
        ("HTTP/1.1 200\r\nX-No-Reason: yes\r\nContent-Length: 0\r\n\r\n", "x-no-reason", "yes"),
        ("HTTP/1.1 200 \u{c815}\u{c0c1}\r\nX-Reason: yes\r\nContent-Length: 0\r\n\r\n", "x-reason", "yes"),
        ("\r\nHTTP/1.1 200 OK\r\nX-Late: yes\r\nContent-Length: 0\r\n\r\n", "x-late", "yes"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\nX-Twice: yes\r\n\r\nok",
            "x-twice",
            "yes",
        ),
    ] {
        let outcome = with_assertions(&canned(head).await, header_is(name, value)).await;
        assert_eq!(outcome.error, None, "{head:?}");
    }
}

#[tokio::test]
async fn many_headers_are_read_up_to_their_bound() {
    let lines = |count: usize| "X-Many: 0123456789\r\n".repeat(count);
    // Beside Content-Length.
    for (headers, is_up) in [(lines(119), true), (lines(199), true), (lines(200), false)] {
        let outcome = probe(target(canned(with_headers(&headers, "ok")).await)).await;
        assert_eq!(outcome.error.is_none(), is_up, "{:?}", outcome.error);
        if !is_up {
            failed(&outcome, FailureCode::ProtocolError, "more than 256 KiB or 200 headers");
        }
    }
}

#[tokio::test]
async fn large_head_is_read_up_to_its_bound() {
    for (kib, is_up) in [(1, true), (7, true), (63, true), (65, true), (200, true), (260, false)] {
        let line = format!("X-Large: {}\r\n", "x".repeat(1013)).repeat(kib.min(190));
        let rest = format!("X-Rest: {}\r\n", "x".repeat(kib.saturating_sub(190) * 1024));
        let bytes = with_headers(&format!("{line}{rest}"), "the body");
        let outcome = with_assertions(&canned(bytes).await, contains("the body")).await;
        assert_eq!(outcome.error.is_none(), is_up, "{kib}: {:?}", outcome.error);
        if !is_up {
            failed(&outcome, FailureCode::ProtocolError, "more than 256 KiB or 200 headers");
        }
    }
}

#[tokio::test]
async fn head_that_comes_in_pieces_is_read() {
    let bytes = [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec(), {
        with_headers(&format!("X-Large: {}\r\n", "x".repeat(70_000)), "the body")
    }]
    .concat();
    let address = listen(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            read_head(&mut stream).await;
            for piece in bytes.chunks(777) {
                let _ = stream.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    up(&with_assertions(&format!("http://{address}/"), contains("the body")).await);
}

#[tokio::test]
async fn http2_head_has_a_smaller_bound() {
    let authority = Authority::new();
    let prober = prober_with(vec![authority.root.clone()], Resolver::fixed(names));
    let acceptor = authority.acceptor("secure.test", 2099, &["h2"]);
    let address = listen(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(|request: Request<Incoming>| async move {
                let mut numbers = request.uri().path()[1..].split('x').map(|text| text.parse().unwrap());
                let (count, size): (usize, usize) = (numbers.next().unwrap(), numbers.next().unwrap());
                let mut response = answer(200, &[], "ok")?;
                for _ in 0..count {
                    response.headers_mut().append("x-many", "x".repeat(size).parse().unwrap());
                }
                Ok::<_, Infallible>(response)
            });
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http2().max_header_list_size(16 << 20);
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    for (count, size, is_up) in
        [(120, 10, true), (100, 100, true), (210, 10, false), (100, 200, false), (100, 3000, false)]
    {
        let target = target(format!("https://secure.test:{}/{count}x{size}", address.port()));
        let outcome = prober.probe(0, &target, None).await;
        assert_eq!(outcome.error.is_none(), is_up, "{count}x{size} {:?}", outcome.error);
        if !is_up {
            failed(&outcome, FailureCode::ProtocolError, "more than 256 KiB or 200 headers");
        }
    }
}

#[tokio::test]
async fn any_three_digits_can_be_expected() {
    for status in [100, 299, 999] {
        let url = canned(format!("HTTP/1.1 {status} Denied\r\nContent-Length: 0\r\n\r\n")).await;
        let mut target = target(url);
        target.config["expected_status"] = format!("200,{status}").into();
        // 100 is interim: what comes after it counts.
        let outcome = probe(target).await;
        assert_eq!(outcome.status_code, (status != 100).then_some(status), "{:?}", outcome.error);
        assert_eq!(outcome.error.is_none(), status != 100);
    }
}

// ---- encodings -------------------------------------------------------------------------------

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    encoder.write_all(bytes).unwrap();
    encoder.into_inner()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[tokio::test]
async fn content_encodings_are_undone() {
    let text = "All systems go. ".repeat(500).into_bytes();
    let raw = zlib(&text)[2..zlib(&text).len() - 4].to_vec();
    let line = |encoding: &str| format!("Content-Encoding: {encoding}\r\n");
    let trailing = [gzip(&text), b"\0\0garbage".to_vec()].concat();
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(&text), &zstd(b"end")].concat();
    for (lines, body) in [
        (line("zstd"), zstd(&text)),
        (line("zstd"), skipped),
        (line("gzip"), gzip(&text)),
        (line("x-gzip"), gzip(&text)),
        (line("GZip"), [gzip(b"All "), gzip(&text)].concat()),
        (line("gzip"), trailing),
        (line("deflate"), zlib(&text)),
        (line("deflate"), raw),
        (line("br"), brotli(&text)),
        (line("gzip, br"), brotli(&gzip(&text))),
        (line("br,gzip"), gzip(&brotli(&text))),
        (line("deflate, gzip, zstd"), zstd(&gzip(&zlib(&text)))),
        (line("identity, gzip"), gzip(&text)),
        (line("gzip") + &line("br"), brotli(&gzip(&text))),
        (line("utf-8"), text.clone()),
        (line("none"), text.clone()),
        (line(""), text.clone()),
    ] {
        let url = canned(with_headers(&lines, body)).await;
        let mut both = contains("All systems go. All");
        both.extend(lacks("error"));
        assert_eq!(with_assertions(&url, both).await.error, None, "{lines}");
    }
}

#[tokio::test]
async fn encoding_that_cannot_be_undone_is_named() {
    let text = "All systems go. ".repeat(500);
    for (encoding, body, message) in [
        ("gzip", text.clone().into_bytes(), "the body is not valid gzip"),
        ("br", vec![0xff; 100], "the body is not valid br"),
        ("zstd", text.clone().into_bytes(), "the body is not valid zstd"),
        ("compress", text.clone().into_bytes(), "encoded as compress, which is not supported"),
        ("gzip, gzip, gzip, gzip", gzip(b""), "encoded more than 3 times"),
    ] {
        let url = canned(with_headers(&format!("Content-Encoding: {encoding}\r\n"), body)).await;
        failed(&with_assertions(&url, contains("go")).await, FailureCode::AssertionFailed, message);
    }
    // What breaks off may lack the word: found is found, not found is not known.
    let noise: Vec<u8> = (0..1_000_000_u32).map(|n| b'a' + (n.wrapping_mul(n) >> 7) as u8 % 26).collect();
    let noise = [b"start".as_slice(), &noise].concat();
    for (encoding, body) in [("gzip", gzip(&noise)), ("zstd", zstd(&noise)), ("br", brotli(&noise))] {
        let half = &body[..body.len() / 2];
        let url = canned(with_headers(&format!("Content-Encoding: {encoding}\r\n"), half)).await;
        up(&with_assertions(&url, contains("start")).await);
        for assertions in [contains("missing!"), lacks("missing!")] {
            let message = format!("it was not found, but the {encoding} encoding of the body breaks off");
            failed(&with_assertions(&url, assertions).await, FailureCode::AssertionFailed, &message);
        }
    }
}

#[tokio::test]
async fn bombs_of_every_encoding_are_cut_off() {
    let zeros = vec![b' '; 16 << 20];
    for (encoding, bomb) in [
        ("gzip", gzip(&zeros)),
        ("br", brotli(&zeros)),
        ("zstd", zstd(&zeros)),
        ("gzip, gzip", gzip(&gzip(&zeros))),
        ("zstd, br, gzip", gzip(&brotli(&zstd(&zeros)))),
    ] {
        let url = canned(with_headers(&format!("Content-Encoding: {encoding}\r\n"), bomb)).await;
        let message = "it was not found, but the body is longer than 10 MiB and was cut off there";
        for assertions in [contains("needle"), lacks("needle")] {
            failed(&with_assertions(&url, assertions).await, FailureCode::AssertionFailed, message);
        }
    }
}

// ---- charsets --------------------------------------------------------------------------------

#[tokio::test]
async fn text_is_found_in_its_charset() {
    let euc_kr = encoding_rs::EUC_KR.encode("모든 시스템 정상").0.into_owned();
    let utf16 = |text: &str, big: bool| {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units
            .flat_map(|unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect::<Vec<_>>()
    };
    let meta = |charset: &str| format!("<html><head><meta charset=\"{charset}\"></head>").into_bytes();
    for (kind, body, word) in [
        ("text/html; charset=euc-kr", euc_kr.clone(), "정상"),
        ("text/plain; charset=\"EUC-KR\"", euc_kr.clone(), "정상"),
        ("text/html", [meta("euc-kr"), euc_kr.clone()].concat(), "정상"),
        ("application/json; charset=euc-kr", euc_kr.clone(), "정상"),
        ("text/html; charset=iso-8859-1", b"caf\xe9 ouvert".to_vec(), "café"),
        ("text/html", b"caf\xe9 ouvert".to_vec(), "café"),
        ("text/plain", utf16("정상", true), "정상"),
        ("text/plain", utf16("정상", false), "정상"),
        ("text/html; charset=utf-16le", utf16("정상", false)[2..].to_vec(), "정상"),
        ("text/html; charset=shift_jis", encoding_rs::SHIFT_JIS.encode("正常").0.into_owned(), "正常"),
        ("text/html; charset=utf-8", "정상".as_bytes().to_vec(), "정상"),
        ("text/html; charset=iso-8859-1", "정상".as_bytes().to_vec(), "정상"),
    ] {
        let url = canned(with_headers(&format!("Content-Type: {kind}\r\n"), body)).await;
        let regex = Assertion::of("body", Comparison::Matches, format!(r"\b{word}"));
        for assertions in [contains(word), vec![regex]] {
            assert_eq!(with_assertions(&url, assertions).await.error, None, "{kind}");
        }
        let outcome = with_assertions(&url, lacks(word)).await;
        failed(&outcome, FailureCode::AssertionFailed, "the body contains it");
    }
    // In a message, too, it can be read.
    let url = canned(with_headers("Content-Type: text/plain; charset=euc-kr\r\n", &euc_kr)).await;
    let outcome = with_assertions(&url, contains("장애")).await;
    failed(&outcome, FailureCode::AssertionFailed, "the body begins with \"모든 시스템 정상\"");
}

#[tokio::test]
async fn json_with_a_byte_order_mark_is_json() {
    let text = r#"{"status":"정상"}"#;
    let utf16: Vec<u8> =
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(|unit: u16| unit.to_le_bytes()).collect();
    let bodies = [
        ("", format!("\u{feff}{text}").into_bytes()),
        ("", utf16),
        (
            "Content-Type: application/json; charset=euc-kr\r\n",
            encoding_rs::EUC_KR.encode(text).0.into_owned(),
        ),
        ("Content-Type: application/json; charset=iso-8859-1\r\n", text.into()),
        ("Content-Encoding: gzip\r\n", gzip(format!("\u{feff}{text}").as_bytes())),
    ];
    for (headers, body) in bodies {
        let url = canned(with_headers(headers, body)).await;
        let path = json_path("$.status", Comparison::Equals, json!("정상"));
        let start = Assertion::of("body", Comparison::Matches, r"^\{");
        assert_eq!(with_assertions(&url, vec![path, start]).await.error, None, "{headers}");
    }
}

// ---- long bodies -----------------------------------------------------------------------------

#[tokio::test]
async fn all_that_is_read_of_a_body_is_looked_at() {
    const MIB: usize = 1024 * 1024;
    let mut body = vec![b'x'; 10 * MIB];
    body[3 * MIB..3 * MIB + 4].copy_from_slice(b"word");
    let url = canned(page(&body)).await;
    up(&with_assertions(&url, contains("word")).await);
    up(&with_assertions(&url, lacks("missing")).await);
    failed(&with_assertions(&url, lacks("word")).await, FailureCode::AssertionFailed, "contains it");
    let anchored = |regex: &str| vec![Assertion::of("body", Comparison::Matches, regex)];
    up(&with_assertions(&url, anchored("x$")).await);

    // More than that is not read: what was not found may come behind it.
    body.extend_from_slice(b"y and more");
    let url = canned(page(&body)).await;
    let cut = "it was not found, but the body is longer than 10 MiB and was cut off there";
    up(&with_assertions(&url, contains("word")).await);
    up(&with_assertions(&url, anchored("xword")).await);
    failed(&with_assertions(&url, lacks("word")).await, FailureCode::AssertionFailed, "contains it");
    for assertions in [contains("more"), lacks("more"), lacks("missing"), anchored("more"), anchored("x$")] {
        failed(&with_assertions(&url, assertions).await, FailureCode::AssertionFailed, cut);
    }
    let path = json_path("$.a", Comparison::Equals, json!(1));
    failed(&with_assertions(&url, vec![path]).await, FailureCode::AssertionFailed, "not whole JSON");
    // Nobody looks at it: nothing is missing.
    up(&probe(target(&url)).await);
}

#[tokio::test]
async fn long_json_is_looked_at_up_to_what_it_takes_of_memory() {
    let long = format!(r#"{{"a":["{}"],"status":"ok"}}"#, vec!["x".repeat(90); 50_000].join("\",\""));
    let path = json_path("$.status", Comparison::Equals, json!("ok"));
    up(&assert_on(&canned(page(&long)).await, path.clone()).await);
    // Objects take much more than they are long.
    for (value, usual, many) in [("0,", 500_000, 1_600_000), (r#"{"":0},"#, 100_000, 250_000)] {
        let json = |count| format!(r#"{{"a":[{}0],"status":"ok"}}"#, value.repeat(count));
        up(&assert_on(&canned(page(json(usual))).await, path.clone()).await);
        let outcome = assert_on(&canned(page(json(many))).await, path.clone()).await;
        failed(
            &outcome,
            FailureCode::AssertionFailed,
            "too many JSON values: they would take more than 96 MiB",
        );
    }
}

/// Checks of one owner for a word, all at once.
async fn probe_at_once(
    prober: &Prober,
    owner: i64,
    count: usize,
    url: &str,
    timeout_ms: u32,
) -> Vec<Outcome> {
    let target = Target { timeout_ms, assertions: contains("word"), ..target(url) };
    let checks = (0..count).map(|_| prober.probe(owner, &target, None));
    futures::future::join_all(checks).await
}

/// An owner's large bodies share a bound, and are all read; what had to wait too long says nothing of its target.
#[tokio::test]
async fn many_large_bodies_are_read_within_the_bound() {
    let mut body = vec![b'x'; 3 * 1024 * 1024];
    body.extend_from_slice(b"word");
    let url = canned(page(&body)).await;
    let prober = prober();
    probe_at_once(&prober, 1, 60, &url, 60_000).await.iter().for_each(up);

    // Two hundred that grow together, past each step of the bound. The server pauses by the real clock: the prober reads
    // from real sockets.
    let growing = listen(|mut stream| async move {
        let half = vec![b'x'; 500 * 1024];
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let _ = stream.write_all(&half).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let _ = stream.write_all(&half).await;
        let _ = stream.write_all(b"word").await;
    })
    .await;
    probe_at_once(&prober, 3, 200, &format!("http://{growing}/"), 30_000).await.iter().for_each(up);

    // Large bodies that never end hold all the room there is for this owner.
    let stalled =
        endless("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 2 << 20].leak(), Duration::from_secs(60)).await;
    let outcomes = probe_at_once(&prober, 2, 30, &stalled, 1_500).await;
    let unknown = outcomes.iter().filter(|outcome| outcome.status == CheckStatus::Unknown);
    let waited = unknown.inspect(|outcome| {
        let error = outcome.error.as_ref().unwrap();
        assert_eq!(error.code, FailureCode::NotStarted, "{}", error.message);
    });
    assert_eq!(waited.count(), 22, "30 without the 8 that one owner may read at once");
    for outcome in outcomes.iter().filter(|outcome| outcome.status != CheckStatus::Unknown) {
        failed(outcome, FailureCode::Timeout, "did not end within 1500 ms");
    }
}

/// Accounts whose large bodies stand still take all the memory; each keeps it for a moment only while another waits.
#[tokio::test]
async fn bodies_that_stand_still_make_room_for_others() {
    let mut prober = prober();
    Arc::get_mut(&mut prober).unwrap().shared.memory.max_held = Duration::from_millis(300);
    let stalled =
        endless("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 2 << 20].leak(), Duration::from_secs(60)).await;
    let mut body = vec![b'x'; 3 * 1024 * 1024];
    body.extend_from_slice(b"word");
    let url = canned(page(&body)).await;
    let attack =
        futures::future::join_all((1..=6).map(|owner| probe_at_once(&prober, owner, 16, &stalled, 10_000)));
    let newcomer = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        probe_at_once(&prober, 7, 1, &url, 5_000).await
    };
    let (outcomes, newcomers) = tokio::join!(attack, newcomer);
    newcomers.iter().for_each(up);
    for outcome in outcomes.iter().flatten() {
        let code = outcome.error.as_ref().unwrap().code;
        assert!(matches!(code, FailureCode::NotStarted | FailureCode::Timeout), "{outcome:?}");
    }
}
