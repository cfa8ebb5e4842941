//! Event `endpoint.changed`: results of checks that were asked for before the change. Those made with older settings
//! after it are not recorded; those that a maintenance holds are marked.

use std::collections::{BTreeMap, HashMap};

use runtime::{
    Context, Result,
    db::{JsonText, On, Transaction, readable_by},
    on, sql,
};

use super::{
    moment::{self, HOUR, floor},
    store,
};
use contract::{CheckResult, EndpointChanged, Span};

/// For results that are stored, and for those to come.
pub(super) async fn apply(context: &Context, changed: &[EndpointChanged]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    // While nobody records, so that no result is between the two.
    let mut transaction = store::begin_forgetting(context.db()?).await?;
    keep_revisions(&mut transaction, changed).await?;
    mark_maintenance(&mut transaction, changed).await?;
    transaction.commit().await
}

async fn keep_revisions(transaction: &mut Transaction, changed: &[EndpointChanged]) -> Result<()> {
    macro_rules! keep {
        ($columns:literal, $changed:literal) => {
            concat!(
                "INSERT INTO report_revisions (endpoint_id, user_id, revision, changed_at) SELECT ",
                $columns,
                " FROM ",
                $changed,
                " WHERE NOT EXISTS (SELECT 1 FROM report_forgotten
                    WHERE (what = 'user' AND id = user_id) OR (what = 'endpoint' AND id = endpoint_id))
                ON CONFLICT (endpoint_id) DO UPDATE SET revision = excluded.revision, changed_at = excluded.changed_at
                WHERE excluded.revision > report_revisions.revision"
            )
        };
    }
    sql!(
        SQLITE = keep!(
            "endpoint_id, user_id, revision, changed_at",
            "(SELECT value ->> 0 AS endpoint_id, value ->> 1 AS user_id, value ->> 2 AS revision,
                value ->> 3 AS changed_at FROM json_each($1)) AS changed"
        )
    );
    sql!(
        POSTGRES = keep!(
            "changed.*",
            "(SELECT (value ->> 0)::bigint AS endpoint_id, (value ->> 1)::bigint AS user_id,
                (value ->> 2)::bigint AS revision, (value ->> 3)::bigint AS changed_at
                FROM json_array_elements($1::json)) AS changed"
        )
    );
    // The newest of each, in one order for all.
    let mut newest: BTreeMap<i64, &EndpointChanged> = BTreeMap::new();
    for change in changed {
        let known = newest.entry(change.endpoint_id).or_insert(change);
        if change.revision > known.revision {
            *known = change;
        }
    }
    let rows =
        newest.into_values().map(|c| (c.endpoint_id, c.user_id, c.revision, c.changed_at.timestamp_millis()));
    let rows = JsonText(rows.collect::<Vec<_>>());
    match transaction.connection() {
        On::Sqlite(db) => sqlx::query(SQLITE).bind(rows).execute(db).await.map(drop)?,
        On::Postgres(db) => sqlx::query(POSTGRES).bind(rows).execute(db).await.map(drop)?,
    }
    Ok(())
}

/// The newest settings of endpoints that were changed.
pub(super) struct Revisions(HashMap<i64, Revision>);

#[derive(sqlx::FromRow)]
struct Revision {
    endpoint_id: i64,
    revision: i64,
    /// Unix milliseconds.
    changed_at: i64,
}

impl Revisions {
    pub async fn load(transaction: &mut Transaction, results: &[&CheckResult]) -> Result<Self> {
        sql!(
            SQLITE = "SELECT endpoint_id, revision, changed_at FROM report_revisions
            WHERE endpoint_id IN (SELECT value FROM json_each($1))"
        );
        sql!(
            POSTGRES =
                "SELECT endpoint_id, revision, changed_at FROM report_revisions WHERE endpoint_id = ANY($1)"
        );
        let endpoints: Vec<i64> = results.iter().map(|result| result.endpoint_id).collect();
        let rows: Vec<Revision> = match transaction.connection() {
            On::Sqlite(db) => {
                let rows = sqlx::query(SQLITE).bind(JsonText(endpoints)).fetch_all(db).await?;
                readable_by("endpoint_id", &rows)
            }
            On::Postgres(db) => {
                readable_by("endpoint_id", &sqlx::query(POSTGRES).bind(endpoints).fetch_all(db).await?)
            }
        };
        Ok(Self(rows.into_iter().map(|row| (row.endpoint_id, row)).collect()))
    }

    /// A check that was made before the change is history, whenever its result comes. The settings before the last
    /// ones ended at a time that is not kept: nothing of them counts any more.
    pub fn is_outdated(&self, result: &CheckResult) -> bool {
        self.0.get(&result.endpoint_id).is_some_and(|newest| {
            let ended_at = match result.revision {
                // Of an unknown revision.
                0 => return false,
                revision if revision >= newest.revision => return false,
                revision if revision + 1 == newest.revision => newest.changed_at,
                _ => i64::MIN,
            };
            result.checked_at.timestamp_millis() >= ended_at
        })
    }
}

async fn mark_maintenance(transaction: &mut Transaction, changed: &[EndpointChanged]) -> Result<()> {
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
    Ok(())
}
