//! `status.changed`, `check.completed`: keeps an endpoint's `status` and `last_checked_at`.

use std::collections::HashMap;

use axum::{extract::State, routing::post};
use runtime::{
    Context, Event, Function, Items, Reply, Result, Subscription, db::JsonText, db::On, input, on,
};
use serde_json::value::RawValue;

use super::SERVICE;
use crate::contract::{CheckResult, CheckStatus, StatusChange, kind};

pub const FUNCTION: Function =
    Function::new("endpoint-observe", SERVICE, "keeps an endpoint's `status` and `last_checked_at`")
        .on(&[Subscription::to(kind::STATUS_CHANGED), Subscription::to(kind::CHECK_COMPLETED)], || {
            post(handle)
        });

async fn handle(State(context): State<Context>, event: Event<Box<RawValue>>) -> Result<Reply> {
    let json = event.data.get().as_bytes();
    if event.kind == kind::STATUS_CHANGED {
        changed(&context, input::parse::<Items<_>>(json)?.0).await?;
    } else {
        checked(&context, input::parse::<Items<_>>(json)?.0).await?;
    }
    Ok(Reply::NONE)
}

/// A change that comes late does not undo a later one.
async fn changed(context: &Context, changes: Vec<StatusChange>) -> Result<()> {
    static UPDATE: &str = "UPDATE endpoints SET status = $2, status_changed_at = $3 \
         WHERE id = $1 AND (status_changed_at IS NULL OR status_changed_at < $3)";
    let mut tx = context.db()?.begin().await?;
    // In the order of their ids, as everywhere: two of these at once then never wait for each other.
    let mut changes = changes;
    changes.sort_by_key(|change| (change.endpoint_id, change.changed_at));
    for change in changes {
        on!(tx.connection(), db => {
            let update = sqlx::query(UPDATE).bind(change.endpoint_id).bind(change.to.as_str());
            update.bind(change.changed_at.timestamp()).execute(db).await.map(drop)
        })?;
    }
    tx.commit().await
}

async fn checked(context: &Context, results: Vec<CheckResult>) -> Result<()> {
    static SQLITE: &str = "UPDATE endpoints SET last_checked_at = news.at \
         FROM (SELECT value ->> 0 AS id, value ->> 1 AS at FROM json_each($1)) AS news \
         WHERE endpoints.id = news.id AND (last_checked_at IS NULL OR last_checked_at < news.at)";
    static POSTGRES: &str = "UPDATE endpoints SET last_checked_at = news.at FROM \
         (SELECT e.id, u.at FROM UNNEST($1::bigint[], $2::bigint[]) AS u (id, at) \
         JOIN endpoints e ON e.id = u.id ORDER BY e.id FOR UPDATE OF e) AS news \
         WHERE endpoints.id = news.id AND (last_checked_at IS NULL OR last_checked_at < news.at)";
    let mut latest = HashMap::<i64, i64>::new();
    for result in results.iter().filter(|result| result.outcome.status != CheckStatus::Unknown) {
        let at = latest.entry(result.endpoint_id).or_default();
        *at = (*at).max(result.checked_at.timestamp());
    }
    match context.db()?.write() {
        On::Sqlite(db) => {
            let news: Vec<_> = latest.into_iter().collect();
            sqlx::query(SQLITE).bind(JsonText(news)).execute(db).await?;
        }
        On::Postgres(db) => {
            let (ids, at): (Vec<_>, Vec<_>) = latest.into_iter().unzip();
            sqlx::query(POSTGRES).bind(ids).bind(at).execute(db).await?;
        }
    }
    Ok(())
}
