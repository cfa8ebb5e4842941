//! A body as assertions see it: its content codings are undone (RFC 9110, 8.4), and its charset is converted to UTF-8
//! as a browser does. Each step has a limit.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Read},
    sync::LazyLock,
};

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use http::{HeaderMap, header};
use regex::bytes::Regex;
use ruzstd::decoding::{
    StreamingDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use crate::request::exchange::MAX_BODY_READ;

/// A body is usually encoded once, or twice if a proxy encodes it again.
const MAX_CODINGS: usize = 3;
/// How far browsers look for a charset (HTML, 13.2.3.2).
const MAX_PRESCAN: usize = 1024;

/// The available part of a body.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    /// UTF-8 if the charset is known; otherwise unchanged.
    pub(crate) text: Cow<'a, [u8]>,
    pub(crate) cut: Option<Cut>,
}

/// Why the end of a body is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The body is longer than [`MAX_BODY_READ`], as sent or as decoded.
    TooLong,
    /// A content coding ends too early, or is damaged.
    Broken(&'static str),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => {
                let mib = MAX_BODY_READ / 1024 / 1024;
                write!(f, "the body is longer than {mib} MiB and was cut off there")
            }
            Self::Broken(coding) => write!(f, "the {coding} encoding of the body breaks off or is damaged"),
        }
    }
}

/// Decodes a body, whose end may be missing. At most [`MAX_BODY_READ`] bytes are decoded, so a few bytes that would
/// expand to gigabytes cost no more than a plain body.
pub(crate) fn decode<'a>(headers: &HeaderMap, body: &'a [u8], is_cut: bool) -> Result<Content<'a>, String> {
    let mut cut = is_cut.then_some(Cut::TooLong);
    let mut bytes = Cow::Borrowed(body);
    for coding in codings(headers)?.into_iter().rev() {
        if bytes.is_empty() {
            break;
        }
        let (decoded, outcome) = coding.decode(&bytes);
        match outcome {
            Err(_) if decoded.is_empty() => return Err(format!("the body is not valid {}", coding.name())),
            // A body that was cut off ends in the middle of the stream: the decoded part counts.
            Err(_) => cut = cut.or(Some(Cut::Broken(coding.name()))),
            Ok(()) => {}
        }
        bytes = Cow::Owned(decoded);
        if bytes.len() > MAX_BODY_READ {
            bytes.to_mut().truncate(MAX_BODY_READ);
            cut = Some(Cut::TooLong);
        }
    }
    let text = match bytes {
        Cow::Borrowed(bytes) => utf8(headers, bytes),
        Cow::Owned(mut bytes) => {
            let text = match utf8(headers, &bytes) {
                Cow::Owned(text) => text,
                // Everything except a byte order mark: moved, not copied.
                Cow::Borrowed(text) => {
                    let mark = bytes.len() - text.len();
                    bytes.drain(..mark);
                    bytes
                }
            };
            Cow::Owned(text)
        }
    };
    Ok(Content { text, cut })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The content codings, in the order in which they were applied.
fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, String> {
    let mut codings = Vec::new();
    for line in headers.get_all(header::CONTENT_ENCODING) {
        let line = String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase();
        for name in line.split(',').map(str::trim) {
            codings.push(match name {
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                "aes128gcm" | "compress" | "dcb" | "dcz" | "exi" | "pack200-gzip" | "x-compress" => {
                    return Err(format!("the body is encoded as {name}, which is not supported"));
                }
                // `identity`, and other values that some servers send (`utf-8`, `none`): ignored, as by browsers.
                _ => continue,
            });
            if codings.len() > MAX_CODINGS {
                return Err(format!("the body is encoded more than {MAX_CODINGS} times"));
            }
        }
    }
    Ok(codings)
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Returns the decoded bytes, and whether they are complete. One byte over the limit shows that there are more.
    fn decode(self, encoded: &[u8]) -> (Vec<u8>, io::Result<()>) {
        let mut decoded = Vec::new();
        let outcome = match self {
            Self::Gzip => gunzip(encoded, &mut decoded),
            // The standard says zlib, but some servers send the raw deflate stream.
            Self::Deflate if is_zlib(encoded) => {
                read_all(flate2::bufread::ZlibDecoder::new(encoded), &mut decoded)
            }
            Self::Deflate => read_all(flate2::bufread::DeflateDecoder::new(encoded), &mut decoded),
            Self::Brotli => read_all(brotli::Decompressor::new(encoded, 4096), &mut decoded),
            Self::Zstd => unzstd(encoded, &mut decoded),
        };
        (decoded, outcome)
    }
}

fn read_all(reader: impl Read, decoded: &mut Vec<u8>) -> io::Result<()> {
    let room = (MAX_BODY_READ + 1).saturating_sub(decoded.len());
    reader.take(room as u64).read_to_end(decoded).map(drop)
}

/// Maximum number of members of a gzip file, or frames of a Zstandard stream: each one needs its own decoder, even if
/// it is empty.
const MAX_MEMBERS: usize = 1000;

/// Decodes the members of a gzip file. Data after them is ignored, as by browsers.
fn gunzip(mut encoded: &[u8], decoded: &mut Vec<u8>) -> io::Result<()> {
    for _ in 0..MAX_MEMBERS {
        let mut member = flate2::bufread::GzDecoder::new(encoded);
        read_all(&mut member, decoded)?;
        encoded = member.into_inner();
        if decoded.len() > MAX_BODY_READ || !encoded.starts_with(&[0x1f, 0x8b]) {
            return Ok(());
        }
    }
    Err(too_many_members())
}

fn too_many_members() -> io::Error {
    io::Error::other(format!("it has more than {MAX_MEMBERS} parts"))
}

/// RFC 1950, 2.2: the method, and a checksum of the two bytes.
fn is_zlib(encoded: &[u8]) -> bool {
    matches!(encoded, [method, flags, ..]
        if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

/// Decodes the frames of a Zstandard stream. Their window may not be larger than the decoding limit (RFC 9659: 8 MB).
fn unzstd(mut encoded: &[u8], decoded: &mut Vec<u8>) -> io::Result<()> {
    for _ in 0..MAX_MEMBERS {
        if decoded.len() > MAX_BODY_READ {
            return Ok(());
        }
        match StreamingDecoder::new_with_max_window_size(&mut encoded, MAX_BODY_READ as u64) {
            Ok(frame) => read_all(frame, decoded)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => encoded = encoded.get(length as usize..).unwrap_or_default(),
            Err(error) => return Err(io::Error::other(error)),
        }
        if encoded.is_empty() {
            return Ok(());
        }
    }
    Err(too_many_members())
}

/// Converts the text to UTF-8: by byte order mark, header, or the document's own declaration, in this order (Encoding
/// Standard, 6; HTML, 13.2.3).
fn utf8<'a>(headers: &HeaderMap, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return decoded(encoding, &bytes[mark..]);
    }
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
    let kind = kind.as_deref().unwrap_or_default();
    let declared = charset_of(kind).or_else(|| charset_within(kind, bytes));
    match declared {
        // Many servers declare ISO-8859-1 for everything. Valid UTF-8 beyond ASCII is hardly ever anything else.
        Some(encoding) if encoding == WINDOWS_1252 && std::str::from_utf8(bytes).is_ok() => bytes.into(),
        Some(encoding) => decoded(encoding, bytes),
        None if is_rather_windows_1252(bytes) => decoded(WINDOWS_1252, bytes),
        None => bytes.into(),
    }
}

fn decoded<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    // Invalid UTF-8 stays unchanged: patterns may look at single bytes.
    if encoding == UTF_8 || encoding == REPLACEMENT {
        return bytes.into();
    }
    match encoding.decode_without_bom_handling(bytes).0 {
        Cow::Borrowed(text) => text.as_bytes().into(),
        Cow::Owned(text) => text.into_bytes().into(),
    }
}

/// The charset of a `Content-Type`.
fn charset_of(kind: &str) -> Option<&'static Encoding> {
    let parameters = kind.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charsets.find_map(|(_, label)| Encoding::for_label(label.trim().trim_matches(['"', '\'']).as_bytes()))
}

/// The charset of `<meta charset>` or `<meta http-equiv>` in HTML, or of the XML declaration.
fn charset_within(kind: &str, bytes: &[u8]) -> Option<&'static Encoding> {
    static XML: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"^\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']"#).ok());
    // Matches comments first, so that their content is skipped.
    static META: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?is-u)<!--.*?-->|<meta[\s/][^>]*?charset\s*=\s*["']?\s*([a-z0-9._:-]+)"#).ok()
    });
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_xml = essence.ends_with("/xml") || essence.ends_with("+xml");
    let is_html = matches!(essence.as_str(), "text/html" | "application/xhtml+xml")
        || (essence.is_empty() && bytes.trim_ascii_start().starts_with(b"<"));
    if !is_xml && !is_html {
        return None;
    }
    let start = &bytes[..bytes.len().min(MAX_PRESCAN)];
    let in_xml = XML.as_ref().and_then(|xml| Some(xml.captures(start)?.get(1)?.as_bytes()));
    let in_html = || {
        let found = META.as_ref().filter(|_| is_html)?;
        found.captures_iter(start).find_map(|found| Some(found.get(1)?.as_bytes()))
    };
    let encoding = Encoding::for_label(in_xml.or_else(in_html)?)?;
    // A document that could be read so far is not UTF-16, whatever it declares.
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

/// Whether text without any charset is better read as Windows-1252: it is not UTF-8, not even for the most part.
fn is_rather_windows_1252(bytes: &[u8]) -> bool {
    if std::str::from_utf8(bytes).is_ok() {
        return false;
    }
    let (mut characters, mut errors) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        characters += chunk.valid().chars().filter(|char| !char.is_ascii()).count();
        errors += chunk.invalid().len();
    }
    // Data with many control characters is not text either.
    let controls = bytes.iter().filter(|byte| matches!(byte, 0..=8 | 14..=31)).count();
    errors > characters && controls * 100 < bytes.len()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn text(kind: &'static str, bytes: &[u8]) -> String {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        String::from_utf8_lossy(&utf8(&headers, bytes)).into_owned()
    }

    #[test]
    fn parts_of_an_encoding_are_bounded() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, b"x").expect("is taken");
        let gzip = encoder.finish().expect("ends");
        // One raw block of one byte.
        let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 1, 9, 0, 0, b'x'];
        for (coding, part) in [(Coding::Gzip, &gzip[..]), (Coding::Zstd, &zstd[..])] {
            let (text, outcome) = coding.decode(&part.repeat(MAX_MEMBERS));
            assert!(outcome.is_ok() && text.len() == MAX_MEMBERS, "{}: {outcome:?}", coding.name());
            let (_, outcome) = coding.decode(&part.repeat(MAX_MEMBERS + 1));
            assert!(outcome.is_err(), "{}", coding.name());
        }
    }

    #[test]
    fn charset_is_read_where_a_browser_reads_it() {
        let korean = encoding_rs::EUC_KR.encode("정상").0.into_owned();
        let page = |start: &str| [start.as_bytes(), &korean].concat();
        for (kind, start) in [
            ("text/html; charset=EUC-KR", ""),
            ("text/plain;CHARSET=\"ks_c_5601-1987\"", ""),
            ("text/html", "<meta charset=euc-kr>"),
            ("text/html", "<!-- <meta charset=utf-8> --><META\nCHARSET = 'EUC-KR'>"),
            ("text/html; charset=nonsense", "<meta charset=euc-kr>"),
            ("text/html", "<meta http-equiv=Content-Type content=\"text/html; charset=euc-kr\">"),
            ("application/rss+xml", "<?xml version='1.0' encoding='EUC-KR'?>"),
            ("", "<html><meta charset=\"euc-kr\">"),
        ] {
            assert!(text(kind, &page(start)).ends_with("정상"), "{kind} {start}");
        }
        let late = format!("{}<meta charset=euc-kr>", " ".repeat(1024));
        for (kind, start) in
            [("text/plain", "<meta charset=euc-kr>"), ("application/json", ""), ("text/html", &late)]
        {
            assert!(!text(kind, &page(start)).contains("정상"), "{kind}");
        }
    }

    #[test]
    fn byte_order_mark_comes_before_all_else() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| {
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect::<Vec<_>>()
        };
        for bytes in [
            "\u{feff}정상".as_bytes().to_vec(),
            utf16("정상", u16::to_le_bytes),
            utf16("정상", u16::to_be_bytes),
        ] {
            assert_eq!(text("text/html; charset=iso-8859-1", &bytes), "정상");
        }
    }

    #[test]
    fn text_without_charset_is_what_fits() {
        assert_eq!(text("text/html", "정상".as_bytes()), "정상");
        assert_eq!(text("text/html; charset=iso-8859-1", "정상".as_bytes()), "정상");
        assert_eq!(text("text/html", b"caf\xe9"), "café");
        assert_eq!(text("text/html; charset=us-ascii", b"caf\xe9"), "café");
        // One broken character must not make the others unreadable.
        let broken = [b"\xec\xa0", "정상".as_bytes()].concat();
        assert!(text("text/html", &broken).ends_with("정상"));
        let binary = [0, 1, 2, 0xff, 0xfe, 3];
        assert_eq!(*utf8(&HeaderMap::new(), &binary), binary);
    }
}
