//! The API documentation: Swagger UI, and the specification that it shows.

use askama::Template;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use runtime::Result;

use super::{
    assets,
    page::{Page, Section},
    visitor::Visitor,
};
use crate::words;

#[derive(Template)]
#[template(path = "docs.html")]
struct Docs {
    page: Page,
}

pub async fn show(visitor: Visitor) -> Response {
    visitor.ok(&Docs { page: visitor.page(Section::Docs, visitor.t(&words::API_DOCS)) })
}

/// At a stable URL, unlike that of the asset.
pub async fn specification(headers: HeaderMap) -> Result<Response> {
    let mut response = assets::give(assets::path("openapi.yaml"), &headers)?;
    let minutes = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, minutes);
    Ok(response)
}
