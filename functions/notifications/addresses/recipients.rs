//! Who gets a message of an email channel, and how its sender is told.

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

/// Who gets a message of an email channel.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recipients {
    pub to: Vec<Recipient>,
    /// Who does not, and why: a sentence with masked addresses.
    pub left_out: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    pub address: String,
    /// Its place among the addresses of its channel: each has a `Message-ID` of its own, the same at each try.
    #[serde(default)]
    pub number: usize,
    /// Where a person stops these mails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribe_url: Option<String>,
}

/// An address that was reached, as it is remembered.
pub fn name(address: &str) -> String {
    secret::hash(&key(address))
}

/// Who may be sent a message and was not `reached` yet, and is counted as sent it if it is a new one.
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

/// The request as its sender is given it: to an email channel, with the [`Recipients`] in place of the config, so
/// that nothing else can be mailed to.
pub(in crate::notifications) async fn for_sender(
    context: &Context,
    request: &NotificationRequested,
) -> Result<NotificationRequested> {
    sql!(DELIVERY = "SELECT user_id, reached FROM deliveries WHERE id = $1");
    let mut request = request.clone();
    // What cannot be read fails at the sender.
    let config = stored_kind(&request.kind).and_then(|kind| open(context, kind, &request.sealed_config));
    let addresses = config.map(|config| config.addresses()).unwrap_or_default();
    if addresses.is_empty() {
        return Ok(request);
    }
    let delivery: Option<(i64, JsonText<Vec<String>>)> = on!(context.db()?.read(), db =>
        sqlx::query_as(DELIVERY).bind(request.delivery_id).fetch_optional(db).await)?;
    // So does what is deleted.
    if let Some((owner, JsonText(reached))) = delivery {
        let is_new = request.tries == 0
            && limits::is_first_time(context, request.delivery_id, request.attempt).await?;
        let recipients = recipients(context, owner, &addresses, is_new, &reached).await?;
        let json = serde_json::to_string(&recipients).map_err(Error::internal)?;
        request.sealed_config = context.config::<Sealer>()?.seal(context.random(), PURPOSE, &json)?;
    }
    Ok(request)
}

/// What [`for_sender`] sealed.
pub fn open_recipients(context: &Context, sealed: &str) -> Result<Recipients> {
    let json = context.config::<Sealer>()?.open(PURPOSE, sealed)?;
    serde_json::from_str(&json).map_err(Error::internal)
}
