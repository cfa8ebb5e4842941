//! The data of every event between functions.
//!
//! These types are public: they pass through the broker, are stored in dead letters, and are read by any
//! subscriber. Within a `v1` type, fields are added, never renamed or removed.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

use crate::{Language, Text, words};

/// Event types, as in the `type` attribute of a CloudEvent.
pub mod kind {
    pub const CHECK_REQUESTED: &str = "io.pongpong.check.requested.v1";
    pub const CHECK_COMPLETED: &str = "io.pongpong.check.completed.v1";
    pub const CHECK_FAILED: &str = "io.pongpong.check.failed.v1";
    pub const STATUS_CHANGED: &str = "io.pongpong.status.changed.v1";
    pub const REGION_CHANGED: &str = "io.pongpong.region.changed.v1";
    pub const NOTIFICATION_REQUESTED: &str = "io.pongpong.notification.requested.v1";
    pub const NOTIFICATION_DELIVERED: &str = "io.pongpong.notification.delivered.v1";
    pub const USER_DELETED: &str = "io.pongpong.user.deleted.v1";
    pub const USER_CHANGED: &str = "io.pongpong.user.changed.v1";
    pub const ENDPOINT_DELETED: &str = "io.pongpong.endpoint.deleted.v1";
    pub const ENDPOINT_CHANGED: &str = "io.pongpong.endpoint.changed.v1";

    pub const ALL: [&str; 11] = [
        CHECK_REQUESTED,
        CHECK_COMPLETED,
        CHECK_FAILED,
        STATUS_CHANGED,
        REGION_CHANGED,
        NOTIFICATION_REQUESTED,
        NOTIFICATION_DELIVERED,
        USER_DELETED,
        USER_CHANGED,
        ENDPOINT_DELETED,
        ENDPOINT_CHANGED,
    ];
}

/// The name of a unit variant, as serde writes it.
fn name(of: &impl Serialize) -> &'static str {
    serde_variant::to_variant_name(of).unwrap_or_default()
}

/// How to check: all data that the prober needs.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// The check kind, such as `http`.
    #[schema(example = "http")]
    pub kind: String,
    #[schema(example = "https://example.com/health")]
    pub url: String,
    /// The kind's settings that differ from the defaults. Secrets are sealed, except where the check is
    /// made.
    #[serde(default = "empty", skip_serializing_if = "is_empty")]
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    #[serde(default, deserialize_with = "open_assertions", skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Assertion>,
    pub timeout_ms: u32,
    /// How often a failed check is repeated before it counts as down.
    pub retries: u8,
}

/// Omits the config, which may contain secrets.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, url, assertions, timeout_ms, retries, config: _ } = self;
        let url = crate::shown::text_without_secrets(url);
        write!(
            f,
            "Target {{ {kind} {url}, {timeout_ms} ms, {retries} retries, {} assertions }}",
            assertions.len()
        )
    }
}

impl Target {
    /// By default: no retries, time-out of ten seconds.
    pub fn of(kind: &str, url: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            url: url.into(),
            config: empty(),
            assertions: Vec::new(),
            timeout_ms: 10_000,
            retries: 0,
        }
    }

    /// Sets a field of the config.
    pub fn with(mut self, field: &str, value: impl Into<serde_json::Value>) -> Self {
        self.config[field] = value.into();
        self
    }
}

/// A config without fields.
pub fn empty() -> serde_json::Value {
    serde_json::Map::new().into()
}

fn is_empty(config: &serde_json::Value) -> bool {
    config.as_object().is_some_and(serde_json::Map::is_empty)
}

/// A condition on a fact of the check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Assertion {
    /// Such as `status`, `body`, `json` (with `path`), `header` (with `name`), `total_ms`, `certificate_days_left`.
    #[schema(example = "json")]
    pub fact: String,
    /// For `json`: an RFC 9535 JSONPath. If it selects several values, the comparison must hold for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "$.status")]
    pub path: Option<String>,
    /// For `header`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(null))]
    pub name: Option<String>,
    pub comparison: Comparison,
    /// A text is compared as text, also with a number or boolean (`"200"` equals `200`); a number as a
    /// number, also with a numeric text. A regular expression for `matches` and `not_matches`; absent for
    /// `exists` and `not_exists`.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false, example = "ok")]
    pub value: Option<serde_json::Value>,
    /// The status of the check if the condition does not hold.
    #[serde(default, skip_serializing_if = "Severity::is_down")]
    #[schema(default = "down")]
    pub severity: Severity,
}

/// For assertions that a person writes, in JSON or YAML (`deserialize_with`): refuses unknown fields,
/// which events ignore.
pub fn strict_assertions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Assertion>, D::Error> {
    /// Reads items one at a time, so that an error contains the index.
    struct Strict(Assertion);

    impl<'de> Deserialize<'de> for Strict {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let given = serde_json::Map::deserialize(deserializer)?;
            match given.keys().find(|name| !Assertion::FIELDS.contains(&name.as_str())) {
                Some(name) => Err(D::Error::unknown_field(name, &Assertion::FIELDS)),
                None => Assertion::deserialize(serde_json::Value::Object(given))
                    .map(Self)
                    .map_err(D::Error::custom),
            }
        }
    }
    Ok(Vec::<Strict>::deserialize(deserializer)?.into_iter().map(|Strict(assertion)| assertion).collect())
}

/// For assertions in an event. One of a newer version, for example with an unknown comparison, is kept as
/// a fact that no kind has: this version cannot evaluate it, so the result of the check is unknown.
fn open_assertions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Assertion>, D::Error> {
    let read = |given: serde_json::Value| {
        let fact = given.to_string();
        serde_json::from_value(given).unwrap_or_else(|_| Assertion::of(&fact, Comparison::Exists, ()))
    };
    Ok(Vec::deserialize(deserializer)?.into_iter().map(read).collect())
}

/// Distinguishes null, which is a JSON value, from an absent value.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

impl Assertion {
    pub const FIELDS: [&str; 6] = ["fact", "path", "name", "comparison", "value", "severity"];

    /// For a fact that needs neither path nor name.
    pub fn of(fact: &str, comparison: Comparison, value: impl Into<serde_json::Value>) -> Self {
        let has_none = matches!(comparison, Comparison::Exists | Comparison::NotExists);
        let (fact, value) =
            (fact.to_owned(), Some(value.into()).filter(|value| !(has_none && value.is_null())));
        Self { fact, path: None, name: None, comparison, value, severity: Severity::Down }
    }

    pub fn of_json(path: &str, comparison: Comparison, value: impl Into<serde_json::Value>) -> Self {
        Self { path: Some(path.to_owned()), ..Self::of("json", comparison, value) }
    }

    pub fn of_header(name: &str, comparison: Comparison, value: impl Into<serde_json::Value>) -> Self {
        Self { name: Some(name.to_owned()), ..Self::of("header", comparison, value) }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AssertionSeverity)]
pub enum Severity {
    #[default]
    Down,
    Degraded,
}

impl Severity {
    fn is_down(&self) -> bool {
        *self == Self::Down
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Equals,
    NotEquals,
    Contains,
    NotContains,
    Matches,
    NotMatches,
    LessThan,
    LessOrEqual,
    GreaterThan,
    GreaterOrEqual,
    Exists,
    NotExists,
}

impl Comparison {
    pub const ALL: [Self; 12] = [
        Self::Equals,
        Self::NotEquals,
        Self::Contains,
        Self::NotContains,
        Self::Matches,
        Self::NotMatches,
        Self::LessThan,
        Self::LessOrEqual,
        Self::GreaterThan,
        Self::GreaterOrEqual,
        Self::Exists,
        Self::NotExists,
    ];

    pub fn as_str(self) -> &'static str {
        name(&self)
    }
}

/// One scheduled check of one endpoint. `check.requested` carries an array of these, all of one kind. Its
/// extension `kind` holds the kind, and `owners` the user IDs, separated by commas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckRequest {
    pub endpoint_id: i64,
    pub user_id: i64,
    /// The scheduled time; with `endpoint_id` and region, the key of the result.
    pub scheduled_at: DateTime<Utc>,
    pub failure_threshold: u16,
    pub success_threshold: u16,
    pub target: Target,
    /// Seconds until the next check; 0: unknown.
    #[serde(default)]
    pub interval_seconds: u32,
    /// The revision of the settings used for the check; copied to the result.
    #[serde(default)]
    pub revision: i64,
    /// The scheduled time is during a maintenance: the result does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
}

/// The result of a check: `check.completed` carries an array of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckResult {
    pub endpoint_id: i64,
    pub user_id: i64,
    pub scheduled_at: DateTime<Utc>,
    pub checked_at: DateTime<Utc>,
    pub region: String,
    pub failure_threshold: u16,
    pub success_threshold: u16,
    pub outcome: Outcome,
    /// Seconds until the next check; 0: unknown.
    #[serde(default)]
    pub interval_seconds: u32,
    /// The revision of the settings used for the check. A result of an older revision is stored, but
    /// changes no status.
    #[serde(default)]
    pub revision: i64,
    /// Made during a maintenance: stored and shown, but left out of every sum, and causes no alert.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
}

/// A failed check whose successors decide if the endpoint is down: `check.failed` carries an array of
/// these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    pub endpoint_id: i64,
    pub user_id: i64,
    pub scheduled_at: DateTime<Utc>,
    #[serde(default)]
    pub revision: i64,
    /// How many of the user's other endpoints must be checked at once, to find out whether the endpoint
    /// fails or its region.
    #[serde(default)]
    pub others: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    Up,
    /// It works, but not as it should: `error` says why. Counts as up.
    Degraded,
    Down,
    /// The check was not made, or failed because of a defect in pongpong: no information about the
    /// endpoint. Counted as missed; never stored as a result, never an incident. Also used for a status
    /// that this version does not know.
    #[serde(other)]
    Unknown,
}

impl CheckStatus {
    pub fn as_str(self) -> &'static str {
        name(&self)
    }

    /// Whether the endpoint works.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Up | Self::Degraded)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    pub status: CheckStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 200)]
    pub status_code: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    pub timings_ms: Timings,
    /// The address that answered (after the last redirect).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    pub ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires_at: Option<DateTime<Utc>>,
    /// Size of the body as transferred.
    pub response_bytes: u64,
}

/// Why a check failed, for programs (`code`) and for people (`message`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    #[schema(example = "STATUS_MISMATCH")]
    pub code: FailureCode,
    #[schema(example = "example.com does not exist (NXDOMAIN)")]
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    DnsFailure,
    ConnectRefused,
    ConnectTimeout,
    ConnectFailed,
    /// The certificate or the handshake is invalid.
    TlsInvalid,
    /// The response did not arrive, or did not end, in time.
    Timeout,
    StatusMismatch,
    AssertionFailed,
    /// With status degraded: a certificate of the chain expires soon.
    CertificateExpiring,
    TooManyRedirects,
    InvalidRedirect,
    /// The address guard refused to connect.
    BlockedAddress,
    /// The response is not HTTP, or was cut off.
    ProtocolError,
    /// The request could not be built. With status unknown: this version cannot read the settings of the
    /// check.
    InvalidRequest,
    /// With status unknown: a defect in pongpong ended the check; see the prober's log.
    ProberDefect,
    /// With status unknown: the check could not start before the next one was due.
    NotStarted,
    /// With status unknown: the request reached the prober after the next check was due.
    RequestedTooLate,
    /// A code that this version does not know.
    #[serde(other)]
    Other,
}

impl FailureCode {
    pub fn as_str(self) -> &'static str {
        name(&self)
    }

    /// A short text for people.
    pub fn words(self) -> Text {
        match self {
            Self::Timeout | Self::ConnectTimeout => words::FAILURE_TIMED_OUT,
            Self::DnsFailure => words::FAILURE_DNS,
            Self::ConnectRefused | Self::ConnectFailed => words::FAILURE_CONNECT,
            Self::TlsInvalid => words::FAILURE_TLS,
            Self::StatusMismatch | Self::TooManyRedirects | Self::InvalidRedirect => words::FAILURE_STATUS,
            Self::AssertionFailed => words::FAILURE_ASSERTION,
            Self::CertificateExpiring => words::FAILURE_CERTIFICATE,
            Self::BlockedAddress => words::FAILURE_BLOCKED_ADDRESS,
            Self::ProtocolError => words::FAILURE_PROTOCOL,
            Self::InvalidRequest => words::FAILURE_SETTINGS,
            Self::ProberDefect | Self::NotStarted | Self::RequestedTooLate => words::FAILURE_NOT_COMPLETED,
            Self::Other => words::FAILURE_OTHER,
        }
    }

    /// Whether the endpoint did not answer. An endpoint that answers may fail, but not because of its
    /// region.
    pub fn is_unreachable(self) -> bool {
        matches!(
            self,
            Self::DnsFailure
                | Self::ConnectRefused
                | Self::ConnectTimeout
                | Self::ConnectFailed
                | Self::TlsInvalid
                | Self::Timeout
        )
    }
}

/// In whole milliseconds; a phase that was not reached or not needed is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Timings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<u32>,
    pub total: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not checked yet, or not often enough to decide.
    Pending,
    Up,
    /// It works, but not as it should.
    Degraded,
    Down,
    Paused,
}

impl TryFrom<String> for Status {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "pending" => Ok(Self::Pending),
            "up" => Ok(Self::Up),
            "degraded" => Ok(Self::Degraded),
            "down" => Ok(Self::Down),
            "paused" => Ok(Self::Paused),
            _ => Err(format!("{text} is not a status")),
        }
    }
}

impl Status {
    pub fn as_str(self) -> &'static str {
        name(&self)
    }

    /// Whether the endpoint works.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Up | Self::Degraded)
    }
}

/// Reads a status that this version does not know as pending.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Status, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(Status::try_from(name).unwrap_or(Status::Pending))
}

/// A change of an endpoint's status: `status.changed` carries an array of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusChange {
    pub endpoint_id: i64,
    pub user_id: i64,
    #[serde(deserialize_with = "known")]
    pub from: Status,
    /// Paused: checks ended, and the incident with them.
    #[serde(deserialize_with = "known")]
    pub to: Status,
    /// The scheduled time of the deciding result.
    pub changed_at: DateTime<Utc>,
    /// The revision of the settings for which it was decided; 0: unknown.
    #[serde(default)]
    pub revision: i64,
    /// When the incident began: the first of the failed checks in a row. Present if `from` or `to` is
    /// down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage_started_at: Option<DateTime<Utc>>,
    /// Why it went down or is degraded; after a recovery, why it had been down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Failure>,
}

/// A region outage began or ended for one user: `region.changed` carries an array of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionChange {
    pub user_id: i64,
    pub what: AlertKind,
    /// The newest scheduled time when this was decided.
    pub changed_at: DateTime<Utc>,
    /// The first failure among the user's endpoints.
    pub since: DateTime<Utc>,
    pub outage: RegionOutage,
}

/// A region outage, as one user sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": 4, "region": "seoul", "failing": 15, "endpoints": 20, "held_minutes": 15}))]
pub struct RegionOutage {
    /// The same at the beginning and at the end.
    pub id: i64,
    pub region: String,
    /// How many of the user's endpoints newly fail in the region.
    pub failing: i64,
    /// Out of how many that were checked in the region since then, without those that failed before.
    pub endpoints: i64,
    /// How long an endpoint's alert is held at most, from its first failure.
    pub held_minutes: i64,
}

/// The language and time zone of a user's messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    #[serde(default)]
    pub language: Language,
    /// An IANA name; an unknown one is read as UTC.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Default for Reader {
    fn default() -> Self {
        Self { language: Language::default(), time_zone: utc() }
    }
}

/// `user.changed`: the language and time zone of a user, at sign-up and at each change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserChanged {
    pub user_id: i64,
    /// Increases with each change.
    pub revision: i64,
    #[serde(flatten)]
    pub reader: Reader,
}

/// `user.deleted`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserDeleted {
    pub user_id: i64,
}

/// `endpoint.deleted`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointDeleted {
    pub endpoint_id: i64,
    pub user_id: i64,
}

/// Changed settings or maintenances of an endpoint: `endpoint.changed` carries an array of these. From
/// then on, checks of older revisions change no status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointChanged {
    pub endpoint_id: i64,
    pub user_id: i64,
    pub revision: i64,
    /// The newest revision that changed the settings; 0: unknown.
    #[serde(default)]
    pub settings_revision: i64,
    /// False: paused.
    pub enabled: bool,
    /// When the settings were changed.
    pub changed_at: DateTime<Utc>,
    /// Scheduled times during a new maintenance whose checks may already be requested, without the mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from: DateTime<Utc>,
    /// Not included.
    pub until: DateTime<Utc>,
}

/// One message to one notification: `notification.requested`. The event's `channel` extension has its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationRequested {
    pub delivery_id: i64,
    /// Increases with each retry that a user requests.
    pub attempt: i64,
    /// How often this attempt has failed.
    #[serde(default)]
    pub tries: i64,
    pub notification_id: i64,
    #[serde(alias = "channel")]
    pub kind: String,
    /// The notification's config, or for kind email its recipients. Sealed with `ENCRYPTION_KEY`, so the
    /// broker cannot read it.
    pub sealed_config: String,
    pub alert: Alert,
    #[serde(default)]
    pub reader: Reader,
}

/// The data of a message, the same for every kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// 0 if it is not about one endpoint.
    pub endpoint_id: i64,
    pub endpoint_name: String,
    pub url: String,
    pub what: AlertKind,
    pub changed_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage_started_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Failure>,
    /// Present if it is about a region instead of an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region_outage: Option<RegionOutage>,
    /// Earlier changes of the same endpoint that were not delivered in time, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Missed>,
    /// For `untold`: the number of changes that were only counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub untold: u32,
    /// A page with more information.
    pub link: String,
}

/// A change that a later message includes, because its own message was not delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Missed {
    pub what: AlertKind,
    pub changed_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    Down,
    Up,
    /// It works, but not as it should.
    Degraded,
    /// It works as it should again.
    NotDegraded,
    Test,
    /// Most endpoints in a region began to fail at once: their alerts are held.
    RegionOutage,
    /// The region outage ended; endpoints that still fail get alerts of their own.
    RegionRecovered,
    /// The endpoints have failed too long to hold their alerts: each is sent.
    RegionStillFailing,
    /// Changes that are only counted: too many messages wait for the notification.
    Untold,
    /// A kind of alert that this version does not know.
    #[serde(other)]
    Other,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl AlertKind {
    pub fn as_str(self) -> &'static str {
        name(&self)
    }

    /// A short text for people, in a list of changes.
    pub fn words(self) -> Text {
        match self {
            Self::Down => words::ALERT_DOWN,
            Self::Up => words::ALERT_UP,
            Self::Degraded => words::ALERT_DEGRADED,
            Self::NotDegraded => words::ALERT_NOT_DEGRADED,
            Self::Test => words::ALERT_TEST,
            Self::RegionOutage => words::ALERT_REGION_OUTAGE,
            Self::RegionRecovered => words::ALERT_REGION_RECOVERED,
            Self::RegionStillFailing => words::ALERT_REGION_STILL_FAILING,
            Self::Untold => words::ALERT_UNTOLD,
            Self::Other => words::ALERT_OTHER,
        }
    }
}

/// The outcome of a try: `notification.delivered`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotificationDelivered {
    pub delivery_id: i64,
    pub attempt: i64,
    /// Copied from the request.
    #[serde(default)]
    pub tries: i64,
    pub outcome: DeliveryOutcome,
    /// The receiver's error if it was not delivered; if it was, the recipients that were not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The pause that the receiver asked for (`Retry-After`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
    /// If postponed: recipients that already got it, and do not get it again; addresses are hashed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<String>,
    pub at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOutcome {
    Delivered,
    /// Refused permanently.
    Failed,
    /// Worth another try.
    Postponed,
    /// Not sent: no longer true.
    Superseded,
}
