//! Passwords: argon2id, off the threads that serve requests.

use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, anyhow};
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use runtime::{Error, Result};
use tokio::sync::Semaphore;

/// Each hash takes 46 MiB and a core for some milliseconds: a crowd at the door waits in line
/// instead of taking the machine's memory.
static AT_ONCE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// 46 MiB in one pass, the first of OWASP's recommendations. The others, with less memory and more
/// passes, are as strong; but blocks under 32 MiB the C library keeps for every thread that ever
/// hashed, where larger ones go back to the system at once.
static ARGON2: LazyLock<Argon2<'_>> = LazyLock::new(|| {
    let params = Params::new(46 * 1024, 1, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
});

/// What an unknown user's password is compared with, so that the answer takes the same time.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash = ARGON2.hash_password(b"nobody's password");
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

pub async fn hash(password: String) -> Result<String> {
    slowly(move || {
        let hash = ARGON2.hash_password(password.as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|e| anyhow!("hashing failed: {e}"))
    })
    .await
}

/// Whether the password fits; `None` (nobody) never does, and takes as long.
pub async fn fits(password: String, hash: Option<String>) -> Result<bool> {
    slowly(move || {
        let somebody = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let hash = PasswordHash::new(&hash).map_err(|e| anyhow!("a stored hash cannot be read: {e}"))?;
        Ok(ARGON2.verify_password(password.as_bytes(), &hash).is_ok() && somebody)
    })
    .await
}

async fn slowly<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> Result<T> {
    let permit = Arc::clone(&AT_ONCE).acquire_owned().await.map_err(Error::internal)?;
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    Ok(done.await.context("hashing was interrupted")??)
}
