//! Each scheduled time is handed out once; they are spread over the interval, never in a burst.

use std::{collections::HashSet, time::Duration};

use chrono::TimeDelta;
use contract::{CheckRequest, kind};
use functions::endpoints::claim::{Claimed, Claims};
use serde_json::json;

use crate::world::{Database, World, on_both};

async fn add(world: &World, count: usize, interval: i64) {
    for _ in 0..count {
        let body = json!({"url": "https://example.com", "interval_seconds": interval});
        world.call(Some(1), "POST", "/public/v1/endpoints", Some(body)).await.json(201);
    }
    // The first tick; from here on the schedule has them.
    world.clock().advance(Duration::from_secs(60));
    assert_eq!(claim(world, 65, 1000).await.missed, 0);
    world.clock().advance(Duration::from_secs(60));
}

/// The result of one claim.
struct Handed {
    items: Vec<CheckRequest>,
    endpoints: usize,
    missed: i64,
}

async fn lease(world: &World, ahead: i64, limit: i64) -> Claims {
    let until = world.clock().now() + TimeDelta::seconds(ahead);
    let body = json!({"until": until, "limit": limit});
    let answer = world.call(None, "POST", "/private/v1/endpoints/claim", Some(body)).await;
    serde_json::from_value(answer.json(200)).unwrap()
}

async fn confirm(world: &World, claims: &Claims) {
    let body = json!({"items": claims.items.iter().map(Claimed::confirmed).collect::<Vec<_>>()});
    world.call(None, "POST", "/private/v1/endpoints/claim/confirm", Some(body)).await.json(204);
}

/// Claims and confirms, as the schedule does.
async fn claim(world: &World, ahead: i64, limit: i64) -> Handed {
    let claims = lease(world, ahead, limit).await;
    confirm(world, &claims).await;
    let mut items = requests(&claims);
    items.sort_by_key(|request| request.scheduled_at);
    Handed { items, endpoints: claims.items.len(), missed: claims.items.iter().map(|c| c.missed).sum() }
}

fn requests(claims: &Claims) -> Vec<CheckRequest> {
    let requests = claims.items.iter().flat_map(|claimed| claimed.requests().unwrap());
    requests.map(|request| serde_json::from_str(request.json.get()).unwrap()).collect()
}

fn keys(items: &[CheckRequest]) -> HashSet<(i64, i64)> {
    items.iter().map(|request| (request.endpoint_id, request.scheduled_at.timestamp())).collect()
}

on_both! {
    async fn a_row_that_cannot_be_read_is_set_aside(world: World) {
        add(&world, 3, 60).await;
        let poison = "UPDATE endpoints SET assertions = '[{\"type\":\"of the future\"}]' WHERE id = 2";
        runtime::on!(world.context.db().unwrap().write(), db => sqlx::query(poison).execute(db).await.map(drop)).unwrap();
        // However little a claim takes at a time, it never looks as if nothing were due.
        let mut ids = HashSet::new();
        for _ in 0..2 {
            ids.extend(claim(&world, 65, 1).await.items.iter().map(|request| request.endpoint_id));
        }
        assert_eq!(ids, [1, 3].into());
        for (caller, path) in [(Some(1), "/public/v1/endpoints"), (None, "/private/v1/endpoints?user_id=1")] {
            let list = world.call(caller, "GET", path, None).await.json(200);
            let ids: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
            assert_eq!(ids.len(), 2, "{list}");
            assert!(!ids.contains(&json!(2)), "{list}");
        }
    }

    async fn a_clock_that_steps_forward_and_back_stops_nothing(world: World) {
        add(&world, 20, 60).await;
        let start = world.clock().now();
        claim(&world, 65, 1000).await;
        world.clock().set(start + TimeDelta::hours(2));
        claim(&world, 65, 1000).await;
        // A claimer that takes a lease and dies.
        world.clock().set(start + TimeDelta::hours(2) + TimeDelta::seconds(60));
        lease(&world, 65, 5).await;
        world.clock().set(start + TimeDelta::seconds(60));
        let claimed = claim(&world, 65, 1000).await;
        assert_eq!((claimed.endpoints, claimed.missed), (20, 0));
        let now = world.clock().now();
        assert!(claimed.items.iter().all(|r| (0..65).contains(&(r.scheduled_at - now).num_seconds())));
        world.clock().advance(Duration::from_secs(60));
        assert_eq!(claim(&world, 65, 1000).await.endpoints, 20, "and goes on");
    }

    async fn many_claimers_hand_out_each_scheduled_time_once(world: World) {
        add(&world, 60, 20).await;
        let mut seen = HashSet::new();
        for _ in 0..3 {
            let claims = futures::future::join_all((0..8).map(|_| claim(&world, 65, 13))).await;
            for claimed in claims {
                for key in keys(&claimed.items) {
                    assert!(seen.insert(key), "{key:?} twice");
                }
            }
            while claim(&world, 65, 1000).await.endpoints > 0 {}
            world.clock().advance(Duration::from_secs(60));
        }
        assert!(!seen.is_empty());
    }

    async fn scheduled_times_are_spread_and_keep_their_phase(world: World) {
        add(&world, 120, 60).await;
        let first = claim(&world, 65, 1000).await;
        assert_eq!((first.items.len(), first.missed), (120, 0));
        let seconds: HashSet<_> = first.items.iter().map(|r| r.scheduled_at.timestamp() % 60).collect();
        // 120 random values of 60: fewer than 30 different ones would not be a spread.
        assert!(seconds.len() > 30, "{}", seconds.len());
        assert!(first.items.is_sorted_by_key(|r| r.scheduled_at));
        world.clock().advance(Duration::from_secs(60));
        let second = claim(&world, 65, 1000).await;
        let later: HashSet<_> = keys(&first.items).into_iter().map(|(id, scheduled_at)| (id, scheduled_at + 60)).collect();
        assert_eq!(keys(&second.items), later);
    }

    async fn an_interval_below_a_minute_has_several_scheduled_times_in_a_tick(world: World) {
        add(&world, 1, 10).await;
        let times: Vec<_> = claim(&world, 65, 10).await.items.iter().map(|r| r.scheduled_at.timestamp()).collect();
        assert_eq!(times.len(), 6);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 10), "{times:?}");
    }

    async fn after_a_pause_it_resumes_at_the_present(world: World) {
        add(&world, 1, 60).await;
        assert_eq!(claim(&world, 65, 10).await.missed, 0);
        world.clock().advance(Duration::from_secs(3600));
        let resumed = claim(&world, 60, 10).await;
        let now = world.clock().now();
        assert!((57..=58).contains(&resumed.missed), "{}", resumed.missed);
        assert_eq!(resumed.items.iter().filter(|r| r.scheduled_at <= now).count(), 1, "a burst");
        assert!(resumed.items.len() <= 2);
        let shown = world.call(Some(1), "GET", "/public/v1/endpoints", None).await.json(200);
        assert_eq!(shown["items"][0]["missed_checks"], resumed.missed);
    }

    async fn what_is_paused_or_gone_is_not_due(world: World) {
        add(&world, 2, 60).await;
        world.call(Some(1), "PATCH", "/public/v1/endpoints/1", Some(json!({"enabled": false}))).await.json(200);
        world.call(Some(1), "DELETE", "/public/v1/endpoints/2", None).await.json(204);
        assert_eq!(claim(&world, 600, 10).await.endpoints, 0);
        world.clock().advance(Duration::from_secs(7200));
        world.call(Some(1), "PATCH", "/public/v1/endpoints/1", Some(json!({"enabled": true}))).await.json(200);
        world.clock().advance(Duration::from_secs(60));
        let resumed = claim(&world, 65, 10).await;
        assert_eq!((resumed.endpoints, resumed.missed), (1, 0), "a pause that was asked for is not a miss");
    }

    async fn what_was_not_confirmed_is_handed_out_again(world: World) {
        add(&world, 3, 60).await;
        let lost = lease(&world, 65, 1000).await;
        assert_eq!(lost.items.len(), 3);
        assert!(lease(&world, 65, 1000).await.items.is_empty(), "it is promised to somebody");
        // The claimer has died; the next minute's tick finds the same scheduled times.
        world.clock().advance(Duration::from_secs(60));
        let again = claim(&world, 65, 1000).await;
        let lost = keys(&requests(&lost));
        assert_eq!((again.endpoints, again.missed), (3, 0));
        assert!(lost.is_subset(&keys(&again.items)), "{lost:?} {:?}", keys(&again.items));
    }

    async fn a_claim_that_is_given_back_is_found_at_once(world: World) {
        add(&world, 3, 60).await;
        let give_back = async |claims: &Claims| {
            let items: Vec<_> = claims.items.iter().map(Claimed::returned).collect();
            let body = json!({ "items": items });
            world.call(None, "POST", "/private/v1/endpoints/claim/return", Some(body)).await.json(204);
        };
        let times = |claims: &Claims| {
            claims.items.iter().map(|c| (c.endpoint_id, c.times.clone(), c.missed)).collect::<HashSet<_>>()
        };
        let first = lease(&world, 65, 1000).await;
        give_back(&first).await;
        let second = lease(&world, 65, 1000).await;
        assert_eq!(times(&second), times(&first));
        // Also when the broker refuses it after the confirmation; checks missed before stay counted, once.
        world.clock().advance(Duration::from_secs(600));
        let third = lease(&world, 65, 1000).await;
        assert!(third.items.iter().all(|claimed| claimed.missed >= 8));
        confirm(&world, &third).await;
        give_back(&third).await;
        let fourth = lease(&world, 65, 1000).await;
        let scheduled_times_of = |claims: &Claims| claims.items.iter().map(|c| (c.endpoint_id, c.times.clone())).collect::<HashSet<_>>();
        assert_eq!(scheduled_times_of(&fourth), scheduled_times_of(&third));
        assert!(fourth.items.iter().all(|claimed| claimed.missed == 0));
        // Not after another claimer has continued.
        confirm(&world, &fourth).await;
        world.clock().advance(Duration::from_secs(60));
        let fifth = claim(&world, 65, 1000).await;
        give_back(&fourth).await;
        assert!(lease(&world, 65, 1000).await.items.is_empty());
        assert_eq!(fifth.endpoints, 3);
    }

    async fn what_is_leased_to_somebody_else_is_said(world: World) {
        add(&world, 4, 60).await;
        let poison = "UPDATE endpoints SET assertions = '[{\"type\":\"of the future\"}]' WHERE id = 2";
        runtime::on!(world.context.db().unwrap().write(), db => sqlx::query(poison).execute(db).await.map(drop)).unwrap();
        let first = lease(&world, 65, 1000).await;
        assert_eq!((first.items.len(), first.leased), (3, 0));
        let second = lease(&world, 65, 1000).await;
        assert_eq!((second.items.len(), second.leased), (0, 3), "without the row that nobody can read");
        confirm(&world, &first).await;
        assert_eq!(lease(&world, 65, 1000).await.leased, 0);
        // A lease ends before a failed Job is started again.
        world.clock().advance(Duration::from_secs(60));
        lease(&world, 65, 1000).await;
        world.clock().advance(Duration::from_secs(10));
        assert_eq!(lease(&world, 65, 1000).await.items.len(), 3);
    }

    async fn a_tick_that_cannot_ask_for_checks_fails_and_loses_none(world: World) {
        add(&world, 3, 60).await;
        // A separate batch for each.
        let apart = "UPDATE endpoints SET next_check_at = $1 + 10 * id";
        let now = world.clock().now().timestamp();
        runtime::on!(world.context.db().unwrap().write(), db => sqlx::query(apart).bind(now).execute(db).await.map(drop)).unwrap();
        let tick = async || world.request("check-schedule", None, "POST", "/", None).await;
        let asked = || {
            let events = std::mem::take(&mut *world.events.lock().unwrap());
            keys(&events.iter().flat_map(|sent| sent.data::<Vec<CheckRequest>>()).collect::<Vec<_>>())
        };
        asked();
        let all: HashSet<_> = (1..=3).map(|id| (id, now + 10 * id)).collect();
        // The broker accepts one batch, and then none.
        *world.broker_takes.lock().unwrap() = Some(1);
        assert_eq!(tick().await.code(503), "UNAVAILABLE");
        let some = asked();
        assert_eq!(some.len(), 1);
        *world.broker_takes.lock().unwrap() = None;
        tick().await.json(200);
        let rest = asked();
        assert!(some.union(&rest).copied().collect::<HashSet<_>>().is_superset(&all), "{some:?} {rest:?}");
        // After a killed tick, the next one reports that it has not done everything that was due.
        world.clock().advance(Duration::from_secs(60));
        assert_eq!(lease(&world, 65, 1000).await.items.len(), 3);
        assert_eq!(tick().await.code(503), "UNAVAILABLE");
        world.clock().advance(Duration::from_secs(10));
        assert_eq!(tick().await.json(200)["missed"], 0);
        assert!(asked().len() >= 3);
    }

    async fn a_late_confirmation_changes_nothing(world: World) {
        add(&world, 1, 60).await;
        let late = lease(&world, 65, 10).await;
        world.clock().advance(Duration::from_secs(60));
        let taken = claim(&world, 65, 10).await;
        confirm(&world, &late).await;
        world.clock().advance(Duration::from_secs(60));
        let next = claim(&world, 65, 10).await;
        assert!(keys(&taken.items).is_disjoint(&keys(&next.items)));
        assert_eq!(next.missed, 0);
    }

    async fn large_targets_are_handed_out_in_pieces(world: World) {
        for n in 0..70 {
            let body = json!({"url": "https://example.com", "config": {"body": "x".repeat(64 * 1024)}});
            world.call(Some(1 + n % 2), "POST", "/public/v1/endpoints", Some(body)).await.json(201);
        }
        world.clock().advance(Duration::from_secs(120));
        let mut pieces = vec![];
        loop {
            let claims = lease(&world, 65, 1000).await;
            if claims.items.is_empty() {
                break;
            }
            assert!(serde_json::to_vec(&claims).unwrap().len() < 4 * 1024 * 1024);
            pieces.push(claims.items.len());
        }
        assert!(pieces.len() >= 3 && pieces.iter().sum::<usize>() == 70, "{pieces:?}");
    }

    async fn a_claim_is_bounded(world: World) {
        let claim = async |body| world.call(None, "POST", "/private/v1/endpoints/claim", Some(body)).await;
        assert!(claim(json!({"until": "2126-01-01T00:00:00Z", "limit": 10})).await.json(400)["fields"]["until"].is_string());
        assert!(claim(json!({"until": "2026-03-01T12:00:00Z", "limit": 0})).await.json(400)["fields"]["limit"].is_string());
        assert!(claim(json!({"until": "yesterday", "limit": 1})).await.json(400)["fields"]["until"].is_string());
    }
}

/// A deadlock would be answered with an error.
#[tokio::test(flavor = "multi_thread")]
async fn claims_deletions_and_results_at_once_never_wait_in_a_circle() {
    let world = World::new(Database::Postgres).await;
    for user in 1..=20 {
        let mut ids = Vec::new();
        for _ in 0..20 {
            let body = json!({"url": "https://example.com", "interval_seconds": 60});
            let added = world.call(Some(user), "POST", "/public/v1/endpoints", Some(body)).await.json(201);
            ids.push(added["id"].as_i64().unwrap());
        }
        // The physical order of the rows differs from the order of their ids.
        for id in ids.iter().rev() {
            let mix = "UPDATE endpoints SET next_check_at = next_check_at + 1 WHERE id = $1";
            sqlx::query(mix).bind(id).execute(world.pool()).await.unwrap();
        }
        let (from, to) =
            (world.clock().now() - TimeDelta::hours(2), world.clock().now() + TimeDelta::hours(1));
        let plan = json!({"title": "t", "starts_at": from, "ends_at": to, "endpoint_ids": ids});
        let planned = world.call(Some(user), "POST", "/public/v1/maintenances", Some(plan)).await.json(201);
        let path = format!("/public/v1/maintenances/{}", planned["id"]);
        lease(&world, 60, 1000).await;
        // A claim with a clock that was set back changes every row.
        world.clock().set(world.clock().now() - TimeDelta::hours(1));
        let results: Vec<_> = ids.iter().map(|id| crate::notifications::result(*id, user, 0, true)).collect();
        let gone = contract::EndpointDeleted { endpoint_id: ids[9], user_id: user };
        let deleted = contract::UserDeleted { user_id: user };
        tokio::join!(
            async { world.event("endpoint-observe", kind::CHECK_COMPLETED, "o", &results).await.json(202) },
            async { world.event("endpoint-forget", kind::ENDPOINT_DELETED, "e", &gone).await.json(202) },
            lease(&world, 60, 1000),
            async {
                let answer = world.call(Some(user), "PATCH", &path, Some(json!({"title": "u"}))).await;
                assert!([200, 404].contains(&answer.status.as_u16()), "{answer:?}");
            },
            async { world.event("endpoint-forget", kind::USER_DELETED, "u", &deleted).await.json(202) },
            async { world.event("endpoint-observe", kind::CHECK_COMPLETED, "p", &results).await.json(202) },
        );
        world.clock().set(world.clock().now() + TimeDelta::hours(2));
    }
}
