//! Every minute (`* * * * *`): sends deliveries that are due for their next try or were lost, and
//! publishes unprocessed status changes again.

use axum::{extract::State, routing::post};
use http::StatusCode;
use runtime::{Context, Function, Result};

use super::queue;
use crate::notifications::{SERVICE, changes};

const NAME: &str = "delivery-resume";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "sends deliveries whose next try is due")
    .every("* * * * *", || post(handle))
    .reads(runtime::settings!(runtime::secret::Sealer, crate::links::PublicUrl))
    .publishes();

async fn handle(State(context): State<Context>) -> Result<StatusCode> {
    let owners = queue::wake(context.db()?, context.clock().now()).await?;
    // A failure of one must not block the other.
    let republished = changes::republish_untold(&context, NAME).await;
    queue::release(&context, NAME, &owners).await.and(republished)?;
    Ok(StatusCode::NO_CONTENT)
}
