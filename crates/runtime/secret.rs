//! Tokens, their hashes, sealing of secrets that must be read again; and randomness, injected.

use std::sync::{Arc, Mutex, PoisonError};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use anyhow::{Context as _, anyhow};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

use crate::{Env, FromEnv};

#[derive(Clone, Debug, Default)]
pub enum Random {
    #[default]
    System,
    /// Reproducible: for tests.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Self::System => rand::rng().fill_bytes(&mut bytes),
            Self::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes),
        }
        bytes
    }

    /// 256 random bits, as text that is safe in headers and URLs.
    pub fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }
}

/// The stored form of a token: enough to recognise it, useless to a thief. The token has 256 random bits,
/// so no slow hash is needed, and the timing of a look-up by the hash reveals nothing.
pub fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}

/// Seals secrets that must be read again, such as a notification's token: AES-256-GCM with
/// `ENCRYPTION_KEY` (32 bytes in URL-safe base64).
pub struct Sealer(Aes256Gcm);

impl FromEnv for Sealer {
    const NAMES: &[&str] = &["ENCRYPTION_KEY"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let key = URL_SAFE_NO_PAD
            .decode(env.required("ENCRYPTION_KEY")?.trim_end_matches('='))
            .ok()
            .and_then(|key| Aes256Gcm::new_from_slice(&key).ok())
            .context("ENCRYPTION_KEY must be 32 bytes in URL-safe base64")?;
        Ok(Self(key))
    }
}

const NONCE: usize = 12;

impl Sealer {
    /// `purpose` binds the sealed text to its use: it cannot be opened for another one.
    pub fn seal(&self, random: &Random, purpose: &str, plain: &str) -> anyhow::Result<String> {
        let nonce = random.bytes::<NONCE>();
        let sealed = self
            .0
            .encrypt(&nonce.into(), Payload { msg: plain.as_bytes(), aad: purpose.as_bytes() })
            .map_err(|_| anyhow!("sealing failed"))?;
        Ok(format!("v1.{}", URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())))
    }

    pub fn open(&self, purpose: &str, sealed: &str) -> anyhow::Result<String> {
        let bytes = sealed.strip_prefix("v1.").and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let bytes = bytes.filter(|b| b.len() > NONCE).context("not a sealed text")?;
        let (nonce, sealed) = bytes.split_at(NONCE);
        let nonce: [u8; NONCE] = nonce.try_into()?;
        let plain = self
            .0
            .decrypt(&nonce.into(), Payload { msg: sealed, aad: purpose.as_bytes() })
            .map_err(|_| anyhow!("cannot be opened: another ENCRYPTION_KEY, or tampered with"))?;
        Ok(String::from_utf8(plain)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_for_its_purpose_and_untouched() {
        let key = ("ENCRYPTION_KEY".to_owned(), URL_SAFE_NO_PAD.encode([7; 32]));
        let sealer = Sealer::from_env(&[key].into_iter().collect()).expect("a key");
        let sealed = sealer.seal(&Random::System, "channel", "xoxb-1").expect("seals");
        assert!(!sealed.contains("xoxb"));
        assert_eq!(sealer.open("channel", &sealed).expect("opens"), "xoxb-1");
        assert!(sealer.open("other", &sealed).is_err());
        let mut touched = sealed.into_bytes();
        let at = touched.len() - 2;
        touched[at] = if touched[at] == b'A' { b'B' } else { b'A' };
        assert!(sealer.open("channel", &String::from_utf8_lossy(&touched)).is_err());
        assert!(
            Sealer::from_env(&[("ENCRYPTION_KEY".to_owned(), "AAAA".to_owned())].into_iter().collect())
                .is_err()
        );
    }
}
