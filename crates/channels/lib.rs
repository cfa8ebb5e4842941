//! Notification kinds: one file each in `kinds`, one line each in [`CHANNELS`]. Everything else about a
//! kind derives from its definition: validation, masking, OpenAPI, forms, command-line flags, Triggers,
//! docs, tests.

pub mod config;
pub mod kinds;
pub mod message;
pub mod send;

pub use config::{Config, ConfigSchema};
pub use message::Message;
pub use send::{SendContext, SendError};

use std::pin::Pin;

use contract::Fields;
use fields::{Field, Foreign, Import};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// Every notification kind, once.
pub const CHANNELS: &[Kind] = &[
    Kind::of::<kinds::email::Email>(),
    Kind::of::<kinds::slack::Slack>(),
    Kind::of::<kinds::webhook::Webhook>(),
    Kind::of::<kinds::discord::Discord>(),
];

/// A notification kind.
pub trait Channel: Sized + 'static {
    /// The name in storage, the API and events, in `snake_case`.
    const KIND: &'static str;
    /// The name for people, in English and Korean.
    const LABEL: (&'static str, &'static str);
    /// Where messages go: one sentence that helps to choose a kind.
    const ABOUT: (&'static str, &'static str);
    const FIELDS: &'static [Field];
    /// The receiver's name in errors.
    const RECEIVER: &'static str = Self::LABEL.0;
    /// The kind's own function; `None`: `channel-send` sends it.
    const FUNCTION: Option<&'static str> = None;
    /// The names of the settings that [`send`](Self::send) reads.
    const SETTINGS: &'static [&'static str] = &[];
    type Config: DeserializeOwned + Send + Sync;

    /// Validation beyond the fields' own rules; errors use names such as `config.token`.
    fn check(_config: &Self::Config, _fields: &mut Fields) {}

    /// For the delivery log: enough to recognise the recipient, without secrets.
    fn recipient(config: &Self::Config) -> String;

    /// The host for the limit of concurrent messages per host; empty: no limit.
    fn host(config: &Self::Config) -> String;

    /// Sends once, without retries. Not called for a kind whose own function does all the work.
    fn send(
        _config: &Self::Config,
        _message: &Message,
        _cx: &SendContext<'_>,
    ) -> impl Future<Output = Result<(), SendError>> + Send {
        async { Err(SendError::permanent("This kind is sent by a function of its own.")) }
    }

    /// Converts another monitor's notification config, if it is of this kind.
    fn import(_foreign: &Foreign<'_>) -> Option<Import> {
        None
    }
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>;

/// A notification kind: a row of [`CHANNELS`].
pub struct Kind {
    pub name: &'static str,
    pub label: (&'static str, &'static str),
    pub about: (&'static str, &'static str),
    pub fields: &'static [Field],
    pub receiver: &'static str,
    pub function: Option<&'static str>,
    pub settings: &'static [&'static str],
    check: fn(&Value, &mut Fields),
    recipient: fn(&Value) -> String,
    host: fn(&Value) -> String,
    send: for<'a> fn(&'a Value, &'a Message, &'a SendContext<'a>) -> Sending<'a>,
    import: fn(&Foreign<'_>) -> Option<Import>,
}

impl Kind {
    pub const fn of<C: Channel>() -> Self {
        Self {
            name: C::KIND,
            label: C::LABEL,
            about: C::ABOUT,
            fields: C::FIELDS,
            receiver: C::RECEIVER,
            function: C::FUNCTION,
            settings: C::SETTINGS,
            check: |config, fields| {
                if let Some(config) = typed::<C>(config) {
                    C::check(&config, fields);
                }
            },
            recipient: |config| {
                typed::<C>(config).map_or_else(|| "?".to_owned(), |config| C::recipient(&config))
            },
            host: |config| typed::<C>(config).map(|config| C::host(&config)).unwrap_or_default(),
            send: |config, message, cx| {
                Box::pin(async move {
                    let Some(config) = typed::<C>(config) else {
                        return Err(SendError::permanent(
                            "These are not the settings of this kind of notification.",
                        ));
                    };
                    C::send(&config, message, cx).await
                })
            },
            import: C::import,
        }
    }

    pub fn find(name: &str) -> Option<&'static Self> {
        CHANNELS.iter().find(|kind| kind.name == name)
    }

    /// The kinds' names, for error messages.
    pub fn names() -> String {
        CHANNELS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
    }

    /// The kinds' labels, for people.
    pub fn labels() -> String {
        CHANNELS.iter().map(|kind| kind.label.0).collect::<Vec<_>>().join(", ")
    }

    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub fn import(foreign: &Foreign<'_>) -> Option<(&'static Self, Import)> {
        CHANNELS.iter().find_map(|kind| Some((kind, (kind.import)(foreign)?)))
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

fn typed<C: Channel>(config: &Value) -> Option<C::Config> {
    C::Config::deserialize(config).ok()
}
