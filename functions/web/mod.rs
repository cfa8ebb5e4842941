//! `GET /`: what a person sees who comes with a browser.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use runtime::{Error, Function};
use utoipa_axum::router::OpenApiRouter;

pub const FUNCTION: Function = Function::new("web", "web", "pages for people; everything that is no API")
    .http(|| {
        OpenApiRouter::new()
            .route("/", get(home))
            .route("/endpoints/{id}", get(soon))
            .route("/password/reset", get(soon))
            .route("/{*path}", any(nowhere))
    })
    .without_database();

const HOME: &str = include_str!("home.html");
const SOON: &str = include_str!("soon.html");
const NOWHERE: &str = include_str!("nowhere.html");

async fn home() -> Response {
    page(StatusCode::OK, HOME)
}

/// Where the links in messages lead, until there are pages: how to do it without.
async fn soon() -> Response {
    page(StatusCode::OK, SOON)
}

/// A page for people; programs get the error that every function gives.
async fn nowhere(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        page(StatusCode::NOT_FOUND, NOWHERE)
    } else {
        Error::not_found().into_response()
    }
}

fn page(status: StatusCode, html: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, html).into_response()
}
