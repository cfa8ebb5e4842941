//! `check.failed`: requests the next check of the endpoint soon, instead of at its interval. Before that, it requests
//! checks of the user's other endpoints, if too few of them were checked recently to judge the failure.

use axum::{extract::State, routing::post};
use chrono::TimeDelta;
use runtime::{
    Context, Db, Event, Function, Items, Reply, Result, Subscription,
    db::{JsonText, On, readable},
    sql,
};

use super::{
    OwnedEndpoint, SERVICE, columns,
    maintenances::windows::Windows,
    requests::{self, WINDOW_SECONDS},
};
use contract::{CheckRequest, FailedCheck, kind};

const NAME: &str = "endpoint-confirm";
const MAX_OTHERS: i64 = 100;
/// Seconds from a failed check to the next one, if the interval is longer. Not shorter, because of time-outs: within
/// this delay, the user's other endpoints have results, which show whether the endpoint or its region fails.
pub const CONFIRMATION_DELAY: u32 = 10;

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "requests an early check after a failed check")
    .on(&[Subscription::to(kind::CHECK_FAILED)], || post(handle))
    .publishes();

async fn handle(State(context): State<Context>, event: Event<Items<FailedCheck>>) -> Result<Reply> {
    // By the event's own time: if the event is redelivered, it requests the same check.
    let time = event.time.unwrap_or(context.clock().now());
    let failed = event.data.0;
    let db = context.db()?;
    let ids: Vec<_> = failed.iter().map(|failed| failed.endpoint_id).collect();
    let after = |seconds| (time + TimeDelta::seconds(seconds)).timestamp();
    let mut others = Vec::new();
    for failed in failed.iter().filter(|failed| failed.others > 0) {
        others.extend(some_of(db, failed.user_id, failed.others.min(MAX_OTHERS), &ids).await?);
    }
    let first = after(1);
    let last = after(CONFIRMATION_DELAY.into());
    let is_confirmed = |owned: &&OwnedEndpoint| {
        let endpoint = &owned.endpoint;
        // Not if the settings changed in the meantime (they are checked anew), or if the interval is short enough.
        failed.iter().any(|f| {
            f.endpoint_id == endpoint.id
                && f.revision == endpoint.revision
                && last < f.scheduled_at.timestamp() + i64::from(endpoint.settings.interval_seconds)
        })
    };
    let endpoints = by_id(db, &ids).await?;
    // The others come before the confirmation, because it is judged by their results.
    let due = others.iter().map(|owned| (owned, first));
    let due: Vec<_> = due.chain(endpoints.iter().filter(is_confirmed).map(|owned| (owned, last))).collect();
    if due.is_empty() {
        return Ok(Reply::NONE);
    }
    let users: Vec<_> = due.iter().map(|(owned, _)| owned.user_id).collect();
    let windows = Windows::load(db, &users, first..last + 1).await?;
    let request = |(OwnedEndpoint { user_id, endpoint }, scheduled_at): (&OwnedEndpoint, i64)| CheckRequest {
        maintenance: windows.hold(*user_id, endpoint.id, scheduled_at),
        ..endpoint.settings.request(endpoint.id, *user_id, scheduled_at, endpoint.revision)
    };
    let requests: Vec<_> = due.into_iter().map(request).collect();
    requests::publish_all(&context, NAME, &requests, WINDOW_SECONDS).await?;
    Ok(Reply::NONE)
}

async fn by_id(db: &Db, ids: &[i64]) -> Result<Vec<OwnedEndpoint>> {
    sql!(
        SQLITE = concat!(
            "SELECT user_id, ",
            columns!(),
            " FROM endpoints WHERE enabled AND id IN (SELECT value FROM json_each($1)) ORDER BY id"
        )
    );
    sql!(
        POSTGRES = concat!(
            "SELECT user_id, ",
            columns!(),
            " FROM endpoints WHERE enabled AND id = ANY($1) ORDER BY id"
        )
    );
    Ok(match db.read() {
        On::Sqlite(db) => sqlx::query(SQLITE).bind(JsonText(ids)).fetch_all(db).await.map(readable)?,
        On::Postgres(db) => sqlx::query(POSTGRES).bind(ids).fetch_all(db).await.map(readable)?,
    })
}

/// The endpoints of a user whose next checks are the furthest ahead.
async fn some_of(db: &Db, user_id: i64, max: i64, but: &[i64]) -> Result<Vec<OwnedEndpoint>> {
    sql!(
        SQLITE = concat!(
            "SELECT user_id, ",
            columns!(),
            " FROM endpoints WHERE enabled AND user_id = $1 AND id NOT IN (SELECT value FROM json_each($2))
        ORDER BY next_check_at DESC, id LIMIT $3"
        )
    );
    sql!(
        POSTGRES = concat!(
            "SELECT user_id, ",
            columns!(),
            " FROM endpoints WHERE enabled AND user_id = $1 AND id <> ALL($2) ORDER BY next_check_at DESC, id LIMIT $3"
        )
    );
    Ok(match db.read() {
        On::Sqlite(db) => {
            let query = sqlx::query(SQLITE).bind(user_id).bind(JsonText(but)).bind(max);
            query.fetch_all(db).await.map(readable)?
        }
        On::Postgres(db) => {
            let query = sqlx::query(POSTGRES).bind(user_id).bind(but).bind(max);
            query.fetch_all(db).await.map(readable)?
        }
    })
}
