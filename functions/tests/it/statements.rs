//! Every SQL statement is valid on its database.

use runtime::{db::On, sql::STATEMENTS};
use sqlx::{Executor, SqlSafeStr};

use crate::world::{Database, World};

/// Errors that only say that PostgreSQL would take the types of parameters from their values.
const INDETERMINATE: [&str; 2] = ["42P08", "42P18"];

#[tokio::test]
async fn every_statement_is_prepared_on_its_databases() {
    assert!(STATEMENTS.len() > 300, "{}", STATEMENTS.len());
    let (sqlite, postgres) = (World::new(Database::Sqlite).await, World::new(Database::Postgres).await);
    let (sqlite, postgres) = (sqlite.context.db().unwrap(), postgres.context.db().unwrap());
    let (On::Sqlite(sqlite), On::Postgres(postgres)) = (sqlite.write(), postgres.write()) else {
        panic!("a world for each")
    };
    let mut refused = Vec::new();
    for statement in STATEMENTS {
        let mut refuse = |database: &str, error: sqlx::Error| {
            let is_untyped = error
                .as_database_error()
                .and_then(|e| e.code())
                .is_some_and(|code| INDETERMINATE.contains(&&*code));
            if !is_untyped {
                refused.push(format!("{}:{} on {database}: {error}", statement.file, statement.line));
            }
        };
        if !statement.name.contains("POSTGRES")
            && let Err(error) = sqlite.prepare(statement.text.into_sql_str()).await
        {
            refuse("SQLite", error);
        }
        if !statement.name.contains("SQLITE")
            && let Err(error) = postgres.prepare(statement.text.into_sql_str()).await
        {
            refuse("PostgreSQL", error);
        }
    }
    assert_eq!(refused, Vec::<String>::new());
}
