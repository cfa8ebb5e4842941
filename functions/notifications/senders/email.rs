//! POST /private/v1/emails, and event `notification.requested` of kind email: sends an email.
//!
//! Sends by SMTP; if `SMTP_URL` is not set, writes files that a person can open.

use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use axum::{Json, extract::State};
use channels::{Channel as _, Kind, Message, SendError, kinds::email::Email};
use fields::mailbox;
use futures::future::join_all;
use http::Method;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    address::Envelope,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        client::{Certificate, Tls, TlsParameters},
    },
};
use net::trust::ExtraRoots;
use runtime::{
    Context, Env, Event, Fields, FromEnv, Function, Input, Reply, Result, Subscription, error::ErrorBody,
};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::{Done, Failed, SERVICE, send, send::TIMEOUT};
use crate::notifications::addresses::recipients::{self, Recipient, Recipients};
use crate::words;
use contract::{Language, NotificationRequested, kind};

pub const NAME: &str = "email-send";

const KIND: Kind = Kind::of::<Email>();

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "sends an email")
    .http(runtime::http!(handle))
    .on(&[Subscription::of_channel(kind::NOTIFICATION_REQUESTED, Email::KIND)], || {
        axum::routing::post(handle_event)
    })
    .without_database()
    .reads(runtime::settings!(runtime::secret::Sealer, net::trust::ExtraRoots, Mailer));

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Email, example = json!({
    "to": "a@example.com", "subject": "Hello", "content": "How are you?",
}))]
pub struct Body {
    to: To,
    subject: String,
    /// Plain text.
    content: String,
    /// The same as HTML; generated from `content` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    /// The language of the unsubscribe link's text.
    #[serde(default)]
    language: Language,
}

/// One address, or up to ten.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum To {
    One(String),
    Several(Vec<String>),
    Recipients(Vec<Recipient>),
}

impl To {
    fn recipients(self) -> Vec<Recipient> {
        let addresses = match self {
            Self::One(address) => vec![address],
            Self::Several(addresses) => addresses,
            Self::Recipients(recipients) => return recipients,
        };
        let recipient = |(number, address)| Recipient { address, number, unsubscribe_url: None };
        addresses.into_iter().enumerate().map(recipient).collect()
    }
}

impl Body {
    pub fn new(to: Vec<Recipient>, message: Message) -> Self {
        let Message { subject, text, html, language } = message;
        Self { to: To::Recipients(to), subject, content: text, html: Some(html), language }
    }

    pub fn plain(to: &str, subject: &str, content: &str) -> Self {
        let (to, subject, content) = (To::One(to.to_owned()), subject.to_owned(), content.to_owned());
        Self { to, subject, content, html: None, language: Language::default() }
    }
}

/// Sends an email now.
pub async fn call(context: &Context, body: &Body) -> Result<Done> {
    context.outbound().call(NAME, Method::POST, "/private/v1/emails", Some(body)).await
}

/// For a whole SMTP session; less than a sender's limit of one minute. A server may scan a message for a
/// while before it accepts it, and giving up before that means sending it twice.
const MAX_SESSION: Duration = Duration::from_secs(45);

/// The text in the delivery log and in a test's response if `SMTP_URL` is not set.
pub const WRITTEN_TO_FILE: &str =
    "SMTP_URL is not set: the mail was not sent, but written to a file in the outbox folder.";

#[utoipa::path(
    post, path = "/private/v1/emails", tag = "senders", request_body = Body,
    responses(
        (status = 200, body = Done, example = json!({
            "status": "fail", "message": "The mail server refused the message: 550 no such user.",
        })),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are invalid.", "code": "VALIDATION_FAILED",
            "fields": {"to": "must be 1 to 10 email addresses"},
        })),
    ),
)]
async fn handle(State(context): State<Context>, Input(body): Input<Body>) -> Result<Json<Done>> {
    let to = body.to.recipients();
    let mut fields = Fields::default();
    let ok = (1..=10).contains(&to.len()) && to.iter().all(|to| mailbox::is_address(&to.address));
    fields.check(ok, "to", || words::MUST_BE_EMAIL_ADDRESSES);
    fields.finish()?;
    let plain = Message::plain(&body.subject, &body.content);
    let message = Message { html: body.html.unwrap_or(plain.html), language: body.language, ..plain };
    let id = format!("message-{}", context.random().token());
    let mailer = mailer(&context)?;
    let sent = tokio::time::timeout(TIMEOUT, mailer.send(&context, &id, &to, &message)).await;
    Ok(Json(sent.unwrap_or_else(|_| Err(Failed::Transient(send::too_slow(Email::RECEIVER, TIMEOUT)))).into()))
}

async fn handle_event(State(context): State<Context>, event: Event<NotificationRequested>) -> Result<Reply> {
    if let Some(reply) = send::unwanted(&context, NAME, &event).await? {
        return Ok(reply);
    }
    let request = &event.data;
    // The same if the event is delivered again, so that mail programs show one message.
    let id = format!("delivery-{}-{}", request.delivery_id, request.attempt);
    let sent = match send::opened(request, recipients::open_recipients(&context, &request.sealed_config)) {
        // Empty: all remaining recipients already have it.
        Ok(Recipients { to, left_out }) if to.is_empty() => {
            left_out.map_or(Ok(()), |why| Err(Failed::Permanent(why)))
        }
        Ok(Recipients { to, left_out }) => {
            let sent = mailer(&context)?
                .send(&context, &id, &to, &Message::of(&request.alert, &request.reader))
                .await;
            with_left_out(sent, left_out)
        }
        Err(failed) => Err(failed),
    };
    send::attempted(&context, NAME, &event, sent)
}

/// Settings: `SMTP_URL`, such as `smtp://user:password@host:587?tls=required`; `SMTP_FROM`, the sender's
/// address; `OUTBOX_DIR` (default `data/outbox`), the folder for messages if `SMTP_URL` is not set.
pub(crate) struct Mailer {
    from: Mailbox,
    way: Way,
}

enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Outbox(PathBuf),
}

impl FromEnv for Mailer {
    const NAMES: &[&str] = &["SMTP_URL", "SMTP_FROM", "OUTBOX_DIR"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let way = match env.get("SMTP_URL") {
            // The error may contain the password: it is not passed on.
            Some(url) => Way::Smtp(
                smtp(url, &ExtraRoots::from_env(env)?).map_err(|_| anyhow::anyhow!("SMTP_URL is invalid"))?,
            ),
            None => Way::Outbox(env.get("OUTBOX_DIR").unwrap_or("data/outbox").into()),
        };
        Ok(Self {
            from: env.parse_or("SMTP_FROM", Mailbox::from_str("pongpong <pongpong@localhost>")?)?,
            way,
        })
    }
}

fn smtp(url: &str, roots: &ExtraRoots) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?.timeout(Some(TIMEOUT));
    // lettre parses the URL, but accepts extra root certificates only together with explicit TLS
    // settings.
    let url = Url::parse(url)?;
    let mut tls = TlsParameters::builder(url.host_str().unwrap_or_default().to_owned());
    for root in &roots.0 {
        tls = tls.add_root_certificate(Certificate::from_der(root.to_vec())?);
    }
    let tls = tls.build_rustls()?;
    let asked = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value);
    let tls = match (url.scheme(), asked.as_deref()) {
        ("smtps", _) => Tls::Wrapper(tls),
        (_, Some("required")) => Tls::Required(tls),
        (_, Some("opportunistic")) => Tls::Opportunistic(tls),
        _ => Tls::None,
    };
    Ok(transport.tls(tls).build())
}

/// Created on first use: its pool keeps connections open between messages.
fn mailer(context: &Context) -> Result<Arc<Mailer>> {
    context.config()
}

impl Mailer {
    /// Sends to each address separately: an invalid address does not block the others, and no recipient
    /// sees another's address or link. `id` consists of letters, digits and `-_`.
    async fn send(
        &self,
        context: &Context,
        id: &str,
        to: &[Recipient],
        message: &Message,
    ) -> Result<(), Failed> {
        let each = to.iter().map(|to| async move {
            let id = if to.number == 0 { id.to_owned() } else { format!("{id}-{}", to.number + 1) };
            (to.address.as_str(), self.send_one(context, &id, to, message).await)
        });
        judged(&join_all(each).await)?;
        match self.way {
            Way::Smtp(_) => Ok(()),
            Way::Outbox(_) => Err(Failed::PermanentForSome(WRITTEN_TO_FILE.to_owned())),
        }
    }

    async fn send_one(
        &self,
        context: &Context,
        id: &str,
        to: &Recipient,
        message: &Message,
    ) -> Result<(), Failed> {
        let unreadable = |error: anyhow::Error| {
            tracing::error!(%error, "an email cannot be built");
            Failed::Permanent("The message cannot be written as an email.".to_owned())
        };
        let (envelope, raw) = self.write(id, to, message).map_err(unreadable)?;
        match &self.way {
            Way::Smtp(smtp) => {
                let try_once = || async {
                    smtp.send_raw(&envelope, &raw).await.map(drop).map_err(|error| failure(&error))
                };
                send::try_twice(context, &KIND, [MAX_SESSION; 2], try_once).await
            }
            Way::Outbox(directory) => put(directory, id, raw).await.map_err(|error| {
                tracing::error!(%error, "an email cannot be put into OUTBOX_DIR");
                Failed::Transient("The message cannot be stored.".to_owned())
            }),
        }
    }

    fn write(&self, id: &str, to: &Recipient, message: &Message) -> anyhow::Result<(Envelope, Vec<u8>)> {
        let domain = self.from.email.domain();
        let url = to.unsubscribe_url.as_deref();
        let Message { subject, text, html, .. } =
            url.map_or_else(|| message.clone(), |url| message.with_unsubscribe(url));
        let mut email = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.address.parse()?))
            // lettre does not encode ASCII text: text that looks like an encoded word would be decoded as
            // one.
            .subject(subject.replace("=?", "= ?"))
            .message_id(Some(format!("<{id}@{domain}>")))
            .multipart(MultiPart::alternative_plain_html(text, html))?;
        if let Some(url) = url {
            // RFC 8058: mail programs show a button that posts to this URL.
            for (name, value) in [
                ("List-Unsubscribe", format!("<{url}>")),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()),
            ] {
                let name = HeaderName::new_from_ascii(name.to_owned())?;
                email.headers_mut().insert_raw(HeaderValue::new(name, value));
            }
        }
        Ok((email.envelope().clone(), email.formatted()))
    }
}

/// Combines the results for all addresses.
fn judged(tried: &[(&str, Result<(), Failed>)]) -> Result<(), Failed> {
    let refused = || tried.iter().filter_map(|(address, sent)| Some((address, sent.as_ref().err()?)));
    let Some((_, first)) = refused().next() else { return Ok(()) };
    let is_passing = |failed: &Failed| matches!(failed, Failed::Transient(_) | Failed::RetryAfter(..));
    let later = refused().map(|(_, failed)| failed).find(|failed| is_passing(failed));
    let reached = tried.iter().filter(|(_, sent)| sent.is_ok()).map(|(address, _)| recipients::name(address));
    let reached: Vec<String> = reached.collect();
    if reached.is_empty() {
        return Err(later.unwrap_or(first).clone());
    }
    let each = refused().map(|(address, failed)| {
        format!(
            "{} ({})",
            mailbox::masked(address),
            if is_passing(failed) { "temporarily" } else { "permanently" }
        )
    });
    let why = format!("The mail server refused the message to {}.", each.collect::<Vec<_>>().join(", "));
    Err(if later.is_some() { Failed::TransientForSome(why, reached) } else { Failed::PermanentForSome(why) })
}

/// Adds the left-out addresses to the result; a success stays a success.
fn with_left_out(sent: Result<(), Failed>, left_out: Option<String>) -> Result<(), Failed> {
    let Some(left_out) = left_out else { return sent };
    match sent {
        Ok(()) => Err(Failed::PermanentForSome(left_out)),
        Err(Failed::PermanentForSome(why)) => Err(Failed::PermanentForSome(format!("{why} {left_out}"))),
        Err(Failed::TransientForSome(why, reached)) => {
            Err(Failed::TransientForSome(format!("{why} {left_out}"), reached))
        }
        Err(failed) => Err(failed),
    }
}

/// The server closes the session, or cannot be reached. After a later error, the server may have accepted
/// the message.
fn is_hiccup(error: &smtp::Error) -> bool {
    let is_closing = error.status().is_some_and(|code| u16::from(code) == 421);
    // lettre identifies this kind of error only by its text.
    is_closing || !error.is_timeout() && error.to_string().starts_with("Connection error")
}

fn failure(error: &smtp::Error) -> SendError {
    // The server's own error text.
    let said = || {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let code = error.status().map(|code| format!("{code} ")).unwrap_or_default();
        format!("{code}{}", source.chars().filter(|c| !c.is_control()).take(300).collect::<String>())
    };
    if error.is_permanent() {
        return SendError::Permanent(format!("The mail server refused the message: {}", said()));
    }
    let why = if error.is_transient() {
        format!("The mail server does not take the message now: {}", said())
    } else if error.is_timeout() {
        send::too_slow(Email::RECEIVER, TIMEOUT)
    } else {
        tracing::warn!(%error, "the mail server cannot be used");
        "The mail server could not be reached.".to_owned()
    };
    SendError::Transient { why, retry_after: None, is_hiccup: is_hiccup(error) }
}

/// Writes the file atomically; the same message always gets the same name.
async fn put(directory: &std::path::Path, id: &str, raw: Vec<u8>) -> std::io::Result<()> {
    let path = directory.join(format!("{id}.eml"));
    let unfinished = directory.join(format!(".{id}.part"));
    tokio::fs::create_dir_all(directory).await?;
    tokio::fs::write(&unfinished, raw).await?;
    tokio::fs::rename(&unfinished, &path).await?;
    tracing::warn!(path = %path.display(), "SMTP_URL is not set: the email was put into a file");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_multipart_with_a_stable_id_and_no_header_of_others() {
        let mailer = Mailer::from_env(&Env::default()).expect("defaults");
        let message = Message::plain("Hi\r\nBcc: x@example.com", "the text");
        let url = format!("https://pongpong.test/mail/unsubscribe?token=v1.{}", "x".repeat(300));
        let to =
            Recipient { address: "a@example.com".to_owned(), number: 0, unsubscribe_url: Some(url.clone()) };
        let (envelope, raw) = mailer.write("delivery-12-1", &to, &message).expect("writes");
        let raw = String::from_utf8(raw).expect("text");
        let (head, body) = raw.split_once("\r\n\r\n").expect("a head and a body");
        assert_eq!(envelope.to().len(), 1);
        let unfolded = head.replace("\r\n ", " ");
        assert!(unfolded.lines().any(|line| line == format!("List-Unsubscribe: <{url}>")), "{unfolded}");
        assert!(
            unfolded.lines().any(|l| l == "List-Unsubscribe-Post: List-Unsubscribe=One-Click"),
            "{unfolded}"
        );
        assert_eq!(body.replace("=\r\n", "").replace("=3D", "=").matches(&url).count(), 2, "{body}");
        assert!(head.contains("Message-ID: <delivery-12-1@localhost>"), "{head}");
        assert!(head.contains("multipart/alternative"), "{head}");
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(body.contains("text/plain") && body.contains("text/html"), "{body}");
    }

    #[test]
    fn a_bad_setting_does_not_tell_the_password() {
        let env = |url: &str| Env::from_iter([("SMTP_URL".to_owned(), url.to_owned())]);
        let error = Mailer::from_env(&env("smtp://me:secret@[bad")).err().expect("refused");
        assert!(!format!("{error:#}").contains("secret"));
    }
}
