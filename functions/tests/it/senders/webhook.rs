use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{later, reported, request, send};
use crate::{
    listener::{Asked, Listener, nobody},
    notifications::SECRET,
    world::{Database, World},
};

/// Verifies a signature as a receiver does.
fn is_signed(asked: &Asked) -> bool {
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let (id, timestamp) = (asked.header("webhook-id"), asked.header("webhook-timestamp"));
    mac.update(format!("{id}.{timestamp}.{}", asked.body).as_bytes());
    let signature = STANDARD.decode(asked.header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    mac.verify_slice(&signature).is_ok()
}

#[tokio::test]
async fn it_posts_a_signed_cloudevent_that_a_repetition_can_be_known_by() {
    let hook = Listener::start(204, "").await;
    let world = World::new(Database::Sqlite).await;
    let request =
        request(&world, "webhook", json!({"url": format!("{}/hook?a=1", hook.url), "secret": SECRET}));
    for _ in 0..2 {
        assert_eq!(reported(&send(&world, &request).await), Ok(()));
        world.clock().advance(std::time::Duration::from_secs(60));
    }
    let asked = hook.asked();
    assert!(asked.iter().all(is_signed));
    assert_eq!(asked[0].header("content-type"), "application/cloudevents+json; charset=utf-8");
    assert_eq!(asked[0].header("webhook-id"), asked[1].header("webhook-id"));
    assert_eq!(
        asked[0].header("webhook-timestamp"),
        world.clock().now().timestamp().checked_sub(120).unwrap().to_string()
    );
    assert_eq!(asked[0].body, asked[1].body);
    let event = asked[0].json();
    assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("io.pongpong.alert.v1")));
    assert_eq!((&event["id"], &event["time"]), (&json!("delivery-12-1"), &json!("2026-03-01T12:02:00Z")));
    assert_eq!(event["data"]["endpoint_name"], "Shop <1>");
    assert_eq!(event["data"]["cause"]["code"], "STATUS_MISMATCH");
    assert!(!asked[0].body.contains("whsec_"));
    // Any CloudEvents library can read it.
    let read: cloudevents::Event = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(cloudevents::AttributesReader::ty(&read), "io.pongpong.alert.v1");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_will_not_is_reported() {
    let hook = Listener::start(200, "").await;
    let world = World::new(Database::Sqlite).await;
    let request = request(&world, "webhook", json!({"url": hook.url}));
    for status in [408, 409, 425, 429, 500, 503] {
        hook.answers(status, "secret details");
        let why = later(&send(&world, &request).await);
        assert!(
            why.starts_with(&format!("The webhook answered {status}")) && !why.contains("details"),
            "{why}"
        );
    }
    for status in [301, 302, 307, 400, 401, 404, 410] {
        hook.answers(status, "");
        let error = reported(&send(&world, &request).await).unwrap_err();
        assert!(error.starts_with(&format!("The webhook answered {status}")), "{error}");
    }
    assert_eq!(hook.asked().len(), 14, "no redirect is followed; 503 is tried twice");
    let away = super::request(&world, "webhook", json!({"url": nobody().await}));
    assert_eq!(later(&send(&world, &away).await), "The webhook could not be reached.");
}

#[tokio::test]
async fn receiver_that_fails_for_a_moment_is_tried_again_a_second_later() {
    let hook = Listener::start(200, "").await;
    let world = World::new(Database::Sqlite).await;
    let request = request(&world, "webhook", json!({"url": hook.url, "secret": SECRET}));
    for status in [502, 503] {
        let began = world.clock().now();
        hook.answers_once(status);
        assert_eq!(reported(&send(&world, &request).await), Ok(()));
        let asked = hook.asked();
        assert_eq!(asked.iter().map(|a| a.answered).collect::<Vec<_>>(), [status, 200]);
        assert!(asked.iter().all(is_signed));
        assert_eq!(asked[0].header("webhook-id"), asked[1].header("webhook-id"));
        assert_eq!(world.clock().now() - began, chrono::TimeDelta::seconds(1));
    }
    hook.answers(503, "");
    later(&send(&world, &request).await);
    assert_eq!(hook.asked().len(), 2, "twice, not for ever");
}

#[tokio::test]
async fn receiver_that_may_have_the_message_or_says_when_is_not_tried_again_at_once() {
    let hook = Listener::start(200, "").await;
    let world = World::new(Database::Sqlite).await;
    let request = request(&world, "webhook", json!({"url": hook.url}));
    for status in [408, 429, 500, 504] {
        hook.answers_once(status);
        later(&send(&world, &request).await);
        assert_eq!(hook.asked().len(), 1, "{status}");
    }
    hook.wants("1");
    hook.answers_once(503);
    later(&send(&world, &request).await);
    assert_eq!(hook.asked().len(), 1, "it says when");
}

#[tokio::test]
async fn receiver_that_fails_slowly_is_not_tried_again_at_once() {
    let hook = Listener::start(503, "").await;
    let world = World::new(Database::Sqlite).await;
    let request = request(&world, "webhook", json!({"url": hook.url}));
    let clock = world.clock().clone();
    hook.does_before_answer(move || clock.advance(std::time::Duration::from_secs(3)));
    later(&send(&world, &request).await);
    assert_eq!(hook.asked().len(), 1);
}

/// Closes each connection after reading this many bytes; returns the port and the number of connections.
async fn closing(read: usize) -> (u16, Arc<AtomicUsize>) {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = socket.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            connection.read_exact(&mut vec![0; read]).await.unwrap();
        }
    });
    (port, connections)
}

#[tokio::test]
async fn broken_connection_is_tried_again_at_once_only_before_the_request_is_sent() {
    let world = World::new(Database::Sqlite).await;
    let (port, connections) = closing(1).await;
    let in_handshake = request(&world, "webhook", json!({"url": format!("https://localhost:{port}")}));
    assert_eq!(later(&send(&world, &in_handshake).await), "The webhook could not be reached.");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    let (port, connections) = closing(500).await;
    let sent = request(&world, "webhook", json!({"url": format!("http://localhost:{port}")}));
    assert_eq!(later(&send(&world, &sent).await), "The webhook broke off the connection.");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn flood_of_interim_answers_ends_the_connection_long_before_the_timeout() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move {
        let flood = "HTTP/1.1 102 P\r\nA: b\r\n\r\n".repeat(1000);
        while let Ok((mut connection, _)) = socket.accept().await {
            let _ = connection.read(&mut [0; 4096]).await;
            while connection.write_all(flood.as_bytes()).await.is_ok() {}
        }
    });
    let world = World::new(Database::Sqlite).await;
    for (channel, config, whom) in
        [("webhook", json!({"url": url}), "The webhook"), ("slack", json!({"webhook_url": url}), "Slack")]
    {
        let answer = send(&world, &request(&world, channel, config)).await;
        assert_eq!(later(&answer), format!("{whom} sends far more than its response."));
    }
}

#[tokio::test]
async fn certificate_is_of_an_authority_that_is_trusted() {
    runtime::install_crypto();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = socket.accept().await {
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            let _ = connection.read(&mut [0; 4096]).await;
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let to = |host: &str| json!({"url": format!("https://{host}:{port}/hook")});
    let careful = World::new(Database::Sqlite).await;
    let trusting = World::with(Database::Sqlite, [("EXTRA_CA_CERTS", cert.pem().as_str())]).await;
    let post = async |world: &World, host| send(world, &request(world, "webhook", to(host))).await;
    assert_eq!(reported(&post(&trusting, "localhost").await), Ok(()));
    for (world, host) in [(&careful, "localhost"), (&trusting, "127.0.0.1")] {
        assert_eq!(later(&post(world, host).await), "The webhook could not be reached.", "{host}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let hook = Listener::start(200, &"x".repeat(50_000_000)).await;
    let world = World::new(Database::Sqlite).await;
    let request = request(&world, "webhook", json!({"url": hook.url}));
    assert_eq!(reported(&send(&world, &request).await), Ok(()));
}

#[tokio::test]
async fn the_address_guard_holds() {
    let hook = Listener::start(200, "").await;
    let world = World::with(Database::Sqlite, [("CHECK_PRIVATE_NETWORKS", "deny")]).await;
    let port = hook.url.rsplit(':').next().unwrap();
    for url in [
        hook.url.clone(),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://2130706433:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let request = request(&world, "webhook", json!({"url": url}));
        let error = reported(&send(&world, &request).await).unwrap_err();
        assert!(error.contains("is not a public address"), "{url}: {error}");
    }
    let done = world
        .call(None, "POST", "/private/v1/webhooks", Some(json!({"url": hook.url, "content": "x"})))
        .await
        .json(200);
    assert_eq!(done["status"], "fail");
    assert_eq!(hook.asked().len(), 0);
}

#[tokio::test]
async fn other_functions_send_with_it() {
    let hook = Listener::start(200, "").await;
    let world = World::new(Database::Sqlite).await;
    let path = "/private/v1/webhooks";
    let body = json!({"url": hook.url, "secret": SECRET, "content": "Hel\u{2066}lo\u{200F}"});
    assert_eq!(world.call(None, "POST", path, Some(body)).await.json(200), json!({"status": "ok"}));
    let asked = hook.asked();
    assert!(is_signed(&asked[0]));
    assert_eq!(
        (&asked[0].json()["type"], &asked[0].json()["data"]),
        (&json!("io.pongpong.message.v1"), &json!({"text": "Hello"}))
    );
    for (body, field) in [
        (json!({"url": "ftp://x/", "content": ""}), "url"),
        (json!({"url": "http://x.test/", "secret": "x", "content": ""}), "secret"),
        (json!({"url": "http://x.test/"}), "content"),
    ] {
        let answer = world.call(None, "POST", path, Some(body)).await.json(400);
        assert!(answer["fields"][field].is_string(), "{answer}");
    }
}
