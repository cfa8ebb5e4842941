//! The network access of a check: connections to addresses that the guard permits, and TLS over them.

use std::{io, sync::Arc};

use contract::{Failure, FailureCode};
use http::HeaderValue;
use net::{
    address::PrivateNetworks,
    fair_share::FairShare,
    guarded::{self, ConnectError, Metered, Stream},
    resolve::Resolver,
};
use url::{Host, Url};

use crate::{
    failure,
    progress::{Phase, Progress, no_room},
    request::exchange::{Held, Keep, MAX_HANDSHAKE_STEPS, Memory, Stopped},
    tls::{self, Tls},
};

/// What all checks of a process share.
pub(crate) struct Shared {
    pub(crate) private_networks: Arc<PrivateNetworks>,
    pub(crate) lookups: Arc<FairShare>,
    pub(crate) resolver: Resolver,
    pub(crate) memory: Memory,
    pub(crate) tls: Tls,
    pub(crate) user_agent: HeaderValue,
}

/// The network of one owner's check.
#[derive(Clone, Copy)]
pub struct Network<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) owner: i64,
    /// Whether assertions need the body.
    pub(crate) keeps_body: bool,
}

impl Network<'_> {
    /// Connects to a URL's host and port.
    pub async fn connect(&self, url: &Url, progress: &mut Progress) -> Result<Metered, Failure> {
        self.open(url, progress).await.map_err(no_connection)
    }

    async fn open(&self, url: &Url, progress: &mut Progress) -> Result<Metered, ConnectError> {
        let Shared { lookups, resolver, private_networks, .. } = self.shared;
        let addresses = {
            let _place = match url.host() {
                Some(Host::Domain(_)) => Some(progress.waits.wait(lookups.take(self.owner)).await),
                _ => None,
            };
            if _place.is_some() {
                progress.enter(Phase::Dns);
            }
            guarded::addresses(url, resolver, private_networks).await?
        };
        progress.enter(Phase::Connect);
        let stream = guarded::connect(&addresses).await?;
        // Closes with a reset: when a check closes the connection, it has everything that it needs. Without the
        // reset, a thousand checks per second of one address would leave every local port waiting in TIME_WAIT for a
        // minute. The reset also makes an endless sender stop.
        let _ = stream.set_zero_linger();
        progress.ip = stream.peer_addr().ok().map(|address| address.ip());
        Ok(Metered::new(stream))
    }

    /// Opens a connection for HTTP. Also returns what it holds of the memory that all checks share.
    pub(crate) async fn connect_http<'k>(
        &self,
        url: &Url,
        wanted: tls::Wanted,
        keep: Keep<'k>,
        progress: &mut Progress,
    ) -> Result<(Stream, Held<'k>), Failure> {
        let stream = self.connect(url, progress).await?;
        let mut held = Held::of(keep, Arc::clone(&stream.meter), progress.waits.clone());
        if url.scheme() != "https" {
            return Ok((Stream::Plain(stream), held));
        }
        progress.enter(Phase::Tls);
        held.max = MAX_HANDSHAKE_STEPS;
        let handshake = self.shared.tls.handshake(stream, url, wanted, progress);
        let stream = held.reading(handshake).await.map_err(|stopped| match stopped {
            Stopped::Wanted => no_room(),
            Stopped::TooLong => failure(FailureCode::TlsInvalid, "The server's certificates are too long"),
        })??;
        Ok((stream, held))
    }
}

fn no_connection(error: ConnectError) -> Failure {
    let code = match &error {
        ConnectError::NoHost => FailureCode::InvalidRequest,
        ConnectError::Unresolved(error) if error.is_local() => FailureCode::NotStarted,
        ConnectError::Unresolved(_) => FailureCode::DnsFailure,
        ConnectError::Blocked(_) => FailureCode::BlockedAddress,
        ConnectError::Refused(_, error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => FailureCode::ConnectRefused,
            io::ErrorKind::TimedOut => FailureCode::ConnectTimeout,
            _ => FailureCode::ConnectFailed,
        },
        ConnectError::NoAddress => FailureCode::ConnectFailed,
        ConnectError::Local(_) => FailureCode::NotStarted,
    };
    failure(code, error.to_string())
}
