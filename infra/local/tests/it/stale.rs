//! Checks that could not be made in time: only the newest is made, and the others are counted as missed.

use std::time::Duration;

use crate::{house::House, world::count};

#[tokio::test]
async fn of_checks_that_waited_in_the_broker_only_the_newest_is_made() {
    let house = House::new().await;
    let counted = || count("pongpong_checks_missed_total", "reason=\"too_late\"");
    let before = counted();
    house.hold(true);
    house.add().await;
    for time in ["12:01:00", "12:02:00", "12:03:00"] {
        house.comes(time).await;
    }
    let (stale, newest) = house.due(10);
    assert!(stale >= 14 && newest == 1, "{stale} {newest}");
    // A missed check is not counted if it is reported after a later check's result: so that result must wait.
    house.answers(false);
    house.hold(false);
    house.until((0, stale as i64)).await;
    assert_eq!(counted() - before, stale as f64);
    house.answers(true);
    house.until((1, stale as i64)).await;
    assert_eq!(house.hits(), 1);
    // Checks whose scheduled time is in the future are made at that time.
    house.clock.advance(Duration::from_secs(10));
    house.until((2, stale as i64)).await;
    assert_eq!(house.hits(), 2);
}

#[tokio::test]
async fn checks_that_waited_for_their_time_while_the_machine_slept_are_not_made() {
    let house = House::new().await;
    house.add().await;
    for time in ["12:00:39", "12:00:48", "12:00:57", "12:01:00"] {
        house.clock.set(format!("2026-03-01T{time}Z").parse().unwrap());
        house.until((house.due(0).0 as i64, 0)).await;
    }
    house.comes("12:01:00").await;
    let (due, _) = house.due(0);
    assert_eq!(house.hits(), due);
    // The checks of the next minute wait for their scheduled time; nearly all of them miss it.
    house.answers(false);
    house.clock.set("2026-03-01T12:01:59Z".parse().unwrap());
    let (stale, newest) = house.due(10);
    assert!(stale - due >= 4 && newest == 1, "{stale} {newest}");
    house.until((due as i64, (stale - due) as i64)).await;
    house.answers(true);
    house.until((due as i64 + 1, (stale - due) as i64)).await;
    assert_eq!(house.hits(), due + 1);
}
