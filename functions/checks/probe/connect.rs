//! From a URL to an open connection, past the address guard.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use runtime::{
    address::{BlockedAddress, PrivateNetworks},
    resolve::Resolver,
};
use tokio::net::{TcpSocket, TcpStream};
use url::{Host, Url};

use super::{
    failure,
    seen::{Phase, Seen},
};
use crate::contract::{Failure, FailureCode};

/// When an address does not answer for so long, the next one is tried beside it (RFC 8305).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
const MAX_ADDRESSES: usize = 8;

/// Resolves, judges every address, and connects to one that was judged: there is no second lookup
/// that could give another answer.
pub(super) async fn connect(
    url: &Url,
    resolver: &Resolver,
    policy: &PrivateNetworks,
    seen: &mut Seen,
) -> Result<TcpStream, Failure> {
    let port = url.port_or_known_default().unwrap_or(0);
    let stream = match url.host() {
        Some(Host::Ipv4(ip)) => literal(SocketAddr::new(ip.into(), port), policy, seen).await?,
        Some(Host::Ipv6(ip)) => literal(SocketAddr::new(ip.into(), port), policy, seen).await?,
        Some(Host::Domain(host)) => {
            seen.enter(Phase::Dns);
            let found = resolver
                .lookup(host)
                .await
                .map_err(|error| failure(FailureCode::DnsFailure, error.to_string()))?;
            seen.enter(Phase::Connect);
            let mut addresses: Vec<SocketAddr> =
                found.iter().filter(|ip| policy.permits(**ip)).map(|ip| SocketAddr::new(*ip, port)).collect();
            addresses.truncate(MAX_ADDRESSES);
            match (addresses.as_slice(), found.first()) {
                ([], Some(ip)) => return Err(blocked(host, *ip)),
                ([], None) => {
                    return Err(failure(FailureCode::DnsFailure, format!("{host} has no address")));
                }
                ([only], _) => open(*only).await.map_err(|error| refused(*only, &error))?,
                (several, _) => race(several).await?,
            }
        }
        None => return Err(failure(FailureCode::InvalidRequest, "The URL has no host")),
    };
    seen.ip = stream.peer_addr().ok().map(|address| address.ip());
    Ok(stream)
}

async fn literal(
    address: SocketAddr,
    policy: &PrivateNetworks,
    seen: &mut Seen,
) -> Result<TcpStream, Failure> {
    if !policy.permits(address.ip()) {
        return Err(blocked(&address.ip().to_string(), address.ip()));
    }
    seen.enter(Phase::Connect);
    open(address).await.map_err(|error| refused(address, &error))
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The handshake's last message and the request are two small writes: Nagle would hold back the
    // second one.
    socket.set_nodelay(true)?;
    // Close by reset: when a probe closes, it has all it wants, and a thousand checks a second
    // against one address would otherwise leave every local port waiting in TIME_WAIT for a minute.
    // It also tells an endless sender to stop.
    socket.set_zero_linger()?;
    socket.connect(address).await
}

/// The first of several addresses that answers. They start one after another, a while apart, or at
/// once when one before them has failed.
async fn race(addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
    let mut waiting = addresses.iter().copied();
    let mut running = FuturesUnordered::new();
    let mut first_failure = None;
    loop {
        if let Some(address) = waiting.next() {
            running.push(async move { (address, open(address).await) });
        }
        let finished = if waiting.len() == 0 {
            running.next().await
        } else {
            match tokio::time::timeout(ATTEMPT_DELAY, running.next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            }
        };
        match finished {
            Some((_, Ok(stream))) => return Ok(stream),
            // The first address is the preferred one: its failure says most.
            Some((address, Err(error))) if first_failure.is_none() || address == addresses[0] => {
                first_failure = Some(refused(address, &error));
            }
            Some(_) => {}
            None => {
                return Err(first_failure.unwrap_or_else(|| {
                    failure(FailureCode::ConnectFailed, "No address could be connected to")
                }));
            }
        }
    }
}

fn blocked(host: &str, ip: IpAddr) -> Failure {
    let blocked = BlockedAddress { host: host.to_owned(), ip };
    failure(FailureCode::BlockedAddress, blocked.to_string())
}

fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            failure(FailureCode::ConnectRefused, format!("Connection to {address} was refused"))
        }
        // The kernel's own limit, far above any check's.
        ErrorKind::TimedOut => failure(FailureCode::ConnectTimeout, format!("{address} did not answer")),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            failure(FailureCode::ConnectFailed, format!("There is no route to {address}"))
        }
        ErrorKind::ConnectionReset => {
            failure(FailureCode::ConnectFailed, format!("Connection to {address} was reset"))
        }
        _ => {
            failure(FailureCode::ConnectFailed, format!("Connection to {address} failed: {}", reason(error)))
        }
    }
}

/// What the system says, without its `(os error 99)`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
