//! Events `user.deleted` and `endpoint.deleted`: deletes the status page data of the user or the endpoint.

use axum::{extract::State, routing::post};
use runtime::{Context, Event, Function, Reply, Result, Subscription, input, on, sql};
use serde_json::value::RawValue;

use super::SERVICE;
use crate::purge::{Purge, purge, tombstones_before};
use crate::words;
use contract::{EndpointDeleted, UserDeleted, kind};

pub const FUNCTION: Function =
    Function::new("status-forget", SERVICE, "deletes what belonged to a deleted user or endpoint")
        .on(&[Subscription::to(kind::USER_DELETED), Subscription::to(kind::ENDPOINT_DELETED)], || {
            post(handle)
        });

async fn handle(State(context): State<Context>, event: Event<Box<RawValue>>) -> Result<Reply> {
    let json = event.data.get().as_bytes();
    match event.kind.as_str() {
        kind::USER_DELETED => forget_user(&context, input::parse(json)?).await?,
        kind::ENDPOINT_DELETED => forget_endpoint(&context, input::parse(json)?).await?,
        // Never treated as one of the other events: that would delete too much.
        _ => {
            let what = words::NO_SUCH_EVENT;
            return Err(runtime::Error::bad_request("UNKNOWN_EVENT", what));
        }
    }
    Ok(Reply::NONE)
}

async fn forget_user(context: &Context, gone: UserDeleted) -> Result<()> {
    sql!(NEWEST = "SELECT MAX(deleted_at) FROM status_user_tombstones");
    sql!(
        REMEMBER =
            "INSERT INTO status_user_tombstones (user_id, deleted_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    );
    const TOMBSTONES: Purge = purge!("status_user_tombstones", "user_id", "deleted_at < $1");
    // Announcements are deleted with their page.
    sql!(PAGES = "DELETE FROM status_pages WHERE user_id = $1");
    sql!(BADGES = "DELETE FROM status_badges WHERE user_id = $1");
    let (db, now) = (context.db()?, context.clock().now());
    let newest: Option<i64> = on!(db.read(), db => sqlx::query_scalar(NEWEST).fetch_one(db).await)?;
    let mut transaction = db.begin().await?;
    super::lock_user(&mut transaction, gone.user_id).await?;
    on!(transaction.connection(), db => {
        sqlx::query(REMEMBER).bind(gone.user_id).bind(now.timestamp()).execute(&mut *db).await?;
        sqlx::query(PAGES).bind(gone.user_id).execute(&mut *db).await?;
        sqlx::query(BADGES).bind(gone.user_id).execute(db).await?;
    });
    transaction.commit().await?;
    TOMBSTONES.run(db, tombstones_before(newest, now)).await
}

async fn forget_endpoint(context: &Context, gone: EndpointDeleted) -> Result<()> {
    sql!(BADGE = "DELETE FROM status_badges WHERE endpoint_id = $1 AND user_id = $2");
    // The new time shows concurrent updates of the page that it was changed.
    sql!(
        CHANGED = "UPDATE status_pages SET updated_at = $2 \
         WHERE id IN (SELECT status_page_id FROM status_page_endpoints WHERE endpoint_id = $1)"
    );
    sql!(LISTS = "DELETE FROM status_page_endpoints WHERE endpoint_id = $1");
    let now = context.clock().now();
    let mut transaction = context.db()?.begin().await?;
    on!(transaction.connection(), db => {
        sqlx::query(BADGE).bind(gone.endpoint_id).bind(gone.user_id).execute(&mut *db).await?;
        sqlx::query(CHANGED).bind(gone.endpoint_id).bind(now).execute(&mut *db).await?;
        sqlx::query(LISTS).bind(gone.endpoint_id).execute(db).await?;
    });
    transaction.commit().await
}
