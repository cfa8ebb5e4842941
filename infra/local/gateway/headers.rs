//! Headers that a proxy removes from a request, and headers that describe the client to the function.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use crate::Limits;

/// Removes headers that concern only the connection between client and gateway. Runs before the gateway adds
/// headers: a client that names `X-Consumer-Custom-ID` in `Connection` removes only its own header.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
}

/// Sets `X-Forwarded-*` and `X-Real-IP` as Kong does: a client's own values are overwritten, except the list
/// to which its address is appended. Returns the client's address: the peer's, or the one that a trusted
/// proxy reports.
pub fn forwarded(parts: &mut Parts, peer: SocketAddr, local: SocketAddr, limits: &Limits) -> SocketAddr {
    const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let values = parts.headers.get_all(FOR).iter().filter_map(|value| value.to_str().ok());
    let mut list: Vec<String> =
        values.flat_map(|value| value.split(',')).map(|part| part.trim().to_owned()).collect();
    let mut client = peer;
    // The client comes last in the list, without the proxies in front of it: functions that call this gateway
    // on the client's behalf use the last entry.
    while limits.trusts(client.ip())
        && let Some(before) = list.last().and_then(|text| address(text))
    {
        list.pop();
        client = (before, 0).into();
    }
    let by_proxy = limits.trusts(peer.ip());
    let ip = client.ip().to_canonical().to_string();
    list.push(ip.clone());
    let list = list.join(", ");
    let host = host(parts);
    let mut set = |name: &'static str, value: &str| {
        let name = HeaderName::from_static(name);
        // A trusted proxy's values about its own listener are kept.
        let kept = by_proxy
            && matches!(name.as_str(), "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-port");
        if kept && parts.headers.contains_key(&name) {
            return;
        }
        match HeaderValue::from_str(value) {
            Ok(value) if !value.is_empty() => drop(parts.headers.insert(name, value)),
            _ => drop(parts.headers.remove(name)),
        }
    };
    set("x-forwarded-for", &list);
    set("x-forwarded-proto", "http");
    set("x-forwarded-host", &host);
    set("x-forwarded-port", &local.port().to_string());
    set("x-forwarded-path", parts.uri.path());
    set("x-forwarded-prefix", "");
    set("x-real-ip", &ip);
    client
}

/// Parses an entry of `X-Forwarded-For`; some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The requested host without its port.
fn host(parts: &Parts) -> String {
    let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = parts.uri.authority().map(|a| a.as_str()).or(host).unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    host.to_ascii_lowercase()
}
