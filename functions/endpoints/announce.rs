//! `* * * * *`: publishes endpoint changes that could not be published when they were made.
//!
//! A change is published right after its commit. If that fails, or the process dies between the two, the row's
//! `announced_revision` stays behind its `revision`, and this function publishes the change.

use std::collections::BTreeSet;

use axum::{extract::State, routing::post};
use chrono::{DateTime, Utc};
use http::StatusCode;
use runtime::{
    Context, Function, Outgoing, Result,
    db::{JsonText, On, Transaction, readable},
    on, sql,
};

use super::{CLAIM_AHEAD, SERVICE, maintenances::windows::Windows};
use contract::{EndpointChanged, Span, kind};

const NAME: &str = "endpoint-announce";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "publishes changes of endpoints that could not be published at once")
        .every("* * * * *", || post(handle))
        .publishes();

/// Maximum number of endpoints in one event.
const MAX_EVENT_LEN: usize = 500;

async fn handle(State(context): State<Context>) -> Result<StatusCode> {
    sql!(
        SELECT = "SELECT id, user_id, revision, settings_revision, enabled, updated_at FROM endpoints \
         WHERE announced_revision < revision ORDER BY id LIMIT $1"
    );
    loop {
        let rows: Vec<Row> = on!(context.db()?.read(), db =>
            sqlx::query(SELECT).bind(MAX_EVENT_LEN as i64).fetch_all(db).await.map(readable))?;
        if rows.is_empty() {
            return Ok(StatusCode::NO_CONTENT);
        }
        announce(&context, NAME, rows).await?;
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct Row {
    pub id: i64,
    pub user_id: i64,
    pub revision: i64,
    pub settings_revision: i64,
    pub enabled: bool,
    pub updated_at: DateTime<Utc>,
}

/// Publishes committed changes, and marks them as published.
pub(super) async fn announce(context: &Context, function: &str, rows: Vec<Row>) -> Result<()> {
    sql!(
        SQLITE = "UPDATE endpoints SET announced_revision = done.revision \
         FROM (SELECT value ->> 0 AS id, value ->> 1 AS revision FROM json_each($1)) AS done \
         WHERE endpoints.id = done.id AND announced_revision < done.revision"
    );
    sql!(
        POSTGRES = "UPDATE endpoints SET announced_revision = done.revision \
         FROM (SELECT u.* FROM UNNEST($1::bigint[], $2::bigint[]) AS u (id, revision) \
         JOIN endpoints e ON e.id = u.id ORDER BY e.id FOR UPDATE OF e) AS done \
         WHERE endpoints.id = done.id AND announced_revision < done.revision"
    );
    let (db, now) = (context.db()?, context.clock().now());
    // Includes earlier times: their checks were requested before the change, which may be a minute old.
    let times = (now - CLAIM_AHEAD).timestamp()..(now + CLAIM_AHEAD).timestamp();
    let time = |scheduled_at: i64| DateTime::from_timestamp(scheduled_at, 0).unwrap_or_default();
    for rows in rows.chunks(MAX_EVENT_LEN) {
        let Some(first) = rows.first() else { continue };
        let users: BTreeSet<_> = rows.iter().map(|row| row.user_id).collect();
        let windows = Windows::load(db, &users.into_iter().collect::<Vec<_>>(), times.clone()).await?;
        let maintenance = |row: &Row| {
            let held = windows.last(row.user_id, row.id, &times)?;
            Some(Span { from: time(held.start), until: time(held.end) })
        };
        let changed = |row: &Row| EndpointChanged {
            endpoint_id: row.id,
            user_id: row.user_id,
            revision: row.revision,
            settings_revision: row.settings_revision,
            enabled: row.enabled,
            changed_at: row.updated_at,
            maintenance: maintenance(row),
        };
        let changes: Vec<_> = rows.iter().map(changed).collect();
        let id = Outgoing::id_of("endpoint", rows.iter().map(|row| (row.id, row.revision)));
        let event = Outgoing::new(function, kind::ENDPOINT_CHANGED, id, first.updated_at, &changes)?
            .of_owners(rows.iter().map(|row| row.user_id));
        // Waits for the broker without its own time limit: a change that the broker did not accept must not be
        // marked.
        context.outbound().publish(event).await?;
        let done = rows.iter().map(|row| (row.id, row.revision));
        match db.write() {
            On::Sqlite(db) => {
                sqlx::query(SQLITE).bind(JsonText(done.collect::<Vec<_>>())).execute(db).await?;
            }
            On::Postgres(db) => {
                let (ids, revisions): (Vec<_>, Vec<_>) = done.unzip();
                sqlx::query(POSTGRES).bind(ids).bind(revisions).execute(db).await?;
            }
        }
    }
    Ok(())
}

/// Like [`announce`], for a request that is already complete: if publishing fails, the schedule tries again.
pub(super) async fn try_announce(context: &Context, function: &'static str, rows: Vec<Row>) {
    let failed = move |error| {
        tracing::warn!(%error, function, "changes of endpoints could not be published: tried again within a minute");
    };
    let own = context.clone();
    let announcing = async move { announce(&own, function, rows).await };
    if let Err(error) = context.briefly(announcing, move |error| async move { failed(error) }).await {
        failed(error);
    }
}

/// Begins a new revision of a user's enabled endpoints (`None`: all of them). For changes outside the endpoints' own
/// settings that change the meaning of checks that are under way.
pub(super) async fn revise(
    transaction: &mut Transaction,
    user_id: i64,
    endpoint_ids: Option<&Vec<i64>>,
) -> Result<Vec<Row>> {
    macro_rules! update {
        ($ids:literal, $lock:literal) => {
            concat!(
                "UPDATE endpoints SET revision = revision + 1 WHERE id IN (SELECT id FROM endpoints \
                 WHERE user_id = $1 AND enabled AND ($2 IS NULL OR id IN (",
                $ids,
                "))",
                $lock,
                ") RETURNING id, user_id, revision, settings_revision, enabled, updated_at"
            )
        };
    }
    sql!(SQLITE = update!("SELECT value FROM json_each($2)", ""));
    sql!(
        POSTGRES = update!(
            "SELECT value::bigint FROM json_array_elements_text($2::json)",
            " ORDER BY id FOR UPDATE"
        )
    );
    let sql = match transaction {
        On::Sqlite(_) => SQLITE,
        On::Postgres(_) => POSTGRES,
    };
    Ok(on!(transaction.connection(), db => {
        sqlx::query_as(sql).bind(user_id).bind(endpoint_ids.map(JsonText)).fetch_all(db).await
    })?)
}
