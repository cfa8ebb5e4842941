//! The targets of checks: a server in a separate process, so that its CPU time is not counted.
//!
//! Each answer has a body of 200 bytes and ends its connection; over HTTPS each connection is a full TLS 1.3
//! handshake with an ECDSA P-256 certificate of an authority made for the run.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
};
use tokio_rustls::TlsAcceptor;

/// Delay of `/slow`.
const SLOW: Duration = Duration::from_millis(500);

pub struct Targets {
    pub http: u16,
    pub https: u16,
    /// A port on which nothing listens.
    pub refused: u16,
    /// The authority, as DER and as a PEM file.
    pub root: Vec<u8>,
    child: Child,
}

impl Targets {
    pub fn start() -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut child =
            Command::new(program).arg("targets").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let [http, https, refused, root] = line.trim().split(' ').collect::<Vec<_>>()[..] else {
            bail!("the targets did not start: {line}");
        };
        Ok(Self {
            http: http.parse()?,
            https: https.parse()?,
            refused: refused.parse()?,
            root: BASE64_STANDARD.decode(root)?,
            child,
        })
    }

    pub fn write_root(&self, file: &Path) -> Result<()> {
        let body = BASE64_STANDARD.encode(&self.root);
        let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        Ok(fs::write(file, pem)?)
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends.
pub async fn serve() -> Result<()> {
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_der = root.self_signed(&root_key)?.der().to_vec();
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?
        .signed_by(&key, &Issuer::new(root, root_key))?;
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?,
            )?;
    // No client resumes a session.
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let (http, https) = (listen()?, listen()?);
    // Bound, but not listening.
    let refused = TcpSocket::new_v4()?;
    refused.bind("127.0.0.1:0".parse()?)?;
    let ports = [http.local_addr()?.port(), https.local_addr()?.port(), refused.local_addr()?.port()];
    println!("{} {} {} {}", ports[0], ports[1], ports[2], BASE64_STANDARD.encode(root_der));
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
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

fn listen() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    Ok(socket.listen(4096)?)
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = [0; 4096];
    // Every client here sends its request in one piece.
    let Ok(read @ 1..) = stream.read(&mut request).await else { return };
    let line = &request[..read];
    let status = if line.starts_with(b"GET /failing") { "500 Internal Server Error" } else { "200 OK" };
    if line.starts_with(b"GET /hanging") || line.starts_with(b"POST /hanging") {
        // Until the client gives up.
        while matches!(stream.read(&mut request).await, Ok(1..)) {}
        return;
    }
    if line.starts_with(b"GET /slow") {
        tokio::time::sleep(SLOW).await;
    }
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 200\r\nConnection: close\r\n\r\n{}{}",
        r#"{"status":"ok","queue":{"length":7}}"#,
        " ".repeat(164)
    );
    let _ = stream.write_all(response.as_bytes()).await;
    let _ = stream.flush().await;
    // This side closes first, so that the port waits here: a client that closed first would have no free
    // ports after some 14,000 connections, and would spend its time looking for one.
    let _ = stream.shutdown().await;
    let _ = stream.read(&mut request).await;
}
