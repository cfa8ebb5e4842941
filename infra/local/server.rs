//! An HTTP server with limits: for the gateway, which faces clients, and for the admin API.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use runtime::{
    Env, FromEnv,
    telemetry::{Counter, counter},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::Instant,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::{gateway::network, life::Life};

const CONNECTIONS: usize = 4096;
/// For the head of a request to arrive, and for a connection to stay without one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const HEAD_LIMIT: usize = 64 * 1024;

/// What one client may take of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections of one address (of IPv6: of one /64); 0 is without a limit. One that is over it is closed.
    pub per_address: usize,
    /// For a client to take some of its answer: one that does not read keeps it in memory.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_address: 256, write_timeout: Duration::from_secs(30) }
    }
}

impl FromEnv for Limits {
    const NAMES: &[&str] = &["MAX_CONNECTIONS_PER_ADDRESS"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let default = Self::default();
        Ok(Self { per_address: env.parse_or(Self::NAMES[0], default.per_address)?, ..default })
    }
}

/// How many connections each address has.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them; given back when it is dropped.
struct Place {
    places: Places,
    of: IpAddr,
}

impl Places {
    fn take(&self, address: IpAddr, most: usize) -> Option<Place> {
        let of = network(address);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(of).or_default();
        if most != 0 && *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

static REFUSED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let what = "Connections that were closed at once, for their address had too many";
    counter("pongpong.connections.refused", "{connection}", what)
});

pub fn count_from_zero() {
    REFUSED.add(0, &[]);
}

/// What may happen thousands of times a second, and is told when it begins, and once a minute from then on.
#[derive(Default)]
struct Seldom {
    told: Option<Instant>,
    since: u64,
}

impl Seldom {
    /// How often it happened since it was told, if it is to be told now.
    fn happened(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.told.is_some_and(|told| now - told < Duration::from_secs(60)) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

/// Accepts connections until the engine stops, and lets those finish that are under way.
pub async fn serve<H, F>(listener: TcpListener, life: Life, limits: Limits, handle: H)
where
    H: Fn(Request<Body>, SocketAddr, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let server = Arc::new(builder());
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let places = Places::default();
    let graceful = GracefulShutdown::new();
    let (mut full, mut refused) = (Seldom::default(), Seldom::default());
    loop {
        // Clients beyond the limit wait in the listener's queue.
        if room.available_permits() == 0 && full.happened(Instant::now()).is_some() {
            tracing::warn!(most = CONNECTIONS, "there are as many connections as there may be: others wait");
        }
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = life.stopping() => break,
            accepted = accepted => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of files, most likely: try again when some connection has ended.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = places.take(peer.ip(), limits.per_address) else {
            REFUSED.add(1, &[]);
            if let Some(times) = refused.happened(Instant::now()) {
                let most = limits.per_address;
                tracing::warn!(
                    %peer, times, most,
                    "refused: this address has MAX_CONNECTIONS_PER_ADDRESS; before a proxy set it to 0"
                );
            }
            continue;
        };
        let (server, watcher, handle) = (Arc::clone(&server), graceful.watcher(), handle.clone());
        life.spawn(async move {
            let _held = (permit, place);
            if let Err(error) = connection(&server, stream, peer, limits, watcher, handle).await {
                tracing::debug!(%error, %peer, "a connection broke");
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LIMIT);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(HEAD_LIMIT as u32)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(HEAD_TIMEOUT);
    server
}

async fn connection<H, F>(
    server: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    limits: Limits,
    watcher: hyper_util::server::graceful::Watcher,
    handle: H,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    H: Fn(Request<Body>, SocketAddr, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let local = stream.local_addr()?;
    stream.set_nodelay(true)?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    let asked = CancellationToken::new();
    let seen = asked.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        seen.cancel();
        let answer = handle(request.map(Body::new), peer, local);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = watcher.watch(server.serve_connection(TokioIo::new(Box::pin(stream)), service).into_owned());
    // While it is not known which version of HTTP a client speaks, no timeout of hyper's runs.
    let silent = async {
        tokio::select! {
            () = tokio::time::sleep(HEAD_TIMEOUT) => {}
            () = asked.cancelled() => std::future::pending().await,
        }
    };
    tokio::select! {
        served = served => served,
        () = silent => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_often_is_told_at_once_and_then_once_a_minute() {
        let (begin, mut seldom) = (Instant::now(), Seldom::default());
        let told: Vec<_> =
            (0..=240).map(|n| seldom.happened(begin + Duration::from_millis(n * 500))).collect();
        let told: Vec<_> = told.iter().enumerate().filter_map(|(n, times)| Some((n, (*times)?))).collect();
        assert_eq!(told, [(0, 1), (120, 120), (240, 120)]);
    }
}
