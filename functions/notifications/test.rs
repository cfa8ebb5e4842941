//! POST /public/v1/notifications/{id}/test: sends a test message now.

use axum::{Json, extract::State};
use channels::{Config, Message};
use runtime::{Caller, Context, Function, Id, Result, error::ErrorBody, on, sql};

use super::{
    SERVICE,
    addresses::{
        confirmation::mail_links,
        recipients::{Recipients, recipients},
        unconfirmed,
    },
    observe::reader_of,
    row::{Row, own},
    senders::{Done, channel, email, slack, webhook},
};
use crate::links;
use contract::{Alert, AlertKind};

pub const FUNCTION: Function = Function::new("notification-test", SERVICE, "sends a test message now")
    .http(runtime::http!(handle))
    .per_minute(20)
    .asks_strangers()
    .reads(runtime::settings!(runtime::secret::Sealer, links::PublicUrl));

/// A notification that does not work is not an error of this call: it answers `fail`, with the receiver's
/// error. An unconfirmed address gets its confirmation link again.
#[utoipa::path(
    post, path = "/public/v1/notifications/{id}/test", tag = "notifications", security(("apikey" = [])),
    params(("id" = i64, Path, example = 3)),
    responses(
        (status = 200, body = Done, example = json!({
            "status": "fail", "message": "Slack refused the message: channel_not_found.",
        })),
        (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 429, description = "Too many tests in this minute.", body = ErrorBody),
    ),
)]
async fn handle(State(context): State<Context>, caller: Caller, Id(id): Id) -> Result<Json<Done>> {
    let row = own(context.db()?, caller.user_id, id).await?;
    let config = row.config(&context)?;
    let unconfirmed = unconfirmed(&context, caller.user_id, &config).await?;
    let warning = mail_links(&context, caller.user_id, &unconfirmed).await?;
    let alert = Alert {
        endpoint_id: 0,
        endpoint_name: row.name.clone(),
        url: String::new(),
        what: AlertKind::Test,
        changed_at: context.clock().now(),
        outage_started_at: None,
        cause: None,
        region_outage: None,
        missed: Vec::new(),
        untold: 0,
        link: links::to(&context, &format!("/notifications/{id}"))?,
    };
    let reader = reader_of(context.db()?.read(), caller.user_id).await?.unwrap_or_default();
    let message = Message::of(&alert, &reader);
    let done = send(&context, &row, &config, message, Some(alert)).await?;
    if done.status == "ok" {
        note_tested(&context, &row).await?;
    }
    let message = joined([done.message, warning]);
    Ok(Json(Done { message, ..done }))
}

/// Skipped if the notification was changed meanwhile: then another config was tested.
async fn note_tested(context: &Context, row: &Row) -> Result<()> {
    sql!(
        TESTED = "UPDATE notifications SET tested_at = COALESCE(tested_at, $3)
        WHERE id = $1 AND sealed_config = $2"
    );
    let now = context.clock().now();
    on!(context.db()?.write(), db => {
        sqlx::query(TESTED).bind(row.id).bind(&row.sealed_config).bind(now).execute(db).await.map(drop)
    })?;
    Ok(())
}

fn joined(sentences: [Option<String>; 2]) -> Option<String> {
    sentences.into_iter().flatten().reduce(|all, sentence| format!("{all} {sentence}"))
}

/// Sends now, through the sender's private API.
pub(super) async fn send(
    context: &Context,
    row: &Row,
    config: &Config,
    message: Message,
    alert: Option<Alert>,
) -> Result<Done> {
    let to = config.addresses();
    let sent: Result<Done> = if to.is_empty() {
        // Uses the function that also sends its alerts.
        match config.kind.function {
            Some(slack::NAME) => slack::call(context, config, &message).await,
            Some(webhook::NAME) => webhook::call(context, config, &message, alert.as_ref()).await,
            _ => channel::call(context, config, message, alert).await,
        }
    } else {
        let Recipients { to, left_out } = recipients(context, row.user_id, &to, true, &[]).await?;
        if to.is_empty() {
            return Ok(Done::fail(left_out.unwrap_or_default()));
        }
        let sent = email::call(context, &email::Body::new(to, message)).await;
        sent.map(|done| Done { message: joined([done.message, left_out]), ..done })
    };
    Ok(sent.unwrap_or_else(|error| {
        tracing::warn!(%error, "the sender did not take a message");
        Done::fail("This could not be sent right now. Please try again.")
    }))
}
