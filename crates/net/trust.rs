//! Which certificate authorities are trusted: the public ones, which are compiled in, and those of the operator.

use anyhow::{Context as _, ensure};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The certificate authorities of the operator.
#[derive(Clone, Debug, Default)]
pub struct ExtraRoots(pub Vec<CertificateDer<'static>>);

impl ExtraRoots {
    /// Reads the path of a PEM file, or PEM text itself.
    pub fn read(given: &str) -> anyhow::Result<Self> {
        let read = if given.contains("-----BEGIN") {
            CertificateDer::pem_slice_iter(given.as_bytes()).collect::<Result<Vec<_>, _>>()
        } else {
            CertificateDer::pem_file_iter(given).and_then(Iterator::collect)
        };
        let roots = Self(read.context("no certificates")?);
        ensure!(!roots.0.is_empty(), "it holds no certificate");
        roots.store()?;
        Ok(roots)
    }

    /// These certificate authorities and the public ones.
    pub fn store(&self) -> anyhow::Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for root in &self.0 {
            store.add(root.clone())?;
        }
        Ok(store)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_certificate_is_refused() {
        let public = webpki_roots::TLS_SERVER_ROOTS.len();
        assert_eq!(ExtraRoots::default().store().unwrap().len(), public);
        let not_one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in ["/nonexistent/ca.pem", "/dev/null", "-----BEGIN NOTHING-----\n", not_one] {
            assert!(ExtraRoots::read(bad).is_err(), "{bad}");
        }
    }
}
