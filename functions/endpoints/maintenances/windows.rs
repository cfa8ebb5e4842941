//! Finds out which scheduled times are in a maintenance.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use runtime::{
    Db, Result,
    db::{JsonText, On, readable},
    sql,
};

/// The maintenances of some users within a time range.
#[derive(Debug, Default)]
pub struct Windows(HashMap<i64, Vec<Window>>);

#[derive(Debug)]
struct Window {
    times: Range<i64>,
    /// None: all endpoints of the user.
    endpoints: Option<HashSet<i64>>,
}

impl Window {
    fn covers(&self, endpoint_id: i64) -> bool {
        self.endpoints.as_ref().is_none_or(|endpoints| endpoints.contains(&endpoint_id))
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    user_id: i64,
    starts_at: i64,
    ends_at: i64,
    endpoint_ids: Option<JsonText<Vec<i64>>>,
}

impl Windows {
    /// Loads the maintenances that contain any of these scheduled times: usually none.
    pub async fn load(db: &Db, users: &[i64], times: Range<i64>) -> Result<Self> {
        // The plus makes SQLite use the index on maintenances that are not over.
        sql!(
            SQLITE = "SELECT user_id, starts_at, ends_at, endpoint_ids FROM endpoint_maintenance_rows \
             WHERE ends_at > $1 AND starts_at < $2 AND +user_id IN (SELECT value FROM json_each($3))"
        );
        sql!(
            POSTGRES = "SELECT user_id, starts_at, ends_at, endpoint_ids FROM endpoint_maintenance_rows \
             WHERE ends_at > $1 AND starts_at < $2 AND user_id = ANY($3)"
        );
        let rows: Vec<Row> = match db.read() {
            On::Sqlite(db) => {
                let select = sqlx::query(SQLITE).bind(times.start).bind(times.end);
                select.bind(JsonText(users)).fetch_all(db).await.map(readable)?
            }
            On::Postgres(db) => {
                let select = sqlx::query(POSTGRES).bind(times.start).bind(times.end);
                select.bind(users).fetch_all(db).await.map(readable)?
            }
        };
        let mut windows = Self::default();
        for Row { user_id, starts_at, ends_at, endpoint_ids } in rows {
            let endpoints = endpoint_ids.map(|ids| ids.0.into_iter().collect());
            windows.0.entry(user_id).or_default().push(Window { times: starts_at..ends_at, endpoints });
        }
        Ok(windows)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The part of `times` that is inside a maintenance of this endpoint. Of several parts, the one that ends last.
    pub fn last(&self, user_id: i64, endpoint_id: i64, times: &Range<i64>) -> Option<Range<i64>> {
        let windows = self.0.get(&user_id)?.iter();
        let covers = windows.filter(|window| window.covers(endpoint_id));
        let held = covers.map(|w| w.times.start.max(times.start)..w.times.end.min(times.end));
        held.filter(|held| !held.is_empty()).max_by_key(|held| held.end)
    }

    pub fn hold(&self, user_id: i64, endpoint_id: i64, scheduled_at: i64) -> bool {
        let covers = |window: &Window| window.times.contains(&scheduled_at) && window.covers(endpoint_id);
        self.0.get(&user_id).is_some_and(|windows| windows.iter().any(covers))
    }
}
