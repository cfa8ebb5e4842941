//! The config of a notification: validated values of its kind's fields. Secrets are masked wherever it is
//! shown.

use contract::{Fields, Invalid};
use fields::{Input, Stored};
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{OneOfBuilder, Ref, RefOr, Schema},
};

use crate::{CHANNELS, Kind, Message, SendContext, SendError};

#[derive(Clone)]
pub struct Config {
    pub kind: &'static Kind,
    values: Value,
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.kind.name == other.kind.name && self.values == other.values
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.name, self.recipient())
    }
}

impl Config {
    /// A config from storage, which was validated before.
    pub fn stored(kind: &'static Kind, values: Value) -> Self {
        Self { kind, values }
    }

    /// Reads and validates a config from a request.
    pub fn read(kind: &'static Kind, sent: &Value, stored: Option<&Self>) -> Result<Self, Invalid> {
        let stored = stored.map(|stored| Stored { values: &stored.values, is_elsewhere: false });
        let values = fields::read(kind.fields, sent, stored)?;
        let mut fields = Fields::default();
        (kind.check)(&values, &mut fields);
        fields.finish()?;
        Ok(Self { kind, values })
    }

    /// Generates absent values of fields that support it; returns whether it generated any.
    pub fn generate(&mut self, random: impl Fn() -> [u8; 32]) -> bool {
        fields::generate(self.kind.fields, &mut self.values, random)
    }

    /// For storage, where it is sealed, and to show a generated secret once.
    pub fn values(&self) -> &Value {
        &self.values
    }

    /// With secrets masked.
    pub fn masked(&self) -> Value {
        fields::masked(self.kind.fields, &self.values)
    }

    /// The email addresses in the config. Their owners must confirm them.
    pub fn addresses(&self) -> Vec<String> {
        let lists = self.kind.fields.iter().filter(|field| matches!(field.input, Input::Emails { .. }));
        let values = lists.filter_map(|field| self.values.get(field.name)?.as_array()).flatten();
        values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// For the delivery log: enough to recognise the recipient, without secrets.
    pub fn recipient(&self) -> String {
        (self.kind.recipient)(&self.values)
    }

    /// The host for the limit of concurrent messages per host.
    pub fn host(&self) -> String {
        (self.kind.host)(&self.values)
    }

    /// Sends once, without retries.
    pub async fn send(&self, message: &Message, cx: &SendContext<'_>) -> Result<(), SendError> {
        (self.kind.send)(&self.values, message, cx).await
    }
}

fn schema_name(kind: &Kind) -> String {
    fields::schema_name(kind.name, "Config")
}

/// OpenAPI schema: the config of one of the kinds.
#[derive(Debug)]
pub struct ConfigSchema;

impl ToSchema for ConfigSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "NotificationConfig".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(CHANNELS.iter().map(|kind| (schema_name(kind), fields::schema(kind.fields))));
    }
}

impl PartialSchema for ConfigSchema {
    fn schema() -> RefOr<Schema> {
        let any = CHANNELS
            .iter()
            .fold(OneOfBuilder::new(), |any, kind| any.item(Ref::from_schema_name(schema_name(kind))));
        any.into()
    }
}

#[cfg(test)]
mod tests {
    use contract::Text;
    use fields::Field;
    use serde_json::json;

    use super::*;

    fn kind(name: &str) -> &'static Kind {
        Kind::find(name).expect("a kind")
    }

    fn refused(name: &str, config: &Value) -> Vec<(String, Text)> {
        Config::read(kind(name), config, None).expect_err(&config.to_string()).0
    }

    fn accepted(name: &str, config: &Value) -> Config {
        Config::read(kind(name), config, None).unwrap_or_else(|error| panic!("{config}: {error:?}"))
    }

    /// The example values of a kind's required fields, or of its first field if none is required.
    fn example(kind: &'static Kind) -> Value {
        let is_shown = |field: &&Field| field.is_required;
        let shown: Vec<_> = kind.fields.iter().filter(is_shown).collect();
        let shown = if shown.is_empty() { kind.fields.iter().take(1).collect() } else { shown };
        let value = |field: &&Field| match field.input {
            Input::Emails { .. } => json!([field.example]),
            _ => json!(field.example),
        };
        shown.iter().map(|field| (field.name.to_owned(), value(field))).collect()
    }

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn read_names_the_field_that_is_invalid() {
        let many: Vec<_> = (0..11).map(|at| format!("a{at}@example.com")).collect();
        for (name, config, field) in [
            ("email", json!([]), "config"),
            ("email", json!({}), "config.to"),
            ("email", json!({"to": []}), "config.to"),
            ("email", json!({"to": "a@b.c"}), "config.to"),
            ("email", json!({"to": many}), "config.to"),
            ("email", json!({"to": ["a@example.com", "Bob <a@example.com>"]}), "config.to[1]"),
            ("email", json!({"to": ["a@example.com\r\nBcc: b@example.com"]}), "config.to[0]"),
            ("email", json!({"to": ["a@example.com"], "cc": []}), "config.cc"),
            ("slack", json!({}), "config.channel"),
            ("slack", json!({"channel": "#a", "token": "xoxb-…1234"}), "config.token"),
            ("discord", json!({"webhook_url": "https://discord.com/…"}), "config.webhook_url"),
            ("slack", json!({"channel": "#a", "token": "xoxb-1\r\nX: y-abcdef"}), "config.token"),
            ("slack", json!({"channel": "", "token": "xoxb-12345678"}), "config.channel"),
            ("slack", json!({"webhook_url": "ftp://x/"}), "config.webhook_url"),
            ("slack", json!({"webhook_url": "https://x/", "token": "xoxb-12345678"}), "config.webhook_url"),
            ("slack", json!({"domain": "a b", "webhook_url": "https://x/"}), "config.domain"),
            ("webhook", json!({}), "config.url"),
            ("webhook", json!({"url": 7}), "config.url"),
            ("webhook", json!({"url": "file:///etc/passwd"}), "config.url"),
            ("webhook", json!({"url": "http://"}), "config.url"),
            ("webhook", json!({"url": "http://a:b@example.com/"}), "config.url"),
            ("webhook", json!({"url": "http://example.com:99999/"}), "config.url"),
            ("webhook", json!({"url": "http://exa\nmple.com/"}), "config.url"),
            ("webhook", json!({"url": format!("http://example.com/{}", "a".repeat(2048))}), "config.url"),
            ("webhook", json!({"url": "http://example.com/", "secret": "mine"}), "config.secret"),
            ("webhook", json!({"url": "http://example.com/", "secret": "whsec_AAAA"}), "config.secret"),
        ] {
            let invalid = refused(name, &config);
            assert!(invalid.iter().any(|(name, _)| name == field), "{config}: {invalid:?}");
        }
    }

    #[test]
    fn config_of_every_kind_is_read_masked_and_kept() {
        for kind in CHANNELS {
            let sent = example(kind);
            let config = accepted(kind.name, &sent);
            assert_eq!(config.values(), &sent);
            let masked = config.masked();
            for field in kind.fields.iter().filter(|field| field.is_secret) {
                let Some(secret) = sent[field.name].as_str() else { continue };
                assert_ne!(masked[field.name], secret, "{} shows {}", kind.name, field.name);
                let shown = format!("{config:?} {}", config.recipient());
                assert!(!shown.contains(secret), "{shown}");
            }
            let again = Config::read(kind, &masked, Some(&config));
            assert_eq!(again.as_ref(), Ok(&config), "{}: masked, it stays as it is", kind.name);
            assert_eq!(Config::stored(kind, sent.clone()), config);
        }
    }

    #[test]
    fn every_field_is_refused_with_its_name_when_it_is_of_another_type_or_absent() {
        for kind in CHANNELS {
            for field in kind.fields {
                for odd in [json!({}), json!(7), json!("\u{0}"), json!("x".repeat(5000))] {
                    let mut sent = example(kind);
                    sent[field.name] = odd;
                    let invalid = refused(kind.name, &sent);
                    let name = format!("config.{}", field.name);
                    assert!(invalid.iter().any(|(field, _)| *field == name), "{sent}: {invalid:?}");
                }
                if field.is_required {
                    let mut sent = example(kind);
                    sent[field.name] = Value::Null;
                    assert_eq!(refused(kind.name, &sent)[0].0, format!("config.{}", field.name));
                }
            }
            assert_eq!(refused(kind.name, &json!({"strange": 1}))[0].0, "config.strange");
        }
    }

    #[test]
    fn every_kind_speaks_both_languages() {
        for kind in CHANNELS {
            assert!(kind.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", kind.name);
            let fields = kind.fields.iter().flat_map(|field| [field.label, field.help]);
            for (en, ko) in fields.chain([kind.label, kind.about]) {
                assert!(!en.is_empty() && !ko.is_empty(), "{}: {en:?} {ko:?}", kind.name);
            }
            let mut names: Vec<_> = kind.fields.iter().map(|field| field.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), kind.fields.len(), "{}", kind.name);
        }
        let mut names: Vec<_> = CHANNELS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHANNELS.len());
    }

    #[test]
    fn generated_secret_is_kept_when_the_config_changes() {
        let mut config = accepted("webhook", &json!({"url": "https://example.com/a"}));
        assert!(config.generate(|| [7; 32]));
        assert!(!config.generate(|| [8; 32]));
        let secret = config.values()["secret"].clone();
        let moved = Config::read(kind("webhook"), &json!({"url": "https://example.com/b"}), Some(&config));
        assert_eq!(moved.expect("reads").values()["secret"], secret);
        let own = json!({"url": "https://example.com/b", "secret": SECRET});
        let own = Config::read(kind("webhook"), &own, Some(&config)).expect("reads");
        assert_eq!(own.masked()["secret"], "whsec_…LaSw");
    }

    #[test]
    fn masked_secret_does_not_follow_to_another_server() {
        let stored = accepted("discord", &json!({"webhook_url": "https://discord.com/api/webhooks/1/x"}));
        let moved = json!({"webhook_url": "https://discord.test/…"});
        assert!(Config::read(kind("discord"), &moved, Some(&stored)).is_err());
        let bot = accepted("slack", &json!({"channel": "#a", "token": "xoxb-1-2-verysecret9876"}));
        let moved =
            json!({"channel": "#a", "token": bot.masked()["token"], "webhook_url": "https://x.test/"});
        let invalid = Config::read(kind("slack"), &moved, Some(&bot)).expect_err("refused").0;
        assert_eq!(invalid[0].0, "config.token");
        let empty = json!({"channel": "#a", "token": bot.masked()["token"], "webhook_url": "", "domain": ""});
        assert_eq!(Config::read(kind("slack"), &empty, Some(&bot)), Ok(bot.clone()));
    }

    #[test]
    fn recipient_is_recognised() {
        let email = accepted("email", &json!({"to": ["mary@example.com", "bob@example.org"]}));
        assert_eq!(email.recipient(), "m…@example.com, b…@example.org");
        assert_eq!(email.addresses(), ["mary@example.com", "bob@example.org"]);
        let webhook = accepted("webhook", &json!({"url": "https://example.com:8443/secret"}));
        assert_eq!(
            (webhook.recipient().as_str(), webhook.host().as_str()),
            ("https://example.com:8443/…", "example.com")
        );
        let slack = accepted("slack", &json!({"channel": "#ops", "token": "xoxb-1-2-3-4-5"}));
        assert_eq!((slack.recipient().as_str(), slack.host().as_str()), ("#ops", "slack.com"));
    }
}
