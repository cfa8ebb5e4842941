//! `GET /ready` and the equivalent metric: each kind of fault, and its end.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::Semaphore;

use crate::{
    house::House,
    world::{World, count, files, gated, send, status},
};

/// With unique names: all tests of this process share their metrics.
async fn world(job: &str, trigger: &str) -> World {
    let mut files = files();
    let cron = &mut files.cron[0].text;
    *cron = cron.replacen("name: ticker", &format!("name: {job}"), 1).into();
    let eventing = &mut files.eventing[0].text;
    *eventing = eventing.replacen("name: first-a", &format!("name: {trigger}"), 1).into();
    World::with(files).await
}

fn failing(part: &str) -> f64 {
    count("pongpong_engine_failing", &format!("part=\"{part}\""))
}

impl World {
    async fn ready(&self) -> (u16, String) {
        let answer = self.ask("GET /ready").await;
        (answer.status, answer.body)
    }

    /// Waits until `/ready` gives this answer.
    async fn comes_to_be(&self, expected: (u16, &str)) {
        for _ in 0..1_000 {
            let (status, said) = self.ready().await;
            if (status, said.as_str()) == expected {
                return;
            }
        }
        panic!("{:?} instead of {expected:?}", self.ready().await)
    }
}

#[tokio::test]
async fn a_job_that_fails() {
    let world = world("job-that-fails", "a").await;
    assert_eq!(world.ready().await, (200, "ok".to_owned()));
    world.script("ticker", [status(500), status(500)]);
    world.pass(30.0).await;
    let not_ready = (503, "the job job-that-fails fails".to_owned());
    assert_eq!((world.ready().await, failing("job-that-fails")), (not_ready.clone(), 1.0));
    world.pass(10.0).await;
    assert_eq!(world.ready().await, not_ready);
    world.pass(50.0).await;
    assert_eq!((world.ready().await, failing("job-that-fails")), ((200, "ok".to_owned()), 0.0));
}

#[tokio::test]
async fn a_job_that_does_not_end() {
    let world = world("job-without-end", "a").await;
    let gate = Arc::new(Semaphore::new(0));
    world.script("ticker", [gated(&gate)]);
    world.clock.advance(Duration::from_secs(30));
    world.called("ticker", 1).await;
    assert_eq!(world.ready().await.0, 200);
    world.clock.advance(Duration::from_secs(60));
    world.comes_to_be((503, "the job job-without-end fails")).await;
    assert_eq!(failing("job-without-end"), 1.0);
    gate.add_permits(1);
    world.comes_to_be((200, "ok")).await;
    assert_eq!(failing("job-without-end"), 0.0);
}

#[tokio::test]
async fn events_that_are_not_delivered() {
    let world = world("ticker", "stuck").await;
    world.script("first", [status(500), status(503), status(500)]);
    world.publish("a", "1").await;
    world.idle().await;
    world.pass(1.0).await;
    assert_eq!(world.ready().await.0, 200, "two may be an accident");
    world.pass(2.0).await;
    let not_ready = (503, "events are not delivered to stuck".to_owned());
    assert_eq!((world.ready().await, failing("stuck")), (not_ready, 1.0));
    world.pass(4.0).await;
    assert_eq!((world.ready().await, failing("stuck")), ((200, "ok".to_owned()), 0.0));
}

#[tokio::test]
async fn a_dead_letter_is_no_failure_of_its_queue() {
    let world = world("ticker", "given-up").await;
    world.script("first", (0..4).map(|_| status(500)));
    world.publish("a", "1").await;
    for seconds in [0.0, 1.0, 2.0] {
        world.pass(seconds).await;
    }
    assert_eq!((world.ready().await.0, failing("given-up")), (503, 1.0));
    world.pass(4.0).await;
    assert_eq!(world.calls("dead-letter").len(), 1);
    assert_eq!((world.ready().await.0, failing("given-up")), (200, 0.0));
}

#[tokio::test]
async fn events_that_cannot_be_read() {
    let world = world("ticker", "a").await;
    world.script("first", [status(500)]);
    world.publish("a", "1").await;
    world.idle().await;
    let url = format!("sqlite:{}", world.data().path().join("engine.db").display());
    let mut db = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("ALTER TABLE delivery RENAME TO away").execute(&mut db).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.comes_to_be((503, "the broker cannot read events")).await;
    assert_eq!(failing("broker reads"), 1.0);
    sqlx::query("ALTER TABLE away RENAME TO delivery").execute(&mut db).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.comes_to_be((200, "ok")).await;
    assert_eq!(failing("broker reads"), 0.0);
    world.idle().await;
    assert_eq!(world.calls("first").len(), 2);
}

/// A disk of eight megabytes.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "test"]).arg(path).output();
        mount.is_ok_and(|done| done.status.success()).then_some(Self(path))
    }

    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        for piece in [&[0; 1 << 12][..], &[0]] {
            while filler.write_all(piece).is_ok() {}
        }
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[tokio::test]
async fn a_full_disk() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_owned();
    let Some(disk) = Disk::mount(&path) else {
        eprintln!("not tested: only root mounts a small disk");
        return;
    };
    let house = House::at(data).await;
    house.add().await;
    let ready = async || {
        let answer = send(house.engine.address, "GET /ready", b"").await;
        (answer.status, answer.body)
    };
    assert_eq!(ready().await, (200, "ok".to_owned()));
    let parts =
        [("broker", "the broker cannot write events"), ("check-schedule", "the job check-schedule fails")];
    // Another engine of this process may have ended while its job failed.
    let before = parts.map(|(part, _)| failing(part));
    disk.fill();
    let mut said = String::new();
    for _ in 0..100 {
        house.clock.advance(Duration::from_secs(15));
        (_, said) = ready().await;
        if parts.iter().all(|(_, reason)| said.contains(reason)) {
            break;
        }
    }
    for ((part, reason), before) in parts.into_iter().zip(before) {
        assert!(said.contains(reason), "{reason}: {said}");
        assert_eq!(failing(part) - before, 1.0, "{part}");
    }
    disk.clear();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while ready().await.0 != 200 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", ready().await);
        house.clock.advance(Duration::from_secs(60));
        house.engine.schedule_idle().await;
    }
    assert_eq!(parts.map(|(part, _)| failing(part)), before);
}
