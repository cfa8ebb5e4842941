//! The gateway's own answers, in Kong's form, and the bodies of functions' answers.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use runtime::context::for_client_sync;

/// `{"message","request_id"}` without `code`: clients go by the status.
pub fn refuse(status: StatusCode, message: &str, request_id: &str) -> Response<Body> {
    let body = format!("{{\n  \"message\":\"{message}\",\n  \"request_id\":\"{request_id}\"\n}}");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The body of a function's answer. Computing its parts while it is sent counts as work for a client.
pub struct Answer<T> {
    pub body: Body,
    /// Dropped when the body is sent.
    pub _held: T,
}

impl<T: Unpin> http_body::Body for Answer<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        for_client_sync(|| Pin::new(&mut self.body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
