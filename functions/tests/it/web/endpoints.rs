//! The dashboard, an endpoint's page, and its form.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Shown, Site};
use crate::checks;

const ADMIN_TOKEN: &str = "admins-token";

/// A logged-in user; the admin token is for steps that a browser cannot do.
async fn site() -> Site {
    let site = Site::with([("KONG_ADMIN_TOKEN", ADMIN_TOKEN)]).await;
    site.sign_up("me@example.com").await;
    site
}

impl Site {
    async fn add(&self, settings: Value) -> i64 {
        let path = "/endpoint-service/v1/endpoints";
        self.api(http::Method::POST, path, settings).await["id"].as_i64().unwrap()
    }

    /// Adds results for every minute before now, newest first.
    async fn history(&self, endpoint_id: i64, up: &[bool]) {
        let me = self.api(http::Method::GET, "/user-service/v1/user", Value::Null).await;
        let now = "2026-03-01T12:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        let result = |(minutes, up): (usize, &bool)| {
            let at = now - chrono::TimeDelta::minutes(i64::try_from(minutes).unwrap());
            let timings =
                json!({"dns": 1, "connect": 2, "tls": 10, "first_byte": 80, "transfer": 7, "total": 100});
            let outcome = if *up {
                json!({"status": "up", "status_code": 200, "timings_ms": timings, "response_bytes": 5120,
                    "ip": "203.0.113.7", "certificate_expires_at": "2026-03-09T12:00:00Z"})
            } else {
                let error = json!({"code": "STATUS_MISMATCH", "message": "got 503 <Unavailable>"});
                json!({"status": "down", "status_code": 503, "timings_ms": timings, "response_bytes": 5,
                    "error": error})
            };
            json!({"endpoint_id": endpoint_id, "user_id": me["id"], "scheduled_at": at, "checked_at": at,
                "region": "default", "failure_threshold": 2, "success_threshold": 1, "outcome": outcome})
        };
        let items: Vec<Value> = up.iter().enumerate().map(result).collect();
        let url = format!("http://{}/private/v1/reports", self.engine.admin_address);
        for items in items.chunks(300) {
            let request = self.client.post(&url).header("kong-admin-token", ADMIN_TOKEN);
            let answer = request.json(&json!({"items": items})).send().await.unwrap();
            assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        }
    }

    async fn fill_in(&self, page: &str, fields: &[(&str, &str)]) -> Shown {
        let defaults = [
            ("config.method", "GET"),
            ("interval_seconds", "60"),
            ("timeout_ms", "2000"),
            ("config.expected_status", "200-299"),
            ("retries", "0"),
            ("failure_threshold", "2"),
            ("success_threshold", "1"),
            ("enabled", "true"),
            ("config.follow_redirects", "true"),
            ("config.verify_tls", "true"),
            ("config.certificate_warning_days", "14"),
        ];
        let left = defaults.into_iter().filter(|(name, _)| fields.iter().all(|(given, _)| given != name));
        let all: Vec<_> = fields.iter().copied().chain(left).collect();
        self.post(page, page, &all).await
    }
}

/// Counts occurrences; a failed assertion then does not print the whole page.
fn count(shown: &Shown, what: &str) -> usize {
    shown.html.matches(what).count()
}

#[tokio::test]
async fn a_url_is_enough_and_sent_twice_it_is_added_once() {
    let site = site().await;
    let empty = site.get("/dashboard").await;
    empty.says("Add your first endpoint");
    let (csrf, once) = (empty.hidden("csrf"), empty.hidden("once"));
    let form = [("csrf", csrf.as_str()), ("once", &once), ("url", "127.0.0.1:1/shop"), ("action", "quick")];
    let added = site.send("/endpoints/new", &[], &form).await;
    assert_eq!((added.status, added.location()), (StatusCode::SEE_OTHER, "/endpoints/1"), "{}", added.html);
    let again = site.send("/endpoints/new", &[], &form).await;
    assert_eq!(again.location(), "/endpoints/1");
    let shown = site.get("/endpoints/1").await;
    shown
        .says("Endpoint added. First check is running.")
        .says("http://127.0.0.1:1/shop")
        .says("HTTP every 1 min");
    let board = site.get("/dashboard").await;
    board.says("<a href=\"/endpoints/1\">127.0.0.1</a>").says("<b>1</b> all");
    let korean = site.ask(http::Method::GET, "/preferences?lang=ko", &[], String::new()).await;
    assert_eq!(korean.status, 303);
    site.get("/dashboard").await.says("전체 <b>1</b>").says("문제 우선");
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_nothing_is_lost() {
    let site = site().await;
    let fields = [
        ("url", "https://a.test/<x>"),
        ("name", "Shop \"1\""),
        ("tags", "shop, two words!"),
        ("interval_seconds", "3"),
        ("config.headers", "X-One: 1\r\nConnection: close"),
        ("config.secret_headers", "X-Two: 2"),
        ("assertion_fact", "json"),
        ("assertion_what", "$.a"),
        ("assertion_comparison", "less_than"),
        ("assertion_value", "4"),
        ("assertion_fact", "body"),
        ("assertion_what", ""),
        ("assertion_comparison", "matches"),
        ("assertion_value", "(unclosed"),
        ("config.body", "\n two\r\nlines"),
        ("action", "save"),
    ];
    let again = site.fill_in("/endpoints/new", &fields).await;
    assert_eq!(again.status, 400);
    again
        .says("id=\"interval_seconds-error\"")
        .says("id=\"assertion-1-error\">value: ")
        .says("id=\"config-headers-error\">Connection: ")
        .says("id=\"tags-error\">words!: ");
    for error in [
        "id=\"assertion-0-error\"",
        "id=\"config-secret_headers-error\"",
        "id=\"url-error\"",
        "assertions[1]",
    ] {
        assert_eq!(count(&again, error), 0, "{error}");
    }
    again
        .says("value=\"https://a.test/&#60;x&#62;\"")
        .says("value=\"Shop &#34;1&#34;\"")
        .says("value=\"shop, two words!\"")
        .says("X-One: 1\r\nConnection: close</textarea>")
        .says("value=\"(unclosed\"")
        .says("<option value=\"less_than\" selected>")
        .says("\n two\r\nlines</textarea>");
    // A value that the API could not even parse.
    let again = site.fill_in("/endpoints/new", &[("url", "https://a.test"), ("retries", "often")]).await;
    assert_eq!(again.status, 400);
    again.says("id=\"retries-error\">Must be a whole number").says("value=\"often\"");
    site.get("/dashboard").await.says("Add your first endpoint");
}

#[tokio::test]
async fn retries_left_empty_are_those_of_the_method() {
    let site = site().await;
    let shown = |value: &str| {
        format!(
            "name=\"retries\" type=\"number\" inputmode=\"numeric\" min=\"0\" max=\"5\" value=\"{value}\""
        )
    };
    site.get("/endpoints/new").await.says(&shown(""));
    let fields = [
        ("url", "http://127.0.0.1:1/"),
        ("config.method", "POST"),
        ("config.legacy_tls", "true"),
        ("action", "save"),
    ];
    for (retries, kept) in [("", ""), ("0", ""), ("1", "1")] {
        let added = site.fill_in("/endpoints/new", &[&fields[..], &[("retries", retries)]].concat()).await;
        assert_eq!(added.status, 303, "{}", added.html);
        let edited = site.get(&format!("{}/edit", added.location())).await;
        edited.says(&shown(kept)).says("name=\"config.legacy_tls\" value=\"true\" checked");
    }
    // The default for another method was not chosen by the user.
    let added = site.fill_in("/endpoints/new", &[("url", "http://127.0.0.1:1/"), ("retries", "")]).await;
    let edit = format!("{}/edit", added.location());
    let fields =
        [("url", "http://127.0.0.1:1/"), ("config.method", "POST"), ("retries", ""), ("action", "save")];
    assert_eq!(site.fill_in(&edit, &fields).await.status, 303);
    site.get(&edit).await.says(&shown("")).says("<option selected>POST</option>");
}

#[tokio::test]
async fn rows_are_added_and_removed_without_a_script() {
    let site = site().await;
    let fields = [
        ("url", "https://a.test"),
        ("assertion_fact", "status"),
        ("assertion_value", "201"),
        ("assertion_fact", "body"),
        ("assertion_value", "fine"),
    ];
    let add = [&fields[..], &[("action", "add_assertion")]].concat();
    let more = site.fill_in("/endpoints/new", &add).await;
    assert_eq!((more.status, count(&more, "name=\"assertion_fact\"")), (StatusCode::OK, 3));
    let remove = [&fields[..], &[("action", "remove_assertion 0")]].concat();
    let fewer = site.fill_in("/endpoints/new", &remove).await;
    fewer.says("value=\"fine\"").says("value=\"https://a.test\"");
    assert_eq!((count(&fewer, "name=\"assertion_fact\""), count(&fewer, "value=\"201\"")), (2, 0));
}

#[tokio::test]
async fn settings_are_tried_before_they_are_saved() {
    let (site, target) = (site().await, checks::Site::start().await);
    let wanted = |value: &'static str| {
        [
            ("url", target.url.as_str()),
            ("assertion_fact", "body"),
            ("assertion_what", ""),
            ("assertion_comparison", "contains"),
            ("assertion_value", value),
            ("action", "test"),
        ]
    };
    let fine = site.fill_in("/endpoints/new", &wanted("hello")).await;
    assert_eq!(fine.status, 200);
    fine.says("checked just now").says("class=\"waterfall\"").says("HTTP 200").says("value=\"hello\"");
    let not = site.fill_in("/endpoints/new", &wanted("goodbye")).await;
    not.says("<span class=\"status down\">Down</span>").says("value=\"goodbye\"");
    let unreadable = site.fill_in("/endpoints/new", &[("url", "ftp://a.test"), ("action", "test")]).await;
    assert_eq!(unreadable.status, 400);
    unreadable.says("id=\"url-error\"");
    site.get("/dashboard").await.says("Add your first endpoint");
}

#[tokio::test]
async fn an_endpoint_is_changed() {
    let site = site().await;
    let settings = json!({"url": "https://a.test", "name": "A", "config": {"headers": {"X-One": "1"}, "secret_headers": {"X-Two": "hidden"}}, "tags": ["shop"],
        "assertions": [{"fact": "json", "path": "$.s", "comparison": "equals", "value": "4"}]});
    let id = site.add(settings).await;
    let path = format!("/endpoints/{id}/edit");
    let form = site.get(&path).await;
    form.says("X-One: 1</textarea>")
        .says("X-Two: …</textarea>")
        .says("value=\"$.s\"")
        .says("value=\"&#34;4&#34;\"")
        .says("value=\"shop\"");
    let saved = site
        .fill_in(
            &path,
            &[("url", "https://b.test"), ("name", ""), ("config.method", "HEAD"), ("action", "save")],
        )
        .await;
    assert_eq!((saved.status, saved.location()), (StatusCode::SEE_OTHER, &*format!("/endpoints/{id}")));
    let api = format!("/endpoint-service/v1/endpoints/{id}");
    let now = site.api(http::Method::GET, &api, Value::Null).await;
    assert_eq!(
        (&now["name"], &now["config"]["method"], &now["config"]["headers"]),
        (&json!("b.test"), &json!("HEAD"), &Value::Null)
    );
    assert_eq!((&now["tags"], &now["assertions"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn endpoints_are_found_sorted_and_paged() {
    let site = site().await;
    for index in 0..27 {
        let name = if index == 0 { "<script>x</script>".to_owned() } else { format!("Site {index:02}") };
        let tags = if index % 2 == 0 { json!(["even"]) } else { json!([]) };
        site.add(json!({"url": "http://127.0.0.1:1", "name": name, "tags": tags, "enabled": false})).await;
    }
    let first = site.get("/dashboard?sort=name").await;
    assert_eq!(count(&first, "class=\"state\""), 25);
    first.says("1–25 / 27").says("href=\"/dashboard?sort=name&#38;page=2\" rel=\"next\"");
    first.says("&#60;script&#62;x").says("<option value=\"even\">even (14)</option>").says("All are paused");
    let second = site.get("/dashboard?sort=name&page=2").await;
    assert_eq!(count(&second, "class=\"state\""), 2);
    second.says("Site 26").says("rel=\"prev\"");
    assert_eq!(site.get("/dashboard?sort=name&page=9").await.location(), "/dashboard?sort=name&page=2");
    let found = site.get("/dashboard?q=SITE+03").await;
    assert_eq!(count(&found, "class=\"state\""), 1);
    let even = site.get("/dashboard?tag=even&status=paused&range=90d").await;
    assert_eq!(count(&even, "class=\"state\""), 14);
    let none = site.get("/dashboard?q=nothing").await;
    none.says("No matches").says("href=\"/dashboard\"");
}

#[tokio::test]
async fn history_is_shown() {
    let site = site().await;
    let settings = json!({"url": "https://a.test", "name": "A", "enabled": false});
    let id = site.add(settings).await;
    let mut up = vec![true; 60];
    up[20..25].fill(false);
    site.history(id, &up).await;
    let board = site.get("/dashboard").await;
    board
        .says("91.66%")
        .says("100 ms")
        .says("2026-03-01 11:28–11:44\n11 of 16 checks up\naverage 100 ms</title>")
        .says("aria-label=\"Uptime 91.66%:");
    // Each of the 90 buckets has a title.
    assert_eq!(count(&board, "</title></rect>"), 90);

    let shown = site.get(&format!("/endpoints/{id}?range=1h")).await;
    shown
        .says("55 / 60 checks")
        .says("class=\"chart wide\"")
        .says("class=\"chart narrow\"")
        .says("Response times over 1h: 60 checks, 5 failed; half of them within 100 ms")
        .says("<th scope=\"row\">2026-03-01 11:40–11:41</th><td class=\"number\">0/1</td>")
        .says("7 days")
        .says("1–20 / 60");
    assert!(!shown.html.contains("style="), "the policy forbids it");
    let failed = site.get(&format!("/endpoints/{id}?range=1h&only=down")).await;
    failed.says("<code>STATUS_MISMATCH</code> got 503 &#60;Unavailable&#62;");
    assert_eq!(count(&failed, "<li class=\"down\" "), 5);
    assert_eq!(count(&failed, "<li class=\"up\" "), 0);
    // The bar shows one hour too.
    shown.says("<span>1h ago</span>");
    assert_eq!(count(&shown, "viewBox=\"0 0 239 32\""), 1, "60 times");
    for range in ["24h", "7d", "30d", "90d"] {
        site.get(&format!("/endpoints/{id}?range={range}")).await.says("class=\"chart wide\"");
    }
}

#[tokio::test]
async fn an_endpoint_is_checked_paused_and_deleted() {
    let (site, target) = (site().await, checks::Site::start().await);
    let id = site.add(json!({"url": target.url, "name": "A"})).await;
    let page = format!("/endpoints/{id}");
    let checked = site.post(&page, &format!("{page}/check"), &[]).await;
    assert_eq!((checked.status, checked.location()), (StatusCode::SEE_OTHER, &*format!("{page}#result")));
    // The result is not shown on another page, or twice.
    let other = site.add(json!({"url": target.url, "name": "B", "enabled": false})).await;
    assert!(!site.get(&format!("/endpoints/{other}")).await.html.contains("id=\"result\""));
    let other = format!("/endpoints/{other}/delete");
    site.post(&other, &other, &[]).await;
    site.get("/dashboard").await.says("Endpoint deleted.");
    site.post(&page, &format!("{page}/check"), &[]).await;
    site.get(&page).await.says("checked at 2026-03-01 12:00:30").says("HTTP 200").says("id=\"result\"");
    assert!(!site.get(&page).await.html.contains("id=\"result\""));
    assert_eq!(site.get(&format!("{page}/check")).await.location(), page, "a reload");
    let paused = site.post(&page, &format!("{page}/pause"), &[("enabled", "false")]).await;
    assert_eq!(paused.location(), page);
    site.get(&page).await.says("Paused. No checks until").says("Resume");
    site.get("/dashboard").await.says("class=\"paused\"").says("All are paused");
    site.post(&page, &format!("{page}/pause"), &[("enabled", "true")]).await;
    site.get(&page).await.says(">Pause<");

    let path = format!("{page}/delete");
    site.get(&path).await.says("Delete this endpoint?");
    let stranger = site.cookie("pongpong_key").unwrap();
    site.forget_cookies();
    site.sign_up("you@example.com").await;
    for path in [page.clone(), path.clone(), format!("{page}/edit")] {
        assert_eq!(site.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(site.post("/dashboard", &format!("{page}/check"), &[]).await.status, 404);
    site.forget_cookies();
    site.keep(&format!("pongpong_key={stranger}; Path=/"));
    let gone = site.post(&path, &path, &[]).await;
    assert_eq!(gone.location(), "/dashboard");
    site.get("/dashboard").await.says("Endpoint deleted.").says("Add your first endpoint");
    assert_eq!(site.get(&page).await.status, 404);
}

#[tokio::test]
async fn badges_are_off_until_asked_for() {
    let site = site().await;
    let id = site.add(json!({"url": "https://a.test", "name": "A]\"<b>", "enabled": false})).await;
    let page = format!("/endpoints/{id}");
    site.get(&page).await.says("Create badges");
    let on = site.post(&page, &format!("{page}/badge"), &[]).await;
    assert_eq!(on.location(), format!("{page}#badges"));
    let shown = site.get(&page).await;
    shown.says("![Ab: status](http").says("/uptime/30d.svg").says("Disable badges");
    let badge = shown.hidden("badge_id");
    site.post(&page, &format!("{page}/badge"), &[("badge_id", &badge)]).await;
    site.get(&page).await.says("Create badges");
}

#[tokio::test]
async fn a_maintenance_is_told() {
    let site = site().await;
    let id = site.add(json!({"url": "https://a.test", "name": "A"})).await;
    let planned = json!({"title": "New disks", "ends_at": "2026-03-01T14:00:00Z", "endpoint_ids": [id]});
    site.api(http::Method::POST, "/endpoint-service/v1/maintenances", planned).await;
    site.get("/dashboard").await.says("status maintenance").says("New disks");
    site.get(&format!("/endpoints/{id}")).await.says("notice maintenance").says("New disks");
}

#[tokio::test]
async fn numbers_are_grouped_and_times_have_one_unit() {
    let site = site().await;
    let id = site.add(json!({"url": "https://a.test", "name": "A", "enabled": false})).await;
    site.history(id, &[true; 1200]).await;
    let shown = site.get(&format!("/endpoints/{id}")).await;
    shown.says("1,200 / 1,200 checks").says("Response times over 24h: 1,200 checks");
    site.get(&format!("/reports?endpoint_id={id}&from=2026-02-28")).await.says("<dd>1,200</dd>");
}

#[tokio::test]
async fn a_refused_connection_has_no_response_time() {
    let site = site().await;
    let settings = json!({"url": "http://127.0.0.1:1", "name": "A", "retries": 0, "failure_threshold": 1,
        "interval_seconds": 86_400});
    let id = site.add(settings).await;
    site.engine.idle().await.unwrap();
    let page = format!("/endpoints/{id}");
    let dashboard = site.get("/dashboard").await;
    dashboard.says("was refused");
    site.post(&page, &format!("{page}/check"), &[]).await;
    let shown = site.get(&page).await;
    shown.says("id=\"result\"").says("was refused");
    for shown in [dashboard, shown] {
        for text in shown.html.split(['<', '>']) {
            let is_time = text.strip_suffix(" ms").is_some_and(|number| number.parse::<u32>().is_ok());
            assert!(!is_time && !text.trim().starts_with('·'), "{text:?} in:\n{}", shown.html);
        }
    }
}

#[tokio::test]
async fn an_uptime_is_painted_by_one_rule() {
    let site = site().await;
    let id = site.add(json!({"url": "https://a.test", "name": "A", "enabled": false})).await;
    site.history(id, &[&[false][..], &[true; 15]].concat()).await;
    site.make(
        "/status-service/v1/status_pages",
        json!({"slug": "shop", "title": "A", "groups": [
        {"name": "", "endpoint_ids": [id]}]}),
    )
    .await;
    let (dashboard, public) = (site.get("/dashboard?range=90d").await, site.get("/status/shop").await);
    let painted = |shown: &Shown| shown.html.contains("class=\"some\"");
    assert!(painted(&dashboard) && painted(&public), "{}", dashboard.html);
    dashboard.says("class=\"uptime some\"");
    for shown in [dashboard, public] {
        shown.says("<span class=\"up\">99.9% or more</span><span class=\"some\">90% or more</span>");
    }
}

#[tokio::test]
async fn one_that_fails_and_is_not_down_yet_says_how_often() {
    let (site, target) = (site().await, checks::Site::start().await);
    target.status.store(503, std::sync::atomic::Ordering::SeqCst);
    let settings = json!({"url": target.url, "name": "A", "retries": 0, "failure_threshold": 2});
    let id = site.add(settings).await;
    // The check that would confirm it waits for the clock, which stands still.
    for _ in 0..200 {
        if site.get("/dashboard").await.html.contains("status failing") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let page = format!("/endpoints/{id}");
    for path in ["/dashboard", &page] {
        site.get(path).await.says("<span class=\"status failing\">Failing 1 of 2</span>");
    }
    site.get("/preferences?lang=ko&next=/").await;
    site.get(&page).await.says("<span class=\"status failing\">실패 1/2회</span>");
    // Nothing is known about settings that changed since.
    site.api(http::Method::PATCH, &format!("/endpoint-service/v1/endpoints/{id}"), json!({"enabled": false}))
        .await;
    assert!(!site.get(&page).await.html.contains("status failing"));
}

#[tokio::test]
async fn a_bare_address_has_one_scheme_everywhere() {
    let (site, target) = (site().await, checks::Site::start().await);
    let bare = target.url.trim_start_matches("http://");
    let made = site.make("/endpoint-service/v1/endpoints", json!({"url": bare})).await;
    assert_eq!(made["url"], target.url);
    let checked = site.make("/endpoint-check/v1/checks", json!({"url": bare})).await;
    assert_eq!((&checked["url"], &checked["status"]), (&json!(target.url), &json!("up")));
    site.fill_in("/endpoints/new", &[("url", bare), ("action", "test")]).await.says(&target.url);
    let changed = json!({"url": "10.1.2.3:443/x"});
    let changed = site.api(http::Method::PATCH, "/endpoint-service/v1/endpoints/1", changed).await;
    assert_eq!(changed["url"], "https://10.1.2.3:443/x");
}

#[tokio::test]
async fn pages_say_that_nobody_will_be_alerted() {
    let (site, hook) = (site().await, crate::listener::Listener::start(200, "").await);
    let target = checks::Site::start().await;
    target.status.store(503, std::sync::atomic::Ordering::SeqCst);
    let id = site
        .add(json!({"url": target.url, "name": "A", "retries": 0, "failure_threshold": 1,
        "interval_seconds": 86_400}))
        .await;
    site.engine.idle().await.unwrap();
    let pages = ["/dashboard".to_owned(), format!("/endpoints/{id}")];
    let say = async |what: &str| {
        for page in &pages {
            let shown = site.get(page).await;
            assert_eq!(shown.html.contains("id=\"alerting\""), !what.is_empty(), "{page}: {}", shown.html);
            shown.says(what);
        }
    };
    say("Nobody will be alerted: no notification channel is enabled.").await;
    let form = [("kind", "webhook"), ("name", "Hook"), ("config.url", &hook.url), ("scope", "all")];
    site.post("/notifications/new?kind=webhook", "/notifications", &form).await;
    say("Alerts may not arrive: no notification channel has been tested yet.").await;
    assert_eq!(hook.asked().len(), 0);
    let tested = site.post("/notifications/1", "/notifications/1", &[("act", "test")]).await;
    assert_eq!(tested.location(), "/notifications/1");
    site.get("/notifications/1").await.says("Test message accepted.");
    say("").await;
    // Another URL counts as another destination.
    let api = "/notification-service/v1/notifications/1";
    let other = json!({"config": {"url": format!("{}/other", hook.url)}});
    site.api(http::Method::PATCH, api, other).await;
    say("Alerts may not arrive").await;
    site.api(http::Method::PATCH, api, json!({"enabled": false})).await;
    say("Nobody will be alerted").await;
}

#[tokio::test]
async fn a_new_channel_is_told_what_is_down_already_if_wanted() {
    let (site, hook) = (site().await, crate::listener::Listener::start(200, "").await);
    let target = checks::Site::start().await;
    target.status.store(503, std::sync::atomic::Ordering::SeqCst);
    site.add(json!({"url": target.url, "name": "A", "retries": 0, "failure_threshold": 1,
        "interval_seconds": 86_400}))
        .await;
    site.engine.idle().await.unwrap();
    let new = "/notifications/new?kind=webhook";
    site.get(new).await.says("Also alert about endpoints that are down now");
    let form = [("kind", "webhook"), ("name", "Hook"), ("config.url", &hook.url), ("scope", "all")];
    site.post(new, "/notifications", &form).await;
    site.engine.idle().await.unwrap();
    assert_eq!(hook.asked().len(), 0);
    let wanted = [&form[..], &[("send_open_incidents", "true"), ("once", "x")]].concat();
    // Submitted twice, it is sent once.
    site.post(new, "/notifications", &wanted).await;
    site.post(new, "/notifications", &wanted).await;
    site.engine.idle().await.unwrap();
    let asked = hook.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].body.contains("503"), "{asked:?}");
}

#[tokio::test]
async fn each_list_of_pages_has_its_own_name() {
    let site = site().await;
    for n in 0..21 {
        site.add(json!({"url": "https://a.test", "name": format!("A{n:02}"), "enabled": false})).await;
    }
    site.history(1, &[true; 60]).await;
    let shown = site.get("/reports").await;
    for name in ["Pages: Summary", "Pages: Results"] {
        assert_eq!(count(&shown, &format!("aria-label=\"{name}\"")), 1, "{name}");
    }
}
