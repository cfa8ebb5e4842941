//! Check kinds: one file each in `kinds`, one line each in [`CHECKS`]. Everything else about a kind derives from its
//! definition: validation, masking, OpenAPI, forms, flags of the command line, docs, tests.
//!
//! Every check opens its own connection, as a newcomer would: nothing is pooled, cached or resumed.
//! Whatever a target does costs bounded time (`timeout_ms` covers the whole exchange, redirects
//! included; assertions have bounds of their own) and bounded memory.

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

/// Every check kind, once. The first is that of an address without a scheme.
pub const CHECKS: &[Kind] = &[Kind::of::<kinds::http::Http>(), Kind::of::<kinds::tcp::Tcp>()];

/// A check kind; its value is a check with nothing left to parse.
pub trait Check: Sized + fmt::Debug + Send + Sync + 'static {
    /// As it is stored, and named in the API and in events: `snake_case`.
    const KIND: &'static str;
    /// As people read it, in English and Korean.
    const LABEL: (&'static str, &'static str);
    /// What it does, in a sentence.
    const ABOUT: (&'static str, &'static str);
    /// Of its URLs: the first is that of examples. No other kind has the same.
    const SCHEMES: &'static [&'static str];
    /// A URL that it checks.
    const EXAMPLE: &'static str;
    /// What to enter as URL, in English and Korean.
    const URL_HELP: (&'static str, &'static str);
    /// Whether people without an account may try it: not what would find open ports.
    const IS_DEMO: bool = false;
    const FIELDS: &'static [Field];
    /// What assertions can look at, beside [`facts::COMMON`].
    const FACTS: &'static [Fact];
    type Config: DeserializeOwned;

    /// What is wrong is named `url`, or as in `config.method`. The fields themselves were checked when it was saved.
    fn plan(url: &Url, config: Self::Config) -> Result<Self, Refusals>;

    /// How often a failed check is tried again, where nobody says: not if that could change something.
    fn retries(_config: &Self::Config) -> u8 {
        1
    }

    /// Who gets what is sent, as far as the config decides it: masked secrets do not follow to another.
    fn receiver(_config: &Self::Config) -> String {
        String::new()
    }

    /// Degraded once a certificate that was seen expires within so many days; 0: never.
    fn certificate_warning_days(&self) -> u32 {
        0
    }

    /// Checks once. What is found out on the way is noted in `progress`: it is shown however the check ends.
    fn run(
        &self,
        network: &Network<'_>,
        progress: &mut Progress,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// The endpoint of another monitor, if it is of this kind.
    fn import(_foreign: &Foreign<'_>) -> Option<Import> {
        None
    }
}

/// What a target answered.
pub struct Answer {
    facts: Facts,
    /// Of what it holds in memory.
    memory: Vec<Place>,
    since: Instant,
}

impl Answer {
    /// Numbers and texts, by the names of the kind's facts.
    pub fn of(values: Vec<(&'static str, Value)>) -> Self {
        Self { facts: Facts { values, ..Facts::default() }, memory: Vec::new(), since: Instant::now() }
    }

    /// With what the facts `body`, `json` and `header` are taken from.
    pub(crate) fn with_content(mut self, headers: HeaderMap, body: Vec<u8>, is_cut: bool) -> Self {
        (self.facts.headers, self.facts.body, self.facts.is_cut) = (headers, body, is_cut);
        self
    }

    /// What holds the memory of its content, since when.
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

/// A row of the table.
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
                // What serde says could quote a secret.
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

    /// By the scheme of a URL.
    pub fn of_url(url: &str) -> Option<&'static Self> {
        let scheme = Url::parse(url).ok()?.scheme().to_owned();
        CHECKS.iter().find(|kind| kind.has_scheme(&scheme))
    }

    pub fn has_scheme(&self, scheme: &str) -> bool {
        self.schemes.contains(&scheme)
    }

    /// The kinds, as a refusal lists them.
    pub fn names() -> String {
        CHECKS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
    }

    /// How URLs of these kinds begin, as a refusal lists it.
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

    /// How often a failed check with this config is tried again, where nobody says.
    pub fn default_retries(&self, config: &Value) -> u8 {
        (self.retries)(config)
    }

    /// A check is degraded once a certificate that it saw expires within so many days; 0: never.
    pub fn certificate_warning_days(&self, url: &str, config: &Value) -> u32 {
        let plan = Url::parse(url).ok().and_then(|url| (self.plan)(&url, config).ok());
        plan.map_or(0, |plan| plan.certificate_warning_days())
    }

    /// Who gets what a check with this config sends, beside the URL's server.
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

/// A URL in a message: what is behind its path may be secret, also of what a redirect leads to.
pub(crate) fn shown(url: &Url) -> String {
    cut(&contract::shown::without_secrets(url))
}

/// What people see of something long.
const MAX_SHOWN_CHARS: usize = 200;
/// The first 200 characters, on one line, without what a terminal or a mail would act on.
pub(crate) fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String =
        chars.by_ref().take(MAX_SHOWN_CHARS).map(|char| if char.is_control() { ' ' } else { char }).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}
