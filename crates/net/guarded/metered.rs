//! A connection that ends when its peer sends far more than its response: floods of interim responses, of tiny chunks
//! or of HTTP/2 frames would occupy a processor until the time-out.

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What a response may take on the wire in addition to twice its body [bytes]: handshake, heads, framing.
const MAX_OVERHEAD: u64 = 1024 * 1024;
/// Reads in addition to one for each 256 bytes: a slow response arrives in small pieces.
const MAX_SMALL_READS: u64 = 2_000;

/// Counts the traffic of one connection.
#[derive(Debug)]
pub struct Meter {
    wire_bytes: AtomicU64,
    body_bytes: AtomicU64,
    reads: AtomicU64,
    /// When this many bytes were read from the wire, reading stops.
    stop_at: AtomicU64,
    has_stopped: AtomicBool,
    reader: AtomicWaker,
    holder: AtomicWaker,
}

impl Default for Meter {
    fn default() -> Self {
        let (wire_bytes, body_bytes, reads, has_stopped, reader, holder) = Default::default();
        Self { wire_bytes, body_bytes, reads, stop_at: AtomicU64::new(u64::MAX), has_stopped, reader, holder }
    }
}

impl Meter {
    pub fn wire_bytes(&self) -> u64 {
        self.wire_bytes.load(SeqCst)
    }

    /// Stops reading at this number of bytes, or one read later.
    pub fn stop_at(&self, wire_bytes: u64) {
        self.stop_at.store(wire_bytes, SeqCst);
        self.reader.wake();
    }

    /// Completes when a reader has stopped.
    pub async fn stopped(&self) {
        poll_fn(|cx| {
            self.holder.register(cx.waker());
            if self.has_stopped.swap(false, SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn must_stop(&self, cx: &Context<'_>) -> bool {
        if self.wire_bytes() < self.stop_at.load(SeqCst) {
            return false;
        }
        self.reader.register(cx.waker());
        // The limit may have been raised in the meantime.
        let must_stop = self.wire_bytes() >= self.stop_at.load(SeqCst);
        if must_stop {
            self.has_stopped.store(true, SeqCst);
            self.holder.wake();
        }
        must_stop
    }

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

/// The peer sent more than the limits allow.
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
    /// Finds this error in the error that ended a connection.
    pub fn in_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        // `io::Error::source` skips the inner error, and returns the source of the inner error.
        let mut causes = std::iter::successors(Some(error), |&cause| cause.source());
        causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref())
    }
}

/// A stream whose traffic is counted.
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
        if meter.must_stop(cx) {
            return Poll::Pending;
        }
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
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_read_beyond_where_it_has_to_stop() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut stream = Metered::new(stream);
        let meter = Arc::clone(&stream.meter);
        meter.stop_at(1000);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.map(|_| all)
        });
        peer.write_all(&[1; 100_000]).await.unwrap();
        drop(peer);
        meter.stopped().await;
        assert!((1000..50_000).contains(&meter.wire_bytes()), "{}", meter.wire_bytes());
        assert!(!reading.is_finished());
        meter.stop_at(u64::MAX);
        assert_eq!(reading.await.unwrap().unwrap().len(), 100_000);
    }

    #[test]
    fn small_reads_have_a_bound_and_large_ones_none() {
        let (drip, flow) = (Meter::default(), Meter::default());
        let reads = (0..).find(|_| drip.count_read(1).is_err());
        assert_eq!(reads, Some(2007));
        flow.count_body(10 << 20);
        assert!((0..7200).all(|_| flow.count_read(1460).is_ok()), "10 MiB by TCP segments");
    }
}
