//! Reads the heads of HTTP/1 requests as they were sent: hyper drops a second `Content-Length`, or one beside
//! `Transfer-Encoding`, which a proxy in front may have interpreted differently.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// hyper's maximum.
const MAX_HEADERS: usize = 100;

/// More than hyper reads of a head and the data after it: without a request by then, there will be none.
const MAX_BYTES: usize = 256 * 1024;
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Shared by a connection's socket, which records, and its service, which checks each head.
#[derive(Clone, Default)]
pub struct Heads(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    bytes: Vec<u8>,
    /// Remaining bytes of a body, which are not recorded.
    skip: u64,
    off: bool,
}

/// How the end of a request was determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// All readers find the same end.
    pub is_clear: bool,
    /// The position of the next head is unknown: the connection ends with this request.
    pub is_last: bool,
}

impl Heads {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request, whose head hyper has read.
    pub fn next(&self, version: Version) -> Framing {
        self.record().next(version)
    }
}

impl Record {
    fn read(&mut self, bytes: &[u8]) {
        if self.off {
            return;
        }
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skipped as u64;
        self.bytes.extend_from_slice(&bytes[skipped..]);
        // HTTP/2 may continue without a request. An HTTP/1 head that is too long counts as unclear.
        if self.bytes.starts_with(HTTP2_PREFACE) || self.bytes.len() > MAX_BYTES {
            self.stop();
        }
    }

    fn stop(&mut self) {
        *self = Self { off: true, ..Self::default() };
    }

    fn next(&mut self, version: Version) -> Framing {
        if version >= Version::HTTP_2 {
            // HTTP/2 frames carry their length.
            self.stop();
            return Framing { is_clear: true, is_last: false };
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(httparse::Status::Complete(head)) = request.parse(&self.bytes) else {
            self.stop();
            return Framing { is_clear: false, is_last: true };
        };
        let all = |name: &str| {
            let values = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
            values.map(|header| header.value).collect::<Vec<_>>()
        };
        let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
        let length = match lengths[..] {
            [] => Some(0),
            [length] => std::str::from_utf8(length).ok().and_then(|length| length.trim().parse::<u64>().ok()),
            _ => None,
        };
        let is_clear = lengths.len() + codings.len() <= 1 && length.is_some();
        let is_last = !is_clear || !codings.is_empty();
        match length {
            Some(length) if !is_last => {
                self.bytes.drain(..head);
                let here = usize::try_from(length).unwrap_or(usize::MAX).min(self.bytes.len());
                self.bytes.drain(..here);
                self.skip = length - here as u64;
            }
            _ => self.stop(),
        }
        Framing { is_clear, is_last }
    }
}

/// A socket that records what it reads.
pub struct Recording<S> {
    socket: S,
    heads: Heads,
}

impl<S> Recording<S> {
    pub fn new(socket: S, heads: Heads) -> Self {
        Self { socket, heads }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Recording<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.heads.record().read(&buffer.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Recording<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: Framing = Framing { is_clear: true, is_last: false };

    #[test]
    fn pipelined_requests_are_told_apart() {
        let mut record = Record::default();
        record.read(b"POST / HTTP/1.1\r\nContent-Length: 39\r\n\r\nGET /body HTTP/1.1\r\n");
        assert_eq!(record.next(Version::HTTP_11), CLEAR);
        record.read(b"Content-Length: 5\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(record.bytes, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(record.next(Version::HTTP_11), CLEAR);
        assert_eq!((record.bytes.len(), record.skip), (0, 0));
    }

    #[test]
    fn what_comes_without_a_request_is_not_kept() {
        let mut record = Record::default();
        record.read(&HTTP2_PREFACE[..10]);
        record.read(&HTTP2_PREFACE[10..]);
        let frame = [&[0, 64, 0, 0xfa, 0, 0, 0, 0, 0], &[0; 16_384][..]].concat();
        (0..1000).for_each(|_| record.read(&frame));
        assert!(record.bytes.capacity() < MAX_BYTES);
        assert_eq!(record.next(Version::HTTP_2), CLEAR);
        let mut record = Record::default();
        (0..1000).for_each(|_| record.read(&frame));
        assert!(record.bytes.capacity() < MAX_BYTES);
        assert!(!record.next(Version::HTTP_11).is_clear);
    }

    #[test]
    fn framing_in_two_ways_is_not_clear() {
        for (headers, is_clear) in [
            ("Content-Length: 5\r\nContent-Length: 5", false),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", false),
            ("transfer-encoding: chunked\r\ncontent-length: 5", false),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", false),
            ("Content-Length: 5, 5", false),
            ("Transfer-Encoding: chunked", true),
            ("Content-Length: 5", true),
        ] {
            let mut record = Record::default();
            record.read(format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes());
            assert_eq!(record.next(Version::HTTP_11).is_clear, is_clear, "{headers}");
        }
    }
}
