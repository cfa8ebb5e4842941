//! The tables are the same on both databases.

use std::collections::BTreeSet;

use runtime::db::On;

use crate::world::{Database, World};

/// Columns of tables and views, indexes, unique columns and references, one in each line.
const SQLITE: [&str; 5] = [
    r#"SELECT m.name || '.' || c.name || ' ' || c.type || CASE WHEN c."notnull" OR c.pk THEN ' NOT NULL' ELSE '' END
        FROM sqlite_master m, pragma_table_info(m.name) c
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '\_sqlx%' ESCAPE '\'"#,
    "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'view'",
    "SELECT tbl_name || ' ' || name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite%'",
    "SELECT m.name || ' UNIQUE ' || (SELECT GROUP_CONCAT(c.name) FROM pragma_index_info(i.name) c)
        FROM sqlite_master m, pragma_index_list(m.name) i
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND i.origin = 'u'",
    "SELECT m.name || '.' || f.\"from\" || ' -> ' || f.\"table\" || ' ' || f.on_delete
        FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'",
];
const POSTGRES: [&str; 5] = [
    r"SELECT t.relname || '.' || c.attname || ' ' || CASE format_type(c.atttypid, NULL)
            WHEN 'bigint' THEN 'INTEGER' WHEN 'integer' THEN 'INTEGER' WHEN 'bytea' THEN 'BLOB'
            WHEN 'timestamp with time zone' THEN 'TEXT' ELSE UPPER(format_type(c.atttypid, NULL)) END
            || CASE WHEN c.attnotnull THEN ' NOT NULL' ELSE '' END
        FROM pg_attribute c JOIN pg_class t ON t.oid = c.attrelid
        WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition
            AND c.attnum > 0 AND NOT c.attisdropped AND t.relname NOT LIKE '\_sqlx%'",
    "SELECT t.relname || '.' || c.attname FROM pg_attribute c JOIN pg_class t ON t.oid = c.attrelid
        WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'v' AND c.attnum > 0",
    r"SELECT tablename || ' ' || indexname FROM pg_indexes
        WHERE schemaname = 'public' AND tablename NOT LIKE '\_sqlx%' AND indexname NOT LIKE '%\_pkey'
            AND indexname NOT LIKE '%\_key'",
    "SELECT t.relname || ' UNIQUE ' || (SELECT STRING_AGG(c.attname, ',' ORDER BY k.n)
            FROM UNNEST(u.conkey) WITH ORDINALITY k (attnum, n)
            JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum = k.attnum)
        FROM pg_constraint u JOIN pg_class t ON t.oid = u.conrelid
        WHERE u.contype = 'u' AND t.relnamespace = 'public'::regnamespace",
    "SELECT t.relname || '.' || c.attname || ' -> ' || f.confrelid::regclass || ' ' ||
            CASE f.confdeltype WHEN 'c' THEN 'CASCADE' ELSE 'NO ACTION' END
        FROM pg_constraint f JOIN pg_class t ON t.oid = f.conrelid
        JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum = f.conkey[1]
        WHERE f.contype = 'f' AND t.relnamespace = 'public'::regnamespace",
];

async fn schema(database: Database) -> BTreeSet<String> {
    let world = World::new(database).await;
    let mut lines = BTreeSet::new();
    for part in 0..SQLITE.len() {
        let found: Vec<String> = match world.context.db().unwrap().read() {
            On::Sqlite(db) => sqlx::query_scalar(SQLITE[part]).fetch_all(db).await.unwrap(),
            On::Postgres(db) => sqlx::query_scalar(POSTGRES[part]).fetch_all(db).await.unwrap(),
        };
        assert!(!found.is_empty(), "{}", SQLITE[part]);
        lines.extend(found);
    }
    lines
}

#[tokio::test]
async fn both_databases_have_the_same_schema() {
    let (sqlite, postgres) = (schema(Database::Sqlite).await, schema(Database::Postgres).await);
    let only_here: Vec<_> = sqlite.difference(&postgres).collect();
    let only_there: Vec<_> = postgres.difference(&sqlite).collect();
    assert_eq!((only_here, only_there), (Vec::new(), Vec::new()), "SQLite's alone, PostgreSQL's alone");
}
