//! Mails to a user about the account.

use chrono::TimeDelta;
use runtime::{Context, Error, Result};

use super::tries;
use fields::mailbox::mailbox;

use crate::notifications::senders;

/// What a mail is about.
#[derive(Clone, Copy)]
pub enum About {
    Forgotten,
    /// Counted apart: whoever asks for links in an owner's name must not use up the mail that undoes a theft.
    WayBack,
}

/// Of one kind, to one mailbox in a day. Nobody proves an address when signing up, so it may be a stranger's.
pub const MAX_MAILS: i64 = 50;

/// Counts a mail before it is sent; false at the limit.
pub async fn count(context: &Context, about: About, to: &str) -> Result<bool> {
    let what = match about {
        // Its links have a limit by account, which no stranger can use up. Several accounts may have one mailbox.
        About::Forgotten if fields::mailbox::spelling(to) == mailbox(to) => return Ok(true),
        About::Forgotten => "mail",
        About::WayBack => "way back",
    };
    tries::count(context, &format!("{what} {}", mailbox(to)), "", MAX_MAILS, TimeDelta::days(1)).await
}

/// Sends a mail that was counted.
pub async fn send(context: &Context, to: &str, subject: &str, content: &str) -> Result<()> {
    accepted(&senders::email::call(context, &senders::email::Body::plain(to, subject, content)).await?)
}

/// A mail that the server refused is answered 200, too. The server's own words, after the colon, may hold the
/// address and are not logged.
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
