//! `GET /public/v1/reports/{id}`: one check result.

use std::net::IpAddr;

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{Caller, Context, Error, Function, Id, Result, on, sql};
use serde::Serialize;
use utoipa::ToSchema;

use super::{SERVICE, moment, store};
use contract::{CheckStatus, Failure, Timings};

pub const FUNCTION: Function =
    Function::new("report-get", SERVICE, "returns one check result").http(runtime::http!(handle));

/// The result of one check.
#[derive(Serialize, ToSchema)]
pub struct Report {
    #[schema(example = 307_617_710_899_201_i64)]
    id: i64,
    #[schema(example = 7)]
    endpoint_id: i64,
    checked_at: DateTime<Utc>,
    #[schema(example = "seoul")]
    region: String,
    status: CheckStatus,
    #[schema(example = 200)]
    status_code: Option<i32>,
    error: Option<Failure>,
    timings_ms: Timings,
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    ip: Option<IpAddr>,
    certificate_expires_at: Option<DateTime<Utc>>,
    /// Bytes of the body as sent over the network.
    #[schema(example = 5120)]
    response_bytes: i64,
    /// Whether the check was made during a maintenance: the result is shown, but not counted in any sum.
    #[schema(example = false)]
    maintenance: bool,
}

/// Selects [`Stored`] from `report_results r` and `report_series s`.
macro_rules! stored {
    ($from:literal) => {
        concat!(
            "SELECT r.id, s.endpoint_id, s.region, r.checked_after_ms, r.up, r.status_code, r.dns_ms, \
             r.connect_ms, r.tls_ms, r.first_byte_ms, r.transfer_ms, r.total_ms, r.ip, r.certificate_expires, \
             r.response_bytes, r.error_code, r.error_message, COALESCE(r.maintenance, FALSE) AS maintenance ",
            $from
        )
    };
}
pub(super) use stored;

/// Shows one check result.
#[utoipa::path(
    get,
    path = "/public/v1/reports/{id}",
    tag = "reports",
    operation_id = "report-get",
    params(("id" = i64, Path, description = "The report's id", example = 307_617_710_899_201_i64)),
    security(("apikey" = [])),
    responses(
        (status = 200, description = "The report", body = Report),
        (status = 400, description = "Not an id", body = runtime::error::ErrorBody),
        (status = 401, description = "Not logged in", body = runtime::error::ErrorBody),
        (status = 404, description = "No such report of yours", body = runtime::error::ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, caller: Caller, Id(id): Id) -> Result<Json<Report>> {
    sql!(
        GET = stored!(
            "FROM report_results r JOIN report_series s ON s.id = r.series_id
        WHERE r.id = $1 AND s.user_id = $2 AND NOT s.forgotten"
        )
    );
    let stored: Option<Stored> = on!(context.db()?.read(), db =>
        sqlx::query_as(GET).bind(id).bind(caller.user_id).fetch_optional(db).await)?;
    stored.map(|stored| Json(stored.into())).ok_or_else(Error::not_found)
}

/// A result as stored in the tables.
#[derive(sqlx::FromRow)]
pub(super) struct Stored {
    id: i64,
    endpoint_id: i64,
    region: String,
    checked_after_ms: i32,
    up: bool,
    status_code: Option<i32>,
    dns_ms: Option<i32>,
    connect_ms: Option<i32>,
    tls_ms: Option<i32>,
    first_byte_ms: Option<i32>,
    transfer_ms: Option<i32>,
    total_ms: i32,
    ip: Option<Vec<u8>>,
    certificate_expires: Option<i64>,
    response_bytes: i64,
    error_code: Option<String>,
    error_message: Option<String>,
    maintenance: bool,
}

impl From<Stored> for Report {
    fn from(stored: Stored) -> Self {
        let scheduled_at = moment::time_of(moment::scheduled_at_of(stored.id));
        let ms = |ms: i32| ms.unsigned_abs();
        Self {
            id: stored.id,
            endpoint_id: stored.endpoint_id,
            checked_at: scheduled_at + TimeDelta::milliseconds(stored.checked_after_ms.into()),
            region: stored.region,
            status: status_of(stored.up, stored.error_code.is_some()),
            status_code: stored.status_code,
            error: store::failure(stored.error_code, stored.error_message),
            timings_ms: Timings {
                dns: stored.dns_ms.map(ms),
                connect: stored.connect_ms.map(ms),
                tls: stored.tls_ms.map(ms),
                first_byte: stored.first_byte_ms.map(ms),
                transfer: stored.transfer_ms.map(ms),
                total: ms(stored.total_ms),
            },
            ip: stored.ip.and_then(|ip| address(&ip)),
            certificate_expires_at: stored.certificate_expires.and_then(|at| DateTime::from_timestamp(at, 0)),
            response_bytes: stored.response_bytes,
            maintenance: stored.maintenance,
        }
    }
}

/// A degraded result is stored as up, with an error.
pub(super) fn status_of(up: bool, has_error: bool) -> CheckStatus {
    match (up, has_error) {
        (true, false) => CheckStatus::Up,
        (true, true) => CheckStatus::Degraded,
        (false, _) => CheckStatus::Down,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_kinds() {
        assert_eq!(address(&[127, 0, 0, 1]), Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(address(&[0; 16]), "::".parse().ok());
        assert_eq!(address(&[1, 2]), None);
    }
}
