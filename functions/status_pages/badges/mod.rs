//! The state of one endpoint for everybody who has the token of its badge: for a README, or another web page. An
//! endpoint has no badge until its user creates one.

pub mod create;
pub mod delete;
pub mod list;
pub mod show;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// An endpoint's badge.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Badge {
    #[schema(example = 1)]
    pub id: i64,
    #[schema(example = 7)]
    pub endpoint_id: i64,
    /// Everybody with this token can see the endpoint's name, status, uptime and response time, and nothing else.
    #[schema(example = "Zt1xj0dYc4pS0nQ8mJtW3m2oXcV5eB7a9rUfGhKlN6w")]
    pub token: String,
    pub created_at: DateTime<Utc>,
}

/// The columns of [`Badge`], for a static SELECT.
macro_rules! columns {
    () => {
        "id, endpoint_id, token, created_at"
    };
}
use columns;
