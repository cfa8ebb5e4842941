//! POST /private/v1/notifications/{id}/call: sends a given text to a notification now.

use axum::{Json, extract::State};
use channels::Message;
use runtime::{Context, Fields, Function, Id, Input, Result, error::ErrorBody};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{SERVICE, private_get, senders::Done, test};
use crate::words;

pub const FUNCTION: Function =
    Function::new("notification-private-call", SERVICE, "sends a given text by a notification")
        .http(runtime::http!(handle))
        .reads(runtime::settings!(runtime::secret::Sealer, crate::links::PublicUrl));

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Call, example = json!({"subject": "Maintenance", "text": "Tonight at ten."}))]
struct Body {
    /// For kind email.
    #[serde(default)]
    subject: Option<String>,
    text: String,
}

const MAX_TEXT_BYTES: usize = 10_000;

#[utoipa::path(
    post, path = "/private/v1/notifications/{id}/call", tag = "notifications",
    params(("id" = i64, Path, example = 3)), request_body = Body,
    responses(
        (status = 200, body = Done, example = json!({"status": "ok"})),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ),
)]
async fn handle(State(context): State<Context>, Id(id): Id, Input(body): Input<Body>) -> Result<Json<Done>> {
    let mut fields = Fields::default();
    fields.check((1..=MAX_TEXT_BYTES).contains(&body.text.len()), "text", || {
        words::must_have_bytes(MAX_TEXT_BYTES)
    });
    fields.finish()?;
    let row = private_get::find(context.db()?, id).await?;
    let config = row.config(&context)?;
    let message = Message::plain(body.subject.as_deref().unwrap_or("pongpong"), &body.text);
    Ok(Json(test::send(&context, &row, &config, message, None).await?))
}
