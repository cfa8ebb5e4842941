//! Links in mails: one confirms an address, one unsubscribes it.
//!
//! The user and the address are sealed inside the token: nobody else can make a token, and none is
//! stored.

use chrono::{DateTime, TimeDelta, Utc};
use runtime::{Context, Result, secret::Sealer};

use super::{bad_token, key, seconds};
use crate::links;

const CONFIRM: &str = "confirm-address";
const UNSUBSCRIBE: &str = "unsubscribe-address";
/// How long a confirmation link is valid.
pub(in crate::notifications) const LINK_LIFE: TimeDelta = TimeDelta::days(7);

/// The user and the address that a link is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct About {
    pub user_id: i64,
    /// In lower case.
    pub address: String,
}

impl About {
    pub fn of(user_id: i64, address: &str) -> Self {
        Self { user_id, address: key(address) }
    }

    fn seal(&self, context: &Context, purpose: &str, until: DateTime<Utc>) -> Result<String> {
        let plain = format!("{} {} {}", seconds(until), self.user_id, self.address);
        Ok(context.config::<Sealer>()?.seal(context.random(), purpose, &plain)?)
    }

    fn open(context: &Context, purpose: &str, token: &str) -> Result<Self> {
        let plain = context.config::<Sealer>()?.open(purpose, token).map_err(|_| bad_token())?;
        let mut parts = plain.splitn(3, ' ');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (until, user_id) = (number(), number());
        match (until, user_id, parts.next()) {
            (Some(until), Some(user_id), Some(address)) if until > seconds(context.clock().now()) => {
                Ok(Self { user_id, address: address.to_owned() })
            }
            _ => Err(bad_token()),
        }
    }
}

pub(super) fn open_confirm(context: &Context, token: &str) -> Result<About> {
    About::open(context, CONFIRM, token)
}

pub(super) fn open_unsubscribe(context: &Context, token: &str) -> Result<About> {
    About::open(context, UNSUBSCRIBE, token)
}

pub(super) fn unsubscribe(context: &Context, user_id: i64, address: &str) -> Result<String> {
    let token = About::of(user_id, address).seal(context, UNSUBSCRIBE, DateTime::<Utc>::MAX_UTC)?;
    links::to(context, &format!("/mail/unsubscribe?token={token}"))
}

pub(super) fn confirm(context: &Context, about: &About) -> Result<String> {
    let token = about.seal(context, CONFIRM, context.clock().now() + LINK_LIFE)?;
    links::to(context, &format!("/mail/confirm?token={token}"))
}
