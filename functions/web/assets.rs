//! Stylesheet, script, icons, Swagger UI: compressed by `build.rs`, cached by browsers permanently.

use std::{io::Read, sync::OnceLock};

use axum::extract::Path;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use runtime::{Error, Result};
use serde_json::json;

use axum::response::Response;

struct Asset {
    name: &'static str,
    /// Contains the asset's hash: the content of a path never changes.
    path: &'static str,
    brotli: &'static [u8],
    /// Decompressed lazily and only once, for clients without brotli.
    unpacked: OnceLock<Bytes>,
}

impl Asset {
    fn unpacked(&self) -> std::io::Result<Bytes> {
        if let Some(content) = self.unpacked.get() {
            return Ok(content.clone());
        }
        let mut content = Vec::new();
        brotli::Decompressor::new(self.brotli, 4096).read_to_end(&mut content)?;
        Ok(self.unpacked.get_or_init(|| content.into()).clone())
    }
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The path of an asset.
pub fn path(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| asset.path)
}

pub async fn handle(Path(name): Path<String>, headers: HeaderMap) -> Result<Response> {
    give(&format!("/assets/{name}"), &headers)
}

pub fn give(path: &str, headers: &HeaderMap) -> Result<Response> {
    let asset = ASSETS.iter().find(|asset| asset.path == path);
    let asset = asset.ok_or_else(Error::not_found)?;
    let kind = match asset.name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ico") => "image/x-icon",
        _ => "application/yaml",
    };
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let as_it_is = accepts.is_some_and(|list| list.split([',', ';']).any(|coding| coding.trim() == "br"));
    let mut response = if as_it_is {
        let mut response = Response::new(asset.brotli.into());
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        response
    } else {
        Response::new(asset.unpacked().map_err(Error::internal)?.into())
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

/// The path where browsers and other programs look for an icon by default.
pub async fn favicon(headers: HeaderMap) -> Result<Response> {
    let mut response = give(path("favicon.ico"), &headers)?;
    // This path has no hash, so the icon may change.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    Ok(response)
}

/// For phones that keep the site on their home screen.
pub async fn manifest() -> Response {
    let manifest = json!({
        "name": "pongpong",
        "start_url": "/",
        "display": "minimal-ui",
        "icons": [{"src": path("favicon.svg"), "sizes": "any", "type": "image/svg+xml"}],
    });
    public("application/manifest+json", manifest.to_string())
}

/// Crawlers must not follow links that change or count something; users' pages require a login anyway.
pub async fn robots() -> Response {
    public(
        "text/plain; charset=utf-8",
        "User-agent: *\nDisallow: /preferences\nDisallow: /mail/\n".to_owned(),
    )
}

fn public(kind: &'static str, content: String) -> Response {
    let mut response = Response::new(content.into());
    for (name, value) in [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=86400")] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_has_a_path_of_its_own() {
        for name in ["style.css", "app.js", "favicon.svg", "openapi.yaml", "swagger-ui.css"] {
            assert!(path(name).starts_with("/assets/"), "{name}");
        }
    }
}
