//! Opens a connection to the server of a URL, if the address guard permits it.

use std::{
    collections::VecDeque,
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::future::select_all;
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};
use url::{Host, Url};

use crate::{
    address::{BlockedAddress, PrivateNetworks},
    resolve::{ResolveError, Resolver, is_local},
};

/// If an address does not answer within this time, the next one is tried in parallel (RFC 8305).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
const MAX_ADDRESSES: usize = 8;
/// Sockets of the process in addition to one for each connection that is being opened. With a spare socket, an
/// attempt without an answer continues beside the next one; without a spare socket, it is given up. Eight unreachable
/// addresses must not take eight sockets.
pub const SPARE_SOCKETS: usize = 256;
static SPARE: Semaphore = Semaphore::const_new(SPARE_SOCKETS);

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    NoHost,
    Unresolved(ResolveError),
    Blocked(BlockedAddress),
    Refused(SocketAddr, io::Error),
    NoAddress,
    /// This machine has no socket, port or memory left: the failure says nothing about the address.
    Local(io::Error),
}

impl ConnectError {
    fn of(address: SocketAddr, error: io::Error) -> Self {
        if is_local(&error) { Self::Local(error) } else { Self::Refused(address, error) }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => f.write_str("The URL has no host"),
            Self::Unresolved(error) => error.fmt(f),
            Self::Blocked(blocked) => blocked.fmt(f),
            Self::Refused(address, error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => write!(f, "Connection to {address} was refused"),
                // The kernel's own limit, far above the time-out of any check.
                io::ErrorKind::TimedOut => write!(f, "{address} did not answer"),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    write!(f, "There is no route to {address}")
                }
                io::ErrorKind::ConnectionReset => write!(f, "Connection to {address} was reset"),
                _ => write!(f, "Connection to {address} failed: {}", reason(error)),
            },
            Self::Local(error) => write!(f, "This machine could not connect: {}", reason(error)),
            Self::NoAddress => f.write_str("No address could be connected to"),
        }
    }
}

impl Error for ConnectError {}

/// The addresses of a URL, in the order in which to try them: resolved, and each one judged. Connect to these without
/// a second lookup, which could give another answer.
pub async fn addresses(
    url: &Url,
    resolver: &Resolver,
    policy: &PrivateNetworks,
) -> Result<Vec<SocketAddr>, ConnectError> {
    policy.check_url(url).map_err(ConnectError::Blocked)?;
    let permitted: Vec<IpAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => vec![ip.into()],
        Some(Host::Ipv6(ip)) => vec![ip.into()],
        Some(Host::Domain(host)) => {
            let found = resolver.lookup(host).await.map_err(ConnectError::Unresolved)?;
            let permitted = found.iter().copied().filter(|ip| policy.permits(*ip)).take(MAX_ADDRESSES);
            let permitted: Vec<_> = permitted.collect();
            match found.first() {
                Some(ip) if permitted.is_empty() => {
                    return Err(ConnectError::Blocked(BlockedAddress { host: host.to_owned(), ip: *ip }));
                }
                _ => permitted,
            }
        }
        None => return Err(ConnectError::NoHost),
    };
    let port = url.port_or_known_default().unwrap_or(0);
    Ok(permitted.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// The name for which the certificate of a URL must be valid; `None`: no certificate can be valid.
pub fn server_name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Ipv4(ip) => Some(ServerName::from(IpAddr::V4(ip))),
        Host::Ipv6(ip) => Some(ServerName::from(IpAddr::V6(ip))),
        // Certificates contain names without the trailing dot of the root.
        Host::Domain(name) => ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned()).ok(),
    }
}

/// Connects to the first of these addresses that answers.
pub async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    match addresses {
        [only] => open(*only).await.map_err(|error| ConnectError::of(*only, error)),
        several => race(several).await,
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The handshake's last message and the request are two small writes: Nagle's algorithm would delay the second
    // one.
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// Connects to the first of several addresses that answers. Attempts start one after another: after a delay, or
/// immediately if the previous one failed. At most two attempts run at the same time.
async fn race(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let mut waiting: VecDeque<_> = addresses.iter().copied().collect();
    let mut given_up = VecDeque::new();
    let mut running = VecDeque::new();
    let mut spare = None;
    let mut first_failure = None;
    loop {
        if waiting.is_empty() && running.is_empty() {
            // Each address had a short attempt: now each one gets as long as it takes.
            waiting.append(&mut given_up);
        }
        if let Some(address) = waiting.pop_front() {
            if running.len() == 1 && spare.is_none() {
                spare = SPARE.try_acquire().ok();
            }
            if running.len() > usize::from(spare.is_some())
                && let Some((address, _)) = running.pop_front()
            {
                given_up.push_back(address);
            }
            running.push_back((address, Box::pin(open(address))));
        }
        let finished = if waiting.is_empty() {
            next(&mut running).await
        } else {
            match tokio::time::timeout(ATTEMPT_DELAY, next(&mut running)).await {
                Ok(finished) => finished,
                Err(_) => continue,
            }
        };
        match finished {
            Some((_, Ok(stream))) => return Ok(stream),
            // The first address is the preferred one, so its failure is the most useful.
            Some((address, Err(error))) if first_failure.is_none() || address == addresses[0] => {
                first_failure = Some(ConnectError::of(address, error));
            }
            Some(_) => {}
            None => return Err(first_failure.unwrap_or(ConnectError::NoAddress)),
        }
        if running.len() < 2 {
            spare = None;
        }
    }
}

/// The first attempt that completes, removed from the queue.
async fn next<F: Future + Unpin>(running: &mut VecDeque<(SocketAddr, F)>) -> Option<(SocketAddr, F::Output)> {
    if running.is_empty() {
        return None;
    }
    let (done, at, _) = select_all(running.iter_mut().map(|(_, open)| open)).await;
    let (address, _) = running.remove(at)?;
    Some((address, done))
}

/// The system's error message without its `(os error 99)`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
