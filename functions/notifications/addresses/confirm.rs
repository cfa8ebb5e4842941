//! POST /public/v1/addresses/confirm: confirms an address with the token from the mailed link.

use axum::{Json, extract::State};
use runtime::{Context, Function, Input, Result, error::ErrorBody, on, sql};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Address, States, bad_token, links, seconds};
use crate::notifications::SERVICE;

pub const FUNCTION: Function =
    Function::new("address-confirm", SERVICE, "confirms an e-mail address by a mailed token")
        .http(runtime::http!(handle))
        .per_minute(20)
        .reads(runtime::settings!(runtime::secret::Sealer));

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Confirm)]
struct Body {
    token: String,
}

/// Needs no API key: the token is enough.
#[utoipa::path(
    post, path = "/public/v1/addresses/confirm", tag = "notifications", request_body = Body,
    responses(
        (status = 200, body = Address, example = json!({"address": "a@example.com", "state": "confirmed"})),
        (status = 400, description = "The token is unknown or expired.", body = ErrorBody),
        (status = 429, description = "Too many in this minute.", body = ErrorBody),
    ),
)]
async fn handle(State(context): State<Context>, Input(body): Input<Body>) -> Result<Json<Address>> {
    // Confirming again also ends an unsubscription.
    sql!(
        CONFIRM = "UPDATE notification_addresses SET confirmed_at = $3, unsubscribed_at = NULL
        WHERE address = $1 AND user_id = $2"
    );
    let about = links::open_confirm(&context, &body.token)?;
    let now = context.clock().now();
    let confirmed = on!(context.db()?.write(), db => {
        let query = sqlx::query(CONFIRM).bind(&about.address).bind(about.user_id).bind(seconds(now));
        query.execute(db).await.map(|done| done.rows_affected())
    })?;
    // No row: the user was deleted.
    if confirmed == 0 {
        Err(bad_token())
    } else {
        // The address may still be unsubscribed from all users: return its real state.
        Ok(Json(States::address(context.db()?, about.user_id, about.address).await?))
    }
}
