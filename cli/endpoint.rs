//! `pong endpoint`: endpoints.

use anyhow::Result;
use checks::{CHECKS, Kind};
use clap::{Args, Subcommand, ValueEnum};
use contract::{Assertion, Comparison, Severity, address::Address};
use serde_json::{Map, Value as Json, json};
use url::Url;

use crate::{
    api::{Api, ENDPOINT, Value, id_of},
    app::{App, label},
    error::{Exit, Failure},
    fields::{Endpoints, Fields, Table},
    output::{Column, ago, more, names, plain, status, text},
};

#[derive(Subcommand)]
pub enum Command {
    /// Add an endpoint; its first check is made at once
    Add {
        url: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show the server's kinds of endpoints and their fields
    Kinds,
    /// List endpoints
    List(List),
    /// Show an endpoint with all its settings
    Show {
        #[arg(value_name = "ID|NAME")]
        endpoint: String,
    },
    /// Change the given fields; keep the rest
    Edit {
        #[arg(value_name = "ID|NAME")]
        endpoint: String,
        /// New URL
        #[arg(long)]
        url: Option<String>,
        /// Reset fields to their defaults: config,headers,assertions,tags,...
        #[arg(long, value_delimiter = ',', value_name = "FIELDS")]
        reset: Vec<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Delete endpoints and their history
    Rm {
        #[arg(value_name = "ID|NAME", required = true)]
        endpoints: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Pause the checks of endpoints
    Pause {
        #[arg(value_name = "ID|NAME", required = true)]
        endpoints: Vec<String>,
    },
    /// Resume the checks of endpoints
    Resume {
        #[arg(value_name = "ID|NAME", required = true)]
        endpoints: Vec<String>,
    },
}

#[derive(Args)]
pub struct List {
    /// Part of the name or the URL
    #[arg(value_name = "SEARCH")]
    search: Option<String>,
    #[arg(long)]
    tag: Option<String>,
    #[arg(long)]
    status: Option<Status>,
    /// Sort by created_at, name, status or last_checked_at; a leading `-` reverses the order
    #[arg(long, allow_hyphen_values = true)]
    sort: Option<String>,
    /// Maximum number of endpoints
    #[arg(long)]
    limit: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Status {
    Pending,
    Up,
    Degraded,
    Down,
    Paused,
}

/// The settings of an endpoint, except its URL.
#[derive(Args)]
pub struct Settings {
    /// Name [default: the URL's host]
    #[arg(long)]
    name: Option<String>,
    /// Interval between checks [seconds, default: 60]
    #[arg(long, value_name = "SECONDS")]
    interval: Option<u32>,
    /// Failed checks in a row until the endpoint is down [default: 2]
    #[arg(long, value_name = "CHECKS")]
    failure_threshold: Option<u32>,
    /// Successful checks in a row until the endpoint is up again [default: 1]
    #[arg(long, value_name = "CHECKS")]
    success_threshold: Option<u32>,
    /// Tags, separated by commas
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// Do not check it until it is resumed
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    request: Request,
}

/// How one check is made and judged.
#[derive(Args)]
pub struct Request {
    /// Kind (http, tcp, ...; see `pong endpoint kinds`) [default: by the URL's scheme]
    #[arg(long)]
    kind: Option<String>,
    #[command(flatten)]
    config: Fields<Endpoints>,
    /// Maximum duration of a check [milliseconds, default: 10000]
    #[arg(long, value_name = "MS")]
    timeout: Option<u32>,
    /// Immediate retries of a failed check [default: 1; 0 if the request may change something, as a POST may]
    #[arg(long)]
    retries: Option<u32>,
    /// Text that the body must contain; this and the following options may be repeated
    #[arg(long, value_name = "TEXT")]
    contains: Vec<String>,
    /// Text that the body must not contain
    #[arg(long, value_name = "TEXT")]
    lacks: Vec<String>,
    /// Regular expression that the body must match
    #[arg(long, value_name = "REGEX")]
    matches: Vec<String>,
    /// Condition on a fact, such as 'total_ms < 500', 'json $.status == "ok"', 'header content-type contains
    /// json', 'certificate_days_left >= 14' (also != <= > not_contains matches not_matches exists not_exists)
    #[arg(long, value_name = "CONDITION", value_parser = condition)]
    assert: Vec<Assertion>,
    /// Like --assert, but a failed condition makes the endpoint degraded, not down
    #[arg(long, value_name = "CONDITION", value_parser = condition)]
    warn: Vec<Assertion>,
}

/// The given settings of an endpoint, except its URL.
pub struct Given {
    /// As fields of the API.
    pub fields: Map<String, Json>,
    pub kind: Option<String>,
    pub config: Fields<Endpoints>,
}

impl Settings {
    fn given(self) -> Given {
        let mut given = self.request.given();
        let mut set = |name: &str, value: Option<Json>| {
            given.fields.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("name", self.name.map(Json::from));
        set("interval_seconds", self.interval.map(Json::from));
        set("failure_threshold", self.failure_threshold.map(Json::from));
        set("success_threshold", self.success_threshold.map(Json::from));
        set("tags", (!self.tags.is_empty()).then(|| json!(self.tags)));
        set("enabled", self.paused.then_some(Json::Bool(false)));
        given
    }
}

impl Request {
    pub fn given(self) -> Given {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Option<Json>| {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        };
        let of_body = |texts: Vec<String>, comparison| {
            texts.into_iter().map(move |text| Assertion::of("body", comparison, text))
        };
        let mut assertions: Vec<Assertion> = of_body(self.contains, Comparison::Contains)
            .chain(of_body(self.lacks, Comparison::NotContains))
            .chain(of_body(self.matches, Comparison::Matches))
            .collect();
        assertions.extend(self.assert);
        let degraded = |assertion| Assertion { severity: Severity::Degraded, ..assertion };
        assertions.extend(self.warn.into_iter().map(degraded));
        set("timeout_ms", self.timeout.map(Json::from));
        set("assertions", (!assertions.is_empty()).then(|| json!(assertions)));
        set("retries", self.retries.map(Json::from));
        Given { fields, kind: self.kind, config: self.config }
    }
}

/// The named kind, else the kind of the URL's scheme, if it is known here.
pub fn kind_of(named: &str, url: &str) -> Option<&'static Kind> {
    if !named.is_empty() {
        return Kind::find(named);
    }
    let url = Address::of(url).url;
    // Text that is not a URL, or not yet (it holds a variable), counts as an address without a scheme.
    Kind::of_url(&url).or_else(|| CHECKS.first().filter(|_| Url::parse(&url).is_err()))
}

/// The name of the named kind, else of the kind of the URL's scheme. Asks the server about unknown schemes.
async fn name_of_kind(api: &Api, named: Option<&String>, url: &str) -> Result<String> {
    match (named, kind_of("", url)) {
        (Some(named), _) => return Ok(named.clone()),
        (None, Some(kind)) => return Ok(kind.name.to_owned()),
        (None, None) => {}
    }
    let kinds = api.list(Endpoints::PATH, &[], None).await?;
    let schemes = |kind: &Value| -> Vec<String> {
        kind["schemes"].as_sequence().into_iter().flatten().map(plain).collect()
    };
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if let Some(kind) = kinds.iter().find(|kind| schemes(kind).iter().any(|own| own == scheme)) {
        return Ok(plain(&kind["kind"]));
    }
    let known = kinds.iter().flat_map(schemes).map(|scheme| format!("{scheme}://")).collect::<Vec<_>>();
    let what = format!("must begin with one of {}", known.join(", "));
    let failure = Failure::usage("there is no kind for this URL");
    Err(Failure { fields: [("url".to_owned(), what)].into(), ..failure }.into())
}

impl Given {
    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.kind.is_none() && self.config.is_empty()
    }

    /// The body for a new endpoint: only the given fields.
    pub async fn of_new(self, api: &Api, url: String) -> Result<Map<String, Json>> {
        let Self { mut fields, kind, mut config } = self;
        if let Some(known) = kind_of(kind.as_deref().unwrap_or_default(), &url) {
            config = config.with_variables(known.name);
        }
        if !config.is_empty() {
            let name = name_of_kind(api, kind.as_ref(), &url).await?;
            let mut config = config.of_kind(Some(api), &name).await?;
            config.retain(|_, value| !value.is_null());
            fields.insert("config".to_owned(), config.into());
        }
        fields.extend(kind.map(|kind| ("kind".to_owned(), kind.into())));
        fields.insert("url".to_owned(), url.into());
        Ok(fields)
    }

    /// The body for a change of an endpoint. The API replaces the config as a whole, so fields that were not
    /// given keep their old values, unless the kind changes. Masked secrets stay unchanged.
    pub async fn of_change(
        self,
        api: &Api,
        old: &Value,
        url: Option<String>,
        reset: Vec<String>,
    ) -> Result<Map<String, Json>> {
        let Self { mut fields, kind, config } = self;
        let was = plain(&old["kind"]);
        let is_of_config = |name: &String| {
            let has = |kind: &Kind| kind.fields.iter().any(|field| field.name == *name);
            old.get(name).is_none()
                && (old["config"].get(name).is_some() || Kind::find(&was).is_some_and(has))
        };
        let (of_config, reset): (Vec<_>, Vec<_>) = reset.into_iter().partition(is_of_config);
        if !config.is_empty() || !of_config.is_empty() {
            let becomes = match (&kind, &url) {
                (None, None) => was.clone(),
                (kind, url) => name_of_kind(api, kind.as_ref(), url.as_deref().unwrap_or_default()).await?,
            };
            let is_kept = becomes == was && !reset.iter().any(|name| name == "config");
            let mut whole: Map<String, Json> =
                if is_kept { serde_norway::from_value(old["config"].clone())? } else { Map::new() };
            whole.retain(|name, _| !of_config.contains(name));
            whole.extend(config.of_kind(Some(api), &becomes).await?);
            whole.retain(|_, value| !value.is_null());
            fields.insert("config".to_owned(), whole.into());
        }
        fields.extend(kind.map(|kind| ("kind".to_owned(), kind.into())));
        fields.extend(url.map(|url| ("url".to_owned(), url.into())));
        for name in reset {
            fields.entry(name).or_insert(Json::Null);
        }
        Ok(fields)
    }
}

/// `FACT [PATH or NAME] COMPARISON [VALUE]`
fn condition(text: &str) -> Result<Assertion, String> {
    const SIGNS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equals),
        ("!=", Comparison::NotEquals),
        ("<", Comparison::LessThan),
        ("<=", Comparison::LessOrEqual),
        (">", Comparison::GreaterThan),
        (">=", Comparison::GreaterOrEqual),
    ];
    let signs = SIGNS.into_iter().chain(Comparison::ALL.map(|comparison| (comparison.as_str(), comparison)));
    let signs: Vec<_> = signs.collect();
    let mut depth = 0;
    let mut words = text.split_inclusive(' ').scan(0, |end, word| {
        let start = *end;
        *end += word.len();
        // Operators inside a JSONPath filter do not count.
        let is_within = depth > 0;
        depth += word.matches(['[', '(']).count();
        depth -= word.matches([']', ')']).count().min(depth);
        Some((start, *end, word.trim_end(), is_within))
    });
    let found = words.find_map(|(start, end, word, is_within)| {
        let (_, comparison) = signs.iter().find(|(sign, _)| *sign == word && !is_within)?;
        Some((text[..start].trim(), *comparison, text[end..].trim()))
    });
    let Some((left, comparison, right)) = found else {
        return Err("a condition is written with blanks, as 'total_ms < 500'".to_owned());
    };
    let has_none = matches!(comparison, Comparison::Exists | Comparison::NotExists);
    if right.is_empty() != has_none {
        let what = if has_none { "takes no value" } else { "needs a value" };
        return Err(format!("`{}` {what}", comparison.as_str()));
    }
    let (fact, of) = left.split_once(' ').unwrap_or((left, ""));
    let is_pattern = matches!(comparison, Comparison::Matches | Comparison::NotMatches);
    let is_quoted = right.len() > 1 && right.starts_with('"') && right.ends_with('"');
    let value = match right {
        "" => Json::Null,
        text if is_pattern || matches!(fact, "body" | "header") && !is_quoted => text.into(),
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    };
    Ok(match (fact, of) {
        (fact, "") => Assertion::of(fact, comparison, value),
        ("json", path) => Assertion::of_json(path, comparison, value),
        ("header", name) => Assertion::of_header(name, comparison, value),
        (fact, of) => return Err(format!("`{fact} {of}`: only json has a path, and header a name")),
    })
}

static KINDS: [Column; 4] =
    [text("KIND", "kind"), text("ABOUT", "about"), text("SCHEMES", "schemes"), names("FIELDS", "fields")];

static COLUMNS: [Column; 12] = [
    text("ID", "id"),
    text("NAME", "name"),
    status("STATUS", "status"),
    ago("LAST CHECK", "last_checked_at"),
    text("EVERY (S)", "interval_seconds"),
    text("KIND", "kind"),
    text("URL", "url"),
    text("TAGS", "tags"),
    text("REASON", "status_reason"),
    more("timeout_ms"),
    more("created_at"),
    more("updated_at"),
];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        match self {
            Self::Add { url, settings } => {
                let api = app.api()?;
                let fields = settings.given().of_new(&api, url).await?;
                let made = api.create(&ENDPOINT, &fields).await?;
                app.out.done(&made, &format!("Added endpoint {}", label(&ENDPOINT, &made)))?;
            }
            Self::Kinds => {
                let kinds = app.api()?.list(Endpoints::PATH, &[], None).await?;
                app.out.list(&kinds, &KINDS, "There are none")?;
            }
            Self::List(list) => list.run(app).await?,
            Self::Show { endpoint } => app.out.object(&app.api()?.find(&ENDPOINT, &endpoint).await?)?,
            Self::Edit { endpoint, url, reset, settings } => {
                let given = settings.given();
                if given.is_empty() && url.is_none() && reset.is_empty() {
                    let hint = "pong endpoint edit --help shows what can be changed";
                    return Err(Failure::usage("nothing to change was given").hint(hint).into());
                }
                let api = app.api()?;
                let old = api.find(&ENDPOINT, &endpoint).await?;
                let fields = given.of_change(&api, &old, url, reset).await?;
                let changed = api.update(&ENDPOINT, id_of(&old).unwrap_or_default(), &fields).await?;
                app.out.done(&changed, &format!("Changed endpoint {}", label(&ENDPOINT, &changed)))?;
            }
            Self::Rm { endpoints, yes } => return app.remove(&ENDPOINT, &endpoints, yes).await,
            Self::Pause { endpoints } => enable(app, &endpoints, false).await?,
            Self::Resume { endpoints } => enable(app, &endpoints, true).await?,
        }
        Ok(Exit::Ok)
    }
}

impl List {
    async fn run(self, app: &App) -> Result<()> {
        let status = self.status.and_then(|status| Some(status.to_possible_value()?.get_name().to_owned()));
        let given = [("q", self.search), ("tag", self.tag), ("status", status), ("sort", self.sort)];
        let query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let empty = if query.is_empty() {
            "Nothing is watched yet. Add the first: pong endpoint add https://example.com"
        } else {
            "No endpoint is like this"
        };
        let items = app.api()?.list(ENDPOINT.path, &query, self.limit).await?;
        app.out.list(&items, &COLUMNS, empty)
    }
}

async fn enable(app: &App, endpoints: &[String], enabled: bool) -> Result<()> {
    let api = app.api()?;
    let mut found: Vec<Value> = Vec::new();
    for endpoint in endpoints {
        found.push(api.find(&ENDPOINT, endpoint).await?);
    }
    for endpoint in found {
        let changed =
            api.update(&ENDPOINT, id_of(&endpoint).unwrap_or_default(), &json!({"enabled": enabled})).await?;
        let what = if enabled { "Resumed" } else { "Paused" };
        app.out.done(&changed, &format!("{what} endpoint {}", label(&ENDPOINT, &changed)))?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn condition_is_read_as_an_assertion() {
        use Comparison::{Contains, Equals, Exists, GreaterOrEqual, LessThan, Matches};
        for (text, assertion) in [
            ("total_ms < 500", Assertion::of("total_ms", LessThan, 500)),
            ("certificate_days_left >= 14", Assertion::of("certificate_days_left", GreaterOrEqual, 14)),
            ("ip == 1.1.1.1", Assertion::of("ip", Equals, "1.1.1.1")),
            ("body contains all is fine", Assertion::of("body", Contains, "all is fine")),
            ("json $.status == \"ok\"", Assertion::of_json("$.status", Equals, "ok")),
            ("json $.n == 7", Assertion::of_json("$.n", Equals, 7)),
            ("json $.a[?@.b == 'x y'].c == 2", Assertion::of_json("$.a[?@.b == 'x y'].c", Equals, 2)),
            ("json $.code matches 200", Assertion::of_json("$.code", Matches, "200")),
            ("header etag == \"\\\"abc\\\"\"", Assertion::of_header("etag", Equals, "\"abc\"")),
            ("header via == \"a b\"", Assertion::of_header("via", Equals, "a b")),
            ("header age == 12", Assertion::of_header("age", Equals, "12")),
            ("json $.a exists", Assertion::of_json("$.a", Exists, ())),
            ("header content-type matches ^text/", Assertion::of_header("content-type", Matches, "^text/")),
        ] {
            assert_eq!(condition(text).unwrap(), assertion, "{text}");
        }
        for bad in ["total_ms<500", "", "ip 1 == 2", "json $.a ==", "json $.a exists 1"] {
            assert!(condition(bad).is_err(), "{bad}");
        }
    }
}
