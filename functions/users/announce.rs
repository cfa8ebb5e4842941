//! Event `user.changed`: publishes the language and time zone of users to other functions.
//!
//! The event is published after the change is committed. If publishing fails, or the process dies before
//! it, the row's `announced_revision` stays below its `revision`, and the next change or purge publishes
//! the event.

use runtime::{
    Context, Outgoing, Result,
    db::{JsonText, On, readable},
    on, sql,
};

use contract::{Reader, UserChanged, kind};

/// Users per event.
const MAX_EVENT_LEN: i64 = 500;

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    revision: i64,
    language: String,
    time_zone: String,
}

/// Publishes changes that were not published yet, of one user or of all.
pub(super) async fn announce(context: &Context, function: &str, user_id: Option<i64>) -> Result<()> {
    sql!(
        SELECT = "SELECT id, revision, language, time_zone FROM users
        WHERE announced_revision < revision AND activated_at IS NOT NULL AND ($2 IS NULL OR id = $2)
        ORDER BY id LIMIT $1"
    );
    sql!(
        SQLITE = "UPDATE users SET announced_revision = done.revision \
         FROM (SELECT value ->> 0 AS id, value ->> 1 AS revision FROM json_each($1)) AS done \
         WHERE users.id = done.id AND announced_revision < done.revision"
    );
    sql!(
        POSTGRES = "UPDATE users SET announced_revision = done.revision \
         FROM (SELECT n.* FROM UNNEST($1::bigint[], $2::bigint[]) AS n (id, revision) \
         JOIN users u ON u.id = n.id ORDER BY u.id FOR UPDATE OF u) AS done \
         WHERE users.id = done.id AND announced_revision < done.revision"
    );
    let db = context.db()?;
    loop {
        let rows: Vec<Row> = on!(db.read(), db => {
            sqlx::query(SELECT).bind(MAX_EVENT_LEN).bind(user_id).fetch_all(db).await.map(readable)
        })?;
        if rows.is_empty() {
            return Ok(());
        }
        let revisions = rows.iter().map(|row| (row.id, row.revision));
        let id = Outgoing::id_of("user", revisions.clone());
        let changed = |row: &Row| UserChanged {
            user_id: row.id,
            revision: row.revision,
            reader: Reader { language: row.language.clone().into(), time_zone: row.time_zone.clone() },
        };
        let changes: Vec<_> = rows.iter().map(changed).collect();
        let event = Outgoing::new(function, kind::USER_CHANGED, id, context.clock().now(), &changes)?
            .of_owners(rows.iter().map(|row| row.id));
        // Without the two-second limit of `Context::publish`: only changes that the broker accepted are
        // marked as announced.
        context.outbound().publish(event).await?;
        match db.write() {
            On::Sqlite(db) => {
                sqlx::query(SQLITE).bind(JsonText(revisions.collect::<Vec<_>>())).execute(db).await?;
            }
            On::Postgres(db) => {
                let (ids, revisions): (Vec<_>, Vec<_>) = revisions.unzip();
                sqlx::query(POSTGRES).bind(ids).bind(revisions).execute(db).await?;
            }
        }
    }
}

/// Publishes the user's change in the background. If that fails, the next purge publishes it.
pub(super) fn announce_soon(context: &Context, function: &'static str, user_id: i64) {
    let own = context.clone();
    context.background(async move {
        if let Err(error) = announce(&own, function, Some(user_id)).await {
            tracing::warn!(%error, function, "a user's language and time zone could not be published yet");
        }
    });
}
