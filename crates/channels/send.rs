//! The interface between a kind and its transport: the context for sending, and the errors.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::Alert;
use http::{HeaderName, HeaderValue, StatusCode, header};
use net::guarded::{Client, Post};
use serde_json::Value;
use url::Url;

/// The maximum length of a response that is read: enough for a receiver's error.
const MAX_RESPONSE_LEN: usize = 16 * 1024;

/// What a kind needs to send.
pub struct SendContext<'a> {
    /// For URLs entered by users.
    pub guarded: &'a Client,
    /// For URLs set by the operator.
    pub trusted: &'a Client,
    /// Looks up a setting by name.
    pub settings: &'a (dyn Fn(&str) -> Option<String> + Send + Sync),
    /// The delivery's ID: the same on each try, so that the receiver can recognise duplicates.
    pub id: &'a str,
    /// The time of the change that the message reports.
    pub time: DateTime<Utc>,
    pub now: DateTime<Utc>,
    /// `None`: a plain text, not an alert.
    pub alert: Option<&'a Alert>,
}

/// Why a message was not accepted, in words for people; contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Sending again can help.
    Transient {
        why: String,
        /// The time that the receiver asked for (`Retry-After`).
        retry_after: Option<Duration>,
        /// It may be over in a moment, and the receiver certainly does not have the message.
        is_hiccup: bool,
    },
    /// Sending again does not help.
    Permanent(String),
}

impl SendError {
    pub fn transient(why: impl Into<String>) -> Self {
        Self::Transient { why: why.into(), retry_after: None, is_hiccup: false }
    }

    pub fn hiccup(why: impl Into<String>) -> Self {
        Self::Transient { why: why.into(), retry_after: None, is_hiccup: true }
    }

    pub fn permanent(why: impl Into<String>) -> Self {
        Self::Permanent(why.into())
    }
}

/// A response, read up to a limit.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

impl SendContext<'_> {
    /// Posts JSON to a URL entered by a user. `whom` is the receiver's name in errors.
    pub async fn post_json(&self, whom: &str, url: &str, body: &Value) -> Result<Response, SendError> {
        post(self.guarded, whom, url, &[("content-type", "application/json")], body.to_string(), self.now)
            .await
    }
}

/// Posts with the given client. Header names must be in lower case; the caller sets the time-out.
pub async fn post(
    client: &Client,
    whom: &str,
    url: &str,
    headers: &[(&'static str, &str)],
    body: String,
    now: DateTime<Utc>,
) -> Result<Response, SendError> {
    let url = Url::parse(url).map_err(|_| SendError::permanent("The URL is not valid."))?;
    let headers = headers.iter().map(|&(name, value)| {
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_| SendError::permanent("The message cannot be written."))?;
        Ok((HeaderName::from_static(name), value))
    });
    let outbound = Ok((net::OUTBOUND, HeaderValue::from_static("message")));
    let headers = headers.chain([outbound]).collect::<Result<_, SendError>>()?;
    let post = Post { url, headers, body: body.into() };
    let response = client.post(&post, MAX_RESPONSE_LEN).await.map_err(|error| not_sent(whom, error))?;
    let (head, body) = response.into_parts();
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|value| wait(value, now));
    Ok(Response { status: head.status, retry_after, body })
}

fn not_sent(whom: &str, error: net::guarded::SendError) -> SendError {
    use net::guarded::SendError as Error;
    match error {
        Error::Blocked(blocked) => SendError::permanent(format!("{blocked}.")),
        Error::NotConnected => SendError::hiccup(format!("{whom} could not be reached.")),
        Error::Flooded => SendError::transient(format!("{whom} sends far more than its response.")),
        Error::BrokenOff => SendError::transient(format!("{whom} broke off the connection.")),
    }
}

/// In seconds, or as a date.
fn wait(retry_after: &str, now: DateTime<Utc>) -> Option<Duration> {
    let seconds = retry_after.trim().parse().ok().map(Duration::from_secs);
    seconds.or_else(|| {
        let until = DateTime::parse_from_rfc2822(retry_after.trim()).ok()?;
        (until.to_utc() - now).to_std().ok()
    })
}

impl Response {
    /// Decides by the status whether sending again can help.
    pub fn judged(&self, whom: &str) -> Result<(), SendError> {
        let status = self.status;
        if status.is_success() {
            return Ok(());
        }
        let why = format!("{whom} answered {status}.");
        if !status.is_server_error() && !matches!(status.as_u16(), 408 | 409 | 425 | 429) {
            return Err(SendError::Permanent(why));
        }
        Err(self.later(why))
    }

    /// A transient error, with the receiver's `Retry-After`.
    pub fn later(&self, why: String) -> SendError {
        let is_hiccup = matches!(self.status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE)
            && self.retry_after.is_none();
        SendError::Transient { why, retry_after: self.retry_after, is_hiccup }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, retry_after: Option<Duration>) -> Response {
        let status = StatusCode::from_u16(status).expect("a status");
        Response { status, retry_after, body: Vec::new() }
    }

    #[test]
    fn status_tells_whether_sending_again_can_help() {
        let judge = |status| response(status, None).judged("It");
        for fine in [200, 202, 204] {
            assert_eq!(judge(fine), Ok(()));
        }
        for later in [408, 409, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(judge(later), Err(SendError::Transient { .. })), "{later}");
        }
        for never in [301, 302, 400, 401, 403, 404, 410, 413, 422] {
            assert!(matches!(judge(never), Err(SendError::Permanent(_))), "{never}");
        }
        assert_eq!(judge(404), Err(SendError::permanent("It answered 404 Not Found.")));
        let hour = Some(Duration::from_secs(3600));
        let why = "It answered 429 Too Many Requests.".to_owned();
        let busy = SendError::Transient { why, retry_after: hour, is_hiccup: false };
        assert_eq!(response(429, hour).judged("It"), Err(busy));
    }

    #[test]
    fn retry_after_is_in_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").expect("a time").to_utc();
        let said = |text| wait(text, now).map(|wait| wait.as_secs());
        assert_eq!(said(" 30"), Some(30));
        assert_eq!(said("Sun, 01 Mar 2026 12:02:00 GMT"), Some(120));
        for nothing in ["", "-3", "soon", "Sun, 01 Mar 2026 11:00:00 GMT"] {
            assert_eq!(said(nothing), None, "{nothing}");
        }
    }
}
