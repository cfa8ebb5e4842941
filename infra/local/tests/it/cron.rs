//! The schedule.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::world::{World, files, gated, status};

#[tokio::test]
async fn a_job_runs_at_the_minute() {
    // The world starts half a minute before the tick.
    let world = World::new().await;
    world.pass(29.9).await;
    assert_eq!(world.calls("ticker").len(), 0);
    world.pass(0.1).await;
    assert_eq!(world.calls("ticker").len(), 1);
    world.pass(60.0).await;
    assert_eq!(world.calls("ticker").len(), 2);
}

#[tokio::test]
async fn first_start_soon_after_a_minute_does_not_wait_for_the_next() {
    let world = World::at("2026-03-01T12:00:15Z", files()).await;
    world.idle().await;
    assert_eq!(world.calls("ticker").len(), 1);
    world.pass(45.0).await;
    assert_eq!(world.calls("ticker").len(), 2);
}

#[tokio::test]
async fn a_run_that_is_not_over_is_not_overlapped() {
    let world = World::new().await;
    let gate = Arc::new(Semaphore::new(0));
    world.script("ticker", [gated(&gate)]);
    world.clock.advance(Duration::from_secs(30));
    world.called("ticker", 1).await;
    world.clock.advance(Duration::from_secs(60));
    // The tick in between was skipped, not delayed.
    gate.add_permits(1);
    world.idle().await;
    let during = world.calls("ticker").len();
    world.pass(60.0).await;
    assert_eq!(world.calls("ticker").len(), during + 1);
    assert!(during <= 2);
}

#[tokio::test]
async fn missed_ticks_are_not_made_up_for() {
    let world = World::new().await;
    // An hour passes at once (the machine slept): 13:00:35. The latest tick was 35 s ago: too late.
    world.pass(3605.0).await;
    assert_eq!(world.calls("ticker").len(), 0);
    world.pass(25.0).await;
    assert_eq!(world.calls("ticker").len(), 1);
    // Another hour and ten seconds: only the latest tick is recent enough.
    world.pass(3610.0).await;
    assert_eq!(world.calls("ticker").len(), 2);
}

#[tokio::test]
async fn a_tick_that_a_restart_missed_by_little_is_made_up_for() {
    let world = World::new().await;
    world.pass(30.0).await;
    assert_eq!(world.calls("ticker").len(), 1);
    let world = world.killed_for(Duration::from_secs(70)).await;
    world.idle().await;
    assert_eq!(world.calls("ticker").len(), 1, "ten seconds late");
    let world = world.killed_and_restarted().await;
    world.idle().await;
    assert_eq!(world.calls("ticker").len(), 0, "once is enough");
    let world = world.killed_for(Duration::from_secs(90)).await;
    world.idle().await;
    assert_eq!(world.calls("ticker").len(), 0, "forty seconds late is too late");
}

#[tokio::test]
async fn a_run_that_fails_is_tried_again() {
    let world = World::new().await;
    world.script("ticker", [status(500), status(500)]);
    world.pass(30.0).await;
    assert_eq!(world.calls("ticker").len(), 1);
    world.pass(9.9).await;
    assert_eq!(world.calls("ticker").len(), 1);
    world.pass(0.1).await;
    assert_eq!(world.calls("ticker").len(), 2);
    // No further attempt until the next tick.
    world.pass(49.0).await;
    assert_eq!(world.calls("ticker").len(), 2);
    world.pass(1.0).await;
    assert_eq!(world.calls("ticker").len(), 3);
}
