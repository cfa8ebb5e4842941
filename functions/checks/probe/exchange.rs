//! One request and its response over a connection of its own, HTTP/1.1 or HTTP/2.
//!
//! hyper's connection is driven in the same task as the request: a check costs no task of its own
//! and leaves nothing behind when it is dropped.

use std::{
    error::Error,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use runtime::{
    fair_share::{FairShare, Place},
    guarded::{Driven, Flooded, MAX_HEAD, Meter, Stream},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    task::{JoinError, JoinSet},
};

use super::{
    assertions::cut,
    failure,
    seen::{Phase, Seen},
};
use crate::contract::{Failure, FailureCode};

/// After so many bytes, reading ends and the check goes on: it is a probe, not a download.
const MAX_BODY_READ: u64 = 10 * 1024 * 1024;
/// Kept bodies of all checks together: 256 MiB, shared out per owner; the first bytes of each are free.
pub(super) const MEMORY_UNITS: usize = 4096;
const MEMORY_UNIT: usize = 64 * 1024;
const FREE_BYTES: usize = 8 * 1024;

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The beginning of the body, if it is wanted.
    pub(super) body: Vec<u8>,
    pub(super) _memory: Vec<Place>,
}

/// What to do with the body.
#[derive(Clone, Copy)]
pub(super) struct Keep<'a> {
    /// Keep so many bytes; the rest is counted and dropped.
    pub(super) bytes: usize,
    /// Where the memory for them is taken from, and for whom.
    pub(super) memory: &'a Arc<FairShare>,
    pub(super) owner: i64,
    /// Do not read the body of a response that leads elsewhere.
    pub(super) skip_redirects: bool,
}

pub(super) async fn exchange(
    stream: Stream,
    request: Request<Full<Bytes>>,
    keep: Keep<'_>,
    seen: &mut Seen,
) -> Result<Answer, Failure> {
    seen.enter(Phase::FirstByte);
    let meter = stream.meter();
    let outcome = if stream.speaks_http2() {
        Box::pin(by_http2(stream, request, keep, &meter, seen)).await
    } else {
        let stream = Asked::ask(stream, &request).await;
        Box::pin(by_http1(stream, request, keep, &meter, seen)).await
    };
    outcome.map_err(|error| protocol_failure(&error, seen))
}

async fn by_http1(
    stream: Asked,
    request: Request<Full<Bytes>>,
    keep: Keep<'_>,
    meter: &Meter,
    seen: &mut Seen,
) -> hyper::Result<Answer> {
    let builder = &mut http1::Builder::new();
    let (mut sender, connection) = builder.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    converse(connection, sender.send_request(request), keep, meter, seen).await
}

async fn by_http2(
    stream: Stream,
    request: Request<Full<Bytes>>,
    keep: Keep<'_>,
    meter: &Meter,
    seen: &mut Seen,
) -> hyper::Result<Answer> {
    let tasks = Tasks::default();
    // Windows small enough that a flood waits in the network, not in our memory.
    let (mut sender, connection) = http2::Builder::new(tasks.executor())
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_header_list_size(MAX_HEAD as u32)
        .handshake(TokioIo::new(stream))
        .await?;
    let outcome = converse(connection, sender.send_request(request), keep, meter, seen).await;
    tasks.resume_panics();
    outcome
}

async fn converse(
    connection: impl Future<Output = hyper::Result<()>>,
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    keep: Keep<'_>,
    meter: &Meter,
    seen: &mut Seen,
) -> hyper::Result<Answer> {
    let mut connection = pin!(connection);
    let mut connection = Driven::new(connection.as_mut());
    let (head, mut body) = connection.until(response).await?.into_parts();
    seen.enter(Phase::Transfer);
    seen.status = Some(head.status);
    let mut kept = Vec::new();
    let mut memory = Vec::new();
    if !(keep.skip_redirects && leads_elsewhere(head.status, &head.headers)) {
        while let Some(frame) = connection.until(body.frame()).await {
            // Trailers are no part of the body.
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            seen.bytes += data.len() as u64;
            meter.count_body(data.len() as u64);
            let room = keep.bytes - kept.len();
            kept.extend_from_slice(&data[..data.len().min(room)]);
            while kept.len() > FREE_BYTES + memory.len() * MEMORY_UNIT {
                memory.push(keep.memory.take(keep.owner).await);
            }
            if seen.bytes >= MAX_BODY_READ {
                break;
            }
        }
    }
    seen.enter(Phase::Between);
    Ok(Answer { status: head.status, headers: head.headers, body: kept, _memory: memory })
}

pub(super) fn leads_elsewhere(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && headers.contains_key(http::header::LOCATION)
}

/// hyper's HTTP/2 wants to spawn. What it spawned ends with the exchange, even when the peer keeps
/// the connection from closing.
#[derive(Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn executor(&self) -> Spawn {
        Spawn(self.0.clone())
    }

    /// A defect in one of them must not look like a connection that the peer closed.
    fn resume_panics(&self) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
                drop(tasks);
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

#[derive(Clone)]
struct Spawn(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, future: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(future);
    }
}

/// So much of an answer is read before hyper reads the rest.
const BEGINNING: usize = 1024;
/// A longer request is written while its answer may come already.
const MAX_WRITTEN_FIRST: usize = 16 * 1024;

/// A connection over which an HTTP/1.1 request was sent, and an answer began.
///
/// hyper takes 25 kB for a connection, and a target that never answers would hold them until the time-out. So hyper
/// comes in when there is something to read, and what it writes of the request then goes nowhere.
struct Asked {
    stream: Stream,
    /// Whether the request was written, and what came then.
    written: bool,
    beginning: Option<io::Result<Bytes>>,
    /// Whether hyper has asked, too. What it read before would be an answer that nobody asked for.
    hyper_asked: bool,
    reader: Option<Waker>,
}

impl Asked {
    async fn ask(mut stream: Stream, request: &Request<Full<Bytes>>) -> Self {
        let Some(bytes) = written(request) else {
            return Self { stream, written: false, beginning: None, hyper_asked: true, reader: None };
        };
        // Who refuses to read it may have answered all the same.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.flush().await;
        drop(bytes);
        let mut beginning = BytesMut::with_capacity(BEGINNING);
        let read = stream.read_buf(&mut beginning).await;
        let beginning = Some(read.map(|_| beginning.freeze()));
        Self { stream, written: true, beginning, hyper_asked: false, reader: None }
    }
}

/// A request as it goes over the wire.
fn written(request: &Request<Full<Bytes>>) -> Option<Vec<u8>> {
    let body = request.body().clone().into_inner().unwrap_or_default();
    if body.len() > MAX_WRITTEN_FIRST {
        return None;
    }
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    (bytes.len() <= MAX_WRITTEN_FIRST).then_some(bytes)
}

impl AsyncRead for Asked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, beginning, hyper_asked, reader, .. } = self.get_mut();
        if !*hyper_asked {
            *reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match beginning.take() {
            None => Pin::new(stream).poll_read(cx, buffer),
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(mut bytes)) => {
                let part = bytes.split_to(bytes.len().min(buffer.remaining()));
                buffer.put_slice(&part);
                *beginning = (!bytes.is_empty()).then_some(Ok(bytes));
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Asked {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, written, hyper_asked, reader, .. } = self.get_mut();
        if !*written {
            return Pin::new(stream).poll_write(cx, bytes);
        }
        *hyper_asked = true;
        if let Some(reader) = reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

fn protocol_failure(error: &hyper::Error, seen: &Seen) -> Failure {
    let cause = std::iter::successors(error.source(), |&cause| cause.source());
    let io = cause.clone().find_map(|cause| cause.downcast_ref::<io::Error>());
    let text = if let Some(flooded) = Flooded::in_error(error) {
        flooded.to_string()
    } else if error.is_parse_too_large() {
        "The head of the response is too large (more than 64 KiB or 100 headers)".to_owned()
    } else if error.is_parse_version_h2() {
        "The server answered with HTTP/2 where HTTP/1.1 was agreed on".to_owned()
    } else if error.is_parse() || error.is_parse_status() {
        format!("What came back is not HTTP: {}", cut(&error.to_string()))
    } else if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
        "The connection was reset before the response was complete".to_owned()
    } else if error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || io.is_some_and(|error| {
            matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe)
        })
    {
        match seen.phase {
            Phase::Transfer => {
                format!("The response broke off after {} bytes of its body", seen.bytes)
            }
            _ => "The connection was closed before the response came".to_owned(),
        }
    } else {
        // The innermost cause has the most telling words.
        let text = cause.last().map_or_else(|| error.to_string(), ToString::to_string);
        format!("The exchange failed: {}", cut(&text))
    };
    failure(FailureCode::ProtocolError, text)
}
