//! Passwords, tokens and keys cannot be guessed, and users' addresses cannot be found out.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::House;
use crate::{web::Site, world::Database};

/// Sends requests until one is refused by the rate limit; returns their number.
async fn until_limited(house: &House, path: &str, body: &Value, pretend: &str) -> usize {
    for n in 0..100 {
        // Whatever origin a client claims.
        let headers = [
            ("x-forwarded-for", format!("203.0.113.{n}")),
            ("x-real-ip", format!("203.0.113.{n}")),
            ("forwarded", format!("for=203.0.113.{n}")),
            ("user-agent", pretend.to_owned()),
        ];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if house.ask("POST", path, &headers, Some(body)).await.status == 429 {
            return n;
        }
    }
    panic!("{path} is not limited");
}

#[tokio::test]
async fn what_can_be_guessed_is_limited_by_the_minute() {
    let house = House::new(Database::Sqlite, []).await;
    house.sign_up("me@example.com").await;
    house.next_minute();
    let wrong = json!({"email": "me@example.com", "password": "not the password"});
    let right = json!({"email": "me@example.com", "password": "a good password"});
    let login = "/user-service/v1/login";
    assert!(until_limited(&house, login, &wrong, "x").await <= 20);
    let refused = house.ask("POST", login, &[], Some(&right)).await;
    assert_eq!(refused.status, 429, "the right one is not told from a wrong one any more");
    assert!(refused.headers.contains_key("retry-after"));
    let token = json!({"token": "guessed", "password": "another password"});
    assert!(until_limited(&house, "/user-service/v1/password/reset", &token, "x").await <= 20);
    let forgot = json!({"email": "me@example.com"});
    assert!(until_limited(&house, "/user-service/v1/password/forgot", &forgot, "x").await <= 5);
    let signup = json!({"email": "me@example.com", "password": "a good password"});
    assert!(until_limited(&house, "/user-service/v1/signup", &signup, "x").await <= 20);
    // The gateway limits by minute; wrong passwords of an account are limited by the quarter of an hour.
    house.next_minute();
    let refused = house.ask("POST", login, &[], Some(&right)).await;
    assert!(refused.text.contains("TOO_MANY_TRIES"), "{}", refused.text);
    house.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(house.ask("POST", login, &[], Some(&right)).await.status, 200);
}

#[tokio::test]
async fn the_pages_are_no_way_around_the_limit() {
    let site = Site::start().await;
    site.sign_up("me@example.com").await;
    let mut last = 0;
    for n in 0..40 {
        site.forget_cookies();
        let csrf = site.get("/login").await.hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("email", "me@example.com"), ("password", "wrong password")];
        let from = format!("203.0.113.{n}");
        let answer = site.send("/login", &[("x-forwarded-for", &from)], &form).await;
        last = answer.status.as_u16();
        if last == 429 {
            break;
        }
        assert_eq!(last, 401);
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn an_address_is_known_or_not_and_looks_the_same() {
    let house = House::new(Database::Sqlite, []).await;
    house.sign_up("me@example.com").await;
    house.next_minute();
    let ask = async |path: &str, body: Value| {
        let started = Instant::now();
        let answer = house.ask("POST", path, &[], Some(&body)).await;
        (answer.status, answer.text, started.elapsed())
    };
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..5 {
        for (which, email) in
            ["me@example.com".to_owned(), format!("nobody-{n}@example.com")].iter().enumerate()
        {
            let (status, text, time) =
                ask("/user-service/v1/login", json!({"email": email, "password": "a wrong password"})).await;
            assert_eq!(status, 401);
            assert!(text.contains("INVALID_LOGIN") && !text.contains("example.com"), "{text}");
            times[which].push(time);
        }
    }
    let fastest = |which: usize| times[which].iter().min().copied().unwrap();
    let (known, unknown) = (fastest(0), fastest(1));
    // Both compute a hash: without that, one would take a hundredth of the other's time.
    assert!(known < unknown * 5 && unknown < known * 5, "{known:?}, {unknown:?}");
    let known = ask("/user-service/v1/password/forgot", json!({"email": "me@example.com"})).await;
    let unknown = ask("/user-service/v1/password/forgot", json!({"email": "nobody@example.com"})).await;
    assert_eq!((known.0, known.1), (unknown.0, unknown.1));
    assert!(known.2 < Duration::from_secs(5) && unknown.2 < Duration::from_secs(5));
}
