//! Messages when most checks of a region begin to fail at once.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use chrono::DateTime;
use contract::{CheckRequest, CheckResult, CheckStatus, Failure, FailureCode, UserDeleted, kind};
use runtime::{Outgoing, on};
use serde_json::{Value, json};

use super::{at, result};
use crate::{
    collector::Collector,
    listener::Listener,
    process::{Running, function},
    world::{Database, Sent, World, on_both},
};

/// Endpoints 101, 102 and so on belong to user 1, 201 and so on to user 2.
fn with_users(world: &World) {
    world.with_endpoints_of(|id| Some(id / 100));
}

/// Results of a user's first endpoints, some of which fail.
fn batch(user: i64, count: i64, minute: i64, fails: impl Fn(i64) -> bool) -> Vec<CheckResult> {
    let failure = || Failure { code: FailureCode::ConnectTimeout, message: "No answer in time".into() };
    let of = |n: i64| {
        let mut result = result(user * 100 + n, user, minute, !fails(n));
        result.outcome.error = fails(n).then(failure);
        result
    };
    (1..=count).map(of).collect()
}

/// Processes a batch and everything that follows, up to the last message.
async fn check(world: &World, results: Vec<CheckResult>) {
    let newest = results.iter().map(|r| r.scheduled_at).max().unwrap();
    while world.clock().now() < newest {
        world.clock().advance(Duration::from_secs(60));
    }
    let first = &results[0];
    let id = format!("{}/{}", first.endpoint_id, first.scheduled_at);
    let answer = world.event("notification-evaluate", kind::CHECK_COMPLETED, &id, &results).await;
    assert!(answer.status.is_success(), "{answer:?}");
    world.events.lock().unwrap().extend(answer.reply());
    world.settle().await;
}

/// The messages to a webhook since the last call, sorted by kind, and their endpoints.
fn told(hook: &Listener) -> Vec<(String, i64)> {
    let of = |data: Value| (data["what"].as_str().unwrap().to_owned(), data["endpoint_id"].as_i64().unwrap());
    let mut told: Vec<_> = hook.asked().iter().map(|asked| of(asked.json()["data"].clone())).collect();
    told.sort();
    told
}

fn all(what: &str, ids: impl IntoIterator<Item = i64>) -> Vec<(String, i64)> {
    ids.into_iter().map(|id| (what.to_owned(), id)).collect()
}

const OUTAGE: &str = "region_outage";
const WORKS: &str = "region_recovered";
const STILL_FAILS: &str = "region_still_failing";

async fn incidents(world: &World, user: i64) -> Vec<Value> {
    let answer = world.call(Some(user), "GET", "/public/v1/incidents?per_page=100", None).await.json(200);
    answer["items"].as_array().unwrap().clone()
}

async fn open_outages(world: &World) -> i64 {
    on!(world.context.db().unwrap().read(), db =>
        sqlx::query_scalar("SELECT COUNT(*) FROM notification_region_outages").fetch_one(db).await)
    .unwrap()
}

on_both! {
    async fn a_region_that_fails_is_told_once_and_all_else_is_held(world: World) {
        with_users(&world);
        let (hook, of_one) = (Listener::start(200, "").await, Listener::start(200, "").await);
        let (of_others, of_none) = (Listener::start(200, "").await, Listener::start(200, "").await);
        world.webhook(1, &hook.url).await;
        // One endpoint in the region, one elsewhere, one that was never checked.
        for (hook, ids) in [(&of_one, json!([101, 121])), (&of_others, json!([121, 122])), (&of_none, json!([]))] {
            world.notification(1, json!({"name": "some", "kind": "webhook", "config": {"url": hook.url},
                "endpoint_ids": ids})).await;
        }
        check(&world, batch(1, 20, 0, |n| n == 20)).await;
        check(&world, vec![CheckResult { region: "elsewhere".into(), ..result(121, 1, 0, true) }]).await;
        check(&world, batch(1, 20, 1, |n| n == 20)).await;
        assert_eq!(told(&hook), all("down", [120]));

        check(&world, batch(1, 20, 2, |n| n <= 15 || n == 20)).await;
        // An endpoint that was down before and recovers now is reported as usual.
        check(&world, batch(1, 20, 3, |n| n <= 15)).await;
        let messages = hook.asked();
        let of = |what: &str| messages.iter().map(|m| m.json()["data"].clone()).find(|d| d["what"] == what);
        assert_eq!((messages.len(), of("up").unwrap()["endpoint_id"].clone()), (2, json!(120)));
        let outage = of(OUTAGE).unwrap();
        let id = outage["region_outage"]["id"].clone();
        assert_eq!(outage["region_outage"], json!({
            "id": id, "region": "default", "failing": 15, "endpoints": 20, "held_minutes": 15,
        }));
        assert_eq!((&outage["outage_started_at"], &outage["changed_at"]), (&json!(at(2)), &json!(at(3))));

        check(&world, batch(1, 20, 4, |n| n <= 15)).await;
        // Notifications that were sent its beginning are sent its end, even if the endpoint has another
        // region by then.
        let mut over = batch(1, 20, 5, |_| false);
        over[0].region = "elsewhere".into();
        check(&world, over).await;
        let works = hook.asked();
        assert_eq!(works.len(), 1);
        assert_eq!(works[0].json()["data"]["what"], WORKS);
        assert_eq!(works[0].json()["data"]["region_outage"]["failing"], 0);
        check(&world, batch(1, 20, 6, |_| false)).await;
        assert_eq!((told(&hook), open_outages(&world).await), (vec![], 0));
        assert_eq!(told(&of_one), [all(OUTAGE, [0]), all(WORKS, [0])].concat());
        assert_eq!((told(&of_others), told(&of_none)), (vec![], vec![]));

        let outages: Vec<_> = incidents(&world, 1).await.iter().map(|i| i["endpoint_id"].clone()).collect();
        assert_eq!(outages, [120], "what was held and is over was no outage");
        let log = world.deliveries(1).await;
        assert!(log.iter().all(|d| d["status"] == "delivered"));
        assert_eq!((&log[0]["endpoint_id"], &log[0]["alert"]["what"]), (&json!(0), &json!(WORKS)));
    }

    async fn what_still_fails_when_the_region_works_is_told_with_its_true_beginning(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        for minute in 0..=2 {
            check(&world, batch(1, 20, minute, |n| n <= 15 && minute > 0)).await;
        }
        assert_eq!(told(&hook), all(OUTAGE, [0]));
        check(&world, batch(1, 20, 3, |n| n <= 2)).await;
        let messages = hook.asked();
        let data: Vec<_> = messages.iter().map(|m| m.json()["data"].clone()).collect();
        let works = data.iter().find(|d| d["what"] == WORKS).unwrap();
        assert_eq!((data.len(), &works["region_outage"]["failing"]), (3, &json!(2)));
        let downs: Vec<_> = data.iter().filter(|d| d["what"] == "down").collect();
        assert!(downs.iter().all(|d| d["outage_started_at"] == json!(at(1))), "{downs:?}");
        let outages = incidents(&world, 1).await;
        assert_eq!(outages.len(), 2);
        assert!(outages.iter().all(|i| i["started_at"] == json!(at(1)) && i["ended_at"] == Value::Null));
    }

    async fn what_is_not_checked_again_in_time_is_not_held(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        let every = |minute: i64, minutes: u32| -> Vec<_> {
            let at_once = |r| CheckResult { failure_threshold: 1, interval_seconds: minutes * 60, ..r };
            let mut all: Vec<_> = batch(1, 20, minute, |_| minute > 0).into_iter().map(at_once).collect();
            all.iter_mut().skip(2).for_each(|result| result.interval_seconds = 60);
            all
        };
        for minute in 0..=1 {
            check(&world, every(minute, 20)).await;
        }
        assert_eq!(told(&hook), [all("down", 101..=102), all(OUTAGE, [0])].concat());
        // With a check every ten minutes: held once and reported the next time, however long the region outage
        // lasts.
        for minute in 61..=62 {
            check(&world, batch(1, 20, minute, |_| false)).await;
        }
        told(&hook);
        check(&world, every(63, 10)).await;
        assert_eq!(told(&hook), all(OUTAGE, [0]));
        let again = every(73, 10);
        check(&world, again).await;
        assert_eq!(told(&hook), all("down", 101..=102));
    }

    async fn who_has_few_is_told_of_what_fails_by_others(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        for user in 1..=12 {
            world.webhook(user, &hook.url).await;
        }
        // One endpoint was checked earlier than the others: its own failures count, also for its message.
        let minute = |minute: i64, up: bool| -> Vec<_> {
            (1..=12).flat_map(|user| batch(user, 1, minute - i64::from(user == 1), |_| !up)).collect::<Vec<_>>()
        };
        check(&world, minute(0, true)).await;
        let fails = minute(10, false).into_iter().map(|r| CheckResult { failure_threshold: 1, ..r }).collect();
        check(&world, fails).await;
        let messages = hook.asked();
        assert_eq!(messages.len(), 12);
        for message in messages {
            let data = &message.json()["data"];
            assert_eq!((&data["what"], &data["region_outage"]["failing"]), (&json!(OUTAGE), &json!(1)), "{data}");
        }
    }

    async fn few_endpoints_and_half_of_many_are_told_as_ever(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        world.webhook(2, &hook.url).await;
        for minute in 0..=2 {
            check(&world, batch(1, 9, minute, |_| minute > 0)).await;
        }
        assert_eq!(told(&hook), all("down", 101..=109));
        for minute in 0..=2 {
            // Much later: these do not count.
            check(&world, batch(2, 20, minute + 60, |n| n <= 10 && minute > 0)).await;
        }
        assert_eq!(told(&hook), all("down", 201..=210));
        assert_eq!(open_outages(&world).await, 0);
    }

    async fn a_batch_is_judged_as_a_whole_and_by_what_was_checked_since(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        let fails = |minute| -> Vec<_> {
            batch(1, 12, minute, |_| true).into_iter().map(|r| CheckResult { failure_threshold: 1, ..r }).collect()
        };
        let works = |minute| batch(1, 30, minute, |_| false).split_off(12);
        // In the minute before, the others worked: that says nothing about now.
        check(&world, works(0)).await;
        check(&world, fails(1)).await;
        assert_eq!(told(&hook), all(OUTAGE, [0]));
        // They still work; but a region that wavers is not reported each minute.
        check(&world, works(1)).await;
        check(&world, fails(2)).await;
        assert_eq!(told(&hook), []);
        check(&world, fails(3)).await;
        assert_eq!(told(&hook), [all("down", 101..=112), all(WORKS, [0])].concat());
        assert!(incidents(&world, 1).await.iter().all(|i| i["started_at"] == json!(at(1))));
    }

    async fn a_check_that_was_not_made_changes_nothing_of_what_is_known(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        for minute in 0..3 {
            check(&world, batch(1, 20, minute, |_| minute > 0)).await;
        }
        assert_eq!(told(&hook), all(OUTAGE, [0]));
        // After a pause of the engine nearly all checks are too late; one still fails.
        let mut late = batch(1, 20, 5, |_| true);
        for result in &mut late[1..] {
            result.outcome.status = CheckStatus::Unknown;
            result.outcome.error = Some(Failure { code: FailureCode::RequestedTooLate, message: String::new() });
        }
        check(&world, late).await;
        assert_eq!((told(&hook), open_outages(&world).await), (vec![], 1), "it does not work again for that");
    }

    async fn a_maintenance_says_nothing_of_its_region(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        for minute in 0..=2 {
            let mut results = batch(1, 40, minute, |n| n <= 12 && minute > 0);
            results.iter_mut().skip(12).for_each(|result| result.maintenance = true);
            check(&world, results).await;
        }
        assert_eq!(told(&hook), all(OUTAGE, [0]), "twelve of twelve");
    }

    async fn it_fails_for_all_when_it_fails_for_most_users(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        for user in 1..=12 {
            world.webhook(user, &hook.url).await;
        }
        let minute = |minute, fails: &dyn Fn(i64) -> bool| -> Vec<_> {
            (1..=10).flat_map(|user| batch(user, 3, minute, |_| fails(user))).collect()
        };
        // Ten other users' endpoints worked, but were not checked since: they do not count.
        check(&world, (11..=20).flat_map(|user| batch(user, 3, 0, |_| false)).collect()).await;
        check(&world, minute(0, &|_| false)).await;
        check(&world, minute(1, &|user| user <= 9)).await;
        check(&world, minute(2, &|user| user <= 9)).await;
        assert_eq!(told(&hook), vec![(OUTAGE.to_owned(), 0); 9]);
        // The tenth is reported when its turn comes.
        check(&world, minute(3, &|_| true)).await;
        check(&world, minute(4, &|_| true)).await;
        assert_eq!(told(&hook), all(OUTAGE, [0]));
        world.event("notification-forget", kind::USER_DELETED, "x", &UserDeleted { user_id: 10 }).await.json(202);
        assert_eq!(open_outages(&world).await, 9);
        check(&world, minute(5, &|_| false)).await;
        assert_eq!(told(&hook), vec![(WORKS.to_owned(), 0); 9]);
        assert_eq!(incidents(&world, 1).await.len(), 0);
    }

    async fn one_with_many_broken_endpoints_silences_nobody_else(world: World) {
        with_users(&world);
        let (noisy, others) = (Listener::start(200, "").await, Listener::start(200, "").await);
        world.webhook(1, &noisy.url).await;
        for user in 2..=11 {
            world.webhook(user, &others.url).await;
        }
        for minute in 0..=2 {
            let mut results = batch(1, 90, minute, |_| minute > 0);
            results.extend(batch(2, 20, minute, |n| n <= 8 && minute > 0));
            results.extend((3..=11).flat_map(|user| batch(user, 3, minute, |n| n <= user - 8 && minute > 0)));
            check(&world, results).await;
        }
        assert_eq!(told(&noisy), all(OUTAGE, [0]));
        assert_eq!(told(&others), all("down", (201..=208).chain([901, 1001, 1002, 1101, 1102, 1103])));
    }

    async fn it_is_told_once_whatever_the_broker_does(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        let halves = |minute: i64| -> [Vec<_>; 2] {
            let mut all = batch(1, 20, minute, |_| minute > 0);
            let rest = all.split_off(10);
            [all, rest]
        };
        for half in (0..=1).flat_map(halves) {
            check(&world, half).await;
        }
        world.clock().advance(Duration::from_secs(60));
        let evaluate = async |id: &str, half: &[CheckResult]| {
            world.event("notification-evaluate", kind::CHECK_COMPLETED, id, half).await
        };
        let [one, two] = halves(2);
        *world.broker_takes.lock().unwrap() = Some(0);
        assert_eq!(evaluate("one", &one).await.code(503), "UNAVAILABLE");
        *world.broker_takes.lock().unwrap() = None;
        for _ in 0..2 {
            let answers = futures::future::join_all([
                evaluate("one", &one), evaluate("two", &two), evaluate("one", &one), evaluate("two", &two),
            ]).await;
            assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
        }
        let events: Vec<_> = world.events.lock().unwrap().iter().cloned().collect();
        assert!(events.iter().all(|e| e.kind() == kind::REGION_CHANGED && e.headers["ce-id"] == "one/region"));
        assert!(events.windows(2).all(|pair| pair[0].body == pair[1].body), "{events:?}");
        world.settle().await;
        assert_eq!(told(&hook), all(OUTAGE, [0]));
        for half in halves(2) {
            check(&world, half).await;
        }
        assert_eq!(told(&hook), []);
    }

    async fn what_lasts_is_told_after_all(world: World) {
        with_users(&world);
        let hook = Listener::start(200, "").await;
        world.webhook(1, &hook.url).await;
        for minute in 0..=16 {
            check(&world, batch(1, 20, minute, |n| n <= 15 && minute > 0)).await;
        }
        assert_eq!(told(&hook), all(OUTAGE, [0]), "for fifteen minutes");
        check(&world, batch(1, 20, 17, |n| n <= 16)).await;
        assert_eq!(told(&hook), [all("down", 101..=115), all(STILL_FAILS, [0])].concat());
        assert!(incidents(&world, 1).await.iter().all(|i| i["started_at"] == json!(at(1))));
        // Alerts are no longer held.
        check(&world, batch(1, 20, 18, |n| n <= 16)).await;
        assert_eq!(told(&hook), all("down", [116]));
        check(&world, batch(1, 20, 19, |_| false)).await;
        assert_eq!(told(&hook), all("up", 101..=116));
        // When it happens again, it is another region outage.
        for minute in 20..=21 {
            check(&world, batch(1, 20, minute, |_| true)).await;
        }
        assert_eq!(told(&hook), all(OUTAGE, [0]));
    }
}

/// Real endpoints, each checked once a minute, spread over it. Their addresses are not contacted: `fails`
/// gives the result of each second's check, `failing_takes` the seconds that a failing check takes: two
/// tries, unless it fails at once. Returns the messages until `end`, with their seconds.
async fn told_from(
    world: &World,
    count: i64,
    end: i64,
    failing_takes: impl Fn(i64) -> i64,
    fails: impl Fn(i64, i64) -> bool,
) -> Vec<(i64, String)> {
    let start = at(0).timestamp();
    let hook = Listener::start(200, "").await;
    let mut due: BTreeMap<i64, Vec<CheckRequest>> = BTreeMap::new();
    let mut done: BTreeMap<i64, Vec<CheckResult>> = BTreeMap::new();
    let (mut told, mut ids) = (Vec::new(), Vec::new());
    for second in 0..end {
        let now = start + second;
        world.clock().set(DateTime::from_timestamp(now, 0).unwrap());
        if second == 0 {
            world.webhook(1, &hook.url).await;
        }
        if second < 60 && second * count / 60 < (second + 1) * count / 60 {
            let timeout_ms = (failing_takes(ids.len() as i64) * 500).max(1000);
            let body = json!({"url": "https://example.com", "timeout_ms": timeout_ms, "retries": 1});
            let made = world.call(Some(1), "POST", "/public/v1/endpoints", Some(body)).await.json(201);
            ids.push(made["id"].as_i64().unwrap());
        }
        if second % 60 == 0 {
            world.tick("check-schedule").await;
        }
        for request in due.remove(&now).unwrap_or_default() {
            let nth = ids.iter().position(|id| *id == request.endpoint_id).unwrap() as i64;
            let fails = fails(nth, second);
            let failure = Failure { code: FailureCode::ConnectTimeout, message: "No answer in time".into() };
            let mut result = result(request.endpoint_id, 1, 0, !fails);
            (result.scheduled_at, result.revision) = (request.scheduled_at, request.revision);
            result.outcome.error = fails.then_some(failure);
            done.entry(if fails { now + failing_takes(nth) } else { now }).or_default().push(result);
        }
        if let Some(results) = done.remove(&now) {
            let id = format!("results-{second}");
            let answer = world.event("notification-evaluate", kind::CHECK_COMPLETED, &id, &results).await;
            world.events.lock().unwrap().extend(answer.reply());
        }
        let is_request = |event: &Sent| event.kind() == kind::CHECK_REQUESTED;
        let (mut asked, others): (Vec<_>, Vec<_>) =
            world.events.lock().unwrap().drain(..).partition(is_request);
        world.events.lock().unwrap().extend(others);
        asked.extend(world.settle().await.into_iter().filter(is_request));
        for request in asked.iter().flat_map(|event| event.data::<Vec<CheckRequest>>()) {
            // A check that is due at once has its result in the next second.
            due.entry(request.scheduled_at.timestamp().max(now + 1)).or_default().push(request);
        }
        let words =
            hook.asked().into_iter().map(|asked| asked.json()["data"]["what"].as_str().unwrap().to_owned());
        told.extend(words.map(|what| (second, what)));
    }
    told
}

on_both! {
    async fn the_first_that_fail_are_judged_by_others_that_are_asked_at_once(world: World) {
        // If everything fails from some second on, no endpoint is reported alone.
        let told = told_from(&world, 12, 400, |_| 0, |_, second| second >= 157).await;
        assert_eq!(told.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>(), [OUTAGE]);
        assert!(told[0].0 <= 157 + 5 + 12, "{told:?}");
    }

    async fn nor_is_one_told_alone_where_everything_hangs(world: World) {
        let told = told_from(&world, 12, 400, |_| 20, |_, second| second >= 157).await;
        assert_eq!(told.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>(), [OUTAGE]);
    }

    async fn an_outage_is_told_ten_seconds_after_the_first_check_that_failed(world: World) {
        // Each of twelve endpoints in turn, so that its next check comes after 0 to 59 s.
        let died = |nth: i64| 150 + nth * 180;
        let failed = RefCell::new(BTreeMap::new());
        let fails = |nth: i64, second: i64| {
            let fails = (died(nth)..died(nth) + 90).contains(&second);
            if fails {
                failed.borrow_mut().entry(nth).or_insert(second);
            }
            fails
        };
        let told = told_from(&world, 12, 150 + 12 * 180, |_| 0, fails).await;
        let told: Vec<_> = told.iter().filter(|(_, what)| what == "down").map(|(second, _)| *second).collect();
        assert_eq!(told, failed.borrow().values().map(|second| second + 10).collect::<Vec<_>>());
        assert!(told.iter().enumerate().all(|(nth, told)| told - died(nth as i64) < 70), "{told:?}");
    }

    async fn what_hangs_is_told_by_a_check_ten_seconds_after_the_timeout(world: World) {
        let told = told_from(&world, 12, 300, |_| 20, |nth, second| nth == 5 && second >= 157).await;
        let [(second, what)] = &told[..] else { panic!("{told:?}") };
        // From the first failed check on: two checks of twenty seconds, and ten seconds between them.
        assert!(what == "down" && *second <= 157 + 60 + 20 + 10 + 20, "{told:?}");
    }
}

/// Uses the binary, because metrics belong to a process. The collector must answer while this waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_region_outage_is_counted_by_whether_most_users_see_it() {
    let (collector, broker) = (Collector::start().await, Listener::start(202, "").await);
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}/p.db", data.path().display());
    assert!(function(&["migrate"], &[("DATABASE_URL", &database)]).output().unwrap().status.success());
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("K_SINK", &broker.url),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
    ];
    let running = Running::start(&["notification-evaluate"], &settings).await;
    let client = reqwest::Client::new();
    // A region for each case, in which some users see all their endpoints fail.
    for (region, first, users, failing) in
        [("alone", 1, 1, 1), ("one of many", 10, 3, 1), ("most of few", 20, 3, 2), ("most", 30, 12, 7)]
    {
        let of = |user| batch(user, if user == first { 30 } else { 10 }, 0, |_| user < first + failing);
        let results: Vec<_> = (first..first + users)
            .flat_map(of)
            .map(|r| CheckResult { region: region.into(), failure_threshold: 1, ..r })
            .collect();
        let event =
            Outgoing::new("test", kind::CHECK_COMPLETED, region.replace(' ', "-"), at(0), &results).unwrap();
        let (parts, body) = event.into_request().unwrap().into_parts();
        let sent = client.post(&running.url).headers(parts.headers).body(body).send().await.unwrap();
        assert!(sent.status().is_success(), "{region}");
    }
    running.terminate();
    assert!(running.ended().await.status.success());
    let counted =
        |region, scope| collector.counted("pongpong.region.outages", &[("region", region), ("scope", scope)]);
    for (region, by_users, by_region) in
        [("alone", 1.0, 0.0), ("one of many", 1.0, 0.0), ("most of few", 0.0, 2.0), ("most", 0.0, 7.0)]
    {
        assert_eq!((counted(region, "user"), counted(region, "region")), (by_users, by_region), "{region}");
    }
}
