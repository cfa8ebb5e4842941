//! Addresses of email notifications. Messages go only to addresses whose owner confirmed them.
//!
//! | state | mails sent to the address |
//! |---|---|
//! | unconfirmed | only a mail with a confirmation link |
//! | confirmed | the messages of notifications |
//! | unsubscribed | none: from one user, or (stored as user 0) from any user |
//!
//! A state belongs to one pair of user and address.

pub mod confirm;
pub(super) mod confirmation;
mod limits;
pub(super) mod links;
pub mod recipients;
pub mod unsubscribe;

use std::collections::{BTreeMap, HashMap, HashSet};

use channels::Config;
use chrono::{DateTime, TimeDelta, Utc};
use fields::mailbox::{mailbox, spelling as key};
use runtime::{
    Context, Db, Error, Result, Text,
    db::{On, UnixSeconds},
    sql,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::row::Row;
use crate::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AddressState)]
pub enum State {
    Unconfirmed,
    Confirmed,
    Unsubscribed,
}

/// An address and its state: the response to a link.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Address)]
pub struct Address {
    #[schema(example = "a@example.com")]
    pub address: String,
    pub state: State,
}

/// The user ID of the row that unsubscribes a mailbox from all users.
const EVERYBODY: i64 = 0;

/// Stored states of some addresses.
#[derive(Default)]
pub struct States(HashMap<(i64, String), Known>);

#[derive(sqlx::FromRow)]
struct Known {
    user_id: i64,
    address: String,
    mailed_at: Option<UnixSeconds>,
    confirmed_at: Option<UnixSeconds>,
    unsubscribed_at: Option<UnixSeconds>,
}

impl States {
    /// For all addresses of these notifications.
    pub async fn of_rows(context: &Context, rows: &[Row]) -> Result<Self> {
        Self::of(context.db()?, rows.iter().flat_map(|row| row.addresses(context))).await
    }

    async fn of(db: &Db, addresses: impl IntoIterator<Item = String>) -> Result<Self> {
        sql!(
            POSTGRES = "SELECT user_id, address, mailed_at, confirmed_at, unsubscribed_at
            FROM notification_addresses WHERE address = ANY($1)"
        );
        sql!(
            SQLITE = "SELECT user_id, address, mailed_at, confirmed_at, unsubscribed_at
            FROM notification_addresses WHERE address IN (SELECT value FROM json_each($1))"
        );
        let addresses: HashSet<String> =
            addresses.into_iter().flat_map(|address| [key(&address), mailbox(&address)]).collect();
        if addresses.is_empty() {
            return Ok(Self::default());
        }
        let addresses: Vec<String> = addresses.into_iter().collect();
        let known: Vec<Known> = match db.read() {
            On::Postgres(db) => sqlx::query_as(POSTGRES).bind(addresses).fetch_all(db).await?,
            On::Sqlite(db) => sqlx::query_as(SQLITE).bind(json!(addresses).to_string()).fetch_all(db).await?,
        };
        Ok(Self(known.into_iter().map(|known| ((known.user_id, known.address.clone()), known)).collect()))
    }

    fn known(&self, user_id: i64, address: &str) -> Option<&Known> {
        let whose = if user_id == EVERYBODY { mailbox(address) } else { key(address) };
        self.0.get(&(user_id, whose))
    }

    fn state(&self, user_id: i64, address: &str) -> State {
        let known = self.known(user_id, address);
        let is_unsubscribed = |known: Option<&Known>| known.is_some_and(|k| k.unsubscribed_at.is_some());
        if is_unsubscribed(known) || is_unsubscribed(self.known(EVERYBODY, address)) {
            State::Unsubscribed
        } else if known.is_some_and(|known| known.confirmed_at.is_some()) {
            State::Confirmed
        } else {
            State::Unconfirmed
        }
    }

    async fn address(db: &Db, user_id: i64, address: String) -> Result<Address> {
        let state = Self::of(db, [address.clone()]).await?.state(user_id, &address);
        Ok(Address { address, state })
    }

    /// For the addresses of an email notification; `None` for other kinds.
    pub fn of_config(&self, user_id: i64, config: &Config) -> Option<BTreeMap<String, State>> {
        let to = config.addresses();
        (!to.is_empty()).then(|| to.into_iter().map(|to| (to.clone(), self.state(user_id, &to))).collect())
    }
}

/// The addresses that still need a confirmation link: not in `before`, and no link was mailed to them in
/// the last day.
pub(super) async fn to_confirm(
    context: &Context,
    user_id: i64,
    config: &Config,
    before: Option<&Config>,
) -> Result<Vec<String>> {
    const AGAIN_AFTER: TimeDelta = TimeDelta::days(1);
    let to = config.addresses();
    let before = before.map(Config::addresses).unwrap_or_default();
    let before: HashSet<String> = before.iter().map(|to| key(to)).collect();
    let states = States::of(context.db()?, to.clone()).await?;
    let recent = (context.clock().now() - AGAIN_AFTER).timestamp();
    let is_open = |to: &str| {
        let was_mailed = states.known(user_id, to).and_then(|known| known.mailed_at);
        states.state(user_id, to) == State::Unconfirmed
            && !before.contains(&key(to))
            && was_mailed.is_none_or(|UnixSeconds(at)| at < recent)
    };
    Ok(unique(&to).filter(|to| is_open(to)).cloned().collect())
}

/// The unconfirmed addresses of a notification.
pub(super) async fn unconfirmed(context: &Context, user_id: i64, config: &Config) -> Result<Vec<String>> {
    let to = config.addresses();
    let states = States::of(context.db()?, to.clone()).await?;
    let is_unconfirmed = |to: &&String| states.state(user_id, to) == State::Unconfirmed;
    Ok(unique(&to).filter(is_unconfirmed).cloned().collect())
}

/// Removes duplicates; compares without case.
fn unique(addresses: &[String]) -> impl Iterator<Item = &String> {
    let mut seen = HashSet::new();
    addresses.iter().filter(move |address| seen.insert(key(address)))
}

fn bad_token() -> Error {
    Error::field("token", words::TOKEN_IS_UNKNOWN_OR_EXPIRED)
}

fn seconds(at: DateTime<Utc>) -> i64 {
    at.timestamp()
}

fn said(text: impl Into<Text>) -> String {
    text.into().of(runtime::language::current()).to_owned()
}
