//! Passwords: argon2id, hashed outside the threads that serve requests.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use runtime::{Error, Result};
use tokio::sync::Semaphore;

use super::client::Client;
use crate::words;

/// Each hash takes 46 MiB and one core for some 40 milliseconds: concurrent hashes wait in a queue,
/// instead of using up the machine's memory.
static AT_ONCE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// 46 MiB in one pass, the first of OWASP's recommendations. The others, with less memory and more
/// passes, are as strong. But the C library keeps blocks under 32 MiB for every thread that ever hashed,
/// and returns larger ones to the system at once.
static ARGON2: LazyLock<Argon2<'_>> = LazyLock::new(|| {
    let params = Params::new(46 * 1024, 1, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
});

/// The hash that an unknown user's password is compared with, so that the response takes the same time.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash = ARGON2.hash_password(b"nobody's password");
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

/// The client and the account of a password. Each client and each account has a share of the queue of
/// hashes.
pub struct Asker<'a> {
    pub client: &'a Client,
    pub account: &'a str,
}

pub async fn hash(asker: Asker<'_>, password: String) -> Result<String> {
    slowly(asker, move || {
        let hash = ARGON2.hash_password(password.as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|e| anyhow!("hashing failed: {e}"))
    })
    .await
}

/// Whether the password matches; `None` (no user) never does, and takes as long.
pub async fn fits(asker: Asker<'_>, password: String, hash: Option<String>) -> Result<bool> {
    slowly(asker, move || {
        let somebody = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let hash = PasswordHash::new(&hash).map_err(|e| anyhow!("a stored hash cannot be read: {e}"))?;
        Ok(ARGON2.verify_password(password.as_bytes(), &hash).is_ok() && somebody)
    })
    .await
}

async fn slowly<T: Send + 'static>(
    asker: Asker<'_>,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T> {
    let place = Place::take(&asker)?;
    let permit = Arc::clone(&AT_ONCE).acquire_owned().await.map_err(Error::internal)?;
    let done = tokio::task::spawn_blocking(move || {
        let _held = (permit, place);
        work()
    });
    Ok(done.await.context("hashing was interrupted")??)
}

/// Places in the queue of one process, including running hashes. A hash takes some 40 ms of one of two
/// permits, so a client that uses its full share delays others by a third of a second, and a full queue
/// delays them by a second and a half.
const MAX_LINE: usize = 64;
const MAX_LINE_OF_CLIENT: usize = 16;
const MAX_LINE_OF_ACCOUNT: usize = 8;

static LINE: LazyLock<Mutex<HashMap<Share, usize>>> = LazyLock::new(Mutex::default);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Share {
    All,
    Client(String),
    Account(String),
}

impl Share {
    const fn max(&self) -> usize {
        match self {
            Self::All => MAX_LINE,
            Self::Client(_) => MAX_LINE_OF_CLIENT,
            Self::Account(_) => MAX_LINE_OF_ACCOUNT,
        }
    }
}

fn line() -> MutexGuard<'static, HashMap<Share, usize>> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place in the queue; released when dropped.
struct Place(Vec<Share>);

impl Place {
    fn take(asker: &Asker<'_>) -> Result<Self> {
        let mut shares = vec![Share::Account(asker.account.to_owned()), Share::All];
        // A client without a known network has no share: all such clients would have to share it.
        if !asker.client.network.is_empty() {
            shares.push(Share::Client(asker.client.network.clone()));
        }
        let mut line = line();
        if let Some(full) = shares.iter().find(|share| line.get(share).is_some_and(|n| *n >= share.max())) {
            return Err(match full {
                Share::All => Error::unavailable(anyhow!("{MAX_LINE} passwords wait to be hashed")),
                _ => too_many_at_once(),
            });
        }
        for share in &shares {
            *line.entry(share.clone()).or_default() += 1;
        }
        Ok(Self(shares))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = line();
        for share in &self.0 {
            if let Some(count) = line.get_mut(share) {
                *count -= 1;
                if *count == 0 {
                    line.remove(share);
                }
            }
        }
    }
}

fn too_many_at_once() -> Error {
    Error::too_many_requests("TOO_MANY_AT_ONCE", words::TOO_MANY_PASSWORDS_AT_ONCE, Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn line_of_hashes_is_shared_out_by_client_and_account() {
        let guesser = Client { network: "192.0.2.1".to_owned() };
        let guess = |n: usize| {
            let guesser = guesser.clone();
            async move {
                let account = format!("a{n}");
                hash(Asker { client: &guesser, account: &account }, "a guess".to_owned()).await
            }
        };
        let guesses = join_all((0..100).map(guess));
        let owner = async {
            tokio::task::yield_now().await;
            let client = Client { network: "192.0.2.2".to_owned() };
            fits(Asker { client: &client, account: "owner" }, "right".to_owned(), None).await
        };
        let (guesses, owner) = tokio::join!(guesses, owner);
        assert!(!owner.expect("the line has room for others"));
        let refused: Vec<_> = guesses.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused.len(), 100 - MAX_LINE_OF_CLIENT);
        assert!(refused.iter().all(|error| error.code() == "TOO_MANY_AT_ONCE"));
        // Many networks, one account.
        let same = join_all((0..10).map(async |n| {
            let client = Client { network: format!("198.51.100.{n}") };
            hash(Asker { client: &client, account: "victim" }, "a guess".to_owned()).await
        }));
        assert_eq!(same.await.iter().filter(|hashed| hashed.is_ok()).count(), MAX_LINE_OF_ACCOUNT);
        assert!(line().is_empty(), "every place is given back");
    }
}
