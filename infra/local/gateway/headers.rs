//! What a proxy takes off a request, and what it tells the function about the client.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

/// Takes off what concerns only the connection between client and gateway. This comes before the
/// gateway adds anything: a client that names `X-Consumer-Custom-ID` in `Connection` drops only
/// its own.
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

/// `X-Forwarded-*` and `X-Real-IP` as Kong sets them where it trusts no proxy before it: a
/// client's own claims are overwritten, but for the list that its address is appended to.
pub fn forwarded(parts: &mut Parts, peer: SocketAddr, local: SocketAddr) {
    const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let ip = peer.ip().to_canonical().to_string();
    let before: Vec<_> = parts.headers.get_all(FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let list = before.into_iter().chain([ip.as_str()]).collect::<Vec<_>>().join(", ");
    let host = host(parts);
    let mut set = |name: &'static str, value: &str| {
        let name = HeaderName::from_static(name);
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
}

/// The host that the client asked for, without its port.
fn host(parts: &Parts) -> String {
    let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = parts.uri.authority().map(|a| a.as_str()).or(host).unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    host.to_ascii_lowercase()
}
