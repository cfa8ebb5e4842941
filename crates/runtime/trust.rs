//! Which certificate authorities are trusted: the public ones, which are compiled in, and those of
//! whoever runs this.

use anyhow::{Context as _, ensure};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{Env, FromEnv};

/// `EXTRA_CA_CERTS`: a PEM file's path, or PEM itself, which a ConfigMap hands in without a volume.
#[derive(Clone, Debug, Default)]
pub struct ExtraRoots(pub Vec<CertificateDer<'static>>);

impl FromEnv for ExtraRoots {
    const NAMES: &[&str] = &["EXTRA_CA_CERTS"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let Some(given) = env.get("EXTRA_CA_CERTS") else { return Ok(Self::default()) };
        let read = if given.contains("-----BEGIN") {
            CertificateDer::pem_slice_iter(given.as_bytes()).collect::<Result<Vec<_>, _>>()
        } else {
            CertificateDer::pem_file_iter(given).and_then(Iterator::collect)
        };
        let roots = Self(read.context("EXTRA_CA_CERTS is not acceptable")?);
        ensure!(!roots.0.is_empty(), "EXTRA_CA_CERTS holds no certificate");
        roots.store().context("EXTRA_CA_CERTS is not acceptable")?;
        Ok(roots)
    }
}

impl ExtraRoots {
    /// These, and the public ones.
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

    fn read(value: &str) -> anyhow::Result<ExtraRoots> {
        ExtraRoots::from_env(&Env::from_iter([("EXTRA_CA_CERTS".to_owned(), value.to_owned())]))
    }

    #[test]
    fn what_is_not_a_certificate_is_refused() {
        let public = webpki_roots::TLS_SERVER_ROOTS.len();
        assert_eq!(read("").unwrap().store().unwrap().len(), public);
        let not_one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in ["/nonexistent/ca.pem", "/dev/null", "-----BEGIN NOTHING-----\n", not_one] {
            let error = read(bad).unwrap_err();
            assert!(error.to_string().contains("EXTRA_CA_CERTS"), "{bad}: {error:#}");
        }
    }
}
