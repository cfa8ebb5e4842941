//! `GET /public/v1/reports`: the caller's check results, newest first.

use std::ops::Range;

use axum::{Json, extract::State};
use runtime::{Caller, Context, Db, Fields, Function, List, Paging, Query, Result, db::page_of, on, sql};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    SERVICE,
    get::{Report, Stored, stored},
    moment::{self, DAY, HOUR},
    record::MAX_AHEAD,
    store::{self, Cover},
};

pub const FUNCTION: Function = Function::new("report-list", SERVICE, "lists check results, newest first")
    .http(runtime::http!(handle))
    // A file of 100,000 results needs 1,000 pages, which are fetched one after the other.
    .per_minute(3000);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only results of this endpoint.
    #[param(example = 7, minimum = 1)]
    endpoint_id: Option<i64>,
    /// Only checks that were due at this time or later: a date or a date-time.
    #[param(example = "2026-03-01")]
    from: Option<String>,
    /// Only checks that were due before this time. A date includes the whole day.
    #[param(example = "2026-03-01T12:00:00Z")]
    to: Option<String>,
    /// Degraded counts as up.
    #[param(inline)]
    status: Option<UpDown>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum UpDown {
    Up,
    Down,
}

/// Lists your check results, newest first.
#[utoipa::path(
    get,
    path = "/public/v1/reports",
    tag = "reports",
    operation_id = "report-list",
    params(Filter, Paging),
    security(("apikey" = [])),
    responses(
        (status = 200, description = "A page of reports", body = List<Report>),
        (status = 400, description = "A filter is invalid", body = runtime::error::ErrorBody),
        (status = 401, description = "Not logged in", body = runtime::error::ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<Report>>> {
    let mut fields = Fields::default();
    fields.check_id(filter.endpoint_id, "endpoint_id");
    let (from, to) = moment::range(&mut fields, filter.from.as_deref(), filter.to.as_deref());
    fields.finish()?;
    let db = context.db()?;
    let state = store::State::load(db).await?;
    // Excludes results that are being purged, and results that are further ahead than clocks may differ.
    let end = moment::seconds(context.clock().now() + MAX_AHEAD) + 1;
    let wanted = Wanted {
        user_id: caller.user_id,
        endpoint_id: filter.endpoint_id,
        up: filter.status.map(|status| status == UpDown::Up),
        times: from.unwrap_or(0).max(state.raw_from)..to.unwrap_or(end).min(end),
    };
    let total = wanted.total(db, &state).await?;
    let (items, found) = wanted.page(db, total, paging).await?;
    Ok(paging.list(items.into_iter().map(Report::from).collect(), found, total))
}

struct Wanted {
    user_id: i64,
    endpoint_id: Option<i64>,
    up: Option<bool>,
    times: Range<i64>,
}

impl Wanted {
    /// Counts from rollups where they exist: a month of a thousand endpoints has tens of millions of results.
    async fn total(&self, db: &Db, state: &store::State) -> Result<i64> {
        if self.times.is_empty() {
            return Ok(0);
        }
        let cover = Cover::of(&self.times, state.hours_until, state.days_until);
        let mut total = 0;
        for part in cover.raw {
            total += self.count(db, &part).await?;
        }
        for (span, part) in
            cover.hours.iter().map(|part| (HOUR, part)).chain(cover.days.iter().map(|part| (DAY, part)))
        {
            total += self.count_rollups(db, span, part).await?;
        }
        Ok(total)
    }

    async fn count(&self, db: &Db, times: &Range<i64>) -> Result<i64> {
        // An index alone answers this query.
        sql!(
            COUNT = "
            SELECT COUNT(*) FROM report_series s CROSS JOIN report_results r
            WHERE s.user_id = $1 AND ($2 IS NULL OR s.endpoint_id = $2) AND NOT s.forgotten
                AND r.series_id = s.id AND r.id >= $3 AND r.id < $4 AND $5 IS NULL"
        );
        sql!(
            COUNT_BY_STATUS = "
            SELECT COUNT(*) FROM report_series s CROSS JOIN report_results r
            WHERE s.user_id = $1 AND ($2 IS NULL OR s.endpoint_id = $2) AND NOT s.forgotten
                AND r.series_id = s.id AND r.id >= $3 AND r.id < $4 AND r.up = $5"
        );
        let ids = moment::ids(times);
        let count = if self.up.is_none() { COUNT } else { COUNT_BY_STATUS };
        Ok(on!(db.read(), db => {
            let query = sqlx::query_scalar(count).bind(self.user_id).bind(self.endpoint_id);
            query.bind(ids.start).bind(ids.end).bind(self.up).fetch_one(db).await
        })?)
    }

    async fn count_rollups(&self, db: &Db, span: i64, starts: &Range<i64>) -> Result<i64> {
        sql!(
            COUNT = "
            SELECT CAST(COALESCE(SUM(CASE
                WHEN $6 IS NULL THEN h.checks + h.maintenance_checks WHEN $6 THEN h.up + h.maintenance_up
                ELSE h.checks - h.up + h.maintenance_checks - h.maintenance_up END), 0)
                AS BIGINT)
            FROM report_series s CROSS JOIN report_rollups h
            WHERE s.user_id = $1 AND ($2 IS NULL OR s.endpoint_id = $2) AND NOT s.forgotten
                AND h.series_id = s.id AND h.span = $3 AND h.start >= $4 AND h.start < $5"
        );
        Ok(on!(db.read(), db => {
            let query = sqlx::query_scalar(COUNT).bind(self.user_id).bind(self.endpoint_id).bind(span);
            query.bind(starts.start).bind(starts.end).bind(self.up).fetch_one(db).await
        })?)
    }

    async fn page(&self, db: &Db, total: i64, paging: Paging) -> Result<(Vec<Stored>, usize)> {
        const PAGE: &str = stored!(
            "FROM report_series s CROSS JOIN report_results r
            WHERE s.user_id = $1 AND ($2 IS NULL OR s.endpoint_id = $2) AND NOT s.forgotten
                AND r.series_id = s.id AND r.id >= $3 AND r.id < $4 AND ($5 IS NULL OR r.up = $5)
            ORDER BY r.id DESC LIMIT $6 OFFSET $7"
        );
        if total <= paging.offset() {
            return Ok((Vec::new(), 0));
        }
        let ids = moment::ids(&self.newest(db, total, paging.offset() + paging.per_page).await?);
        Ok(on!(db.read(), db => {
            let query = sqlx::query(PAGE).bind(self.user_id).bind(self.endpoint_id);
            let query = query.bind(ids.start).bind(ids.end).bind(self.up);
            query.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
        })?)
    }

    /// The newest part of the range that holds `enough` results. Rows of many series are found by series and then
    /// sorted, so only a small part is read instead of a month.
    async fn newest(&self, db: &Db, total: i64, enough: i64) -> Result<Range<i64>> {
        let Range { start, end } = self.times;
        let mut length = HOUR;
        // Not worth narrowing if the whole range holds few results.
        while total > 10 * enough && end - length > start {
            let part = end - length..end;
            if self.count(db, &part).await? >= enough {
                return Ok(part);
            }
            length *= 4;
        }
        Ok(start..end)
    }
}
