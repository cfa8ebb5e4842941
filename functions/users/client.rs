//! The network that a request comes from.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
};

use axum::extract::FromRequestParts;
use http::request::Parts;
use runtime::Context;

/// The client's IPv4 address or IPv6 /64, from the gateway's `X-Real-IP`; empty if unknown.
///
/// A forged header gains little: it counts with all other unknown networks of the account, unless the
/// attacker knows a network of the owner.
#[derive(Clone, Debug)]
pub struct Client {
    pub network: String,
}

impl Client {
    fn at(address: IpAddr) -> Self {
        let network = match address.to_canonical() {
            // A client usually has a whole /64.
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        };
        Self { network: network.to_string() }
    }
}

impl FromRequestParts<Context> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Result<Self, Infallible> {
        let address = parts.headers.get("x-real-ip").and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(address.map_or_else(|| Self { network: String::new() }, Self::at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_is_one_for_a_whole_ipv6_network() {
        let network = |address: &str| Client::at(address.parse().expect("an address")).network;
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2::9"));
        assert_ne!(network("2001:db8:1:2::"), network("2001:db8:1:3::"));
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
