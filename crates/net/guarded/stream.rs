//! A connection, encrypted or not, and HTTP over it.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::metered::{Meter, Metered};

/// Maximum size of a response's head [bytes].
pub const MAX_HEAD: usize = 64 * 1024;

/// A connection, encrypted or not.
pub enum Stream {
    Plain(Metered),
    Tls(Box<TlsStream<Metered>>),
    /// Over another TLS implementation than rustls, for HTTP/1.1.
    OtherTls(Box<dyn Encrypted>, Arc<Meter>),
}

pub trait Encrypted: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Encrypted for S {}

impl Stream {
    pub fn meter(&self) -> Arc<Meter> {
        let meter = match self {
            Self::Plain(stream) => &stream.meter,
            Self::Tls(stream) => &stream.get_ref().0.meter,
            Self::OtherTls(_, meter) => meter,
        };
        Arc::clone(meter)
    }

    pub fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) | Self::OtherTls(..) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::OtherTls(stream, _) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => match Pin::new(stream).poll_read(cx, buffer) {
                // Many servers close without TLS's close_notify. HTTP decides whether something is missing.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                other => other,
            },
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::OtherTls(stream, _) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::OtherTls(stream, _) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // hyper shuts the stream down when the response is complete. Without TLS, that is one more packet right
            // before the one that ends the connection anyway.
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::OtherTls(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// hyper's connection, driven in the same task as the exchange over it: it needs no task of its own, and leaves
/// nothing behind when it is dropped.
pub struct Driven<'a, C> {
    connection: Pin<&'a mut C>,
    running: bool,
}

impl<'a, C: Future<Output = hyper::Result<()>>> Driven<'a, C> {
    pub fn new(connection: Pin<&'a mut C>) -> Self {
        Self { connection, running: true }
    }

    /// Ignores the connection's own failure: the caller that waits for the response receives it.
    pub async fn until<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if self.running && self.connection.as_mut().poll(cx).is_ready() {
                self.running = false;
            }
            future.as_mut().poll(cx)
        })
        .await
    }
}
