//! Event `user.changed`: tells other functions how users read messages.
//!
//! It is published after a change is committed. Where that fails, or the process dies between the two, the row's
//! `announced_revision` stays behind its `revision`, and the next change or purge publishes it.

use runtime::{Context, Outgoing, Result, on, sql};

use contract::{Reader, UserChanged, kind};

/// In one event.
const MAX_EVENT_LEN: i64 = 500;

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    revision: i64,
    language: String,
    time_zone: String,
}

/// Publishes what was not published yet.
pub(super) async fn announce(context: &Context, function: &str) -> Result<()> {
    sql!(
        SELECT = "SELECT id, revision, language, time_zone FROM users
        WHERE announced_revision < revision AND activated_at IS NOT NULL ORDER BY id LIMIT $1"
    );
    sql!(DONE = "UPDATE users SET announced_revision = $2 WHERE id = $1 AND announced_revision < $2");
    let db = context.db()?;
    loop {
        let rows: Vec<Row> =
            on!(db.read(), db => sqlx::query_as(SELECT).bind(MAX_EVENT_LEN).fetch_all(db).await)?;
        if rows.is_empty() {
            return Ok(());
        }
        let id = Outgoing::id_of("user", rows.iter().map(|row| (row.id, row.revision)));
        let changed = |row: &Row| UserChanged {
            user_id: row.id,
            revision: row.revision,
            reader: Reader { language: row.language.clone().into(), time_zone: row.time_zone.clone() },
        };
        let changes: Vec<_> = rows.iter().map(changed).collect();
        let event = Outgoing::new(function, kind::USER_CHANGED, id, context.clock().now(), &changes)?;
        // However long the broker takes: what it did not take is not announced.
        context.outbound().publish(event).await?;
        for row in &rows {
            on!(db.write(), db => {
                sqlx::query(DONE).bind(row.id).bind(row.revision).execute(db).await.map(drop)
            })?;
        }
    }
}

/// The same, for a request that is done already: what fails is published later.
pub(super) fn announce_soon(context: &Context, function: &'static str) {
    let own = context.clone();
    context.background(async move {
        if let Err(error) = announce(&own, function).await {
            tracing::warn!(%error, function, "a user's language and time zone could not be published yet");
        }
    });
}
