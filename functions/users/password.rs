//! Passwords: argon2id, off the threads that serve requests.

use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, anyhow};
use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use runtime::{Error, Result};
use tokio::sync::Semaphore;

/// Each hash takes 19 MiB and a core for some milliseconds: a crowd at the door waits in line
/// instead of taking the machine's memory.
static AT_ONCE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(4)));

/// What an unknown user's password is compared with, so that the answer takes the same time.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password(b"nobody's password");
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

pub async fn hash(password: String) -> Result<String> {
    slowly(move || {
        let hash = Argon2::default().hash_password(password.as_bytes());
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
        Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && somebody)
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
