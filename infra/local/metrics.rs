//! `GET /metrics` on the admin API: this process' metrics, and the state of all users' endpoints.
//!
//! On a cluster the OpenTelemetry collector exposes the metrics under the same names.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, StatusCode, Uri, header};
use runtime::telemetry;

use crate::apps::Apps;

pub fn router(apps: &Arc<Apps>) -> Router {
    let apps = Arc::clone(apps);
    Router::new().route("/metrics", get(async move || metrics(&apps).await))
}

async fn metrics(apps: &Apps) -> Response {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static("/private/v1/metrics");
    let endpoints = match apps.ask("report-metrics", request).await {
        // Partial metrics would look like deleted endpoints; with an error, Prometheus knows that the scrape
        // failed.
        Some(answer) if !answer.status().is_success() => return answer,
        Some(answer) => answer.into_body(),
        None => Body::empty(),
    };
    match telemetry::exposition() {
        Ok(counts) => {
            let counts = stream::once(async { Ok::<_, axum::Error>(Bytes::from(counts)) });
            let body = Body::from_stream(counts.chain(endpoints.into_data_stream()));
            ([(header::CONTENT_TYPE, telemetry::TEXT_FORMAT)], body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "what was counted cannot be told");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
