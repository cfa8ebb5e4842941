//! Resolves names to addresses, as the machine is configured: `/etc/hosts`, then the name servers of
//! `/etc/resolv.conf`. Nothing is cached, because a check reports how long resolution took, and a name with a new
//! address has to be noticed immediately.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::Path,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures::future::{Either, select};
use hickory_resolver::{
    Hosts, ResolverBuilder, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    lookup::Lookup,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::{Query, ResponseCode},
        rr::{Name, RecordType},
    },
};

/// After one address family has answered, how long the other one may still take (RFC 8305).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// How often the configuration files are checked for changes: a laptop changes networks.
const RELOAD_AFTER: Duration = Duration::from_secs(5);

/// Cheap to clone; one resolver serves the whole process.
#[derive(Clone)]
pub struct Resolver(Source);

#[derive(Clone)]
enum Source {
    System(Arc<Mutex<System>>),
    /// For tests: the test maps names to addresses.
    Fixed(Arc<Names>),
}

type Names = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

struct System {
    dns: Arc<Dns>,
    written: [Option<SystemTime>; 2],
    looked_at: Instant,
}

struct Dns {
    resolver: TokioResolver,
    hosts: Hosts,
}

impl Resolver {
    pub fn system() -> anyhow::Result<Self> {
        Ok(Self(Source::System(Arc::new(Mutex::new(System {
            written: written(),
            looked_at: Instant::now(),
            dns: Arc::new(Dns::read()?),
        })))))
    }

    pub fn fixed(names: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Source::Fixed(Arc::new(names)))
    }

    /// For tests: queries only this name server.
    pub fn asking(server: SocketAddr) -> anyhow::Result<Self> {
        let mut udp = ConnectionConfig::udp();
        udp.port = server.port();
        let servers = vec![NameServerConfig::new(server.ip(), true, vec![udp])];
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Ok(Self(Source::System(Arc::new(Mutex::new(System {
            dns: Arc::new(Dns::with(builder)?),
            // The current state, so that the files are not read again.
            written: written(),
            looked_at: Instant::now(),
        })))))
    }

    /// The addresses of a name, in the order in which to try them; never an empty list.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let found = match &self.0 {
            Source::Fixed(names) => names(host),
            Source::System(system) => current(system).lookup(host).await?,
        };
        if found.is_empty() {
            return Err(ResolveError::new(host, Cause::NoAddress));
        }
        Ok(found)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System(_) => "Resolver::system",
            Source::Fixed(_) => "Resolver::fixed",
        })
    }
}

fn current(system: &Mutex<System>) -> Arc<Dns> {
    let mut system = system.lock().unwrap_or_else(PoisonError::into_inner);
    if system.looked_at.elapsed() >= RELOAD_AFTER {
        system.looked_at = Instant::now();
        let now = written();
        if now != system.written {
            match Dns::read() {
                Ok(dns) => {
                    system.dns = Arc::new(dns);
                    system.written = now;
                }
                // The file may be half written: keeps the old configuration, and checks again.
                Err(error) => tracing::warn!("cannot reload the resolver's configuration: {error}"),
            }
        }
    }
    system.dns.clone()
}

fn written() -> [Option<SystemTime>; 2] {
    ["/etc/resolv.conf", "/etc/hosts"]
        .map(|path| Path::new(path).metadata().and_then(|file| file.modified()).ok())
}

impl Dns {
    fn read() -> Result<Self, NetError> {
        let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            // Literal addresses and /etc/hosts work without a name server.
            tracing::warn!("/etc/resolv.conf is not usable, no name can be resolved: {error}");
            let nothing = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            TokioResolver::builder_with_config(nothing, TokioRuntimeProvider::default())
        });
        Self::with(builder)
    }

    fn with(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, NetError> {
        let options = builder.options_mut();
        options.cache_size = 0;
        // The hosts file is read here, because hickory would query DNS for an AAAA record beside the A record of a
        // hosts file.
        options.use_hosts_file = ResolveHosts::Never;
        // A cluster's ndots:5 would try every search domain before the public name itself.
        options.ndots = 1;
        options.max_active_requests = 1024;
        Ok(Self { resolver: builder.build()?, hosts: Hosts::from_system().unwrap_or_default() })
    }

    async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let name = Name::from_utf8(host).map_err(|_| ResolveError::new(host, Cause::BadName))?;
        let local = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind)))
            .flat_map(|lookup| addresses(&lookup))
            .collect::<Vec<_>>();
        if !local.is_empty() {
            return Ok(local);
        }

        let v4 = pin!(self.resolver.ipv4_lookup(name.clone()));
        let v6 = pin!(self.resolver.ipv6_lookup(name));
        let (v4, v6) = match select(v4, v6).await {
            Either::Left((v4 @ Err(_), v6)) => (v4, Some(v6.await)),
            Either::Right((v6 @ Err(_), v4)) => (v4.await, Some(v6)),
            Either::Left((v4, v6)) => (v4, tokio::time::timeout(RESOLUTION_DELAY, v6).await.ok()),
            Either::Right((v6, v4)) => match tokio::time::timeout(RESOLUTION_DELAY, v4).await {
                Ok(v4) => (v4, Some(v6)),
                Err(_) => (v6, None),
            },
        };
        let v6 = v6.and_then(Result::ok).map(|found| addresses(&found)).unwrap_or_default();
        match v4 {
            Ok(found) => Ok(alternate(addresses(&found), v6)),
            Err(_) if !v6.is_empty() => Ok(v6),
            Err(error) => Err(ResolveError::new(host, Cause::from(error))),
        }
    }
}

fn addresses(lookup: &Lookup) -> Vec<IpAddr> {
    lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect()
}

/// Alternates between the families, so that an unreachable family costs one attempt instead of one for each of its
/// addresses. IPv4 comes first: where IPv6 is half configured, IPv4 is the one that works.
fn alternate(v4: Vec<IpAddr>, v6: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut all = Vec::with_capacity(v4.len() + v6.len());
    let (mut v4, mut v6) = (v4.into_iter(), v6.into_iter());
    loop {
        let pair = [v4.next(), v6.next()];
        if pair == [None, None] {
            return all;
        }
        all.extend(pair.into_iter().flatten());
    }
}

/// A name that could not be resolved. Its text is shown to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    host: String,
    cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    BadName,
    NoSuchName,
    NoAddress,
    NoAnswer,
    Refused(String),
    /// No name server was queried.
    Local(String),
    Other(String),
}

impl ResolveError {
    fn new(host: &str, cause: Cause) -> Self {
        Self { host: host.to_owned(), cause }
    }

    /// The failure says nothing about the name: see [`is_local`].
    pub fn is_local(&self) -> bool {
        matches!(self.cause, Cause::Local(_))
    }
}

/// Whether this machine has no socket, port or memory left.
pub fn is_local(error: &io::Error) -> bool {
    let ours = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| ours.contains(&code))
}

impl From<NetError> for Cause {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => Self::NoSuchName,
                ResponseCode::NoError => Self::NoAddress,
                code => Self::Refused(code.to_string()),
            },
            NetError::Dns(DnsError::ResponseCode(ResponseCode::NXDomain)) => Self::NoSuchName,
            NetError::Dns(DnsError::ResponseCode(code)) => Self::Refused(code.to_string()),
            NetError::Io(error) if is_local(&error) => Self::Local(error.to_string()),
            // Too many of our own queries are under way.
            NetError::Busy => Self::Local(error.to_string()),
            NetError::Timeout | NetError::NoConnections | NetError::Io(_) => Self::NoAnswer,
            other => Self::Other(other.to_string()),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match &self.cause {
            Cause::BadName => write!(f, "{host} is not a valid host name"),
            Cause::NoSuchName => write!(f, "{host} does not exist (NXDOMAIN)"),
            Cause::NoAddress => write!(f, "{host} has no address (neither A nor AAAA record)"),
            Cause::NoAnswer => write!(f, "No name server answered for {host}"),
            Cause::Refused(code) => write!(f, "The name server failed on {host}: {code}"),
            Cause::Local(text) => write!(f, "This machine could not ask a name server for {host}: {text}"),
            Cause::Other(text) => write!(f, "{host} could not be resolved: {text}"),
        }
    }
}

impl std::error::Error for ResolveError {}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn localhost_needs_no_name_server() {
        let resolver = Resolver::system().unwrap();
        for host in ["localhost", "localhost.", "LOCALHOST", "sub.localhost"] {
            let found = resolver.lookup(host).await.unwrap();
            assert!(found.iter().all(IpAddr::is_loopback), "{host}: {found:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_says_so() {
        let resolver = Resolver::system().unwrap();
        let error = resolver.lookup("name.invalid").await.unwrap_err();
        assert_eq!(error.to_string(), "name.invalid does not exist (NXDOMAIN)");
        let error = resolver.lookup(&"a".repeat(64)).await.unwrap_err();
        assert!(error.to_string().ends_with("is not a valid host name"), "{error}");
        let error = Resolver::fixed(|_| Vec::new()).lookup("x").await.unwrap_err();
        assert!(error.to_string().contains("has no address"), "{error}");
    }

    #[test]
    fn want_of_sockets_says_nothing_about_a_name() {
        for ours in [libc::EMFILE, libc::ENOBUFS] {
            let error = NetError::from(io::Error::from_raw_os_error(ours));
            assert!(ResolveError::new("x.test", Cause::from(error)).is_local(), "{ours}");
        }
        let unreachable = NetError::from(io::Error::from_raw_os_error(libc::ENETUNREACH));
        assert!(!ResolveError::new("x.test", Cause::from(unreachable)).is_local());
    }

    #[test]
    fn families_alternate() {
        let all = alternate(ips(&["1.1.1.1", "1.0.0.1"]), ips(&["::2", "::3", "::4"]));
        assert_eq!(all, ips(&["1.1.1.1", "::2", "1.0.0.1", "::3", "::4"]));
    }
}
