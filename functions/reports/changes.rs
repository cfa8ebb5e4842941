//! Event `endpoint.changed`: results of checks that were asked for before the change. Those to come that were made after
//! it, with older settings, are not recorded; those that a maintenance holds are marked, also where they are stored.

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

pub(super) async fn apply(context: &Context, changed: &[EndpointChanged]) -> Result<()> {
    let has_span = changed.iter().any(|change| change.maintenance.is_some());
    let db = context.db()?;
    // What a maintenance holds is marked while nobody records, so that no result is between those that are stored and
    // those to come. Settings hold for those to come alone: they keep no recorder waiting.
    let mut transaction =
        if has_span { store::begin_forgetting(db).await? } else { store::begin_writing(db).await? };
    keep_revisions(&mut transaction, changed).await?;
    if has_span {
        mark_maintenance(&mut transaction, changed).await?;
    }
    transaction.commit().await
}

/// Changes of one endpoint that are kept. Of more, the first ones are forgotten.
const MAX_REVISIONS: i64 = 8;

async fn keep_revisions(transaction: &mut Transaction, changed: &[EndpointChanged]) -> Result<()> {
    sql!(
        KEEP = "INSERT INTO report_revisions (endpoint_id, revision, user_id, changed_at) SELECT $1, $2, $3, $4
        WHERE NOT EXISTS (
            SELECT 1 FROM report_forgotten WHERE (what = 'user' AND id = $3) OR (what = 'endpoint' AND id = $1))
        ON CONFLICT (endpoint_id, revision) DO NOTHING"
    );
    sql!(
        FORGET = "DELETE FROM report_revisions WHERE endpoint_id = $1 AND revision NOT IN (
            SELECT revision FROM report_revisions WHERE endpoint_id = $1 ORDER BY revision DESC LIMIT $2)"
    );
    // In one order for all. The first settings replace none.
    let replaced = changed.iter().filter(|change| change.settings_revision > 1);
    let replaced: BTreeMap<_, _> =
        replaced.map(|change| ((change.endpoint_id, change.settings_revision), change)).collect();
    for ((endpoint, revision), EndpointChanged { user_id, changed_at, .. }) in replaced {
        on!(transaction.connection(), db => {
            let keep = sqlx::query(KEEP).bind(endpoint).bind(revision).bind(user_id);
            let kept = keep.bind(changed_at.timestamp_millis()).execute(&mut *db).await?.rows_affected();
            if kept > 0 {
                sqlx::query(FORGET).bind(endpoint).bind(MAX_REVISIONS).execute(db).await?;
            }
        });
    }
    Ok(())
}

/// When endpoints got other settings.
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

    /// Whether it was made with settings that had been replaced. A check that was made before that is history,
    /// whenever its result comes. One whose revision is not known counts.
    pub fn is_outdated(&self, result: &CheckResult) -> bool {
        let made_at = result.checked_at.timestamp_millis();
        let replaces = |change: &Revision| change.revision > result.revision && made_at >= change.changed_at;
        result.revision > 0 && self.0.get(&result.endpoint_id).is_some_and(|of| of.iter().any(replaces))
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
            let times =
                span.from.timestamp().max(moment::FIRST_TIME)..span.until.timestamp().min(moment::LAST_TIME);
            let ids = moment::ids(&times);
            let update = sqlx::query(SERIES).bind(endpoint).bind(times.start).bind(times.end);
            if update.execute(&mut *db).await?.rows_affected() == 0 {
                continue;
            }
            let update = sqlx::query(RESULTS).bind(endpoint).bind(ids.start).bind(ids.end);
            if update.execute(&mut *db).await?.rows_affected() > 0 {
                for hour in (floor(times.start, HOUR)..times.end).step_by(HOUR as usize) {
                    sqlx::query(LATE).bind(hour).execute(&mut *db).await?;
                }
            }
        }
        sqlx::query(store::LOOK_AGAIN).execute(db).await?;
    });
    Ok(())
}
