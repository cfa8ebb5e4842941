//! Events `user.deleted`, `endpoint.deleted`: deletes the results and incidents of the user or the endpoint.

use axum::{extract::State, routing::post};
use runtime::{Context, Db, Error, Event, Function, Reply, Result, Subscription, on, sql};
use serde::Deserialize;

use super::{
    SERVICE,
    moment::{self, DAY, floor},
    store,
};
use crate::words;
use contract::kind;

pub const FUNCTION: Function = Function::new(
    "report-forget",
    SERVICE,
    "deletes the results and incidents of deleted endpoints and users",
)
.on(&[Subscription::to(kind::USER_DELETED), Subscription::to(kind::ENDPOINT_DELETED)], || post(handle));

/// The data of both events.
#[derive(Deserialize)]
struct Deleted {
    user_id: i64,
    endpoint_id: Option<i64>,
}

async fn handle(State(context): State<Context>, event: Event<Deleted>) -> Result<Reply> {
    let db = context.db()?;
    let (what, id) = match (event.kind.as_str(), event.data.endpoint_id) {
        (kind::USER_DELETED, _) => (&USER, event.data.user_id),
        (kind::ENDPOINT_DELETED, Some(id)) => (&ENDPOINT, id),
        (kind::ENDPOINT_DELETED, None) => {
            return Err(Error::field("endpoint_id", contract::words::MISSING_FIELD));
        }
        _ => {
            let what = words::NO_SUCH_EVENT;
            return Err(Error::bad_request("UNKNOWN_EVENT", what));
        }
    };
    mark(db, what, id, context.clock().now().timestamp()).await?;
    let series: Vec<i64> =
        on!(db.read(), db => sqlx::query_scalar(what.series).bind(id).fetch_all(db).await)?;
    for series in series {
        delete_series(db, series).await?;
    }
    delete_incidents(db, what, id).await?;
    Ok(Reply::NONE)
}

/// The statements for one kind of event.
struct What {
    name: &'static str,
    hide: &'static str,
    revisions: &'static str,
    series: &'static str,
    incidents: &'static str,
}

static USER: What = What {
    name: "user",
    hide: "UPDATE report_series SET forgotten = TRUE WHERE user_id = $1",
    revisions: "DELETE FROM report_revisions WHERE user_id = $1",
    series: "SELECT id FROM report_series WHERE user_id = $1",
    incidents: "DELETE FROM report_incidents
        WHERE id IN (SELECT id FROM report_incidents WHERE user_id = $1 LIMIT 5000)",
};

static ENDPOINT: What = What {
    name: "endpoint",
    hide: "UPDATE report_series SET forgotten = TRUE WHERE endpoint_id = $1",
    revisions: "DELETE FROM report_revisions WHERE endpoint_id = $1",
    series: "SELECT id FROM report_series WHERE endpoint_id = $1",
    incidents: "DELETE FROM report_incidents
        WHERE id IN (SELECT id FROM report_incidents WHERE endpoint_id = $1 LIMIT 5000)",
};

/// From here on nobody sees the data, and no late result is added.
async fn mark(db: &Db, what: &What, id: i64, now: i64) -> Result<()> {
    sql!(
        REMEMBER = "INSERT INTO report_tombstones (what, id, deleted_at) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING"
    );
    let mut transaction = store::begin_forgetting(db).await?;
    on!(transaction.connection(), db => {
        sqlx::query(REMEMBER).bind(what.name).bind(id).bind(now).execute(&mut *db).await?;
        sqlx::query(what.hide).bind(id).execute(&mut *db).await?;
        sqlx::query(what.revisions).bind(id).execute(&mut *db).await?;
        sqlx::query(store::LOOK_AGAIN).execute(&mut *db).await?;
    });
    transaction.commit().await
}

/// Deletes one day of results at a time, so that recording continues in between, and the series itself last: if this
/// is interrupted, the redelivered event finds the series again. Two processes may do this at the same time: as soon
/// as one has deleted the series, its id may belong to a new series, which is not `forgotten`.
async fn delete_series(db: &Db, series: i64) -> Result<()> {
    macro_rules! of_forgotten {
        ($sql:literal) => {
            concat!($sql, " AND EXISTS (SELECT 1 FROM report_series WHERE id = $1 AND forgotten)")
        };
    }
    sql!(FIRST = of_forgotten!("SELECT MIN(id) FROM report_results WHERE series_id = $1"));
    sql!(RESULTS = of_forgotten!("DELETE FROM report_results WHERE series_id = $1 AND id >= $2 AND id < $3"));
    sql!(ROLLUPS = of_forgotten!("DELETE FROM report_rollups WHERE series_id = $1"));
    sql!(BUCKETS = of_forgotten!("DELETE FROM report_buckets WHERE series_id = $1"));
    sql!(SERIES = "DELETE FROM report_series WHERE id = $1 AND forgotten");
    loop {
        let first: Option<i64> =
            on!(db.write(), db => sqlx::query_scalar(FIRST).bind(series).fetch_one(db).await)?;
        let Some(day) = first.map(|id| floor(moment::scheduled_at_of(id), DAY)) else { break };
        let ids = moment::ids(&(day..day + DAY));
        on!(db.write(), db => {
            sqlx::query(RESULTS).bind(series).bind(ids.start).bind(ids.end).execute(db).await.map(drop)
        })?;
    }
    on!(db.write(), db => sqlx::query(ROLLUPS).bind(series).execute(db).await.map(drop))?;
    on!(db.write(), db => sqlx::query(BUCKETS).bind(series).execute(db).await.map(drop))?;
    on!(db.write(), db => sqlx::query(SERIES).bind(series).execute(db).await.map(drop))?;
    Ok(())
}

async fn delete_incidents(db: &Db, what: &What, id: i64) -> Result<()> {
    loop {
        let deleted = on!(db.write(), db =>
            sqlx::query(what.incidents).bind(id).execute(db).await.map(|done| done.rows_affected()))?;
        if deleted == 0 {
            return Ok(());
        }
    }
}
