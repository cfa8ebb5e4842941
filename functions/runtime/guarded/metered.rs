//! A connection that ends when its peer sends far more than the response that it sends: floods of interim
//! responses, of tiny chunks or of HTTP/2 frames would cost a processor until the time-out.

use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What a response may take on the wire beside twice its body [bytes]: handshake, heads, framing.
const MAX_OVERHEAD: u64 = 1024 * 1024;
/// Reads beside one for each 256 bytes: a slow response comes in small pieces.
const MAX_SMALL_READS: u64 = 2_000;

/// Of one connection.
#[derive(Debug, Default)]
pub struct Meter {
    wire_bytes: AtomicU64,
    body_bytes: AtomicU64,
    reads: AtomicU64,
}

impl Meter {
    pub fn count_body(&self, bytes: u64) {
        self.body_bytes.fetch_add(bytes, Relaxed);
    }

    fn count_read(&self, bytes: u64) -> Result<(), Flooded> {
        let wire = self.wire_bytes.fetch_add(bytes, Relaxed) + bytes;
        let reads = self.reads.fetch_add(1, Relaxed) + 1;
        let is_flooded =
            wire > MAX_OVERHEAD + 2 * self.body_bytes.load(Relaxed) || reads > MAX_SMALL_READS + wire / 256;
        if is_flooded { Err(Flooded { wire, reads }) } else { Ok(()) }
    }
}

/// The peer sent more than that.
#[derive(Debug)]
pub struct Flooded {
    wire: u64,
    reads: u64,
}

impl fmt::Display for Flooded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wire, reads } = self;
        write!(f, "The server sends far more than its response: stopped after {wire} bytes in {reads} pieces")
    }
}

impl Error for Flooded {}

impl Flooded {
    /// Finds it in what a connection ended with.
    pub fn in_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        // An `io::Error` passes over what it was made of: its source is that one's.
        let mut causes = std::iter::successors(Some(error), |&cause| cause.source());
        causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref())
    }
}

/// The stream that is counted.
#[derive(Debug)]
pub struct Metered {
    stream: TcpStream,
    pub meter: Arc<Meter>,
}

impl Metered {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, meter: Arc::default() }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, meter } = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = read {
            let bytes = (buffer.filled().len() - before) as u64;
            meter.count_read(bytes).map_err(io::Error::other)?;
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_reads_have_a_bound_and_large_ones_none() {
        let (drip, flow) = (Meter::default(), Meter::default());
        let reads = (0..).find(|_| drip.count_read(1).is_err());
        assert_eq!(reads, Some(2007));
        flow.count_body(10 << 20);
        assert!((0..7200).all(|_| flow.count_read(1460).is_ok()), "10 MiB by TCP segments");
    }
}
