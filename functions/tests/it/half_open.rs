//! Connections to PostgreSQL whose peer has disappeared, and locks that are never released.

use std::{net::SocketAddr, time::Duration};

use runtime::{Db, db::On, on};
use sqlx::{Connection, PgConnection};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::world::new_postgres_database;

/// A proxy that can freeze its open connections; new ones work.
struct Freezer {
    url: String,
    generation: watch::Sender<u64>,
}

impl Freezer {
    async fn new(url: &str) -> Self {
        let mut url = url::Url::parse(url).unwrap();
        let to = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let to: SocketAddr = tokio::net::lookup_host(to).await.unwrap().next().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let generation = watch::Sender::new(0);
        let frozen = generation.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut frozen = frozen.clone();
                frozen.mark_unchanged();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        // Both ends stay open, and no data passes.
                        _ = frozen.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url: url.into(), generation }
    }

    fn freeze(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

async fn ask(db: &Db) -> bool {
    let asked = on!(db.read(), db => sqlx::query("SELECT 1").execute(db).await.map(drop));
    asked.is_ok()
}

#[tokio::test]
async fn frozen_connections_are_replaced_under_load() {
    let freezer = Freezer::new(&new_postgres_database().await).await;
    let db = Db::at(&freezer.url, 2).unwrap();
    let mut load = JoinSet::new();
    for _ in 0..8 {
        let db = db.clone();
        load.spawn(async move {
            loop {
                // Like a client that gives up.
                let _ = tokio::time::timeout(Duration::from_secs(1), ask(&db)).await;
                tokio::task::yield_now().await;
            }
        });
    }
    // Alternating with the load, so that the load is under way.
    for _ in 0..50 {
        assert!(ask(&db).await);
    }
    freezer.freeze();
    let again =
        async { while !tokio::time::timeout(Duration::from_secs(1), ask(&db)).await.unwrap_or(false) {} };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("new connections are made");
    load.shutdown().await;
    tokio::time::timeout(Duration::from_secs(5), db.close()).await.expect("closes in time");
}

#[tokio::test]
async fn frozen_idle_connections_cost_one_ping() {
    let freezer = Freezer::new(&new_postgres_database().await).await;
    let db = Db::at(&freezer.url, 1).unwrap();
    assert!(ask(&db).await);
    // Longer than a connection is trusted without a ping, which sqlx measures by the system's clock.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    freezer.freeze();
    let answered = tokio::time::timeout(Duration::from_secs(4), ask(&db)).await;
    assert_eq!(answered, Ok(true));
}

#[tokio::test]
async fn locked_row_is_waited_for_a_while_only() {
    let url = new_postgres_database().await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (id INT); INSERT INTO t VALUES (1)").execute(&mut other).await.unwrap();
    let mut holds = other.begin().await.unwrap();
    sqlx::raw_sql("SELECT * FROM t FOR UPDATE").execute(&mut *holds).await.unwrap();
    let db = Db::at(&url, 1).unwrap();
    let update =
        async { on!(db.write(), db => sqlx::query("UPDATE t SET id = 2").execute(db).await.map(drop)) };
    let refused = tokio::time::timeout(Duration::from_secs(10), update).await.expect("in time").unwrap_err();
    assert_eq!(runtime::Error::from(refused).status(), 503);
    let timeout: String = match &db {
        Db::Postgres(pool) => sqlx::query_scalar("SHOW statement_timeout").fetch_one(pool).await.unwrap(),
        Db::Sqlite { .. } => unreachable!(),
    };
    assert_eq!(timeout, "1min");
}

#[tokio::test]
async fn idle_connections_are_closed_but_not_by_the_task_of_sqlx() {
    let db = Db::at(&new_postgres_database().await, 3).unwrap();
    let On::Postgres(pool) = db.read() else { panic!("PostgreSQL") };
    assert_eq!((pool.options().get_idle_timeout(), pool.options().get_max_lifetime()), (None, None));
    let held = pool.acquire().await.unwrap();
    drop(tokio::join!(pool.acquire(), pool.acquire()));
    // They are returned in the background.
    while pool.num_idle() < 2 {
        tokio::task::yield_now().await;
    }
    runtime::db::close_idle(pool).await;
    assert_eq!((pool.size(), pool.num_idle()), (1, 0));
    drop(held);
    assert!(ask(&db).await);
}
