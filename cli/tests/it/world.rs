//! An engine, and a home folder for the test alone.

use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use pongpong::{Engine, Settings};
use serde_json::Value;
use tempfile::TempDir;

pub struct World {
    pub url: String,
    pub folder: TempDir,
    _engine: Engine,
}

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub const PASSWORD: &str = "a good password";

impl World {
    /// Without a user.
    pub async fn empty() -> Self {
        runtime::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let engine = pongpong::start(Settings::at(folder.path().join("data"))).await.unwrap();
        Self { url: format!("http://{}", engine.address), folder, _engine: engine }
    }

    /// With the user me@example.com, logged in.
    pub async fn new() -> Self {
        let world = Self::empty().await;
        world.signup("me@example.com").await;
        world
    }

    pub async fn signup(&self, email: &str) {
        self.run(self.pong(["signup", "--email", email, "--password-stdin"]), PASSWORD).await.does();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `pong`, independent of the environment.
    pub fn pong<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = pong(self.folder.path());
        command.env("PONG_API_URL", &self.url).args(args);
        command
    }

    pub async fn run(&self, command: Command, input: &str) -> Ran {
        run(command, input).await
    }

    /// Runs a line of arguments, which hold no blanks.
    pub async fn says(&self, line: &str) -> Ran {
        run(self.pong(line.split_whitespace()), "").await
    }

    /// Runs a line that must succeed; returns its output.
    pub async fn does(&self, line: &str) -> String {
        self.says(line).await.does()
    }

    pub async fn json(&self, line: &str) -> Value {
        let out = self.does(&format!("{line} --output json")).await;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"))
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Checks run in the background; repeats the command until their results are there.
    pub async fn until(&self, line: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..2_000 {
            let value = self.json(line).await;
            if is_there(&value) {
                return value;
            }
        }
        panic!("{line} never came to it")
    }
}

pub fn pong(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pong"));
    command.env_clear().env("HOME", home).env("XDG_CONFIG_HOME", home.join("config")).env("TZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub async fn run(mut command: Command, input: &str) -> Ran {
    let input = input.to_owned();
    // In a blocking task: the engine runs on.
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        // The command may not read its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Ran {
    #[track_caller]
    pub fn does(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Must end with this code, and print all these parts to standard error.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "{part} is missing: {}", self.err);
        }
        self.err
    }
}
