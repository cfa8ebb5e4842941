//! TLS: the handshake, whether the certificate is acceptable, and when it expires.
//!
//! The certificate is judged right after the handshake instead of within it. Nothing has been sent
//! by then, so this is as safe, and the certificate is at hand even if it is refused: people want
//! to see when the one that failed had expired.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use runtime::{
    guarded::{Metered, server_name},
    trust::ExtraRoots,
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{assertions::cut, failure};
use crate::contract::{Failure, FailureCode};

/// Shared by all checks of a process.
pub(super) struct Tls {
    strict: TlsConnector,
    lenient: TlsConnector,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Tls {
    pub(super) fn new(extra_roots: &ExtraRoots) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        Ok(Self {
            strict: connector(&provider, true)?,
            lenient: connector(&provider, false)?,
            verifier: WebPkiServerVerifier::builder_with_provider(Arc::new(extra_roots.store()?), provider)
                .build()?,
        })
    }

    /// `expires` is set as soon as there is a certificate, whatever is wrong with it.
    pub(super) async fn handshake(
        &self,
        stream: Metered,
        url: &Url,
        verify: bool,
        expires: &mut Option<DateTime<Utc>>,
    ) -> Result<TlsStream<Metered>, Failure> {
        let name = server_name(url).ok_or_else(|| {
            let text = format!(
                "No certificate can be valid for the name {}",
                cut(url.host_str().unwrap_or_default())
            );
            failure(FailureCode::TlsInvalid, text)
        })?;
        let connector = if verify { &self.strict } else { &self.lenient };
        let stream = connector
            .connect(name.clone(), stream)
            .await
            .map_err(|error| failure(FailureCode::TlsInvalid, handshake_message(&error)))?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let Some((leaf, intermediates)) = certificates.split_first() else {
            return Err(failure(FailureCode::TlsInvalid, "The server has no certificate"));
        };
        *expires = expiry(leaf);
        if verify {
            self.verifier.verify_server_cert(leaf, intermediates, &name, &[], UnixTime::now()).map_err(
                |error| failure(FailureCode::TlsInvalid, certificate_message(&error, url, *expires)),
            )?;
        }
        Ok(stream)
    }
}

fn connector(provider: &Arc<CryptoProvider>, strict: bool) -> anyhow::Result<TlsConnector> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(JudgedLater { provider: provider.clone(), strict }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Each check is to prove that a newcomer gets in: no shortcut by what an earlier check learned.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Leaves the certificate to `Tls::handshake`, but, if strict, has the server prove that it holds
/// the key.
#[derive(Debug)]
struct JudgedLater {
    provider: Arc<CryptoProvider>,
    strict: bool,
}

impl ServerCertVerifier for JudgedLater {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !self.strict {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !self.strict {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn expiry(leaf: &CertificateDer<'_>) -> Option<DateTime<Utc>> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}

fn certificate_message(error: &rustls::Error, url: &Url, expires: Option<DateTime<Utc>>) -> String {
    use CertificateError as Bad;
    let host = cut(url.host_str().unwrap_or_default());
    let rustls::Error::InvalidCertificate(bad) = error else {
        return format!("The certificate is not acceptable: {error}");
    };
    match bad {
        Bad::Expired | Bad::ExpiredContext { .. } => match expires {
            Some(at) => format!("The certificate expired on {}", at.format("%Y-%m-%d")),
            None => "The certificate has expired".to_owned(),
        },
        Bad::NotValidYetContext { not_before, .. } => {
            let from = i64::try_from(not_before.as_secs()).ok();
            match from.and_then(|secs| DateTime::from_timestamp(secs, 0)) {
                Some(from) => {
                    format!("The certificate is not valid before {}", from.format("%Y-%m-%d"))
                }
                None => "The certificate is not valid yet".to_owned(),
            }
        }
        Bad::NotValidYet => "The certificate is not valid yet".to_owned(),
        Bad::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            // rustls writes `DnsName("a.example")`: only the name is for people.
            let names = presented
                .iter()
                .map(|name| name.split('"').nth(1).unwrap_or(name))
                .collect::<Vec<_>>()
                .join(", ");
            format!("The certificate is not valid for {host}, only for {}", cut(&names))
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            format!("The certificate is not valid for {host}")
        }
        Bad::UnknownIssuer => "The certificate was not issued by a trusted authority (self-signed, or an \
             intermediate certificate is missing)"
            .to_owned(),
        Bad::BadSignature => "The signature of the certificate is wrong".to_owned(),
        Bad::Revoked => "The certificate was revoked".to_owned(),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "The certificate is not meant for servers".to_owned()
        }
        Bad::BadEncoding => "The certificate is malformed".to_owned(),
        Bad::UnsupportedSignatureAlgorithmContext { .. }
        | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "The certificate is signed in a way that is not supported or no longer safe".to_owned()
        }
        // webpki's own reasons have no better words than these.
        Bad::Other(other) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "The certificate is a CA's own, not one for a server (self-signed?)".to_owned()
            }
            other => format!("The certificate is not acceptable: {}", cut(other)),
        },
        other => format!("The certificate is not acceptable: {}", cut(&other.to_string())),
    }
}

fn handshake_message(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => "The server does not speak TLS on this port".to_owned(),
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("The server refused the TLS handshake: {}", spaced(&format!("{alert:?}")))
        }
        Some(rustls::Error::PeerIncompatible(_)) => {
            "The server supports no TLS version or cipher that is still safe (1.2 or newer)".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "The server's certificate is malformed or does not match its key".to_owned()
        }
        Some(other) => format!("The TLS handshake failed: {}", cut(&other.to_string())),
        None => "The server closed the connection during the TLS handshake".to_owned(),
    }
}

/// `UnrecognisedName` to `unrecognised name`.
fn spaced(name: &str) -> String {
    let mut text = String::new();
    for char in name.chars() {
        if char.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(char.to_lowercase());
    }
    text
}
