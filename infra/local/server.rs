//! An HTTP server with limits, for the gateway and for the admin API.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use ipnet::IpNet;
use runtime::{
    Env, FromEnv, process,
    telemetry::{Counter, counter},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::Instant,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::{
    answers::Answers,
    framing::{Heads, Recording},
    gateway::network,
    life::Life,
};

/// Timeout for a request's head, and for an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const HEAD_LIMIT: usize = 64 * 1024;
/// Concurrent requests of one HTTP/2 connection, and maximum bytes of bodies that are not read yet.
const MAX_STREAMS: u32 = 32;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 128 * 1024;

/// A server's limits for one client.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections of one address (of IPv6: of one /64), and answers under way to it (an HTTP/2
    /// connection may have several). 0: no limit. Above the limit, a connection is closed and a request
    /// refused.
    pub per_address: usize,
    /// Time for a client to read the next piece of its answer: an answer that is not read stays in memory.
    pub write_timeout: Duration,
    /// Proxies whose `X-Forwarded-For` is trusted; they have no limit of connections.
    pub trusted_proxies: Arc<[IpNet]>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_address: 256, write_timeout: Duration::from_secs(30), trusted_proxies: [].into() }
    }
}

impl FromEnv for Limits {
    const NAMES: &[&str] = &["MAX_CONNECTIONS_PER_ADDRESS", "TRUSTED_PROXIES"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let default = Self::default();
        Ok(Self {
            per_address: env.parse_or("MAX_CONNECTIONS_PER_ADDRESS", default.per_address)?,
            trusted_proxies: trusted_proxies(env.get("TRUSTED_PROXIES").unwrap_or_default())?,
            ..default
        })
    }
}

impl Limits {
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }
}

fn trusted_proxies(list: &str) -> anyhow::Result<Arc<[IpNet]>> {
    let parse = |text: &str| {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or(address).with_context(|| {
            format!(
                "TRUSTED_PROXIES must be addresses and networks such as 10.0.0.0/8, by comma: not {text:?}"
            )
        })
    };
    list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect()
}

/// The number of connections, or of answers, of each address.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection or answer; freed on drop.
struct Place {
    places: Places,
    of: IpAddr,
}

impl Places {
    fn take(&self, address: IpAddr, max: usize) -> Option<Place> {
        let of = network(address);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(of).or_default();
        if max != 0 && *count >= max {
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

/// Rate-limits a log message for an event that may happen thousands of times a second: the first one is
/// logged, then at most one a minute.
#[derive(Default)]
struct Seldom {
    told: Option<Instant>,
    since: u64,
}

impl Seldom {
    /// Returns the number of events since the last message if a message is due.
    fn happened(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.told.is_some_and(|told| now - told < Duration::from_secs(60)) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

/// Accepts connections until the engine stops, then lets those under way finish.
pub async fn serve<H, F>(listener: TcpListener, life: Life, limits: Limits, handle: H)
where
    H: Fn(Request<Body>, SocketAddr, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let server = Arc::new(builder());
    let max = process::max_client_connections();
    let room = Arc::new(Semaphore::new(max));
    let (places, answering) = (Places::default(), Places::default());
    let graceful = GracefulShutdown::new();
    let (mut full, mut refused) = (Seldom::default(), Seldom::default());
    loop {
        // Clients beyond the limit wait in the listener's queue.
        if room.available_permits() == 0 && full.happened(Instant::now()).is_some() {
            tracing::warn!(max, "there are as many connections as there may be: others wait");
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
                // Most likely too many open files: try again when some connection has ended.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let max = if limits.trusts(peer.ip()) { 0 } else { limits.per_address };
        let Some(place) = places.take(peer.ip(), max) else {
            REFUSED.add(1, &[]);
            if let Some(times) = refused.happened(Instant::now()) {
                tracing::warn!(
                    %peer, times, max,
                    "connection refused: MAX_CONNECTIONS_PER_ADDRESS; name a proxy in TRUSTED_PROXIES"
                );
            }
            continue;
        };
        let (server, watcher, handle) = (Arc::clone(&server), graceful.watcher(), handle.clone());
        let write_timeout = limits.write_timeout;
        let answering = answering.clone();
        let take_place = move || answering.take(peer.ip(), max);
        life.spawn(async move {
            let _held = (permit, place);
            let served = connection(&server, stream, peer, write_timeout, watcher, take_place, handle);
            if let Err(error) = served.await {
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
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_LIMIT as u32)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(HEAD_TIMEOUT);
    server
}

async fn connection<H, F>(
    server: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    write_timeout: Duration,
    watcher: hyper_util::server::graceful::Watcher,
    take_place: impl Fn() -> Option<Place> + Send + 'static,
    handle: H,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    H: Fn(Request<Body>, SocketAddr, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let local = stream.local_addr()?;
    stream.set_nodelay(true)?;
    let heads = Heads::default();
    let mut stream = TimeoutStream::new(Recording::new(stream, heads.clone()));
    stream.set_write_timeout(Some(write_timeout));
    let asked = CancellationToken::new();
    let seen = asked.clone();
    let answers = Answers::default();
    let watched = answers.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        seen.cancel();
        let version = request.version();
        let framing = heads.next(version);
        let is_clear = framing.is_clear && has_one_host(&request);
        let place = take_place();
        let answer = (is_clear && place.is_some()).then(|| handle(request.map(Body::new), peer, local));
        let answers = watched.clone();
        async move {
            let closes = version < Version::HTTP_2 && (answer.is_none() || framing.is_last);
            let mut response = match answer {
                Some(answer) => answer.await,
                None if is_clear => refusal(StatusCode::SERVICE_UNAVAILABLE, "Too many requests at once"),
                None => refusal(StatusCode::BAD_REQUEST, "Bad request"),
            };
            if closes {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| answers.watch(body, place)))
        }
    });
    let served = watcher.watch(server.serve_connection(TokioIo::new(Box::pin(stream)), service).into_owned());
    // hyper's timeouts do not run until the client's HTTP version is known.
    let silent = async {
        tokio::select! {
            () = tokio::time::sleep(HEAD_TIMEOUT) => {}
            () = asked.cancelled() => std::future::pending().await,
        }
    };
    tokio::select! {
        served = served => served,
        () = silent => Ok(()),
        () = answers.stalled(write_timeout) => Err("an answer was not taken".into()),
    }
}

/// HTTP/1.1 requires exactly one `Host`, HTTP/1.0 allows one; in HTTP/2, a `Host` must equal `:authority`.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let authority = request.uri().authority();
    let fits = match (first, authority) {
        (None, authority) => authority.is_some() || request.version() == Version::HTTP_10,
        (Some(host), Some(authority)) if request.version() == Version::HTTP_2 => {
            host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
        }
        (Some(_), _) => true,
    };
    let absolute_without_host = request.version() == Version::HTTP_11 && first.is_none();
    fits && second.is_none() && !absolute_without_host
}

fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{{\n  \"message\":\"{message}\"\n}}")));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_proxies_are_addresses_and_networks() {
        let proxies = |list: &str| trusted_proxies(list);
        assert!(proxies("").expect("none").is_empty());
        let limits = Limits {
            trusted_proxies: proxies("127.0.0.1, 10.0.0.0/8,::1").expect("three"),
            ..Limits::default()
        };
        for (address, trusted) in [
            ("127.0.0.1", true),
            ("10.9.9.9", true),
            ("::ffff:10.1.1.1", true),
            ("::1", true),
            ("11.0.0.1", false),
        ] {
            assert_eq!(limits.trusts(address.parse().expect("an address")), trusted, "{address}");
        }
        for bad in ["proxy", "10.0.0.0/33", "*"] {
            assert!(proxies(bad).expect_err("refused").to_string().contains("TRUSTED_PROXIES"), "{bad}");
        }
    }

    #[test]
    fn what_happens_often_is_told_at_once_and_then_once_a_minute() {
        let (begin, mut seldom) = (Instant::now(), Seldom::default());
        let told: Vec<_> =
            (0..=240).map(|n| seldom.happened(begin + Duration::from_millis(n * 500))).collect();
        let told: Vec<_> = told.iter().enumerate().filter_map(|(n, times)| Some((n, (*times)?))).collect();
        assert_eq!(told, [(0, 1), (120, 120), (240, 120)]);
    }
}
