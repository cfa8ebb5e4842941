//! Event `endpoint.changed`: marks results of checks that were asked for before a maintenance was planned.

use std::collections::BTreeMap;

use runtime::{Context, Result, on, sql};

use super::{
    moment::{self, HOUR, floor},
    store,
};
use contract::{EndpointChanged, Span};

/// Those that are stored, and those to come.
pub(super) async fn mark(context: &Context, changed: &[EndpointChanged]) -> Result<()> {
    sql!(
        SERIES =
            "UPDATE report_series SET maintenance_from = $2, maintenance_until = $3 WHERE endpoint_id = $1"
    );
    sql!(
        RESULTS = "UPDATE report_results SET maintenance = TRUE
        WHERE series_id IN (SELECT id FROM report_series WHERE endpoint_id = $1) AND id >= $2 AND id < $3
            AND maintenance IS NULL"
    );
    sql!(
        LATE = "
        INSERT INTO report_late_hours (start, marks) VALUES ($1, 1)
        ON CONFLICT (start) DO UPDATE SET marks = report_late_hours.marks + 1"
    );
    let spans = changed.iter().filter_map(|change| Some((change.endpoint_id, change.maintenance?)));
    // In one order for all.
    let spans: BTreeMap<i64, Span> = spans.collect();
    if spans.is_empty() {
        return Ok(());
    }
    // While nobody records, so that no result is between the two.
    let mut transaction = store::begin_forgetting(context.db()?).await?;
    on!(transaction.connection(), db => {
        for (endpoint, span) in spans {
            let slots =
                span.from.timestamp().max(moment::FIRST_SLOT)..span.until.timestamp().min(moment::LAST_SLOT);
            let ids = moment::ids(&slots);
            let update = sqlx::query(SERIES).bind(endpoint).bind(slots.start).bind(slots.end);
            if update.execute(&mut *db).await?.rows_affected() == 0 {
                continue;
            }
            let update = sqlx::query(RESULTS).bind(endpoint).bind(ids.start).bind(ids.end);
            if update.execute(&mut *db).await?.rows_affected() > 0 {
                for hour in (floor(slots.start, HOUR)..slots.end).step_by(HOUR as usize) {
                    sqlx::query(LATE).bind(hour).execute(&mut *db).await?;
                }
            }
        }
        sqlx::query(store::LOOK_AGAIN).execute(db).await?;
    });
    transaction.commit().await
}
