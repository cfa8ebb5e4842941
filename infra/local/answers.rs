//! Tracks the answers under way on a connection, and how long their client has not read.
//!
//! hyper polls a body only when the client has room, so a body cannot notice that the client does not read.
//! The socket's timeout does not notice it either: an HTTP/2 client without room for a stream's body may
//! still answer pings. So a watch runs beside the connection.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

/// Answers are sent in pieces of this size; the client must read each piece within the timeout.
const MAX_PIECE_LEN: usize = 16 * 1024;

/// The answers of one connection.
#[derive(Clone, Default)]
pub struct Answers(Arc<Mutex<Vec<Weak<Mutex<Progress>>>>>);

struct Progress {
    /// Pieces that were sent and are not read yet.
    pieces: usize,
    /// Whether the answer waits for the function.
    is_producing: bool,
    /// Time of the last change.
    since: Instant,
}

impl Progress {
    fn waits_for_client(&self) -> bool {
        self.pieces > 0 || !self.is_producing
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answers {
    /// `held` is dropped when the answer's last piece was read.
    pub fn watch<T>(&self, body: Body, held: T) -> Watched<T> {
        let progress = Progress { pieces: 0, is_producing: false, since: Instant::now() };
        let progress = Arc::new(Mutex::new(progress));
        let mut answers = lock(&self.0);
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(&progress));
        Watched { body, rest: Bytes::new(), answer: Arc::new(Answer { progress, _held: held }) }
    }

    /// Returns when the client has read nothing of an answer for `timeout`.
    pub async fn stalled(&self, timeout: Duration) {
        loop {
            let now = Instant::now();
            let until = self.oldest().unwrap_or(now) + timeout;
            if until <= now {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn oldest(&self) -> Option<Instant> {
        let answers = lock(&self.0);
        let waiting = answers.iter().filter_map(Weak::upgrade).filter_map(|progress| {
            let progress = lock(&progress);
            progress.waits_for_client().then_some(progress.since)
        });
        waiting.min()
    }
}

struct Answer<T> {
    progress: Arc<Mutex<Progress>>,
    _held: T,
}

/// The body of an answer, in pieces whose reading is tracked.
pub struct Watched<T> {
    body: Body,
    /// The part of a frame that is not sent yet.
    rest: Bytes,
    answer: Arc<Answer<T>>,
}

impl<T> Watched<T> {
    fn piece(&mut self) -> Frame<Piece<T>> {
        let bytes = self.rest.split_to(self.rest.len().min(MAX_PIECE_LEN));
        let mut progress = lock(&self.answer.progress);
        if !progress.waits_for_client() {
            progress.since = Instant::now();
        }
        progress.is_producing = false;
        progress.pieces += 1;
        Frame::data(Piece { bytes, answer: Arc::clone(&self.answer) })
    }
}

impl<T> http_body::Body for Watched<T> {
    type Data = Piece<T>;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece<T>>, axum::Error>>> {
        let this = self.get_mut();
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(this.piece())));
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending => {
                lock(&this.answer.progress).is_producing = true;
                Poll::Pending
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    this.rest = data;
                    this.piece()
                }
                Err(other) => Frame::trailers(other.into_trailers().unwrap_or_default()),
            }))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut size = SizeHint::new();
        if let Some(upper) = hint.upper() {
            size.set_upper(upper + rest);
        }
        size.set_lower(hint.lower() + rest);
        size
    }
}

/// Dropped when it is written to the socket.
pub struct Piece<T> {
    bytes: Bytes,
    answer: Arc<Answer<T>>,
}

impl<T> Buf for Piece<T> {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, bytes: usize) {
        self.bytes.advance(bytes);
    }
}

impl<T> Drop for Piece<T> {
    fn drop(&mut self) {
        let mut progress = lock(&self.answer.progress);
        progress.pieces -= 1;
        progress.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use http_body_util::BodyExt as _;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);
    const ALMOST: Duration = Duration::from_secs(29);

    async fn is_stalled_within(answers: &Answers, time: Duration) -> bool {
        tokio::time::timeout(time, answers.stalled(TIMEOUT)).await.is_ok()
    }

    async fn next(body: &mut Watched<()>) -> Piece<()> {
        let frame = body.frame().await.expect("more").expect("a frame");
        frame.into_data().unwrap_or_else(|_| panic!("trailers"))
    }

    #[tokio::test(start_paused = true)]
    async fn answer_that_nobody_takes_stalls() {
        let answers = Answers::default();
        assert!(!is_stalled_within(&answers, TIMEOUT * 10).await, "there is none");
        let body = answers.watch(Body::from("x"), ());
        assert!(!is_stalled_within(&answers, ALMOST).await);
        assert!(is_stalled_within(&answers, TIMEOUT - ALMOST).await);
        drop(body);
        assert!(!is_stalled_within(&answers, TIMEOUT * 10).await, "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn each_piece_has_its_time() {
        let answers = Answers::default();
        let mut body = answers.watch(Body::from(vec![0; 3 * MAX_PIECE_LEN]), ());
        for _ in 0..3 {
            let piece = next(&mut body).await;
            assert_eq!(piece.remaining(), MAX_PIECE_LEN);
            assert!(!is_stalled_within(&answers, ALMOST).await);
            drop(piece);
        }
        assert!(http_body::Body::is_end_stream(&body));
        drop(body);
        let mut body = answers.watch(Body::from("x"), ());
        // The last piece, which hyper keeps after it drops the body.
        let piece = next(&mut body).await;
        drop(body);
        assert!(is_stalled_within(&answers, TIMEOUT).await);
        drop(piece);
        assert!(!is_stalled_within(&answers, TIMEOUT * 10).await);
    }

    #[tokio::test(start_paused = true)]
    async fn function_that_takes_its_time_stalls_nothing() {
        let answers = Answers::default();
        let (parts, stream) = mpsc::unbounded::<Result<Bytes, std::io::Error>>();
        let mut body = answers.watch(Body::from_stream(stream), ());
        parts.unbounded_send(Ok(Bytes::from("x"))).expect("is open");
        drop(next(&mut body).await);
        assert!(futures::poll!(body.frame()).is_pending());
        assert!(!is_stalled_within(&answers, TIMEOUT * 10).await);
        parts.unbounded_send(Ok(Bytes::from("y"))).expect("is open");
        let _held = next(&mut body).await;
        assert!(futures::poll!(body.frame()).is_pending());
        assert!(!is_stalled_within(&answers, ALMOST).await);
        assert!(is_stalled_within(&answers, TIMEOUT - ALMOST).await);
    }
}
