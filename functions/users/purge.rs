//! Hourly: deletes expired links, counts of tries, networks and incomplete sign-ups.

use axum::{extract::State, routing::post};
use chrono::TimeDelta;
use runtime::{Context, Function, Reply, Result};

use super::{SERVICE, announce::announce, tries::NETWORK_RETENTION};
use crate::purge::{Purge, purge, trusted_now};

const NAME: &str = "user-purge";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "deletes expired links, login counts and unfinished sign-ups")
        .every("25 * * * *", || post(handle))
        .publishes();

/// Much longer than an aborted sign-up keeps its address ([`super::signup`]).
const SIGNUP_RETENTION: TimeDelta = TimeDelta::days(1);

async fn handle(State(context): State<Context>) -> Result<Reply> {
    const LINKS: Purge = purge!("password_resets", "token_hash", "expires_at < $1");
    const SIGNUPS: Purge = purge!("users", "id", "activated_at IS NULL AND created_at < $1");
    const TRIES: Purge = purge!("user_tries", "account, network", "window_ends < $1");
    const NETWORKS: Purge = purge!("user_networks", "user_id, network", "seen_at < $1");
    let (db, now) = (context.db()?, trusted_now(&context, "user_purges").await?);
    LINKS.run(db, now).await?;
    SIGNUPS.run(db, now - SIGNUP_RETENTION).await?;
    TRIES.run(db, now.timestamp()).await?;
    NETWORKS.run(db, (now - NETWORK_RETENTION).timestamp()).await?;
    announce(&context, NAME, None).await?;
    Ok(Reply::NONE)
}
