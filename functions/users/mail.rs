//! Mails to users about their accounts.

use chrono::TimeDelta;
use runtime::{Context, Error, Result};

use super::tries;
use fields::mailbox::mailbox;

use crate::notifications::senders;

/// The reason for a mail.
#[derive(Clone, Copy)]
pub enum MailKind {
    Forgotten,
    /// Counted separately: requests for password links by a stranger must not use up the mails that let
    /// the owner recover a stolen account.
    WayBack,
}

/// Mails for one reason to one mailbox per day. A sign-up does not verify the address, so it may belong
/// to a stranger.
pub const MAX_MAILS: i64 = 50;

/// Counts a mail before it is sent; false at the limit.
pub async fn count(context: &Context, about: MailKind, to: &str) -> Result<bool> {
    let what = match about {
        // These mails have a limit per account, which a stranger cannot use up. Several accounts may
        // share one mailbox.
        MailKind::Forgotten if fields::mailbox::spelling(to) == mailbox(to) => return Ok(true),
        MailKind::Forgotten => "mail",
        MailKind::WayBack => "way back",
    };
    tries::count(context, &format!("{what} {}", mailbox(to)), "", MAX_MAILS, TimeDelta::days(1)).await
}

/// Sends a mail that was already counted.
pub async fn send(context: &Context, to: &str, subject: &str, content: &str) -> Result<()> {
    accepted(&senders::email::call(context, &senders::email::Body::plain(to, subject, content)).await?)
}

/// A mail that the server refused is also answered with 200. The server's own text, after the colon, may
/// contain the address and is not logged.
fn accepted(sent: &senders::Done) -> Result<()> {
    if sent.status == "ok" {
        return Ok(());
    }
    let why = sent.message.as_deref().and_then(|message| message.split(':').next()).unwrap_or("no reason");
    Err(Error::internal(anyhow::anyhow!("the mail was not sent: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_that_was_not_taken_is_an_error_without_the_address() {
        accepted(&senders::Done::ok()).expect("taken");
        let refusal = "The mail server refused the message: 550 <me@example.com> no such user";
        let error = accepted(&senders::Done::fail(refusal)).expect_err("not taken").to_string();
        assert!(error.contains("The mail server refused the message"), "{error}");
        assert!(!error.contains("example.com"), "{error}");
    }
}
