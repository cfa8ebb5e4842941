//! Old TLS, for checks that ask for it: OpenSSL supports what rustls rejects for good reasons. Certificates are not
//! verified here.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use net::guarded::{self, Metered};
use openssl::{
    error::ErrorStack,
    pkey::Id,
    ssl::{
        Error, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
        SslVerifyMode, SslVersion,
    },
};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_openssl::SslStream;

use crate::{cut, progress::CLIENT_CERTIFICATE_REQUIRED};

/// All ciphers except those that prove nothing about the server.
const CIPHERS: &str = "ALL:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=0";
/// Servers from before RFC 5746 (2010) cannot renegotiate safely. No connection is renegotiated here.
const LEGACY_SERVER_CONNECT: SslOptions = SslOptions::from_bits_retain(4);

const OFFER_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct LegacyTls(SslContext);

impl LegacyTls {
    pub(crate) fn new() -> Self {
        // A panic is a defect of pongpong, and not a failure of the target.
        Self(context().expect("OpenSSL takes these settings"))
    }

    pub(crate) async fn handshake(
        &self,
        stream: Metered,
        name: &ServerName<'_>,
    ) -> Result<SslStream<Metered>, Error> {
        let mut ssl = Ssl::new(&self.0)?;
        if let ServerName::DnsName(name) = name {
            ssl.set_hostname(name.as_ref())?;
        }
        let mut stream = SslStream::new(ssl, stream)?;
        Pin::new(&mut stream).connect().await?;
        Ok(stream)
    }

    /// What a server offers after it refused a handshake by rustls. Makes another handshake, which permits all old
    /// versions and ciphers, and sends no request.
    pub(crate) async fn offered(&self, address: SocketAddr, name: &ServerName<'_>) -> Option<String> {
        let offered = async {
            let stream = guarded::connect(&[address]).await.ok()?;
            let _ = stream.set_zero_linger();
            let stream = self.handshake(Metered::new(stream), name).await.ok()?;
            // rustls supports this as well: the first refusal was an accident.
            (!is_modern(&stream)).then(|| agreed(&stream))
        };
        tokio::time::timeout(OFFER_TIMEOUT, offered).await.ok().flatten()
    }
}

fn context() -> Result<SslContext, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::tls_client())?;
    context.set_min_proto_version(Some(SslVersion::TLS1))?;
    context.set_cipher_list(CIPHERS)?;
    context.set_alpn_protos(b"\x08http/1.1")?;
    // The certificate is judged after the handshake; the handshake itself proves that the server has the key.
    context.set_verify(SslVerifyMode::NONE);
    // Many servers close without TLS's close_notify. HTTP decides whether something is missing.
    context.set_options(
        LEGACY_SERVER_CONNECT | SslOptions::IGNORE_UNEXPECTED_EOF | SslOptions::NO_RENEGOTIATION,
    );
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_mode(SslMode::RELEASE_BUFFERS);
    Ok(context.build())
}

/// The certificates, leaf first.
pub(crate) fn certificates(stream: &SslStream<Metered>) -> Vec<CertificateDer<'static>> {
    let chain = stream.ssl().peer_cert_chain().into_iter().flatten();
    chain.filter_map(|certificate| certificate.to_der().ok()).map(CertificateDer::from).collect()
}

/// Whether rustls could have agreed to the same parameters.
fn is_modern(stream: &SslStream<Metered>) -> bool {
    let ssl = stream.ssl();
    let cipher = ssl.current_cipher().map_or("", |cipher| cipher.name());
    let is_known = match ssl.version_str() {
        "TLSv1.3" => true,
        "TLSv1.2" => {
            cipher.starts_with("ECDHE-") && (cipher.contains("-GCM-") || cipher.contains("CHACHA20"))
        }
        _ => false,
    };
    is_known && !is_x448(stream)
}

/// The only key exchange that OpenSSL supports and rustls does not.
fn is_x448(stream: &SslStream<Metered>) -> bool {
    stream.ssl().peer_tmp_key().is_ok_and(|key| key.id() == Id::X448)
}

/// What a server agreed to: `TLS 1.2 with DHE-RSA-AES128-SHA`.
fn agreed(stream: &SslStream<Metered>) -> String {
    let ssl = stream.ssl();
    let version = ssl.version_str().replace("TLSv1", "TLS 1");
    let version = if version == "TLS 1" { "TLS 1.0" } else { &version };
    let cipher = ssl.current_cipher().map_or("an unknown cipher", |cipher| cipher.name());
    let exchange = if is_x448(stream) { " and key exchange by X448" } else { "" };
    format!("{version} with {cipher}{exchange}")
}

/// Why a handshake failed.
pub(crate) fn reason(error: &Error) -> String {
    let Some(stack) = error.ssl_error() else {
        return "The server closed the connection during the TLS handshake".to_owned();
    };
    let reason = stack.errors().iter().rev().find_map(|error| error.reason()).unwrap_or("unknown");
    match reason {
        "wrong version number" | "http request" | "packet length too long" | "record layer failure" => {
            "The server does not speak TLS on this port".to_owned()
        }
        reason if reason.contains("certificate required") => CLIENT_CERTIFICATE_REQUIRED.to_owned(),
        reason => match reason.split_once(" alert ") {
            Some((_, alert)) => format!("The server refused the TLS handshake: {}", cut(alert)),
            None => format!("The TLS handshake failed: {}", cut(reason)),
        },
    }
}
