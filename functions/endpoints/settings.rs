//! The settings of an endpoint, and the check request that is made from them.

use checks::{CHECKS, ConfigSchema};
use runtime::{
    Result,
    db::{JsonText, UnixSeconds},
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Schema, Type},
};

use contract::{Assertion, CheckRequest, Target};

/// The settings of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Default: the URL's host.
    #[serde(default)]
    #[schema(example = "Shop", max_length = 100)]
    pub name: String,
    /// Without a scheme: `http` for port 80, and for localhost, private names and private addresses on any port but
    /// 443; otherwise `https`, or `http` if the server refuses HTTPS.
    #[schema(example = "https://example.com/health", max_length = 2048)]
    pub url: String,
    /// Default: the kind of the URL's scheme.
    #[serde(default)]
    #[schema(schema_with = kind_schema)]
    pub kind: String,
    /// The kind's own settings. Secrets are returned masked; a secret that is sent back masked stays unchanged.
    #[serde(default = "nothing")]
    #[schema(value_type = ConfigSchema, required = false, example = json!({}))]
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
    /// How often a failed check is tried again before it counts as down. Default (absent or null): 1, but 0 for a
    /// check that may change something, such as a POST.
    #[serde(default)]
    #[schema(value_type = Option<i32>, required = false, example = 1, minimum = 0, maximum = 5)]
    pub retries: Option<i32>,
    /// How many checks in a row must fail before the endpoint is down.
    #[serde(default = "twice")]
    #[schema(default = 2, minimum = 1, maximum = 100)]
    pub failure_threshold: i32,
    /// How many checks in a row must succeed before the endpoint is up again.
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

/// The OpenAPI schema of `kind`: the names of `CHECKS`.
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

impl Settings {
    /// Settings of a URL, with all defaults.
    pub fn of_url(url: &str) -> Result<Self> {
        runtime::input::parse(serde_json::json!({ "url": url }).to_string().as_bytes())
    }

    /// The request for the check of one scheduled time.
    pub fn request(&self, endpoint_id: i64, user_id: i64, scheduled_at: i64, revision: i64) -> CheckRequest {
        CheckRequest {
            endpoint_id,
            user_id,
            scheduled_at: UnixSeconds(scheduled_at).time(),
            failure_threshold: self.failure_threshold.try_into().unwrap_or(1),
            success_threshold: self.success_threshold.try_into().unwrap_or(1),
            target: self.target(),
            interval_seconds: self.interval_seconds.try_into().unwrap_or_default(),
            revision,
            maintenance: false,
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
