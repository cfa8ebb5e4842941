//! A PostgreSQL server for chaos, which can be stopped without warning and whose disk can be full; and ways
//! to get a database.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rand::RngExt;
use sqlx::Connection;

use crate::disk::{Disk, is_root, run};

pub struct Postgres {
    bin: PathBuf,
    dir: tempfile::TempDir,
    /// The disk of its data.
    pub disk: Option<Disk>,
    pub port: u16,
}

/// Twice the size of an empty server, plus a few databases.
const MEGABYTES: u32 = 256;
/// Few, so that they can be used up.
const MAX_CONNECTIONS: u32 = 100;

impl Postgres {
    /// `small`: its data is on a disk that can be full.
    pub fn start(small: bool) -> Result<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL: make test-packages")?;
        let newest = versions.flatten().map(|entry| entry.path().join("bin")).filter(|bin| bin.exists());
        let bin = newest.max().context("PostgreSQL is not installed: make test-packages")?;
        let dir = tempfile::tempdir()?;
        let data = dir.path().join("data");
        std::fs::create_dir(&data)?;
        let disk = small.then(|| Disk::mount(data.clone(), MEGABYTES)).transpose()?;
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(dir.path()).arg(&data))?;
        }
        let port = free_port()?;
        let server = Self { bin, dir, disk, port };
        run(server.tool("initdb").arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "--auth=trust",
            "--no-sync",
        ]))?;
        server.up()?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The server refuses to run as root.
    fn tool(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    }

    /// If two faults overlap, the first one that ends starts the server again.
    fn is_up(&self) -> bool {
        run(self.tool("pg_ctl").arg("-D").arg(self.data()).arg("status")).is_ok()
    }

    /// Committed data must survive a killed server, but not a power failure.
    pub fn up(&self) -> Result<()> {
        if self.is_up() {
            return Ok(());
        }
        let options = format!(
            "-h 127.0.0.1 -p {} -k {} -c fsync=off -c full_page_writes=off -c min_wal_size=32MB -c max_wal_size=48MB \
             -c max_connections={MAX_CONNECTIONS}",
            self.port,
            self.dir.path().display()
        );
        let (data, log) = (self.data(), self.dir.path().join("log"));
        run(self.tool("pg_ctl").arg("-D").arg(data).arg("-l").arg(log).args(["-w", "-o", &options, "start"]))
    }

    /// Repairs the server until it answers again: after a full disk it may have ended, and may have failed to
    /// start again.
    pub fn mend(&self) -> Result<()> {
        if let Some(disk) = &self.disk {
            disk.clear()?;
        }
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let started = self.up();
            let ready = run(Command::new(self.bin.join("pg_isready"))
                .args(["-U", "postgres", "-h", "127.0.0.1", "-p"])
                .arg(self.port.to_string()));
            match started.and(ready) {
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Like a crash: immediate, without a checkpoint.
    pub fn down(&self) -> Result<()> {
        if !self.is_up() {
            return Ok(());
        }
        run(self.tool("pg_ctl").arg("-D").arg(self.data()).args(["-m", "immediate", "-w", "stop"]))
    }

    pub fn url(&self, port: u16, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/{database}")
    }

    /// Creates a database for one user of it.
    pub async fn database(&self) -> Result<String> {
        let name = format!("chaos_{:016x}", rand::rng().random::<u64>());
        let mut admin = sqlx::PgConnection::connect(&self.url(self.port, "postgres")).await?;
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut admin).await?;
        Ok(name)
    }

    /// Fills the disk to the last byte, and also uses up the space reserved for the log, so that the server
    /// must write and cannot.
    pub async fn fill_disk(&self) -> Result<()> {
        const NEXT: &str = "SELECT pg_logical_emit_message(TRUE, 'chaos', 'full'); SELECT pg_switch_wal()";
        self.disk.as_ref().context("a small disk")?.fill()?;
        let Ok(mut admin) = sqlx::PgConnection::connect(&self.url(self.port, "postgres")).await else {
            return Ok(());
        };
        // One file of 16 MB each, until the server fails.
        for _ in 0..MEGABYTES / 16 {
            if sqlx::raw_sql(NEXT).execute(&mut admin).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Frees its space.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let mut admin = sqlx::PgConnection::connect(&self.url(self.port, "postgres")).await?;
        let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        sqlx::raw_sql(drop).execute(&mut admin).await?;
        Ok(())
    }

    /// Holds what `pg_dump` holds while it runs, until this is dropped: a snapshot, and a lock on each table.
    pub async fn dump(&self, database: &str) -> Result<sqlx::PgConnection> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
            DO $$ DECLARE name TEXT; BEGIN
                FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
                    EXECUTE format('LOCK TABLE %I IN ACCESS SHARE MODE', name);
                END LOOP;
            END $$";
        let mut dump = sqlx::PgConnection::connect(&self.url(self.port, database)).await?;
        sqlx::raw_sql(BEGIN).execute(&mut dump).await?;
        Ok(dump)
    }

    /// Takes all available connections; dropping them frees them.
    pub async fn occupy(&self, database: &str) -> Vec<sqlx::PgConnection> {
        let mut taken = Vec::new();
        let url = self.url(self.port, database);
        while let Ok(connection) = sqlx::PgConnection::connect(&url).await {
            taken.push(connection);
        }
        taken
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It may be down already.
        let _ = self.down();
    }
}

/// A free port to be bound later, outside the range from which the kernel assigns ports.
pub fn free_port() -> Result<u16> {
    let mut ports = (0..100).map(|_| rand::rng().random_range(10_000..32_000));
    let free = ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.context("a free port")
}
