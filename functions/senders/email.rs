//! POST /private/v1/emails, and event `notification.requested` with channel=email: sends an email.
//!
//! By SMTP; where `SMTP_URL` is not set, into files that a person can open.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use axum::{Json, extract::State};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    address::Envelope,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        self,
        client::{Certificate, Tls, TlsParameters},
    },
};
use runtime::{
    Context, Env, Event, Fields, FromEnv, Function, Input, Reply, Result, Subscription, error::ErrorBody,
    text, trust::ExtraRoots,
};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::{Done, Failed, SERVICE, TIMEOUT, message::Message};
use crate::{
    contract::{NotificationRequested, kind},
    notifications::config::{self, Config},
};

pub const NAME: &str = "email-send";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "sends an email")
    .http(runtime::http!(handle))
    .on(&[Subscription::of_channel(kind::NOTIFICATION_REQUESTED, "email")], || {
        axum::routing::post(handle_event)
    })
    .without_database()
    .reads(runtime::settings!(runtime::secret::Sealer, runtime::trust::ExtraRoots, Mailer));

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
    /// The same in HTML; made of `content` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    html: Option<String>,
}

/// One address, or up to ten.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum To {
    One(String),
    Several(Vec<String>),
}

impl Body {
    pub fn new(channel: &config::Email, message: Message) -> Self {
        let Message { subject, text, html } = message;
        Self { to: To::Several(channel.to.clone()), subject, content: text, html: Some(html) }
    }
}

#[utoipa::path(
    post, path = "/private/v1/emails", tag = "senders", request_body = Body,
    responses(
        (status = 200, body = Done, example = json!({
            "status": "fail", "message": "The mail server refused the message: 550 no such user.",
        })),
        (status = 400, body = ErrorBody, example = json!({
            "message": "Some fields are not acceptable.", "code": "VALIDATION_FAILED",
            "fields": {"to": "must be 1 to 10 email addresses"},
        })),
    ),
)]
async fn handle(State(context): State<Context>, Input(body): Input<Body>) -> Result<Json<Done>> {
    let to = match body.to {
        To::One(address) => vec![address],
        To::Several(addresses) => addresses,
    };
    let mut fields = Fields::default();
    let ok = (1..=10).contains(&to.len()) && to.iter().all(|address| crate::mailbox::is_address(address));
    fields.check(ok, "to", || text("must be 1 to 10 email addresses", "1~10개의 이메일 주소여야 합니다"));
    fields.finish()?;
    let plain = Message::plain(&body.subject, &body.content);
    let message = Message { html: body.html.unwrap_or(plain.html), ..plain };
    let id = format!("message-{}", context.random().token());
    let mailer = mailer(&context)?;
    let sent = tokio::time::timeout(TIMEOUT, mailer.send(&id, &to, message)).await;
    Ok(Json(sent.unwrap_or_else(|_| Err(Failed::ForNow(too_slow()))).into()))
}

async fn handle_event(State(context): State<Context>, event: Event<NotificationRequested>) -> Result<Reply> {
    if let Some(reply) = super::unwanted(&context, NAME, &event).await? {
        return Ok(reply);
    }
    let request = &event.data;
    // The same whenever this is delivered again: mail programs then show one message.
    let id = format!("delivery-{}-{}", request.delivery_id, request.attempt);
    let sent = match super::config(&context, request) {
        Ok(Config::Email(channel)) => {
            mailer(&context)?.send(&id, &channel.to, Message::of(&request.alert)).await
        }
        Ok(_) => Err(Failed::ForGood("These are not the settings of an email channel.".to_owned())),
        Err(failed) => Err(failed),
    };
    super::attempted(&context, NAME, &event, sent)
}

/// `SMTP_URL`, such as `smtp://user:password@host:587?tls=required`; `SMTP_FROM`, who it is from;
/// without `SMTP_URL`, `OUTBOX_DIR` (default `data/outbox`) is where the messages are put.
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
            // The error may hold the password: it is not passed on.
            Some(url) => Way::Smtp(
                smtp(url, &ExtraRoots::from_env(env)?)
                    .map_err(|_| anyhow::anyhow!("SMTP_URL is not acceptable"))?,
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
    // lettre reads the URL, but takes other authorities only together with its kind of TLS.
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

/// Made when it is first needed: its pool keeps connections between messages.
fn mailer(context: &Context) -> Result<Arc<Mailer>> {
    context.config()
}

impl Mailer {
    /// `id` is of letters, digits and `-_`.
    async fn send(&self, id: &str, to: &[String], message: Message) -> Result<(), Failed> {
        let unreadable = |error: anyhow::Error| {
            tracing::error!(%error, "an email cannot be built");
            Failed::ForGood("The message cannot be written as an email.".to_owned())
        };
        let (envelope, raw) = self.write(id, to, message).map_err(unreadable)?;
        match &self.way {
            Way::Smtp(smtp) => self.send_by(smtp, &envelope, &raw).await,
            Way::Outbox(directory) => put(directory, id, raw).await.map_err(|error| {
                tracing::error!(%error, "an email cannot be put into OUTBOX_DIR");
                Failed::ForNow("The message cannot be stored.".to_owned())
            }),
        }
    }

    fn write(&self, id: &str, to: &[String], message: Message) -> anyhow::Result<(Envelope, Vec<u8>)> {
        let domain = self.from.email.domain();
        let mut email = lettre::Message::builder()
            .from(self.from.clone())
            .subject(message.subject)
            .message_id(Some(format!("<{id}@{domain}>")));
        for address in to {
            email = email.to(Mailbox::new(None, address.parse()?));
        }
        let email = email.multipart(MultiPart::alternative_plain_html(message.text, message.html))?;
        Ok((email.envelope().clone(), email.formatted()))
    }

    /// To all at once; where the server refuses that for good, to each: one address that no longer
    /// exists must not keep the others from being told.
    async fn send_by(
        &self,
        smtp: &AsyncSmtpTransport<Tokio1Executor>,
        envelope: &Envelope,
        raw: &[u8],
    ) -> Result<(), Failed> {
        let sent = smtp.send_raw(envelope, raw).await.map(drop).map_err(|e| failure(&e));
        if !matches!(sent, Err(Failed::ForGood(_))) || envelope.to().len() < 2 {
            return sent;
        }
        let (mut accepted, mut refused) = (false, Vec::new());
        for address in envelope.to() {
            let Ok(one) = Envelope::new(envelope.from().cloned(), vec![address.clone()]) else { continue };
            match smtp.send_raw(&one, raw).await {
                Ok(_) => accepted = true,
                Err(error) => refused.push((config::mask_address(address.as_ref()), failure(&error))),
            }
        }
        judged(accepted, &refused)
    }
}

/// What came of trying each address: who was refused, masked, and whether anybody was accepted.
fn judged(accepted: bool, refused: &[(String, Failed)]) -> Result<(), Failed> {
    let Some((_, first)) = refused.first() else { return Ok(()) };
    let passing = |failed: &Failed| matches!(failed, Failed::ForNow(_) | Failed::ForAWhile(..));
    if accepted {
        let each = refused.iter().map(|(address, failed)| {
            format!("{address} (for {})", if passing(failed) { "now" } else { "good" })
        });
        let all = each.collect::<Vec<_>>().join(", ");
        return Err(Failed::ForSome(format!("The mail server refused the message to {all}.")));
    }
    // Nobody is told twice by another try, and somebody may be told by it.
    let later = refused.iter().map(|(_, failed)| failed).find(|failed| passing(failed));
    Err(later.unwrap_or(first).clone())
}

fn too_slow() -> String {
    format!("The mail server did not answer within {} seconds.", TIMEOUT.as_secs())
}

fn failure(error: &smtp::Error) -> Failed {
    // The server's own words.
    let said = || {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let code = error.status().map(|code| format!("{code} ")).unwrap_or_default();
        format!("{code}{}", source.chars().filter(|c| !c.is_control()).take(300).collect::<String>())
    };
    if error.is_permanent() {
        Failed::ForGood(format!("The mail server refused the message: {}", said()))
    } else if error.is_transient() {
        Failed::ForNow(format!("The mail server does not take the message now: {}", said()))
    } else if error.is_timeout() {
        Failed::ForNow(too_slow())
    } else {
        tracing::warn!(%error, "the mail server cannot be used");
        Failed::ForNow("The mail server could not be reached.".to_owned())
    }
}

/// Whole or not at all; under the same name when it is put again.
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
        let to = ["a@example.com".to_owned(), "b@example.com".to_owned()];
        let (envelope, raw) = mailer.write("delivery-12-1", &to, message).expect("writes");
        let raw = String::from_utf8(raw).expect("text");
        let (head, body) = raw.split_once("\r\n\r\n").expect("a head and a body");
        assert_eq!(envelope.to().len(), 2);
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
