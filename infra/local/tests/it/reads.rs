//! Reads by key: their limit, and that nothing else waits for them.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{LARGE, TAKING, World};

async fn read(world: &World, key: &str, what: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.engine.address).await.unwrap();
    let request = format!("GET /test/v1/read/{what} HTTP/1.1\r\nHost: x\r\napikey: {key}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn status(stream: &mut TcpStream) -> String {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    String::from_utf8_lossy(&start[9..]).into_owned()
}

#[tokio::test]
async fn readers_have_their_share_and_delay_neither_others_nor_events() {
    let world = World::new().await;
    world.key("user-1", "the key of many", None).await;
    world.key("user-2", "the key of another", None).await;
    let mut reading = Vec::new();
    for _ in 0..40 {
        reading.push(read(&world, "the key of many", "connections").await);
    }
    while TAKING.load(Ordering::SeqCst) < 8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&mut read(&world, "the key of another", "anything").await).await, "200");
    assert_eq!(TAKING.load(Ordering::SeqCst), 8, "half of those that may read");
    // As a function that handles events does.
    let db = world.engine.context().db().unwrap();
    tokio::time::timeout(Duration::from_secs(2), db.ping()).await.expect("has its own").unwrap();
}

#[tokio::test]
async fn answers_that_are_not_taken_have_a_bound() {
    let world = World::new().await;
    world.key("user-1", "a key", None).await;
    world.key("user-2", "another key", None).await;
    let mut slow = read(&world, "a key", "large").await;
    assert_eq!(status(&mut slow).await, "200");
    assert_eq!(status(&mut read(&world, "a key", "large").await).await, "429");
    assert_eq!(status(&mut read(&world, "another key", "large").await).await, "200");
    let mut taken = vec![0; LARGE];
    slow.read_exact(&mut taken).await.unwrap();
    assert_eq!(status(&mut read(&world, "a key", "large").await).await, "200");
}
