//! `status_reason`: why an endpoint has its status, in words.
//!
//! `endpoint-observe` keeps what the newest result says ([`Note`]); the words are made when a row is read, in the
//! language of the request.

use chrono::{DateTime, Utc};
use runtime::{Text, db::UnixSeconds, error::Language, text};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;

use contract::{CheckResult, CheckStatus, FailureCode, Status};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "The last check succeeded.")]
pub struct StatusReason(pub String);

impl<'r, R: sqlx::Row> FromRow<'r, R> for StatusReason
where
    Facts: FromRow<'r, R>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self(Language::current().read(&Facts::from_row(row)?.explain()).to_owned()))
    }
}

/// What the newest result of an endpoint says, where it is no success that counts.
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

/// What a row says.
#[derive(Debug, FromRow)]
pub struct Facts {
    #[sqlx(try_from = "String")]
    status: Status,
    failure_threshold: i32,
    success_threshold: i32,
    revision: i64,
    result_revision: i64,
    result_slot: Option<i64>,
    failures: i64,
    result_note: Option<String>,
    down_since: Option<UnixSeconds>,
}

impl Facts {
    fn explain(&self) -> Text {
        if self.status == Status::Paused {
            return text("Paused: it is not checked.", "일시정지되어 체크하지 않습니다.");
        }
        let why = self.explain_result();
        let Some(since) = self.down_since.filter(|_| self.status == Status::Down) else { return why };
        let since = time(since.time());
        text(format!("Down since {since}. {}", why.en), format!("{since}부터 장애입니다. {}", why.ko))
    }

    fn explain_result(&self) -> Text {
        if self.result_slot.is_none() || self.result_revision < self.revision {
            return match self.status {
                Status::Pending => text("Waiting for the first check.", "첫 체크를 기다리고 있습니다."),
                _ => text(
                    "The settings or a maintenance changed: waiting for the first check since then.",
                    "설정이나 점검이 변경되어 변경 후 첫 체크를 기다리고 있습니다.",
                ),
            };
        }
        // Only ever written by this version or another: what it cannot read says nothing.
        match self.result_note.as_deref().and_then(|json| serde_json::from_str(json).ok()) {
            None => self.explain_success(),
            Some(Note::Maintenance) => text(
                "In maintenance: results of checks do not count.",
                "점검 중이라 체크 결과를 반영하지 않습니다.",
            ),
            Some(Note::Missed { code }) => missed(code),
            Some(Note::Degraded { message }) => {
                let message = message.trim_end_matches('.');
                text(
                    format!("The last check succeeded, but: {message}."),
                    format!("마지막 체크는 성공했지만 문제가 있습니다: {message}."),
                )
            }
            Some(Note::Failed { code, message, region }) => self.explain_failure(code, &message, &region),
        }
    }

    fn explain_success(&self) -> Text {
        if self.status == Status::Up {
            return text("The last check succeeded.", "마지막 체크가 성공했습니다.");
        }
        let needed = self.success_threshold;
        text(
            format!("The last check succeeded; it is up after {needed} successful checks in a row."),
            format!("마지막 체크가 성공했습니다. 연속 {needed}회 성공하면 정상이 됩니다."),
        )
    }

    fn explain_failure(&self, code: FailureCode, message: &str, region: &str) -> Text {
        let message = message.trim_end_matches('.');
        let last = text(
            format!("The last check failed: {message}."),
            format!("마지막 체크가 실패했습니다: {} ({message}).", code.words().ko),
        );
        if self.status == Status::Down {
            return last;
        }
        let (failures, threshold) = (self.failures, self.failure_threshold);
        if failures < threshold.into() {
            return text(
                format!("{} Failed checks in a row: {failures}; down after {threshold}.", last.en),
                format!("{} 연속 실패 {failures}회, {threshold}회가 되면 장애입니다.", last.ko),
            );
        }
        if !code.is_unreachable() {
            return last;
        }
        text(
            format!(
                "{} Failed checks in a row: {failures}. The alert is withheld, because most endpoints became \
                 unreachable from region {region} at once.",
                last.en
            ),
            format!(
                "{} 연속 실패 {failures}회. 리전 {region}에서 엔드포인트 대부분이 한꺼번에 연결되지 않아 알림을 \
                 보류했습니다.",
                last.ko
            ),
        )
    }
}

fn missed(code: FailureCode) -> Text {
    match code {
        FailureCode::NotStarted => text(
            "The last check was missed: too many others were running to make it before the next one was due.",
            "마지막 체크를 놓쳤습니다. 실행 중인 체크가 너무 많아 다음 체크 시각까지 완료하지 못했습니다.",
        ),
        FailureCode::RequestedTooLate => text(
            "The last check was missed: its request arrived after the next one was due.",
            "마지막 체크를 놓쳤습니다. 요청이 다음 체크 시각보다 늦게 도착했습니다.",
        ),
        FailureCode::InvalidRequest => text(
            "The last check was missed: the prober could not read the endpoint's settings. Save them again.",
            "마지막 체크를 놓쳤습니다. 체크 설정을 읽을 수 없습니다. 설정을 다시 저장해 주세요.",
        ),
        _ => text(
            "The last check was missed because of an internal error of pongpong.",
            "pongpong의 내부 오류로 마지막 체크를 완료하지 못했습니다.",
        ),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
