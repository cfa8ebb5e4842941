//! Daily limits on mails.

use chrono::TimeDelta;
use runtime::{Context, Result, on, secret, sql};

use super::seconds;
use fields::mailbox::mailbox;

const WINDOW: TimeDelta = TimeDelta::days(1);
/// Messages to one address, for all users together.
const MAX_MESSAGES: i64 = 200;
/// Links to one address, for all users together.
const MAX_LINKS: i64 = 3;
/// Links mailed for one user.
const MAX_LINKS_OF_USER: i64 = 30;

/// Counts a message to an address; false at the limit.
pub(super) async fn count_message(context: &Context, address: &str) -> Result<bool> {
    count(context, &format!("message {}", hashed(address)), MAX_MESSAGES).await
}

/// Whether this attempt of a delivery was not counted yet. If the broker refuses the event, it is
/// published again.
pub(super) async fn is_first_time(context: &Context, delivery_id: i64, attempt: i64) -> Result<bool> {
    count(context, &format!("delivery {delivery_id} {attempt}"), 1).await
}

/// Counts a link to an address; false at the limit. Checks the user's own limit first, so that a user who
/// is over it does not use up the address's limit.
pub(super) async fn count_link(context: &Context, user_id: i64, address: &str) -> Result<bool> {
    Ok(count(context, &format!("links of {user_id}"), MAX_LINKS_OF_USER).await?
        && count(context, &format!("link {}", hashed(address)), MAX_LINKS).await?)
}

/// Hashed, because counts are kept after the account is deleted.
fn hashed(address: &str) -> String {
    secret::hash(&mailbox(address))
}

async fn count(context: &Context, subject: &str, max: i64) -> Result<bool> {
    // If a window ends later than any window that starts now, it was written while the clock was ahead:
    // start a new one.
    sql!(
        COUNT = "INSERT INTO notification_mail_counts AS kept (subject, mails, window_ends)
        VALUES ($1, 1, $3) ON CONFLICT (subject) DO UPDATE SET
            mails = CASE WHEN kept.window_ends > $2 AND kept.window_ends <= $3 THEN kept.mails + 1 ELSE 1 END,
            window_ends = CASE WHEN kept.window_ends > $2 AND kept.window_ends <= $3
                THEN kept.window_ends ELSE $3 END
        WHERE kept.mails < $4 OR kept.window_ends <= $2 OR kept.window_ends > $3
        RETURNING mails"
    );
    let now = context.clock().now();
    let counted: Option<i64> = on!(context.db()?.write(), db => {
        let query = sqlx::query_scalar(COUNT).bind(subject).bind(seconds(now));
        query.bind(seconds(now + WINDOW)).bind(max).fetch_optional(db).await
    })?;
    Ok(counted.is_some())
}
