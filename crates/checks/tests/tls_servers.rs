//! TLS as servers speak it: `openssl s_server` in every way that it can be set up.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::*;

/// An authority, and a certificate of `secure.test` with a key of some kind.
struct Files {
    dir: TempDir,
    root: CertificateDer<'static>,
}

/// `openssl genpkey`.
const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P521: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

impl Files {
    async fn of(key: &[&str]) -> Self {
        Self::signed_by(key, key, "-sha256").await
    }

    async fn signed_by(key: &[&str], issuer: &[&str], hash: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let run = async |args: &[&str]| {
            let output = Command::new("openssl").args(args).current_dir(dir.path()).output().await.unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        for (name, kind) in [("ca", issuer), ("key", key)] {
            run(&[&["genpkey", "-out", &format!("{name}.pem")][..], kind].concat()).await;
        }
        run(&[
            "req",
            "-x509",
            "-new",
            "-key",
            "ca.pem",
            "-out",
            "root.pem",
            "-days",
            "30",
            hash,
            "-subj",
            "/CN=Test authority",
            "-addext",
            "keyUsage=keyCertSign",
        ])
        .await;
        run(&["req", "-new", "-key", "key.pem", "-out", "request.pem", hash, "-subj", "/CN=secure.test"])
            .await;
        std::fs::write(dir.path().join("names"), "subjectAltName=DNS:secure.test\n").unwrap();
        run(&[
            "x509",
            "-req",
            "-in",
            "request.pem",
            "-CA",
            "root.pem",
            "-CAkey",
            "ca.pem",
            "-CAcreateserial",
            "-out",
            "certificate.pem",
            "-days",
            "30",
            hash,
            "-extfile",
            "names",
        ])
        .await;
        run(&["x509", "-in", "root.pem", "-outform", "DER", "-out", "root.der"]).await;
        let root = std::fs::read(dir.path().join("root.der")).unwrap().into();
        Self { dir, root }
    }

    /// Serves a page about the connection, until it is dropped.
    async fn serve(&self, args: &[&str]) -> Server {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www"])
            .args(["-cert", "certificate.pem", "-key", "key.pem"])
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let Some(line) = lines.next_line().await.unwrap() else {
                let mut error = String::new();
                let _ = child.stderr.take().unwrap().read_to_string(&mut error).await;
                panic!("{args:?}: {error}");
            };
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                let port = address.rsplit(':').next().unwrap();
                tokio::spawn(
                    async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} },
                );
                return Server { _child: child, url: format!("https://secure.test:{port}/") };
            }
        }
    }

    async fn probe(&self, target: &Target) -> Outcome {
        prober_with(vec![self.root.clone()], Resolver::fixed(names)).probe(0, target, None).await
    }
}

struct Server {
    _child: Child,
    url: String,
}

#[tokio::test]
async fn certificate_on_p521_is_verified() {
    for (key, issuer, hash) in [
        (P521, P521, "-sha512"),
        (P521, P521, "-sha256"),
        (P521, P256, "-sha256"),
        (P256, P521, "-sha384"),
        (RSA, P521, "-sha512"),
    ] {
        let files = Files::signed_by(key, issuer, hash).await;
        for version in ["-tls1_2", "-tls1_3"] {
            let server = files.serve(&[version]).await;
            let outcome = files.probe(&target(&server.url)).await;
            assert_eq!(outcome.error, None, "{key:?} {issuer:?} {hash} {version}");
            assert!(outcome.certificate_expires_at.is_some());
            // Of another authority with the same name.
            let outcome = Files::of(P521).await.probe(&target(&server.url)).await;
            let code = outcome.error.unwrap().code;
            assert_eq!(code, FailureCode::TlsInvalid, "{key:?} {issuer:?} {hash} {version}");
        }
    }
}

#[tokio::test]
async fn key_exchange_by_p521_alone_is_spoken() {
    let files = Files::of(P256).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let groups = if version == "-tls1_2" { "P-521:P-256" } else { "P-521" };
        let server = files.serve(&[version, "-groups", groups]).await;
        assert_eq!(files.probe(&target(&server.url)).await.error, None, "{version}");
    }
}

#[tokio::test]
async fn demand_for_a_client_certificate_is_named() {
    let files = Files::of(P256).await;
    for version in ["-tls1_2", "-tls1_3"] {
        for alpn in [&[][..], &["-alpn", "h2"]] {
            let server = files.serve(&[&[version, "-Verify", "1"], alpn].concat()).await;
            let outcome = files.probe(&target(&server.url)).await;
            let message = "The server requires a client certificate (mutual TLS), and checks have none";
            failed(&outcome, FailureCode::TlsInvalid, message);
        }
        // It asks, and does without.
        let server = files.serve(&[version, "-verify", "1"]).await;
        assert_eq!(files.probe(&target(&server.url)).await.error, None, "{version}");
    }
}

/// How old servers are set up, and what they agree to.
#[cfg(feature = "legacy-tls")]
const OLD: &[(&[&str], &str)] = &[
    (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "TLS 1.0 with ECDHE-RSA-AES256-SHA"),
    (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "TLS 1.1 with ECDHE-RSA-AES256-SHA"),
    (&["-tls1_1", "-cipher", "AES128-SHA:@SECLEVEL=0"], "TLS 1.1 with AES128-SHA"),
    (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"], "TLS 1.2 with ECDHE-RSA-AES128-SHA"),
    (&["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"], "TLS 1.2 with ECDHE-RSA-AES256-SHA384"),
    (&["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "TLS 1.2 with AES128-GCM-SHA256"),
    (&["-tls1_2", "-cipher", "AES256-SHA"], "TLS 1.2 with AES256-SHA"),
    (&["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], "TLS 1.2 with DHE-RSA-AES128-GCM-SHA256"),
    (&["-tls1_2", "-cipher", "DHE-RSA-AES128-SHA"], "TLS 1.2 with DHE-RSA-AES128-SHA"),
    (&["-tls1_2", "-groups", "X448"], "TLS 1.2 with ECDHE-RSA-AES256-GCM-SHA384 and key exchange by X448"),
    (&["-tls1_3", "-groups", "X448"], "TLS 1.3 with TLS_AES_256_GCM_SHA384 and key exchange by X448"),
];

#[cfg(feature = "legacy-tls")]
#[tokio::test]
async fn old_tls_is_spoken_on_request_and_otherwise_named() {
    let files = Files::of(RSA).await;
    for (args, agreed) in OLD {
        let server = files.serve(args).await;
        let mut target = target(&server.url);
        let outcome = files.probe(&target).await;
        let message =
            format!("The server offers only old TLS ({agreed}): set legacy_tls to check it all the same");
        failed(&outcome, FailureCode::TlsInvalid, &message);

        target.config["legacy_tls"] = true.into();
        target.assertions = contains("Ciphers");
        let outcome = files.probe(&target).await;
        assert_eq!(outcome.error, None, "{args:?}");
        assert!(outcome.certificate_expires_at.is_some() && outcome.timings_ms.tls.is_some());
    }
}

/// Servers that know more than old TLS are checked with the setting, too.
#[cfg(feature = "legacy-tls")]
#[tokio::test]
async fn certificate_is_verified_as_strictly_with_old_tls() {
    let files = Files::of(RSA).await;
    let old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    for args in [&old[..], &["-tls1_3"]] {
        let server = files.serve(args).await;
        let legacy = |url: &str| target(url).with("legacy_tls", true);
        up(&files.probe(&legacy(&server.url)).await);
        let stranger = prober().probe(0, &legacy(&server.url), None).await;
        failed(&stranger, FailureCode::TlsInvalid, "was not issued by a trusted authority");
        let other = server.url.replace("secure.test", "other.test");
        let outcome = files.probe(&legacy(&other)).await;
        let message = "The certificate is not valid for other.test, only for secure.test";
        failed(&outcome, FailureCode::TlsInvalid, message);
        assert!(outcome.certificate_expires_at.is_some());
        assert_eq!(outcome.timings_ms.first_byte, None, "nothing was asked");
        up(&files.probe(&legacy(&other).with("verify_tls", false)).await);
    }
    // Expired ones, and those of a server that does not have the key.
    let authority = Authority::new();
    let prober = prober_with(vec![authority.root.clone()], Resolver::fixed(names));
    let url = serve_tls(authority.acceptor("secure.test", 2024, &["h2", "http/1.1"]), "secure.test").await;
    let outcome = prober.probe(0, &target(url).with("legacy_tls", true), None).await;
    failed(&outcome, FailureCode::TlsInvalid, "The certificate expired on 2024-01-01");
    let url = serve_tls(authority.acceptor("secure.test", 2099, &["h2", "http/1.1"]), "secure.test").await;
    let mut modern = target(url).with("legacy_tls", true);
    modern.assertions = contains("HTTP/1.1 to secure.test");
    up(&prober.probe(0, &modern, None).await);
}

#[cfg(feature = "legacy-tls")]
#[tokio::test]
async fn address_guard_holds_with_old_tls() {
    for url in ["https://127.0.0.3/", "https://blocked.test/"] {
        let outcome = probe(target(url).with("legacy_tls", true)).await;
        failed(&outcome, FailureCode::BlockedAddress, "not a public address");
    }
}

#[cfg(feature = "legacy-tls")]
#[tokio::test]
async fn failure_of_old_tls_is_named() {
    let files = Files::of(RSA).await;
    let legacy = |url: String| Target { timeout_ms: 1_000, ..target(url) }.with("legacy_tls", true);
    let plain = canned("HTTP/1.1 400 Bad Request\r\n\r\n").await.replace("http:", "https:");
    failed(&probe(legacy(plain)).await, FailureCode::Timeout, "TLS handshake was not finished");
    let talks = listen(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let outcome = probe(legacy(format!("https://{talks}/"))).await;
    failed(&outcome, FailureCode::TlsInvalid, "does not speak TLS");
    let closes = listen(|stream| async move { drop(stream) }).await;
    let outcome = probe(legacy(format!("https://{closes}/"))).await;
    failed(&outcome, FailureCode::TlsInvalid, "closed the connection during the TLS handshake");
    let server = files.serve(&["-tls1_3", "-Verify", "1"]).await;
    let outcome = files.probe(&legacy(server.url.clone())).await;
    failed(&outcome, FailureCode::TlsInvalid, "requires a client certificate");
}

#[tokio::test]
async fn server_that_closes_is_not_taken_for_an_old_one() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let closes = listen(move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { drop(stream) }
    })
    .await;
    let outcome = probe(target(format!("https://{closes}/"))).await;
    failed(&outcome, FailureCode::TlsInvalid, "closed the connection during the TLS handshake");
    assert!(connections.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn one_refusal_of_a_modern_server_says_nothing_of_old_tls() {
    let files = Files::of(P256).await;
    for args in [&["-tls1_3"][..], &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]] {
        let server = files.serve(args).await;
        let port = Url::parse(&server.url).unwrap().port().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let at = listen(move |mut stream| {
            let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if !is_first {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
                }
            }
        })
        .await;
        let outcome = files.probe(&target(format!("https://secure.test:{}/", at.port()))).await;
        failed(&outcome, FailureCode::TlsInvalid, "closed the connection during the TLS handshake");
    }
}
