//! What the API says of kinds: enough to build a form or flags for one that a client does not know.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A kind, and the fields of its config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KindInfo {
    #[schema(example = "webhook")]
    pub kind: String,
    #[schema(example = "Webhook")]
    pub label: String,
    #[schema(example = "To a program of yours, signed.")]
    pub about: String,
    pub fields: Vec<FieldInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldInfo {
    #[schema(example = "url")]
    pub name: String,
    #[schema(example = "URL")]
    pub label: String,
    pub help: String,
    pub example: String,
    pub input: FieldInput,
    /// Of a line its characters, of a list its items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
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
    /// A list of email addresses.
    Emails,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}
