//! One request and its response over its own connection, HTTP/1.1 or HTTP/2.
//!
//! hyper's connection is driven in the same task as the request: a check needs no task of its own, and leaves nothing
//! behind when it is dropped.

use std::{
    error::Error,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioIo;
use net::{
    fair_share::{FairShare, Place},
    guarded::{self, Driven, Flooded, Meter, Stream},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    task::{JoinError, JoinSet},
};

use crate::{
    cut, failure,
    progress::{CLIENT_CERTIFICATE_REQUIRED, Phase, Progress, Waits, no_room},
    tls,
};
use contract::{Failure, FailureCode};

/// After this many bytes, reading ends and the check continues: it is a check, not a download.
pub(crate) const MAX_BODY_READ: usize = 10 * 1024 * 1024;
/// More header lines than any server needs; hyper's own bound is 100.
const MAX_HEADERS: usize = 200;
const MAX_HEAD: usize = 256 * 1024;
/// hyper reads a head up to this size into its usual buffer.
const MAX_USUAL_HEAD: usize = guarded::MAX_HEAD - 4 * 1024;
const MAX_SMALL_HEAD: usize = 12 * KIB;
/// For HTTP/2, as it counts: 32 bytes more for each header. A byte on the wire may be a header, of 72 bytes in
/// memory: this many checks at once may read a head, and the interim responses before it, within this many steps.
const MAX_HTTP2_HEAD: u32 = 16 * KIB as u32;
const MAX_HTTP2_HEAD_STEPS: usize = 2;
const MAX_BY_HTTP2: usize = 8192;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) version: http::Version,
    pub(crate) headers: HeaderMap,
    /// The body, if it is kept.
    pub(crate) body: Vec<u8>,
    /// Whether the body is longer than [`MAX_BODY_READ`]: then its end is missing.
    pub(crate) is_cut: bool,
    pub(crate) memory: Vec<Place>,
    /// When the memory was taken.
    pub(crate) since: Instant,
}

/// Each step permits a response of this many bytes, for this many responses at once: 280 MiB together. A single owner
/// gets half of the places.
const STEPS: [(usize, usize); 5] =
    [(16 * KIB, 2048), (64 * KIB, 512), (256 * KIB, 256), (1024 * KIB, 64), (MAX_BODY_READ, 16)];
/// A handshake message is assembled in memory, up to 64 KiB.
pub(crate) const MAX_HANDSHAKE_STEPS: usize = 3;
const KIB: usize = 1024;
/// The first bytes of each check are free.
const FREE_BYTES: usize = 8 * KIB;

/// How long a check keeps memory for which an owner with less memory waits: a server that responds slowly, or never
/// ends, must not block others.
pub(crate) const MAX_HELD: Duration = Duration::from_secs(5);
/// How often to look whether another owner waits.
const HELD_LOOK: Duration = Duration::from_secs(1);

/// Memory that the heads and bodies of all checks share, fairly per owner.
pub(crate) struct Memory {
    steps: [Arc<FairShare>; STEPS.len()],
    by_http2: Arc<FairShare>,
    pub(crate) max_held: Duration,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let steps = STEPS.map(|(_, places)| FairShare::of(places));
        Self { steps, by_http2: FairShare::of(MAX_BY_HTTP2), max_held: MAX_HELD }
    }
}

/// What one exchange holds of [`Memory`], and so how much its connection may read. Steps are taken in order, and the
/// holder of the last step needs no more, so waiting exchanges cannot deadlock.
pub(crate) struct Held<'a> {
    memory: &'a Memory,
    owner: i64,
    waits: Waits,
    meter: Arc<Meter>,
    /// Bytes that were read before, in handshakes.
    began_at: u64,
    places: Vec<Place>,
    /// Maximum number of places.
    pub(crate) max: usize,
    /// When the first place was taken.
    since: Instant,
}

/// Another owner waits for memory that was held for a long time.
pub(crate) struct Wanted;

/// Why reading has stopped.
pub(crate) enum Stopped {
    Wanted,
    /// The response would take more memory than allowed.
    TooLong,
}

impl From<Wanted> for Stopped {
    fn from(_: Wanted) -> Self {
        Self::Wanted
    }
}

impl<'a> Held<'a> {
    pub(crate) fn of(keep: Keep<'a>, meter: Arc<Meter>, waits: Waits) -> Self {
        let mut held = Self {
            memory: keep.memory,
            owner: keep.owner,
            waits,
            meter,
            began_at: 0,
            places: Vec::new(),
            max: STEPS.len(),
            since: Instant::now(),
        };
        held.begin();
        held
    }

    /// Starts anew: data that was read before is no longer kept.
    pub(crate) fn begin(&mut self) {
        self.places.clear();
        self.max = STEPS.len();
        self.began_at = self.meter.wire_bytes();
        self.meter.stop_at(self.began_at + FREE_BYTES as u64);
    }

    /// Waits for `coming`, and takes memory before more data is read.
    pub(crate) async fn reading<T>(&mut self, coming: impl Future<Output = T>) -> Result<T, Stopped> {
        let mut coming = pin!(coming);
        let (meter, memory) = (Arc::clone(&self.meter), self.memory);
        loop {
            let look_at = self.since + memory.max_held;
            tokio::select! {
                biased;
                came = during(&mut self.places, look_at, &mut coming) => return Ok(came?),
                () = meter.stopped() => {}
            }
            if self.places.len() == self.max {
                if self.max == STEPS.len() {
                    self.read_on();
                    continue;
                }
                return Err(Stopped::TooLong);
            }
            let (bytes, _) = STEPS[self.places.len()];
            let turn = memory.steps[self.places.len()].take(self.owner);
            // Data that has already arrived is processed in the meantime: it may be thrown away.
            let place = tokio::select! {
                biased;
                came = during(&mut self.places, look_at, &mut coming) => return Ok(came?),
                place = self.waits.wait(turn) => place,
            };
            if self.places.is_empty() {
                self.since = Instant::now();
            }
            self.places.push(place);
            if self.places.len() < STEPS.len() {
                meter.stop_at(self.began_at + bytes as u64);
            } else {
                self.read_on();
            }
        }
    }

    /// Data that is read from now on is not kept, or there is memory for all of it.
    fn read_on(&self) {
        self.meter.stop_at(u64::MAX);
    }
}

/// Waits while places are held. From `look_at` on, gives up when another owner wants one of them.
pub(crate) async fn during<T>(
    places: &mut [Place],
    mut look_at: Instant,
    waiting: impl Future<Output = T>,
) -> Result<T, Wanted> {
    if places.is_empty() {
        return Ok(waiting.await);
    }
    let mut waiting = pin!(waiting);
    loop {
        match tokio::time::timeout_at(look_at.into(), &mut waiting).await {
            Ok(done) => return Ok(done),
            Err(_) if places.iter_mut().any(Place::is_claimed) => return Err(Wanted),
            Err(_) => look_at = Instant::now() + HELD_LOOK,
        }
    }
}

/// What to do with the body.
#[derive(Clone, Copy)]
pub(crate) struct Keep<'a> {
    /// Keep the body; otherwise it is only counted.
    pub(crate) body: bool,
    /// The memory for the body, and the owner that takes it.
    pub(crate) memory: &'a Memory,
    pub(crate) owner: i64,
    /// Do not read the body of a redirect.
    pub(crate) skip_redirects: bool,
}

pub(crate) async fn exchange(
    stream: Stream,
    request: Request<Full<Bytes>>,
    keep: Keep<'_>,
    mut held: Held<'_>,
    progress: &mut Progress,
) -> Result<Answer, Failure> {
    progress.enter(Phase::FirstByte);
    held.begin();
    let meter = stream.meter();
    let outcome = if stream.speaks_http2() {
        Box::pin(by_http2(stream, request, keep, held, &meter, progress)).await
    } else {
        match Asked::ask(stream, &request, &mut held).await {
            Ok(stream) => Box::pin(by_http1(stream, request, keep, held, &meter, progress)).await,
            Err(stopped) => Err(stopped.into()),
        }
    };
    outcome.map_err(|broken| match broken {
        Broken::Wanted => no_room(),
        Broken::Head => failure(FailureCode::ProtocolError, head_too_large()),
        Broken::Exchange(error) => protocol_failure(&error, progress),
    })
}

enum Broken {
    Exchange(hyper::Error),
    /// More headers than [`MAX_HEADERS`].
    Head,
    Wanted,
}

impl From<Stopped> for Broken {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Wanted => Self::Wanted,
            Stopped::TooLong => Self::Head,
        }
    }
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        Self::Exchange(error)
    }
}

async fn by_http1(
    stream: Asked,
    request: Request<Full<Bytes>>,
    keep: Keep<'_>,
    held: Held<'_>,
    meter: &Meter,
    progress: &mut Progress,
) -> Result<Answer, Broken> {
    let builder = &mut http1::Builder::new();
    // As in browsers: a line that is not a header is left out.
    builder.allow_spaces_after_header_name_in_responses(true).ignore_invalid_headers_in_responses(true);
    // Options that make hyper more expensive are set only for heads that need them.
    let head = &stream.head;
    builder.max_buf_size(match () {
        () if head.is_large() => MAX_HEAD,
        () if keep.body || head.line_at > MAX_SMALL_HEAD => guarded::MAX_HEAD,
        // A body that is only counted needs no larger buffer.
        () => MAX_SMALL_HEAD + 4 * KIB,
    });
    if head.lines > 100 {
        builder.max_headers(MAX_HEADERS);
    }
    if head.is_folded {
        builder.allow_obsolete_multiline_headers_in_responses(true);
    }
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    converse(connection, sender.send_request(request), keep, held, meter, progress).await
}

async fn by_http2(
    stream: Stream,
    request: Request<Full<Bytes>>,
    keep: Keep<'_>,
    mut held: Held<'_>,
    meter: &Meter,
    progress: &mut Progress,
) -> Result<Answer, Broken> {
    let _place = held.waits.wait(keep.memory.by_http2.take(keep.owner)).await;
    held.max = MAX_HTTP2_HEAD_STEPS;
    let tasks = Tasks::default();
    // Small windows, so that a flood waits in the network, not in our memory.
    let (mut sender, connection) = http2::Builder::new(tasks.executor())
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_header_list_size(MAX_HTTP2_HEAD)
        .handshake(TokioIo::new(stream))
        .await?;
    let outcome = converse(connection, sender.send_request(request), keep, held, meter, progress).await;
    tasks.resume_panics();
    outcome
}

async fn converse(
    connection: impl Future<Output = hyper::Result<()>>,
    response: impl Future<Output = hyper::Result<Response<Incoming>>>,
    keep: Keep<'_>,
    mut held: Held<'_>,
    meter: &Meter,
    progress: &mut Progress,
) -> Result<Answer, Broken> {
    let mut connection = pin!(connection);
    let mut connection = Driven::new(connection.as_mut());
    let (head, mut body) = held.reading(connection.until(response)).await??.into_parts();
    held.max = STEPS.len();
    progress.enter(Phase::Transfer);
    progress.status_code = Some(head.status.as_u16());
    if head.headers.len() > MAX_HEADERS {
        return Err(Broken::Head);
    }
    let (mut kept, mut is_cut) = (Vec::new(), false);
    if !keep.body {
        held.read_on();
    }
    if !(keep.skip_redirects && leads_elsewhere(head.status, &head.headers)) {
        while let Some(frame) = held.reading(connection.until(body.frame())).await? {
            // Trailers are not part of the body.
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            progress.bytes += data.len() as u64;
            meter.count_body(data.len() as u64);
            if keep.body {
                let part = &data[..data.len().min(MAX_BODY_READ - kept.len())];
                append(&mut kept, part);
            }
            if progress.bytes >= MAX_BODY_READ as u64 {
                is_cut = progress.bytes > MAX_BODY_READ as u64 || !body.is_end_stream();
                break;
            }
        }
    }
    progress.enter(Phase::Between);
    Ok(Answer {
        status: head.status,
        version: head.version,
        headers: head.headers,
        body: kept,
        is_cut,
        memory: held.places,
        since: held.since,
    })
}

/// Grows by doubling, up to the limit.
fn append(kept: &mut Vec<u8>, part: &[u8]) {
    let wanted = kept.len() + part.len();
    if wanted > kept.capacity() {
        let capacity = wanted.max(2 * kept.capacity()).min(MAX_BODY_READ);
        kept.reserve_exact(capacity - kept.len());
    }
    kept.extend_from_slice(part);
}

pub(crate) fn leads_elsewhere(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && headers.contains_key(http::header::LOCATION)
}

/// The tasks that hyper's HTTP/2 spawns. They end with the exchange, even if the peer keeps the connection from
/// closing.
#[derive(Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn executor(&self) -> Spawn {
        Spawn(self.0.clone())
    }

    /// A panic in one of the tasks must not look like a connection that the peer closed.
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

/// How much of a response is read before hyper reads the rest. A longer head is read completely.
const BEGINNING: usize = 1024;
/// hyper writes a longer request, while its response may already arrive.
const MAX_WRITTEN_FIRST: usize = 16 * 1024;

/// A connection over which an HTTP/1.1 request was sent, and a response began.
///
/// hyper takes 25 kB for a connection, and a target that never responds would hold them until the time-out. So hyper
/// is used only when there is something to read, and the request that it then writes is discarded.
struct Asked {
    stream: Stream,
    /// Whether the request was written.
    written: bool,
    /// The data that was received then, and the error that ended it.
    beginning: Bytes,
    failed: Option<io::Error>,
    head: Head,
    /// Whether hyper has sent the request, too. To hyper, data that it reads before would be an unsolicited response.
    hyper_asked: bool,
    reader: Option<Waker>,
}

impl Asked {
    async fn ask(
        mut stream: Stream,
        request: &Request<Full<Bytes>>,
        held: &mut Held<'_>,
    ) -> Result<Self, Stopped> {
        let mut beginning = BytesMut::new();
        let (mut failed, mut head) = (None, Head::default());
        let request = written(request);
        let written = request.is_some();
        match request {
            Some(bytes) => {
                // A server that refuses to read the request may have responded anyway.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
                drop(bytes);
                beginning.reserve(BEGINNING);
                while held.reading(stream.read_buf(&mut beginning)).await?.unwrap_or_else(|error| {
                    failed = Some(error);
                    0
                }) > 0
                {
                    head.read(&beginning);
                    if head.is_whole || !is_http(&beginning) || beginning.len() >= MAX_HEAD {
                        break;
                    }
                    if beginning.len() == beginning.capacity() {
                        beginning.reserve(beginning.len());
                    }
                }
            }
            // Only hyper reads the response, whatever head it has.
            None => head = Head::UNKNOWN,
        }
        Ok(Self {
            stream,
            written,
            beginning: beginning.freeze(),
            failed,
            head,
            hyper_asked: !written,
            reader: None,
        })
    }
}

fn is_http(beginning: &[u8]) -> bool {
    const START: &[u8] = b"HTTP/";
    let start = &beginning[..beginning.len().min(START.len())];
    START.starts_with(start) || matches!(start, [b'\r' | b'\n', ..])
}

/// What is known of a response's head, to decide how hyper reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    is_whole: bool,
    /// Number of lines, including the status line.
    lines: usize,
    /// Whether a header continues in a line that begins with a blank (RFC 9112, 5.2).
    is_folded: bool,
    is_interim: bool,
    /// Where the incomplete line begins.
    line_at: usize,
}

impl Head {
    const UNKNOWN: Self =
        Self { is_whole: false, lines: MAX_HEADERS, is_folded: true, is_interim: false, line_at: MAX_HEAD };

    fn is_large(&self) -> bool {
        self.line_at > MAX_USUAL_HEAD
    }

    /// Continues where the last call ended.
    fn read(&mut self, bytes: &[u8]) {
        let from = self.line_at;
        for end in memchr::memchr_iter(b'\n', &bytes[from..]).map(|at| from + at) {
            let line = &bytes[self.line_at..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.line_at = end + 1;
            match line {
                [] if self.lines == 0 => {}
                // The final response follows the interim one.
                [] if self.is_interim => self.lines = 0,
                [] => {
                    self.is_whole = true;
                    return;
                }
                _ if self.lines == 0 => {
                    let status = line.get(9..12).unwrap_or_default();
                    self.is_interim = status.starts_with(b"1") && status != b"101";
                    self.lines = 1;
                }
                [first, ..] => {
                    self.is_folded |= matches!(first, b' ' | b'\t');
                    self.lines += 1;
                }
            }
        }
    }
}

/// A request as bytes on the wire.
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
        let Self { stream, beginning, failed, hyper_asked, reader, .. } = self.get_mut();
        if !*hyper_asked {
            *reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if !beginning.is_empty() {
            buffer.put_slice(&beginning.split_to(beginning.len().min(buffer.remaining())));
            return Poll::Ready(Ok(()));
        }
        match failed.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(stream).poll_read(cx, buffer),
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

fn head_too_large() -> String {
    let (kib, by_http2) = (MAX_HEAD / KIB, MAX_HTTP2_HEAD as usize / KIB);
    format!(
        "The head of the response is too large (more than {kib} KiB or {MAX_HEADERS} headers; by HTTP/2 more than \
         {by_http2} KiB)"
    )
}

fn protocol_failure(error: &hyper::Error, progress: &Progress) -> Failure {
    let cause = std::iter::successors(error.source(), |&cause| cause.source());
    let io = cause.clone().find_map(|cause| cause.downcast_ref::<io::Error>());
    let tls = cause.clone().find_map(|cause| {
        cause.downcast_ref::<rustls::Error>().or_else(|| {
            // `io::Error::source` skips the inner error.
            cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
        })
    });
    if tls.is_some_and(|error| tls::wants_client_certificate(error, progress.client_certificate_asked)) {
        return failure(FailureCode::TlsInvalid, CLIENT_CERTIFICATE_REQUIRED);
    }
    // With HTTP/2 or OpenSSL, only the text of the error is left.
    let last = cause.clone().last().map(ToString::to_string).unwrap_or_default();
    if last.contains("alert certificate required")
        || (progress.client_certificate_asked && last.starts_with("received fatal alert"))
    {
        return failure(FailureCode::TlsInvalid, CLIENT_CERTIFICATE_REQUIRED);
    }
    let h2 = cause.clone().find_map(|cause| cause.downcast_ref::<h2::Error>());
    let is_reset = io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
    let text = if let Some(flooded) = Flooded::in_error(error) {
        flooded.to_string()
    } else if error.is_parse_too_large() {
        head_too_large()
    } else if progress.phase == Phase::FirstByte
        && h2.is_some_and(|h2| {
            let refused = [h2::Reason::PROTOCOL_ERROR, h2::Reason::COMPRESSION_ERROR];
            h2.is_library() && h2.reason().is_some_and(|reason| refused.contains(&reason))
        })
    {
        // h2 gives no more details.
        format!("{}, or is not valid HTTP/2", head_too_large())
    } else if error.is_parse_version_h2() {
        "The server answered with HTTP/2 where HTTP/1.1 was agreed on".to_owned()
    } else if error.is_parse() || error.is_parse_status() {
        format!("What came back is not HTTP: {}", cut(&error.to_string()))
    } else if is_reset && progress.client_certificate_asked && progress.phase == Phase::FirstByte {
        // The server's alert was lost with the connection.
        let text = format!("{}: it closed the connection when it got none", CLIENT_CERTIFICATE_REQUIRED);
        return failure(FailureCode::TlsInvalid, text);
    } else if is_reset {
        "The connection was reset before the response was complete".to_owned()
    } else if error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || io.is_some_and(|error| {
            matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe)
        })
    {
        match progress.phase {
            Phase::Transfer => {
                format!("The response broke off after {} bytes of its body", progress.bytes)
            }
            _ => "The connection was closed before the response came".to_owned(),
        }
    } else {
        // The innermost cause has the most informative text.
        let text = if last.is_empty() { error.to_string() } else { last };
        format!("The exchange failed: {}", cut(&text))
    };
    failure(FailureCode::ProtocolError, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_read_the_same_in_one_piece_and_in_many() {
        for (text, is_whole, lines, is_folded) in [
            ("", false, 0, false),
            ("HTTP/1.1 200 OK\r\nA: b", false, 1, false),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n more", true, 2, false),
            ("HTTP/1.1 200 OK\nA: b\n\tc\nD: e\n\nbody", true, 4, true),
            ("\r\nHTTP/1.1 204 No Content\r\n\r\n", true, 1, false),
            ("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n", false, 0, false),
            ("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", true, 1, false),
            ("HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n", true, 2, false),
        ] {
            let (mut at_once, mut in_pieces) = (Head::default(), Head::default());
            at_once.read(text.as_bytes());
            for end in 0..=text.len() {
                if !in_pieces.is_whole {
                    in_pieces.read(&text.as_bytes()[..end]);
                }
            }
            assert_eq!(at_once, in_pieces, "{text:?}");
            let progress = (at_once.is_whole, at_once.lines, at_once.is_folded);
            assert_eq!(progress, (is_whole, lines, is_folded), "{text:?}");
        }
    }
}
