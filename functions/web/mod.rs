//! `GET /`: what a person sees who comes with a browser.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use runtime::Function;
use utoipa_axum::router::OpenApiRouter;

pub const FUNCTION: Function = Function::new("web", "web", "pages for people; everything that is no API")
    .http(|| OpenApiRouter::new().route("/", get(home)).route("/{*path}", any(nowhere)))
    .without_database();

const HOME: &str = include_str!("home.html");
const NOWHERE: &str = include_str!("nowhere.html");

async fn home() -> Response {
    page(StatusCode::OK, HOME)
}

async fn nowhere() -> Response {
    page(StatusCode::NOT_FOUND, NOWHERE)
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
