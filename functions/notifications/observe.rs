//! Event `user.changed`: stores the language and time zone of users.

use axum::{extract::State, routing::post};
use runtime::{Context, Event, Function, Items, Reply, Result, Subscription, db::On, on, sql};

use super::{SERVICE, lock_user};
use contract::{Reader, UserChanged, kind};

pub const FUNCTION: Function =
    Function::new("notification-observe", SERVICE, "keeps each user's language and time zone for messages")
        .on(&[Subscription::to(kind::USER_CHANGED)], || post(handle));

async fn handle(State(context): State<Context>, event: Event<Items<UserChanged>>) -> Result<Reply> {
    sql!(
        KEEP =
            "INSERT INTO notification_readers (user_id, revision, language, time_zone) SELECT $1, $2, $3, $4
        WHERE NOT EXISTS (SELECT 1 FROM notification_user_tombstones WHERE user_id = $1)
        ON CONFLICT (user_id) DO UPDATE SET revision = excluded.revision, language = excluded.language,
            time_zone = excluded.time_zone
        WHERE excluded.revision > notification_readers.revision"
    );
    for UserChanged { user_id, revision, reader } in event.data.0 {
        let mut transaction = context.db()?.begin().await?;
        // A user who is being deleted must not be stored again.
        lock_user(&mut transaction, user_id).await?;
        on!(transaction.connection(), db => {
            let keep = sqlx::query(KEEP).bind(user_id).bind(revision).bind(reader.language.code());
            keep.bind(reader.time_zone).execute(db).await.map(drop)
        })?;
        transaction.commit().await?;
    }
    Ok(Reply::NONE)
}

/// The language and time zone of a user's messages; `None` before the first event.
pub(super) async fn reader_of<'e, S, P>(db: On<S, P>, user_id: i64) -> Result<Option<Reader>>
where
    S: sqlx::Executor<'e, Database = sqlx::Sqlite>,
    P: sqlx::Executor<'e, Database = sqlx::Postgres>,
{
    sql!(SELECT = "SELECT language, time_zone FROM notification_readers WHERE user_id = $1");
    let found: Option<(String, String)> =
        on!(db, db => sqlx::query_as(SELECT).bind(user_id).fetch_optional(db).await)?;
    let reader = |(language, time_zone): (String, String)| Reader { language: language.into(), time_zone };
    Ok(found.map(reader))
}
