//! `status_reason`: explains in words why an endpoint has its status.
//!
//! `endpoint-observe` stores the newest result as a [`Note`]. The text is built when a row is read, in the language
//! of the request.

use chrono::{DateTime, Utc};
use runtime::{Text, db::UnixSeconds, language};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use contract::{CheckResult, CheckStatus, FailureCode, Status};

use crate::words;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "The last check succeeded.")]
pub struct StatusReason(pub String);

impl<'r, R: sqlx::Row> FromRow<'r, R> for StatusReason
where
    Facts: FromRow<'r, R>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self(Facts::from_row(row)?.explain().of(language::current()).to_owned()))
    }
}

/// The newest result of an endpoint, unless it is a success outside a maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum Note {
    Failed { code: FailureCode, message: String, region: String },
    Degraded { message: String },
    Missed { code: FailureCode },
    Maintenance,
}

impl Note {
    const MAX_MESSAGE_CHARS: usize = 300;

    pub fn of(result: &CheckResult) -> Option<Self> {
        let error = result.outcome.error.as_ref();
        let code = error.map_or(FailureCode::Other, |error| error.code);
        match result.outcome.status {
            CheckStatus::Unknown => Some(Self::Missed { code }),
            _ if result.maintenance => Some(Self::Maintenance),
            CheckStatus::Up => None,
            status => {
                let message = error.map(|error| error.message.as_str()).unwrap_or_default();
                let message = message.chars().take(Self::MAX_MESSAGE_CHARS).collect();
                Some(match status {
                    CheckStatus::Degraded => Self::Degraded { message },
                    _ => Self::Failed { code, message, region: result.region.clone() },
                })
            }
        }
    }
}

/// The columns from which the text is built.
#[derive(Debug, FromRow)]
pub struct Facts {
    #[sqlx(try_from = "String")]
    status: Status,
    failure_threshold: i32,
    success_threshold: i32,
    revision: i64,
    result_revision: i64,
    result_scheduled_at: Option<i64>,
    failures: i64,
    result_note: Option<String>,
    down_since: Option<UnixSeconds>,
}

impl Facts {
    fn explain(&self) -> Text {
        if self.status == Status::Paused {
            return words::PAUSED_NOT_CHECKED;
        }
        let why = self.explain_result();
        let Some(since) = self.down_since.filter(|_| self.status == Status::Down) else { return why };
        let since = time(since.time());
        Text::from(words::down_since(since)).then(why)
    }

    fn explain_result(&self) -> Text {
        if self.result_scheduled_at.is_none() || self.result_revision < self.revision {
            return match self.status {
                Status::Pending => words::WAITING_FOR_FIRST_CHECK,
                _ => words::WAITING_FOR_FIRST_CHECK_SINCE_CHANGE,
            };
        }
        // Another version may have written the note. A note that this version cannot read counts as missing.
        match self.result_note.as_deref().and_then(|json| serde_json::from_str(json).ok()) {
            None => self.explain_success(),
            Some(Note::Maintenance) => words::IN_MAINTENANCE,
            Some(Note::Missed { code }) => missed(code),
            Some(Note::Degraded { message }) => {
                let message = message.trim_end_matches('.');
                words::last_check_degraded(message).into()
            }
            Some(Note::Failed { code, message, region }) => self.explain_failure(code, &message, &region),
        }
    }

    fn explain_success(&self) -> Text {
        if self.status == Status::Up {
            return words::LAST_CHECK_SUCCEEDED;
        }
        words::last_check_succeeded_not_up_yet(self.success_threshold).into()
    }

    fn explain_failure(&self, code: FailureCode, message: &str, region: &str) -> Text {
        let message = message.trim_end_matches('.');
        let last = Text::from(words::last_check_failed(code.words().ko, message));
        if self.status == Status::Down {
            return last;
        }
        let (failures, threshold) = (self.failures, self.failure_threshold);
        if failures < threshold.into() {
            return last.then(words::failed_in_a_row(failures, threshold));
        }
        if !code.is_unreachable() {
            return last;
        }
        last.then(words::alert_is_withheld(failures, region))
    }
}

fn missed(code: FailureCode) -> Text {
    match code {
        FailureCode::NotStarted => words::LAST_CHECK_MISSED_TOO_MANY_RUNNING,
        FailureCode::RequestedTooLate => words::LAST_CHECK_MISSED_REQUESTED_TOO_LATE,
        FailureCode::InvalidRequest => words::LAST_CHECK_MISSED_UNREADABLE_SETTINGS,
        _ => words::LAST_CHECK_MISSED_INTERNAL_ERROR,
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
