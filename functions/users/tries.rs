//! Limits on guessing passwords, per account. They are stored in the database, so they hold across all
//! processes and addresses.
//!
//! OWASP's "device cookies", with networks in place of cookies. Each network from which an account's
//! password was entered correctly (or a mailed link was used) has its own count of failed tries; all
//! other networks share one count. So guessing from a million addresses is limited like guessing from
//! one. An attacker does not lock out the owner, because the owner's networks are counted separately, and
//! a mailed link makes a new network known.

use chrono::TimeDelta;
use runtime::{Context, Error, Result, on, secret, sql};

use super::client::Client;
use crate::words;

/// Failed tries per [`WINDOW`].
const MAX_FAILED: i64 = 10;
const WINDOW: TimeDelta = TimeDelta::minutes(15);
/// How long a network stays known after its last use.
pub const NETWORK_RETENTION: TimeDelta = TimeDelta::days(90);
const MAX_NETWORKS: i64 = 20;

/// One try of a password, counted as failed until [`succeed`](Try::succeed) is called.
pub struct Try {
    account: String,
    network: String,
}

impl Try {
    /// Counts a try before the password is checked. Fails with 429 at the limit, also for addresses
    /// without an account.
    pub async fn begin(context: &Context, email: &str, client: &Client) -> Result<Self> {
        sql!(
            IS_KNOWN = "SELECT EXISTS (SELECT 1 FROM users u JOIN user_networks n ON n.user_id = u.id \
             WHERE u.email = $1 AND n.network = $2 AND n.seen_at > $3)"
        );
        let (db, now) = (context.db()?, context.clock().now());
        let is_known: bool = on!(db.read(), db => {
            let query = sqlx::query_scalar(IS_KNOWN).bind(email).bind(&client.network);
            query.bind((now - NETWORK_RETENTION).timestamp()).fetch_one(db).await
        })?;
        let network = if is_known { client.network.clone() } else { String::new() };
        let counted = count(context, email, &network, MAX_FAILED, WINDOW).await?;
        if counted { Ok(Self { account: secret::hash(email), network }) } else { Err(too_many()) }
    }

    /// Takes back a try whose password was not checked.
    pub async fn take_back(&self, context: &Context) -> Result<()> {
        sql!(
            UNCOUNT = "UPDATE user_tries SET failed = failed - 1 WHERE account = $1 AND network = $2 AND failed > 0"
        );
        on!(context.db()?.write(), db => {
            sqlx::query(UNCOUNT).bind(&self.account).bind(&self.network).execute(db).await.map(drop)
        })?;
        Ok(())
    }

    /// The password was correct: the network is known from now on.
    pub async fn succeed(&self, context: &Context, user_id: i64, client: &Client) -> Result<()> {
        sql!(CLEAR = "DELETE FROM user_tries WHERE account = $1 AND network = $2");
        if self.network.is_empty() {
            // Failed tries from other networks stay counted.
            self.take_back(context).await?;
        } else {
            on!(context.db()?.write(), db => {
                sqlx::query(CLEAR).bind(&self.account).bind(&self.network).execute(db).await.map(drop)
            })?;
        }
        remember(context, user_id, client).await
    }
}

/// Counts one more try in a window for `account` (stored as a hash) and `network`; false at the limit.
pub async fn count(
    context: &Context,
    account: &str,
    network: &str,
    max: i64,
    window: TimeDelta,
) -> Result<bool> {
    // If a window ends later than any window that starts now, it was written while the clock was ahead:
    // start a new one.
    sql!(
        COUNT = "INSERT INTO user_tries (account, network, failed, window_ends) \
         VALUES ($1, $2, 1, $4) ON CONFLICT (account, network) DO UPDATE SET \
         failed = CASE WHEN user_tries.window_ends > $3 AND user_tries.window_ends <= $4 \
             THEN user_tries.failed + 1 ELSE 1 END, \
         window_ends = CASE WHEN user_tries.window_ends > $3 AND user_tries.window_ends <= $4 \
             THEN user_tries.window_ends ELSE $4 END \
         WHERE user_tries.failed < $5 OR user_tries.window_ends <= $3 OR user_tries.window_ends > $4 \
         RETURNING failed"
    );
    let now = context.clock().now();
    let counted: Option<i64> = on!(context.db()?.write(), db => {
        let query = sqlx::query_scalar(COUNT).bind(secret::hash(account)).bind(network).bind(now.timestamp());
        query.bind((now + window).timestamp()).bind(max).fetch_optional(db).await
    })?;
    Ok(counted.is_some())
}

/// Makes a network known to an account; above the limit, the least recently used one is deleted.
pub async fn remember(context: &Context, user_id: i64, client: &Client) -> Result<()> {
    sql!(
        REMEMBER = "INSERT INTO user_networks (user_id, network, seen_at) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id, network) DO UPDATE SET seen_at = excluded.seen_at"
    );
    sql!(
        TRIM = "DELETE FROM user_networks WHERE user_id = $1 AND network NOT IN \
         (SELECT network FROM user_networks WHERE user_id = $1 ORDER BY seen_at DESC, network LIMIT $2)"
    );
    if client.network.is_empty() {
        return Ok(());
    }
    let now = context.clock().now().timestamp();
    on!(context.db()?.write(), db => {
        sqlx::query(REMEMBER).bind(user_id).bind(&client.network).bind(now).execute(db).await?;
        sqlx::query(TRIM).bind(user_id).bind(MAX_NETWORKS).execute(db).await.map(drop)
    })?;
    Ok(())
}

/// Deletes all known networks of an account except the client's: for a password that was changed because
/// somebody else knew it.
pub async fn remember_only(context: &Context, user_id: i64, client: &Client) -> Result<()> {
    sql!(FORGET = "DELETE FROM user_networks WHERE user_id = $1 AND network <> $2");
    on!(context.db()?.write(), db => {
        sqlx::query(FORGET).bind(user_id).bind(&client.network).execute(db).await.map(drop)
    })?;
    remember(context, user_id, client).await
}

fn too_many() -> Error {
    let minutes = WINDOW.num_minutes();
    Error::too_many_requests(
        "TOO_MANY_TRIES",
        words::too_many_wrong_passwords(minutes),
        WINDOW.to_std().unwrap_or_default(),
    )
}
