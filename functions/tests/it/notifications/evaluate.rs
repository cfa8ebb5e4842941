use contract::{
    CheckResult, CheckStatus, EndpointDeleted, Failure, FailureCode, Status, StatusChange, UserDeleted, kind,
};

use super::{at, failure, result};
use crate::world::{Answer, Database, World, on_both};

async fn evaluate(world: &World, id: &str, results: &[CheckResult]) -> Answer {
    let newest = results.iter().map(|result| result.scheduled_at).max();
    world.clock().set(newest.unwrap_or_default().max(world.clock().now()));
    let answer = world.event("notification-evaluate", kind::CHECK_COMPLETED, id, results).await;
    assert!(answer.status.is_success(), "{answer:?}");
    answer
}

fn changes(answer: &Answer) -> Vec<StatusChange> {
    answer.reply().map(|event| event.data()).unwrap_or_default()
}

/// Endpoint, scheduled time and new status of each change.
fn told(answer: &Answer) -> Vec<(i64, i64, Status)> {
    let minute = |c: &StatusChange| (c.changed_at - at(0)).num_minutes();
    changes(answer).iter().map(|c| (c.endpoint_id, minute(c), c.to)).collect()
}

on_both! {
    async fn an_outage_is_one_down_and_one_up(world: World) {
        assert_eq!(told(&evaluate(&world, "a", &[result(1, 7, 0, true)]).await), [(1, 0, Status::Up)]);
        let quiet = evaluate(&world, "b", &[result(1, 7, 1, false)]).await;
        assert_eq!((quiet.status.as_u16(), quiet.body.len()), (202, 0), "nothing is said");
        let down = evaluate(&world, "c", &[result(1, 7, 2, false)]).await;
        let reply = down.reply().unwrap();
        assert_eq!((reply.kind(), reply.headers["ce-id"].to_str().unwrap()), (kind::STATUS_CHANGED, "c/status"));
        assert_eq!(reply.headers["ce-owners"], "7", "whose places it takes");
        assert_eq!(changes(&down), [StatusChange {
            endpoint_id: 1, user_id: 7, from: Status::Up, to: Status::Down, changed_at: at(2), revision: 0,
            outage_started_at: Some(at(1)), cause: Some(failure()),
        }]);
        assert_eq!(told(&evaluate(&world, "d", &[result(1, 7, 3, false)]).await), []);
        let up = changes(&evaluate(&world, "e", &[result(1, 7, 4, true)]).await);
        assert_eq!((up[0].from, up[0].to, up[0].outage_started_at), (Status::Down, Status::Up, Some(at(1))));
        assert_eq!(up[0].cause, Some(failure()));
        assert_eq!(told(&evaluate(&world, "f", &[result(1, 7, 5, true)]).await), []);
    }

    async fn degraded_is_kept_and_told_once(world: World) {
        let degraded = |minute| {
            let mut result = result(1, 7, minute, true);
            let error = Failure { code: FailureCode::CertificateExpiring, message: "soon".into() };
            (result.outcome.status, result.outcome.error) = (CheckStatus::Degraded, Some(error));
            result
        };
        assert_eq!(told(&evaluate(&world, "a", &[result(1, 7, 0, true)]).await), [(1, 0, Status::Up)]);
        assert_eq!(told(&evaluate(&world, "b", &[degraded(1)]).await), []);
        let answer = evaluate(&world, "c", &[degraded(2)]).await;
        let [change] = &changes(&answer)[..] else { panic!("{answer:?}") };
        assert_eq!((change.from, change.to, change.outage_started_at), (Status::Up, Status::Degraded, None));
        assert_eq!(change.cause.as_ref().map(|cause| cause.code), Some(FailureCode::CertificateExpiring));
        assert_eq!(told(&evaluate(&world, "d", &[degraded(3)]).await), []);
        assert_eq!(told(&evaluate(&world, "e", &[result(1, 7, 4, true)]).await), [(1, 4, Status::Up)]);
    }

    async fn a_redelivery_is_given_the_same_reply_though_time_went_on(world: World) {
        let first = [result(1, 7, 0, false), result(2, 7, 0, true), result(1, 7, 1, false)];
        let answer = evaluate(&world, "a", &first).await;
        assert_eq!(told(&answer), [(1, 1, Status::Down), (2, 0, Status::Up)]);
        assert_eq!(told(&evaluate(&world, "b", &[result(1, 7, 2, true)]).await), [(1, 2, Status::Up)]);
        for _ in 0..2 {
            let again = evaluate(&world, "a", &first).await;
            assert_eq!(again.body, answer.body);
            assert_eq!(again.headers["ce-id"], answer.headers["ce-id"]);
        }
        // The state is unchanged.
        assert_eq!(told(&evaluate(&world, "c", &[result(1, 7, 3, true)]).await), []);
    }

    async fn late_results_and_those_of_another_event_are_ignored(world: World) {
        evaluate(&world, "a", &[result(1, 7, 5, true)]).await;
        for (id, minute) in [("b", 3), ("c", 4), ("d", 5)] {
            assert_eq!(told(&evaluate(&world, id, &[result(1, 7, minute, false)]).await), []);
        }
        assert_eq!(told(&evaluate(&world, "e", &[result(1, 7, 6, false)]).await), [], "one failure, not four");
        assert_eq!(told(&evaluate(&world, "f", &[result(1, 7, 7, false)]).await), [(1, 7, Status::Down)]);
    }

    async fn a_batch_may_hold_several_scheduled_times_out_of_order(world: World) {
        let batch = [result(1, 7, 3, true), result(1, 7, 1, false), result(1, 7, 2, false), result(1, 7, 0, true)];
        let expected = [(1, 0, Status::Up), (1, 2, Status::Down), (1, 3, Status::Up)];
        assert_eq!(told(&evaluate(&world, "a", &batch).await), expected);
        assert_eq!(told(&evaluate(&world, "b", &[]).await), []);
    }

    async fn evaluators_at_once_lose_nothing(world: World) {
        // Forty endpoints fail at two scheduled times each: whichever result comes first, either the second
        // scheduled time decides, or the first one is late. Two copies of each batch, half of them in the
        // opposite order. Forty others work, so that it does not count as a region outage.
        let batch = |minute: i64| -> Vec<_> { (1..=80).map(|id| result(id, 7, minute, id > 40)).collect() };
        let backwards = |minute: i64| -> Vec<_> { batch(minute).into_iter().rev().collect() };
        let (one, two) = (batch(0), batch(1));
        let (one_again, two_again) = (backwards(0), backwards(1));
        let answers = futures::future::join_all([
            evaluate(&world, "one", &one), evaluate(&world, "two", &two),
            evaluate(&world, "one", &one_again), evaluate(&world, "two", &two_again),
        ]).await;
        // The third scheduled time decides for the endpoints whose first one came late.
        let third = evaluate(&world, "three", &batch(2)).await;
        let down = answers.iter().chain([&third]).flat_map(told).filter(|(_, _, to)| *to == Status::Down);
        let mut down: Vec<i64> = down.map(|(id, ..)| id).collect();
        down.sort_unstable();
        down.dedup();
        assert_eq!(down, (1..=40).collect::<Vec<_>>());
        let rows: Vec<(i64, String, i64)> = runtime::on!(world.context.db().unwrap().read(), db =>
            sqlx::query_as("SELECT endpoint_id, status, COUNT(*) OVER () FROM notification_states").fetch_all(db).await).unwrap();
        assert!(rows.iter().all(|(id, status, count)| (status == "down") == (*id <= 40) && *count == 80));
        let kept: i64 = runtime::on!(world.context.db().unwrap().read(), db =>
            sqlx::query_scalar("SELECT COUNT(*) FROM notification_changes").fetch_one(db).await).unwrap();
        assert_eq!(kept, 80, "one change each");
    }

    async fn what_was_deleted_stays_gone(world: World) {
        let first = [result(1, 7, 0, true), result(2, 7, 0, true), result(3, 8, 0, true)];
        evaluate(&world, "a", &first).await;
        let gone = EndpointDeleted { endpoint_id: 1, user_id: 7 };
        let late_first = EndpointDeleted { endpoint_id: 4, user_id: 7 };
        for gone in [&gone, &gone, &late_first] {
            assert!(world.event("notification-forget", kind::ENDPOINT_DELETED, "x", gone).await.status.is_success());
        }
        let late: Vec<_> = [1, 4].iter().flat_map(|id| [result(*id, 7, 1, false), result(*id, 7, 2, false)]).collect();
        assert_eq!(told(&evaluate(&world, "b", &late).await), []);
        assert_eq!(told(&evaluate(&world, "a", &first).await), [(2, 0, Status::Up), (3, 0, Status::Up)]);

        world.event("notification-forget", kind::USER_DELETED, "y", &UserDeleted { user_id: 7 }).await.json(202);
        // There was no result of endpoint 5 before.
        let late: Vec<_> = [2, 5].iter().flat_map(|id| [result(*id, 7, 1, false), result(*id, 7, 2, false)]).collect();
        assert_eq!(told(&evaluate(&world, "c", &late).await), []);
        let down = evaluate(&world, "d", &[result(3, 8, 1, false), result(3, 8, 2, false)]).await;
        assert_eq!(told(&down), [(3, 2, Status::Down)], "another user's goes on");
    }

    async fn what_is_no_list_is_refused_for_good(world: World) {
        let answer = world.event("notification-evaluate", kind::CHECK_COMPLETED, "a", &serde_json::json!({"x": 1})).await;
        assert_eq!(answer.status, 400);
    }
}
