//! What the API says of kinds: enough to build a form or flags for one that a client does not know.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A notification kind, and the fields of its config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = NotificationKind)]
pub struct KindInfo {
    #[schema(example = "webhook")]
    pub kind: String,
    #[schema(example = "Webhook")]
    pub label: String,
    #[schema(example = "To a program of yours, signed.")]
    pub about: String,
    pub fields: Vec<FieldInfo>,
}

/// A check kind, with the fields of its config, and what assertions can look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EndpointKind)]
pub struct CheckKindInfo {
    #[schema(example = "http")]
    pub kind: String,
    #[schema(example = "HTTP")]
    pub label: String,
    #[schema(example = "Whether a web page or an API answers as it should.")]
    pub about: String,
    /// Of its URLs.
    #[schema(example = json!(["https", "http"]))]
    pub schemes: Vec<String>,
    /// A URL that it checks.
    #[schema(example = "https://example.com/health")]
    pub example: String,
    pub fields: Vec<FieldInfo>,
    pub facts: Vec<FactInfo>,
}

/// What an assertion can look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Fact)]
pub struct FactInfo {
    #[schema(example = "connect_ms")]
    pub name: String,
    #[schema(example = "Connect (ms)")]
    pub label: String,
    /// Those that make sense.
    #[schema(example = json!(["equals", "less_than"]))]
    pub comparisons: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Field)]
pub struct FieldInfo {
    #[schema(example = "url")]
    pub name: String,
    #[schema(example = "URL")]
    pub label: String,
    pub help: String,
    pub example: String,
    pub input: FieldInput,
    /// Of a line its characters, of a text its bytes, of a list or headers how many, of a number its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// Of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Of a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What it is where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    pub is_required: bool,
    /// Comes back masked.
    pub is_secret: bool,
    /// Made by the server where it is absent, and shown once.
    pub is_generated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldInput {
    Url,
    Line,
    /// Several lines.
    Text,
    /// A list of email addresses.
    Emails,
    /// An object of texts, by the names of headers.
    Headers,
    Choice,
    /// True or false.
    Flag,
    /// A whole number.
    Number,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}
