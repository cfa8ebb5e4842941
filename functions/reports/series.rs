//! A series for each endpoint and region. Its id is part of the ids of its results, where it has 23 bits. So ids are
//! reused in a circle, after their series was deleted with all its data.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use runtime::{
    Error, Result,
    db::{On, Transaction, readable_by},
    on, sql,
};

use super::moment::LAST_SERIES;

/// After a search through all ids found too few free ones, how long no further search runs [s]: a search takes
/// seconds, during which no other series is created.
const FULL_FOR: i64 = 10 * 60;

/// The key of a series: endpoint and region.
pub type Key<'a> = (i64, &'a str);

#[derive(Clone, Debug)]
pub struct Series {
    pub id: i64,
    /// Scheduled times whose results count as in a maintenance. Boxed: most series have none, and a hundred thousand
    /// series are kept in memory.
    pub maintenance: Option<Box<Range<i64>>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    endpoint_id: i64,
    region: String,
    id: i64,
    maintenance_from: Option<i64>,
    maintenance_until: Option<i64>,
}

impl Row {
    fn series(self) -> ((i64, String), Series) {
        let Self { endpoint_id, region, id, maintenance_from, maintenance_until } = self;
        let maintenance = maintenance_from.zip(maintenance_until).map(|(from, until)| Box::new(from..until));
        ((endpoint_id, region), Series { id, maintenance })
    }
}

/// Returns the series of `wanted`, which maps each of them to its user. Omits series that were deleted, and series
/// without an id because all ids are in use.
pub async fn find_or_create<'a>(
    transaction: &mut Transaction,
    mut wanted: BTreeMap<Key<'a>, i64>,
    now: i64,
) -> Result<HashMap<Key<'a>, Series>> {
    sql!(POSTGRES_LOCK = "SELECT pg_advisory_xact_lock(x'7265706f72740003'::bigint)");
    let mut found = HashMap::with_capacity(wanted.len());
    find(transaction, &wanted, &mut found).await?;
    wanted.retain(|key, _| !found.contains_key(key));
    if wanted.is_empty() {
        return Ok(found);
    }
    // Two transactions that choose the same ids would fail. SQLite has one writer at a time.
    if let On::Postgres(db) = transaction.connection() {
        sqlx::query(POSTGRES_LOCK).execute(db).await?;
    }
    create(transaction, &wanted, LAST_SERIES, now).await?;
    // Searches by key, not by the new ids: another process may have created some of them in the meantime.
    find(transaction, &wanted, &mut found).await?;
    Ok(found)
}

async fn find<'a>(
    transaction: &mut Transaction,
    wanted: &BTreeMap<Key<'a>, i64>,
    found: &mut HashMap<Key<'a>, Series>,
) -> Result<()> {
    sql!(
        IN_SQLITE = "SELECT endpoint_id, region, id, maintenance_from, maintenance_until
        FROM report_series
        WHERE endpoint_id IN (SELECT value FROM json_each($1)) AND NOT forgotten"
    );
    sql!(
        IN_POSTGRES = "SELECT endpoint_id, region, id, maintenance_from, maintenance_until
        FROM report_series
        WHERE endpoint_id = ANY($1) AND NOT forgotten"
    );
    let endpoints: Vec<i64> = wanted.keys().map(|(endpoint, _)| *endpoint).collect();
    let rows: Vec<Row> = match transaction.connection() {
        On::Sqlite(db) => {
            let endpoints = serde_json::to_string(&endpoints).map_err(Error::internal)?;
            readable_by("endpoint_id", &sqlx::query(IN_SQLITE).bind(endpoints).fetch_all(db).await?)
        }
        On::Postgres(db) => {
            readable_by("endpoint_id", &sqlx::query(IN_POSTGRES).bind(endpoints).fetch_all(db).await?)
        }
    };
    let mut rows: HashMap<(i64, String), Series> = rows.into_iter().map(Row::series).collect();
    for (endpoint, region) in wanted.keys() {
        if let Some(series) = rows.remove(&(*endpoint, (*region).to_owned())) {
            found.insert((*endpoint, region), series);
        }
    }
    Ok(())
}

/// Creates series. Returns for how many of them an id was free.
async fn create(
    transaction: &mut Transaction,
    wanted: &BTreeMap<Key<'_>, i64>,
    last_id: i64,
    now: i64,
) -> Result<usize> {
    sql!(CREATE = "
        INSERT INTO report_series (id, user_id, endpoint_id, region) SELECT $4, $1, $2, $3
        WHERE NOT EXISTS (
            SELECT 1 FROM report_tombstones WHERE (what = 'user' AND id = $1) OR (what = 'endpoint' AND id = $2))
        ON CONFLICT (endpoint_id, region) DO NOTHING");
    if get(transaction, FULL_AT).await?.is_some_and(|at| (at..at + FULL_FOR).contains(&now)) {
        return Ok(0);
    }
    let given = get(transaction, GIVEN).await?.unwrap_or_default().min(last_id);
    let mut ids = free_ids(transaction, given..last_id, wanted.len()).await?;
    let more = wanted.len() - ids.len();
    ids.extend(free_ids(transaction, 0..given, more).await?);
    for (((endpoint, region), user), id) in wanted.iter().zip(&ids) {
        on!(transaction.connection(), db => {
            let create = sqlx::query(CREATE).bind(user).bind(endpoint).bind(region);
            create.bind(id).execute(db).await.map(drop)
        })?;
    }
    if let Some(last) = ids.last() {
        set(transaction, GIVEN, *last).await?;
    }
    if ids.len() < wanted.len() {
        let series = wanted.len() - ids.len();
        tracing::error!(series, "no id is left for a series: its results are not kept");
        set(transaction, FULL_AT, now).await?;
    }
    Ok(ids.len())
}

/// The last id that was assigned.
const GIVEN: &str = "series_given";
/// When no id was free.
const FULL_AT: &str = "series_full_at";

async fn get(transaction: &mut Transaction, name: &str) -> Result<Option<i64>> {
    sql!(GET = "SELECT value FROM report_state WHERE name = $1");
    Ok(on!(transaction.connection(), db => sqlx::query_scalar(GET).bind(name).fetch_optional(db).await)?)
}

async fn set(transaction: &mut Transaction, name: &str, value: i64) -> Result<()> {
    sql!(
        SET = "INSERT INTO report_state (name, value) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    );
    Ok(on!(transaction.connection(), db =>
        sqlx::query(SET).bind(name).bind(value).execute(db).await.map(drop))?)
}

/// The first free ids above the start of the range and up to its end, at most `wanted`.
async fn free_ids(transaction: &mut Transaction, range: Range<i64>, wanted: usize) -> Result<Vec<i64>> {
    /// Ids that are looked up together; usually all of the first ones are free.
    const STEP: i64 = 10_000;
    sql!(USED = "SELECT id FROM report_series WHERE id > $1 AND id <= $2");
    let (mut free, mut from) = (Vec::with_capacity(wanted), range.start);
    while free.len() < wanted && from < range.end {
        let until = (from + STEP).min(range.end);
        let used: Vec<i64> = on!(transaction.connection(), db =>
            sqlx::query_scalar(USED).bind(from).bind(until).fetch_all(db).await)?;
        let used: HashSet<i64> = used.into_iter().collect();
        let left = wanted - free.len();
        free.extend((from + 1..=until).filter(|id| !used.contains(id)).take(left));
        from = until;
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use runtime::Db;

    use super::*;

    async fn made(transaction: &mut Transaction, endpoints: Range<i64>, now: i64) -> Vec<i64> {
        let wanted: BTreeMap<Key<'_>, i64> = endpoints.map(|id| ((id, "r"), 1)).collect();
        let created = create(transaction, &wanted, 5, now).await.expect("creates");
        let mut found = HashMap::new();
        find(transaction, &wanted, &mut found).await.expect("finds");
        assert_eq!(found.len(), created);
        let mut ids: Vec<i64> = found.into_values().map(|series| series.id).collect();
        ids.sort_unstable();
        ids
    }

    #[tokio::test]
    async fn ids_go_round_and_none_has_two_series() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::at(&format!("sqlite:{}/db", folder.path().display()), 1).expect("a database");
        crate::migrate(&db, &runtime::Env::default()).await.expect("migrates");
        let mut transaction = db.begin().await.expect("begins");
        assert_eq!(made(&mut transaction, 1..4, 0).await, [1, 2, 3]);
        assert_eq!(made(&mut transaction, 4..7, 0).await, [4, 5], "and none is left for the third");
        assert_eq!(made(&mut transaction, 7..8, FULL_FOR).await, [0; 0]);
        for id in [1, 4] {
            let On::Sqlite(connection) = transaction.connection() else { panic!("SQLite") };
            let delete = sqlx::query("DELETE FROM report_series WHERE id = $1").bind(id);
            delete.execute(connection).await.expect("deletes");
        }
        let now = 2 * FULL_FOR;
        assert_eq!(made(&mut transaction, 8..9, now - 1).await, [0; 0], "they are not all looked at again");
        assert_eq!(made(&mut transaction, 8..9, now).await, [1]);
        assert_eq!(made(&mut transaction, 9..12, now).await, [4]);
    }
}
