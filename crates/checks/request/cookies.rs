//! The cookies of one check: cookies that a redirect sets are sent to the server that it leads to, as in a browser
//! (RFC 6265). They are dropped with the check.

use std::cmp::Reverse;

use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, header};
use public_suffix::{DEFAULT_PROVIDER, EffectiveTLDProvider};
use url::{Host, Url};

/// An unknown server sets the cookies: they must fit into a head that servers accept.
const MAX_COOKIES: usize = 50;
const MAX_COOKIE_BYTES: usize = 4 * 1024;
const MAX_BYTES: usize = 16 * 1024;

#[derive(Default)]
pub(crate) struct Cookies {
    /// For http and for https. None until a cookie is set: most checks see no cookie.
    stores: [Option<Box<CookieStore>>; 2],
    count: usize,
    bytes: usize,
}

impl Cookies {
    /// Keeps the cookies that a response from this URL sets.
    pub(crate) fn keep(&mut self, url: &Url, headers: &HeaderMap) {
        for value in headers.get_all(header::SET_COOKIE) {
            let bytes = value.len();
            if self.count == MAX_COOKIES || bytes > MAX_COOKIE_BYTES || self.bytes + bytes > MAX_BYTES {
                continue;
            }
            let Some(cookie) = std::str::from_utf8(value.as_bytes()).ok().and_then(|text| read(url, text))
            else {
                continue;
            };
            if self.stores[scheme(url)].get_or_insert_default().insert_raw(&cookie, url).is_ok() {
                self.count += 1;
                self.bytes += bytes;
            }
        }
    }

    /// The `Cookie` header of a request: the cookies for its URL, and the settings' own header, if it is sent there.
    /// Of several cookies with one name, the one that was set last counts.
    pub(crate) fn header(&self, url: &Url, own: Option<&HeaderValue>) -> Option<HeaderValue> {
        let store = self.stores[scheme(url)].as_ref()?;
        let mut set = store.matches(url);
        if set.is_empty() {
            return None;
        }
        set.sort_by_key(|cookie| Reverse(cookie.path.len()));
        let name = |pair: &[u8]| pair.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
        let own = own.map(HeaderValue::as_bytes).unwrap_or_default();
        let own = own.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| {
            let name = name(pair);
            !pair.is_empty() && set.iter().all(|cookie| cookie.name().as_bytes() != name)
        });
        let mut pairs: Vec<Vec<u8>> = own.map(<[u8]>::to_vec).collect();
        pairs.extend(set.iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value()).into_bytes()));
        let mut value = HeaderValue::try_from(pairs.join(&b"; "[..])).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn scheme(url: &Url) -> usize {
    usize::from(url.scheme() == "https")
}

/// Reads a cookie that may be kept. The store checks path and domain.
fn read(url: &Url, text: &str) -> Option<RawCookie<'static>> {
    let mut cookie = RawCookie::parse(text.to_owned()).ok()?;
    if url.scheme() == "http" && cookie.secure() == Some(true) {
        return None;
    }
    let domain = cookie.domain().map(|domain| domain.trim().trim_start_matches('.').to_owned());
    match domain.filter(|domain| !domain.is_empty()).map(|domain| Host::parse(&domain)) {
        None => {}
        // A cookie for everyone below `co.uk`: kept only for the host itself, if that is its name.
        Some(Ok(Host::Domain(domain))) if is_public_suffix(&domain) => {
            if url.host_str() != Some(domain.as_str()) {
                return None;
            }
            cookie.unset_domain();
        }
        Some(Ok(_)) => {}
        Some(Err(_)) => return None,
    }
    Some(cookie)
}

fn is_public_suffix(domain: &str) -> bool {
    DEFAULT_PROVIDER.effective_tld_plus_one(domain).is_err()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn sent(set_by: &str, set: &[&str], own: Option<&'static str>, to: &str) -> Option<String> {
        let lines = set.iter().map(|line| (header::SET_COOKIE, HeaderValue::from_str(line).unwrap()));
        let mut cookies = Cookies::default();
        cookies.keep(&Url::parse(set_by).unwrap(), &lines.collect());
        let own = own.map(HeaderValue::from_static);
        let header = cookies.header(&Url::parse(to).unwrap(), own.as_ref())?;
        Some(header.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookie_goes_only_where_it_belongs() {
        for (by, set, to, wanted) in [
            ("http://a.example.com/", "c=1", "http://a.example.com/x", Some("c=1")),
            ("http://a.example.com/", "c=1", "https://a.example.com/x", None),
            ("https://a.example.com/", "c=1", "https://a.example.com/x", Some("c=1")),
            ("https://a.example.com/", "c=1", "http://a.example.com/x", None),
            ("https://a.example.com/", "c=1; Secure", "http://a.example.com/", None),
            ("http://a.example.com/", "c=1; Secure", "https://a.example.com/", None),
            ("http://127.0.0.1/", "c=1; Secure", "http://127.0.0.1/", None),
            ("http://a.example.com/", "c=1", "http://b.example.com/", None),
            ("http://a.example.com/", "c=1", "http://x.a.example.com/", None),
            ("http://a.example.com/", "c=1; Domain=example.com", "http://b.example.com/", Some("c=1")),
            ("http://a.example.com/", "c=1; Domain=.Example.com", "http://example.com/", Some("c=1")),
            ("http://a.example.com/", "c=1; Domain=b.example.com", "http://b.example.com/", None),
            ("http://a.example.com/", "c=1; Domain=ample.com", "http://ample.com/", None),
            ("http://a.example.com/", "c=1; Domain=com", "http://b.com/", None),
            ("http://a.co.uk/", "c=1; Domain=co.uk", "http://b.co.uk/", None),
            ("http://a.github.io/", "c=1; Domain=github.io", "http://b.github.io/", None),
            ("http://github.io/", "c=1; Domain=github.io", "http://github.io/", Some("c=1")),
            ("http://github.io/", "c=1; Domain=github.io", "http://b.github.io/", None),
            ("http://a.test/", "c=1; Domain=test", "http://b.test/", None),
            ("http://10.0.0.1/", "c=1; Domain=10.0.0.1", "http://10.0.0.1/", Some("c=1")),
            ("http://10.0.0.1/", "c=1; Domain=0.0.1", "http://20.0.0.1/", None),
            ("http://a.example.com/x/y", "c=1", "http://a.example.com/x/z", Some("c=1")),
            ("http://a.example.com/x/y", "c=1", "http://a.example.com/", None),
            ("http://a.example.com/", "c=1; Path=/x", "http://a.example.com/xy", None),
            ("http://a.example.com/", "c=1; Path=/x", "http://a.example.com/x/y", Some("c=1")),
            ("http://a.example.com/", "c=1; Max-Age=0", "http://a.example.com/", None),
            (
                "http://a.example.com/",
                "c=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                "http://a.example.com/",
                None,
            ),
            ("http://a.example.com/", "nonsense", "http://a.example.com/", None),
        ] {
            assert_eq!(sent(by, &[set], None, to).as_deref(), wanted, "{by} {set} {to}");
        }
    }

    #[test]
    fn newest_of_a_name_is_sent_beside_the_others() {
        let url = "http://a.example.com/x/";
        let set = ["a=1", "b=2; Path=/", "a=3", "d=4; Path=/"];
        assert_eq!(
            sent(url, &set, Some("own=5; b=6"), "http://a.example.com/x/y").as_deref(),
            Some("own=5; a=3; b=2; d=4")
        );
    }

    #[test]
    fn cookies_have_a_bound() {
        let url = "http://a.example.com/";
        let lines: Vec<String> = (0..1000).map(|n| format!("c{n}={}", "x".repeat(n % 100 * 50))).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let sent = sent(url, &lines, None, url).unwrap();
        assert!(
            sent.split("; ").count() <= MAX_COOKIES && sent.len() <= MAX_BYTES + 2 * MAX_COOKIES,
            "{}",
            sent.len()
        );
    }
}
