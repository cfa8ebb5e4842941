//! The same router on AWS Lambda, behind an API Gateway.

use axum::{Router, extract::Request, middleware, middleware::Next};

use crate::telemetry;

pub async fn serve(app: Router) -> anyhow::Result<()> {
    tracing::info!(version = crate::log::VERSION, "serving on Lambda");
    // The process is frozen between requests, so telemetry is sent before the response.
    let flushed = async |request: Request, next: Next| {
        let response = next.run(request).await;
        telemetry::flush().await;
        response
    };
    let app = if telemetry::pushes() { app.layer(middleware::from_fn(flushed)) } else { app };
    lambda_http::run(app).await.map_err(|e| anyhow::anyhow!("the Lambda runtime failed: {e}"))
}
