//! What the gateway itself answers, in Kong's words.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

/// `{"message","request_id"}`, with no `code`: clients go by the status.
pub fn refuse(status: StatusCode, message: &str, request_id: &str) -> Response<Body> {
    let body = format!("{{\n  \"message\":\"{message}\",\n  \"request_id\":\"{request_id}\"\n}}");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
