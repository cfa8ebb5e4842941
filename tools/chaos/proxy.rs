//! A TCP proxy that can misbehave, between pongpong and PostgreSQL, the mail server, Slack and the webhook.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Refuses new connections and resets open ones.
    Refuse,
    /// Data arrives when this mode ends.
    Hang,
    /// Like a failover: open connections carry no data and are reset when this mode ends; new ones work.
    Freeze,
    /// Delays every piece by this time.
    Slow(Duration),
    /// Accepts data, but closes its sending side without an answer.
    HalfClosed,
    /// Answers with data that fits no protocol.
    Garbage,
    /// Resets the connection after this many bytes of the answer.
    BreakOff(usize),
}

pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
}

const GARBAGE: &[u8] = b"\x16\x03\x01 HTTP/9.9 2x0 \xff\xfe\x00 come again?\r\n\r\n\x00\x00\x00";

impl Proxy {
    /// Listens on a free port of `host`.
    pub async fn start(host: &str, to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((host, 0)).await?;
        let address = listener.local_addr()?;
        let mode = watch::Sender::new(Mode::Pass);
        tokio::spawn(serve(listener, address, to, mode.subscribe()));
        Ok(Self { address, mode })
    }

    pub fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn serve(first: TcpListener, address: SocketAddr, to: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let mut listener = Some(first);
    loop {
        let now = *mode.borrow_and_update();
        if now == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            // The port is free, apart from old connections in the kernel, which do not matter.
            listener = TcpListener::bind(address).await.ok();
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await.ok(),
                None if now == Mode::Refuse => std::future::pending().await,
                None => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    None
                }
            }
        };
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            client = accepted => if let Some((client, _)) = client {
                tokio::spawn(carry(client, to, mode.clone()));
            },
        }
    }
}

/// Carries one connection to its end. Errors are expected.
async fn carry(mut client: TcpStream, to: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let is_new = *mode.borrow() == Mode::Freeze;
    let Ok(mut server) = TcpStream::connect(to).await else { return reset(client) };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (mut asked, mut answered) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let (mut said, mut silent) = (0, false);
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Refuse => return reset(client),
            Mode::Hang => {
                if mode.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Mode::Freeze if !is_new => {
                let _ = mode.changed().await;
                return reset(client);
            }
            Mode::Garbage => {
                let _ = client.write_all(GARBAGE).await;
                let _ = client.shutdown().await;
                // Read its data, so that it sees the answer and not a reset.
                let _ = tokio::time::timeout(Duration::from_millis(200), client.read(&mut asked)).await;
                return;
            }
            Mode::HalfClosed if !silent => {
                let _ = client.shutdown().await;
                silent = true;
            }
            _ => {}
        }
        tokio::select! {
            changed = mode.changed() => {
                if changed.is_err() || silent {
                    return;
                }
            }
            read = client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                if let Mode::Slow(pause) = now {
                    tokio::time::sleep(pause).await;
                }
                if server.write_all(&asked[..count]).await.is_err() {
                    return reset(client);
                }
            }
            read = server.read(&mut answered) => {
                let Ok(mut count @ 1..) = read else { return };
                if silent {
                    continue;
                }
                if let Mode::Slow(pause) = now {
                    tokio::time::sleep(pause).await;
                }
                if let Mode::BreakOff(after) = now {
                    count = count.min(after.saturating_sub(said));
                }
                said += count;
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
                if matches!(now, Mode::BreakOff(after) if said >= after) {
                    return reset(client);
                }
            }
        }
    }
}

/// Closes the socket so that the peer sees a reset.
fn reset(socket: TcpStream) {
    let _ = socket.set_zero_linger();
}
