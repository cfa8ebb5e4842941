//! On PostgreSQL a function logs in as a role that has only its own resource's tables. That they have
//! all that they need, every other test on PostgreSQL shows.

use functions::roles::{ROLES, Role};
use sqlx::{Connection, PgConnection, PgPool};

use crate::world::{Database, World};

fn pool(world: &World) -> &PgPool {
    match world.context.db().unwrap() {
        runtime::Db::Postgres(pool) => pool,
        runtime::Db::Sqlite { .. } => unreachable!("asked for PostgreSQL"),
    }
}

async fn tables(world: &World, patterns: &[&str]) -> Vec<String> {
    const TABLES: &str = "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public'
        AND tablename NOT LIKE '\\_sqlx%' AND tablename LIKE ANY ($1) ORDER BY tablename";
    sqlx::query_scalar(TABLES).bind(patterns).fetch_all(pool(world)).await.unwrap()
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
    let world = World::new(Database::Postgres).await;
    let (db, env) = (world.context.db().unwrap(), world.context.env());
    world
        .call(
            Some(1),
            "POST",
            "/public/v1/endpoints",
            Some(serde_json::json!({"url": "https://example.com"})),
        )
        .await
        .json(201);
    let again = (0..4).map(|_| functions::migrate(db, env));
    futures::future::try_join_all(again).await.unwrap();
    world.call(Some(1), "GET", "/public/v1/endpoints/1", None).await.json(200);

    const HASH: &str = "SELECT rolpassword FROM pg_authid WHERE rolname = $1";
    let users = &ROLES[0];
    let url = env.get(&users.setting()).unwrap();
    let name = url::Url::parse(url).unwrap().username().to_owned();
    let hash =
        async || sqlx::query_scalar::<_, String>(HASH).bind(&name).fetch_one(pool(&world)).await.unwrap();
    let before = hash().await;
    let changed = url.replace("word", "other");
    assert_ne!(changed, url);
    functions::migrate(db, &env.with([(users.setting(), changed)])).await.unwrap();
    assert_ne!(hash().await, before);
}

#[tokio::test]
async fn a_url_that_is_none_is_named_without_its_password() {
    let world = World::new(Database::Postgres).await;
    let env = world.context.env().with([("DATABASE_URL_USERS".to_owned(), "postgres//secret".to_owned())]);
    let error = functions::migrate(world.context.db().unwrap(), &env).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("DATABASE_URL_USERS is not acceptable") && !said.contains("secret"), "{said}");
}
