//! Event `endpoint.changed`: handles results of checks that were requested before the change. Results that arrive
//! later, but were made after the change with older settings, are not recorded. Results during a maintenance are
//! marked, including stored ones.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

use chrono::{DateTime, Utc};
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

pub(super) async fn apply(context: &Context, changed: &[EndpointChanged]) -> Result<()> {
    let has_span = changed.iter().any(|change| change.maintenance.is_some());
    let db = context.db()?;
    // Marks results of a maintenance while nothing is recorded, so that no result is missed between the stored ones
    // and those to come. Changed settings affect only results to come, so recording continues.
    let mut transaction =
        if has_span { store::begin_forgetting(db).await? } else { store::begin_writing(db).await? };
    keep_revisions(&mut transaction, changed).await?;
    if has_span {
        mark_maintenance(&mut transaction, changed).await?;
    }
    transaction.commit().await
}

/// Number of changes that are kept for each endpoint. Older ones are deleted.
const MAX_REVISIONS: i64 = 8;

async fn keep_revisions(transaction: &mut Transaction, changed: &[EndpointChanged]) -> Result<()> {
    macro_rules! keep {
        ($new:literal) => {
            concat!(
                "INSERT INTO report_revisions (endpoint_id, revision, user_id, changed_at)
                SELECT endpoint, revision, owner, changed FROM ",
                $new,
                " AS new WHERE NOT EXISTS (SELECT 1 FROM report_tombstones
                    WHERE (what = 'user' AND id = owner) OR (what = 'endpoint' AND id = endpoint))
                ORDER BY endpoint, revision ON CONFLICT (endpoint_id, revision) DO NOTHING"
            )
        };
    }
    macro_rules! forget {
        ($ids:literal) => {
            concat!(
                "DELETE FROM report_revisions WHERE endpoint_id IN (",
                $ids,
                ") AND (SELECT COUNT(*) FROM report_revisions AS newer
                    WHERE newer.endpoint_id = report_revisions.endpoint_id
                        AND newer.revision > report_revisions.revision) >= $2"
            )
        };
    }
    sql!(SQLITE_KEEP = keep!(
        "(SELECT value ->> 0 AS endpoint, value ->> 1 AS revision, value ->> 2 AS owner, value ->> 3 AS changed
            FROM json_each($1))"
    ));
    sql!(
        POSTGRES_KEEP = keep!(
            "(SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
            AS line (endpoint, revision, owner, changed))"
        )
    );
    sql!(SQLITE_FORGET = forget!("SELECT value FROM json_each($1)"));
    sql!(POSTGRES_FORGET = forget!("SELECT UNNEST($1::bigint[])"));
    // The first settings of an endpoint replace no others.
    let replaced = changed.iter().filter(|change| change.settings_revision > 1);
    let replaced: BTreeMap<_, _> = replaced
        .map(|change| ((change.endpoint_id, change.settings_revision), (change.user_id, change.changed_at)))
        .collect();
    if replaced.is_empty() {
        return Ok(());
    }
    let endpoints: Vec<i64> = replaced.keys().map(|(endpoint, _)| *endpoint).collect();
    match transaction.connection() {
        On::Sqlite(db) => {
            let line = |((endpoint, revision), (owner, changed)): (&(i64, i64), &(i64, DateTime<Utc>))| {
                (*endpoint, *revision, *owner, changed.timestamp_millis())
            };
            let new = JsonText(replaced.iter().map(line).collect::<Vec<_>>());
            if sqlx::query(SQLITE_KEEP).bind(new).execute(&mut *db).await?.rows_affected() > 0 {
                let forget = sqlx::query(SQLITE_FORGET).bind(JsonText(endpoints));
                forget.bind(MAX_REVISIONS).execute(db).await?;
            }
        }
        On::Postgres(db) => {
            let revisions: Vec<i64> = replaced.keys().map(|(_, revision)| *revision).collect();
            let (owners, changed): (Vec<i64>, Vec<i64>) =
                replaced.values().map(|(owner, changed)| (*owner, changed.timestamp_millis())).unzip();
            let keep = sqlx::query(POSTGRES_KEEP).bind(&endpoints).bind(revisions).bind(owners).bind(changed);
            if keep.execute(&mut *db).await?.rows_affected() > 0 {
                sqlx::query(POSTGRES_FORGET).bind(endpoints).bind(MAX_REVISIONS).execute(db).await?;
            }
        }
    }
    Ok(())
}

/// When the settings of endpoints changed.
pub(super) struct Revisions(HashMap<i64, Vec<Revision>>);

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
        let mut of_endpoint: HashMap<i64, Vec<Revision>> = HashMap::new();
        for row in rows {
            of_endpoint.entry(row.endpoint_id).or_default().push(row);
        }
        Ok(Self(of_endpoint))
    }

    /// Whether the check was made with settings that had been replaced. A check that was made before the change is
    /// history, whenever its result arrives. A result without a known revision counts.
    pub fn is_outdated(&self, result: &CheckResult) -> bool {
        let made_at = result.checked_at.timestamp_millis();
        let replaces = |change: &Revision| change.revision > result.revision && made_at >= change.changed_at;
        result.revision > 0 && self.0.get(&result.endpoint_id).is_some_and(|of| of.iter().any(replaces))
    }
}

async fn mark_maintenance(transaction: &mut Transaction, changed: &[EndpointChanged]) -> Result<()> {
    macro_rules! series {
        ($held:literal) => {
            concat!(
                "UPDATE report_series SET maintenance_from = held.start, maintenance_until = held.stop FROM ",
                $held,
                " AS held WHERE report_series.endpoint_id = held.endpoint"
            )
        };
    }
    macro_rules! results {
        ($held:literal) => {
            concat!(
                "UPDATE report_results SET maintenance = TRUE
                FROM (SELECT s.id AS series, held.start, held.stop FROM ",
                $held,
                " AS held JOIN report_series s ON s.endpoint_id = held.endpoint) AS held
                WHERE report_results.series_id = held.series AND report_results.id >= held.start
                    AND report_results.id < held.stop AND report_results.maintenance IS NULL
                RETURNING report_results.id"
            )
        };
    }
    sql!(
        SQLITE_SERIES = series!(
            "(SELECT value ->> 0 AS endpoint, value ->> 1 AS start, value ->> 2 AS stop FROM json_each($1))"
        )
    );
    sql!(
        POSTGRES_SERIES = series!(
            "(SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) AS line (endpoint, start, stop))"
        )
    );
    sql!(
        SQLITE_RESULTS = results!(
            "(SELECT value ->> 0 AS endpoint, value ->> 1 AS start, value ->> 2 AS stop FROM json_each($1))"
        )
    );
    sql!(
        POSTGRES_RESULTS = results!(
            "(SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) AS line (endpoint, start, stop))"
        )
    );
    sql!(
        LATE = "
        INSERT INTO report_late_hours (start, marks) VALUES ($1, 1)
        ON CONFLICT (start) DO UPDATE SET marks = report_late_hours.marks + 1"
    );
    let spans = changed.iter().filter_map(|change| Some((change.endpoint_id, change.maintenance?)));
    let spans: BTreeMap<i64, Span> = spans.collect();
    if spans.is_empty() {
        return Ok(());
    }
    let times = |span: &Span| {
        span.from.timestamp().max(moment::FIRST_TIME)..span.until.timestamp().min(moment::LAST_TIME)
    };
    let seconds: Vec<_> = spans.iter().map(|(endpoint, span)| (*endpoint, times(span))).collect();
    let ids: Vec<_> = seconds.iter().map(|(endpoint, times)| (*endpoint, moment::ids(times))).collect();
    let marked: Vec<i64> = match transaction.connection() {
        On::Sqlite(db) => {
            let lines = |held: Vec<(i64, Range<i64>)>| {
                JsonText(
                    held.into_iter()
                        .map(|(endpoint, held)| (endpoint, held.start, held.end))
                        .collect::<Vec<_>>(),
                )
            };
            sqlx::query(SQLITE_SERIES).bind(lines(seconds)).execute(&mut *db).await?;
            sqlx::query_scalar(SQLITE_RESULTS).bind(lines(ids)).fetch_all(db).await?
        }
        On::Postgres(db) => {
            let columns = |held: Vec<(i64, Range<i64>)>| -> (Vec<i64>, (Vec<i64>, Vec<i64>)) {
                held.into_iter().map(|(endpoint, held)| (endpoint, (held.start, held.end))).unzip()
            };
            let (endpoints, (starts, stops)) = columns(seconds);
            sqlx::query(POSTGRES_SERIES).bind(endpoints).bind(starts).bind(stops).execute(&mut *db).await?;
            let (endpoints, (starts, stops)) = columns(ids);
            let mark = sqlx::query_scalar(POSTGRES_RESULTS).bind(endpoints).bind(starts).bind(stops);
            mark.fetch_all(db).await?
        }
    };
    let hours: BTreeSet<_> = marked.into_iter().map(|id| floor(moment::scheduled_at_of(id), HOUR)).collect();
    on!(transaction.connection(), db => {
        for hour in hours {
            sqlx::query(LATE).bind(hour).execute(&mut *db).await?;
        }
        sqlx::query(store::LOOK_AGAIN).execute(db).await?;
    });
    Ok(())
}
