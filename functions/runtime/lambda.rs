//! The same router on AWS Lambda, behind an API Gateway.

use axum::Router;

pub async fn serve(app: Router) -> anyhow::Result<()> {
    tracing::info!(version = crate::log::VERSION, "serving on Lambda");
    lambda_http::run(app).await.map_err(|e| anyhow::anyhow!("the Lambda runtime failed: {e}"))
}
