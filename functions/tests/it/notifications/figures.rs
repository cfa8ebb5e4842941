//! How much one CPU-second evaluates, the database's own share included:
//! `functions/tests/with-services cargo test --release -p functions --test it -- --ignored --nocapture figures`

use functions::contract::{CheckResult, kind};
use runtime::{Outgoing, db::On};

use super::result;
use crate::world::{Database, Sent, World};

const ENDPOINTS: i64 = 10_000;
const SLOTS: i64 = 20;

/// CPU time of a process, in seconds.
fn cpu(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

async fn cpu_in_all(world: &World) -> (f64, f64) {
    let own = cpu("self");
    let On::Postgres(pool) = world.context.db().unwrap().read() else { return (own, 0.0) };
    let select = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()";
    let backends: Vec<i32> = sqlx::query_scalar(select).fetch_all(pool).await.unwrap();
    (own, backends.iter().map(|pid| cpu(&pid.to_string())).sum())
}

fn batches(slot: i64) -> Vec<Sent> {
    let results: Vec<CheckResult> = (1..=ENDPOINTS).map(|id| result(id, 1 + id / 10, slot, true)).collect();
    let event = |(at, batch): (usize, &[CheckResult])| {
        let id = format!("{slot}-{at}");
        let event = Outgoing::new("check-run", kind::CHECK_COMPLETED, id, super::at(slot), batch).unwrap();
        let (parts, body) = event.into_request().unwrap().into_parts();
        Sent { headers: parts.headers, body }
    };
    results.chunks(1000).enumerate().map(event).collect()
}

async fn measure(database: Database) {
    let world = World::new(database).await;
    for batch in batches(0) {
        world.deliver("notification-evaluate", &batch).await;
    }
    let events: Vec<_> = (1..=SLOTS).flat_map(batches).collect();
    let (own, server) = cpu_in_all(&world).await;
    for event in &events {
        assert_eq!(world.deliver("notification-evaluate", event).await.status, 202);
    }
    let after = cpu_in_all(&world).await;
    let (own, server) = (after.0 - own, after.1 - server);
    let count = (ENDPOINTS * SLOTS) as f64;
    println!(
        "{database:?}: {:.0} results per CPU-second, {:.2} us each of its own and {:.2} us of the server's",
        count / (own + server),
        own / count * 1e6,
        server / count * 1e6,
    );
}

#[tokio::test]
#[ignore = "a measurement"]
async fn on_sqlite() {
    measure(Database::Sqlite).await;
}

#[tokio::test]
#[ignore = "a measurement"]
async fn on_postgres() {
    measure(Database::Postgres).await;
}
