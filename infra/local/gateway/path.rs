//! Normalizes paths before they are matched, so that no spelling bypasses a route.

use std::fmt::Write as _;

/// Decodes characters that need no encoding, resolves `.` and `..`, and merges slashes. Reserved characters
/// (`%2F`, `%25`) stay encoded: decoding them would change the path's meaning. `None`: a path that a server
/// should not accept.
pub fn normalise(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let decoded = decode_unreserved(path)?;
    let mut segments = Vec::new();
    let mut directory = true;
    for segment in decoded.split('/').skip(1) {
        directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut normal = String::with_capacity(decoded.len());
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    if directory || segments.is_empty() {
        normal.push('/');
    }
    Some(normal)
}

fn decode_unreserved(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let code = after.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let byte = u8::from_str_radix(code, 16).ok()?;
        match byte {
            0 => return None,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                decoded.push(byte.into());
            }
            _ => write!(decoded, "%{byte:02X}").ok()?,
        }
        rest = &after[2..];
    }
    decoded.push_str(rest);
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_one() {
        for (path, normal) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/b", "/a/b"),
            ("/a//b///c", "/a/b/c"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/%61%7e", "/a~"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%252e%252e/b", "/a%252e%252e/b"),
            ("/a%5c..%5cb", "/a%5C..%5Cb"),
            ("/a/", "/a/"),
            ("/%ed%95%9c", "/%ED%95%9C"),
        ] {
            assert_eq!(normalise(path).as_deref(), Some(normal), "{path}");
        }
        for path in ["", "*", "a", "/%", "/%4", "/%zz", "/%00", "/%+1", "/%é0"] {
            assert_eq!(normalise(path), None, "{path}");
        }
    }
}
