//! `check.failed`: asks for the next check of an endpoint soon, instead of at its interval.

use axum::{extract::State, routing::post};
use chrono::TimeDelta;
use runtime::{
    Context, Event, Function, Items, Reply, Result, Subscription,
    db::{JsonText, On, readable},
};

use super::{OwnedEndpoint, SERVICE, columns, maintenances::windows::Windows};
use crate::{
    checks,
    contract::{CheckRequest, FailedCheck, kind},
    notifications::state::CONFIRMATION_DELAY,
};

const NAME: &str = "endpoint-confirm";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "asks for an early check of endpoints whose last one failed")
        .on(&[Subscription::to(kind::CHECK_FAILED)], || post(handle))
        .publishes();

async fn handle(State(context): State<Context>, event: Event<Items<FailedCheck>>) -> Result<Reply> {
    static SQLITE: &str = concat!(
        "SELECT user_id, ",
        columns!(),
        " FROM endpoints WHERE enabled AND id IN (SELECT value FROM json_each($1)) ORDER BY id"
    );
    static POSTGRES: &str =
        concat!("SELECT user_id, ", columns!(), " FROM endpoints WHERE enabled AND id = ANY($1) ORDER BY id");
    // By the event's own time: sent again, it asks for the same check.
    let time = event.time.unwrap_or(context.clock().now());
    let due = time + TimeDelta::seconds(CONFIRMATION_DELAY.into());
    let failed = event.data.0;
    let ids: Vec<_> = failed.iter().map(|failed| failed.endpoint_id).collect();
    let db = context.db()?;
    let endpoints: Vec<OwnedEndpoint> = match db.read() {
        On::Sqlite(db) => sqlx::query(SQLITE).bind(JsonText(ids)).fetch_all(db).await.map(readable)?,
        On::Postgres(db) => sqlx::query(POSTGRES).bind(ids).fetch_all(db).await.map(readable)?,
    };
    let users: Vec<_> = endpoints.iter().map(|owned| owned.user_id).collect();
    let slot = due.timestamp();
    let windows = Windows::load(db, &users, slot..slot + 1).await?;
    let requests: Vec<_> = endpoints
        .iter()
        .filter(|owned| {
            // Settings that changed meanwhile are checked anew anyway.
            failed.iter().any(|f| f.endpoint_id == owned.endpoint.id && f.revision == owned.endpoint.revision)
        })
        .map(|OwnedEndpoint { user_id, endpoint }| CheckRequest {
            maintenance: windows.hold(*user_id, endpoint.id, slot),
            ..endpoint.settings.request(endpoint.id, *user_id, slot, endpoint.revision)
        })
        .collect();
    checks::schedule::ask_for(&context, NAME, &requests).await?;
    Ok(Reply::NONE)
}
