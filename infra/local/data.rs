//! The data folder: its permissions, its lock, and the secrets in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use runtime::{
    Env, FromEnv,
    secret::{Random, Sealer},
};
use serde::{Deserialize, Serialize};

/// A data folder that is locked for this process while this value lives.
#[derive(Debug)]
pub struct Data {
    pub path: PathBuf,
    _lock: File,
}

/// Made on the first start. Data sealed with lost secrets cannot be opened.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The gateway proves with it that a request passed through it.
    pub gateway_token: String,
    /// Seals the secrets of notifications and endpoints.
    pub encryption_key: String,
    /// The admin API requires it. Added to older folders, which have none.
    #[serde(default)]
    pub admin_token: String,
}

impl Secrets {
    /// Secrets from the environment replace those in the folder.
    pub fn or_given(self, env: &Env) -> Result<Self> {
        if env.get("ENCRYPTION_KEY").is_some() {
            Sealer::from_env(env)?;
        }
        // Tokens are used in headers, and as text in Kong's file.
        let token = |name: &str, made: String| match env.get(name) {
            Some(given) => {
                let plain = given.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
                ensure!(plain, "{name} may hold letters, digits and -._~+/= only");
                Ok(given.to_owned())
            }
            None => Ok(made),
        };
        Ok(Self {
            gateway_token: token("GATEWAY_TOKEN", self.gateway_token)?,
            encryption_key: env.get("ENCRYPTION_KEY").map_or(self.encryption_key, str::to_owned),
            admin_token: token("KONG_ADMIN_TOKEN", self.admin_token)?,
        })
    }
}

impl Data {
    pub fn open(path: &Path) -> Result<Self> {
        let named = || format!("the data folder {}", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(named)?;
        fs::set_permissions(path, Permissions::from_mode(0o700)).with_context(named)?;
        let path = path.canonicalize().with_context(named)?;
        let lock = private().create(true).truncate(false).open(path.join("lock")).with_context(named)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another pongpong runs on {}: stop it, or choose another folder with --data", named())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", named())),
        }
    }

    /// The secrets of this folder; created if there are none.
    pub fn secrets(&self, random: &Random) -> Result<Secrets> {
        let path = self.path.join("secrets.json");
        let named = || format!("the secrets in {}", path.display());
        match fs::read(&path) {
            // The error message must not quote the file.
            Ok(text) => match serde_json::from_slice::<Secrets>(&text) {
                Ok(secrets) if secrets.admin_token.is_empty() => {
                    self.keep(&path, Secrets { admin_token: random.token(), ..secrets }).with_context(named)
                }
                Ok(secrets) => Ok(secrets),
                Err(_) => bail!("{} are not readable as such", named()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secrets = Secrets {
                    gateway_token: random.token(),
                    encryption_key: random.token(),
                    admin_token: random.token(),
                };
                self.keep(&path, secrets).with_context(named)
            }
            Err(error) => Err(error).with_context(named),
        }
    }

    fn keep(&self, path: &Path, secrets: Secrets) -> Result<Secrets> {
        self.write_whole(path, &serde_json::to_vec_pretty(&secrets)?)?;
        Ok(secrets)
    }

    /// Writes a file atomically.
    fn write_whole(&self, path: &Path, content: &[u8]) -> Result<()> {
        let draft = path.with_extension("new");
        let mut file = private().create(true).truncate(true).open(&draft)?;
        // A leftover draft may have another mode.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(&self.path)?.sync_all()?;
        Ok(())
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        let data = Data::open(&path).expect("opens");
        let first = data.secrets(&Random::System).expect("secrets");
        let again = data.secrets(&Random::System).expect("secrets");
        assert_eq!(first.gateway_token, again.gateway_token);
        assert_ne!(first.gateway_token, first.encryption_key);
        assert_eq!(first.encryption_key.len(), 43);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("secrets.json"))), (0o700, 0o600));
    }

    #[test]
    fn secrets_of_before_the_admin_token_get_one_and_stay_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = Data::open(folder.path()).expect("opens");
        let old = r#"{"gateway_token":"g","encryption_key":"e"}"#;
        fs::write(folder.path().join("secrets.json"), old).expect("writes");
        let first = data.secrets(&Random::System).expect("secrets");
        assert_eq!((first.gateway_token.as_str(), first.encryption_key.as_str()), ("g", "e"));
        assert_eq!(first.admin_token.len(), 43);
        assert_eq!(data.secrets(&Random::System).expect("secrets").admin_token, first.admin_token);
    }

    #[test]
    fn what_the_environment_gives_is_taken_if_it_is_good_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = Data::open(folder.path()).expect("opens");
        let given = |name: &str, value: &str| {
            let env = [(name.to_owned(), value.to_owned())].into_iter().collect();
            data.secrets(&Random::System).expect("secrets").or_given(&env)
        };
        let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        assert_eq!(given("ENCRYPTION_KEY", key).expect("taken").encryption_key, key);
        assert_eq!(given("GATEWAY_TOKEN", "g.1").expect("taken").gateway_token, "g.1");
        assert_eq!(given("KONG_ADMIN_TOKEN", "a-1").expect("taken").admin_token, "a-1");
        let made = data.secrets(&Random::System).expect("secrets");
        let kept = given("GATEWAY_TOKEN", "").expect("none is given");
        assert_eq!((kept.gateway_token, kept.admin_token), (made.gateway_token, made.admin_token));
        for (name, value) in
            [("ENCRYPTION_KEY", "BwcHBwc"), ("GATEWAY_TOKEN", "a\"b"), ("KONG_ADMIN_TOKEN", "a b")]
        {
            let refused = given(name, value).err().expect("refused").to_string();
            assert!(refused.contains(name) && !refused.contains(value), "{refused}");
        }
    }

    #[test]
    fn a_second_engine_is_refused_and_a_broken_file_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = Data::open(folder.path()).expect("opens");
        let refused = Data::open(folder.path()).expect_err("held").to_string();
        assert!(refused.contains("another pongpong runs on"), "{refused}");
        drop(data);
        let data = Data::open(folder.path()).expect("opens again");
        fs::write(folder.path().join("secrets.json"), "{").expect("writes");
        assert!(data.secrets(&Random::System).is_err());
        assert_eq!(fs::read_to_string(folder.path().join("secrets.json")).expect("reads"), "{");
    }
}
