//! Notifications, reports, maintenance, status pages, the account, the API's docs.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Shown, Site};
use crate::{checks, listener::Listener};

/// A malicious name.
const SCRIPT: &str = "<script>alert(1)</script>";

#[track_caller]
fn leads(shown: &Shown, to: &str) {
    assert_eq!((shown.status, shown.location()), (StatusCode::SEE_OTHER, to), "{}", shown.html);
}

#[track_caller]
fn refused(shown: &Shown) -> &Shown {
    assert_eq!(shown.status, StatusCode::BAD_REQUEST, "{}", shown.html);
    shown
}

/// The result of a test message of the first notification.
async fn test(site: &Site) -> Shown {
    let sent = site.post("/notifications/1", "/notifications/1", &[("act", "test")]).await;
    leads(&sent, "/notifications/1");
    site.get("/notifications/1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_added_changed_tested_and_deleted() {
    let site = Site::signed_up().await;
    site.get("/notifications").await.says("No alert channels yet");
    site.get("/notifications/new").await.says("/notifications/new?kind=slack");
    let id = site.endpoint(SCRIPT, "http://127.0.0.1:9/").await;
    // Events before its creation are not sent to a notification.
    while !site.get("/dashboard").await.html.contains("1 of 1 down") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let new = "/notifications/new?kind=email";

    // An error is shown next to its field, and the entered values stay.
    let email =
        [("kind", "email"), ("name", SCRIPT), ("config.to", "a@example.com\nnobody"), ("scope", "some")];
    let chosen = id.to_string();
    let shown = site.post(new, "/notifications", &[&email[..], &[("endpoint_ids", &chosen)]].concat()).await;
    refused(&shown)
        .says("id=\"config-to-error\">2: must be an email address")
        .says("a@example.com\nnobody</textarea>");
    shown.says(&format!("name=\"endpoint_ids\" value=\"{id}\" checked"));
    assert!(!shown.html.contains(SCRIPT) && shown.html.contains("&#60;script&#62;"), "{}", shown.html);
    let none = site.post(new, "/notifications", &email[..]).await;
    refused(&none).says("id=\"endpoint_ids-error\">Choose at least one endpoint, or all.");
    // A search saves nothing.
    let searched = [&email[..], &[("find", "script"), ("found", "")]].concat();
    let searched = site.post(new, "/notifications", &searched).await;
    assert_eq!(searched.status, 200);
    searched.says("name=\"found\" value=\"script\"");

    let good = [("kind", "email"), ("name", SCRIPT), ("config.to", "a@example.com"), ("scope", "all")];
    // Submitted twice, it adds one.
    let twice = [&good[..], &[("once", "abc")]].concat();
    leads(&site.post(new, "/notifications", &twice).await, "/notifications/1");
    leads(&site.post(new, "/notifications", &twice).await, "/notifications/1");
    let shown = site.get("/notifications/1").await;
    shown.says("Alerts are sent once they are confirmed").says("a@example.com</textarea>");
    assert_eq!(site.get("/notifications/2").await.status, 404);
    let list = site.get("/notifications").await;
    list.says("a@example.com").says("All endpoints").says("Nothing sent yet");
    assert!(!list.html.contains(SCRIPT), "{}", list.html);

    leads(&site.post("/notifications/1", "/notifications/1", &[("act", "disable")]).await, "/notifications");
    site.get("/notifications").await.says("Channel disabled").says("value=\"enable\"");
    leads(&site.post("/notifications/1", "/notifications/1", &[("act", "enable")]).await, "/notifications");
    leads(&site.post("/notifications/1", "/notifications/1", &[("act", "delete")]).await, "/notifications");
    assert_eq!(site.get("/notifications/1").await.status, 404);
    site.get("/notifications").await.says("No alert channels yet");
}

/// The paths of these links in the newest emails.
fn links(site: &Site, path: &str) -> Vec<String> {
    let mails = site.mails();
    mails
        .iter()
        .map(|mail| format!("{path}?token={}", crate::smtp::link_token(mail, &format!("{path}?token="))))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_confirmed_and_stopped_by_buttons_alone() {
    let site = Site::signed_up().await;
    let form = [("kind", "email"), ("name", "Mail"), ("config.to", "a@example.com"), ("scope", "all")];
    leads(&site.post("/notifications/new?kind=email", "/notifications", &form).await, "/notifications/1");
    let unconfirmed = |shown: &Shown| shown.html.contains("not confirmed");
    let page = site.get("/notifications/1").await;
    page.says("receive a confirmation link").says("SMTP_URL is not set").says("not confirmed");
    assert!(unconfirmed(&site.get("/notifications").await));
    site.get("/preferences?lang=ko&next=/").await;
    site.get("/notifications/1").await.says("확인되지 않음").says("알림을 받지 않는 주소");
    site.get("/preferences?lang=en&next=/").await;
    let tested = test(&site).await;
    tested.says("Not sent").says("a…@example.com (not confirmed)");

    // Opening the links confirms and stops nothing.
    let (confirm, stop) =
        (links(&site, "/mail/confirm").remove(0), links(&site, "/mail/unsubscribe").remove(0));
    let asked = site.get(&confirm).await;
    asked.says("Yes, send me alerts");
    assert_eq!(asked.headers["referrer-policy"], "no-referrer");
    site.get(&stop).await.says("Unsubscribe from this sender");
    assert!(unconfirmed(&site.get("/notifications").await));
    let token = asked.hidden("token");
    let confirmed = site.post(&confirm, "/mail/confirm", &[("token", &token)]).await;
    confirmed.says("a@example.com").says("confirmed. Alerts will be sent there from now on.");
    assert!(!unconfirmed(&site.get("/notifications").await));
    let tested = test(&site).await;
    tested.says("written to a file in the outbox folder");
    assert!(!tested.html.contains("Check that it arrived"), "{}", tested.html);

    // Like a mail program: no cookie, no CSRF token, one field.
    let me = site.cookie("pongpong_key").unwrap();
    site.forget_cookies();
    site.send(&stop, &[], &[("List-Unsubscribe", "One-Click")])
        .await
        .says("you will receive no more of these mails");
    let token = site.get(&stop).await.hidden("token");
    let shown = site.send("/mail/unsubscribe", &[], &[("token", &token), ("from", "everybody")]).await;
    shown.says("Undo: subscribe again");
    for bad in ["", "x", "v1.AAAA"] {
        refused(&site.send("/mail/unsubscribe", &[], &[("token", bad)]).await).says("or has expired");
    }
    let url = format!("http://{}/notification-service/v1/notifications/1", site.engine.address);
    let channel: Value =
        site.client.get(url).header("apikey", me).send().await.unwrap().json().await.unwrap();
    assert_eq!(channel["addresses"]["a@example.com"], "unsubscribed");
    site.send("/mail/unsubscribe", &[], &[("token", &token), ("from", "nobody")])
        .await
        .says("you will receive these mails again");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_without_a_server_is_said_to_be_in_a_file() {
    let site = Site::signed_up().await;
    let email = json!({"name": "Mail", "kind": "email", "config": {"to": ["a@example.com"]}});
    let made = site.make("/notification-service/v1/notifications", email).await;
    assert!(made["warning"].as_str().unwrap().contains("SMTP_URL is not set"), "{made}");
    let token = links(&site, "/mail/confirm").remove(0).replace("/mail/confirm?token=", "");
    site.make("/notification-service/v1/addresses/confirm", json!({"token": token})).await;
    let target = checks::Site::start().await;
    target.status.store(503, Ordering::SeqCst);
    site.endpoint("Shop", &target.url).await;
    site.engine.idle().await.unwrap();
    let log = site.get("/notifications").await;
    log.says("Written to a file").says("SMTP_URL is not set");
    assert!(!log.html.contains(">Delivered</span>"), "{}", log.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_secret_stays_and_a_test_says_what_the_channel_said() {
    let site = Site::signed_up().await;
    let slack = Listener::start(404, "no_service").await;
    let form = [("kind", "slack"), ("name", "Ops"), ("scope", "all")];
    let url = format!("{}/services/T/B/secret", slack.url);
    let made = [&form[..], &[("config.webhook_url", url.as_str())]].concat();
    leads(&site.post("/notifications/new?kind=slack", "/notifications", &made).await, "/notifications/1");

    let masked = format!("{}/…", slack.url);
    let shown = site.get("/notifications/1").await;
    shown.says(&format!("value=\"{masked}\""));
    assert!(!shown.html.contains("secret\""), "{}", shown.html);
    let renamed = [("name", "Night"), ("config.webhook_url", &masked), ("scope", "all")];
    leads(&site.post("/notifications/1", "/notifications/1", &renamed).await, "/notifications/1");
    let tested = test(&site).await;
    tested.says("Not sent").says("no_service").says("role=\"alert\"");
    assert_eq!(slack.asked()[0].path, "/services/T/B/secret");
    slack.answers(200, "ok");
    test(&site).await.says("Check that it arrived");

    // A webhook's generated secret is shown once.
    let hook = [("kind", "webhook"), ("name", "Hook"), ("config.url", &slack.url), ("scope", "all")];
    let made = site.post("/notifications/new?kind=webhook", "/notifications", &hook).await;
    assert_eq!(made.status, 201);
    made.says("<code id=\"once-1\" class=\"break\">whsec_").says("value=\"whsec_…");
    let later = site.get("/notifications/2").await;
    assert!(!later.html.contains("id=\"once-1\""), "{}", later.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_listed_and_sent_again() {
    let site = Site::signed_up().await;
    let hook = Listener::start(410, "gone").await;
    let config = json!({"name": "Hook", "kind": "webhook", "config": {"url": hook.url}});
    site.api(Method::POST, "/notification-service/v1/notifications", config).await;
    let target = checks::Site::start().await;
    target.status.store(503, Ordering::SeqCst);
    site.endpoint(SCRIPT, &target.url).await;
    site.engine.idle().await.unwrap();

    let log = site.get("/notifications").await;
    log.says("410").says("Failed").says("/deliveries/1/retry");
    assert!(!log.html.contains(SCRIPT), "{}", log.html);
    site.get("/notifications?status=delivered").await.says("No matching deliveries.");
    site.get("/notifications/1?status=failed").await.says("/deliveries/1/retry");
    hook.answers(200, "");
    let next = "/notifications/1?status=failed";
    leads(&site.post("/notifications", "/deliveries/1/retry", &[("next", next)]).await, next);
    site.engine.idle().await.unwrap();
    let log = site.get("/notifications?status=delivered").await;
    log.says("attempt 2");
    let again = site.post("/notifications", "/deliveries/1/retry", &[]).await;
    leads(&again, "/notifications");
    site.get("/notifications").await.says("Only a failed delivery can be sent again.");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_shown_by_date_and_downloaded() {
    let site = Site::signed_up().await;
    site.get("/reports").await.says("No endpoints yet");
    let target = checks::Site::start().await;
    let formula = site.endpoint("=HYPERLINK(\"http://x\")", &target.url).await;
    let script = site.endpoint(SCRIPT, &format!("{}/x", target.url)).await;
    site.engine.idle().await.unwrap();
    target.status.store(503, Ordering::SeqCst);
    site.endpoint("Down", &format!("{}/y", target.url)).await;
    site.engine.idle().await.unwrap();

    let all = site.get("/reports").await;
    assert_eq!(all.status, 200);
    all.says("By endpoint")
        .says("Expected status 200-399, got 503")
        .says("Ongoing")
        .says("value=\"2026-03-01\"");
    assert!(!all.html.contains(SCRIPT), "{}", all.html);
    let one = site.get(&format!("/reports?endpoint_id={script}&from=2026-02-01&to=2026-03-01")).await;
    one.says("<dd>100%</dd>").says("p95").says("No outages in this period.");
    let none = site.get("/reports?from=2026-02-01&to=2026-02-02").await;
    none.says("No results match").says("No outages in this period.");
    let backward = site.get("/reports?from=2026-03-02&to=2026-03-01").await;
    refused(&backward).says("id=\"from-error\"");
    assert_eq!(site.get("/reports?endpoint_id=999").await.status, 404);

    let file = site.get("/reports.csv?from=2026-03-01&to=2026-03-02").await;
    assert_eq!(file.headers[header::CONTENT_TYPE], "text/csv; charset=utf-8; header=present");
    let name = file.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert!(name.starts_with("attachment; filename=\"pongpong-2026-03-01-2026-03-02.csv\""), "{name}");
    let lines: Vec<&str> = file.html.split("\r\n").collect();
    assert!(lines[0].starts_with("checked_at,endpoint_id,endpoint_name,url,status,"), "{}", file.html);
    assert_eq!((lines.len(), lines[4]), (5, ""), "{}", file.html);
    file.says(&format!(",{formula},\"'=HYPERLINK(\"\"http://x\"\")\",http://"));
    file.says(&format!(",{script},{SCRIPT},")).says(",down,503,STATUS_MISMATCH,");
    let down = site.get("/reports.csv?status=down").await;
    assert_eq!(down.html.lines().count(), 2, "{}", down.html);
    assert_eq!(site.get("/reports.csv?from=nonsense").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_planned_changed_ended_and_deleted() {
    let site = Site::signed_up().await;
    site.get("/maintenance").await.says("No maintenance scheduled");
    let blank = site.get("/maintenance/new").await;
    blank.says("value=\"2026-03-01T12:00\"").says("value=\"2026-03-01T13:00\"");

    // In a time zone nine hours ahead.
    let plan = [
        ("title", SCRIPT),
        ("description", "Soon."),
        ("starts_at", "2026-03-02T09:00"),
        ("zone", "Asia/Seoul"),
        ("scope", "all"),
    ];
    let end = |at| [&plan[..], &[("ends_at", at)]].concat();
    let wrong = site.post("/maintenance/new", "/maintenance", &end("whenever")).await;
    refused(&wrong)
        .says("id=\"ends_at-error\">Enter a date")
        .says("value=\"2026-03-02T00:00\"")
        .says("Soon.</textarea>");
    let backward = site.post("/maintenance/new", "/maintenance", &end("2026-03-02T08:00")).await;
    refused(&backward).says("id=\"ends_at-error\"").says("value=\"2026-03-01T23:00\"");
    leads(&site.post("/maintenance/new", "/maintenance", &end("2026-03-02T10:00")).await, "/maintenance");
    let list = site.get("/maintenance").await;
    list.says("Scheduled")
        .says("datetime=\"2026-03-02T00:00:00Z\"")
        .says("datetime=\"2026-03-02T01:00:00Z\"");
    assert!(!list.html.contains(SCRIPT), "{}", list.html);

    let id = site.endpoint("Shop", "http://127.0.0.1:9/").await.to_string();
    let now = [
        ("title", "Now"),
        ("starts_at", "2026-03-01T11:00"),
        ("ends_at", "2026-03-01T13:00"),
        ("scope", "some"),
        ("endpoint_ids", &id),
    ];
    leads(&site.post("/maintenance/1", "/maintenance/1", &now).await, "/maintenance");
    let list = site.get("/maintenance").await;
    list.says("In progress").says("1 endpoint").says("End now");
    leads(&site.post("/maintenance", "/maintenance/1", &[("act", "end")]).await, "/maintenance");
    site.get("/maintenance").await.says("Past");
    leads(&site.post("/maintenance/1", "/maintenance/1", &[("act", "delete")]).await, "/maintenance");
    site.get("/maintenance").await.says("No maintenance scheduled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_page_is_made_arranged_announced_on_and_deleted() {
    let site = Site::signed_up().await;
    site.get("/status-pages").await.says("No status pages yet");
    let (a, b) = (
        site.endpoint(SCRIPT, "http://127.0.0.1:9/a").await,
        site.endpoint("B", "http://127.0.0.1:9/b").await,
    );
    let (a, b) = (a.to_string(), b.to_string());
    let raise = format!("up-{b}");
    let form = |slug, act| {
        vec![
            ("title", "Shop"),
            ("slug", slug),
            ("published", "true"),
            ("group", "Website"),
            ("endpoint", &a),
            ("endpoint", &b),
            ("group", ""),
            ("act", act),
        ]
    };
    let new = "/status-pages/new";
    let wrong = site.post(new, "/status-pages", &form("No Slug", "save")).await;
    refused(&wrong).says("id=\"slug-error\"").says("value=\"No Slug\"").says("value=\"Website\"");
    // Add a group and reorder before saving.
    let more = site.post(new, "/status-pages", &form("shop", "add")).await;
    assert_eq!((more.status, more.html.matches("name=\"group\"").count()), (StatusCode::OK, 3));
    let up = site.post(new, "/status-pages", &form("shop", &raise)).await;
    let place = |id: &str| up.html.find(&format!("name=\"endpoint\" value=\"{id}\" checked")).unwrap();
    assert!(place(&b) < place(&a));
    leads(&site.post(new, "/status-pages", &form("shop", "save")).await, "/status-pages/1");
    let saved = site.api(Method::GET, "/status-service/v1/status_pages/1", json!({})).await;
    let ids = json!([a.parse::<i64>().unwrap(), b.parse::<i64>().unwrap()]);
    assert_eq!(saved["groups"], json!([{"name": "Website", "endpoint_ids": ids}]));
    let taken = site.post(new, "/status-pages", &form("shop", "save")).await;
    refused(&taken).says("id=\"slug-error\">This address is taken.");
    let list = site.get("/status-pages").await;
    list.says("href=\"/status/shop\"").says("2 endpoints").says("Public");

    let hidden = [("title", "Shop"), ("slug", "shop")];
    leads(&site.post("/status-pages/1", "/status-pages/1", &hidden).await, "/status-pages/1");
    site.get("/status-pages").await.says("Hidden").says("0 endpoints");

    let announce = "/status-pages/1/announcements/new";
    let text = [("title", SCRIPT), ("text", "We are on it."), ("severity", "warning")];
    let when = [("starts_at", "2026-03-01T12:00"), ("ends_at", "2026-03-01T11:00")];
    let wrong = site.post(announce, announce, &[&text[..], &when].concat()).await;
    refused(&wrong).says("id=\"ends_at-error\"").says("We are on it.</textarea>");
    leads(&site.post(announce, announce, &text).await, "/status-pages/1");
    let shown = site.get("/status-pages/1").await;
    shown.says("Warning");
    assert!(!shown.html.contains(SCRIPT), "{}", shown.html);
    let one = "/status-pages/1/announcements/1";
    let longer = [("title", "Longer"), ("severity", "critical"), ("starts_at", "2026-03-01T11:00")];
    leads(&site.post(one, one, &longer).await, "/status-pages/1");
    site.get(one).await.says("value=\"Longer\"").says("End now");
    leads(&site.post(one, one, &[("act", "end")]).await, "/status-pages/1");
    assert_eq!(site.get("/status-pages/2/announcements/1").await.status, 404);
    leads(&site.post(one, one, &[("act", "delete")]).await, "/status-pages/1");

    leads(&site.post("/status-pages/1", "/status-pages/1", &[("act", "delete")]).await, "/status-pages");
    site.get("/status-pages").await.says("No status pages yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_changed_and_ended() {
    let site = Site::signed_up().await;
    let post = async |fields: &[(&str, &str)]| site.post("/profile", "/profile", fields).await;
    site.get("/profile").await.says("me@example.com").says("No API keys yet");

    let wrong = post(&[("act", "key"), ("name", " ")]).await;
    refused(&wrong).says("id=\"key-name-error\"");
    let made = post(&[("act", "key"), ("name", SCRIPT), ("days", "30")]).await;
    assert_eq!(made.status, 201);
    made.says("<code id=\"key\" class=\"break\">pp_").says("2026-03-31");
    assert!(!made.html.contains(SCRIPT), "{}", made.html);
    assert!(!site.get("/profile").await.html.contains("pp_"));
    leads(&post(&[("act", "delete_key"), ("key_id", "1")]).await, "/profile");
    assert_eq!(post(&[("act", "delete_key"), ("key_id", "1")]).await.status, 404);

    let email = |password| [("act", "email"), ("email", "new@example.com"), ("current_password", password)];
    let wrong = post(&email("a bad password")).await;
    refused(&wrong)
        .says("id=\"email-password-error\">Must be your current password")
        .says("value=\"new@example.com\"");
    leads(&post(&email("a good password")).await, "/profile");
    site.get("/profile").await.says("new@example.com").says("Email address changed.");
    let short = [("act", "password"), ("password", "short"), ("current_password", "a good password")];
    refused(&post(&short).await).says("id=\"password-error\"");
    let better =
        [("act", "password"), ("password", "a better password"), ("current_password", "a good password")];
    leads(&post(&better).await, "/profile");

    let other = post(&[("act", "delete"), ("confirmation", "me@example.com")]).await;
    refused(&other).says("id=\"confirmation-error\"").says("id=\"delete\" open");
    leads(&post(&[("act", "delete"), ("confirmation", "New@example.com")]).await, "/");
    assert_eq!(site.cookie("pongpong_key"), None);
    site.get("/").await.says("have been deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_explained_under_a_strict_policy() {
    let site = Site::start().await;
    let docs = site.get("/docs").await;
    assert_eq!(docs.status, 200);
    docs.says("swagger-ui-bundle").says("href=\"/openapi.yaml\"").says("<noscript>");
    let policy = docs.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    for asset in docs.html.split('"').filter(|part| part.starts_with("/assets/")) {
        assert_eq!(site.get(asset).await.status, 200, "{asset}");
    }
    let spec = site.get("/openapi.yaml").await;
    assert_eq!(spec.headers[header::CONTENT_TYPE], "application/yaml");
    spec.says("openapi: 3.1").says("- url: /\n");
    site.sign_up("me@example.com").await;
    let key = site.cookie("pongpong_key").unwrap();
    let docs = site.get("/docs").await;
    docs.says("make an API key");
    assert!(!docs.html.contains(&key), "the key is not for scripts");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_is_not_there() {
    let site = Site::signed_up().await;
    site.endpoint("Shop", "http://127.0.0.1:9/").await;
    let email = json!({"name": "Mail", "kind": "email", "config": {"to": ["a@example.com"]}});
    site.api(Method::POST, "/notification-service/v1/notifications", email).await;
    let plan = json!({"title": "Work", "ends_at": "2026-03-02T00:00:00Z", "endpoint_ids": null});
    site.api(Method::POST, "/endpoint-service/v1/maintenances", plan).await;
    site.api(Method::POST, "/status-service/v1/status_pages", json!({"title": "Shop"})).await;
    let told = json!({"status_page_id": 1, "title": "Hello"});
    site.api(Method::POST, "/status-service/v1/announcements", told).await;

    let paths = [
        "/notifications/1",
        "/maintenance/1",
        "/status-pages/1",
        "/status-pages/1/announcements/1",
        "/reports?endpoint_id=1",
    ];
    for path in paths {
        assert_eq!(site.get(path).await.status, 200, "{path}");
        for nonsense in ["x", "1x", "-1", "99999999999999999999"] {
            let path = path.strip_suffix('1').unwrap();
            if !path.ends_with('=') {
                assert_eq!(site.get(&format!("{path}{nonsense}")).await.status, 404, "{path}{nonsense}");
            }
        }
    }
    site.forget_cookies();
    for path in paths {
        let shown = site.get(path).await;
        assert_eq!(shown.status, StatusCode::SEE_OTHER, "{path}");
        assert!(shown.location().starts_with("/login?next="), "{path}");
    }
    site.sign_up("you@example.com").await;
    for path in paths {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
    for path in &paths[..4] {
        for act in ["save", "delete", "end", "test", "disable"] {
            let fields = [("act", act), ("title", "x"), ("name", "x"), ("ends_at", "2026-03-03T00:00")];
            let shown = site.post("/profile", path, &fields).await;
            assert!(matches!(shown.status.as_u16(), 400 | 404), "{path} {act}: {}", shown.status);
        }
    }
    assert_eq!(site.post("/profile", "/deliveries/1/retry", &[]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_counts_without_its_proof() {
    let site = Site::signed_up().await;
    for path in [
        "/notifications",
        "/notifications/1",
        "/deliveries/1/retry",
        "/maintenance",
        "/maintenance/1",
        "/status-pages",
        "/status-pages/1",
        "/status-pages/1/announcements/new",
        "/status-pages/1/announcements/1",
        "/profile",
    ] {
        assert_eq!(site.send(path, &[], &[("act", "delete")]).await.status, 403, "{path}");
        let guessed = [("csrf", "guessed"), ("act", "delete")];
        assert_eq!(site.send(path, &[], &guessed).await.status, 403, "{path}");
    }
    assert_eq!(site.get("/profile").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_lead_back_and_are_cancelled_alike() {
    let site = Site::signed_up().await;
    site.endpoint("Shop", "http://127.0.0.1:9/").await;
    site.make("/status-service/v1/status_pages", json!({"title": "Shop"})).await;
    for path in [
        "/endpoints/new",
        "/endpoints/1/edit",
        "/notifications/new?kind=email",
        "/maintenance/new",
        "/status-pages/new",
        "/status-pages/1/announcements/new",
    ] {
        let shown = site.get(path).await;
        shown.says("<p class=\"back\"><a href=\"/");
        let cancels = shown.html.matches("\">Cancel</a>").count();
        let buttons = shown.html.matches("<a class=\"button second\" href=\"/").count();
        assert_eq!((cancels, buttons >= 1), (1, true), "{path}: {}", shown.html);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_without_an_end_has_no_dash() {
    let site = Site::signed_up().await;
    site.make("/status-service/v1/status_pages", json!({"title": "Shop"})).await;
    site.make("/status-service/v1/announcements", json!({"status_page_id": 1, "title": "Hello"})).await;
    let shown = site.get("/status-pages/1").await;
    shown.says("2026-03-01 12:00:30</time></p>");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_of_days_of_the_visitors_zone() {
    let site = Site::signed_up().await;
    let target = checks::Site::start().await;
    let id = site.endpoint("Shop", &target.url).await;
    site.engine.idle().await.unwrap();
    // It is two o'clock in the morning of the next day there.
    site.keep("pongpong_zone=Pacific/Kiritimati; Path=/");
    let today = site.get(&format!("/reports?endpoint_id={id}")).await;
    today.says("name=\"from\" type=\"date\" value=\"2026-03-02\"").says("2026-03-02 02:00:30</time>");
    today.says("<div><dt>Checks</dt><dd>1</dd></div>");
    let before = site.get(&format!("/reports?endpoint_id={id}&from=2026-03-01&to=2026-03-01")).await;
    before.says("<div><dt>Checks</dt><dd>0</dd></div>");
    let file = site.get("/reports.csv?from=2026-03-02&to=2026-03-02").await;
    assert_eq!(file.html.lines().count(), 2, "{}", file.html);
    for (zone, named) in
        [("Nowhere/Else", "UTC"), ("%3Cscript%3E", "UTC"), ("Asia/Seoul", "Asia/Seoul (UTC+09:00)")]
    {
        site.keep(&format!("pongpong_zone={zone}; Path=/"));
        let shown = site.get("/reports").await;
        shown.says(&format!("Time zone: {named}</p>"));
        let text = shown.html.replace("data-zone=\"UTC\"", "");
        assert_eq!(text.matches("UTC").count(), 1, "named once: {text}");
    }
    site.get("/profile").await.says("Time zone: Asia/Seoul (UTC+09:00)");
    // A maintenance is entered in the displayed time zone.
    site.get("/maintenance/new")
        .await
        .says("value=\"2026-03-01T21:00\"")
        .says("name=\"zone\" value=\"Asia/Seoul\"");
}
