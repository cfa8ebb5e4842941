//! How many checks the prober does per CPU-second of its own:
//! `cargo run --release -p functions --example probe_bench [checks] [concurrency]`
//!
//! The targets live in a child process (this program, started again), so their CPU time is not
//! counted. Every check is a connection of its own; over HTTPS it is a full TLS 1.3 handshake, whose
//! ECDSA P-256 certificate is verified up to a root. 200 bytes of body.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use functions::{
    checks::probe::{ProbeConfig, Prober},
    contract::{Assertion, Target},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use runtime::{address::PrivateNetworks, trust::ExtraRoots};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

const SERVE: &str = "--serve";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if arguments.first().is_some_and(|first| first == SERVE) {
        return runtime.block_on(serve());
    }
    let argument =
        |index: usize, default: usize| arguments.get(index).map_or(Ok(default), |text| text.parse());
    let (checks, concurrency) = (argument(0, 50_000)?, argument(1, 100)?);

    let mut child = Command::new(std::env::current_exe()?)
        .arg(SERVE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().context("no stdout")?).read_line(&mut line)?;
    let [http, https, root] = line.trim().split(' ').collect::<Vec<_>>()[..] else {
        anyhow::bail!("the target server did not start: {line}");
    };
    let mut config = ProbeConfig::new(PrivateNetworks::Allow)?;
    config.concurrency = concurrency;
    config.extra_roots = ExtraRoots(vec![BASE64_STANDARD.decode(root)?.into()]);
    let prober = Arc::new(Prober::new(config)?);

    println!("{checks} checks, {concurrency} at once");
    let plain = target(format!("http://127.0.0.1:{http}/health?from=bench"));
    let mut asserting = plain.clone();
    asserting.assertions =
        vec![Assertion::BodyContains { value: "xxx".to_owned() }, Assertion::TotalTime { below_ms: 5_000 }];
    let secure = target(format!("https://127.0.0.1:{https}/health?from=bench"));
    for (name, target, checks) in [
        ("HTTP", &plain, checks),
        ("HTTP, two assertions", &asserting, checks),
        ("HTTPS, full handshake", &secure, checks / 5),
    ] {
        runtime.block_on(run(name, &prober, target, checks))?;
    }
    drop(child.stdin.take());
    child.wait()?;
    Ok(())
}

fn target(url: String) -> Target {
    Target {
        url,
        method: "GET".to_owned(),
        headers: Default::default(),
        body: None,
        timeout_ms: 10_000,
        expected_status: "200-399".to_owned(),
        assertions: Vec::new(),
        follow_redirects: true,
        verify_tls: true,
        retries: 0,
    }
}

async fn run(name: &str, prober: &Arc<Prober>, target: &Target, checks: usize) -> anyhow::Result<()> {
    let batch = async |count: usize| {
        let mut running = JoinSet::new();
        let mut failure = None;
        for n in 0..count {
            let (prober, target) = (prober.clone(), target.clone());
            running.spawn(async move { prober.probe(&target).await });
            // In batches, as the checker gets them.
            if running.len() == 500 || n + 1 == count {
                while let Some(outcome) = running.join_next().await {
                    failure = outcome?.error.or(failure);
                }
            }
        }
        anyhow::Ok(failure)
    };
    ensure!(batch(checks / 20).await?.is_none(), "{name}: the target is not up");
    let (cpu, wall) = (cpu_time()?, Instant::now());
    if let Some(failure) = batch(checks).await? {
        anyhow::bail!("{name}: {}", failure.message);
    }
    let (cpu, wall) = (cpu_time()? - cpu, wall.elapsed());
    println!(
        "{name:24} {:>7.0} checks per CPU-second  ({:.0} µs of CPU each; {:.0} per second)",
        checks as f64 / cpu.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / checks as f64,
        checks as f64 / wall.as_secs_f64(),
    );
    Ok(())
}

/// Of this process, in user and kernel.
fn cpu_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/self/stat")?;
    let ticks: Vec<u64> = fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    // Linux counts in hundredths of a second here, whatever the kernel's own clock.
    Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
}

async fn serve() -> anyhow::Result<()> {
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_der = root.self_signed(&root_key)?.der().to_vec();
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?
        .signed_by(&key, &Issuer::new(root, root_key))?;
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?,
            )?;
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let (http, https) = (listen()?, listen()?);
    let root = BASE64_STANDARD.encode(root_der);
    println!("{} {} {root}", http.local_addr()?.port(), https.local_addr()?.port());
    std::io::stdout().flush()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = http.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = https.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream).await;
                }
            });
        }
    });
    // Until the benchmark closes its end.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

fn listen() -> anyhow::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    Ok(socket.listen(4096)?)
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = [0; 4096];
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 200\r\n\r\n{}",
        "x".repeat(200)
    );
    // The prober's request comes in one piece.
    if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
        let _ = stream.write_all(response.as_bytes()).await;
        let _ = stream.flush().await;
        // The client closes first, so the server keeps no port waiting.
        let _ = stream.read(&mut request).await;
    }
}
