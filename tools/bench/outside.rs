//! External programs: databases, Debian's programs, and plain HTTP requests to a process.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::{Connection as _, PgConnection};

use crate::measure;

/// A process' answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// One request on a new connection; `request` is its request line and headers, without Host and
/// Content-Length.
pub fn ask(port: u16, request: &str, body: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let length = body.len();
    let head = format!(
        "{}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n",
        request.trim()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.context("no status")?, head: head.to_owned(), body: body.to_owned() })
}

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A serving process; dropping this ends it.
pub struct Served {
    pub child: Child,
    pub port: u16,
    /// Time from exec to the first 200.
    pub took: Duration,
}

impl Served {
    /// Waits for the first 200 of `path`.
    pub fn start(mut command: Command, port: u16, path: &str) -> Result<Self> {
        let began = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.with_context(|| format!("starting {:?}", command.get_program()))?;
        let mut served = Self { child, port, took: Duration::ZERO };
        loop {
            if TcpStream::connect(("127.0.0.1", port)).is_ok()
                && ask(port, &format!("GET {path} HTTP/1.1"), b"").is_ok_and(|answer| answer.status == 200)
            {
                served.took = began.elapsed();
                return Ok(served);
            }
            if let Some(status) = served.child.try_wait()? {
                bail!("{:?} ended: {status}", command.get_program());
            }
            ensure!(began.elapsed() < Duration::from_secs(30), "{:?} does not serve", command.get_program());
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn cpu(&self) -> Duration {
        measure::cpu_of(self.pid())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The output of `wrk` for a run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub requests: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub per_second: f64,
}

/// Sends requests on this number of connections, each as soon as the previous answer has arrived.
pub fn wrk(url: &str, connections: u32, seconds: f64, headers: &[String]) -> Result<Load> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "--latency", "--timeout", "30s", &format!("-c{connections}")]);
    // wrk takes whole seconds.
    command.arg(format!("-d{}s", seconds.ceil() as u64));
    for header in headers {
        command.args(["-H", header]);
    }
    let output = command.arg(url).output().context("wrk is missing: run make bench")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    let line = |word: &str| text.lines().find(|line| line.trim_start().starts_with(word));
    ensure!(line("Non-2xx").is_none(), "{url} refused: {text}");
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let latency = |part: &str| milliseconds(line(part)?.split_whitespace().nth(1)?);
    let per_second = line("Requests/sec:").and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let (Some(requests), Some(p50_ms), Some(p99_ms), Some(per_second)) =
        (requests, latency("50%"), latency("99%"), per_second)
    else {
        bail!("wrk says something else than it used to: {text}");
    };
    Ok(Load { requests, p50_ms, p99_ms, per_second })
}

fn milliseconds(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let factor = match &text[digits.len()..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 6e4,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * factor)
}

/// A program of this build, from the folder of this one.
pub fn beside(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    ensure!(program.exists(), "{} is not built: run make bench", program.display());
    Ok(program)
}

/// The PostgreSQL server of `TEST_POSTGRES_URL` (functions/tests/with-services).
#[derive(Clone)]
pub struct Postgres {
    url: String,
    server: u32,
}

impl Postgres {
    /// `None` without a server.
    pub async fn find() -> Result<Option<Self>> {
        let Ok(url) = std::env::var("TEST_POSTGRES_URL") else { return Ok(None) };
        let mut admin = PgConnection::connect(&url).await?;
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut admin).await?;
        let server = measure::parent_of(backend.try_into()?).context("PostgreSQL is on another machine")?;
        Ok(Some(Self { url, server }))
    }

    pub fn pid(&self) -> u32 {
        self.server
    }

    /// CPU time of the server and all its children.
    pub fn cpu(&self) -> Duration {
        measure::cpu_of_family(self.server)
    }

    /// Creates a database; an existing one of this name is deleted.
    pub async fn create(&self, name: &str) -> Result<String> {
        self.drop(name).await?;
        self.admin(&format!("CREATE DATABASE {name}")).await?;
        let (server, _) = self.url.rsplit_once('/').context("a URL with a database")?;
        Ok(format!("{server}/{name}"))
    }

    pub async fn drop(&self, name: &str) -> Result<()> {
        self.admin(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    /// Runs SQL as the server's owner.
    pub async fn admin(&self, sql: &str) -> Result<()> {
        let mut admin = PgConnection::connect(&self.url).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_wrk_writes_them() {
        let read = ["1.50ms", "500.00us", "1.20s", "1.00m", "fast"].map(milliseconds);
        assert_eq!(read, [Some(1.5), Some(0.5), Some(1200.0), Some(60_000.0), None]);
    }
}
