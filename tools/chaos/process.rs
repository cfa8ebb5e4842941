//! Programs in separate processes, with a clock that chaos moves, and their output.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
};

/// Cargo builds it beside this program.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let program = here.parent().context("no folder")?.join(name);
    anyhow::ensure!(program.exists(), "{} is not built: make chaos", program.display());
    Ok(program)
}

/// The output of all processes of a world in a file, and the parts of it that matter.
pub struct Log {
    pub path: PathBuf,
    file: Mutex<File>,
    /// Checks that check-run reported as too late. A repeated delivery is counted again.
    pub too_late: AtomicI64,
    /// Panics and other faults that must never occur.
    faults: Mutex<Vec<String>>,
}

impl Log {
    pub fn at(path: &Path) -> Result<Arc<Self>> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            file: Mutex::new(file),
            too_late: AtomicI64::new(0),
            faults: Mutex::default(),
        }))
    }

    /// Adds a line of chaos to the log.
    pub fn say(&self, what: &str) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // An unwritable log is no reason to stop.
        let _ = writeln!(file, "{what}");
    }

    fn hear(&self, who: &str, line: &str) {
        if line.contains("panicked at") {
            self.fault(&format!("{who}: {line}"));
        }
        if line.contains("the next ones were due before they began")
            && let Ok(said) = serde_json::from_str::<Value>(line)
        {
            self.too_late.fetch_add(said["missed"].as_i64().unwrap_or_default(), Ordering::SeqCst);
        }
        self.say(&format!("{who}: {line}"));
    }

    pub fn fault(&self, what: &str) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
        self.say(&format!("chaos: {what}"));
    }

    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Killed, as by `kill -9`, when it is dropped.
pub struct Process {
    child: Child,
    input: ChildStdin,
    /// The address of the engine's gateway, once it is printed.
    pub listening: watch::Receiver<Option<String>>,
}

impl Process {
    pub fn spawn(mut command: Command, who: &str, log: &Arc<Log>) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let (said, listening) = watch::channel(None);
        listen(child.stdout.take(), who, log, said);
        listen(child.stderr.take(), who, log, watch::Sender::new(None));
        let input = child.stdin.take().context("no standard input")?;
        Ok(Self { child, input, listening })
    }

    /// Advances the clock; no effect on a process that has ended.
    pub async fn advance(&mut self, seconds: i64) {
        let _ = self.input.write_all(format!("advance {seconds}\n").as_bytes()).await;
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// `kill -9`; returns when the process has ended.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        let id = self.child.id().context("it has ended")?;
        super::disk::run(std::process::Command::new("kill").arg(id.to_string()))
    }

    pub async fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        Ok(tokio::time::timeout(timeout, self.child.wait()).await.context("it does not end")??)
    }

    /// Resident memory, in bytes.
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }
}

fn listen(
    output: Option<impl AsyncRead + Unpin + Send + 'static>,
    who: &str,
    log: &Arc<Log>,
    said: watch::Sender<Option<String>>,
) {
    let Some(output) = output else { return };
    let (who, log) = (who.to_owned(), Arc::clone(log));
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(address) = line.strip_prefix("listening ") {
                said.send_replace(Some(format!("http://{address}")));
            } else if line != "advanced" {
                log.hear(&who, &line);
            }
        }
    });
}
