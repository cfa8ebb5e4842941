//! Sends messages, and says what became of them: email, Slack and webhooks by a function each, with the private API of
//! the first contract; all other kinds by `channel-send`.
//!
//! What may work later (no connection, 5xx, 429) is reported as postponed, what will not as failed:
//! `deliveries::queue` decides when it is sent again. Neither holds a place in the broker.

pub mod channel;
pub mod email;
pub(crate) mod metrics;
mod send;
pub mod slack;
pub mod webhook;

use std::time::Duration;

use channels::{Kind, SendError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const SERVICE: &str = super::SERVICE;

/// The function that sends a kind's messages.
pub fn function_of(kind: &Kind) -> &'static str {
    kind.function.unwrap_or(CHANNEL_SEND)
}

/// For all kinds that have no function of their own.
const CHANNEL_SEND: &str = "channel-send";

/// Why a message did not get through, in words for people that hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It is worth trying again.
    ForNow(String),
    /// The same, and the receiver says when (`Retry-After`).
    ForAWhile(String, Duration),
    ForGood(String),
    /// Others got it, and these never will.
    ForSome(String),
    /// Others got it, whose names (of addresses a hash) are here; it is worth trying the rest again.
    ForSomeNow(String, Vec<String>),
}

impl Failed {
    pub fn why(self) -> String {
        match self {
            Self::ForNow(why)
            | Self::ForAWhile(why, _)
            | Self::ForGood(why)
            | Self::ForSome(why)
            | Self::ForSomeNow(why, _) => why,
        }
    }
}

/// What a call that does something answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Sent)]
pub struct Done {
    /// `ok` or `fail`.
    #[schema(example = "ok")]
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Done {
    pub fn ok() -> Self {
        Self { status: "ok".to_owned(), message: None }
    }

    pub fn fail(message: impl Into<String>) -> Self {
        Self { status: "fail".to_owned(), message: Some(message.into()) }
    }
}

impl From<Result<(), Failed>> for Done {
    fn from(sent: Result<(), Failed>) -> Self {
        match sent {
            Ok(()) => Self::ok(),
            Err(Failed::ForSome(why) | Failed::ForSomeNow(why, _)) => {
                Self { message: Some(why), ..Self::ok() }
            }
            Err(failed) => Self::fail(failed.why()),
        }
    }
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Permanent(why) => Self::ForGood(why),
            SendError::Transient { why, retry_after: None, .. } => Self::ForNow(why),
            SendError::Transient { why, retry_after: Some(after), .. } => Self::ForAWhile(why, after),
        }
    }
}
