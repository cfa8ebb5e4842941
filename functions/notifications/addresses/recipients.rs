//! The recipients of an email message, and how they are passed to the sender.

use fields::mailbox::{self, spelling as key};
use runtime::{
    Context, Error, Result,
    db::JsonText,
    on,
    secret::{self, Sealer},
    sql,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{State, States, limits, links, unique};
use crate::notifications::config::{open, stored_kind};
use contract::NotificationRequested;

/// The recipients of an email message.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recipients {
    pub to: Vec<Recipient>,
    /// The addresses that are left out, and why: a sentence with masked addresses.
    pub left_out: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    pub address: String,
    /// Position among the addresses of the notification. Gives each address its own `Message-ID`, the
    /// same on each try.
    #[serde(default)]
    pub number: usize,
    /// The link that unsubscribes this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribe_url: Option<String>,
}

/// The stored form of an address that was reached.
pub fn name(address: &str) -> String {
    secret::hash(&key(address))
}

/// The addresses that may get a message and are not in `reached`. Counts a new message (`is_new`) against
/// the daily limits.
pub(in crate::notifications) async fn recipients(
    context: &Context,
    user_id: i64,
    addresses: &[String],
    is_new: bool,
    reached: &[String],
) -> Result<Recipients> {
    let states = States::of(context.db()?, addresses.to_vec()).await?;
    let (mut to, mut left_out) = (Vec::new(), Vec::new());
    let open = unique(addresses).enumerate().filter(|(_, address)| !reached.contains(&name(address)));
    for (number, address) in open {
        let why = match states.state(user_id, address) {
            State::Unconfirmed => "not confirmed",
            State::Unsubscribed => "unsubscribed",
            State::Confirmed if !is_new || limits::count_message(context, address).await? => {
                let unsubscribe_url = Some(links::unsubscribe(context, user_id, address)?);
                to.push(Recipient { address: address.clone(), number, unsubscribe_url });
                continue;
            }
            State::Confirmed => "too many mails today",
        };
        left_out.push(format!("{} ({why})", mailbox::masked(address)));
    }
    let left_out = (!left_out.is_empty()).then(|| format!("Not sent to {}.", left_out.join(", ")));
    Ok(Recipients { to, left_out })
}

const PURPOSE: &str = "mail-recipients";

/// The request as the sender gets it. For an email notification, the [`Recipients`] replace the config,
/// so that the sender can mail only to them.
pub(in crate::notifications) async fn for_sender(
    context: &Context,
    request: &NotificationRequested,
) -> Result<NotificationRequested> {
    sql!(DELIVERY = "SELECT user_id, reached FROM deliveries WHERE id = $1");
    let mut request = request.clone();
    // If the config cannot be read, the sender reports the failure.
    let config = stored_kind(&request.kind).and_then(|kind| open(context, kind, &request.sealed_config));
    let addresses = config.map(|config| config.addresses()).unwrap_or_default();
    if addresses.is_empty() {
        return Ok(request);
    }
    let delivery: Option<(i64, JsonText<Vec<String>>)> = on!(context.db()?.read(), db =>
        sqlx::query_as(DELIVERY).bind(request.delivery_id).fetch_optional(db).await)?;
    // The same if the delivery was deleted.
    if let Some((owner, JsonText(reached))) = delivery {
        let is_new = request.tries == 0
            && limits::is_first_time(context, request.delivery_id, request.attempt).await?;
        let recipients = recipients(context, owner, &addresses, is_new, &reached).await?;
        let json = serde_json::to_string(&recipients).map_err(Error::internal)?;
        request.sealed_config = context.config::<Sealer>()?.seal(context.random(), PURPOSE, &json)?;
    }
    Ok(request)
}

/// Opens the recipients that [`for_sender`] sealed.
pub fn open_recipients(context: &Context, sealed: &str) -> Result<Recipients> {
    let json = context.config::<Sealer>()?.open(PURPOSE, sealed)?;
    serde_json::from_str(&json).map_err(Error::internal)
}
