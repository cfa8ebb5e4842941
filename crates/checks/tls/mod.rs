//! TLS: the handshake, whether the certificate is valid, and when it expires.
//!
//! The certificate is judged right after the handshake instead of within it. Nothing has been sent by then, so this
//! is as safe, and the certificate is available even if it is refused: users want to see when a refused certificate
//! expired.

#[cfg(feature = "legacy-tls")]
mod legacy;
mod p521;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use net::{
    guarded::{Metered, Stream, server_name},
    trust::ExtraRoots,
};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use tokio_rustls::TlsConnector;
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

#[cfg(feature = "legacy-tls")]
use std::sync::LazyLock;

#[cfg(feature = "legacy-tls")]
use self::legacy::LegacyTls;
use crate::{
    cut, failure,
    progress::{CLIENT_CERTIFICATE_REQUIRED, Progress},
};
use contract::{Failure, FailureCode};

/// Shared by all checks of a process.
pub(crate) struct Tls {
    strict: TlsConnector,
    lenient: TlsConnector,
    verifier: Arc<WebPkiServerVerifier>,
    /// Created for the first check that needs it: OpenSSL takes milliseconds to start.
    #[cfg(feature = "legacy-tls")]
    legacy: LazyLock<LegacyTls>,
}

/// The TLS settings of a check.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) verify: bool,
    /// Whether old versions and ciphers are accepted, too.
    #[cfg_attr(not(feature = "legacy-tls"), expect(dead_code, reason = "a target that wants it is refused"))]
    pub(crate) legacy: bool,
}

impl Tls {
    pub(crate) fn new(extra_roots: &ExtraRoots) -> anyhow::Result<Self> {
        let provider = Arc::new(p521::provider());
        Ok(Self {
            strict: connector(&provider, true)?,
            lenient: connector(&provider, false)?,
            verifier: WebPkiServerVerifier::builder_with_provider(Arc::new(extra_roots.store()?), provider)
                .build()?,
            #[cfg(feature = "legacy-tls")]
            legacy: LazyLock::new(LegacyTls::new),
        })
    }

    /// The expiry is stored as soon as there is a certificate, whatever is wrong with it.
    pub(crate) async fn handshake(
        &self,
        stream: Metered,
        url: &Url,
        wanted: Wanted,
        progress: &mut Progress,
    ) -> Result<Stream, Failure> {
        let name = server_name(url).ok_or_else(|| {
            let text = format!(
                "No certificate can be valid for the name {}",
                cut(url.host_str().unwrap_or_default())
            );
            failure(FailureCode::TlsInvalid, text)
        })?;
        let judge = |certificates: &[CertificateDer<'_>], progress: &mut Progress| {
            self.judge(certificates, &name, url, wanted.verify, progress)
        };
        #[cfg(feature = "legacy-tls")]
        if wanted.legacy {
            let meter = Arc::clone(&stream.meter);
            let stream = Box::pin(self.legacy.handshake(stream, &name)).await;
            let stream = stream.map_err(|error| failure(FailureCode::TlsInvalid, legacy::reason(&error)))?;
            judge(&legacy::certificates(&stream), progress)?;
            return Ok(Stream::OtherTls(Box::new(stream), meter));
        }
        let connector = if wanted.verify { &self.strict } else { &self.lenient };
        let handshake = ClientCertificate::watch(connector.connect(name.clone(), stream));
        let (stream, is_asked) = handshake.await;
        progress.client_certificate_asked = is_asked;
        match stream {
            Ok(stream) => {
                judge(stream.get_ref().1.peer_certificates().unwrap_or_default(), progress)?;
                Ok(Stream::Tls(Box::new(stream)))
            }
            Err(error) => {
                let failure = failure(FailureCode::TlsInvalid, handshake_message(&error, is_asked));
                let may_be_old = !is_asked && may_be_old(&error);
                Err(if may_be_old { self.explained(failure, &name, url, progress).await } else { failure })
            }
        }
    }

    fn judge(
        &self,
        certificates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        url: &Url,
        verify: bool,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let Some((leaf, intermediates)) = certificates.split_first() else {
            return Err(failure(FailureCode::TlsInvalid, "The server has no certificate"));
        };
        let (own, now) = (expiry(leaf), Utc::now());
        // An expired certificate that is not the server's own is not needed, or the chain is refused.
        let others = intermediates.iter().filter_map(expiry).filter(|at| *at > now);
        // Over redirects, the certificates of each server count.
        progress.certificate_expires_at =
            progress.certificate_expires_at.into_iter().chain(own).chain(others).min();
        if verify {
            self.verifier
                .verify_server_cert(leaf, intermediates, name, &[], UnixTime::now())
                .map_err(|error| failure(FailureCode::TlsInvalid, certificate_message(&error, url, own)))?;
        }
        Ok(())
    }

    /// Adds what the server offers instead to a refusal, if that can be found out.
    #[cfg(feature = "legacy-tls")]
    async fn explained(
        &self,
        refused: Failure,
        name: &ServerName<'_>,
        url: &Url,
        progress: &mut Progress,
    ) -> Failure {
        let (Some(ip), Some(port)) = (progress.ip, url.port_or_known_default()) else { return refused };
        // If the check times out in the meantime, this failure is reported.
        progress.failure = Some(refused.clone());
        // The address was judged and connected to before.
        let offered = Box::pin(self.legacy.offered((ip, port).into(), name)).await;
        progress.failure = None;
        let Some(offered) = offered else { return refused };
        let text =
            format!("The server offers only old TLS ({offered}): set legacy_tls to check it all the same");
        failure(FailureCode::TlsInvalid, text)
    }

    #[cfg(not(feature = "legacy-tls"))]
    async fn explained(&self, refused: Failure, _: &ServerName<'_>, _: &Url, _: &mut Progress) -> Failure {
        let text = format!(
            "{}. If it offers only old TLS (before 1.2, or with CBC, RSA key exchange or DHE), legacy_tls would allow \
             that, which this pongpong was built without",
            refused.message
        );
        failure(FailureCode::TlsInvalid, text)
    }
}

/// Whether a server refused what rustls offered, and may accept something older.
fn may_be_old(error: &std::io::Error) -> bool {
    use AlertDescription as Alert;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => matches!(
            alert,
            Alert::HandshakeFailure
                | Alert::ProtocolVersion
                | Alert::InsufficientSecurity
                | Alert::IllegalParameter
                | Alert::InternalError
                | Alert::CloseNotify
        ),
        Some(rustls::Error::PeerIncompatible(_)) => true,
        Some(_) => false,
        // Some servers just close the connection.
        None => {
            matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset)
        }
    }
}

fn connector(provider: &Arc<CryptoProvider>, strict: bool) -> anyhow::Result<TlsConnector> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(JudgedLater { provider: provider.clone(), strict }))
        .with_client_cert_resolver(Arc::new(ClientCertificate));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Each check has to prove that a new client can connect: no shortcut with data of an earlier check.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// pongpong has no client certificate, but whether the server asked for one explains its behaviour. rustls does not
/// report which connection it was; a handshake does not change its thread while it is polled.
#[derive(Debug)]
struct ClientCertificate;

thread_local! {
    static IS_ASKED: Cell<bool> = const { Cell::new(false) };
}

impl ClientCertificate {
    async fn watch<T>(handshake: impl Future<Output = T>) -> (T, bool) {
        let mut handshake = pin!(handshake);
        let mut is_asked = false;
        let done = poll_fn(|cx| {
            IS_ASKED.set(false);
            let polled = handshake.as_mut().poll(cx);
            is_asked |= IS_ASKED.get();
            polled
        });
        let done = done.await;
        (done, is_asked)
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        IS_ASKED.set(true);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Whether a connection ended because there was no client certificate: in TLS 1.3, a server reports this after the
/// handshake.
pub(crate) fn wants_client_certificate(error: &rustls::Error, is_asked: bool) -> bool {
    use AlertDescription as Alert;
    match error {
        rustls::Error::AlertReceived(Alert::CertificateRequired) => true,
        rustls::Error::AlertReceived(alert) => {
            is_asked
                && matches!(
                    alert,
                    Alert::HandshakeFailure
                        | Alert::NoCertificate
                        | Alert::BadCertificate
                        | Alert::UnsupportedCertificate
                        | Alert::CertificateUnknown
                        | Alert::UnknownCA
                        | Alert::AccessDenied
                )
        }
        _ => false,
    }
}

/// Leaves the certificate to `Tls::handshake`. If strict, the server still has to prove that it holds the key.
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

fn expiry(certificate: &CertificateDer<'_>) -> Option<DateTime<Utc>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}

fn certificate_message(error: &rustls::Error, url: &Url, expires: Option<DateTime<Utc>>) -> String {
    use CertificateError as Bad;
    let host = cut(url.host_str().unwrap_or_default());
    let rustls::Error::InvalidCertificate(bad) = error else {
        return format!("The certificate is invalid: {error}");
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
            // rustls writes `DnsName("a.example")`: only the name is shown to users.
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
        // webpki's own reasons need no better text than these.
        Bad::Other(other) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "The certificate is a CA's own, not one for a server (self-signed?)".to_owned()
            }
            other => format!("The certificate is invalid: {}", cut(other)),
        },
        other => format!("The certificate is invalid: {}", cut(&other.to_string())),
    }
}

fn handshake_message(error: &std::io::Error, is_client_certificate_asked: bool) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(error) if wants_client_certificate(error, is_client_certificate_asked) => {
            CLIENT_CERTIFICATE_REQUIRED.to_owned()
        }
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
        None if is_client_certificate_asked => {
            format!("{CLIENT_CERTIFICATE_REQUIRED}: it closed the connection when it got none")
        }
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
