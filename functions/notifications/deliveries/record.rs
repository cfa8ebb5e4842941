//! Event `notification.delivered`: closes the entry in the delivery log.

use axum::extract::State;
use runtime::{Context, Event, Function, Reply, Result, Subscription, on};

use crate::{
    contract::{NotificationDelivered, kind},
    notifications::SERVICE,
};

pub const FUNCTION: Function =
    Function::new("delivery-record", SERVICE, "closes an entry in the delivery log")
        .on(&[Subscription::to(kind::NOTIFICATION_DELIVERED)], || axum::routing::post(handle));

async fn handle(State(context): State<Context>, event: Event<NotificationDelivered>) -> Result<Reply> {
    // A success stays one, whatever is said later about the same attempt.
    const UPDATE: &str = "UPDATE deliveries SET status = $3, error = $4, finished_at = $5
        WHERE id = $1 AND attempt = $2 AND status <> 'delivered'";
    let told = event.data;
    let status = if told.delivered { "delivered" } else { "failed" };
    on!(context.db()?.write(), db => {
        let query = sqlx::query(UPDATE).bind(told.delivery_id).bind(told.attempt).bind(status);
        query.bind(told.error).bind(told.at).execute(db).await.map(drop)
    })?;
    Ok(Reply::NONE)
}
