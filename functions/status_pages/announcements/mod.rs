//! Announcements of a user to the visitors of a status page.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use chrono::{DateTime, Datelike, DurationRound, TimeDelta, Utc};
use runtime::{Context, Db, Error, Fields, Result, on, sql};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    #[default]
    Info,
    Warning,
    Critical,
}

impl Severity {
    fn as_str(self) -> &'static str {
        serde_variant::to_variant_name(&self).unwrap_or_default()
    }
}

impl TryFrom<String> for Severity {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        [Self::Info, Self::Warning, Self::Critical]
            .into_iter()
            .find(|severity| severity.as_str() == text)
            .ok_or_else(|| format!("{text} is not a severity"))
    }
}

/// The settings of an announcement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AnnouncementSettings)]
pub struct Settings {
    /// One of the caller's own status pages.
    #[schema(example = 1)]
    pub status_page_id: i64,
    #[schema(example = "Slow deliveries", min_length = 1, max_length = 100)]
    pub title: String,
    /// Plain text; may contain several lines.
    #[serde(default)]
    #[schema(example = "Parcels may take a day longer.", max_length = 2000)]
    pub text: String,
    #[serde(default)]
    #[schema(default = "info")]
    pub severity: Severity,
    /// Default: now. The announcement is not shown before this time.
    #[serde(default)]
    pub starts_at: Option<DateTime<Utc>>,
    /// Null: shown until it is deleted or gets an end.
    #[serde(default)]
    pub ends_at: Option<DateTime<Utc>>,
}

/// An announcement on a status page.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Announcement {
    #[schema(example = 1)]
    pub id: i64,
    #[schema(example = 1)]
    pub status_page_id: i64,
    #[schema(example = "Slow deliveries")]
    pub title: String,
    #[schema(example = "Parcels may take a day longer.")]
    pub text: String,
    #[sqlx(try_from = "String")]
    pub severity: Severity,
    pub starts_at: DateTime<Utc>,
    pub ends_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The columns of [`Announcement`], for a static SELECT.
macro_rules! columns {
    () => {
        "id, status_page_id, title, text, severity, starts_at, ends_at, created_at, updated_at"
    };
}
use columns;

use crate::words;

impl Settings {
    /// Validates every field except the owner of the page. Returns the start time, too.
    fn checked(mut self, now: DateTime<Utc>) -> Result<(Self, DateTime<Utc>)> {
        self.title = self.title.trim().to_owned();
        self.text = super::lines(&self.text);
        let whole = |time: DateTime<Utc>| time.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(time);
        let starts_at = self.starts_at.map_or(now, whole);
        self.ends_at = self.ends_at.map(whole);
        let mut fields = Fields::default();
        fields.check_line("title", &self.title, 1..=100);
        fields.check_text("text", &self.text, 0..=2000, &['\n']);
        for (name, time) in [("starts_at", Some(starts_at)), ("ends_at", self.ends_at)] {
            fields.check(time.is_none_or(|time| (2000..3000).contains(&time.year())), name, || {
                words::MUST_BE_IN_THIS_MILLENNIUM
            });
        }
        fields
            .check(self.ends_at.is_none_or(|end| end > starts_at), "ends_at", || words::MUST_END_AFTER_START);
        fields.finish()?;
        Ok((self, starts_at))
    }
}

/// Finds an announcement of this user. Those of other users are not found.
async fn own(db: &Db, user_id: i64, id: i64) -> Result<Announcement> {
    sql!(
        SELECT = concat!("SELECT ", columns!(), " FROM status_announcements WHERE id = $1 AND user_id = $2")
    );
    on!(db.read(), db => sqlx::query_as(SELECT).bind(id).bind(user_id).fetch_one(db).await)
        .map_err(Error::not_found_if_no_row)
}

/// Refuses a page that does not belong to the user.
async fn check_page(context: &Context, user_id: i64, page_id: i64) -> Result<()> {
    match super::own(context.db()?, user_id, page_id).await {
        Err(error) if error.status() == http::StatusCode::NOT_FOUND => Err(no_page(page_id)),
        found => found.map(drop),
    }
}

fn no_page(id: i64) -> Error {
    let what = words::no_such_status_page(id);
    Error::field("status_page_id", what)
}
