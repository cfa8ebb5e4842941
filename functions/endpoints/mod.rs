//! What is watched: endpoints, and when each is due.

pub mod announce;
pub mod claim;
mod config;
pub mod confirm;
pub mod create;
pub mod delete;
pub mod forget;
pub mod get;
pub mod kind_list;
pub mod list;
pub mod maintenances;
pub mod observe;
pub mod private_get;
pub mod private_list;
pub mod reason;
pub mod totals;
pub mod update;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use ::checks::{CHECKS, ConfigSchema};
use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use runtime::{
    Context, Db, Env, Error, Fields, FromEnv, Result,
    db::{JsonText, On, Transaction, UnixSeconds},
    input::is_invisible,
    on, text,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Schema, Type},
};

use crate::checks;
use contract::{Assertion, CheckRequest, Status, Target};
use maintenances::windows::Windows;

pub(crate) use config::{address, open_target};

pub const SERVICE: &str = "endpoint-service";

/// What a person sets of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The URL's host, when absent.
    #[serde(default)]
    #[schema(example = "Shop", max_length = 100)]
    pub name: String,
    /// Without a scheme: `http` for port 80, and for localhost, private names and private addresses at any port but
    /// 443; else `https`, or `http` if the server refuses HTTPS.
    #[schema(example = "https://example.com/health", max_length = 2048)]
    pub url: String,
    /// Of the URL's scheme, when absent.
    #[serde(default)]
    #[schema(schema_with = kind_schema)]
    pub kind: String,
    /// The kind's own settings. Secrets come back masked; one that is sent back masked stays as it is.
    #[serde(default = "nothing")]
    #[schema(value_type = ConfigSchema, required = false, example = json!({"expected_status": "200"}))]
    pub config: JsonText<Value>,
    #[serde(default = "a_minute")]
    #[schema(example = 60, default = 60, minimum = 10, maximum = 86400)]
    pub interval_seconds: i32,
    #[serde(default = "ten_seconds")]
    #[schema(example = 10000, default = 10000, minimum = 100, maximum = 60000)]
    pub timeout_ms: i32,
    #[serde(default)]
    #[serde(deserialize_with = "strict_assertions")]
    #[schema(value_type = Vec<Assertion>, required = false)]
    pub assertions: JsonText<Vec<Assertion>>,
    /// How often a failed check is tried again before it counts as down. When absent or null: 1, but 0 for a check that may
    /// change something, such as a POST.
    #[serde(default)]
    #[schema(value_type = Option<i32>, required = false, example = 1, minimum = 0, maximum = 5)]
    pub retries: Option<i32>,
    /// How many checks in a row must fail before the endpoint is down.
    #[serde(default = "twice")]
    #[schema(default = 2, minimum = 1, maximum = 100)]
    pub failure_threshold: i32,
    /// How many checks in a row must succeed before it is up again.
    #[serde(default = "once")]
    #[schema(default = 1, minimum = 1, maximum = 100)]
    pub success_threshold: i32,
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub enabled: bool,
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["shop"]), required = false)]
    pub tags: JsonText<Vec<String>>,
}

fn strict_assertions<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<JsonText<Vec<Assertion>>, D::Error> {
    contract::strict_assertions(deserializer).map(JsonText)
}

/// Of `check-now`.
const COMPLETE: &str = "/private/v1/addresses/complete";

/// The names of `CHECKS`, in OpenAPI.
fn kind_schema() -> Schema {
    let names = CHECKS.iter().map(|kind| kind.name);
    let about = "Of the URL's scheme, when absent.";
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).description(Some(about)).into()
}

fn nothing() -> JsonText<Value> {
    JsonText(contract::empty())
}

fn yes() -> bool {
    true
}

fn once() -> i32 {
    1
}

fn twice() -> i32 {
    2
}

fn a_minute() -> i32 {
    60
}

fn ten_seconds() -> i32 {
    10_000
}

/// An endpoint, as stored and as shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct Endpoint {
    #[schema(example = 1)]
    pub id: i64,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub settings: Settings,
    #[sqlx(try_from = "String")]
    pub status: Status,
    /// Why it has this status, or none yet, in words: English, or Korean by `Accept-Language`.
    #[serde(default)]
    #[sqlx(flatten)]
    pub status_reason: reason::StatusReason,
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub last_checked_at: Option<UnixSeconds>,
    /// Scheduled checks that were not made, or not completed: `status_reason` says why the last one was not.
    #[schema(example = 0)]
    pub missed_slots: i64,
    /// Failed checks in a row, to the newest result.
    #[serde(default)]
    #[schema(example = 0)]
    pub failures: i64,
    /// Grows with each change of what a check does or means; a result of another revision changes no status.
    #[schema(example = 1)]
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The columns of [`Endpoint`], for a static SELECT.
macro_rules! columns {
    () => {
        "id, name, url, kind, config, interval_seconds, timeout_ms, assertions, retries, failure_threshold, \
         success_threshold, enabled, tags, CASE WHEN enabled THEN status ELSE 'paused' END AS status, last_checked_at, missed_slots, \
         revision, CASE WHEN result_revision < revision THEN 0 ELSE failures END AS failures, result_revision, result_slot, result_note, down_since, \
         created_at, updated_at"
    };
}
pub(crate) use columns;

/// An endpoint with its owner, for other functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct OwnedEndpoint {
    #[schema(example = 1)]
    pub user_id: i64,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub endpoint: Endpoint,
}

impl Settings {
    /// All defaults.
    pub fn of_url(url: &str) -> Result<Self> {
        runtime::input::parse(serde_json::json!({ "url": url }).to_string().as_bytes())
    }

    /// Asks which scheme a bare address has, where that is not certain.
    pub async fn completed(mut self, context: &Context, user_id: i64) -> Self {
        // Secrets do not go by HTTP because somebody refuses HTTPS.
        if address(&self.kind, &self.url).fallback.is_none() || self.has_secrets() {
            return self;
        }
        let typed = checks::now::Typed { user_id, url: self.url.clone() };
        let completed = context.outbound().call("check-now", Method::POST, COMPLETE, Some(&typed)).await;
        match completed {
            Ok(checks::now::Completed { url }) => self.url = url,
            // HTTPS is then as good as any.
            Err(error) => tracing::warn!(%error, "an address could not be completed"),
        }
        self
    }

    /// Checks every field, what takes long in the owner's turn. A URL without a scheme gets one, a kind that is missing is
    /// that of the URL's scheme, a name that is missing becomes the URL's host, and the retries the kind's default. The
    /// config is in clear then. `stored`: what it changes, opened.
    pub async fn checked(mut self, owner: i64, stored: Option<&Self>) -> Result<Self> {
        self.url = address(&self.kind, &self.url).url;
        self.name = self.name.trim().to_owned();
        if self.name.is_empty() {
            self.name = config::host_of(&self.url).unwrap_or_default().chars().take(100).collect();
        }
        let mut fields = Fields::default();
        let kind =
            config::kind_of(&self.kind, &self.url).map_err(|(field, what)| fields.add(field, what)).ok();
        if let Some(kind) = kind {
            kind.name.clone_into(&mut self.kind);
        }
        let in_range = |fields: &mut Fields, name: &str, value: i32, least: i32, most: i32| {
            fields.check((least..=most).contains(&value), name, || {
                text(
                    format!("must be from {least} to {most}"),
                    format!("{least} 이상 {most} 이하여야 합니다"),
                )
            });
        };
        fields.check_line("name", &self.name, 0..=100);
        let is_config = match kind.map(|kind| config::read(kind, &self, stored)) {
            Some(Ok(config)) => {
                self.config.0 = config;
                true
            }
            Some(Err(refusals)) => {
                refusals.into_iter().for_each(|(field, what)| fields.add(field, what));
                false
            }
            None => false,
        };
        let usual = kind.map_or(0, |kind| kind.default_retries(&self.config.0));
        let retries = *self.retries.get_or_insert(usual.into());
        in_range(&mut fields, "interval_seconds", self.interval_seconds, 10, 86_400);
        in_range(&mut fields, "failure_threshold", self.failure_threshold, 1, 100);
        in_range(&mut fields, "success_threshold", self.success_threshold, 1, 100);
        in_range(&mut fields, "retries", retries, 0, 5);
        in_range(&mut fields, "timeout_ms", self.timeout_ms, 100, 60_000);
        fields.check(self.tags.0.len() <= 20, "tags", || text("must be at most 20", "20개 이하여야 합니다"));
        for (at, tag) in self.tags.0.iter().enumerate().take(20) {
            fields.check(is_tag(tag), &format!("tags[{at}]"), || {
                text(
                    "must have 1 to 50 letters, digits, or any of - _ . : /",
                    "글자, 숫자, - _ . : / 로 1자 이상 50자 이하여야 합니다",
                )
            });
        }
        // A batch waits for its slowest check, and the broker for the batch.
        let longest = i64::from(self.timeout_ms) * (i64::from(retries) + 1);
        fields.check(longest <= 120_000, "retries", || {
            text(
                "all tries together may take at most 120 seconds",
                "모든 시도를 합해 120초를 넘을 수 없습니다",
            )
        });
        let refusals = match kind {
            Some(_) => ::checks::validate_off_workers(owner, &self.target()).await,
            None => Vec::new(),
        };
        for (field, what) in refusals {
            // Those have been looked at already.
            let is_known = matches!(field.as_str(), "retries" | "timeout_ms");
            if !is_known && (is_config || !field.starts_with("config")) {
                fields.add(field, what);
            }
        }
        fields.finish()?;
        Ok(self)
    }

    /// The check of one slot.
    pub fn request(&self, endpoint_id: i64, user_id: i64, slot: i64, revision: i64) -> CheckRequest {
        CheckRequest {
            endpoint_id,
            user_id,
            scheduled_at: UnixSeconds(slot).time(),
            failure_threshold: self.failure_threshold.try_into().unwrap_or(1),
            success_threshold: self.success_threshold.try_into().unwrap_or(1),
            target: self.target(),
            interval_seconds: self.interval_seconds.try_into().unwrap_or_default(),
            revision,
            maintenance: false,
        }
    }

    fn bytes(&self) -> Bytes {
        Bytes {
            parts: [("config", json_bytes(&self.config)), ("assertions", json_bytes(&self.assertions))],
            interval_seconds: i64::from(self.interval_seconds).max(1),
        }
    }

    pub fn target(&self) -> Target {
        Target {
            kind: self.kind.clone(),
            url: self.url.clone(),
            config: self.config.0.clone(),
            assertions: self.assertions.0.clone(),
            timeout_ms: self.timeout_ms.try_into().unwrap_or_default(),
            retries: self.retries.and_then(|retries| retries.try_into().ok()).unwrap_or_default(),
        }
    }
}

impl Endpoint {
    /// As its owner sees it: with all of its config, but for secrets.
    pub fn shown(mut self) -> Self {
        self.settings.config.0 = config::shown(&self.settings);
        self
    }
}

fn json_bytes(part: &impl Serialize) -> i64 {
    serde_json::to_vec(part).map_or(0, |json| json.len() as i64)
}

/// What of an endpoint's settings may be large, as JSON.
struct Bytes {
    parts: [(&'static str, i64); 2],
    interval_seconds: i64,
}

impl Bytes {
    /// What is stored, and shown in lists.
    fn stored(&self) -> i64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// What checks make the broker carry.
    fn per_minute(&self) -> i64 {
        self.stored() * 60 / self.interval_seconds
    }

    fn largest(&self) -> &'static str {
        self.parts.iter().max_by_key(|(_, bytes)| bytes).map_or("config", |(name, _)| name)
    }
}

/// A tag stands in JSON text as it is, so that SQL can look for it.
fn is_tag(tag: &str) -> bool {
    // A Hangul filler is a letter to Unicode.
    let fits = |c: char| (c.is_alphanumeric() && !is_invisible(c)) || "-_.:/".contains(c);
    (1..=50).contains(&tag.chars().count()) && tag.chars().all(fits)
}

/// `MAX_ENDPOINTS_PER_USER` (default 10000); configs and assertions of a user's endpoints:
/// `MAX_SETTINGS_BYTES_PER_USER` (default 4 MiB) as they are stored and shown, `MAX_CHECK_BYTES_PER_MINUTE` (default
/// 16 MiB) as they travel to the prober each minute.
pub struct QuotaConfig {
    pub endpoints_per_user: i64,
    pub settings_bytes: i64,
    pub bytes_per_minute: i64,
}

impl FromEnv for QuotaConfig {
    const NAMES: &[&str] =
        &["MAX_CHECK_BYTES_PER_MINUTE", "MAX_ENDPOINTS_PER_USER", "MAX_SETTINGS_BYTES_PER_USER"];

    fn from_env(env: &Env) -> anyhow::Result<Self> {
        let endpoints_per_user = env.parse_or("MAX_ENDPOINTS_PER_USER", 10_000)?;
        anyhow::ensure!(endpoints_per_user >= 1, "MAX_ENDPOINTS_PER_USER must be at least 1");
        let bytes = |name, default| {
            let bytes = env.parse_or(name, default)?;
            anyhow::ensure!(bytes >= 1024, "{name} must be at least 1024");
            Ok(bytes)
        };
        let settings_bytes = bytes("MAX_SETTINGS_BYTES_PER_USER", 4 * 1024 * 1024)?;
        let bytes_per_minute = bytes("MAX_CHECK_BYTES_PER_MINUTE", 16 * 1024 * 1024)?;
        Ok(Self { endpoints_per_user, settings_bytes, bytes_per_minute })
    }
}

/// How far ahead slots are handed out: a minute, and some seconds more, for the next tick of the
/// schedule may be late.
pub const AHEAD: TimeDelta = TimeDelta::seconds(65);

/// So many new endpoints of a user begin at once within a minute, and so many changed ones, in one process; those
/// beyond begin with the schedule.
const AT_ONCE_PER_MINUTE: u32 = 30;

/// How many of whose endpoints began at once in a minute, given in Unix minutes.
#[derive(Default)]
struct Begun(Mutex<(i64, HashMap<i64, u32>)>);

/// The checks of an endpoint that starts now, until the schedule takes over.
struct Start {
    /// Due now, and then on the endpoint's grid.
    slots: Vec<i64>,
    /// The first slot that the schedule hands out.
    next_slot: i64,
}

impl Start {
    /// Where in the interval the grid lies is drawn: endpoints of one interval are spread over it, instead of all being
    /// due at second 0. Not where a check of other settings was asked for already: a slot has one result.
    fn now(
        context: &Context,
        user_id: i64,
        interval_seconds: i32,
        is_taken: impl Fn(i64) -> bool,
    ) -> Result<Self> {
        let interval = i64::from(interval_seconds).max(1);
        let now = context.clock().now().timestamp();
        // The tick of this minute was before us, and the next one's claim begins where we end.
        let taken_over = now / 60 * 60 + AHEAD.num_seconds();
        let on_grid = |first: i64| (first..taken_over).step_by(usize::try_from(interval).unwrap_or(1));
        let draw = || {
            let drawn = u64::from_le_bytes(context.random().bytes()) % interval.cast_unsigned();
            now + 1 + drawn.cast_signed()
        };
        if !Self::may_begin_at_once(context, user_id, now / 60)? {
            return Ok(Self { slots: Vec::new(), next_slot: draw() - now - 1 + taken_over });
        }
        let at_once = if is_taken(now) { now + 1 } else { now };
        let fits = |first: &i64| *first > at_once && !on_grid(*first).any(&is_taken);
        let first = (0..20).map(|_| draw()).find(fits).unwrap_or(at_once + interval);
        let slots: Vec<i64> = std::iter::once(at_once).chain(on_grid(first)).collect();
        let next_slot = first + (slots.len() as i64 - 1) * interval;
        Ok(Self { slots, next_slot })
    }

    /// Each that does takes places in the queue of checks for two minutes: whoever changes endpoints all the time must
    /// not have them all.
    fn may_begin_at_once(context: &Context, user_id: i64, minute: i64) -> Result<bool> {
        let begun = context.shared(|_| Ok(Begun::default()))?;
        let mut begun = begun.0.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.0 != minute {
            *begun = (minute, HashMap::new());
        }
        let count = begun.1.entry(user_id).or_default();
        *count = count.saturating_add(1);
        Ok(*count <= AT_ONCE_PER_MINUTE)
    }
}

/// Asks for the checks of a start.
async fn ask_for_checks(
    context: &Context,
    function: &'static str,
    user_id: i64,
    endpoint: &Endpoint,
    slots: &[i64],
) -> Result<()> {
    let id = endpoint.id;
    let (Some(first), Some(last)) = (slots.first(), slots.last()) else { return Ok(()) };
    let windows = Windows::load(context.db()?, &[user_id], *first..last + 1).await?;
    let request = |slot: &i64| CheckRequest {
        maintenance: windows.hold(user_id, id, *slot),
        ..endpoint.settings.request(id, user_id, *slot, endpoint.revision)
    };
    let requests: Vec<_> = slots.iter().map(request).collect();
    // The first one by itself: nothing waits for those whose time has not come. They are one event, for each takes a
    // place in a queue until its last check is made.
    let (at_once, later) = requests.split_at(1);
    checks::schedule::ask_for(context, function, at_once, i64::MAX).await?;
    checks::schedule::ask_for(context, function, later, i64::MAX).await
}

/// Within the transaction that has just added or changed an endpoint.
async fn check_bytes_quota(
    context: &Context,
    transaction: &mut Transaction,
    user_id: i64,
    bytes: &Bytes,
) -> Result<()> {
    static BYTES: &str = "SELECT settings_bytes, bytes_per_minute FROM endpoint_counts WHERE user_id = $1";
    let quota = context.config::<QuotaConfig>()?;
    let (stored, per_minute): (i64, i64) = on!(transaction.connection(), db =>
        sqlx::query_as(BYTES).bind(user_id).fetch_one(db).await)?;
    if stored > quota.settings_bytes {
        let max = quota.settings_bytes;
        let message = text(
            format!(
                "Configs and assertions of your endpoints come to {stored} bytes; {max} are allowed. Shorten them."
            ),
            format!("엔드포인트의 설정과 검증 조건이 모두 {stored}바이트입니다. {max}바이트까지 가능합니다."),
        );
        return Err(Error::conflict_in(bytes.largest(), "TOO_MANY_SETTINGS_BYTES", message));
    }
    if per_minute > quota.bytes_per_minute {
        let max = quota.bytes_per_minute;
        let message = text(
            format!(
                "Configs and assertions of your checks come to {per_minute} bytes a minute; {max} are allowed. \
                 Shorten them, or check less often."
            ),
            format!("검사의 설정과 검증 조건이 분당 {per_minute}바이트입니다. {max}바이트까지 가능합니다."),
        );
        return Err(Error::conflict_in(bytes.largest(), "TOO_MANY_CHECK_BYTES", message));
    }
    Ok(())
}

/// How many a user has, as triggers keep it.
const COUNT: &str = "SELECT COALESCE((SELECT endpoints FROM endpoint_counts WHERE user_id = $1), 0)";

/// Until the transaction ends, nobody else adds anything of this user's, or forgets the user.
async fn lock_user(transaction: &mut Transaction, user_id: i64) -> Result<()> {
    static LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('endpoints'), hashint8($1))";
    // SQLite has one writer at a time.
    if let On::Postgres(db) = transaction.connection() {
        sqlx::query(LOCK).bind(user_id).execute(db).await?;
    }
    Ok(())
}

/// A transaction that adds something of a user's: two at once do not slip past a quota together, and
/// a key that the gateway still believes for a moment brings nothing back of a user who is gone.
async fn begin_adding(db: &Db, user_id: i64) -> Result<Transaction> {
    static GONE: &str = "SELECT EXISTS (SELECT 1 FROM endpoint_gone_users WHERE user_id = $1)";
    let mut tx = db.begin().await?;
    lock_user(&mut tx, user_id).await?;
    let gone: bool = on!(tx.connection(), db => sqlx::query_scalar(GONE).bind(user_id).fetch_one(db).await)?;
    if gone { Err(Error::unauthorized()) } else { Ok(tx) }
}

/// One of the caller's own.
async fn find_own(context: &Context, user_id: i64, id: i64) -> Result<Endpoint> {
    static SQL: &str = concat!("SELECT ", columns!(), " FROM endpoints WHERE id = $1 AND user_id = $2");
    let found = on!(context.db()?.read(), db => {
        sqlx::query_as(SQL).bind(id).bind(user_id).fetch_optional(db).await
    })?;
    found.ok_or_else(Error::not_found)
}
