//! Lists of endpoint IDs, such as the endpoints that a notification covers. The owner's column
//! `all_endpoints` is set if it covers all; otherwise the list is in its own table.

use contract::Text;
use runtime::{
    Result,
    db::{JsonText, On, Transaction},
    on,
};

use crate::words;

/// Of one list.
const MAX_IDS: usize = 1000;

/// Each id once, in order.
pub(crate) fn unique(mut ids: Vec<i64>) -> std::result::Result<Vec<i64>, Text> {
    if ids.len() > MAX_IDS {
        return Err(words::must_hold_at_most_ids(MAX_IDS).into());
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

pub(crate) struct IdList {
    pub mark: &'static str,
    pub clear: &'static str,
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

macro_rules! id_list {
    ($owners:literal, $table:literal, $owner:literal) => {
        crate::id_list::IdList {
            mark: concat!("UPDATE ", $owners, " SET all_endpoints = $2 WHERE id = $1"),
            clear: concat!("DELETE FROM ", $table, " WHERE ", $owner, " = $1"),
            sqlite: concat!(
                "INSERT INTO ",
                $table,
                " (",
                $owner,
                ", endpoint_id) SELECT $1, value FROM json_each($2)"
            ),
            postgres: concat!("INSERT INTO ", $table, " (", $owner, ", endpoint_id) SELECT $1, UNNEST($2)"),
        }
    };
}
pub(crate) use id_list;

impl IdList {
    /// `None`: all endpoints.
    pub async fn replace(
        &self,
        transaction: &mut Transaction,
        owner: i64,
        endpoint_ids: Option<&[i64]>,
    ) -> Result<()> {
        on!(transaction.connection(), db => {
            sqlx::query(self.mark).bind(owner).bind(endpoint_ids.is_none()).execute(&mut *db).await?;
            sqlx::query(self.clear).bind(owner).execute(db).await?;
        });
        let Some(ids) = endpoint_ids else { return Ok(()) };
        match transaction.connection() {
            On::Sqlite(db) => {
                sqlx::query(self.sqlite).bind(owner).bind(JsonText(ids)).execute(db).await.map(drop)?
            }
            On::Postgres(db) => {
                sqlx::query(self.postgres).bind(owner).bind(ids).execute(db).await.map(drop)?
            }
        }
        Ok(())
    }
}
