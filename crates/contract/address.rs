//! Adds the scheme to an address that was typed without one.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// A typed address, with its scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub url: String,
    /// The same over HTTP, for a server that refuses HTTPS. `None`: the scheme is certain.
    pub fallback: Option<String>,
}

impl Address {
    /// HTTP for port 80, and for localhost, private names and private addresses on any port but 443;
    /// HTTPS for all others. An address with a scheme keeps it.
    pub fn of(typed: &str) -> Self {
        let typed = typed.trim();
        let certain = |url: String| Self { url, fallback: None };
        // `http:\\host` also has a scheme, because browsers read it so.
        let is_http = |url: Url| matches!(url.scheme(), "http" | "https");
        if typed.is_empty() || typed.contains("://") || Url::parse(typed).is_ok_and(is_http) {
            return certain(typed.to_owned());
        }
        let (http, https) = (format!("http://{typed}"), format!("https://{typed}"));
        let Ok(parsed) = Url::parse(&http) else { return certain(https) };
        // `Url::port` returns `None` for the scheme's default port.
        let is_port = |scheme: &str, port| Url::parse(scheme).is_ok_and(|url| url.port() == Some(port));
        if is_port(&http, 443) {
            certain(https)
        } else if is_port(&https, 80) || parsed.host().is_some_and(|host| is_private(&host)) {
            certain(http)
        } else {
            Self { url: https, fallback: Some(http) }
        }
    }
}

/// Suffixes that the public DNS never uses (RFC 6761, RFC 6762 appendix G, RFC 8375, ICANN's `internal`).
const PRIVATE_ENDINGS: [&str; 9] =
    ["localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa"];

/// A host on this machine or in a private network.
fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            let ends = |ending: &&str| {
                name.strip_suffix(*ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            !name.contains('.') || PRIVATE_ENDINGS.iter().any(ends)
        }
        Host::Ipv4(ip) => is_private_v4(*ip),
        Host::Ipv6(ip) => ip.to_ipv4_mapped().map_or_else(|| is_private_v6(*ip), is_private_v4),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    // 100.64.0.0/10 is shared between a provider and its customers.
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_unspecified()
        || (a == 100 && b & 0xc0 == 64)
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_a_bare_address() {
        for (typed, url) in [
            ("localhost", "http://localhost"),
            ("localhost:9700", "http://localhost:9700"),
            ("localhost:443/x", "https://localhost:443/x"),
            ("shop.localhost", "http://shop.localhost"),
            ("printer.local/a", "http://printer.local/a"),
            ("nas:8080", "http://nas:8080"),
            ("db.home.arpa", "http://db.home.arpa"),
            ("127.0.0.1:1/shop", "http://127.0.0.1:1/shop"),
            ("10.1.2.3", "http://10.1.2.3"),
            ("10.1.2.3:443", "https://10.1.2.3:443"),
            ("[::1]:8000", "http://[::1]:8000"),
            ("[fd00::1]", "http://[fd00::1]"),
            ("[::ffff:192.168.0.1]", "http://[::ffff:192.168.0.1]"),
            ("example.com:80", "http://example.com:80"),
            ("example.com:443", "https://example.com:443"),
            (" http://example.com ", "http://example.com"),
            ("ftp://example.com", "ftp://example.com"),
            ("http:\\\\127.0.0.1\\", "http:\\\\127.0.0.1\\"),
            ("HTTPS:example.com", "HTTPS:example.com"),
            ("", ""),
            ("two words", "https://two words"),
        ] {
            assert_eq!(Address::of(typed), Address { url: url.to_owned(), fallback: None }, "{typed}");
        }
    }

    #[test]
    fn a_public_address_may_be_http_alone() {
        for typed in
            ["example.com", "example.com:8080/x", "93.184.216.34", "[2606:4700::1]:8443", "notlocal.com"]
        {
            let expected =
                Address { url: format!("https://{typed}"), fallback: Some(format!("http://{typed}")) };
            assert_eq!(Address::of(typed), expected);
        }
    }
}
