//! POST /public/v1/addresses/unsubscribe: unsubscribes an address with the token that each mail contains.

use axum::{Json, extract::State};
use runtime::{Context, Function, Input, Result, error::ErrorBody, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Address, EVERYBODY, States, links, seconds};
use fields::mailbox::mailbox;

use crate::notifications::SERVICE;

pub const FUNCTION: Function = Function::new(
    "address-unsubscribe",
    SERVICE,
    "stops mails to an e-mail address by the token in each mail",
)
.http(runtime::http!(handle))
.per_minute(20)
.reads(runtime::settings!(runtime::secret::Sealer));

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Unsubscribe)]
struct Body {
    token: String,
    #[serde(default)]
    from: From,
}

/// The users whose messages are unwanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UnsubscribeFrom)]
pub enum From {
    /// The user who sent the mail with the token.
    #[default]
    Sender,
    /// All users, including future ones.
    Everybody,
    /// None: confirmed addresses get messages again.
    Nobody,
}

/// Needs no API key: the token in the mail is enough.
#[utoipa::path(
    post, path = "/public/v1/addresses/unsubscribe", tag = "notifications", request_body = Body,
    responses(
        (status = 200, body = Address, example = json!({"address": "a@example.com", "state": "unsubscribed"})),
        (status = 400, description = "The token is unknown.", body = ErrorBody),
        (status = 429, description = "Too many in this minute.", body = ErrorBody),
    ),
)]
async fn handle(State(context): State<Context>, Input(body): Input<Body>) -> Result<Json<Address>> {
    sql!(
        STOP = "INSERT INTO notification_addresses (address, user_id, unsubscribed_at) VALUES ($1, $2, $3)
        ON CONFLICT (address, user_id) DO UPDATE SET unsubscribed_at = excluded.unsubscribed_at"
    );
    sql!(
        RESUME = "UPDATE notification_addresses SET unsubscribed_at = NULL
        WHERE address = $1 AND user_id = $2 OR address = $3 AND user_id = $4"
    );
    let about = links::open_unsubscribe(&context, &body.token)?;
    let (db, now) = (context.db()?, seconds(context.clock().now()));
    let mailbox = mailbox(&about.address);
    on!(db.write(), db => {
        let query = match body.from {
            From::Sender => sqlx::query(STOP).bind(&about.address).bind(about.user_id).bind(now),
            From::Everybody => sqlx::query(STOP).bind(&mailbox).bind(EVERYBODY).bind(now),
            From::Nobody => {
                let query = sqlx::query(RESUME).bind(&about.address).bind(about.user_id);
                query.bind(&mailbox).bind(EVERYBODY)
            }
        };
        query.execute(db).await.map(drop)
    })?;
    Ok(Json(States::address(db, about.user_id, about.address).await?))
}
