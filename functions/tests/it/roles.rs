//! On PostgreSQL a function logs in with a role that can access only its own resource's tables. Every other
//! test on PostgreSQL shows that these rights are sufficient.

use functions::roles::{ROLES, Role};
use sqlx::{Connection, PgConnection};

use crate::world::{Database, World};

async fn tables(world: &World, patterns: &[&str]) -> Vec<String> {
    const TABLES: &str = "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public'
        AND tablename NOT LIKE '\\_sqlx%' AND tablename LIKE ANY ($1) ORDER BY tablename";
    sqlx::query_scalar(TABLES).bind(patterns).fetch_all(world.pool()).await.unwrap()
}

async fn with_an_endpoint() -> World {
    let world = World::new(Database::Postgres).await;
    let endpoint = serde_json::json!({"url": "https://example.com"});
    world.call(Some(1), "POST", "/public/v1/endpoints", Some(endpoint)).await.json(201);
    world
}

async fn login(world: &World, role: &Role) -> PgConnection {
    let url = world.context.env().get(&role.setting()).unwrap().to_owned();
    PgConnection::connect(&url).await.unwrap()
}

#[tokio::test]
async fn each_table_is_one_roles_own() {
    let world = World::new(Database::Postgres).await;
    let all = tables(&world, &["%"]).await;
    let mut shared_out = Vec::new();
    for role in ROLES {
        let own = tables(&world, role.tables).await;
        let mut db = login(&world, role).await;
        for table in &all {
            let select = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let read = sqlx::query_scalar::<_, i64>(select).fetch_one(&mut db).await;
            assert_eq!(read.is_ok(), own.contains(table), "{} reads {table}: {read:?}", role.name);
        }
        shared_out.extend(own);
    }
    shared_out.sort_unstable();
    assert_eq!(shared_out, all);
}

#[tokio::test]
async fn every_function_with_a_database_has_a_role() {
    for function in functions::ALL {
        assert_eq!(Role::of(function).is_some(), function.uses_database, "{}", function.name);
    }
}

#[tokio::test]
async fn migrating_again_and_at_once_changes_nothing_but_passwords() {
    let world = with_an_endpoint().await;
    let (db, env) = (world.context.db().unwrap(), world.context.env());
    let again = (0..4).map(|_| functions::migrate(db, env));
    futures::future::try_join_all(again).await.unwrap();
    world.call(Some(1), "GET", "/public/v1/endpoints/1", None).await.json(200);

    const HASH: &str = "SELECT rolpassword FROM pg_authid WHERE rolname = $1";
    let users = &ROLES[0];
    let url = env.get(&users.setting()).unwrap();
    let name = url::Url::parse(url).unwrap().username().to_owned();
    let hash =
        async || sqlx::query_scalar::<_, String>(HASH).bind(&name).fetch_one(world.pool()).await.unwrap();
    let before = hash().await;
    let changed = url.replace("word", "other");
    assert_ne!(changed, url);
    functions::migrate(db, &env.with([(users.setting(), changed)])).await.unwrap();
    assert_ne!(hash().await, before);
}

/// The state between a migration and its grants, with the previous release's functions.
#[tokio::test]
async fn endpoints_come_and_go_without_a_right_to_their_count() {
    let world = with_an_endpoint().await;
    let role = ROLES.iter().find(|role| role.name == "endpoints").unwrap();
    let mut db = login(&world, role).await;
    let name: String = sqlx::query_scalar("SELECT CURRENT_USER::TEXT").fetch_one(&mut db).await.unwrap();
    let revoke = sqlx::AssertSqlSafe(format!("REVOKE ALL ON endpoint_counts FROM \"{name}\""));
    sqlx::query(revoke).execute(world.pool()).await.unwrap();
    const COUNT: &str = "SELECT endpoints FROM endpoint_counts WHERE user_id = 1";
    sqlx::query_scalar::<_, i64>(COUNT).fetch_one(&mut db).await.unwrap_err();
    sqlx::query("DELETE FROM endpoints").execute(&mut db).await.unwrap();
    let left: i64 = sqlx::query_scalar(COUNT).fetch_one(world.pool()).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_url_that_is_none_is_named_without_its_password() {
    let world = World::new(Database::Postgres).await;
    let env = world.context.env().with([("DATABASE_URL_USERS".to_owned(), "postgres//secret".to_owned())]);
    let error = functions::migrate(world.context.db().unwrap(), &env).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("DATABASE_URL_USERS is invalid") && !said.contains("secret"), "{said}");
}

/// The recovery that docs/database.md describes.
#[tokio::test]
async fn a_backup_is_restored_with_its_roles() {
    use chrono::TimeDelta;
    let world = with_an_endpoint().await;
    let result = crate::reports::up(crate::reports::ANNS, world.clock().now() - TimeDelta::minutes(1), 5);
    world.record(&[result]).await;
    let before = world.call(Some(crate::reports::ANN), "GET", "/public/v1/reports", None).await.json(200);
    assert_eq!(before["page"]["total_count"], 1);

    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("pongpong.dump");
    let url = world.context.env().get("DATABASE_URL").unwrap().to_owned();
    program("pg_dump", &["--format=custom", "--no-owner", "--no-privileges", "--dbname", &url], &dump).await;
    let restored = crate::world::new_postgres_database().await;
    program("pg_restore", &["--no-owner", "--exit-on-error", "--dbname", &restored], &dump).await;

    let env = world.context.env().with([("DATABASE_URL".to_owned(), restored.clone())]);
    let owner = runtime::Db::at(&restored, 4).unwrap();
    functions::migrate(&owner, &env).await.unwrap();
    let (_, name) = restored.rsplit_once('/').unwrap();
    for role in ROLES {
        // The same roles, in the restored database.
        let mut url = url::Url::parse(env.get(&role.setting()).unwrap()).unwrap();
        url.set_path(name);
        let mut db = PgConnection::connect(url.as_str()).await.unwrap();
        if role.name == "reports" {
            let results: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM report_results").fetch_one(&mut db).await.unwrap();
            assert_eq!(results, 1);
            // As for the next day's first result.
            let next = "CREATE TABLE report_results_d99999 PARTITION OF report_results
                FOR VALUES FROM (9000000000000000000) TO (9000000000000000001)";
            sqlx::raw_sql(next).execute(&mut db).await.unwrap();
        }
    }
}

/// Runs one of PostgreSQL's programs, with this file as its output or input.
async fn program(name: &str, arguments: &[&str], file: &std::path::Path) {
    let mut command = tokio::process::Command::new(crate::world::postgres_program(name));
    command.args(arguments);
    if name == "pg_dump" {
        command.arg("--file");
    }
    let output = command.arg(file).output().await.unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}
