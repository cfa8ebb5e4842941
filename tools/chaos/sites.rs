//! The targets: a site for each endpoint, which chaos takes down and brings back.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::Router;

use crate::{
    plan::Outage,
    proxy::{Mode, Proxy},
};

pub struct Site {
    proxy: Proxy,
    status: Arc<AtomicU16>,
}

impl Site {
    pub async fn start(host: &str) -> Result<Self> {
        let status = Arc::new(AtomicU16::new(200));
        let answer = Arc::clone(&status);
        let app = Router::new().fallback(async move || {
            (http::StatusCode::from_u16(answer.load(Ordering::SeqCst)).unwrap_or_default(), "hello")
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Proxy::start(host, listener.local_addr()?).await?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { proxy, status })
    }

    pub fn address(&self) -> SocketAddr {
        self.proxy.address
    }

    pub fn down(&self, how: Outage) {
        match how {
            Outage::Status(status) => self.status.store(status, Ordering::SeqCst),
            Outage::Connection(mode) => self.proxy.set(mode),
        }
    }

    /// Hanging connections continue.
    pub fn pass(&self) {
        self.proxy.set(Mode::Pass);
    }

    /// Delays answers, so that a check is under way for a while. A site that is down stays down.
    pub fn slow(&self, slow: bool) {
        const SLOW: Mode = Mode::Slow(Duration::from_millis(150));
        let (from, to) = if slow { (Mode::Pass, SLOW) } else { (SLOW, Mode::Pass) };
        if self.proxy.mode() == from {
            self.proxy.set(to);
        }
    }

    /// Returns when the site answers: every later check is up.
    pub async fn up(&self) -> Result<()> {
        self.status.store(200, Ordering::SeqCst);
        self.proxy.set(Mode::Pass);
        let listens = async {
            while tokio::net::TcpStream::connect(self.address()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), listens).await.context("a target that was down")
    }
}
