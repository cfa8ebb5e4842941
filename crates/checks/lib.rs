//! Check kinds: one file each in `kinds`, one line each in [`CHECKS`]. Everything else about a kind is derived from
//! its definition: validation, masking, OpenAPI, forms, command line flags, docs, tests.
//!
//! Every check opens its own connection, like a new visitor: nothing is pooled, cached or resumed. Whatever a target
//! does takes bounded time (`timeout_ms` covers the whole exchange, including redirects; assertions have their own
//! limits) and bounded memory.

mod assertions;
pub mod config;
mod content;
pub mod facts;
pub mod kinds;
mod network;
mod pattern;
mod plan;
mod progress;
mod request;
mod runner;
mod tls;

#[cfg(test)]
mod tests;

pub use self::{
    config::ConfigSchema,
    network::Network,
    plan::{validate, validate_off_workers},
    progress::Progress,
    request::status_ranges::StatusRanges,
    runner::{DEFAULT_CONCURRENCY, ProbeConfig, Prober, concurrency_by, days_left, judge_of, unknown},
};

use std::{fmt, future::Future, pin::Pin, time::Instant};

use contract::{Failure, FailureCode, Text, words};
use fields::{Field, Foreign, Import, Refusals};
use http::HeaderMap;
use net::fair_share::Place;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use self::{assertions::Facts, facts::Fact};

/// All check kinds. The first one is the kind of an address without a scheme.
pub const CHECKS: &[Kind] = &[Kind::of::<kinds::http::Http>(), Kind::of::<kinds::tcp::Tcp>()];

/// A check kind. Its value is a check with nothing left to parse.
pub trait Check: Sized + fmt::Debug + Send + Sync + 'static {
    /// The name in storage, in the API and in events: `snake_case`.
    const KIND: &'static str;
    /// The name that users see, in English and Korean.
    const LABEL: (&'static str, &'static str);
    /// A sentence about what it does.
    const ABOUT: (&'static str, &'static str);
    /// The schemes of its URLs; examples use the first one. No other kind has the same scheme.
    const SCHEMES: &'static [&'static str];
    /// An example of its URLs.
    const EXAMPLE: &'static str;
    /// Help for entering the URL, in English and Korean.
    const URL_HELP: (&'static str, &'static str);
    /// Whether people without an account may try it. Not for kinds that could be used to find open ports.
    const IS_DEMO: bool = false;
    const FIELDS: &'static [Field];
    /// Facts that assertions can use, in addition to [`facts::COMMON`].
    const FACTS: &'static [Fact];
    type Config: DeserializeOwned;

    /// Errors are named `url`, or as in `config.method`. Single fields were validated when the endpoint was saved.
    fn plan(url: &Url, config: Self::Config) -> Result<Self, Refusals>;

    /// Default number of retries: zero if a check could change something.
    fn retries(_config: &Self::Config) -> u8 {
        1
    }

    /// The receiver of what a check sends, as far as the config decides it: masked secrets are not sent to another
    /// one.
    fn receiver(_config: &Self::Config) -> String {
        String::new()
    }

    /// A check is degraded if a certificate that it saw expires within this many days; 0: never.
    fn certificate_warning_days(&self) -> u32 {
        0
    }

    /// Checks once. Results are stored in `progress`, which is reported however the check ends.
    fn run(
        &self,
        network: &Network<'_>,
        progress: &mut Progress,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Imports the endpoint of another monitoring tool, if it is of this kind.
    fn import(_foreign: &Foreign<'_>) -> Option<Import> {
        None
    }
}

/// The response of a target.
pub struct Answer {
    facts: Facts,
    /// The places for the memory of its content.
    memory: Vec<Place>,
    since: Instant,
}

impl Answer {
    /// An answer with numbers and texts, by the names of the kind's facts.
    pub fn of(values: Vec<(&'static str, Value)>) -> Self {
        Self { facts: Facts { values, ..Facts::default() }, memory: Vec::new(), since: Instant::now() }
    }

    /// Adds the source of the facts `body`, `json` and `header`.
    pub(crate) fn with_content(mut self, headers: HeaderMap, body: Vec<u8>, is_cut: bool) -> Self {
        (self.facts.headers, self.facts.body, self.facts.is_cut) = (headers, body, is_cut);
        self
    }

    /// Adds the places for the memory of the content, and since when they are held.
    pub(crate) fn held(self, memory: Vec<Place>, since: Instant) -> Self {
        Self { memory, since, ..self }
    }
}

type Planning = Result<Box<dyn Planned>, Refusals>;
type Running<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// A check of any kind.
pub(crate) trait Planned: fmt::Debug + Send + Sync {
    fn run<'a>(&'a self, network: &'a Network<'a>, progress: &'a mut Progress) -> Running<'a>;
    fn certificate_warning_days(&self) -> u32;
}

impl<C: Check> Planned for C {
    fn run<'a>(&'a self, network: &'a Network<'a>, progress: &'a mut Progress) -> Running<'a> {
        Box::pin(Check::run(self, network, progress))
    }

    fn certificate_warning_days(&self) -> u32 {
        Check::certificate_warning_days(self)
    }
}

/// An entry of [`CHECKS`].
pub struct Kind {
    pub name: &'static str,
    pub label: (&'static str, &'static str),
    pub about: (&'static str, &'static str),
    pub schemes: &'static [&'static str],
    pub example: &'static str,
    pub url_help: (&'static str, &'static str),
    pub is_demo: bool,
    pub fields: &'static [Field],
    own_facts: &'static [Fact],
    plan: fn(&Url, &Value) -> Planning,
    retries: fn(&Value) -> u8,
    receiver: fn(&Value) -> String,
    import: fn(&Foreign<'_>) -> Option<Import>,
}

impl Kind {
    pub const fn of<C: Check>() -> Self {
        Self {
            name: C::KIND,
            label: C::LABEL,
            about: C::ABOUT,
            schemes: C::SCHEMES,
            example: C::EXAMPLE,
            url_help: C::URL_HELP,
            is_demo: C::IS_DEMO,
            fields: C::FIELDS,
            own_facts: C::FACTS,
            plan: |url, config| {
                // The error text of serde could quote a secret.
                let config = C::Config::deserialize(config)
                    .map_err(|_| vec![("config".to_owned(), words::is_not_of_the_kind(C::KIND).into())])?;
                Ok(Box::new(C::plan(url, config)?))
            },
            retries: |config| C::Config::deserialize(config).map_or(0, |config| C::retries(&config)),
            receiver: |config| {
                C::Config::deserialize(config).map(|config| C::receiver(&config)).unwrap_or_default()
            },
            import: C::import,
        }
    }

    pub fn find(name: &str) -> Option<&'static Self> {
        CHECKS.iter().find(|kind| kind.name == name)
    }

    /// The kind with the scheme of a URL.
    pub fn of_url(url: &str) -> Option<&'static Self> {
        let scheme = Url::parse(url).ok()?.scheme().to_owned();
        CHECKS.iter().find(|kind| kind.has_scheme(&scheme))
    }

    pub fn has_scheme(&self, scheme: &str) -> bool {
        self.schemes.contains(&scheme)
    }

    /// The names of the kinds, for error messages.
    pub fn names() -> String {
        CHECKS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
    }

    /// How URLs of these kinds begin, for error messages.
    pub fn beginnings<'a>(kinds: impl IntoIterator<Item = &'a Self>) -> String {
        let schemes = kinds.into_iter().flat_map(|kind| kind.schemes);
        let mut all: Vec<_> = schemes.map(|scheme| format!("{scheme}://")).collect();
        let last = all.pop().unwrap_or_default();
        if all.is_empty() { last } else { format!("{} or {last}", all.join(", ")) }
    }

    pub fn facts(&self) -> impl Iterator<Item = &'static Fact> {
        self.own_facts.iter().chain(facts::COMMON)
    }

    pub(crate) fn fact(&self, name: &str) -> Result<&'static Fact, Text> {
        self.facts().find(|fact| fact.name == name).ok_or_else(|| {
            let known = self.facts().map(|fact| fact.name).collect::<Vec<_>>().join(", ");
            words::must_be_one_of(known).into()
        })
    }

    /// The default number of retries for this config.
    pub fn default_retries(&self, config: &Value) -> u8 {
        (self.retries)(config)
    }

    /// A check is degraded if a certificate that it saw expires within this many days; 0: never.
    pub fn certificate_warning_days(&self, url: &str, config: &Value) -> u32 {
        let plan = Url::parse(url).ok().and_then(|url| (self.plan)(&url, config).ok());
        plan.map_or(0, |plan| plan.certificate_warning_days())
    }

    /// The receiver of what a check with this config sends, in addition to the URL's server.
    pub fn receiver(&self, config: &Value) -> String {
        (self.receiver)(config)
    }

    pub fn import(foreign: &Foreign<'_>) -> Option<(&'static Self, Import)> {
        CHECKS.iter().find_map(|kind| Some((kind, (kind.import)(foreign)?)))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

pub(crate) fn failure(code: FailureCode, message: impl Into<String>) -> Failure {
    Failure { code, message: message.into() }
}

/// A URL for messages: what follows its path may be secret, also in the target of a redirect.
pub(crate) fn shown(url: &Url) -> String {
    cut(&contract::shown::without_secrets(url))
}

/// Maximum length of a long text in messages [characters].
const MAX_SHOWN_CHARS: usize = 200;
/// The first 200 characters, on one line, without control characters that a terminal or a mail client would act on.
pub(crate) fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String =
        chars.by_ref().take(MAX_SHOWN_CHARS).map(|char| if char.is_control() { ' ' } else { char }).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}
