//! Status pages and their feeds, for readers without an account.

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Shown, Site};

const ADMIN: &str = "admins-token";
/// A name may be any text.
const NAME: &str = "Shop <script>alert(1)</script>";

impl Site {
    /// With a user who has an API key.
    pub async fn with_an_owner() -> Self {
        let site = Self::with([("KONG_ADMIN_TOKEN", ADMIN), ("PUBLIC_URL", "https://pongpong.test")]).await;
        site.sign_up("me@example.com").await;
        site
    }

    /// An endpoint that the engine does not check: the test adds its history.
    pub async fn unchecked(&self, name: &str) -> i64 {
        let body = json!({"name": name, "url": "https://secret.test/path", "enabled": false});
        self.make("/endpoint-service/v1/endpoints", body).await["id"].as_i64().unwrap()
    }

    /// Adds one check a day for each of these days, the last of them today.
    pub async fn past(&self, endpoint_id: i64, days: &[bool]) {
        let now = chrono::DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc();
        let items = days.iter().rev().zip(0..).map(|(up, ago)| {
            let at = now - chrono::TimeDelta::days(ago);
            let error = (!up).then(|| json!({"code": "TIMEOUT", "message": "secret.test did not answer"}));
            json!({
                "endpoint_id": endpoint_id, "user_id": 1, "scheduled_at": at, "checked_at": at, "region": "default",
                "failure_threshold": 1, "success_threshold": 1, "outcome": {
                    "status": if *up { "up" } else { "down" }, "status_code": if *up { 200 } else { 503 },
                    "error": error, "timings_ms": {"total": 120}, "response_bytes": 2,
                },
            })
        });
        let items: Vec<Value> = items.collect();
        let url = format!("http://{}/private/v1/reports", self.engine.admin_address);
        let request = self.client.post(url).header("kong-admin-token", ADMIN).json(&json!({"items": items}));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::CREATED);
    }

    async fn page(&self) -> Value {
        let id = self.unchecked(NAME).await;
        self.past(id, &[true, false, true, true]).await;
        self.make(
            "/status-service/v1/status_pages",
            json!({
                "slug": "shop", "title": "Shop & Co", "description": "<b>One</b>\nTwo",
                "groups": [{"name": "Website", "endpoint_ids": [id]}, {"name": "Empty", "endpoint_ids": []}],
            }),
        )
        .await
    }
}

fn header<'a>(shown: &'a Shown, name: &str) -> &'a str {
    shown.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_stranger_reads_it() {
    let site = Site::with_an_owner().await;
    let page = site.page().await;
    let announcement = json!({"status_page_id": page["id"], "title": "Slow <today>", "severity": "warning"});
    site.make("/status-service/v1/announcements", announcement).await;
    let planned = json!({"title": "Moving house", "starts_at": "2026-03-02T00:00:00Z", "ends_at": "2026-03-02T02:00:00Z"});
    site.make("/endpoint-service/v1/maintenances", planned).await;
    // A shared cache must not store a page that contains the CSRF token of one visitor.
    assert_eq!(header(&site.get("/status/shop").await, "cache-control"), "private, no-store");
    site.forget_cookies();

    let shown = site.get("/status/shop").await;
    assert_eq!(shown.status, 200, "{}", shown.html);
    shown.says("Shop &#38; Co").says("Website").says("Shop &#60;script&#62;").says("Slow &#60;today&#62;");
    shown.says("&#60;b&#62;One&#60;/b&#62;\nTwo").says("Moving house").says("Everything on this page");
    shown.says("75.00%").says("120 ms").says("href=\"/status/shop/feed.xml\"");
    // Each day, and the whole bar, has a text alternative for screen readers.
    assert_eq!(shown.html.matches("<rect").count(), 90);
    shown.says("2026-03-01: 100% of 1 checks").says("2026-02-27: 0% of 1 checks").says("2026-01-01: no data");
    shown.says("90 days: 75.00% up, days with failed checks: 1. 2026-02-27: 0% of 1 checks");
    for secret in ["secret.test", "did not answer", "Empty", "<script>alert", "/endpoints/", "csrf"] {
        assert!(!shown.html.contains(secret), "{secret}");
    }
    // The same for all readers: it is cached, and sets no cookie.
    assert_eq!(header(&shown, "cache-control"), "public, max-age=30");
    assert!(!shown.headers.contains_key(header::SET_COOKIE));
    assert!(header(&shown, "content-security-policy").starts_with("default-src 'none'"));
    let etag = [("if-none-match", header(&shown, "etag"))];
    let again = site.ask(Method::GET, "/status/shop", &etag, String::new()).await;
    assert_eq!((again.status, again.html.as_str()), (StatusCode::NOT_MODIFIED, ""));

    let korean = site.ask(Method::GET, "/status/shop", &[("accept-language", "ko-KR")], String::new()).await;
    korean.says("<html lang=\"ko\"").says("지난 기록").says("예정된 점검").says("체크 1회 중 100%");
}

#[tokio::test]
async fn what_is_not_published_is_not_there() {
    let site = Site::with_an_owner().await;
    site.make("/status-service/v1/status_pages", json!({"slug": "later", "title": "x", "published": false}))
        .await;
    for path in ["/status/later", "/status/nothing", "/status/UP", "/status/a%2Fb"] {
        let shown = site.get(path).await;
        assert_eq!(
            (shown.status, header(&shown, "cache-control")),
            (StatusCode::NOT_FOUND, "private, no-store")
        );
        for feed in ["feed.xml", "feed.json"] {
            assert_eq!(site.get(&format!("{path}/{feed}")).await.status, 404, "{path}/{feed}");
        }
    }
    let empty = json!({"slug": "empty", "title": "x"});
    site.make("/status-service/v1/status_pages", empty).await;
    site.get("/status/empty").await.says("No data yet");
}

#[tokio::test]
async fn feed_readers_read_it() {
    let site = Site::with_an_owner().await;
    let page = site.page().await;
    for (title, starts_at) in
        [("First & foremost", "2026-02-01T00:00:00Z"), ("Second", "2026-02-02T00:00:00Z")]
    {
        let body =
            json!({"status_page_id": page["id"], "title": title, "text": "<b>", "starts_at": starts_at});
        site.make("/status-service/v1/announcements", body).await;
    }
    let planned = json!({"title": "Moving house", "starts_at": "2026-03-02T00:00:00Z", "ends_at": "2026-03-02T02:00:00Z"});
    site.make("/endpoint-service/v1/maintenances", planned).await;
    site.forget_cookies();

    let xml = site.get("/status/shop/feed.xml").await;
    assert_eq!(header(&xml, "content-type"), "application/rss+xml; charset=utf-8");
    assert_eq!(header(&xml, "cache-control"), "public, max-age=60");
    let channel = rss::Channel::read_from(xml.html.as_bytes()).unwrap();
    assert_eq!(
        (channel.title.as_str(), channel.link.as_str()),
        ("Shop & Co", "https://pongpong.test/status/shop")
    );
    let titles: Vec<_> = channel.items.iter().map(|item| item.title.as_deref().unwrap()).collect();
    assert_eq!(titles, ["Planned maintenance: Moving house", "Second", "First & foremost"]);
    let first = &channel.items[2];
    assert_eq!(first.description.as_deref(), Some("&lt;b&gt;"));
    assert_eq!(first.pub_date.as_deref(), Some("Sun, 1 Feb 2026 00:00:00 +0000"));
    let ids: std::collections::HashSet<_> =
        channel.items.iter().map(|item| &item.guid.as_ref().unwrap().value).collect();
    assert_eq!(ids.len(), 3);

    let feed =
        site.ask(Method::GET, "/status/shop/feed.json", &[("accept-language", "ko")], String::new()).await;
    assert_eq!(header(&feed, "content-type"), "application/feed+json; charset=utf-8");
    let json: Value = serde_json::from_str(&feed.html).unwrap();
    assert_eq!(json["version"], "https://jsonfeed.org/version/1.1");
    assert_eq!(json["feed_url"], "https://pongpong.test/status/shop/feed.json");
    assert_eq!(
        (&json["language"], &json["items"][0]["title"]),
        (&json!("ko"), &json!("예정된 점검: Moving house"))
    );
    // An entry has the same id in both feeds, in every language.
    assert_eq!(json["items"][2]["id"], first.guid.as_ref().unwrap().value);
    assert_eq!(json["items"][2]["date_published"], "2026-02-01T00:00:00Z");
    let etag = [("if-none-match", header(&xml, "etag"))];
    let again = site.ask(Method::GET, "/status/shop/feed.xml", &etag, String::new()).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn days_are_those_of_the_visitors_zone() {
    let site = Site::with_an_owner().await;
    site.page().await;
    site.forget_cookies();
    // The checks were made at noon; there it is the next day already.
    site.keep("pongpong_zone=Pacific/Kiritimati; Path=/");
    let shown = site.get("/status/shop").await;
    shown
        .says("2026-03-02: 100% of 1 checks")
        .says("2026-02-28: 0% of 1 checks")
        .says("2026-03-01: 100% of 1");
    shown.says("<h3>Mar 2, 2026</h3>").says("Time zone: Pacific/Kiritimati (UTC+14:00)");
    assert_eq!(shown.html.matches("UTC").count(), 1, "{}", shown.html);
    site.forget_cookies();
    site.get("/status/shop").await.says("2026-02-27: 0% of 1 checks").says("Time zone: UTC</p>");
    let url = format!("http://{}/status-service/v1/status/shop?zone=Mars/Olympus", site.engine.address);
    assert_eq!(site.client.get(url).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}
