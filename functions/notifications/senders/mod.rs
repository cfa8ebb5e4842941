//! Sends messages and reports their outcomes. Email, Slack and webhooks have a function each, with the
//! private API of the first contract; `channel-send` sends all other kinds.
//!
//! A transient error (no connection, 5xx, 429) is reported as postponed, a permanent one as failed:
//! `deliveries::queue` decides when to send again. Neither occupies the broker.

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

/// Sends all kinds without their own function.
const CHANNEL_SEND: &str = "channel-send";

/// Why a message was not delivered, in words for people; contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Transient: worth trying again.
    Transient(String),
    /// Transient, with the time that the receiver asked for (`Retry-After`).
    RetryAfter(String, Duration),
    Permanent(String),
    /// Some recipients got it; the others never will.
    PermanentForSome(String),
    /// Some recipients got it; their names (of addresses a hash) are here. Trying the others again is
    /// worthwhile.
    TransientForSome(String, Vec<String>),
}

impl Failed {
    pub fn why(self) -> String {
        match self {
            Self::Transient(why)
            | Self::RetryAfter(why, _)
            | Self::Permanent(why)
            | Self::PermanentForSome(why)
            | Self::TransientForSome(why, _) => why,
        }
    }
}

/// The response of a call that only performs an action.
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
            Err(Failed::PermanentForSome(why) | Failed::TransientForSome(why, _)) => {
                Self { message: Some(why), ..Self::ok() }
            }
            Err(failed) => Self::fail(failed.why()),
        }
    }
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Permanent(why) => Self::Permanent(why),
            SendError::Transient { why, retry_after: None, .. } => Self::Transient(why),
            SendError::Transient { why, retry_after: Some(after), .. } => Self::RetryAfter(why, after),
        }
    }
}
