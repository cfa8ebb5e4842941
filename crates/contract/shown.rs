//! URLs in messages, without secrets.

use url::Url;

/// A URL for messages: without user, query and fragment, which may contain secrets.
pub fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for URLs that cannot contain a login.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// The same for a text that may not be a URL.
pub fn text_without_secrets(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let is_slash = |char: char| matches!(char, '/' | '\\');
    // Browsers find an authority in `https:/\\me@host`, too.
    let is_scheme =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let scheme = text.find(':').filter(|end| is_scheme(&text[..*end])).map_or(0, |end| end + 1);
    let path = text[scheme..].trim_start_matches(is_slash);
    let slashes = text.len() - scheme - path.len();
    if scheme == 0 && slashes < 2 {
        return text.to_owned();
    }
    let (authority, path) = path.split_at(path.find(is_slash).unwrap_or(path.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{}{host}{path}", &text[..scheme + slashes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, wanted) in [
            ("https://me:secret@shop.test:8443/a?token=s#f", "https://shop.test:8443/a"),
            ("https://shop.test", "https://shop.test/"),
            ("//me@secret@shop.test/@?token", "//shop.test/@"),
            ("http://me:secret@sh op/", "http://sh op/"),
            (r"https:\\me:secret@sh op\a", r"https:\\sh op\a"),
            ("https:me:secret@sh op/a", "https:sh op/a"),
            ("a/b@c:d", "a/b@c:d"),
            ("/login?token=secret", "/login"),
        ] {
            let shown =
                Url::parse(url).map_or_else(|_| text_without_secrets(url), |url| without_secrets(&url));
            assert_eq!(shown, wanted);
        }
    }
}
