//! `pong endpoint`: what is watched.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use contract::{Assertion, Comparison, Severity};
use serde_json::{Map, Value as Json, json};

use crate::{
    api::{ENDPOINT, Value, id_of},
    app::{App, label},
    error::{Exit, Failure},
    output::{Column, ago, more, status, text},
};

#[derive(Subcommand)]
pub enum Command {
    /// Adds one; it is checked at once
    Add {
        url: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Shows all, or those that are searched for
    List(List),
    /// Shows one with all of its settings
    Show {
        #[arg(value_name = "ID|NAME")]
        endpoint: String,
    },
    /// Changes what is given, and keeps the rest
    Edit {
        #[arg(value_name = "ID|NAME")]
        endpoint: String,
        /// Another URL
        #[arg(long)]
        url: Option<String>,
        /// Sets fields back to their defaults: headers,body,assertions,tags,...
        #[arg(long, value_delimiter = ',', value_name = "FIELDS")]
        reset: Vec<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Deletes some, and their history
    Rm {
        #[arg(value_name = "ID|NAME", required = true)]
        endpoints: Vec<String>,
        /// Does not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Stops checking some
    Pause {
        #[arg(value_name = "ID|NAME", required = true)]
        endpoints: Vec<String>,
    },
    /// Checks some again
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
    /// By what, `-` before it reverses: created_at, name, status, last_checked_at
    #[arg(long, allow_hyphen_values = true)]
    sort: Option<String>,
    /// At most so many
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

/// What is set of an endpoint, beside its URL.
#[derive(Args)]
pub struct Settings {
    /// [default: the URL's host]
    #[arg(long)]
    name: Option<String>,
    /// Seconds between checks [default: 60]
    #[arg(long, value_name = "SECONDS")]
    interval: Option<u32>,
    /// So many failed checks in a row mean down [default: 2]
    #[arg(long, value_name = "CHECKS")]
    failure_threshold: Option<u32>,
    /// So many good checks in a row mean up again [default: 1]
    #[arg(long, value_name = "CHECKS")]
    success_threshold: Option<u32>,
    /// Several are divided by commas
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// Does not check it until it is resumed
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    request: Request,
}

/// How one check is made, and judged.
#[derive(Args)]
pub struct Request {
    /// [default: GET]
    #[arg(long)]
    method: Option<String>,
    /// A header to send, as 'Name: value'; may be repeated
    #[arg(long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, String)>,
    /// What to send; @FILE takes it from a file
    #[arg(long)]
    body: Option<String>,
    /// Milliseconds that a check may take [default: 10000]
    #[arg(long, value_name = "MS")]
    timeout: Option<u32>,
    /// Which answers are fine, as 200-299,301 [default: 200-399]
    #[arg(long, value_name = "CODES")]
    expected_status: Option<String>,
    /// [default: true]
    #[arg(long, value_name = "BOOL")]
    follow_redirects: Option<bool>,
    /// [default: true]
    #[arg(long, value_name = "BOOL")]
    verify_tls: Option<bool>,
    /// Whether old TLS is fine: 1.0, 1.1, and ciphers that are no longer safe [default: false]
    #[arg(long, value_name = "BOOL")]
    legacy_tls: Option<bool>,
    /// Days before a certificate expires from when on the endpoint is degraded; 0: never [default: 14]
    #[arg(long, value_name = "DAYS")]
    certificate_warning_days: Option<u32>,
    /// How often a failed check is tried again at once [default: 1; for methods other than GET, HEAD, OPTIONS: 0]
    #[arg(long)]
    retries: Option<u32>,
    /// What the body must hold; this and the following may be repeated
    #[arg(long, value_name = "TEXT")]
    contains: Vec<String>,
    /// What the body must not hold
    #[arg(long, value_name = "TEXT")]
    lacks: Vec<String>,
    /// What the body must match
    #[arg(long, value_name = "REGEX")]
    matches: Vec<String>,
    /// What must hold of a fact, as 'total_ms < 500', 'json $.status == "ok"', 'header content-type contains json',
    /// 'certificate_days_left >= 14' (also != <= > not_contains matches not_matches exists not_exists)
    #[arg(long, value_name = "CONDITION", value_parser = condition)]
    assert: Vec<Assertion>,
    /// The same: if it does not hold, the endpoint is degraded, not down
    #[arg(long, value_name = "CONDITION", value_parser = condition)]
    warn: Vec<Assertion>,
}

impl Settings {
    /// As the API wants them: only what was given.
    fn fields(self) -> Result<Map<String, Json>> {
        let mut fields = self.request.fields()?;
        let mut set = |name: &str, value: Option<Json>| {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("name", self.name.map(Json::from));
        set("interval_seconds", self.interval.map(Json::from));
        set("failure_threshold", self.failure_threshold.map(Json::from));
        set("success_threshold", self.success_threshold.map(Json::from));
        set("tags", (!self.tags.is_empty()).then(|| json!(self.tags)));
        set("enabled", self.paused.then_some(Json::Bool(false)));
        Ok(fields)
    }
}

impl Request {
    pub fn fields(self) -> Result<Map<String, Json>> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Option<Json>| {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        };
        let body = match self.body {
            Some(body) => match body.strip_prefix('@') {
                Some(file) => Some(
                    std::fs::read_to_string(file)
                        .map_err(|error| Failure::usage(format!("{file}: {error}")))?,
                ),
                None => Some(body),
            },
            None => None,
        };
        let headers: BTreeMap<_, _> = self.headers.into_iter().collect();
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
        set("method", self.method.map(|method| method.to_uppercase().into()));
        set("headers", (!headers.is_empty()).then(|| json!(headers)));
        set("body", body.map(Json::from));
        set("timeout_ms", self.timeout.map(Json::from));
        set("expected_status", self.expected_status.map(Json::from));
        set("assertions", (!assertions.is_empty()).then(|| json!(assertions)));
        set("follow_redirects", self.follow_redirects.map(Json::from));
        set("verify_tls", self.verify_tls.map(Json::from));
        set("legacy_tls", self.legacy_tls.map(Json::from));
        set("certificate_warning_days", self.certificate_warning_days.map(Json::from));
        set("retries", self.retries.map(Json::from));
        Ok(fields)
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written as 'Name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
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
        // A filter of a JSONPath compares, too.
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

static COLUMNS: [Column; 13] = [
    text("ID", "id"),
    text("NAME", "name"),
    status("STATUS", "status"),
    ago("LAST CHECK", "last_checked_at"),
    text("EVERY (S)", "interval_seconds"),
    text("METHOD", "method"),
    text("URL", "url"),
    text("TAGS", "tags"),
    text("REASON", "status_reason"),
    more("timeout_ms"),
    more("expected_status"),
    more("created_at"),
    more("updated_at"),
];

impl Command {
    pub async fn run(self, app: &App) -> Result<Exit> {
        match self {
            Self::Add { url, settings } => {
                let mut fields = settings.fields()?;
                fields.insert("url".to_owned(), url.into());
                let made = app.api()?.create(&ENDPOINT, &fields).await?;
                app.out.done(&made, &format!("Added endpoint {}", label(&ENDPOINT, &made)))?;
            }
            Self::List(list) => list.run(app).await?,
            Self::Show { endpoint } => app.out.object(&app.api()?.find(&ENDPOINT, &endpoint).await?)?,
            Self::Edit { endpoint, url, reset, settings } => {
                let mut fields = settings.fields()?;
                fields.extend(url.map(|url| ("url".to_owned(), url.into())));
                fields.extend(reset.into_iter().map(|field| (field, Json::Null)));
                if fields.is_empty() {
                    let hint = "pong endpoint edit --help shows what can be changed";
                    return Err(Failure::usage("nothing to change was given").hint(hint).into());
                }
                let api = app.api()?;
                let id = api.find_id(&ENDPOINT, &endpoint).await?;
                let changed = api.update(&ENDPOINT, id, &fields).await?;
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
