//! Lists leave out unreadable rows and report their number; all other rows stay, and so do the pages.

use contract::{CheckResult, Status, StatusChange, kind};
use serde_json::{Value, json};

use crate::{
    notifications::result,
    world::{Database, World, on_both},
};

/// The items of all pages, with one item per page: ids, number of unreadable rows, total count.
async fn pages(world: &World, path: &str) -> (Vec<Value>, i64, i64) {
    let (mut ids, mut unreadable) = (Vec::new(), 0);
    for page in 1.. {
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}per_page=1&page={page}");
        let user = path.starts_with("/public").then_some(1);
        let list = world.call(user, "GET", &path, None).await.json(200);
        ids.extend(list["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        unreadable += list["page"]["unreadable_count"].as_i64().unwrap_or_default();
        let total = list["page"]["total_count"].as_i64().unwrap();
        if page >= total {
            return (ids, unreadable, total);
        }
    }
    unreachable!()
}

async fn run(world: &World, sql: &'static str) {
    let db = world.context.db().unwrap();
    runtime::on!(db.write(), db => sqlx::query(sql).execute(db).await.map(drop)).unwrap();
}

/// Of three rows the second is left out.
async fn leaves_one_out(world: &World, path: &str) {
    let (mut ids, unreadable, total) = pages(world, path).await;
    ids.sort_by_key(Value::as_i64);
    assert_eq!((&ids[..], unreadable, total), (&[json!(1), json!(3)][..], 1, 3), "{path}");
}

on_both! {
    async fn rows_that_cannot_be_read_are_counted_apart(world: World) {
        let make = async |path: &str, body: Value| world.call(Some(1), "POST", path, Some(body)).await.json(201);
        for n in 1..=3 {
            make("/public/v1/endpoints", json!({"url": "https://example.com", "name": format!("e{n}")})).await;
            let channel = json!({"name": format!("n{n}"), "kind": "webhook", "config": {"url": "https://x.test"}});
            make("/public/v1/notifications", channel).await;
            make("/public/v1/status_pages", json!({"slug": format!("page-{n}"), "title": "Shop"})).await;
            let text = json!({"status_page_id": 1, "title": "Hello", "text": "there", "severity": "info"});
            make("/public/v1/announcements", text).await;
            make("/public/v1/maintenances", json!({"title": "Upgrade", "ends_at": "2026-03-02T00:00:00Z"})).await;
        }
        leaves_none_out(&world, "/public/v1/endpoints").await;
        for poison in [
            "UPDATE endpoints SET assertions = '[{\"type\":\"of the future\"}]' WHERE id = 2",
            "UPDATE notifications SET kind = 'of the future' WHERE id = 2",
            "UPDATE status_announcements SET severity = 'of the future' WHERE id = 2",
        ] {
            run(&world, poison).await;
        }
        for path in [
            "/public/v1/endpoints",
            "/public/v1/endpoints?q=e",
            "/private/v1/endpoints?user_id=1",
            "/public/v1/notifications",
            "/private/v1/notifications",
            "/public/v1/announcements",
        ] {
            leaves_one_out(&world, path).await;
        }
    }
}

async fn leaves_none_out(world: &World, path: &str) {
    let list = world.call(Some(1), "GET", path, None).await.json(200);
    assert_eq!(list["page"], json!({"current_page": 1, "total_count": 3, "per_page": 20}));
}

/// Values of the wrong type; PostgreSQL cannot store any.
#[tokio::test]
async fn values_of_the_wrong_kind_are_counted_apart() {
    let world = World::new(Database::Sqlite).await;
    const THREE: &str = "FROM (SELECT 1 AS n, '2026-03-01 12:00:00+00:00' AS t UNION SELECT 2, 'never' \
        UNION SELECT 3, '2026-03-01 12:00:00+00:00')";
    for insert in [
        "users (id, email, password_hash, activated_at, created_at, updated_at) SELECT n, n, '', t, t, t",
        "user_keys (id, user_id, credential_id, name, created_at) SELECT n, 1, n, n, t",
        "status_badges (id, user_id, endpoint_id, token, created_at) SELECT n, 1, n, n, t",
        "dead_letters (id, source, event_id, kind, destination, headers, body, received_at) \
            SELECT n, n, n, n, n, '[]', X'', t",
        "report_incidents (id, user_id, endpoint_id, started_at, ended_at) \
            SELECT n, 1, n, '2026-03-01 12:00:00+00:00', t",
    ] {
        let db = world.context.db().unwrap();
        let insert = sqlx::AssertSqlSafe(format!("INSERT INTO {insert} {THREE}"));
        runtime::on!(db.write(), db => sqlx::query(insert).execute(db).await.map(drop)).unwrap();
    }
    for path in [
        "/private/v1/users",
        "/public/v1/keys",
        "/public/v1/badges",
        "/private/v1/dead_letters",
        "/public/v1/incidents",
    ] {
        leaves_one_out(&world, path).await;
    }
}

#[tokio::test]
async fn a_row_of_the_wrong_kind_keeps_no_other_of_its_batch_from_being_handled() {
    let world = World::new(Database::Sqlite).await;
    let batch = [1, 2].map(|endpoint| CheckResult { failure_threshold: 1, ..result(endpoint, 1, 0, false) });
    for insert in [
        "INSERT INTO notification_states (endpoint_id, user_id, status, run, last_scheduled_at) VALUES (1, 1, 'up', 0, 'never')",
        "INSERT INTO report_series (id, user_id, endpoint_id, region, maintenance_from) VALUES (7, 1, 1, 'default', 'never')",
    ] {
        run(&world, insert).await;
    }
    let evaluated = world.event("notification-evaluate", kind::CHECK_COMPLETED, "a", &batch).await;
    let changes: Vec<StatusChange> = evaluated.reply().expect("a change").data();
    let down = changes.iter().filter(|change| change.to == Status::Down).map(|change| change.endpoint_id);
    assert_eq!(down.collect::<Vec<_>>(), [2]);
    let recorded = world.event("report-record", kind::CHECK_COMPLETED, "a", &batch).await;
    assert!(recorded.status.is_success(), "{recorded:?}");
    let list = world.call(Some(1), "GET", "/public/v1/reports", None).await.json(200);
    let stored: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["endpoint_id"]).collect();
    assert_eq!(stored, [2], "{list}");
}
